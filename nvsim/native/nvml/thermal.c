/* Temperatures. */
#include "change.h"

static nvmlReturn_t celsius(const struct nvsim_gpu *gpu, size_t offset, int *value)
{
    int32_t found = 0;
    READING(gpu)
        found = VALUE_AT(int32_t, gpu, offset);
    if (found == NVSIM_ABSENT_I32)
        return NVML_ERROR_NOT_SUPPORTED;
    *value = found;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensorType, unsigned int *temp)
{
    GPU_OR_RETURN(gpu, device, temp != NULL && sensorType == NVML_TEMPERATURE_GPU);
    return celsius(gpu, AT(temperature), (int *)temp);
}

nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t *temperature)
{
    GPU_OR_RETURN(gpu, device, temperature != NULL);
    KNOWN_VERSION(temperature, NVSIM_VERSION_nvmlTemperature_v1_t);
    if (temperature->sensorType != NVML_TEMPERATURE_GPU)
        return NVML_ERROR_INVALID_ARGUMENT;
    return celsius(gpu, AT(temperature), &temperature->temperature);
}

nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, nvmlTemperatureThresholds_t thresholdType,
                                               unsigned int *temp)
{
    GPU_OR_RETURN(gpu, device, temp != NULL && thresholdType < NVML_TEMPERATURE_THRESHOLD_COUNT);
    switch (thresholdType) {
    case NVML_TEMPERATURE_THRESHOLD_SHUTDOWN:
        return celsius(gpu, AT(threshold_shutdown), (int *)temp);
    case NVML_TEMPERATURE_THRESHOLD_SLOWDOWN:
        return celsius(gpu, AT(threshold_slowdown), (int *)temp);
    case NVML_TEMPERATURE_THRESHOLD_MEM_MAX:
        return celsius(gpu, AT(threshold_memory_max), (int *)temp);
    case NVML_TEMPERATURE_THRESHOLD_GPU_MAX:
        return celsius(gpu, AT(threshold_gpu_max), (int *)temp);
    case NVML_TEMPERATURE_THRESHOLD_ACOUSTIC_MIN:
        return celsius(gpu, AT(threshold_target_min), (int *)temp);
    case NVML_TEMPERATURE_THRESHOLD_ACOUSTIC_CURR:
        return celsius(gpu, AT(threshold_target), (int *)temp);
    case NVML_TEMPERATURE_THRESHOLD_ACOUSTIC_MAX:
        return celsius(gpu, AT(threshold_target_max), (int *)temp);
    default:
        return NVML_ERROR_NOT_SUPPORTED;
    }
}

/* T.Limit: how many degrees are left. */
nvmlReturn_t nvmlDeviceGetMarginTemperature(nvmlDevice_t device, nvmlMarginTemperature_t *marginTempInfo)
{
    GPU_OR_RETURN(gpu, device, marginTempInfo != NULL);
    KNOWN_VERSION(marginTempInfo, NVSIM_VERSION_nvmlMarginTemperature_v1_t);
    int now = 0, base = 0;
    nvmlReturn_t result = celsius(gpu, AT(temperature), &now);
    if (!result)
        result = celsius(gpu, AT(tlimit_base), &base);
    if (!result)
        marginTempInfo->marginTemperature = (int)((unsigned)base - (unsigned)now);
    return result;
}

/* One sensor, inside the GPU: number 0, or 15 for all that there are. */
nvmlReturn_t nvmlDeviceGetThermalSettings(nvmlDevice_t device, unsigned int sensorIndex,
                                          nvmlGpuThermalSettings_t *pThermalSettings)
{
    GPU_OR_RETURN(gpu, device, pThermalSettings != NULL && (!sensorIndex || sensorIndex == NVML_THERMAL_TARGET_ALL));
    int now = 0, highest = 0;
    nvmlReturn_t result = celsius(gpu, AT(temperature), &now);
    if (!result)
        result = celsius(gpu, AT(threshold_shutdown), &highest);
    if (result)
        return result;
    *pThermalSettings = (nvmlGpuThermalSettings_t){.count = 1};
    pThermalSettings->sensor[0].controller = NVML_THERMAL_CONTROLLER_GPU_INTERNAL;
    pThermalSettings->sensor[0].defaultMaxTemp = highest;
    pThermalSettings->sensor[0].currentTemp = now;
    pThermalSettings->sensor[0].target = NVML_THERMAL_TARGET_GPU;
    return NVML_SUCCESS;
}

static nvmlReturn_t set_target(struct nvsim_gpu *gpu, void *arguments)
{
    int32_t celsius = *(const int *)arguments;
    if (gpu->threshold_target == NVSIM_ABSENT_I32)
        return NVML_ERROR_NOT_SUPPORTED;
    if (celsius < gpu->threshold_target_min || celsius > gpu->threshold_target_max)
        return NVML_ERROR_INVALID_ARGUMENT;
    gpu->threshold_target = celsius;
    return NVML_SUCCESS;
}

/* The target that fan and clocks follow is what can be set, between the ends that the board names. */
nvmlReturn_t nvmlDeviceSetTemperatureThreshold(nvmlDevice_t device, nvmlTemperatureThresholds_t thresholdType,
                                               int *temp)
{
    GPU_OR_RETURN(gpu, device, temp != NULL && thresholdType < NVML_TEMPERATURE_THRESHOLD_COUNT);
    if (thresholdType != NVML_TEMPERATURE_THRESHOLD_ACOUSTIC_CURR)
        return NVML_ERROR_NOT_SUPPORTED;
    return change_gpu(device, set_target, temp);
}
