/* Memory: sizes, ECC, retired pages and remapped rows. */
#include "mig.h"

GET_U32(nvmlDeviceGetMemoryBusWidth, unsigned int, memory_bus_width)
GET_PAIR(nvmlDeviceGetEccMode, nvmlEnableState_t, ecc_mode, ecc_pending)
GET_U32(nvmlDeviceGetDefaultEccMode, nvmlEnableState_t, ecc_default)
GET_U32(nvmlDeviceGetRetiredPagesPendingStatus, nvmlEnableState_t, retired_pages_pending)

struct sizes {
    uint64_t total, used, reserved;
};

/* Bytes of a GPU, or of a MIG device.  While MIG is on, who may not watch MIG does not learn about the whole GPU. */
static nvmlReturn_t memory_sizes(const struct nvsim_gpu *gpu, unsigned slot, struct sizes *sizes)
{
    if (slot != MIG_NONE)
        return mig_memory(gpu, slot, &sizes->total, &sizes->used);
    if (LOAD(gpu->mig_mode) == 1 && !mig_monitor())
        return NVML_ERROR_NO_PERMISSION;
    READING(gpu) {
        sizes->total = LOAD(gpu->memory_total);
        sizes->used = LOAD(gpu->memory_used);
        sizes->reserved = LOAD(gpu->memory_reserved);
    }
    return sizes->total == NVSIM_ABSENT_U64 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
}

static uint64_t rest(const struct sizes *sizes)
{
    uint64_t taken = sizes->used + sizes->reserved;
    return sizes->total > taken ? sizes->total - taken : 0;
}

/* The first version counts the driver's own memory as used. */
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    ANY_DEVICE_OR_RETURN(gpu, place, device, memory != NULL);
    struct sizes sizes = {0};
    nvmlReturn_t result = memory_sizes(gpu, place.slot, &sizes);
    if (!result)
        *memory = (nvmlMemory_t){.total = sizes.total, .free = rest(&sizes), .used = sizes.used + sizes.reserved};
    return result;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    ANY_DEVICE_OR_RETURN(gpu, place, device, memory != NULL);
    KNOWN_VERSION(memory, NVSIM_VERSION_nvmlMemory_v2_t);
    struct sizes sizes = {0};
    nvmlReturn_t result = memory_sizes(gpu, place.slot, &sizes);
    if (result)
        return result;
    memory->total = sizes.total;
    memory->reserved = sizes.reserved;
    memory->used = sizes.used;
    memory->free = rest(&sizes);
    return NVML_SUCCESS;
}

/* MIG devices share the whole aperture. */
nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *bar1Memory)
{
    ANY_DEVICE_OR_RETURN(gpu, place, device, bar1Memory != NULL);
    uint64_t total = 0, used = 0;
    READING(gpu) {
        total = LOAD(gpu->bar1_total);
        used = LOAD(gpu->bar1_used);
    }
    if (total == NVSIM_ABSENT_U64)
        return NVML_ERROR_NOT_SUPPORTED;
    bar1Memory->bar1Total = total;
    bar1Memory->bar1Used = used;
    bar1Memory->bar1Free = total > used ? total - used : 0;
    return NVML_SUCCESS;
}

/* Outside confidential computing there is no protected memory, and all of it is unprotected. */
nvmlReturn_t nvmlDeviceGetConfComputeProtectedMemoryUsage(nvmlDevice_t device, nvmlMemory_t *memory)
{
    GPU_OR_RETURN(gpu, device, memory != NULL);
    *memory = (nvmlMemory_t){0};
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetConfComputeMemSizeInfo(nvmlDevice_t device, nvmlConfComputeMemSizeInfo_t *memInfo)
{
    GPU_OR_RETURN(gpu, device, memInfo != NULL);
    if (gpu->memory_total == NVSIM_ABSENT_U64)
        return NVML_ERROR_NOT_SUPPORTED;
    memInfo->protectedMemSizeKib = 0;
    memInfo->unprotectedMemSizeKib = gpu->memory_total / 1024;
    return NVML_SUCCESS;
}

/* Counters of one error type and lifetime: {DRAM, SRAM}.  With ECC off nothing is counted. */
static nvmlReturn_t ecc_counters(const struct nvsim_gpu *gpu, nvmlMemoryErrorType_t type, nvmlEccCounterType_t lifetime,
                                 uint64_t counts[2])
{
    static const size_t places[2][2][2] = {
        {{AT(ecc_volatile_corrected_dram), AT(ecc_volatile_corrected_sram)},
         {AT(ecc_aggregate_corrected_dram), AT(ecc_aggregate_corrected_sram)}},
        {{AT(ecc_volatile_uncorrected_dram), AT(ecc_volatile_uncorrected_sram)},
         {AT(ecc_aggregate_uncorrected_dram), AT(ecc_aggregate_uncorrected_sram)}}};
    uint32_t mode = 0;
    if (type >= NVML_MEMORY_ERROR_TYPE_COUNT || lifetime >= NVML_ECC_COUNTER_TYPE_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    READING(gpu) {
        mode = LOAD(gpu->ecc_mode);
        counts[0] = VALUE_AT(uint64_t, gpu, places[type][lifetime][0]);
        counts[1] = VALUE_AT(uint64_t, gpu, places[type][lifetime][1]);
    }
    return mode == 1 ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                         nvmlEccCounterType_t counterType, unsigned long long *eccCounts)
{
    GPU_OR_RETURN(gpu, device, eccCounts != NULL);
    uint64_t counts[2] = {0, 0};
    nvmlReturn_t result = ecc_counters(gpu, errorType, counterType, counts);
    if (!result)
        *eccCounts = counts[0] + counts[1];
    return result;
}

nvmlReturn_t nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                             nvmlEccCounterType_t counterType, nvmlMemoryLocation_t locationType,
                                             unsigned long long *count)
{
    GPU_OR_RETURN(gpu, device, count != NULL && locationType < NVML_MEMORY_LOCATION_COUNT);
    uint64_t counts[2] = {0, 0};
    nvmlReturn_t result = ecc_counters(gpu, errorType, counterType, counts);
    if (result)
        return result;
    if (locationType != NVML_MEMORY_LOCATION_DRAM && locationType != NVML_MEMORY_LOCATION_SRAM)
        return NVML_ERROR_NOT_SUPPORTED;
    *count = counts[locationType == NVML_MEMORY_LOCATION_SRAM];
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetDetailedEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                            nvmlEccCounterType_t counterType, nvmlEccErrorCounts_t *eccCounts)
{
    GPU_OR_RETURN(gpu, device, eccCounts != NULL);
    uint64_t counts[2] = {0, 0};
    nvmlReturn_t result = ecc_counters(gpu, errorType, counterType, counts);
    if (!result)
        *eccCounts = (nvmlEccErrorCounts_t){.deviceMemory = counts[0], .l2Cache = counts[1]};
    return result;
}

/* Boards with row remapping tell parity from SEC-DED errors and where they were; all of ours are SEC-DED, in L2. */
nvmlReturn_t nvmlDeviceGetSramEccErrorStatus(nvmlDevice_t device, nvmlEccSramErrorStatus_t *status)
{
    GPU_OR_RETURN(gpu, device, status != NULL);
    KNOWN_VERSION(status, NVSIM_VERSION_nvmlEccSramErrorStatus_v1_t);
    uint32_t mode = 0;
    nvmlEccSramErrorStatus_t found = {.version = status->version};
    READING(gpu) {
        mode = LOAD(gpu->ecc_mode);
        found.volatileCor = LOAD(gpu->ecc_volatile_corrected_sram);
        found.volatileUncSecDed = LOAD(gpu->ecc_volatile_uncorrected_sram);
        found.aggregateCor = LOAD(gpu->ecc_aggregate_corrected_sram);
        found.aggregateUncSecDed = LOAD(gpu->ecc_aggregate_uncorrected_sram);
    }
    if (mode != 1 || gpu->remapped_correctable == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    found.aggregateUncBucketL2 = found.aggregateUncSecDed;
    *status = found;
    return NVML_SUCCESS;
}

/* The board holds how many pages are retired; their addresses are made up from the number, one page apart. */
static nvmlReturn_t retired_pages(nvmlDevice_t device, nvmlPageRetirementCause_t cause, unsigned *count,
                                  unsigned long long *addresses, unsigned long long *timestamps)
{
    GPU_OR_RETURN(gpu, device, count != NULL && cause < NVML_PAGE_RETIREMENT_CAUSE_COUNT);
    uint32_t pages = 0;
    READING(gpu)
        pages = cause == NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR ? LOAD(gpu->retired_pages_dbe)
                                                                       : LOAD(gpu->retired_pages_sbe);
    if (pages == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    unsigned room = *count;
    *count = pages;
    if (room < pages)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < pages && addresses; i++) {
        addresses[i] = (i + 1) * 0x10000ull;
        if (timestamps)
            timestamps[i] = 0;
    }
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRetiredPages(nvmlDevice_t device, nvmlPageRetirementCause_t cause, unsigned int *pageCount,
                                       unsigned long long *addresses)
{
    return retired_pages(device, cause, pageCount, addresses, NULL);
}

nvmlReturn_t nvmlDeviceGetRetiredPages_v2(nvmlDevice_t device, nvmlPageRetirementCause_t cause,
                                          unsigned int *pageCount, unsigned long long *addresses,
                                          unsigned long long *timestamps)
{
    return retired_pages(device, cause, pageCount, addresses, timestamps);
}

nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned int *corrRows, unsigned int *uncRows,
                                       unsigned int *isPending, unsigned int *failureOccurred)
{
    GPU_OR_RETURN(gpu, device, corrRows && uncRows && isPending && failureOccurred);
    uint32_t found[4] = {0};
    READING(gpu) {
        found[0] = LOAD(gpu->remapped_correctable);
        found[1] = LOAD(gpu->remapped_uncorrectable);
        found[2] = LOAD(gpu->remapped_pending);
        found[3] = LOAD(gpu->remapped_failure);
    }
    if (found[0] == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    *corrRows = found[0];
    *uncRows = found[1];
    *isPending = found[2];
    *failureOccurred = found[3];
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRowRemapperHistogram(nvmlDevice_t device, nvmlRowRemapperHistogramValues_t *values)
{
    GPU_OR_RETURN(gpu, device, values != NULL);
    nvmlRowRemapperHistogramValues_t found = {0};
    READING(gpu) {
        found.max = LOAD(gpu->remap_banks_max);
        found.high = LOAD(gpu->remap_banks_high);
        found.partial = LOAD(gpu->remap_banks_partial);
        found.low = LOAD(gpu->remap_banks_low);
        found.none = LOAD(gpu->remap_banks_none);
    }
    if (found.max == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    *values = found;
    return NVML_SUCCESS;
}
