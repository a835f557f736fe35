/* Turning ECC on or off, which needs a reboot, and forgetting what it counted. */
#include "change.h"

static nvmlReturn_t set_pending(struct nvsim_gpu *gpu, void *mode)
{
    if (gpu->ecc_mode == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    gpu->ecc_pending = *(const nvmlEnableState_t *)mode;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceSetEccMode(nvmlDevice_t device, nvmlEnableState_t ecc)
{
    GPU_OR_RETURN(gpu, device, ecc <= NVML_FEATURE_ENABLED);
    return change_gpu(device, set_pending, &ecc);
}

static void forget_volatile(struct nvsim_gpu *gpu)
{
    gpu->ecc_volatile_corrected_dram = gpu->ecc_volatile_corrected_sram = 0;
    gpu->ecc_volatile_uncorrected_dram = gpu->ecc_volatile_uncorrected_sram = 0;
    gpu->ecc_sram_parity_volatile = 0;
    memset(gpu->ecc_units, 0, sizeof gpu->ecc_units / 2);
}

static void forget_aggregate(struct nvsim_gpu *gpu)
{
    gpu->ecc_aggregate_corrected_dram = gpu->ecc_aggregate_corrected_sram = 0;
    gpu->ecc_aggregate_uncorrected_dram = gpu->ecc_aggregate_uncorrected_sram = 0;
    gpu->ecc_sram_parity_aggregate = gpu->ecc_sram_sm = gpu->ecc_sram_microcontroller = 0;
    gpu->ecc_sram_pcie = gpu->ecc_sram_other = gpu->ecc_sram_threshold = 0;
    memset((char *)gpu->ecc_units + sizeof gpu->ecc_units / 2, 0, sizeof gpu->ecc_units / 2);
}

/* The first half of the counters by unit is volatile, the second aggregate. */
static nvmlReturn_t forget(struct nvsim_gpu *gpu, void *arguments)
{
    if (gpu->ecc_mode == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    if (*(const nvmlEccCounterType_t *)arguments == NVML_VOLATILE_ECC)
        forget_volatile(gpu);
    else
        forget_aggregate(gpu);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceClearEccErrorCounts(nvmlDevice_t device, nvmlEccCounterType_t counterType)
{
    GPU_OR_RETURN(gpu, device, counterType < NVML_ECC_COUNTER_TYPE_COUNT);
    return change_gpu(device, forget, &counterType);
}
