/* Clocks and performance state. */
#include <time.h>

#include "clocks.h"

GET_U32(nvmlDeviceGetPerformanceState, nvmlPstates_t, pstate)
GET_U32(nvmlDeviceGetPowerState, nvmlPstates_t, pstate)
GET_U64(nvmlDeviceGetCurrentClocksThrottleReasons, clocks_event_reasons)
GET_U64(nvmlDeviceGetCurrentClocksEventReasons, clocks_event_reasons)
GET_U64(nvmlDeviceGetSupportedClocksThrottleReasons, clocks_event_reasons_supported)
GET_U64(nvmlDeviceGetSupportedClocksEventReasons, clocks_event_reasons_supported)
GET_CONSTANT(nvmlDeviceGetAdaptiveClockInfoStatus, unsigned int, NVML_ADAPTIVE_CLOCKING_INFO_STATUS_ENABLED)

/* One of the clocks that `places` lists by nvmlClockType_t; NULL: that type has no such clock. */
static nvmlReturn_t clock_of(nvmlDevice_t device, nvmlClockType_t type, const size_t places[NVML_CLOCK_COUNT],
                             unsigned *value)
{
    GPU_OR_RETURN(gpu, device, value != NULL && type < NVML_CLOCK_COUNT);
    return places[type] ? get_u32(device, value, places[type]) : NVML_ERROR_NOT_SUPPORTED;
}

#define CLOCKS(graphics, sm, memory, video) \
    { AT(graphics), AT(sm), AT(memory), \
      AT(video) }
static const size_t current[] = CLOCKS(clock_graphics, clock_sm, clock_memory, clock_video);
static const size_t highest[] = CLOCKS(clock_max_graphics, clock_max_sm, clock_max_memory, clock_max_video);
static const size_t application[NVML_CLOCK_COUNT] = {
    [NVML_CLOCK_GRAPHICS] = AT(clock_app_graphics),
    [NVML_CLOCK_SM] = AT(clock_app_graphics),
    [NVML_CLOCK_MEM] = AT(clock_app_memory)};
static const size_t standard[NVML_CLOCK_COUNT] = {
    [NVML_CLOCK_GRAPHICS] = AT(clock_default_graphics),
    [NVML_CLOCK_SM] = AT(clock_default_graphics),
    [NVML_CLOCK_MEM] = AT(clock_default_memory)};

/* A clock between limits, some of which may be absent. */
static unsigned limited(unsigned clock, uint32_t lowest, uint32_t highest_allowed)
{
    if (lowest != NVSIM_ABSENT_U32 && clock < lowest)
        clock = lowest;
    return highest_allowed != NVSIM_ABSENT_U32 && clock > highest_allowed ? highest_allowed : clock;
}

/* A clock as it is: locked clocks hold it between their ends, and applications clocks other than the default ones
 * are its limit. */
static nvmlReturn_t current_clock(nvmlDevice_t device, nvmlClockType_t type, unsigned *clock)
{
    nvmlReturn_t result = clock_of(device, type, current, clock);
    if (result || type == NVML_CLOCK_VIDEO)
        return result;
    GPU_OR_RETURN(gpu, device, 1);
    if (type == NVML_CLOCK_MEM) {
        *clock = limited(*clock, LOAD(gpu->lock_memory_min), LOAD(gpu->lock_memory_max));
        return NVML_SUCCESS;
    }
    if (LOAD(gpu->clock_app_graphics) != gpu->clock_default_graphics)
        *clock = limited(*clock, NVSIM_ABSENT_U32, LOAD(gpu->clock_app_graphics));
    *clock = limited(*clock, LOAD(gpu->lock_graphics_min), LOAD(gpu->lock_graphics_max));
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int *clock)
{
    return current_clock(device, type, clock);
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int *clock)
{
    return clock_of(device, type, highest, clock);
}

/* Branch 595 no longer has them. */
static nvmlReturn_t application_clock(nvmlDevice_t device, nvmlClockType_t type, const size_t places[NVML_CLOCK_COUNT],
                                      unsigned *clock)
{
    nvmlReturn_t result = clock_of(device, type, places, clock);
    return !result && driver_branch() >= NO_APPLICATION_CLOCKS ? NVML_ERROR_DEPRECATED : result;
}

nvmlReturn_t nvmlDeviceGetApplicationsClock(nvmlDevice_t device, nvmlClockType_t clockType, unsigned int *clockMHz)
{
    return application_clock(device, clockType, application, clockMHz);
}

nvmlReturn_t nvmlDeviceGetDefaultApplicationsClock(nvmlDevice_t device, nvmlClockType_t clockType,
                                                   unsigned int *clockMHz)
{
    return application_clock(device, clockType, standard, clockMHz);
}

nvmlReturn_t nvmlDeviceGetMaxCustomerBoostClock(nvmlDevice_t device, nvmlClockType_t clockType, unsigned int *clockMHz)
{
    return clock_of(device, clockType, highest, clockMHz);
}

nvmlReturn_t nvmlDeviceGetClock(nvmlDevice_t device, nvmlClockType_t clockType, nvmlClockId_t clockId,
                                unsigned int *clockMHz)
{
    static const size_t *const by_id[NVML_CLOCK_ID_COUNT] = {current, application, standard, highest};
    GPU_OR_RETURN(gpu, device, clockMHz != NULL && clockId < NVML_CLOCK_ID_COUNT);
    if (clockId == NVML_CLOCK_ID_CURRENT)
        return current_clock(device, clockType, clockMHz);
    if (by_id[clockId] == application || by_id[clockId] == standard)
        return application_clock(device, clockType, by_id[clockId], clockMHz);
    return clock_of(device, clockType, by_id[clockId], clockMHz);
}

nvmlReturn_t nvmlDeviceGetMinMaxClockOfPState(nvmlDevice_t device, nvmlClockType_t type, nvmlPstates_t pstate,
                                              unsigned int *minClockMHz, unsigned int *maxClockMHz)
{
    GPU_OR_RETURN(gpu, device, minClockMHz && maxClockMHz && pstate <= NVML_PSTATE_15);
    if (pstate != NVML_PSTATE_0)
        return NVML_ERROR_NOT_SUPPORTED;
    nvmlReturn_t result = clock_of(device, type, highest, maxClockMHz);
    if (!result)
        *minClockMHz = type == NVML_CLOCK_MEM ? *maxClockMHz : gpu->clock_min_graphics;
    return result;
}

/* Memory runs at one clock under load; graphics in steps of 15 MHz below the highest. */
nvmlReturn_t nvmlDeviceGetSupportedMemoryClocks(nvmlDevice_t device, unsigned int *count, unsigned int *clocksMHz)
{
    GPU_OR_RETURN(gpu, device, count != NULL);
    if (gpu->clock_max_memory == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    unsigned room = *count;
    *count = 1;
    if (!room || !clocksMHz)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    clocksMHz[0] = gpu->clock_max_memory;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetSupportedGraphicsClocks(nvmlDevice_t device, unsigned int memoryClockMHz,
                                                  unsigned int *count, unsigned int *clocksMHz)
{
    GPU_OR_RETURN(gpu, device, count != NULL);
    uint32_t top = gpu->clock_max_graphics, low = gpu->clock_min_graphics;
    if (top == NVSIM_ABSENT_U32 || top < low)
        return NVML_ERROR_NOT_SUPPORTED;
    if (memoryClockMHz != gpu->clock_max_memory)
        return NVML_ERROR_NOT_FOUND;
    unsigned room = *count, needed = (top - low) / CLOCK_STEP_MHZ + 1;
    *count = needed;
    if (room < needed || !clocksMHz)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < needed; i++)
        clocksMHz[i] = top - i * CLOCK_STEP_MHZ;
    return NVML_SUCCESS;
}

/* `size` is in bytes; the rest of the array says unknown. */
nvmlReturn_t nvmlDeviceGetSupportedPerformanceStates(nvmlDevice_t device, nvmlPstates_t *pstates, unsigned int size)
{
    static const nvmlPstates_t states[] = {NVML_PSTATE_0, NVML_PSTATE_8};
    GPU_OR_RETURN(gpu, device, pstates != NULL);
    if (size < sizeof states)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < size / sizeof *pstates; i++)
        pstates[i] = i < 2 ? states[i] : NVML_PSTATE_UNKNOWN;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetViolationStatus(nvmlDevice_t device, nvmlPerfPolicyType_t perfPolicyType,
                                          nvmlViolationTime_t *violTime)
{
    GPU_OR_RETURN(gpu, device, violTime != NULL && perfPolicyType < NVML_PERF_POLICY_COUNT);
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    violTime->referenceTime = (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
    READING(gpu)
        violTime->violationTime = LOAD(gpu->violation[perfPolicyType]);
    return NVML_SUCCESS;
}
