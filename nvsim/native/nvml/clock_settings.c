/* Applications clocks, locked clocks and offsets of clocks. */
#include "change.h"
#include "clocks.h"

enum { LOCK_GRAPHICS = 1, LOCK_MEMORY = 2 };

struct pair {
    unsigned first, second;
};

/* Applications clocks */

static int steps_of(const struct nvsim_gpu *gpu, unsigned graphics)
{
    return graphics >= gpu->clock_min_graphics && graphics <= gpu->clock_max_graphics &&
           (gpu->clock_max_graphics - graphics) % CLOCK_STEP_MHZ == 0;
}

static nvmlReturn_t application_clocks(const struct nvsim_gpu *gpu)
{
    if (gpu->clock_default_graphics == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    return driver_branch() >= NO_APPLICATION_CLOCKS ? NVML_ERROR_DEPRECATED : NVML_SUCCESS;
}

static nvmlReturn_t set_application(struct nvsim_gpu *gpu, void *arguments)
{
    const struct pair *clocks = arguments; /* memory, graphics */
    nvmlReturn_t result = application_clocks(gpu);
    if (result)
        return result;
    if (clocks->first != gpu->clock_max_memory || !steps_of(gpu, clocks->second))
        return NVML_ERROR_INVALID_ARGUMENT;
    gpu->clock_app_memory = clocks->first;
    gpu->clock_app_graphics = clocks->second;
    return NVML_SUCCESS;
}

/* A pair that the calls for supported clocks list. */
nvmlReturn_t nvmlDeviceSetApplicationsClocks(nvmlDevice_t device, unsigned int memClockMHz,
                                             unsigned int graphicsClockMHz)
{
    struct pair clocks = {memClockMHz, graphicsClockMHz};
    return change_unrestricted(device, NVML_RESTRICTED_API_SET_APPLICATION_CLOCKS, set_application, &clocks);
}

static nvmlReturn_t reset_application(struct nvsim_gpu *gpu, void *unused)
{
    (void)unused;
    nvmlReturn_t result = application_clocks(gpu);
    gpu->clock_app_memory = gpu->clock_default_memory;
    gpu->clock_app_graphics = gpu->clock_default_graphics;
    return result;
}

nvmlReturn_t nvmlDeviceResetApplicationsClocks(nvmlDevice_t device)
{
    return change_unrestricted(device, NVML_RESTRICTED_API_SET_APPLICATION_CLOCKS, reset_application, NULL);
}

/* Locked clocks */

static nvmlReturn_t unlock_graphics(struct nvsim_gpu *gpu, void *unused)
{
    (void)unused;
    if (!(gpu->clock_locks & LOCK_GRAPHICS))
        return NVML_ERROR_NOT_SUPPORTED;
    gpu->lock_graphics_min = gpu->lock_graphics_max = NVSIM_ABSENT_U32;
    return NVML_SUCCESS;
}

/* The nearest clock that the board has, not above the one that is asked for if there is one. */
static unsigned graphics_step(const struct nvsim_gpu *gpu, unsigned clock)
{
    unsigned top = gpu->clock_max_graphics;
    if (clock >= top)
        return top;
    clock = top - (top - clock + CLOCK_STEP_MHZ - 1) / CLOCK_STEP_MHZ * CLOCK_STEP_MHZ;
    return clock < gpu->clock_min_graphics || clock > top ? gpu->clock_min_graphics : clock;
}

/* The words of nvmlClockLimitId_t: the thermal design's clock, or no limit. */
static nvmlReturn_t lock_by_name(struct nvsim_gpu *gpu, const struct pair *ends)
{
    unsigned design = gpu->clock_default_graphics != NVSIM_ABSENT_U32 ? gpu->clock_default_graphics
                                                                      : gpu->clock_max_graphics;
    if (ends->first > NVML_CLOCK_LIMIT_ID_UNLIMITED || ends->second > NVML_CLOCK_LIMIT_ID_UNLIMITED ||
        ends->first == NVML_CLOCK_LIMIT_ID_RANGE_START || ends->second == NVML_CLOCK_LIMIT_ID_RANGE_START)
        return NVML_ERROR_INVALID_ARGUMENT;
    gpu->lock_graphics_min = ends->first == NVML_CLOCK_LIMIT_ID_TDP ? design : NVSIM_ABSENT_U32;
    gpu->lock_graphics_max = ends->second == NVML_CLOCK_LIMIT_ID_TDP ? design : NVSIM_ABSENT_U32;
    return NVML_SUCCESS;
}

static nvmlReturn_t lock_graphics(struct nvsim_gpu *gpu, void *arguments)
{
    const struct pair *ends = arguments;
    int first_named = ends->first >= NVML_CLOCK_LIMIT_ID_RANGE_START;
    int second_named = ends->second >= NVML_CLOCK_LIMIT_ID_RANGE_START;
    if (!(gpu->clock_locks & LOCK_GRAPHICS) || gpu->clock_max_graphics == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    if (first_named != second_named)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (first_named)
        return lock_by_name(gpu, ends);
    if (ends->first > ends->second)
        return NVML_ERROR_INVALID_ARGUMENT;
    gpu->lock_graphics_min = graphics_step(gpu, ends->first);
    gpu->lock_graphics_max = graphics_step(gpu, ends->second);
    return NVML_SUCCESS;
}

/* Both ends are MHz, or both are words of nvmlClockLimitId_t. */
nvmlReturn_t nvmlDeviceSetGpuLockedClocks(nvmlDevice_t device, unsigned int minGpuClockMHz,
                                          unsigned int maxGpuClockMHz)
{
    struct pair ends = {minGpuClockMHz, maxGpuClockMHz};
    return change_gpu(device, lock_graphics, &ends);
}

nvmlReturn_t nvmlDeviceResetGpuLockedClocks(nvmlDevice_t device)
{
    return change_gpu(device, unlock_graphics, NULL);
}

static nvmlReturn_t lock_memory(struct nvsim_gpu *gpu, void *arguments)
{
    const struct pair *ends = arguments;
    if (!(gpu->clock_locks & LOCK_MEMORY) || gpu->clock_max_memory == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    if (ends->first > ends->second || ends->second > gpu->clock_max_memory)
        return NVML_ERROR_INVALID_ARGUMENT;
    gpu->lock_memory_min = ends->first;
    gpu->lock_memory_max = ends->second;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceSetMemoryLockedClocks(nvmlDevice_t device, unsigned int minMemClockMHz,
                                             unsigned int maxMemClockMHz)
{
    struct pair ends = {minMemClockMHz, maxMemClockMHz};
    return change_gpu(device, lock_memory, &ends);
}

static nvmlReturn_t unlock_memory(struct nvsim_gpu *gpu, void *unused)
{
    (void)unused;
    if (!(gpu->clock_locks & LOCK_MEMORY))
        return NVML_ERROR_NOT_SUPPORTED;
    gpu->lock_memory_min = gpu->lock_memory_max = NVSIM_ABSENT_U32;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceResetMemoryLockedClocks(nvmlDevice_t device)
{
    return change_gpu(device, unlock_memory, NULL);
}
