/* Compute instances: what fits into a GPU instance, creating and destroying them, and finding those that there are. */
#include <stdio.h>

#include "change.h"
#include "mig.h"

/* A compute instance's profile in the GPU instance of a slot; NULL if it has none of that id. */
static const struct mig_compute *compute_in(const struct nvsim_gpu *gpu, unsigned gi_slot, unsigned id,
                                            const struct mig_profile **profile)
{
    *profile = mig_profile_with_id(gpu, LOAD(gpu->gi_profile[gi_slot]));
    return *profile ? mig_compute_with_id(*profile, id) : NULL;
}

static int is_free(const struct nvsim_gpu *gpu, unsigned gi, unsigned start, unsigned size)
{
    for (unsigned slot = 0; slot < MIG_SLOTS; slot++) {
        uint32_t taken = LOAD(gpu->ci_start[slot]), length = LOAD(gpu->ci_size[slot]);
        if (length && LOAD(gpu->ci_gpu_instance[slot]) == gi && start < taken + length && taken < start + size)
            return 0;
    }
    return 1;
}

/* A compute instance may lie anywhere in its GPU instance, in slices that follow each other. */
static unsigned capacity(const struct nvsim_gpu *gpu, unsigned gi, const struct mig_profile *parent,
                         const struct mig_compute *compute)
{
    unsigned found = 0;
    for (unsigned start = 0; start + compute->slices <= parent->slices;) {
        int room = is_free(gpu, gi, start, compute->slices);
        found += (unsigned)room;
        start += room ? compute->slices : 1;
    }
    return found;
}

/* A profile by index: 2 for an index or an engine profile that NVML does not know, 3 for one that does not fit. */
static nvmlReturn_t find_index(const struct nvsim_gpu *gpu, unsigned gi_slot, unsigned index, unsigned engines,
                               const struct mig_compute **compute, const struct mig_profile **profile)
{
    if (index >= mig_compute_index_count() || engines >= NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    *compute = compute_in(gpu, gi_slot, index, profile);
    return *compute ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstanceProfileInfo(nvmlGpuInstance_t gpuInstance, unsigned int profile,
                                                          unsigned int engProfile,
                                                          nvmlComputeInstanceProfileInfo_t *info)
{
    MIG_OR_RETURN(gpu, place, gpuInstance, MIG_GPU_INSTANCE, info != NULL);
    const struct mig_profile *parent = NULL;
    const struct mig_compute *compute = NULL;
    nvmlReturn_t result = find_index(gpu, place.slot, profile, engProfile, &compute, &parent);
    if (result)
        return result;
    *info = (nvmlComputeInstanceProfileInfo_t){
        .id = compute->id,
        .sliceCount = compute->slices,
        .instanceCount = compute->most,
        .multiprocessorCount = mig_compute_sm(mig_table_of(gpu), parent, compute->slices),
        .sharedCopyEngineCount = parent->copy_engines,
        .sharedDecoderCount = parent->decoders,
        .sharedEncoderCount = parent->encoders,
        .sharedJpegCount = parent->jpeg,
        .sharedOfaCount = parent->ofa};
    return NVML_SUCCESS;
}

/* Version 3 only adds capabilities at the end of version 2. */
nvmlReturn_t nvmlGpuInstanceGetComputeInstanceProfileInfoV(nvmlGpuInstance_t gpuInstance, unsigned int profile,
                                                           unsigned int engProfile,
                                                           nvmlComputeInstanceProfileInfo_v2_t *info)
{
    MIG_OR_RETURN(gpu, place, gpuInstance, MIG_GPU_INSTANCE, info != NULL);
    const struct mig_profile *parent = NULL;
    const struct mig_compute *compute = NULL;
    unsigned version = info->version;
    if (!IS_VERSION(info, NVSIM_VERSION_nvmlComputeInstanceProfileInfo_v2_t) &&
        !IS_VERSION(info, NVSIM_VERSION_nvmlComputeInstanceProfileInfo_v3_t))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlReturn_t result = find_index(gpu, place.slot, profile, engProfile, &compute, &parent);
    if (result)
        return result;
    nvmlComputeInstanceProfileInfo_v3_t found = {
        .version = version, .id = compute->id, .sliceCount = compute->slices, .instanceCount = compute->most,
        .multiprocessorCount = mig_compute_sm(mig_table_of(gpu), parent, compute->slices),
        .sharedCopyEngineCount = parent->copy_engines, .sharedDecoderCount = parent->decoders,
        .sharedEncoderCount = parent->encoders, .sharedJpegCount = parent->jpeg, .sharedOfaCount = parent->ofa,
        .capabilities = strstr(parent->name, "+gfx") ? NVML_COMPUTE_INSTANCE_PROFILE_CAPS_GFX : 0};
    mig_compute_name(parent, compute->slices, found.name, sizeof found.name);
    memcpy(info, &found,
           version == NVSIM_VERSION_nvmlComputeInstanceProfileInfo_v2_t ? sizeof *info : sizeof found);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstanceRemainingCapacity(nvmlGpuInstance_t gpuInstance,
                                                                unsigned int profileId, unsigned int *count)
{
    MIG_OR_RETURN(gpu, place, gpuInstance, MIG_GPU_INSTANCE, count != NULL);
    const struct mig_profile *parent = NULL;
    const struct mig_compute *compute = compute_in(gpu, place.slot, profileId, &parent);
    unsigned left = 0;
    if (!compute)
        return NVML_ERROR_INVALID_ARGUMENT;
    READING(gpu)
        left = capacity(gpu, LOAD(gpu->gi_id[place.slot]), parent, compute);
    *count = left;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstancePossiblePlacements(nvmlGpuInstance_t gpuInstance,
                                                                 unsigned int profileId,
                                                                 nvmlComputeInstancePlacement_t *placements,
                                                                 unsigned int *count)
{
    MIG_OR_RETURN(gpu, place, gpuInstance, MIG_GPU_INSTANCE, count != NULL);
    const struct mig_profile *parent = NULL;
    const struct mig_compute *compute = compute_in(gpu, place.slot, profileId, &parent);
    if (!compute)
        return NVML_ERROR_INVALID_ARGUMENT;
    unsigned room = *count;
    *count = parent->slices - compute->slices + 1;
    if (placements && room < *count)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; placements && i < *count; i++)
        placements[i] = (nvmlComputeInstancePlacement_t){.start = i, .size = compute->slices};
    return NVML_SUCCESS;
}

/* What is to be created, and in which GPU instance; `start` NVSIM_ABSENT_U32: the lowest place that is free. */
struct wanted {
    struct mig_victim parent;
    unsigned profile_id, start, size, slot;
};

static unsigned lowest_id(const struct nvsim_gpu *gpu, unsigned gi)
{
    unsigned id = 0;
    while (mig_ci_with_id(gpu, gi, id) != MIG_NONE)
        id++;
    return id;
}

/* The wanted start, or the first that is free.  2 if it is not legal, 23 if there is no room. */
static nvmlReturn_t find_start(const struct nvsim_gpu *gpu, unsigned gi, const struct mig_profile *parent,
                               const struct mig_compute *compute, const struct wanted *wanted, unsigned *start)
{
    unsigned last = parent->slices - compute->slices;
    *start = wanted->start == NVSIM_ABSENT_U32 ? 0 : wanted->start;
    if (wanted->start == NVSIM_ABSENT_U32)
        while (*start < last && !is_free(gpu, gi, *start, compute->slices))
            ++*start;
    else if (*start > last || wanted->size != compute->slices)
        return NVML_ERROR_INVALID_ARGUMENT;
    return is_free(gpu, gi, *start, compute->slices) ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_RESOURCES;
}

static nvmlReturn_t create(struct nvsim_gpu *gpu, void *arguments)
{
    struct wanted *wanted = arguments;
    unsigned gi_slot = wanted->parent.slot, slot = 0;
    const struct mig_profile *parent = NULL;
    if (!gpu->gi_size[gi_slot] || gpu->gi_serial[gi_slot] != wanted->parent.serial)
        return NVML_ERROR_INVALID_ARGUMENT;
    const struct mig_compute *compute = compute_in(gpu, gi_slot, wanted->profile_id, &parent);
    unsigned gi = gpu->gi_id[gi_slot], start = 0;
    if (!compute)
        return NVML_ERROR_INVALID_ARGUMENT;
    nvmlReturn_t result = find_start(gpu, gi, parent, compute, wanted, &start);
    if (result)
        return result;
    while (slot < MIG_SLOTS && gpu->ci_size[slot])
        slot++;
    if (slot == MIG_SLOTS)
        return NVML_ERROR_INSUFFICIENT_RESOURCES;
    gpu->ci_id[slot] = lowest_id(gpu, gi);
    gpu->ci_gpu_instance[slot] = gi;
    gpu->ci_profile[slot] = compute->id;
    gpu->ci_start[slot] = start;
    gpu->ci_size[slot] = compute->slices;
    gpu->ci_serial[slot]++;
    mig_uuid(gpu, gi_slot, slot, gpu->ci_uuid[slot], sizeof gpu->ci_uuid[slot]);
    raise_event(gpu, nvmlEventMigConfigChange, 0);
    wanted->slot = slot;
    return NVML_SUCCESS;
}

static nvmlComputeInstance_t instance_handle(const struct nvsim_gpu *gpu, unsigned index, unsigned slot)
{
    return mig_handle(index, MIG_COMPUTE_INSTANCE, slot, LOAD(gpu->ci_serial[slot]));
}

static nvmlReturn_t create_at(nvmlGpuInstance_t gpuInstance, struct wanted wanted,
                              nvmlComputeInstance_t *computeInstance)
{
    MIG_OR_RETURN(gpu, place, gpuInstance, MIG_GPU_INSTANCE, computeInstance != NULL);
    unsigned gi = LOAD(gpu->gi_id[place.slot]), id = 0;
    wanted.parent = (struct mig_victim){place.slot, LOAD(gpu->gi_serial[place.slot])};
    nvmlReturn_t result = change_gpu(handle_of(place.index), create, &wanted);
    if (result)
        return result;
    READING(gpu) {
        id = LOAD(gpu->ci_id[wanted.slot]);
        *computeInstance = instance_handle(gpu, place.index, wanted.slot);
    }
    mig_settle(gpu, gi, id, 1);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceCreateComputeInstance(nvmlGpuInstance_t gpuInstance, unsigned int profileId,
                                                  nvmlComputeInstance_t *computeInstance)
{
    return create_at(gpuInstance, (struct wanted){.profile_id = profileId, .start = NVSIM_ABSENT_U32},
                     computeInstance);
}

nvmlReturn_t nvmlGpuInstanceCreateComputeInstanceWithPlacement(nvmlGpuInstance_t gpuInstance, unsigned int profileId,
                                                               const nvmlComputeInstancePlacement_t *placement,
                                                               nvmlComputeInstance_t *computeInstance)
{
    MIG_OR_RETURN(gpu, place, gpuInstance, MIG_GPU_INSTANCE, placement && computeInstance);
    if (placement->start == NVSIM_ABSENT_U32)
        return NVML_ERROR_INVALID_ARGUMENT;
    return create_at(gpuInstance,
                     (struct wanted){.profile_id = profileId, .start = placement->start, .size = placement->size},
                     computeInstance);
}

/* Not while a process uses it. */
static nvmlReturn_t destroy(struct nvsim_gpu *gpu, void *arguments)
{
    const struct mig_victim *victim = arguments;
    unsigned slot = victim->slot, gi = gpu->ci_gpu_instance[slot], id = gpu->ci_id[slot];
    if (!gpu->ci_size[slot] || gpu->ci_serial[slot] != victim->serial)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (size_t i = 0; i < sizeof gpu->process_pid / sizeof *gpu->process_pid; i++)
        if (gpu->process_pid[i] && gpu->process_gpu_instance[i] == gi && gpu->process_compute_instance[i] == id)
            return NVML_ERROR_IN_USE;
    gpu->ci_size[slot] = 0;
    memset(gpu->ci_uuid[slot], 0, sizeof gpu->ci_uuid[slot]);
    raise_event(gpu, nvmlEventMigConfigChange, 0);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlComputeInstanceDestroy(nvmlComputeInstance_t computeInstance)
{
    MIG_OR_RETURN(gpu, place, computeInstance, MIG_COMPUTE_INSTANCE, 1);
    struct mig_victim victim = {place.slot, LOAD(gpu->ci_serial[place.slot])};
    unsigned gi = LOAD(gpu->ci_gpu_instance[place.slot]), id = LOAD(gpu->ci_id[place.slot]);
    nvmlReturn_t result = change_gpu(handle_of(place.index), destroy, &victim);
    if (!result)
        mig_settle(gpu, gi, id, 0);
    return result;
}

/* Those of one profile in a GPU instance, by id. */
nvmlReturn_t nvmlGpuInstanceGetComputeInstances(nvmlGpuInstance_t gpuInstance, unsigned int profileId,
                                                nvmlComputeInstance_t *computeInstances, unsigned int *count)
{
    MIG_OR_RETURN(gpu, place, gpuInstance, MIG_GPU_INSTANCE, computeInstances && count);
    const struct mig_profile *parent = NULL;
    unsigned found = 0;
    if (!compute_in(gpu, place.slot, profileId, &parent))
        return NVML_ERROR_INVALID_ARGUMENT;
    READING(gpu) {
        found = 0;
        for (unsigned id = 0; id < MIG_SLOTS; id++) {
            unsigned slot = mig_ci_with_id(gpu, LOAD(gpu->gi_id[place.slot]), id);
            if (slot != MIG_NONE && LOAD(gpu->ci_profile[slot]) == profileId)
                computeInstances[found++] = instance_handle(gpu, place.index, slot);
        }
    }
    *count = found;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstanceById(nvmlGpuInstance_t gpuInstance, unsigned int id,
                                                   nvmlComputeInstance_t *computeInstance)
{
    MIG_OR_RETURN(gpu, place, gpuInstance, MIG_GPU_INSTANCE, computeInstance != NULL);
    nvmlComputeInstance_t handle = NULL;
    unsigned gi = LOAD(gpu->gi_id[place.slot]);
    READING(gpu) {
        unsigned slot = mig_ci_with_id(gpu, gi, id);
        handle = slot == MIG_NONE ? NULL : instance_handle(gpu, place.index, slot);
    }
    if (!handle)
        return NVML_ERROR_NOT_FOUND;
    if (!mig_may_use(gpu, gi, id))
        return NVML_ERROR_NO_PERMISSION;
    *computeInstance = handle;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlComputeInstanceGetInfo_v2(nvmlComputeInstance_t computeInstance, nvmlComputeInstanceInfo_t *info)
{
    MIG_OR_RETURN(gpu, place, computeInstance, MIG_COMPUTE_INSTANCE, info != NULL);
    READING(gpu) {
        unsigned gi_slot = mig_gi_with_id(gpu, LOAD(gpu->ci_gpu_instance[place.slot])) % MIG_SLOTS;
        *info = (nvmlComputeInstanceInfo_t){
            .device = handle_of(place.index),
            .gpuInstance = mig_handle(place.index, MIG_GPU_INSTANCE, gi_slot, LOAD(gpu->gi_serial[gi_slot])),
            .id = LOAD(gpu->ci_id[place.slot]),
            .profileId = LOAD(gpu->ci_profile[place.slot]),
            .placement = {LOAD(gpu->ci_start[place.slot]), LOAD(gpu->ci_size[place.slot])}};
    }
    return NVML_SUCCESS;
}

/* The first version ends before the placement. */
nvmlReturn_t nvmlComputeInstanceGetInfo(nvmlComputeInstance_t computeInstance, nvmlComputeInstanceInfo_t *info)
{
    nvmlComputeInstanceInfo_t found;
    nvmlReturn_t result = nvmlComputeInstanceGetInfo_v2(computeInstance, info ? &found : NULL);
    if (!result)
        memcpy(info, &found, offsetof(nvmlComputeInstanceInfo_t, placement));
    return result;
}
