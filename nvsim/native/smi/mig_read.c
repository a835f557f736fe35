/* What NVML says of MIG profiles and instances. */
#include "mig.h"

#include <stdlib.h>
#include <string.h>

/* By size, and within one size as the driver numbers the variants. */
static const unsigned int order[] = {
    NVML_GPU_INSTANCE_PROFILE_1_SLICE,        NVML_GPU_INSTANCE_PROFILE_1_SLICE_REV1,
    NVML_GPU_INSTANCE_PROFILE_1_SLICE_REV2,   NVML_GPU_INSTANCE_PROFILE_1_SLICE_GFX,
    NVML_GPU_INSTANCE_PROFILE_1_SLICE_ALL_ME, NVML_GPU_INSTANCE_PROFILE_1_SLICE_NO_ME,
    NVML_GPU_INSTANCE_PROFILE_2_SLICE,        NVML_GPU_INSTANCE_PROFILE_2_SLICE_REV1,
    NVML_GPU_INSTANCE_PROFILE_2_SLICE_GFX,    NVML_GPU_INSTANCE_PROFILE_2_SLICE_ALL_ME,
    NVML_GPU_INSTANCE_PROFILE_2_SLICE_NO_ME,  NVML_GPU_INSTANCE_PROFILE_3_SLICE,
    NVML_GPU_INSTANCE_PROFILE_3_SLICE_GFX,    NVML_GPU_INSTANCE_PROFILE_4_SLICE,
    NVML_GPU_INSTANCE_PROFILE_4_SLICE_GFX,    NVML_GPU_INSTANCE_PROFILE_6_SLICE,
    NVML_GPU_INSTANCE_PROFILE_7_SLICE,        NVML_GPU_INSTANCE_PROFILE_8_SLICE,
};

/* What NVML says before 510 has no name: it follows from the sizes and from the kind of profile. */
static void name_profile(nvmlGpuInstanceProfileInfo_v2_t *profile, unsigned int index)
{
    bool media = index == NVML_GPU_INSTANCE_PROFILE_1_SLICE_REV1 || index == NVML_GPU_INSTANCE_PROFILE_2_SLICE_REV1;

    snprintf(profile->name, sizeof profile->name, "MIG %ug.%llugb%s", profile->sliceCount,
             (profile->memorySizeMB + 1023) / 1024, media ? "+me" : "");
}

static nvmlReturn_t read_gpu_profile(nvmlDevice_t device, unsigned int index, nvmlGpuInstanceProfileInfo_v2_t *profile)
{
    nvmlGpuInstanceProfileInfo_t older = {0};
    nvmlReturn_t result;

    *profile = (nvmlGpuInstanceProfileInfo_v2_t){.version = nvmlGpuInstanceProfileInfo_v2};
    result = NVML(nvmlDeviceGetGpuInstanceProfileInfoV, device, index, profile);
    if (result != NVML_ERROR_FUNCTION_NOT_FOUND)
        return result;
    result = NVML(nvmlDeviceGetGpuInstanceProfileInfo, device, index, &older);
    *profile = (nvmlGpuInstanceProfileInfo_v2_t){
        .id = older.id, .isP2pSupported = older.isP2pSupported, .sliceCount = older.sliceCount,
        .instanceCount = older.instanceCount, .multiprocessorCount = older.multiprocessorCount,
        .copyEngineCount = older.copyEngineCount, .decoderCount = older.decoderCount,
        .encoderCount = older.encoderCount, .jpegCount = older.jpegCount, .ofaCount = older.ofaCount,
        .memorySizeMB = older.memorySizeMB};
    name_profile(profile, index);
    return result;
}

/* Whether the GPU, or the driver, just does not have a profile. */
static bool is_missing(nvmlReturn_t result)
{
    return result == NVML_ERROR_NOT_SUPPORTED || result == NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t read_gpu_profiles(nvmlDevice_t device, struct gpu_profiles *profiles)
{
    profiles->count = 0;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        nvmlReturn_t result = read_gpu_profile(device, order[i], &profiles->items[profiles->count]);
        if (result == NVML_SUCCESS)
            profiles->count++;
        else if (!is_missing(result))
            return result;
    }
    return NVML_SUCCESS;
}

static nvmlReturn_t read_compute_profile(nvmlGpuInstance_t handle, unsigned int index,
                                         nvmlComputeInstanceProfileInfo_v2_t *profile)
{
    nvmlComputeInstanceProfileInfo_t older = {0};
    nvmlReturn_t result;

    *profile = (nvmlComputeInstanceProfileInfo_v2_t){.version = nvmlComputeInstanceProfileInfo_v2};
    result = NVML(nvmlGpuInstanceGetComputeInstanceProfileInfoV, handle, index,
                  NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED, profile);
    if (result != NVML_ERROR_FUNCTION_NOT_FOUND)
        return result;
    result = NVML(nvmlGpuInstanceGetComputeInstanceProfileInfo, handle, index,
                  NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED, &older);
    *profile = (nvmlComputeInstanceProfileInfo_v2_t){
        .id = older.id, .sliceCount = older.sliceCount, .instanceCount = older.instanceCount,
        .multiprocessorCount = older.multiprocessorCount, .sharedCopyEngineCount = older.sharedCopyEngineCount,
        .sharedDecoderCount = older.sharedDecoderCount, .sharedEncoderCount = older.sharedEncoderCount,
        .sharedJpegCount = older.sharedJpegCount, .sharedOfaCount = older.sharedOfaCount};
    return result;
}

nvmlReturn_t read_compute_profiles(const struct instance *instance, struct compute_profiles *profiles)
{
    const nvmlGpuInstanceProfileInfo_v2_t *whole = &instance->profile;

    profiles->count = 0;
    for (unsigned int index = 0; index < NVML_COMPUTE_INSTANCE_PROFILE_COUNT; index++) {
        nvmlComputeInstanceProfileInfo_v2_t *profile = &profiles->items[profiles->count];
        nvmlReturn_t result = read_compute_profile(instance->handle, index, profile);
        if (result == NVML_SUCCESS) {
            if (!*profile->name && profile->sliceCount == whole->sliceCount)
                snprintf(profile->name, sizeof profile->name, "%s", whole->name);
            else if (!*profile->name)
                snprintf(profile->name, sizeof profile->name, "MIG %uc.%.80s", profile->sliceCount,
                         whole->name + strlen("MIG "));
            profiles->count++;
        } else if (!is_missing(result)) {
            return result;
        }
    }
    return NVML_SUCCESS;
}

/* Whether the list of ids, separated by commas, has this one; without a list every one is meant. */
static bool is_chosen(const char *ids, unsigned int id)
{
    while (ids && *ids) {
        if (strtoul(ids, NULL, 0) == id)
            return true;
        ids += strcspn(ids, ",");
        ids += *ids == ',';
    }
    return !ids;
}

static nvmlReturn_t add_instances(const struct mig *mig, const struct gpu *gpu,
                                  const nvmlGpuInstanceProfileInfo_v2_t *profile, struct instances *instances)
{
    nvmlGpuInstance_t handles[MIG_INSTANCES];
    unsigned int count = MIG_INSTANCES;
    nvmlReturn_t result = NVML(nvmlDeviceGetGpuInstances, gpu->device, profile->id, handles, &count);

    for (unsigned int i = 0; result == NVML_SUCCESS && i < count; i++) {
        struct instance instance = {.gpu = gpu->index, .device = gpu->device, .handle = handles[i],
                                    .profile = *profile};
        struct instance *items = realloc(instances->items, (instances->count + 1) * sizeof *items);
        if (!items)
            return NVML_ERROR_MEMORY;
        instances->items = items;
        result = NVML(nvmlGpuInstanceGetInfo, handles[i], &instance.info);
        if (result == NVML_SUCCESS && is_chosen(mig->instances, instance.info.id))
            items[instances->count++] = instance;
    }
    return result;
}

/* The GPU instances that the command is about, by GPU and profile; free(instances->items) afterwards. */
nvmlReturn_t read_instances(const struct mig *mig, struct instances *instances)
{
    struct gpu_profiles profiles;
    nvmlReturn_t result = NVML_SUCCESS;

    *instances = (struct instances){0};
    for (size_t i = 0; i < mig->gpus.count && result == NVML_SUCCESS; i++) {
        result = read_gpu_profiles(mig->gpus.items[i].device, &profiles);
        for (size_t n = 0; n < profiles.count && result == NVML_SUCCESS; n++)
            result = add_instances(mig, &mig->gpus.items[i], &profiles.items[n], instances);
    }
    return result;
}

static nvmlReturn_t walk_profile(const struct mig *mig, const struct instance *instance,
                                 const nvmlComputeInstanceProfileInfo_v2_t *profile, visit_compute *visit,
                                 size_t *seen)
{
    nvmlComputeInstance_t handles[MIG_INSTANCES];
    unsigned int count = MIG_INSTANCES;
    nvmlReturn_t result =
        NVML(nvmlGpuInstanceGetComputeInstances, instance->handle, profile->id, handles, &count);

    for (unsigned int i = 0; result == NVML_SUCCESS && i < count; i++) {
        struct compute compute = {.handle = handles[i], .profile = *profile};
        result = NVML(nvmlComputeInstanceGetInfo_v2, handles[i], &compute.info);
        if (result == NVML_ERROR_FUNCTION_NOT_FOUND)
            result = NVML(nvmlComputeInstanceGetInfo, handles[i], &compute.info);
        if (result != NVML_SUCCESS || !is_chosen(mig->computes, compute.info.id))
            continue;
        (*seen)++;
        result = visit ? visit(instance, &compute) : result;
    }
    return result;
}

/* Shows each compute instance of the GPU instances to `visit`, which may be NULL.  Not found if there is none. */
nvmlReturn_t walk_computes(const struct mig *mig, const struct instances *instances, visit_compute *visit)
{
    struct compute_profiles profiles;
    nvmlReturn_t result = NVML_SUCCESS;
    size_t seen = 0;

    for (size_t i = 0; i < instances->count && result == NVML_SUCCESS; i++) {
        result = read_compute_profiles(&instances->items[i], &profiles);
        for (size_t n = 0; n < profiles.count && result == NVML_SUCCESS; n++)
            result = walk_profile(mig, &instances->items[i], &profiles.items[n], visit, &seen);
    }
    return result == NVML_SUCCESS && !seen ? NVML_ERROR_NOT_FOUND : result;
}
