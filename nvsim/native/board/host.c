/* Asks the device nodes what this process may see. */
#include "board/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ENXIO is a node that may be opened on a kernel without the driver, which is what an emulated host is; EROFS a
 * placeholder file in a read-only tree. */
static int try_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno != EACCES)
        return errno == ENXIO || errno == ENODEV || errno == EROFS ? 0 : errno;
    if (fd < 0)
        return EACCES;
    close(fd);
    return 0;
}

int nvsim_administrator(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    return !syscall(SYS_capget, &header, sets) && (sets[0].effective & 1u << CAP_SYS_ADMIN);
}

void nvsim_node_path(char path[NVSIM_NODE_PATH], const char *name, int minor)
{
    const char *root = nvsim_board.header.dev_root;
    char number[16] = "";
    if (minor >= 0)
        snprintf(number, sizeof number, "%d", minor);
    if (!strncmp(root, "/:", 2)) {
        snprintf(path, NVSIM_NODE_PATH, "/dev/%s%s", name, number);
        if (!access(path, F_OK))
            return;
        root += 2;
    }
    int length = (int)strnlen(root, sizeof nvsim_board.header.dev_root - 2);
    while (length && root[length - 1] == '/')
        length--;
    snprintf(path, NVSIM_NODE_PATH, "%.*s/dev/%s%s", length, root, name, number);
}

int nvsim_node(const char *name, int minor)
{
    char path[NVSIM_NODE_PATH];
    nvsim_node_path(path, name, minor);
    return try_open(path);
}

/* 0 if this process may open the node that a GPU has, else the errno.  The module nvgpu makes its nodes twice: by GPU
 * since L4T 34, and below /dev itself. */
static int gpu_node(const struct nvsim_gpu *gpu)
{
    if (LOAD(gpu->integrated) != NVSIM_BY_NVGPU)
        return nvsim_node("nvidia", (int)gpu->minor);
    return nvsim_node("nvgpu/igpu0/ctrl", -1) && nvsim_node("nvhost-ctrl-gpu", -1) ? ENOENT : 0;
}

int nvsim_nvgpu_answers(void)
{
    const struct nvsim_gpu *gpu = copy_of(&nvsim_board.slots[0]);
    return LOAD(nvsim_board.header.gpu_count) && LOAD(gpu->integrated) == NVSIM_BY_NVGPU && !gpu_node(gpu);
}

enum nvsim_driver nvsim_driver(void)
{
    const struct nvsim_header *header = &nvsim_board.header;
    if (!LOAD(header->driver_loaded))
        return NVSIM_DRIVER_ABSENT;
    switch (nvsim_nvgpu_answers() ? 0 : nvsim_node(is_wsl() ? "dxg" : "nvidiactl", -1)) {
    case 0:
        break;
    case EPERM:
        return NVSIM_DRIVER_DENIED;
    case EACCES:
        return NVSIM_DRIVER_FORBIDDEN;
    default:
        return NVSIM_DRIVER_ABSENT;
    }
    if (is_wsl())
        return strncmp(header->kernel_version, header->windows_version, sizeof header->windows_version)
                   ? NVSIM_DRIVER_BLOCKED
                   : NVSIM_DRIVER_ANSWERS;
    if (strncmp(header->kernel_version, header->driver_version, sizeof header->driver_version))
        return NVSIM_DRIVER_MISMATCH;
    return NVSIM_DRIVER_ANSWERS;
}

static uint64_t pci_order(unsigned place)
{
    const struct nvsim_gpu *gpu = copy_of(&nvsim_board.slots[place]);
    return (uint64_t)gpu->pci_domain << 32 | gpu->pci_bus << 8 | gpu->pci_device;
}

unsigned nvsim_find_gpus(uint8_t places[NVSIM_BOARD_CAPACITY])
{
    unsigned count = 0, present = LOAD(nvsim_board.header.gpu_count);
    for (unsigned place = 0; place < present && place < NVSIM_BOARD_CAPACITY; place++) {
        unsigned slot = count;
        const struct nvsim_gpu *gpu = copy_of(&nvsim_board.slots[place]);
        if (LOAD(gpu->draining) || LOAD(gpu->removed) || (!is_wsl() && gpu_node(gpu)))
            continue;
        for (; slot && pci_order(places[slot - 1]) > pci_order(place); slot--)
            places[slot] = places[slot - 1];
        places[slot] = (uint8_t)place;
        count++;
    }
    return count;
}
