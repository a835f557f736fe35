/* /dev: its nodes and links, and whether this process may open the nodes. */
#include "sections.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Character devices that are left alone: opening them acts on the machine or on somebody's terminal.
 * Numbers: Documentation/admin-guide/devices.txt of the Linux kernel. */
static const struct { unsigned major, first, last; } untouched[] = {
    {1, 1, 2},     {1, 4, 4}, {1, 11, 11}, /* mem, kmem, port, kmsg */
    {2, 0, ~0u},   {3, 0, ~0u}, {4, 0, ~0u}, {5, 0, ~0u}, {136, 0, ~0u}, {137, 0, ~0u}, {138, 0, ~0u}, {139, 0, ~0u},
    {140, 0, ~0u}, {141, 0, ~0u}, {142, 0, ~0u}, {143, 0, ~0u}, /* terminals, console, ptmx */
    {166, 0, ~0u}, {188, 0, ~0u}, {204, 0, ~0u}, /* serial lines: DTR goes up */
    {6, 0, ~0u},   {9, 0, ~0u}, /* printers; tapes rewind */
    {10, 130, 130}, {10, 231, 231}, /* watchdog starts counting; snapshot freezes file systems */
};

static bool is_untouched(const char *path, dev_t device)
{
    const char *name = strrchr(path, '/');
    for (size_t i = 0; i < sizeof untouched / sizeof *untouched; i++)
        if (major(device) == untouched[i].major && minor(device) >= untouched[i].first &&
            minor(device) <= untouched[i].last)
            return true;
    return name && !strncmp(name, "/watchdog", 9);
}

/* "ok", or why neither reading and writing nor reading alone is possible. */
static const char *try_open(const char *path)
{
    const int flags = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = open(path, O_RDWR | flags);
    if (fd < 0)
        fd = open(path, O_RDONLY | flags);
    if (fd < 0)
        return errno_name(errno);
    close(fd);
    return "ok";
}

static void write_link(struct json *json, const char *path)
{
    char target[PATH_MAX];
    ssize_t length = readlink(path, target, sizeof target);
    json_key(json, "link");
    if (length < 0)
        json_null(json);
    else
        json_bytes(json, target, (size_t)length);
}

static const char *type_letter(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFCHR: return "c";
    case S_IFBLK: return "b";
    case S_IFLNK: return "l";
    case S_IFIFO: return "p";
    case S_IFSOCK: return "s";
    default: return "f";
    }
}

static void write_device(struct json *json, const char *path, const struct stat *st)
{
    bool node = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);

    json_open(json, '{');
    json_member(json, "path", path);
    json_member(json, "type", type_letter(st->st_mode));
    if (node) {
        json_member_number(json, "major", major(st->st_rdev));
        json_member_number(json, "minor", minor(st->st_rdev));
    }
    json_member_number(json, "mode", st->st_mode & 07777);
    json_member_number(json, "uid", st->st_uid);
    json_member_number(json, "gid", st->st_gid);
    write_link(json, path);
    json_member(json, "open", S_ISCHR(st->st_mode) && !is_untouched(path, st->st_rdev) ? try_open(path) : NULL);
    json_close(json, '}');
}

static int no_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

static bool is_storage(const char *path)
{
    return !strcmp(path, "/dev/shm") || !strcmp(path, "/dev/mqueue") || !strcmp(path, "/dev/hugepages");
}

static void walk_devices(struct json *json, const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, no_dots, alphasort);

    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        struct stat st;
        int length = snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        free(entries[i]);
        if (length >= (int)sizeof path || lstat(path, &st))
            continue;
        if (!S_ISDIR(st.st_mode))
            write_device(json, path, &st);
        else if (!is_storage(path))
            walk_devices(json, path);
    }
    if (count >= 0)
        free(entries);
}

void write_devices(struct json *json)
{
    json_key(json, "devices");
    json_open(json, '[');
    walk_devices(json, "/dev");
    json_close(json, ']');
}
