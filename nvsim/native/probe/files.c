/* Files: what is at a path, and what is in it. */
#include "sections.h"
#include "sha256.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASHED (1u << 20) /* bytes: a larger file is reported without its sum */
#define SHOWN 4096u       /* bytes: a longer file is reported without its text */

static const char *type_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return "file";
    case S_IFDIR: return "dir";
    case S_IFLNK: return "link";
    case S_IFCHR: return "char";
    case S_IFBLK: return "block";
    case S_IFSOCK: return "socket";
    default: return "fifo";
    }
}

/* Reads until the end or until `content` is full; the number of bytes, or -1 with errno. */
static ssize_t read_file(const char *path, char *content, size_t size)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    size_t length = 0;
    ssize_t step = fd < 0 ? -1 : 1;

    while (step > 0 && length < size) {
        step = read(fd, content + length, size - length);
        if (step < 0 && errno == EINTR)
            step = 1;
        else if (step > 0)
            length += (size_t)step;
    }
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return step < 0 ? -1 : (ssize_t)length;
}

/* By reading, not by st_size: files of /proc say that they are empty. */
static void write_content(struct json *json, const char *path)
{
    static char content[HASHED + 1];
    ssize_t length = read_file(path, content, sizeof content);
    char hex[65];

    if (length < 0) {
        json_member(json, "error", errno_name(errno));
        return;
    }
    if ((size_t)length <= HASHED) {
        sha256_hex(content, (size_t)length, hex);
        json_member(json, "sha256", hex);
    }
    if ((size_t)length <= SHOWN && is_utf8(content, (size_t)length)) {
        json_key(json, "text");
        json_bytes(json, content, (size_t)length);
    }
}

static void write_target(struct json *json, const char *path)
{
    char target[PATH_MAX], resolved[PATH_MAX];
    ssize_t length = readlink(path, target, sizeof target - 1);

    if (length < 0)
        return;
    target[length] = '\0';
    json_member(json, "link", target);
    json_member(json, "resolved", realpath(path, resolved)); /* null: leads nowhere */
}

/* The path itself is looked at, not what a link leads to; ask for the target to see that. */
void write_file(struct json *json, const char *path)
{
    struct stat st;

    json_key(json, path);
    json_open(json, '{');
    if (lstat(path, &st)) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        json_member(json, "type", missing ? "missing" : "unknown");
        if (!missing)
            json_member(json, "error", errno_name(errno));
    } else {
        json_member(json, "type", type_name(st.st_mode));
        json_member_number(json, "size", st.st_size);
        json_member_number(json, "mode", st.st_mode & 07777);
        json_member_number(json, "uid", st.st_uid);
        json_member_number(json, "gid", st.st_gid);
        if (S_ISLNK(st.st_mode))
            write_target(json, path);
        if (S_ISREG(st.st_mode))
            write_content(json, path);
    }
    json_close(json, '}');
}

struct paths {
    char **items;
    size_t count;
};

static bool add_path(struct paths *paths, const char *path)
{
    char **grown = realloc(paths->items, (paths->count + 1) * sizeof *grown);
    if (!grown)
        return false;
    paths->items = grown;
    grown[paths->count] = strdup(path);
    return grown[paths->count] && ++paths->count;
}

static void collect(struct paths *paths, const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char path[PATH_MAX];
        struct stat st;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path || !add_path(paths, path))
            continue;
        if (!lstat(path, &st) && S_ISDIR(st.st_mode))
            collect(paths, path);
    }
    if (dir)
        closedir(dir);
}

static int by_bytes(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

void write_proc_driver(struct json *json)
{
    struct paths paths = {0};

    collect(&paths, "/proc/driver/nvidia");
    if (paths.count)
        qsort(paths.items, paths.count, sizeof *paths.items, by_bytes);
    json_key(json, "proc_driver_nvidia");
    json_open(json, '[');
    for (size_t i = 0; i < paths.count; i++) {
        json_string(json, paths.items[i]);
        free(paths.items[i]);
    }
    json_close(json, ']');
    free(paths.items);
}
