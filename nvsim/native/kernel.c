/* nvsim-kernel ROOTFS: shows a container what the kernel of its machine shows, before any other hook runs.
 *
 * A prestart hook: the container's state comes on stdin, its rootfs is mounted but not yet pivoted into, so both the
 * machine's /proc and the container's lie in the container's mount namespace.  Binds /proc/driver, /proc/devices,
 * /proc/modules, /proc/misc, /proc/version and the folders of /sys, as far as the machine replaced them.  A container
 * without a procfs or sysfs of its own is left alone.
 *
 * On a real kernel these are no mounts, so what is mounted over them in a container may not come out where they are
 * from, whatever propagation the container has: a kubelet's is rshared if one of its volumes is. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

static const char *const proc_entries[] = { "driver", "devices", "modules", "misc", "version" };
static const char *const sys_entries[] = { "module", "devices", "bus", "class" };

/* The number behind the first top-level-looking "pid" key of the state, or 0. */
static long state_pid(const char *state)
{
    const char *key = strstr(state, "\"pid\"");
    const char *colon = key ? strchr(key, ':') : NULL;
    return colon ? strtol(colon + 1, NULL, 10) : 0;
}

static long read_pid(void)
{
    static char state[1 << 20];
    size_t used = 0;
    ssize_t got;
    while (used < sizeof(state) - 1 && (got = read(0, state + used, sizeof(state) - 1 - used)) > 0)
        used += (size_t)got;
    state[used] = '\0';
    return state_pid(state);
}

static int join(long pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/ns/mnt", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? -1 : setns(fd, CLONE_NEWNS);
    if (fd >= 0)
        close(fd);
    return result;
}

static int is_filesystem(const char *path, long magic)
{
    struct statfs found;
    return statfs(path, &found) == 0 && (long)found.f_type == magic;
}

/* Binds TOP/ENTRY of the machine over the container's, when both exist and the machine's is not the kernel's own: 0, or
 * not 0 with errno set. */
static int show(const char *rootfs, const char *top, const char *entry, long magic)
{
    char base[PATH_MAX], target[PATH_MAX], source[PATH_MAX];
    if (snprintf(base, sizeof(base), "%s%s", rootfs, top) >= (int)sizeof(base) ||
        snprintf(target, sizeof(target), "%s/%s", base, entry) >= (int)sizeof(target) ||
        snprintf(source, sizeof(source), "%s/%s", top, entry) >= (int)sizeof(source)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (!is_filesystem(base, magic) || is_filesystem(source, magic) || access(source, F_OK) || access(target, F_OK))
        return 0;
    return mount(source, target, NULL, MS_BIND | MS_REC, NULL) || mount(NULL, target, NULL, MS_PRIVATE | MS_REC, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 2 || argv[1][0] != '/') {
        fprintf(stderr, "usage: nvsim-kernel ROOTFS < state\n");
        return 2;
    }
    long pid = read_pid();
    if (pid <= 0 || join(pid)) {
        fprintf(stderr, "nvsim-kernel: cannot enter the container of process %ld: %s\n", pid, strerror(errno));
        return 1;
    }
    int failed = 0;
    for (size_t i = 0; i < sizeof(proc_entries) / sizeof(*proc_entries); i++)
        failed |= 0 != show(argv[1], "/proc", proc_entries[i], PROC_SUPER_MAGIC);
    for (size_t i = 0; i < sizeof(sys_entries) / sizeof(*sys_entries); i++)
        failed |= 0 != show(argv[1], "/sys", sys_entries[i], SYSFS_MAGIC);
    if (failed)
        fprintf(stderr, "nvsim-kernel: cannot show the machine's /proc and /sys in %s: %s\n", argv[1], strerror(errno));
    return failed ? 1 : 0;
}
