/* Offsets of the voltage and frequency curves: what the board allows, and what an administrator set. */
#include "change.h"

/* Where the record has the offset of a clock. */
struct places {
    size_t now, lowest, highest;
};
static const struct places graphics = {AT(offset_graphics), AT(offset_graphics_min), AT(offset_graphics_max)};
static const struct places memory = {AT(offset_memory), AT(offset_memory_min), AT(offset_memory_max)};

struct offset {
    int32_t now, lowest, highest;
};

static nvmlReturn_t offset_of(nvmlDevice_t device, const struct places *places, int pointers, struct offset *found)
{
    GPU_OR_RETURN(gpu, device, pointers);
    READING(gpu) {
        found->now = VALUE_AT(int32_t, gpu, places->now);
        found->lowest = VALUE_AT(int32_t, gpu, places->lowest);
        found->highest = VALUE_AT(int32_t, gpu, places->highest);
    }
    return found->now == NVSIM_ABSENT_I32 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
}

static nvmlReturn_t get_offset(nvmlDevice_t device, const struct places *places, int *offset)
{
    struct offset found;
    nvmlReturn_t result = offset_of(device, places, offset != NULL, &found);
    if (!result)
        *offset = found.now;
    return result;
}

static nvmlReturn_t get_range(nvmlDevice_t device, const struct places *places, int *lowest, int *highest)
{
    struct offset found;
    nvmlReturn_t result = offset_of(device, places, lowest && highest, &found);
    if (!result) {
        *lowest = found.lowest;
        *highest = found.highest;
    }
    return result;
}

struct wanted {
    const struct places *places;
    int32_t offset;
};

static nvmlReturn_t set_offset(struct nvsim_gpu *gpu, void *arguments)
{
    const struct wanted *wanted = arguments;
    int32_t *now = (int32_t *)((char *)gpu + wanted->places->now);
    if (*now == NVSIM_ABSENT_I32)
        return NVML_ERROR_NOT_SUPPORTED;
    if (wanted->offset < VALUE_AT(int32_t, gpu, wanted->places->lowest) ||
        wanted->offset > VALUE_AT(int32_t, gpu, wanted->places->highest))
        return NVML_ERROR_INVALID_ARGUMENT;
    *now = wanted->offset;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpcClkVfOffset(nvmlDevice_t device, int *offset)
{
    return get_offset(device, &graphics, offset);
}

nvmlReturn_t nvmlDeviceGetMemClkVfOffset(nvmlDevice_t device, int *offset)
{
    return get_offset(device, &memory, offset);
}

nvmlReturn_t nvmlDeviceGetGpcClkMinMaxVfOffset(nvmlDevice_t device, int *minOffset, int *maxOffset)
{
    return get_range(device, &graphics, minOffset, maxOffset);
}

nvmlReturn_t nvmlDeviceGetMemClkMinMaxVfOffset(nvmlDevice_t device, int *minOffset, int *maxOffset)
{
    return get_range(device, &memory, minOffset, maxOffset);
}

nvmlReturn_t nvmlDeviceSetGpcClkVfOffset(nvmlDevice_t device, int offset)
{
    struct wanted wanted = {&graphics, offset};
    return change_gpu(device, set_offset, &wanted);
}

nvmlReturn_t nvmlDeviceSetMemClkVfOffset(nvmlDevice_t device, int offset)
{
    struct wanted wanted = {&memory, offset};
    return change_gpu(device, set_offset, &wanted);
}

/* The calls above are about the fastest state, and so is the only one that has offsets here. */
static nvmlReturn_t places_of(const nvmlClockOffset_t *info, const struct places **places)
{
    if ((unsigned)info->type >= NVML_CLOCK_COUNT || (unsigned)info->pstate > NVML_PSTATE_15)
        return NVML_ERROR_INVALID_ARGUMENT;
    *places = info->type == NVML_CLOCK_GRAPHICS ? &graphics : info->type == NVML_CLOCK_MEM ? &memory : NULL;
    return *places && info->pstate == NVML_PSTATE_0 ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetClockOffsets(nvmlDevice_t device, nvmlClockOffset_t *info)
{
    const struct places *places = NULL;
    struct offset found;
    GPU_OR_RETURN(gpu, device, info != NULL);
    KNOWN_VERSION(info, NVSIM_VERSION_nvmlClockOffset_v1_t);
    nvmlReturn_t result = places_of(info, &places);
    if (!result)
        result = offset_of(device, places, 1, &found);
    if (result)
        return result;
    info->clockOffsetMHz = found.now;
    info->minClockOffsetMHz = found.lowest;
    info->maxClockOffsetMHz = found.highest;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceSetClockOffsets(nvmlDevice_t device, nvmlClockOffset_t *info)
{
    const struct places *places = NULL;
    GPU_OR_RETURN(gpu, device, info != NULL);
    KNOWN_VERSION(info, NVSIM_VERSION_nvmlClockOffset_v1_t);
    nvmlReturn_t result = places_of(info, &places);
    struct wanted wanted = {places, info->clockOffsetMHz};
    return result ? result : change_gpu(device, set_offset, &wanted);
}
