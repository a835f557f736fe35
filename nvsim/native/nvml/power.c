/* Power: what a GPU draws, and the limit that an administrator sets. */
#include "change.h"

GET_U32(nvmlDeviceGetPowerUsage, unsigned int, power_usage)
GET_U32(nvmlDeviceGetPowerManagementLimit, unsigned int, power_limit)
GET_U32(nvmlDeviceGetPowerManagementDefaultLimit, unsigned int, power_limit_default)
GET_U32(nvmlDeviceGetEnforcedPowerLimit, unsigned int, power_limit_enforced)
GET_PAIR(nvmlDeviceGetPowerManagementLimitConstraints, unsigned int, power_limit_min, power_limit_max)
GET_U64(nvmlDeviceGetTotalEnergyConsumption, energy)

nvmlReturn_t nvmlDeviceGetPowerManagementMode(nvmlDevice_t device, nvmlEnableState_t *mode)
{
    GPU_OR_RETURN(gpu, device, mode != NULL);
    if (LOAD(gpu->power_limit) == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    *mode = NVML_FEATURE_ENABLED;
    return NVML_SUCCESS;
}

static nvmlReturn_t set_limit(struct nvsim_gpu *gpu, void *arguments)
{
    uint32_t milliwatt = *(const unsigned *)arguments;
    if (gpu->power_limit == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    if (milliwatt < gpu->power_limit_min || milliwatt > gpu->power_limit_max)
        return NVML_ERROR_INVALID_ARGUMENT;
    gpu->power_limit = gpu->power_limit_enforced = milliwatt;
    return NVML_SUCCESS;
}

/* In milliwatt, within the constraints of the board. */
nvmlReturn_t nvmlDeviceSetPowerManagementLimit(nvmlDevice_t device, unsigned int limit)
{
    return change_gpu(device, set_limit, &limit);
}

/* Only the GPU itself has a limit here: no board of the catalogue says those of its module or memory. */
nvmlReturn_t nvmlDeviceSetPowerManagementLimit_v2(nvmlDevice_t device, nvmlPowerValue_v2_t *powerValue)
{
    GPU_OR_RETURN(gpu, device, powerValue != NULL);
    KNOWN_VERSION(powerValue, NVSIM_VERSION_nvmlPowerValue_v2_t);
    if (powerValue->powerScope >= NVML_POWER_SCOPE_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (powerValue->powerScope != NVML_POWER_SCOPE_GPU)
        return NVML_ERROR_NOT_SUPPORTED;
    return change_gpu(device, set_limit, &powerValue->powerValueMw);
}
