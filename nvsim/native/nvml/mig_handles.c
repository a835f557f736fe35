/* MIG instances by handle and by id, and who may see them (DESIGN D4). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "change.h"
#include "mig.h"

/* Minors of the capability nodes: host/proc of a machine lists them in /proc/driver/nvidia-caps/mig-minors. */
enum { CAP_CONFIG = 1, CAP_MONITOR = 2, CAP_FIRST = 3, CAP_INSTANCES = 15, CAP_STEP = 9 };
/* How long a call waits for the machine's kernel to follow the board. */
enum { SETTLE_MS = 2000 };

unsigned mig_gi_with_id(const struct nvsim_gpu *gpu, unsigned id)
{
    for (unsigned slot = 0; slot < MIG_SLOTS; slot++)
        if (LOAD(gpu->gi_size[slot]) && LOAD(gpu->gi_id[slot]) == id)
            return slot;
    return MIG_NONE;
}

unsigned mig_ci_with_id(const struct nvsim_gpu *gpu, unsigned gi, unsigned id)
{
    for (unsigned slot = 0; slot < MIG_SLOTS; slot++)
        if (LOAD(gpu->ci_size[slot]) && LOAD(gpu->ci_gpu_instance[slot]) == gi && LOAD(gpu->ci_id[slot]) == id)
            return slot;
    return MIG_NONE;
}

nvmlReturn_t mig_place_of(const void *handle, enum mig_kind kind, struct mig_place *place)
{
    const uint64_t mask = (1ull << 44) - 1, bits = (uintptr_t)handle;
    unsigned index = 0, slot = (unsigned)(bits >> 44 & 7), serial = (unsigned)(bits >> 47 & 0x3FFF);
    nvmlReturn_t result = index_of((nvmlDevice_t)(uintptr_t)(bits & mask), &index);
    if (result)
        return result;
    if (bits >> 63 || mig_kind_of(handle) != (int)kind)
        return NVML_ERROR_INVALID_ARGUMENT;
    const struct nvsim_gpu *gpu = gpu_at(index);
    uint32_t size = 0, uses = 0, fault = 0;
    READING(gpu) {
        fault = LOAD(gpu->fault);
        size = kind == MIG_GPU_INSTANCE ? LOAD(gpu->gi_size[slot]) : LOAD(gpu->ci_size[slot]);
        uses = kind == MIG_GPU_INSTANCE ? LOAD(gpu->gi_serial[slot]) : LOAD(gpu->ci_serial[slot]);
    }
    if (!size || (uses & 0x3FFF) != serial)
        return NVML_ERROR_INVALID_ARGUMENT;
    *place = (struct mig_place){index, slot};
    return (nvmlReturn_t)fault;
}

nvmlReturn_t mig_device_or_gpu(nvmlDevice_t device, int pointers, const struct nvsim_gpu **gpu,
                               struct mig_place *place)
{
    if (mig_kind_of(device) != MIG_DEVICE) {
        nvmlReturn_t result = gpu_of(device, pointers, gpu);
        return result ? result : index_of(device, &place->index);
    }
    nvmlReturn_t result = mig_place_of(device, MIG_DEVICE, place);
    if (result || !pointers)
        return result ? result : NVML_ERROR_INVALID_ARGUMENT;
    *gpu = gpu_at(place->index);
    return NVML_SUCCESS;
}

/* Whether this process may open the node of a capability.  A node that may be opened on a kernel without the driver
 * says ENXIO. */
static int openable(unsigned minor)
{
    const char *root = nvsim_board.header.dev_root;
    char path[sizeof nvsim_board.header.dev_root + 48];
    int length = (int)strnlen(root, sizeof nvsim_board.header.dev_root);
    while (length && root[length - 1] == '/')
        length--;
    snprintf(path, sizeof path, "%.*s/dev/nvidia-caps/nvidia-cap%u", length, root, minor);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno == ENXIO || errno == ENODEV;
    close(fd);
    return 1;
}

/* What was found once stays so in this session, as a descriptor that the driver holds would. */
static uint64_t monitor_session;

int mig_monitor(void)
{
    uint64_t session = LOAD(nvsim_session);
    if (LOAD(monitor_session) == session)
        return 1;
    if (administrator() && !openable(CAP_MONITOR) && !openable(CAP_CONFIG))
        return 0;
    __atomic_store_n(&monitor_session, session, __ATOMIC_RELAXED);
    return 1;
}

/* Per GPU: bits gi * 9 + 1 + ci of the capabilities that this session may use; [2] holds the session. */
static uint64_t usable[NVSIM_BOARD_CAPACITY][3];

static int may_open(unsigned place, unsigned minor_of_gpu, unsigned bit)
{
    uint64_t session = LOAD(nvsim_session), *bits = usable[place];
    if (__atomic_load_n(&bits[2], __ATOMIC_ACQUIRE) != session) {
        __atomic_store_n(&bits[0], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&bits[1], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&bits[2], session, __ATOMIC_RELEASE);
    }
    if (LOAD(bits[bit / 64 % 2]) >> bit % 64 & 1)
        return 1;
    if (!openable(CAP_FIRST + minor_of_gpu * CAP_INSTANCES * CAP_STEP + bit))
        return 0;
    __atomic_fetch_or(&bits[bit / 64 % 2], 1ull << bit % 64, __ATOMIC_RELAXED);
    return 1;
}

int mig_may_use(const struct nvsim_gpu *gpu, unsigned gi, unsigned ci)
{
    unsigned place = (unsigned)(slot_of(gpu) - nvsim_board.slots), minor = LOAD(gpu->minor);
    if (mig_monitor())
        return 1;
    if (gi >= CAP_INSTANCES || (ci != NVSIM_ABSENT_U32 && ci >= CAP_STEP - 1))
        return 0;
    if (!may_open(place, minor, gi * CAP_STEP))
        return 0;
    return ci == NVSIM_ABSENT_U32 || may_open(place, minor, gi * CAP_STEP + 1 + ci);
}

/* A machine has a kernel that follows the board; a host that was built in place has none. */
void mig_settle(const struct nvsim_gpu *gpu, unsigned gi, unsigned ci, int there)
{
    static const char top[] = "/proc/driver/nvidia/capabilities";
    char path[sizeof top + 64];
    int length = snprintf(path, sizeof path, "%s/gpu%u/mig", top, LOAD(gpu->minor));
    if (strcmp(nvsim_board.header.dev_root, "/") || access("/run/nvsim-host", F_OK) || access(path, F_OK))
        return;
    if (ci == NVSIM_ABSENT_U32)
        snprintf(path + length, sizeof path - (size_t)length, "/gi%u/access", gi);
    else
        snprintf(path + length, sizeof path - (size_t)length, "/gi%u/ci%u/access", gi, ci);
    for (int left = SETTLE_MS; left && (access(path, F_OK) == 0) != there; left--)
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
}
