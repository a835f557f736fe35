/* Memory that was taken out of use: retired pages, remapped rows and banks, and what waits for a repair. */
#include "internal.h"

GET_U32(nvmlDeviceGetRetiredPagesPendingStatus, nvmlEnableState_t, retired_pages_pending)

enum { PAGES = sizeof ((struct nvsim_gpu *)0)->retired_address / sizeof(uint64_t), PAGE_SIZE = 0x10000 };

/* Pages of one cause.  Those for single-bit errors come first on the board; a page whose address it does not hold is
 * as far from the start of memory as its place says. */
static nvmlReturn_t retired_pages(nvmlDevice_t device, nvmlPageRetirementCause_t cause, unsigned *count,
                                  unsigned long long *addresses, unsigned long long *timestamps)
{
    GPU_OR_RETURN(gpu, device, count != NULL && cause < NVML_PAGE_RETIREMENT_CAUSE_COUNT);
    struct { uint32_t number[2]; uint64_t address[PAGES], time[PAGES]; } found;
    READING(gpu) {
        found.number[0] = LOAD(gpu->retired_pages_sbe);
        found.number[1] = LOAD(gpu->retired_pages_dbe);
        memcpy(found.address, gpu->retired_address, sizeof found.address);
        memcpy(found.time, gpu->retired_time, sizeof found.time);
    }
    unsigned first = cause == NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR ? found.number[0] : 0;
    unsigned pages = found.number[cause], room = *count;
    if (pages == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    *count = pages;
    if (room < pages)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < pages && addresses; i++) {
        unsigned place = first + i;
        uint64_t address = place < PAGES ? found.address[place] : 0;
        addresses[i] = address ? address : (place + 1ull) * PAGE_SIZE;
        if (timestamps)
            timestamps[i] = place < PAGES ? found.time[place] : 0;
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

/* Inactive remappings wait for a reset; boards and drivers that do not tell them apart have none. */
static nvmlReturn_t remapped_rows(const struct nvsim_gpu *gpu, nvmlRemappedRowsInfo_v2_t *found)
{
    READING(gpu) {
        found->corrActiveRemaps = LOAD(gpu->remapped_correctable);
        found->corrInactiveRemaps = LOAD(gpu->remapped_correctable_inactive);
        found->uncActiveRemaps = LOAD(gpu->remapped_uncorrectable);
        found->uncInactiveRemaps = LOAD(gpu->remapped_uncorrectable_inactive);
        found->bPending = LOAD(gpu->remapped_pending);
        found->bFailureOccurred = LOAD(gpu->remapped_failure);
    }
    return found->corrActiveRemaps == NVSIM_ABSENT_U32 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned int *corrRows, unsigned int *uncRows,
                                       unsigned int *isPending, unsigned int *failureOccurred)
{
    GPU_OR_RETURN(gpu, device, corrRows && uncRows && isPending && failureOccurred);
    nvmlRemappedRowsInfo_v2_t found = {0};
    nvmlReturn_t result = remapped_rows(gpu, &found);
    if (result)
        return result;
    *corrRows = found.corrActiveRemaps;
    *uncRows = found.uncActiveRemaps;
    *isPending = found.bPending;
    *failureOccurred = found.bFailureOccurred;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRemappedRows_v2(nvmlDevice_t device, nvmlRemappedRowsInfo_v2_t *info)
{
    GPU_OR_RETURN(gpu, device, info != NULL);
    nvmlRemappedRowsInfo_v2_t found = {0};
    nvmlReturn_t result = remapped_rows(gpu, &found);
    if (!result && found.corrInactiveRemaps == NVSIM_ABSENT_U32)
        result = NVML_ERROR_NOT_SUPPORTED;
    if (!result)
        *info = found;
    return result;
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

nvmlReturn_t nvmlDeviceGetBankRemapperStatus_v1(nvmlDevice_t device,
                                                nvmlEccBankRemapperStatus_v1_t *pBankRemapperStatus)
{
    GPU_OR_RETURN(gpu, device, pBankRemapperStatus != NULL);
    nvmlEccBankRemapperStatus_v1_t found = {0};
    READING(gpu) {
        found.activeRemappings = LOAD(gpu->bank_remaps_active);
        found.inactiveRemappings = LOAD(gpu->bank_remaps_inactive);
        found.bPending = LOAD(gpu->bank_remap_pending);
        found.histogram.maxSpareGroupCount = LOAD(gpu->bank_spares_max);
        found.histogram.noSpareGroupCount = LOAD(gpu->bank_spares_none);
    }
    if (found.activeRemappings == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    *pBankRemapperStatus = found;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRepairStatus(nvmlDevice_t device, nvmlRepairStatus_t *repairStatus)
{
    GPU_OR_RETURN(gpu, device, repairStatus != NULL);
    KNOWN_VERSION(repairStatus, NVSIM_VERSION_nvmlRepairStatus_v1_t);
    uint32_t channel = 0, tpc = 0;
    READING(gpu) {
        channel = LOAD(gpu->repair_channel_pending);
        tpc = LOAD(gpu->repair_tpc_pending);
    }
    if (channel == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    repairStatus->bChannelRepairPending = channel;
    repairStatus->bTpcRepairPending = tpc;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUnrepairableMemoryFlag_v1(nvmlDevice_t device,
                                                    nvmlUnrepairableMemoryStatus_v1_t *unrepairableMemoryStatus)
{
    return get_u32(device, unrepairableMemoryStatus ? &unrepairableMemoryStatus->bUnrepairableMemory : NULL,
                   AT(unrepairable_memory));
}
