/* Modes of a GPU. */
#include "change.h"

GET_U32(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, persistence)
GET_U32(nvmlDeviceGetComputeMode, nvmlComputeMode_t, compute_mode)
GET_U32(nvmlDeviceGetDisplayMode, nvmlEnableState_t, display_mode)
GET_U32(nvmlDeviceGetDisplayActive, nvmlEnableState_t, display_active)

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
