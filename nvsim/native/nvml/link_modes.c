/* NVLink settings: bandwidth, sleep, and the utilisation counters of NVLink 2. */
#include "change.h"

enum { FULL, OFF, LEAST, HALF, THREE_QUARTERS, BANDWIDTH_MODES };
enum { COUNTERS = 2, LINKS = NVML_NVLINK_MAX_LINKS };
#define FROZEN 0x80000000u

/* Boards without bandwidth modes support none of their calls. */
static nvmlReturn_t read_bandwidth(nvmlDevice_t device, int pointers, uint32_t *mode)
{
    GPU_OR_RETURN(gpu, device, pointers);
    READING(gpu)
        *mode = LOAD(gpu->nvlink_bandwidth_mode);
    return *mode == NVSIM_ABSENT_U32 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvlinkSupportedBwModes(nvmlDevice_t device, nvmlNvlinkSupportedBwModes_t *supportedBwMode)
{
    uint32_t mode = 0;
    nvmlReturn_t result = read_bandwidth(device, supportedBwMode != NULL, &mode);
    if (result)
        return result;
    KNOWN_VERSION(supportedBwMode, NVSIM_VERSION_nvmlNvlinkSupportedBwModes_v1_t);
    for (unsigned char i = 0; i < BANDWIDTH_MODES; i++)
        supportedBwMode->bwModes[i] = i;
    supportedBwMode->totalBwModes = BANDWIDTH_MODES;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvlinkBwMode(nvmlDevice_t device, nvmlNvlinkGetBwMode_t *getBwMode)
{
    uint32_t mode = 0;
    nvmlReturn_t result = read_bandwidth(device, getBwMode != NULL, &mode);
    if (result)
        return result;
    KNOWN_VERSION(getBwMode, NVSIM_VERSION_nvmlNvlinkGetBwMode_v1_t);
    getBwMode->bwMode = (unsigned char)mode;
    getBwMode->bIsBest = mode == FULL;
    return NVML_SUCCESS;
}

static nvmlReturn_t set_bandwidth(struct nvsim_gpu *gpu, void *mode)
{
    gpu->nvlink_bandwidth_mode = *(const unsigned *)mode;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceSetNvlinkBwMode(nvmlDevice_t device, nvmlNvlinkSetBwMode_t *setBwMode)
{
    uint32_t mode = 0;
    nvmlReturn_t result = read_bandwidth(device, setBwMode != NULL, &mode);
    if (result)
        return result;
    KNOWN_VERSION(setBwMode, NVSIM_VERSION_nvmlNvlinkSetBwMode_v1_t);
    mode = setBwMode->bSetBest ? FULL : setBwMode->bwMode;
    return mode < BANDWIDTH_MODES ? change_gpu(device, set_bandwidth, &mode) : NVML_ERROR_INVALID_ARGUMENT;
}

/* The mode of the whole machine is that of its first GPU. */
nvmlReturn_t nvmlSystemGetNvlinkBwMode(unsigned int *nvlinkBwMode)
{
    uint32_t mode = 0;
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!nvlinkBwMode)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!(LOAD(nvsim_session) & 0xFF))
        return NVML_ERROR_NOT_FOUND;
    nvmlReturn_t result = read_bandwidth(handle_of(0), 1, &mode);
    if (!result)
        *nvlinkBwMode = mode;
    return result;
}

/* All GPUs that have modes, or none: whoever may change one may change all. */
nvmlReturn_t nvmlSystemSetNvlinkBwMode(unsigned int nvlinkBwMode)
{
    unsigned all = (unsigned)(LOAD(nvsim_session) & 0xFF);
    nvmlReturn_t result = NVML_ERROR_NOT_SUPPORTED;
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (nvlinkBwMode >= BANDWIDTH_MODES)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned index = 0; index < all; index++)
        if (gpu_at(index)->nvlink_bandwidth_mode != NVSIM_ABSENT_U32) {
            result = change_gpu(handle_of(index), set_bandwidth, &nvlinkBwMode);
            if (result)
                return result;
        }
    return result;
}

static nvmlReturn_t set_threshold(struct nvsim_gpu *gpu, void *threshold)
{
    gpu->nvlink_low_power = *(const unsigned *)threshold;
    return NVML_SUCCESS;
}

/* All bits set: back to the threshold that the board came with. */
nvmlReturn_t nvmlDeviceSetNvLinkDeviceLowPowerThreshold(nvmlDevice_t device, nvmlNvLinkPowerThres_t *info)
{
    enum { STANDARD = 100 };
    GPU_OR_RETURN(gpu, device, info != NULL);
    if (LOAD(gpu->nvlink_low_power) == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    unsigned threshold = info->lowPwrThreshold == NVML_NVLINK_LOW_POWER_THRESHOLD_RESET ? STANDARD
                                                                                       : info->lowPwrThreshold;
    if (threshold < NVML_NVLINK_LOW_POWER_THRESHOLD_MIN || threshold > NVML_NVLINK_LOW_POWER_THRESHOLD_MAX)
        return NVML_ERROR_INVALID_ARGUMENT;
    return change_gpu(device, set_threshold, &threshold);
}

/* Links are not encrypted, and no firmware version is known.  Version 1 ends before the firmware. */
nvmlReturn_t nvmlDeviceGetNvLinkInfo(nvmlDevice_t device, nvmlNvLinkInfo_t *info)
{
    GPU_OR_RETURN(gpu, device, info != NULL);
    if (!IS_VERSION(info, NVSIM_VERSION_nvmlNvLinkInfo_v1_t) && !IS_VERSION(info, NVSIM_VERSION_nvmlNvLinkInfo_v2_t))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (!gpu->nvlink_links || gpu->architecture < NVML_DEVICE_ARCH_BLACKWELL)
        return NVML_ERROR_NOT_SUPPORTED;
    info->isNvleEnabled = 0;
    if (info->version == NVSIM_VERSION_nvmlNvLinkInfo_v2_t)
        info->firmwareInfo.numValidEntries = 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkInfo_v3(nvmlDevice_t device, nvmlNvLinkInfo_v3_t *info)
{
    GPU_OR_RETURN(gpu, device, info != NULL);
    if (!gpu->nvlink_links || gpu->architecture < NVML_DEVICE_ARCH_BLACKWELL)
        return NVML_ERROR_NOT_SUPPORTED;
    memset(info, 0, sizeof *info);
    return NVML_SUCCESS;
}

/* The utilisation counters, which boards after Volta do not have. */
static nvmlReturn_t counter_of(nvmlDevice_t device, unsigned link, unsigned counter, int pointers, uint32_t *control)
{
    GPU_OR_RETURN(gpu, device, pointers);
    if (!gpu->nvlink_links || gpu->architecture > NVML_DEVICE_ARCH_VOLTA)
        return NVML_ERROR_NOT_SUPPORTED;
    if (link >= gpu->nvlink_links || link >= LINKS || counter >= COUNTERS)
        return NVML_ERROR_INVALID_ARGUMENT;
    READING(gpu)
        *control = LOAD(gpu->nvlink_control[link * COUNTERS + counter]);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkUtilizationControl(nvmlDevice_t device, unsigned int link, unsigned int counter,
                                                   nvmlNvLinkUtilizationControl_t *control)
{
    uint32_t found = 0;
    nvmlReturn_t result = counter_of(device, link, counter, control != NULL, &found);
    if (result)
        return result;
    control->units = (nvmlNvLinkUtilizationCountUnits_t)(found >> 8 & 0xFF);
    control->pktfilter = (nvmlNvLinkUtilizationCountPktTypes_t)(found & 0xFF);
    return NVML_SUCCESS;
}

/* The traffic that the board counts, in bytes, while the counter is told to count. */
nvmlReturn_t nvmlDeviceGetNvLinkUtilizationCounter(nvmlDevice_t device, unsigned int link, unsigned int counter,
                                                   unsigned long long *rxcounter, unsigned long long *txcounter)
{
    uint32_t control = 0;
    nvmlReturn_t result = counter_of(device, link, counter, rxcounter && txcounter, &control);
    if (result)
        return result;
    const struct nvsim_gpu *gpu = NULL;
    result = gpu_of(device, 1, &gpu);
    if (result)
        return result;
    READING(gpu) {
        *rxcounter = LOAD(gpu->nvlink_received[link]) * 1024;
        *txcounter = LOAD(gpu->nvlink_sent[link]) * 1024;
    }
    return NVML_SUCCESS;
}

/* What to do with a counter, or with the errors of a link. */
struct edit {
    unsigned link;
    unsigned counter;
    uint32_t control;
    int reset;
};

static nvmlReturn_t reset_traffic(struct nvsim_gpu *gpu, void *arguments)
{
    const struct edit *edit = arguments;
    gpu->nvlink_sent[edit->link] = gpu->nvlink_received[edit->link] = 0;
    return NVML_SUCCESS;
}

static nvmlReturn_t set_control(struct nvsim_gpu *gpu, void *arguments)
{
    const struct edit *edit = arguments;
    gpu->nvlink_control[edit->link * COUNTERS + edit->counter] = edit->control;
    return edit->reset ? reset_traffic(gpu, arguments) : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceSetNvLinkUtilizationControl(nvmlDevice_t device, unsigned int link, unsigned int counter,
                                                   nvmlNvLinkUtilizationControl_t *control, unsigned int reset)
{
    uint32_t found = 0;
    nvmlReturn_t result = counter_of(device, link, counter, control != NULL, &found);
    if (result)
        return result;
    if (control->units >= NVML_NVLINK_COUNTER_UNIT_RESERVED || control->pktfilter > NVML_NVLINK_COUNTER_PKTFILTER_ALL)
        return NVML_ERROR_INVALID_ARGUMENT;
    struct edit edit = {link, counter, (uint32_t)control->units << 8 | (uint32_t)control->pktfilter, reset != 0};
    return change_gpu(device, set_control, &edit);
}

nvmlReturn_t nvmlDeviceFreezeNvLinkUtilizationCounter(nvmlDevice_t device, unsigned int link, unsigned int counter,
                                                      nvmlEnableState_t freeze)
{
    uint32_t found = 0;
    nvmlReturn_t result = counter_of(device, link, counter, 1, &found);
    if (result)
        return result;
    struct edit edit = {link, counter, (found & ~FROZEN) | (freeze ? FROZEN : 0), 0};
    return change_gpu(device, set_control, &edit);
}

nvmlReturn_t nvmlDeviceResetNvLinkUtilizationCounter(nvmlDevice_t device, unsigned int link, unsigned int counter)
{
    uint32_t found = 0;
    nvmlReturn_t result = counter_of(device, link, counter, 1, &found);
    struct edit edit = {.link = link};
    return result ? result : change_gpu(device, reset_traffic, &edit);
}

static nvmlReturn_t reset_errors(struct nvsim_gpu *gpu, void *arguments)
{
    const struct edit *edit = arguments;
    memset(gpu->nvlink_errors + edit->link * NVML_NVLINK_ERROR_COUNT, 0,
           NVML_NVLINK_ERROR_COUNT * sizeof *gpu->nvlink_errors);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceResetNvLinkErrorCounters(nvmlDevice_t device, unsigned int link)
{
    GPU_OR_RETURN(gpu, device, 1);
    if (!gpu->nvlink_links)
        return NVML_ERROR_NOT_SUPPORTED;
    if (link >= gpu->nvlink_links || link >= LINKS)
        return NVML_ERROR_INVALID_ARGUMENT;
    struct edit edit = {.link = link};
    return change_gpu(device, reset_errors, &edit);
}
