/* Utilisation, and the sessions of encoder and frame-buffer capture. */
#include "internal.h"

enum { SAMPLING_PERIOD_US = 167000 };

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization)
{
    GPU_OR_RETURN(gpu, device, utilization != NULL);
    nvmlUtilization_t found = {0};
    READING(gpu) {
        found.gpu = LOAD(gpu->utilization_gpu);
        found.memory = LOAD(gpu->utilization_memory);
    }
    /* The parent of MIG devices does not say. */
    if (LOAD(gpu->mig_mode) == 1)
        return NVML_ERROR_NOT_SUPPORTED;
    *utilization = found;
    return NVML_SUCCESS;
}

static nvmlReturn_t engine(nvmlDevice_t device, unsigned *utilization, unsigned *period, size_t offset)
{
    GPU_OR_RETURN(gpu, device, utilization && period);
    nvmlReturn_t result = LOAD(gpu->mig_mode) == 1 ? NVML_ERROR_NOT_SUPPORTED : get_u32(device, utilization, offset);
    if (!result)
        *period = SAMPLING_PERIOD_US;
    return result;
}

nvmlReturn_t nvmlDeviceGetEncoderUtilization(nvmlDevice_t device, unsigned int *utilization,
                                             unsigned int *samplingPeriodUs)
{
    return engine(device, utilization, samplingPeriodUs, AT(utilization_encoder));
}

nvmlReturn_t nvmlDeviceGetDecoderUtilization(nvmlDevice_t device, unsigned int *utilization,
                                             unsigned int *samplingPeriodUs)
{
    return engine(device, utilization, samplingPeriodUs, AT(utilization_decoder));
}

nvmlReturn_t nvmlDeviceGetJpgUtilization(nvmlDevice_t device, unsigned int *utilization,
                                         unsigned int *samplingPeriodUs)
{
    return engine(device, utilization, samplingPeriodUs, AT(utilization_jpeg));
}

nvmlReturn_t nvmlDeviceGetOfaUtilization(nvmlDevice_t device, unsigned int *utilization,
                                         unsigned int *samplingPeriodUs)
{
    return engine(device, utilization, samplingPeriodUs, AT(utilization_ofa));
}

/* Nobody encodes or captures on an emulated GPU. */
GET_EMPTY(nvmlDeviceGetEncoderSessions, nvmlEncoderSessionInfo_t)
GET_EMPTY(nvmlDeviceGetFBCSessions, nvmlFBCSessionInfo_t)

nvmlReturn_t nvmlDeviceGetEncoderCapacity(nvmlDevice_t device, nvmlEncoderType_t encoderQueryType,
                                          unsigned int *encoderCapacity)
{
    GPU_OR_RETURN(gpu, device, encoderCapacity != NULL);
    if (encoderQueryType > NVML_ENCODER_QUERY_AV1)
        return NVML_ERROR_INVALID_ARGUMENT;
    *encoderCapacity = 100 - LOAD(gpu->utilization_encoder) % 101;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEncoderStats(nvmlDevice_t device, unsigned int *sessionCount, unsigned int *averageFps,
                                       unsigned int *averageLatency)
{
    GPU_OR_RETURN(gpu, device, sessionCount && averageFps && averageLatency);
    *sessionCount = *averageFps = *averageLatency = 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetFBCStats(nvmlDevice_t device, nvmlFBCStats_t *fbcStats)
{
    GPU_OR_RETURN(gpu, device, fbcStats != NULL);
    *fbcStats = (nvmlFBCStats_t){0};
    return NVML_SUCCESS;
}
