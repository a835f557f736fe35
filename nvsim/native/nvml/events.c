/* Event handling: sets of GPUs whose board records a ring of events; waiting looks at the rings. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "internal.h"
#include "lock.h"

enum { SETS_MAX = 256, POLL_NS = 5 * 1000 * 1000, TYPES = 16 };
enum { RING = sizeof ((struct nvsim_gpu *)0)->event_type / sizeof(uint64_t) };

/* A GPU in a set.  `since`: for each bit of a type, the number of events that were there when it was registered. */
struct watch {
    nvmlDevice_t device;
    const struct nvsim_gpu *gpu;
    unsigned long long types;
    uint64_t seen;
    uint64_t since[TYPES];
};

/* The part of the record that a wait reads. */
struct ring {
    uint64_t count, types[RING], values[RING];
    uint32_t gpu_instances[RING], compute_instances[RING];
};

struct nvmlEventSet_st {
    int lock; /* several threads may register with a set and wait for it */
    unsigned count;
    struct watch watches[NVSIM_BOARD_CAPACITY];
};

/* Live sets: a pointer that is not here is not a set.  Sets that were given back are kept for the next caller: a thread
 * may still be waiting for one. */
static nvmlEventSet_t sets[SETS_MAX], spares[SETS_MAX];

/* Replaces an entry of a list; whether there was one. */
static int swap(nvmlEventSet_t *list, nvmlEventSet_t from, nvmlEventSet_t to)
{
    for (unsigned i = 0; i < SETS_MAX; i++) {
        nvmlEventSet_t expected = from;
        if (__atomic_compare_exchange_n(&list[i], &expected, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return 1;
    }
    return 0;
}

/* An empty set that is in neither list; NULL without memory. */
static nvmlEventSet_t empty_set(void)
{
    for (unsigned i = 0; i < SETS_MAX; i++) {
        nvmlEventSet_t spare = LOAD(spares[i]);
        if (!spare || !swap(spares, spare, NULL))
            continue;
        acquire(&spare->lock);
        spare->count = 0;
        release(&spare->lock);
        return spare;
    }
    return calloc(1, sizeof(struct nvmlEventSet_st));
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
    nvmlEventSet_t fresh = empty_set();
    if (fresh && swap(sets, NULL, fresh)) {
        *set = fresh;
        return NVML_SUCCESS;
    }
    if (fresh)
        swap(spares, NULL, fresh);
    return NVML_ERROR_MEMORY;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!set || !swap(sets, set, NULL))
        return NVML_ERROR_INVALID_ARGUMENT;
    swap(spares, NULL, set);
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

static struct watch *watch_of(nvmlEventSet_t set, nvmlDevice_t device)
{
    for (unsigned i = 0; i < set->count; i++)
        if (set->watches[i].device == device)
            return &set->watches[i];
    return NULL;
}

/* Adds to what the set watches; events from before do not count. */
static nvmlReturn_t watch(nvmlEventSet_t set, nvmlDevice_t device, const struct nvsim_gpu *gpu,
                          unsigned long long types)
{
    uint64_t now = 0;
    READING(gpu)
        now = LOAD(gpu->event_count);
    struct watch *watch = watch_of(set, device);
    if (!watch && set->count == NVSIM_BOARD_CAPACITY)
        return NVML_ERROR_MEMORY;
    if (!watch) {
        watch = &set->watches[set->count++];
        *watch = (struct watch){.device = device, .gpu = gpu, .seen = now};
    }
    for (unsigned i = 0; i < TYPES; i++)
        if (types & ~watch->types & 1ull << i)
            watch->since[i] = now;
    watch->types |= types;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long eventTypes, nvmlEventSet_t set)
{
    GPU_OR_RETURN(gpu, device, known(set));
    if (eventTypes & ~supported(gpu))
        return NVML_ERROR_NOT_SUPPORTED;
    acquire(&set->lock);
    nvmlReturn_t result = watch(set, device, gpu, eventTypes);
    release(&set->lock);
    return result;
}

static uint64_t read_ring(const struct nvsim_gpu *gpu, struct ring *ring)
{
    READING(gpu) {
        ring->count = LOAD(gpu->event_count);
        memcpy(ring->types, gpu->event_type, sizeof ring->types);
        memcpy(ring->values, gpu->event_data, sizeof ring->values);
        memcpy(ring->gpu_instances, gpu->event_gpu_instance, sizeof ring->gpu_instances);
        memcpy(ring->compute_instances, gpu->event_compute_instance, sizeof ring->compute_instances);
    }
    return ring->count;
}

/* Whether an event of this number is one that the caller asked for, and asked for before it happened. */
static int wanted(const struct watch *watch, uint64_t type, uint64_t number)
{
    unsigned bit = type ? (unsigned)__builtin_ctzll(type) : TYPES;
    return bit < TYPES && watch->types & type && number >= watch->since[bit];
}

/* The oldest unseen event of a watched type; 10 if there is none, 15 for a GPU that fell off the bus. */
static nvmlReturn_t next_event(struct watch *watch, nvmlEventData_t *data)
{
    struct ring ring;
    uint64_t count = read_ring(watch->gpu, &ring);
    if (count - watch->seen > RING)
        watch->seen = count > RING ? count - RING : 0;
    while (watch->seen < count) {
        uint64_t number = watch->seen++;
        unsigned slot = (unsigned)(number % RING);
        if (!wanted(watch, ring.types[slot], number))
            continue;
        *data = (nvmlEventData_t){.device = watch->device,
                                  .eventType = ring.types[slot],
                                  .eventData = ring.values[slot],
                                  .gpuInstanceId = ring.gpu_instances[slot],
                                  .computeInstanceId = ring.compute_instances[slot]};
        return NVML_SUCCESS;
    }
    const struct nvsim_gpu *gpu = copy_of(slot_of(watch->gpu));
    return LOAD(gpu->fault) == NVML_ERROR_GPU_IS_LOST ? NVML_ERROR_GPU_IS_LOST : NVML_ERROR_TIMEOUT;
}

/* The first event of any GPU of a set; 15 if there is none and one of them is lost. */
static nvmlReturn_t next_of_set(nvmlEventSet_t set, nvmlEventData_t *data)
{
    nvmlReturn_t result = NVML_ERROR_TIMEOUT;
    acquire(&set->lock);
    for (unsigned i = 0; i < set->count && result; i++) {
        nvmlReturn_t one = next_event(&set->watches[i], data);
        result = one == NVML_ERROR_TIMEOUT ? result : one;
    }
    release(&set->lock);
    return result;
}

static long long nanoseconds(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A lost GPU ends the wait, but hides no event of another one. */
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeoutms)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!known(set) || !data)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (long long end = nanoseconds() + (long long)timeoutms * 1000000;;) {
        nvmlReturn_t result = next_of_set(set, data);
        if (result != NVML_ERROR_TIMEOUT)
            return result;
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
