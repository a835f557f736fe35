/* Event handling: sets of GPUs whose board records a ring of events; waiting looks at the rings. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "internal.h"

enum { SETS_MAX = 256, POLL_NS = 5 * 1000 * 1000 };
enum { RING = sizeof ((struct nvsim_gpu *)0)->event_type / sizeof(uint64_t) };

struct watch {
    nvmlDevice_t device;
    const struct nvsim_gpu *gpu;
    unsigned long long types;
    uint64_t seen;
};

struct nvmlEventSet_st {
    unsigned count;
    struct watch watches[NVSIM_BOARD_CAPACITY];
};

/* Live sets: a pointer that is not here is not a set. */
static nvmlEventSet_t sets[SETS_MAX];

/* Moves a set into or out of the list. */
static int swap(nvmlEventSet_t from, nvmlEventSet_t to)
{
    for (unsigned i = 0; i < SETS_MAX; i++) {
        nvmlEventSet_t expected = from;
        if (__atomic_compare_exchange_n(&sets[i], &expected, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return 1;
    }
    return 0;
}

static int known(nvmlEventSet_t set)
{
    for (unsigned i = 0; set && i < SETS_MAX; i++)
        if (LOAD(sets[i]) == set)
            return 1;
    return 0;
}

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!set)
        return NVML_ERROR_INVALID_ARGUMENT;
    nvmlEventSet_t fresh = calloc(1, sizeof *fresh);
    if (!fresh || !swap(NULL, fresh)) {
        free(fresh);
        return NVML_ERROR_MEMORY;
    }
    *set = fresh;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!set || !swap(set, NULL))
        return NVML_ERROR_INVALID_ARGUMENT;
    free(set);
    return NVML_SUCCESS;
}

static unsigned long long supported(const struct nvsim_gpu *gpu)
{
    unsigned long long types = nvmlEventTypePState | nvmlEventTypeXidCriticalError | nvmlEventTypeClock;
    if (gpu->ecc_default != NVSIM_ABSENT_U32)
        types |= nvmlEventTypeSingleBitEccError | nvmlEventTypeDoubleBitEccError;
    if (gpu->mig_max_devices)
        types |= nvmlEventMigConfigChange;
    return types;
}

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long *eventTypes)
{
    GPU_OR_RETURN(gpu, device, eventTypes != NULL);
    *eventTypes = supported(gpu);
    return NVML_SUCCESS;
}

/* Adds to what the set watches; events from before do not count. */
nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long eventTypes, nvmlEventSet_t set)
{
    GPU_OR_RETURN(gpu, device, known(set));
    if (eventTypes & ~supported(gpu))
        return NVML_ERROR_NOT_SUPPORTED;
    for (unsigned i = 0; i < set->count; i++)
        if (set->watches[i].device == device) {
            set->watches[i].types |= eventTypes;
            return NVML_SUCCESS;
        }
    if (set->count == NVSIM_BOARD_CAPACITY)
        return NVML_ERROR_MEMORY;
    uint64_t seen = 0;
    READING(gpu)
        seen = LOAD(gpu->event_count);
    set->watches[set->count++] = (struct watch){.device = device, .gpu = gpu, .types = eventTypes, .seen = seen};
    return NVML_SUCCESS;
}

/* The oldest unseen event of a watched type; 10 if there is none, 15 for a GPU that fell off the bus. */
static nvmlReturn_t next_event(struct watch *watch, nvmlEventData_t *data)
{
    const struct nvsim_gpu *gpu = watch->gpu;
    uint64_t count = 0, types[RING], values[RING];
    READING(gpu) {
        count = LOAD(gpu->event_count);
        memcpy(types, gpu->event_type, sizeof types);
        memcpy(values, gpu->event_data, sizeof values);
    }
    if (count - watch->seen > RING)
        watch->seen = count - RING;
    while (watch->seen < count) {
        unsigned slot = (unsigned)(watch->seen++ % RING);
        if (!(types[slot] & watch->types))
            continue;
        *data = (nvmlEventData_t){.device = watch->device,
                                  .eventType = types[slot],
                                  .eventData = values[slot],
                                  .gpuInstanceId = 0xFFFFFFFF,
                                  .computeInstanceId = 0xFFFFFFFF};
        return NVML_SUCCESS;
    }
    return LOAD(gpu->fault) == NVML_ERROR_GPU_IS_LOST ? NVML_ERROR_GPU_IS_LOST : NVML_ERROR_TIMEOUT;
}

static long long nanoseconds(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeoutms)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!known(set) || !data)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (long long end = nanoseconds() + (long long)timeoutms * 1000000;;) {
        for (unsigned i = 0; i < set->count; i++) {
            nvmlReturn_t result = next_event(&set->watches[i], data);
            if (result != NVML_ERROR_TIMEOUT)
                return result;
        }
        long long left = end - nanoseconds();
        if (left <= 0)
            return NVML_ERROR_TIMEOUT;
        nanosleep(&(struct timespec){.tv_nsec = left < POLL_NS ? left : POLL_NS}, NULL);
    }
}

/* Without the two instance ids at the end. */
nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeoutms)
{
    nvmlEventData_t found;
    nvmlReturn_t result = nvmlEventSetWait_v2(set, data ? &found : NULL, timeoutms);
    if (!result)
        memcpy(data, &found, offsetof(nvmlEventData_t, gpuInstanceId));
    return result;
}
