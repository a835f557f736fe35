/* Samples of the last seconds.  The board holds the present alone: the past is made from it, the same for everybody
 * who asks at the same time, and varies by a hundredth of the value. */
#include "processes.h"

/* What a kind of sample is of, how many the driver keeps, and how many microseconds lie between two of them; numbers
 * and periods are those that nvidia-smi -q -d UTILIZATION,POWER,CLOCK shows. */
struct series {
    size_t offset;
    unsigned count;
    unsigned period;
};

static const struct series all_series[NVML_SAMPLINGTYPE_COUNT] = {
    [NVML_TOTAL_POWER_SAMPLES] = {AT(power_usage), 119, 20000},
    [NVML_GPU_UTILIZATION_SAMPLES] = {AT(utilization_gpu), 99, 167000},
    [NVML_MEMORY_UTILIZATION_SAMPLES] = {AT(utilization_memory), 99, 167000},
    [NVML_ENC_UTILIZATION_SAMPLES] = {AT(utilization_encoder), 99, 167000},
    [NVML_DEC_UTILIZATION_SAMPLES] = {AT(utilization_decoder), 99, 167000},
    [NVML_PROCESSOR_CLK_SAMPLES] = {AT(clock_sm), 100, 20000},
    [NVML_MEMORY_CLK_SAMPLES] = {AT(clock_memory), 100, 20000},
    [NVML_MODULE_POWER_SAMPLES] = {AT(power_module), 119, 20000},
    [NVML_JPG_UTILIZATION_SAMPLES] = {AT(utilization_jpeg), 99, 167000},
    [NVML_OFA_UTILIZATION_SAMPLES] = {AT(utilization_ofa), 99, 167000},
};

static int is_utilization(nvmlSamplingType_t type)
{
    return all_series[type].period == all_series[NVML_GPU_UTILIZATION_SAMPLES].period;
}

/* 0, then 1 and -1 in turn: cycles divide the number of samples, so that the mean of all is the value itself. */
static int wobble(nvmlSamplingType_t type, uint64_t tick)
{
    enum { POWER_CYCLE = 7, UTILIZATION_CYCLE = 11 };
    unsigned place = (unsigned)(tick % (is_utilization(type) ? UTILIZATION_CYCLE : POWER_CYCLE));
    return place ? (int)(place & 1) * 2 - 1 : 0;
}

/* Clocks keep still; a percentage stays one. */
static uint32_t sample_at(nvmlSamplingType_t type, uint32_t value, uint64_t tick)
{
    if (type == NVML_PROCESSOR_CLK_SAMPLES || type == NVML_MEMORY_CLK_SAMPLES || !value)
        return value;
    uint32_t step = value / 100 ? value / 100 : 1, varied = value + (uint32_t)wobble(type, tick) * step;
    return is_utilization(type) && varied > 100 ? 100 : varied;
}

/* The newest samples after a time stamp, oldest first, as many as the caller has room for.  Without an array: how many
 * there can be.  6: nothing is newer. */
static nvmlReturn_t fill(nvmlSamplingType_t type, uint32_t value, uint64_t after, unsigned *count,
                         nvmlSample_t *samples)
{
    const struct series *series = &all_series[type];
    uint64_t newest = now_us() / series->period, oldest = newest - series->count + 1;
    if (!samples) {
        *count = series->count;
        return NVML_SUCCESS;
    }
    if (!*count)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (after / series->period >= oldest)
        oldest = after / series->period + 1;
    if (oldest > newest) {
        *count = 0;
        return NVML_ERROR_NOT_FOUND;
    }
    if (newest - oldest >= *count)
        oldest = newest - *count + 1;
    *count = (unsigned)(newest - oldest + 1);
    for (unsigned i = 0; i < *count; i++)
        samples[i] = (nvmlSample_t){.timeStamp = (oldest + i) * series->period,
                                    .sampleValue = {.uiVal = sample_at(type, value, oldest + i)}};
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetSamples(nvmlDevice_t device, nvmlSamplingType_t type, unsigned long long lastSeenTimeStamp,
                                  nvmlValueType_t *sampleValType, unsigned int *sampleCount, nvmlSample_t *samples)
{
    GPU_OR_RETURN(gpu, device, sampleValType && sampleCount && type < NVML_SAMPLINGTYPE_COUNT);
    uint32_t value = 0;
    if (is_utilization(type) && LOAD(gpu->mig_mode) == 1)
        return NVML_ERROR_NOT_SUPPORTED;
    nvmlReturn_t result = get_u32(device, &value, all_series[type].offset);
    if (result)
        return result;
    *sampleValType = NVML_VALUE_TYPE_UNSIGNED_INT;
    return fill(type, value, lastSeenTimeStamp, sampleCount, samples);
}
