/* Performance states in detail: their load, clocks and policies as texts. */
#include <stdio.h>

#include "internal.h"

/* The first four domains of the utilisation that decides about performance states; the bus is not measured. */
nvmlReturn_t nvmlDeviceGetDynamicPstatesInfo(nvmlDevice_t device, nvmlGpuDynamicPstatesInfo_t *pDynamicPstatesInfo)
{
    GPU_OR_RETURN(gpu, device, pDynamicPstatesInfo != NULL);
    uint32_t loads[NVML_GPU_UTILIZATION_DOMAIN_BUS + 1] = {0};
    READING(gpu) {
        uint32_t encoder = LOAD(gpu->utilization_encoder), decoder = LOAD(gpu->utilization_decoder);
        loads[NVML_GPU_UTILIZATION_DOMAIN_GPU] = LOAD(gpu->utilization_gpu);
        loads[NVML_GPU_UTILIZATION_DOMAIN_FB] = LOAD(gpu->utilization_memory);
        loads[NVML_GPU_UTILIZATION_DOMAIN_VID] = encoder > decoder ? encoder : decoder;
    }
    if (LOAD(gpu->mig_mode) == 1)
        return NVML_ERROR_NOT_SUPPORTED;
    *pDynamicPstatesInfo = (nvmlGpuDynamicPstatesInfo_t){.flags = 0};
    for (unsigned i = 0; i < sizeof loads / sizeof *loads; i++) {
        pDynamicPstatesInfo->utilization[i].bIsPresent = 1;
        pDynamicPstatesInfo->utilization[i].percentage = loads[i];
    }
    return NVML_SUCCESS;
}

/* One state as NV-CONTROL writes it: memTransferRate is twice the clock, as data go with both of its edges. */
static int state_text(char *text, size_t size, const struct nvsim_gpu *gpu, uint32_t low, uint32_t now, uint32_t memory)
{
    return snprintf(text, size,
                    "nvclock=%u, nvclockmin=%u, nvclockmax=%u, nvclockeditable=0, memclock=%u, memclockmin=%u, "
                    "memclockmax=%u, memclockeditable=0, memTransferRate=%u, memTransferRatemin=%u, "
                    "memTransferRatemax=%u, memTransferRateeditable=0",
                    now, low, gpu->clock_max_graphics, memory, memory, memory, 2 * memory, 2 * memory, 2 * memory);
}

static int has_clocks(const struct nvsim_gpu *gpu)
{
    return gpu->clock_max_graphics != NVSIM_ABSENT_U32 && gpu->clock_max_memory != NVSIM_ABSENT_U32;
}

nvmlReturn_t nvmlDeviceGetPerformanceModes(nvmlDevice_t device, nvmlDevicePerfModes_t *perfModes)
{
    GPU_OR_RETURN(gpu, device, perfModes != NULL);
    KNOWN_VERSION(perfModes, NVSIM_VERSION_nvmlDevicePerfModes_v1_t);
    if (!has_clocks(gpu))
        return NVML_ERROR_NOT_SUPPORTED;
    int used = snprintf(perfModes->str, sizeof perfModes->str, "perf=0, ");
    state_text(perfModes->str + used, sizeof perfModes->str - (size_t)used, gpu, gpu->clock_min_graphics,
               gpu->clock_max_graphics, gpu->clock_max_memory);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCurrentClockFreqs(nvmlDevice_t device, nvmlDeviceCurrentClockFreqs_t *currentClockFreqs)
{
    GPU_OR_RETURN(gpu, device, currentClockFreqs != NULL);
    KNOWN_VERSION(currentClockFreqs, NVSIM_VERSION_nvmlDeviceCurrentClockFreqs_v1_t);
    uint32_t graphics = 0, memory = 0;
    READING(gpu) {
        graphics = LOAD(gpu->clock_graphics);
        memory = LOAD(gpu->clock_memory);
    }
    if (!has_clocks(gpu) || memory == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    state_text(currentClockFreqs->str, sizeof currentClockFreqs->str, gpu, gpu->clock_min_graphics, graphics, memory);
    return NVML_SUCCESS;
}
