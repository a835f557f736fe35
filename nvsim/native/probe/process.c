/* What the kernel tells this process about itself: environment, mounts. */
#include "sections.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static bool seen_before(char **entry, size_t length)
{
    for (char **earlier = environ; earlier < entry; earlier++)
        if (!strncmp(*earlier, *entry, length) && (*earlier)[length] == '=')
            return true;
    return false;
}

/* The first of two entries with one name is the one that getenv(3) returns; entries without "=" are no variables. */
void write_environment(struct json *json)
{
    json_key(json, "env");
    json_open(json, '{');
    for (char **entry = environ; *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (!equals || seen_before(entry, (size_t)(equals - *entry)))
            continue;
        json_key_bytes(json, *entry, (size_t)(equals - *entry));
        json_string(json, equals + 1);
    }
    json_close(json, '}');
}

static bool is_octal(const char *s)
{
    return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' && s[2] <= '7';
}

/* proc(5): space, tab, newline and backslash in a field are written as a backslash and three octal digits. */
static char *unescape(char *field)
{
    char *to = field;
    for (const char *from = field; *from; to++)
        if (*from == '\\' && is_octal(from + 1)) {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    *to = '\0';
    return field;
}

static bool listed(const char *options, const char *word, size_t length)
{
    for (const char *at = options; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!strncmp(at, word, length) && (at[length] == ',' || !at[length]))
            return true;
    return false;
}

/* The words of a comma-separated list that `unless` does not have. */
static void write_words(struct json *json, const char *words, const char *unless)
{
    for (const char *at = words; *at;) {
        size_t length = strcspn(at, ",");
        if (length && !listed(unless, at, length))
            json_bytes(json, at, length);
        at += length + (at[length] == ',');
    }
}

/* Each option once: "rw" is both a mount's and its superblock's. */
static void write_options(struct json *json, const char *mount, const char *super)
{
    json_key(json, "options");
    json_open(json, '[');
    write_words(json, mount, "");
    write_words(json, super, mount);
    json_close(json, ']');
}

/* One line of /proc/self/mountinfo.  proc(5): "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw":
 * mount id, parent id, device, root, mount point, mount options, optional fields, "-", type, source, super options. */
static void write_mount(struct json *json, char *line)
{
    char *field[6] = {0}, *rest[3] = {"", "", ""}, *save = NULL, *word;
    bool shared = false, slave = false, unbindable = false;
    size_t count = 0;

    for (word = strtok_r(line, " \n", &save); word && strcmp(word, "-"); word = strtok_r(NULL, " \n", &save)) {
        if (count < 6)
            field[count++] = word;
        shared |= !strncmp(word, "shared:", 7);
        slave |= !strncmp(word, "master:", 7);
        unbindable |= !strcmp(word, "unbindable");
    }
    for (count = 0; word && count < 3 && (word = strtok_r(NULL, " \n", &save)); count++)
        rest[count] = word;
    if (!field[5])
        return;
    json_open(json, '{');
    json_member(json, "target", unescape(field[4]));
    json_member(json, "source", unescape(rest[1]));
    json_member(json, "fstype", unescape(rest[0]));
    json_member(json, "root", unescape(field[3]));
    write_options(json, field[5], unescape(rest[2]));
    json_member(json, "propagation", shared && slave ? "shared,slave"
                                     : shared        ? "shared"
                                     : slave         ? "slave"
                                     : unbindable    ? "unbindable"
                                                     : "private");
    json_close(json, '}');
}

void write_mounts(struct json *json)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t size = 0;

    if (!file)
        json_member(json, "mounts_error", errno_name(errno));
    json_key(json, "mounts");
    json_open(json, '[');
    while (file && getline(&line, &size, file) > 0)
        write_mount(json, line);
    json_close(json, ']');
    free(line);
    if (file)
        fclose(file);
}
