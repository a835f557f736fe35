/* Small settings: the name of the host, the hint for performance; and what the driver says of clocks and of its age. */
#include <time.h>

#include "change.h"

/* The name that a machine gave to a GPU; empty as long as nobody did. */
nvmlReturn_t nvmlDeviceGetHostname_v1(nvmlDevice_t device, nvmlHostname_v1_t *hostname)
{
    GPU_OR_RETURN(gpu, device, hostname != NULL);
    _Static_assert(sizeof gpu->hostname == sizeof hostname->value, "a name has room in the board");
    if (!gpu->takes_hostname)
        return NVML_ERROR_NOT_SUPPORTED;
    READING(gpu)
        memcpy(hostname->value, gpu->hostname, sizeof hostname->value);
    return NVML_SUCCESS;
}

static nvmlReturn_t set_hostname(struct nvsim_gpu *gpu, void *hostname)
{
    if (!gpu->takes_hostname)
        return NVML_ERROR_NOT_SUPPORTED;
    memcpy(gpu->hostname, hostname, sizeof gpu->hostname);
    return NVML_SUCCESS;
}

/* Text with a NUL at its end; what is behind that is not kept. */
nvmlReturn_t nvmlDeviceSetHostname_v1(nvmlDevice_t device, nvmlHostname_v1_t *hostname)
{
    nvmlHostname_v1_t wanted = {{0}};
    GPU_OR_RETURN(gpu, device, hostname != NULL);
    size_t used = strnlen(hostname->value, sizeof hostname->value);
    if (used == sizeof hostname->value)
        return NVML_ERROR_INVALID_ARGUMENT;
    memcpy(wanted.value, hostname->value, used);
    return change_gpu(device, set_hostname, &wanted);
}

enum {
    ALL_POWER_MIZER_MODES = (2u << NVML_POWER_MIZER_MODE_PREFER_CONSISTENT_PERFORMANCE) - 1, /* the last of four */
};

nvmlReturn_t nvmlDeviceGetPowerMizerMode_v1(nvmlDevice_t device, nvmlDevicePowerMizerModes_v1_t *powerMizerMode)
{
    nvmlReturn_t result = get_u32(device, powerMizerMode ? &powerMizerMode->currentMode : NULL, AT(power_mizer));
    if (!result)
        powerMizerMode->supportedPowerMizerModes = ALL_POWER_MIZER_MODES;
    return result;
}

static nvmlReturn_t set_power_mizer(struct nvsim_gpu *gpu, void *mode)
{
    if (gpu->power_mizer == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    gpu->power_mizer = *(const unsigned *)mode;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceSetPowerMizerMode_v1(nvmlDevice_t device, nvmlDevicePowerMizerModes_v1_t *powerMizerMode)
{
    GPU_OR_RETURN(gpu, device, powerMizerMode != NULL);
    if (powerMizerMode->mode > NVML_POWER_MIZER_MODE_PREFER_CONSISTENT_PERFORMANCE)
        return NVML_ERROR_INVALID_ARGUMENT;
    return change_gpu(device, set_power_mizer, &powerMizerMode->mode);
}

/* Which clock domains are at fault; administrators may ask. */
nvmlReturn_t nvmlDeviceGetClkMonStatus(nvmlDevice_t device, nvmlClkMonStatus_t *status)
{
    GPU_OR_RETURN(gpu, device, status != NULL);
    uint32_t faults = LOAD(gpu->clock_faults);
    if (administrator())
        return NVML_ERROR_NO_PERMISSION;
    if (faults == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    *status = (nvmlClkMonStatus_t){.bGlobalStatus = faults != 0};
    for (unsigned domain = 0; domain < 32; domain++)
        if (faults >> domain & 1)
            status->clkMonList[status->clkMonListSize++] =
                (nvmlClkMonFaultInfo_t){.clkApiDomain = 1u << domain, .clkDomainFaultMask = 1};
    return NVML_SUCCESS;
}

/* The driver was loaded when the machine started. */
nvmlReturn_t nvmlDeviceGetGpuUptime_v1(nvmlDevice_t device, nvmlGpuUptime_v1_t *uptime)
{
    struct timespec now = {0};
    GPU_OR_RETURN(gpu, device, uptime != NULL);
    clock_gettime(CLOCK_MONOTONIC, &now);
    uptime->uptime = (unsigned)now.tv_sec;
    return NVML_SUCCESS;
}
