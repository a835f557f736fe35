/* ECC: modes, and counters by type, lifetime and place. */
#include "mig.h"

GET_PAIR(nvmlDeviceGetEccMode, nvmlEnableState_t, ecc_mode, ecc_pending)
GET_U32(nvmlDeviceGetDefaultEccMode, nvmlEnableState_t, ecc_default)

enum { PLACES = NVML_MEMORY_LOCATION_COUNT };

/* Counters of one error type and lifetime. */
struct counters {
    uint32_t mode;
    uint32_t by_unit;
    uint64_t dram;
    uint64_t sram;
    uint64_t units[PLACES];
};

/* What was counted as SRAM errors on a board that counts by unit was in its L2 cache.  With ECC off nothing is
 * counted. */
static nvmlReturn_t read_counters(const struct nvsim_gpu *gpu, nvmlMemoryErrorType_t type,
                                  nvmlEccCounterType_t lifetime, struct counters *counters)
{
    static const size_t places[2][2][2] = {
        {{AT(ecc_volatile_corrected_dram), AT(ecc_volatile_corrected_sram)},
         {AT(ecc_aggregate_corrected_dram), AT(ecc_aggregate_corrected_sram)}},
        {{AT(ecc_volatile_uncorrected_dram), AT(ecc_volatile_uncorrected_sram)},
         {AT(ecc_aggregate_uncorrected_dram), AT(ecc_aggregate_uncorrected_sram)}}};
    if (type >= NVML_MEMORY_ERROR_TYPE_COUNT || lifetime >= NVML_ECC_COUNTER_TYPE_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    READING(gpu) {
        counters->mode = LOAD(gpu->ecc_mode);
        counters->by_unit = LOAD(gpu->ecc_by_unit);
        counters->dram = VALUE_AT(uint64_t, gpu, places[type][lifetime][0]);
        counters->sram = VALUE_AT(uint64_t, gpu, places[type][lifetime][1]);
        for (unsigned i = 0; i < PLACES; i++)
            counters->units[i] = LOAD(gpu->ecc_units[(lifetime * 2 + type) * PLACES + i]);
    }
    counters->units[NVML_MEMORY_LOCATION_L2_CACHE] += counters->sram;
    counters->units[NVML_MEMORY_LOCATION_DRAM] = counters->dram;
    counters->units[NVML_MEMORY_LOCATION_SRAM] = 0;
    return counters->mode == 1 ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                         nvmlEccCounterType_t counterType, unsigned long long *eccCounts)
{
    GPU_OR_RETURN(gpu, device, eccCounts != NULL);
    struct counters counters = {0};
    nvmlReturn_t result = read_counters(gpu, errorType, counterType, &counters);
    if (result)
        return result;
    uint64_t total = counters.by_unit ? 0 : counters.dram + counters.sram;
    for (unsigned i = 0; counters.by_unit && i < PLACES; i++)
        total += counters.units[i];
    *eccCounts = total;
    return NVML_SUCCESS;
}

/* A MIG device only knows of the uncorrected SRAM errors of its GPU since the driver was loaded. */
static nvmlReturn_t answer_instance(nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter,
                                    nvmlMemoryLocation_t place, uint64_t errors, unsigned long long *count)
{
    if (type != NVML_MEMORY_ERROR_TYPE_UNCORRECTED || counter != NVML_VOLATILE_ECC ||
        place != NVML_MEMORY_LOCATION_SRAM)
        return NVML_ERROR_NOT_SUPPORTED;
    *count = errors;
    return NVML_SUCCESS;
}

/* A control-block unit (CBU) finds errors and corrects none. */
nvmlReturn_t nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                             nvmlEccCounterType_t counterType, nvmlMemoryLocation_t locationType,
                                             unsigned long long *count)
{
    ANY_DEVICE_OR_RETURN(gpu, place, device, count != NULL && (unsigned)locationType < PLACES);
    struct counters counters = {0};
    nvmlReturn_t result = read_counters(gpu, errorType, counterType, &counters);
    if (result)
        return result;
    if (place.slot != MIG_NONE)
        return answer_instance(errorType, counterType, locationType, counters.sram, count);
    int sram = locationType == NVML_MEMORY_LOCATION_SRAM, dram = locationType == NVML_MEMORY_LOCATION_DRAM;
    int corrected_cbu = locationType == NVML_MEMORY_LOCATION_CBU && errorType == NVML_MEMORY_ERROR_TYPE_CORRECTED;
    if (corrected_cbu || (counters.by_unit ? sram : !sram && !dram))
        return NVML_ERROR_NOT_SUPPORTED;
    *count = sram ? counters.sram : counters.units[locationType];
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetDetailedEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                            nvmlEccCounterType_t counterType, nvmlEccErrorCounts_t *eccCounts)
{
    GPU_OR_RETURN(gpu, device, eccCounts != NULL);
    struct counters counters = {0};
    nvmlReturn_t result = read_counters(gpu, errorType, counterType, &counters);
    if (!result)
        *eccCounts = (nvmlEccErrorCounts_t){.l1Cache = counters.units[NVML_MEMORY_LOCATION_L1_CACHE],
                                            .l2Cache = counters.units[NVML_MEMORY_LOCATION_L2_CACHE],
                                            .deviceMemory = counters.dram,
                                            .registerFile = counters.units[NVML_MEMORY_LOCATION_REGISTER_FILE]};
    return result;
}

static uint64_t less(uint64_t from, uint64_t what)
{
    return from > what ? from - what : 0;
}

/* Uncorrected SRAM errors by place: what the board does not name was in L2. */
static void read_sources(const struct nvsim_gpu *gpu, nvmlEccSramErrorStatus_t *found)
{
    uint64_t total = LOAD(gpu->ecc_aggregate_uncorrected_sram);
    found->aggregateUncBucketSm = LOAD(gpu->ecc_sram_sm);
    found->aggregateUncBucketMcu = LOAD(gpu->ecc_sram_microcontroller);
    found->aggregateUncBucketPcie = LOAD(gpu->ecc_sram_pcie);
    found->aggregateUncBucketOther = LOAD(gpu->ecc_sram_other);
    found->aggregateUncBucketL2 = less(total, found->aggregateUncBucketSm + found->aggregateUncBucketMcu +
                                                  found->aggregateUncBucketPcie + found->aggregateUncBucketOther);
}

/* Boards with row remapping tell parity from SEC-DED errors, and where they were. */
static nvmlReturn_t sram_status(const struct nvsim_gpu *gpu, nvmlEccSramErrorStatus_t *found)
{
    uint32_t mode = 0;
    READING(gpu) {
        mode = LOAD(gpu->ecc_mode);
        found->volatileCor = LOAD(gpu->ecc_volatile_corrected_sram);
        found->volatileUncParity = LOAD(gpu->ecc_sram_parity_volatile);
        found->volatileUncSecDed = less(LOAD(gpu->ecc_volatile_uncorrected_sram), found->volatileUncParity);
        found->aggregateCor = LOAD(gpu->ecc_aggregate_corrected_sram);
        found->aggregateUncParity = LOAD(gpu->ecc_sram_parity_aggregate);
        found->aggregateUncSecDed = less(LOAD(gpu->ecc_aggregate_uncorrected_sram), found->aggregateUncParity);
        found->bThresholdExceeded = LOAD(gpu->ecc_sram_threshold);
        read_sources(gpu, found);
    }
    return mode == 1 && gpu->remapped_correctable != NVSIM_ABSENT_U32 ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetSramEccErrorStatus(nvmlDevice_t device, nvmlEccSramErrorStatus_t *status)
{
    GPU_OR_RETURN(gpu, device, status != NULL);
    KNOWN_VERSION(status, NVSIM_VERSION_nvmlEccSramErrorStatus_v1_t);
    nvmlEccSramErrorStatus_t found = {.version = status->version};
    nvmlReturn_t result = sram_status(gpu, &found);
    if (!result)
        *status = found;
    return result;
}

/* One entry for each place that had errors: unit 0 L2, 1 SM, 2 microcontroller, 3 PCIe, 4 other.  Parity errors are
 * those of the first of them. */
nvmlReturn_t nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts(nvmlDevice_t device,
                                                              nvmlEccSramUniqueUncorrectedErrorCounts_t *errorCounts)
{
    GPU_OR_RETURN(gpu, device, errorCounts != NULL);
    KNOWN_VERSION(errorCounts, NVSIM_VERSION_nvmlEccSramUniqueUncorrectedErrorCounts_v1_t);
    nvmlEccSramErrorStatus_t status = {0};
    nvmlReturn_t result = sram_status(gpu, &status);
    if (result)
        return result;
    const unsigned long long sources[] = {status.aggregateUncBucketL2, status.aggregateUncBucketSm,
                                          status.aggregateUncBucketMcu, status.aggregateUncBucketPcie,
                                          status.aggregateUncBucketOther};
    unsigned room = errorCounts->entries ? errorCounts->entryCount : 0, found = 0;
    for (unsigned unit = 0; unit < sizeof sources / sizeof *sources; unit++) {
        if (!sources[unit])
            continue;
        if (found < room)
            errorCounts->entries[found] = (nvmlEccSramUniqueUncorrectedErrorEntry_v1_t){
                .unit = unit, .count = (unsigned)sources[unit], .isParity = !found && status.aggregateUncParity};
        found++;
    }
    errorCounts->entryCount = found;
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}
