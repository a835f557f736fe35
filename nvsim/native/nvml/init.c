/* Initialization and cleanup.  What a process may open decides what it sees (DESIGN D4).
 *
 * Like the driver, the library looks at the device nodes when it is initialised and not again: a process that is
 * already initialised goes on when its rule in the device cgroup is taken away, and a new one fails
 * (NVIDIA/nvidia-container-toolkit#48). */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

uint64_t nvsim_session;
uint8_t nvsim_visible[NVSIM_BOARD_CAPACITY];

static unsigned references;
static uint64_t generation;
/* Process id of whoever initialises or shuts down now.  A child of fork may inherit the number of a thread that it
 * does not have; it is not its own process id, so the child takes the lock over. */
static int lock;

static void acquire(void)
{
    int self = (int)getpid();
    for (;;) {
        int holder = 0;
        if (__atomic_compare_exchange_n(&lock, &holder, self, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        if (holder != self && __atomic_compare_exchange_n(&lock, &holder, self, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        sched_yield();
    }
}

static void release(void)
{
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

/* 0 if the node is there and may be opened, else the errno.  ENXIO is a node that may be opened on a kernel without
 * the driver, which is what an emulated host is; EROFS a placeholder file in a read-only tree. */
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

static int node(const char *name, int minor)
{
    const char *root = nvsim_board.header.dev_root;
    int length = (int)strnlen(root, sizeof nvsim_board.header.dev_root);
    char path[sizeof nvsim_board.header.dev_root + 32];
    while (length && root[length - 1] == '/')
        length--;
    if (minor < 0)
        snprintf(path, sizeof path, "%.*s/dev/%s", length, root, name);
    else
        snprintf(path, sizeof path, "%.*s/dev/%s%d", length, root, name, minor);
    return try_open(path);
}

/* Whether the driver answers at all. */
static nvmlReturn_t driver(void)
{
    const struct nvsim_header *header = &nvsim_board.header;
    if (!LOAD(header->driver_loaded))
        return NVML_ERROR_DRIVER_NOT_LOADED;
    switch (node("nvidiactl", -1)) {
    case 0:
        break;
    case EPERM: /* the device cgroup: "Failed to initialize NVML: Unknown Error" */
        return NVML_ERROR_UNKNOWN;
    case EACCES: /* the mode of the file */
        return NVML_ERROR_NO_PERMISSION;
    default:
        return NVML_ERROR_DRIVER_NOT_LOADED;
    }
    if (strncmp(header->kernel_version, header->driver_version, sizeof header->driver_version))
        return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    return NVML_SUCCESS;
}

static uint64_t pci_order(unsigned place)
{
    const struct nvsim_gpu *gpu = copy_of(&nvsim_board.slots[place]);
    return (uint64_t)gpu->pci_domain << 32 | gpu->pci_bus << 8 | gpu->pci_device;
}

/* Fills nvsim_visible with the GPUs whose node may be opened, in PCI bus order; how many.  A thread that asked just
 * before the last session ended may still be looking. */
static unsigned find_gpus(void)
{
    uint8_t found[NVSIM_BOARD_CAPACITY];
    unsigned count = 0, present = LOAD(nvsim_board.header.gpu_count);
    for (unsigned place = 0; place < present && place < NVSIM_BOARD_CAPACITY; place++) {
        unsigned slot = count;
        if (node("nvidia", (int)copy_of(&nvsim_board.slots[place])->minor))
            continue;
        for (; slot && pci_order(found[slot - 1]) > pci_order(place); slot--)
            found[slot] = found[slot - 1];
        found[slot] = (uint8_t)place;
        count++;
    }
    for (unsigned index = 0; index < count; index++)
        __atomic_store_n(&nvsim_visible[index], found[index], __ATOMIC_RELAXED);
    return count;
}

static nvmlReturn_t initialise(unsigned flags)
{
    nvmlReturn_t result = driver();
    if (result)
        return result;
    unsigned count = flags & NVML_INIT_FLAG_NO_GPUS ? 0 : find_gpus();
    generation = (generation + 1) & 0xFFFFFFFF;
    __atomic_store_n(&nvsim_session, generation << 8 | count, __ATOMIC_RELEASE);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlInitWithFlags(unsigned int flags)
{
    acquire();
    nvmlReturn_t result = references ? NVML_SUCCESS : initialise(flags);
    if (!result)
        references++;
    release();
    return result;
}

nvmlReturn_t nvmlInit_v2(void)
{
    return nvmlInitWithFlags(0);
}

nvmlReturn_t nvmlInit(void)
{
    return nvmlInitWithFlags(0);
}

/* Before any initialisation too this is a success, whatever the header says. */
nvmlReturn_t nvmlShutdown(void)
{
    acquire();
    if (references && --references == 0)
        __atomic_store_n(&nvsim_session, 0, __ATOMIC_RELEASE);
    release();
    return NVML_SUCCESS;
}
