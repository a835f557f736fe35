/* Memory: sizes. */
#include "mig.h"

GET_U32(nvmlDeviceGetMemoryBusWidth, unsigned int, memory_bus_width)

struct sizes {
    uint64_t total, used, reserved;
};

/* Bytes of a GPU, or of a MIG device.  While MIG is on, who may not watch MIG does not learn about the whole GPU. */
static nvmlReturn_t memory_sizes(const struct nvsim_gpu *gpu, unsigned slot, struct sizes *sizes)
{
    if (slot != MIG_NONE)
        return mig_memory(gpu, slot, &sizes->total, &sizes->used) ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
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
