/* Modes of a GPU, and MIG as far as it is off: a board that can do MIG has no instances. */
#include "change.h"

GET_U32(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, persistence)
GET_U32(nvmlDeviceGetComputeMode, nvmlComputeMode_t, compute_mode)
GET_U32(nvmlDeviceGetDisplayMode, nvmlEnableState_t, display_mode)
GET_U32(nvmlDeviceGetDisplayActive, nvmlEnableState_t, display_active)
GET_PAIR(nvmlDeviceGetMigMode, unsigned int, mig_mode, mig_pending)
GET_CONSTANT(nvmlDeviceIsMigDeviceHandle, unsigned int, 0)

static nvmlReturn_t set_persistence(struct nvsim_gpu *gpu, void *mode)
{
    gpu->persistence = *(const nvmlEnableState_t *)mode;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceSetPersistenceMode(nvmlDevice_t device, nvmlEnableState_t mode)
{
    GPU_OR_RETURN(gpu, device, mode <= NVML_FEATURE_ENABLED);
    return change_gpu(device, set_persistence, &mode);
}

static nvmlReturn_t set_compute_mode(struct nvsim_gpu *gpu, void *mode)
{
    if (gpu->mig_mode == 1)
        return NVML_ERROR_NOT_SUPPORTED;
    gpu->compute_mode = *(const nvmlComputeMode_t *)mode;
    return NVML_SUCCESS;
}

/* Not while MIG is on.  Mode 1, exclusive thread, is gone since CUDA 8. */
nvmlReturn_t nvmlDeviceSetComputeMode(nvmlDevice_t device, nvmlComputeMode_t mode)
{
    GPU_OR_RETURN(gpu, device, mode < NVML_COMPUTEMODE_COUNT);
    if (mode == NVML_COMPUTEMODE_EXCLUSIVE_THREAD)
        return NVML_ERROR_NOT_SUPPORTED;
    return change_gpu(device, set_compute_mode, &mode);
}

/* Zero on boards without MIG. */
nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count)
{
    GPU_OR_RETURN(gpu, device, count != NULL);
    *count = gpu->mig_max_devices;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index, nvmlDevice_t *migDevice)
{
    GPU_OR_RETURN(gpu, device, migDevice != NULL);
    if (!gpu->mig_max_devices)
        return NVML_ERROR_NOT_SUPPORTED;
    return index < gpu->mig_max_devices ? NVML_ERROR_NOT_FOUND : NVML_ERROR_INVALID_ARGUMENT;
}

/* A GPU is no MIG device: it has no parent and no instance ids. */
nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t migDevice, nvmlDevice_t *device)
{
    GPU_OR_RETURN(gpu, migDevice, device != NULL);
    return NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned int *id)
{
    GPU_OR_RETURN(gpu, device, id != NULL);
    return NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, unsigned int *id)
{
    GPU_OR_RETURN(gpu, device, id != NULL);
    return NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceById(nvmlDevice_t device, unsigned int id, nvmlGpuInstance_t *gpuInstance)
{
    (void)id;
    GPU_OR_RETURN(gpu, device, gpuInstance != NULL);
    return LOAD(gpu->mig_mode) == 1 ? NVML_ERROR_NOT_FOUND : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetGpuInstances(nvmlDevice_t device, unsigned int profileId, nvmlGpuInstance_t *gpuInstances,
                                       unsigned int *count)
{
    (void)profileId;
    (void)gpuInstances;
    GPU_OR_RETURN(gpu, device, count != NULL);
    if (LOAD(gpu->mig_mode) != 1)
        return NVML_ERROR_NOT_SUPPORTED;
    *count = 0;
    return NVML_SUCCESS;
}
