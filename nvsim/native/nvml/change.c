/* Writing to the board from inside the library, by the same rules as nvsim/board.py: under a lock on the file, the copy
 * that does not count is filled, and then counts.
 *
 * The file is the library itself.  In a container it is mounted read-only; a process that may administer may mount, so
 * it writes through a mount of its own, which nobody else sees. */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "board/host.h"
#include "change.h"

enum { OPEN_TREE = 428, MOUNT_SETATTR = 442, CLONE_TREE = 1, READ_ONLY = 1, EMPTY_PATH = 0x1000, PATH_SIZE = 4096 };

struct mount_attributes {
    uint64_t set, clear, propagation, user_namespace;
};

static void closed(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define CLOSED __attribute__((cleanup(closed)))

nvmlReturn_t administrator(void)
{
    return nvsim_administrator() ? NVML_SUCCESS : NVML_ERROR_NO_PERMISSION;
}

/* The file open for writing, also where its mount is read-only; -1 and errno. */
static int open_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 || errno != EROFS)
        return fd;
    CLOSED int tree = (int)syscall(OPEN_TREE, AT_FDCWD, path, CLONE_TREE | O_CLOEXEC);
    struct mount_attributes writable = {.clear = READ_ONLY};
    char own[32];
    if (tree < 0 || syscall(MOUNT_SETATTR, tree, "", EMPTY_PATH, &writable, sizeof writable))
        return -1;
    snprintf(own, sizeof own, "/proc/self/fd/%d", tree);
    return open(own, O_RDWR | O_CLOEXEC);
}

static int read_all(int fd, void *to, size_t size, off_t from)
{
    return pread(fd, to, size, from) == (ssize_t)size;
}

static int write_all(int fd, const void *from, size_t size, off_t to)
{
    return pwrite(fd, from, size, to) == (ssize_t)size;
}

/* File offset of the board, by the section table; 0 if the file has none of this layout. */
static off_t board_in(int fd)
{
    Elf64_Ehdr file;
    Elf64_Shdr names, section;
    struct nvsim_header header;
    char name[sizeof NVSIM_BOARD_SECTION];
    if (!read_all(fd, &file, sizeof file, 0) || memcmp(file.e_ident, ELFMAG, SELFMAG))
        return 0;
    if (!read_all(fd, &names, sizeof names, (off_t)file.e_shoff + file.e_shstrndx * (off_t)sizeof names))
        return 0;
    for (unsigned i = 0; i < file.e_shnum; i++) {
        if (!read_all(fd, &section, sizeof section, (off_t)file.e_shoff + i * (off_t)sizeof section))
            return 0;
        if (!read_all(fd, name, sizeof name, (off_t)(names.sh_offset + section.sh_name)))
            continue;
        if (memcmp(name, NVSIM_BOARD_SECTION, sizeof name) || section.sh_size < sizeof(struct nvsim_board))
            continue;
        if (!read_all(fd, &header, sizeof header, (off_t)section.sh_offset))
            return 0;
        return header.format == NVSIM_BOARD_FORMAT && header.gpu_size == sizeof(struct nvsim_gpu)
                   ? (off_t)section.sh_offset
                   : 0;
    }
    return 0;
}

static off_t slot_offset(off_t board, unsigned place)
{
    return board + (off_t)offsetof(struct nvsim_board, slots) + place * (off_t)sizeof(struct nvsim_slot);
}

static off_t copy_offset(off_t slot, uint32_t generation)
{
    return slot + (off_t)offsetof(struct nvsim_slot, copies) + (generation & 1) * (off_t)sizeof(struct nvsim_gpu);
}

/* A board in a file, open and locked. */
struct target {
    int fd;
    off_t slot;
    uint32_t generation;
};

static nvmlReturn_t open_target(const char *path, unsigned place, struct target *target)
{
    target->fd = open_file(path);
    if (target->fd < 0)
        return errno == ENOENT ? NVML_ERROR_NOT_FOUND : NVML_ERROR_NO_PERMISSION;
    if (flock(target->fd, LOCK_EX))
        return NVML_ERROR_UNKNOWN;
    off_t board = board_in(target->fd);
    target->slot = slot_offset(board, place);
    if (!board || !read_all(target->fd, &target->generation, sizeof target->generation, target->slot))
        return NVML_ERROR_UNKNOWN;
    return NVML_SUCCESS;
}

/* Fills the copy of the next generation, and makes it count. */
static nvmlReturn_t store(const struct target *target, const struct nvsim_gpu *gpu)
{
    uint32_t next = target->generation + 1;
    if (!write_all(target->fd, gpu, sizeof *gpu, copy_offset(target->slot, next)) ||
        !write_all(target->fd, &next, sizeof next, target->slot))
        return NVML_ERROR_UNKNOWN;
    return NVML_SUCCESS;
}

/* The CUDA library of the same driver, beside this one; what it does not show there, it does not need. */
static void store_beside(const char *path, unsigned place, const struct nvsim_gpu *gpu)
{
    char beside[PATH_SIZE];
    const char *name = strrchr(path, '/');
    int folder = name ? (int)(name - path) : 1;
    CLOSED int fd = -1;
    struct target target = {.fd = -1};
    if (snprintf(beside, sizeof beside, "%.*s/libcuda.so.%s", folder, name ? path : ".",
                 nvsim_board.header.driver_version) >= (int)sizeof beside)
        return;
    nvmlReturn_t result = open_target(beside, place, &target);
    fd = target.fd;
    if (!result)
        store(&target, gpu);
}

static nvmlReturn_t change(const char *path, unsigned place, nvsim_edit edit, void *arguments)
{
    struct target target = {.fd = -1};
    struct nvsim_gpu gpu;
    nvmlReturn_t result = open_target(path, place, &target);
    CLOSED int fd = target.fd;
    if (result)
        return result == NVML_ERROR_NOT_FOUND ? NVML_ERROR_NO_PERMISSION : result;
    if (!read_all(fd, &gpu, sizeof gpu, copy_offset(target.slot, target.generation)))
        return NVML_ERROR_UNKNOWN;
    result = edit(&gpu, arguments);
    if (!result)
        result = store(&target, &gpu);
    if (!result)
        store_beside(path, place, &gpu);
    return result;
}

/* The library file that this process has loaded. */
static nvmlReturn_t change_slot(unsigned place, nvsim_edit edit, void *arguments)
{
    Dl_info own;
    if (!dladdr(&nvsim_board, &own) || !own.dli_fname)
        return NVML_ERROR_UNKNOWN;
    return change(own.dli_fname, place, edit, arguments);
}

static unsigned place_of(const struct nvsim_gpu *gpu)
{
    return (unsigned)(slot_of(gpu) - nvsim_board.slots);
}

nvmlReturn_t change_place(unsigned place, nvsim_edit edit, void *arguments)
{
    return administrator() ? NVML_ERROR_NO_PERMISSION : change_slot(place, edit, arguments);
}

nvmlReturn_t change_gpu(nvmlDevice_t device, nvsim_edit edit, void *arguments)
{
    GPU_OR_RETURN(gpu, device, 1);
    return change_place(place_of(gpu), edit, arguments);
}

nvmlReturn_t change_unrestricted(nvmlDevice_t device, nvmlRestrictedAPI_t api, nvsim_edit edit, void *arguments)
{
    GPU_OR_RETURN(gpu, device, 1);
    if (!(LOAD(gpu->api_unrestricted) & 1u << api) && administrator())
        return NVML_ERROR_NO_PERMISSION;
    return change_slot(place_of(gpu), edit, arguments);
}
