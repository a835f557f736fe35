/* MIG instances by handle, and who may see them (DESIGN D4). */
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mig.h"

/* Bits of a GPU's capabilities, gi * 9 + 1 + ci, and how long a call waits for the machine's kernel to follow. */
enum { INSTANCES = 15, STEP = 9, SETTLE_MS = 2000 };

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
    nvmlReturn_t fault = NVML_SUCCESS;
    uint32_t size = 0, uses = 0;
    READING(gpu) {
        fault = fault_of(gpu);
        size = kind == MIG_GPU_INSTANCE ? LOAD(gpu->gi_size[slot]) : LOAD(gpu->ci_size[slot]);
        uses = kind == MIG_GPU_INSTANCE ? LOAD(gpu->gi_serial[slot]) : LOAD(gpu->ci_serial[slot]);
    }
    if (!size || (uses & 0x3FFF) != serial)
        return NVML_ERROR_INVALID_ARGUMENT;
    *place = (struct mig_place){index, slot};
    return fault;
}

nvmlReturn_t not_a_gpu(nvmlDevice_t device)
{
    struct mig_place place;
    nvmlReturn_t result = mig_place_of(device, MIG_DEVICE, &place);
    return result ? result : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t mig_device_or_gpu(nvmlDevice_t device, int pointers, const struct nvsim_gpu **gpu,
                               struct mig_place *place)
{
    if (mig_kind_of(device) != MIG_DEVICE) {
        nvmlReturn_t result = any_gpu_of(device, pointers, gpu);
        return result ? result : index_of(device, &place->index);
    }
    nvmlReturn_t result = mig_place_of(device, MIG_DEVICE, place);
    if (result || !pointers)
        return result ? result : NVML_ERROR_INVALID_ARGUMENT;
    *gpu = gpu_at(place->index);
    return NVML_SUCCESS;
}

/* The session that asked, and its answer in the lowest bit: asked once, since queries of a whole GPU need it too. */
static uint64_t monitor_answer;

int mig_monitor(void)
{
    uint64_t session = LOAD(nvsim_session), answer = LOAD(monitor_answer);
    if (answer >> 1 != session) {
        answer = session << 1 | (uint64_t)mig_monitor_allowed();
        __atomic_store_n(&monitor_answer, answer, __ATOMIC_RELAXED);
    }
    return (int)(answer & 1);
}

/* Per GPU: what this session may use; [2] holds the session. */
static uint64_t usable[NVSIM_BOARD_CAPACITY][3];

static uint64_t *usable_bits(unsigned place)
{
    uint64_t session = LOAD(nvsim_session), *bits = usable[place];
    if (__atomic_load_n(&bits[2], __ATOMIC_ACQUIRE) != session) {
        __atomic_store_n(&bits[0], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&bits[1], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&bits[2], session, __ATOMIC_RELEASE);
    }
    return bits;
}

int mig_may_use(const struct nvsim_gpu *gpu, unsigned gi, unsigned ci)
{
    if (mig_monitor())
        return 1;
    if (gi >= INSTANCES || (ci != NVSIM_ABSENT_U32 && ci >= STEP - 1))
        return 0;
    unsigned bit = gi * STEP + (ci == NVSIM_ABSENT_U32 ? 0 : 1 + ci);
    uint64_t *bits = usable_bits((unsigned)(slot_of(gpu) - nvsim_board.slots));
    if (LOAD(bits[bit / 64 % 2]) >> bit % 64 & 1)
        return 1;
    if (!mig_instance_allowed(LOAD(gpu->minor), gi, ci))
        return 0;
    __atomic_fetch_or(&bits[bit / 64 % 2], 1ull << bit % 64, __ATOMIC_RELAXED);
    return 1;
}

/* On a machine, and in its containers, /proc/driver is laid over procfs, and a process follows the board.  A tree that
 * nobody entered has nobody who does. */
static int followed(void)
{
    struct stat proc, driver;
    return !stat("/proc", &proc) && !stat("/proc/driver/nvidia", &driver) && proc.st_dev != driver.st_dev;
}

void mig_settle(const struct nvsim_gpu *gpu, unsigned gi, unsigned ci, int there)
{
    static const char top[] = "/proc/driver/nvidia/capabilities";
    char path[sizeof top + 64];
    int length = snprintf(path, sizeof path, "%s/gpu%u/mig", top, LOAD(gpu->minor));
    int entered = nvsim_board.header.dev_root[1] == '\0' || nvsim_board.header.dev_root[1] == ':';
    if (!entered || LOAD(gpu->minor) >= NVSIM_CAPABILITY_GPUS || !followed() || access(path, F_OK))
        return;
    const char *last = there ? "/access" : ""; /* the file comes after its folder, and goes before it */
    if (ci == NVSIM_ABSENT_U32)
        snprintf(path + length, sizeof path - (size_t)length, "/gi%u%s", gi, last);
    else
        snprintf(path + length, sizeof path - (size_t)length, "/gi%u/ci%u%s", gi, ci, last);
    for (int left = SETTLE_MS; left && (access(path, F_OK) == 0) != there; left--)
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
}
