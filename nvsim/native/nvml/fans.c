/* Fans: their speed, and who sets it. */
#include "change.h"

enum { FAN_SPEED_MIN = 30, FAN_SPEED_MAX = 100, FANS = sizeof((struct nvsim_gpu *)0)->fan_target / sizeof(uint32_t) };

nvmlReturn_t nvmlDeviceGetNumFans(nvmlDevice_t device, unsigned int *numFans)
{
    GPU_OR_RETURN(gpu, device, numFans != NULL);
    if (!gpu->fan_count)
        return NVML_ERROR_NOT_SUPPORTED;
    *numFans = gpu->fan_count;
    return NVML_SUCCESS;
}

/* A board without fans supports none of their queries; a fan that it does not have is an invalid argument. */
static nvmlReturn_t known_fan(const struct nvsim_gpu *gpu, unsigned fan)
{
    if (!gpu->fan_count)
        return NVML_ERROR_NOT_SUPPORTED;
    return fan < gpu->fan_count && fan < FANS ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

static nvmlReturn_t fan_of(nvmlDevice_t device, unsigned fan, const void *pointer)
{
    GPU_OR_RETURN(gpu, device, pointer != NULL);
    return known_fan(gpu, fan);
}

/* A fan that an administrator holds turns at its target, the others as the board says. */
nvmlReturn_t nvmlDeviceGetFanSpeed_v2(nvmlDevice_t device, unsigned int fan, unsigned int *speed)
{
    nvmlReturn_t result = fan_of(device, fan, speed);
    if (result)
        return result;
    uint32_t manual = 0, target = 0;
    GPU_OR_RETURN(gpu, device, 1);
    READING(gpu) {
        manual = LOAD(gpu->fan_manual) >> fan & 1;
        target = LOAD(gpu->fan_target[fan]);
    }
    if (!manual)
        return get_u32(device, speed, AT(fan_speed));
    *speed = target;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetFanSpeed(nvmlDevice_t device, unsigned int *speed)
{
    return nvmlDeviceGetFanSpeed_v2(device, 0, speed);
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
    if (result)
        return result;
    GPU_OR_RETURN(gpu, device, 1);
    *policy = LOAD(gpu->fan_manual) >> fan & 1 ? NVML_FAN_POLICY_MANUAL : NVML_FAN_POLICY_TEMPERATURE_CONTINOUS_SW;
    return NVML_SUCCESS;
}

/* Fans of these boards are driven at any speed, and cool the whole board. */
nvmlReturn_t nvmlDeviceGetCoolerInfo(nvmlDevice_t device, nvmlCoolerInfo_t *coolerInfo)
{
    GPU_OR_RETURN(gpu, device, coolerInfo != NULL);
    KNOWN_VERSION(coolerInfo, NVSIM_VERSION_nvmlCoolerInfo_v1_t);
    nvmlReturn_t result = known_fan(gpu, coolerInfo->index);
    if (!result) {
        coolerInfo->signalType = NVML_THERMAL_COOLER_SIGNAL_VARIABLE;
        coolerInfo->target = NVML_THERMAL_COOLER_TARGET_GPU_RELATED;
    }
    return result;
}

struct wanted {
    unsigned fan;
    int manual;
    uint32_t percent; /* for a fan that turns at a target */
};

static nvmlReturn_t hold(struct nvsim_gpu *gpu, void *arguments)
{
    const struct wanted *wanted = arguments;
    nvmlReturn_t result = known_fan(gpu, wanted->fan);
    if (result)
        return result;
    uint32_t bit = 1u << wanted->fan;
    gpu->fan_manual = wanted->manual ? gpu->fan_manual | bit : gpu->fan_manual & ~bit;
    gpu->fan_target[wanted->fan] = wanted->percent;
    return NVML_SUCCESS;
}

/* The fan stays at this speed, whatever the temperature. */
nvmlReturn_t nvmlDeviceSetFanSpeed_v2(nvmlDevice_t device, unsigned int fan, unsigned int speed)
{
    struct wanted wanted = {fan, 1, speed};
    nvmlReturn_t result = fan_of(device, fan, &wanted);
    if (result)
        return result;
    if (speed < FAN_SPEED_MIN || speed > FAN_SPEED_MAX)
        return NVML_ERROR_INVALID_ARGUMENT;
    return change_gpu(device, hold, &wanted);
}

/* The fan follows the temperature again. */
nvmlReturn_t nvmlDeviceSetDefaultFanSpeed_v2(nvmlDevice_t device, unsigned int fan)
{
    struct wanted wanted = {fan, 0, 0};
    return change_gpu(device, hold, &wanted);
}

/* A fan that is held from now on goes on at its speed. */
nvmlReturn_t nvmlDeviceSetFanControlPolicy(nvmlDevice_t device, unsigned int fan, nvmlFanControlPolicy_t policy)
{
    unsigned speed = 0;
    nvmlReturn_t result = nvmlDeviceGetFanSpeed_v2(device, fan, &speed);
    if (result)
        return result;
    if (policy > NVML_FAN_POLICY_MANUAL)
        return NVML_ERROR_INVALID_ARGUMENT;
    struct wanted wanted = {fan, policy == NVML_FAN_POLICY_MANUAL, speed};
    return change_gpu(device, hold, &wanted);
}
