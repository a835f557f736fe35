/* Temperatures and fans. */
#include "internal.h"

enum { FAN_SPEED_MIN = 30, FAN_SPEED_MAX = 100 };

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

nvmlReturn_t nvmlDeviceGetNumFans(nvmlDevice_t device, unsigned int *numFans)
{
    GPU_OR_RETURN(gpu, device, numFans != NULL);
    if (!gpu->fan_count)
        return NVML_ERROR_NOT_SUPPORTED;
    *numFans = gpu->fan_count;
    return NVML_SUCCESS;
}

GET_U32(nvmlDeviceGetFanSpeed, unsigned int, fan_speed)

/* A board without fans supports none of their queries; a fan that it does not have is an invalid argument. */
static nvmlReturn_t fan_of(nvmlDevice_t device, unsigned fan, const void *pointer)
{
    GPU_OR_RETURN(gpu, device, pointer != NULL);
    if (!gpu->fan_count)
        return NVML_ERROR_NOT_SUPPORTED;
    return fan < gpu->fan_count ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetFanSpeed_v2(nvmlDevice_t device, unsigned int fan, unsigned int *speed)
{
    nvmlReturn_t result = fan_of(device, fan, speed);
    return result ? result : get_u32(device, speed, AT(fan_speed));
}

nvmlReturn_t nvmlDeviceGetTargetFanSpeed(nvmlDevice_t device, unsigned int fan, unsigned int *targetSpeed)
{
    return nvmlDeviceGetFanSpeed_v2(device, fan, targetSpeed);
}

nvmlReturn_t nvmlDeviceGetFanSpeedRPM(nvmlDevice_t device, nvmlFanSpeedInfo_t *fanSpeed)
{
    GPU_OR_RETURN(gpu, device, fanSpeed != NULL);
    KNOWN_VERSION(fanSpeed, NVSIM_VERSION_nvmlFanSpeedInfo_v1_t);
    nvmlReturn_t result = fan_of(device, fanSpeed->fan, fanSpeed);
    return result ? result : get_u32(device, &fanSpeed->speed, AT(fan_rpm));
}

nvmlReturn_t nvmlDeviceGetMinMaxFanSpeed(nvmlDevice_t device, unsigned int *minSpeed, unsigned int *maxSpeed)
{
    nvmlReturn_t result = fan_of(device, 0, minSpeed && maxSpeed ? minSpeed : NULL);
    if (!result) {
        *minSpeed = FAN_SPEED_MIN;
        *maxSpeed = FAN_SPEED_MAX;
    }
    return result;
}

nvmlReturn_t nvmlDeviceGetFanControlPolicy_v2(nvmlDevice_t device, unsigned int fan, nvmlFanControlPolicy_t *policy)
{
    nvmlReturn_t result = fan_of(device, fan, policy);
    if (!result)
        *policy = NVML_FAN_POLICY_TEMPERATURE_CONTINOUS_SW;
    return result;
}
