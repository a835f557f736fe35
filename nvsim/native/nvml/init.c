/* Initialization and cleanup.  What a process may open decides what it sees (DESIGN D4).
 *
 * Like the driver, the library looks at the device nodes when it is initialised and not again: a process that is
 * already initialised goes on when its rule in the device cgroup is taken away, and a new one fails
 * (NVIDIA/nvidia-container-toolkit#48). */
#include "board/host.h"
#include "internal.h"
#include "lock.h"

uint64_t nvsim_session;
uint8_t nvsim_visible[NVSIM_BOARD_CAPACITY];

static unsigned references;
static uint64_t generation;
static int lock;

/* Whether the driver answers at all. */
static nvmlReturn_t driver(void)
{
    switch (nvsim_driver()) {
    case NVSIM_DRIVER_ANSWERS:
        return NVML_SUCCESS;
    case NVSIM_DRIVER_DENIED: /* "Failed to initialize NVML: Unknown Error" */
        return NVML_ERROR_UNKNOWN;
    case NVSIM_DRIVER_FORBIDDEN:
        return NVML_ERROR_NO_PERMISSION;
    case NVSIM_DRIVER_BLOCKED: /* "GPU access blocked by the operating system" */
        return NVML_ERROR_OPERATING_SYSTEM;
    case NVSIM_DRIVER_MISMATCH:
        return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    default:
        return NVML_ERROR_DRIVER_NOT_LOADED;
    }
}

/* Fills nvsim_visible; how many GPUs there are.  A thread that asked just before the last session ended may still be
 * looking. */
static unsigned find_gpus(void)
{
    uint8_t found[NVSIM_BOARD_CAPACITY];
    unsigned count = nvsim_find_gpus(found);
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
    acquire(&lock);
    nvmlReturn_t result = references ? NVML_SUCCESS : initialise(flags);
    if (!result)
        references++;
    release(&lock);
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
    acquire(&lock);
    if (references && --references == 0)
        __atomic_store_n(&nvsim_session, 0, __ATOMIC_RELEASE);
    release(&lock);
    return NVML_SUCCESS;
}
