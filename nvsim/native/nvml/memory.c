/* Memory: sizes. */
#include "internal.h"

GET_U32(nvmlDeviceGetMemoryBusWidth, unsigned int, memory_bus_width)

/* The first version counts the driver's own memory as used. */
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    GPU_OR_RETURN(gpu, device, memory != NULL);
    uint64_t total = 0, used = 0;
    READING(gpu) {
        total = LOAD(gpu->memory_total);
        used = LOAD(gpu->memory_used) + LOAD(gpu->memory_reserved);
    }
    if (total == NVSIM_ABSENT_U64)
        return NVML_ERROR_NOT_SUPPORTED;
    memory->total = total;
    memory->used = used;
    memory->free = total > used ? total - used : 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    GPU_OR_RETURN(gpu, device, memory != NULL);
    KNOWN_VERSION(memory, NVSIM_VERSION_nvmlMemory_v2_t);
    uint64_t total = 0, used = 0, reserved = 0;
    READING(gpu) {
        total = LOAD(gpu->memory_total);
        used = LOAD(gpu->memory_used);
        reserved = LOAD(gpu->memory_reserved);
    }
    if (total == NVSIM_ABSENT_U64)
        return NVML_ERROR_NOT_SUPPORTED;
    memory->total = total;
    memory->reserved = reserved;
    memory->used = used;
    memory->free = total > used + reserved ? total - used - reserved : 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *bar1Memory)
{
    GPU_OR_RETURN(gpu, device, bar1Memory != NULL);
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
