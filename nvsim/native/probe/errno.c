#include "sections.h"

#include <errno.h>

/* Name of an errno, "E<number>" for one without a line here (valid until the next call). */
const char *errno_name(int code)
{
    static char other[16];
    static const struct { int code; const char *name; } names[] = {
#define NAME(code) {code, #code}
        NAME(EPERM), NAME(ENOENT), NAME(EINTR), NAME(EIO), NAME(ENXIO), NAME(E2BIG), NAME(ENOEXEC), NAME(EBADF),
        NAME(EAGAIN), NAME(ENOMEM), NAME(EACCES), NAME(EFAULT), NAME(EBUSY), NAME(EEXIST), NAME(ENODEV), NAME(ENOTDIR),
        NAME(EISDIR), NAME(EINVAL), NAME(ENFILE), NAME(EMFILE), NAME(ENOTTY), NAME(ETXTBSY), NAME(ENOSPC), NAME(EROFS),
        NAME(ENAMETOOLONG), NAME(ENOSYS), NAME(ELOOP), NAME(ENODATA), NAME(ENOTCONN), NAME(EOVERFLOW), NAME(ELIBBAD),
        NAME(EOPNOTSUPP), NAME(ETIMEDOUT), NAME(ESTALE), NAME(EREMOTEIO), NAME(ENOMEDIUM), NAME(ECANCELED),
#undef NAME
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code)
            return names[i].name;
    snprintf(other, sizeof other, "E%d", code);
    return other;
}
