/* Events of the system: GPUs that the driver takes or gives up, which here happens to all of them at once, when the
 * driver is loaded or unloaded. */
#include <stdlib.h>
#include <time.h>

#include "internal.h"

enum { SETS_MAX = 64, POLL_NS = 5 * 1000 * 1000 };

struct nvmlSystemEventSet_st {
    unsigned long long types;
    uint32_t loaded;
};

/* Live sets: a pointer that is not here is not a set. */
static nvmlSystemEventSet_t sets[SETS_MAX];

static int swap(nvmlSystemEventSet_t from, nvmlSystemEventSet_t to)
{
    for (unsigned i = 0; i < SETS_MAX; i++) {
        nvmlSystemEventSet_t expected = from;
        if (__atomic_compare_exchange_n(&sets[i], &expected, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return 1;
    }
    return 0;
}

static int known(nvmlSystemEventSet_t set)
{
    for (unsigned i = 0; set && i < SETS_MAX; i++)
        if (LOAD(sets[i]) == set)
            return 1;
    return 0;
}

#define CHECKED(request, expected)                            \
    do {                                                      \
        if (initialised())                                    \
            return NVML_ERROR_UNINITIALIZED;                  \
        if (!(request))                                       \
            return NVML_ERROR_INVALID_ARGUMENT;               \
        KNOWN_VERSION(request, NVSIM_VERSION_##expected);     \
    } while (0)

nvmlReturn_t nvmlSystemEventSetCreate(nvmlSystemEventSetCreateRequest_t *request)
{
    CHECKED(request, nvmlSystemEventSetCreateRequest_v1_t);
    nvmlSystemEventSet_t fresh = calloc(1, sizeof *fresh);
    if (!fresh || !swap(NULL, fresh)) {
        free(fresh);
        return NVML_ERROR_MEMORY;
    }
    fresh->loaded = LOAD(nvsim_board.header.driver_loaded);
    request->set = fresh;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemEventSetFree(nvmlSystemEventSetFreeRequest_t *request)
{
    CHECKED(request, nvmlSystemEventSetFreeRequest_v1_t);
    if (!request->set || !swap(request->set, NULL))
        return NVML_ERROR_INVALID_ARGUMENT;
    free(request->set);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemRegisterEvents(nvmlSystemRegisterEventRequest_t *request)
{
    CHECKED(request, nvmlSystemRegisterEventRequest_v1_t);
    if (!known(request->set))
        return NVML_ERROR_INVALID_ARGUMENT;
    if (request->eventTypes & ~(unsigned long long)(nvmlSystemEventTypeGpuDriverBind |
                                                    nvmlSystemEventTypeGpuDriverUnbind))
        return NVML_ERROR_NOT_SUPPORTED;
    request->set->types |= request->eventTypes;
    return NVML_SUCCESS;
}

/* Whether the driver has come or gone since the last event; then the events of all GPUs, as many as there is room. */
static int happened(nvmlSystemEventSetWaitRequest_t *request)
{
    uint32_t loaded = LOAD(nvsim_board.header.driver_loaded);
    unsigned long long type = loaded ? nvmlSystemEventTypeGpuDriverBind : nvmlSystemEventTypeGpuDriverUnbind;
    if (loaded == request->set->loaded)
        return 0;
    request->set->loaded = loaded;
    if (!(request->set->types & type))
        return 0;
    for (unsigned i = 0; i < nvsim_board.header.gpu_count && request->numEvent < request->dataSize; i++)
        request->data[request->numEvent++] = (nvmlSystemEventData_v1_t){
            .eventType = type, .gpuId = copy_of(&nvsim_board.slots[i])->board_id};
    return 1;
}

static long long nanoseconds(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

nvmlReturn_t nvmlSystemEventSetWait(nvmlSystemEventSetWaitRequest_t *request)
{
    CHECKED(request, nvmlSystemEventSetWaitRequest_v1_t);
    if (!known(request->set) || !request->data || !request->dataSize)
        return NVML_ERROR_INVALID_ARGUMENT;
    request->numEvent = 0;
    for (long long end = nanoseconds() + (long long)request->timeoutms * 1000000;;) {
        if (happened(request))
            return NVML_SUCCESS;
        long long left = end - nanoseconds();
        if (left <= 0)
            return NVML_ERROR_TIMEOUT;
        nanosleep(&(struct timespec){.tv_nsec = left < POLL_NS ? left : POLL_NS}, NULL);
    }
}
