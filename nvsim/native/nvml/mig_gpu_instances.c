/* GPU instances: creating and destroying them, and finding those that there are. */
#include "change.h"
#include "mig.h"

/* What is to be created; `start` NVSIM_ABSENT_U32: wherever the driver likes.  `slot` is where it was put. */
struct wanted {
    unsigned profile_id, start, size, slot;
};

static unsigned free_slot(const struct nvsim_gpu *gpu)
{
    unsigned slot = 0;
    while (slot < MIG_SLOTS && gpu->gi_size[slot])
        slot++;
    return slot;
}

/* The number of a start in the profile's list, MIG_PLACES if it is not legal. */
static unsigned legal(const struct mig_profile *profile, unsigned start, unsigned size)
{
    for (unsigned i = 0; size == profile->size && i < profile->starts_count; i++)
        if (profile->starts[i] == start)
            return i;
    return MIG_PLACES;
}

static nvmlReturn_t create(struct nvsim_gpu *gpu, void *arguments)
{
    struct wanted *wanted = arguments;
    if (gpu->mig_mode != 1)
        return NVML_ERROR_NOT_SUPPORTED;
    const struct mig_profile *profile = mig_profile_with_id(gpu, wanted->profile_id);
    if (!profile)
        return NVML_ERROR_INVALID_ARGUMENT;
    int chosen = wanted->start == NVSIM_ABSENT_U32;
    unsigned n = chosen ? mig_choose(gpu, profile) : legal(profile, wanted->start, wanted->size);
    unsigned slot = free_slot(gpu);
    if (n == MIG_PLACES && !chosen)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (n == MIG_PLACES || slot == MIG_SLOTS || !mig_capacity(gpu, profile) ||
        !mig_is_free(gpu, profile->starts[n], profile->size))
        return NVML_ERROR_INSUFFICIENT_RESOURCES;
    gpu->gi_id[slot] = profile->gi_ids[n];
    gpu->gi_profile[slot] = profile->id;
    gpu->gi_start[slot] = profile->starts[n];
    gpu->gi_size[slot] = profile->size;
    gpu->gi_memory_used[slot] = 0;
    gpu->gi_serial[slot]++;
    raise_event(gpu, nvmlEventMigConfigChange, 0);
    wanted->slot = slot;
    return NVML_SUCCESS;
}

static nvmlGpuInstance_t instance_handle(const struct nvsim_gpu *gpu, unsigned index, unsigned slot)
{
    return mig_handle(index, MIG_GPU_INSTANCE, slot, LOAD(gpu->gi_serial[slot]));
}

static nvmlReturn_t create_at(nvmlDevice_t device, struct wanted wanted, nvmlGpuInstance_t *gpuInstance)
{
    GPU_OR_RETURN(gpu, device, gpuInstance != NULL);
    unsigned index = 0, id = 0;
    index_of(device, &index);
    nvmlReturn_t result = change_gpu(device, create, &wanted);
    if (result)
        return result;
    READING(gpu) {
        id = LOAD(gpu->gi_id[wanted.slot]);
        *gpuInstance = instance_handle(gpu, index, wanted.slot);
    }
    mig_settle(gpu, id, NVSIM_ABSENT_U32, 1);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceCreateGpuInstance(nvmlDevice_t device, unsigned int profileId, nvmlGpuInstance_t *gpuInstance)
{
    return create_at(device, (struct wanted){.profile_id = profileId, .start = NVSIM_ABSENT_U32}, gpuInstance);
}

nvmlReturn_t nvmlDeviceCreateGpuInstanceWithPlacement(nvmlDevice_t device, unsigned int profileId,
                                                      const nvmlGpuInstancePlacement_t *placement,
                                                      nvmlGpuInstance_t *gpuInstance)
{
    GPU_OR_RETURN(gpu, device, placement && gpuInstance);
    if (placement->start == NVSIM_ABSENT_U32)
        return NVML_ERROR_INVALID_ARGUMENT;
    return create_at(device,
                     (struct wanted){.profile_id = profileId, .start = placement->start, .size = placement->size},
                     gpuInstance);
}

/* Not while there are compute instances in it, or processes. */
static nvmlReturn_t destroy(struct nvsim_gpu *gpu, void *arguments)
{
    const struct mig_victim *victim = arguments;
    unsigned slot = victim->slot, id = gpu->gi_id[slot];
    if (!gpu->gi_size[slot] || gpu->gi_serial[slot] != victim->serial)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned i = 0; i < MIG_SLOTS; i++)
        if (gpu->ci_size[i] && gpu->ci_gpu_instance[i] == id)
            return NVML_ERROR_IN_USE;
    for (size_t i = 0; i < sizeof gpu->process_pid / sizeof *gpu->process_pid; i++)
        if (gpu->process_pid[i] && gpu->process_gpu_instance[i] == id)
            return NVML_ERROR_IN_USE;
    gpu->gi_size[slot] = 0;
    raise_event(gpu, nvmlEventMigConfigChange, 0);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceDestroy(nvmlGpuInstance_t gpuInstance)
{
    MIG_OR_RETURN(gpu, place, gpuInstance, MIG_GPU_INSTANCE, 1);
    struct mig_victim victim = {place.slot, LOAD(gpu->gi_serial[place.slot])};
    unsigned id = LOAD(gpu->gi_id[place.slot]);
    nvmlReturn_t result = change_gpu(handle_of(place.index), destroy, &victim);
    if (!result)
        mig_settle(gpu, id, NVSIM_ABSENT_U32, 0);
    return result;
}

/* Those of one profile that this process may see, by id.  Nobody may ask on behalf of the whole GPU but who may watch
 * MIG. */
nvmlReturn_t nvmlDeviceGetGpuInstances(nvmlDevice_t device, unsigned int profileId, nvmlGpuInstance_t *gpuInstances,
                                       unsigned int *count)
{
    GPU_OR_RETURN(gpu, device, gpuInstances && count);
    unsigned index = 0, found = 0;
    index_of(device, &index);
    if (LOAD(gpu->mig_mode) != 1)
        return NVML_ERROR_NOT_SUPPORTED;
    if (!mig_profile_with_id(gpu, profileId))
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!mig_monitor())
        return NVML_ERROR_NO_PERMISSION;
    READING(gpu) {
        found = 0;
        for (unsigned id = 0; id < 15; id++) {
            unsigned slot = mig_gi_with_id(gpu, id);
            if (slot != MIG_NONE && LOAD(gpu->gi_profile[slot]) == profileId)
                gpuInstances[found++] = instance_handle(gpu, index, slot);
        }
    }
    *count = found;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceById(nvmlDevice_t device, unsigned int id, nvmlGpuInstance_t *gpuInstance)
{
    GPU_OR_RETURN(gpu, device, gpuInstance != NULL);
    unsigned index = 0, slot = MIG_NONE;
    nvmlGpuInstance_t handle = NULL;
    index_of(device, &index);
    if (LOAD(gpu->mig_mode) != 1)
        return NVML_ERROR_NOT_SUPPORTED;
    READING(gpu) {
        slot = mig_gi_with_id(gpu, id);
        handle = slot == MIG_NONE ? NULL : instance_handle(gpu, index, slot);
    }
    if (!handle)
        return NVML_ERROR_NOT_FOUND;
    if (!mig_may_use(gpu, id, NVSIM_ABSENT_U32))
        return NVML_ERROR_NO_PERMISSION;
    *gpuInstance = handle;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceGetInfo(nvmlGpuInstance_t gpuInstance, nvmlGpuInstanceInfo_t *info)
{
    MIG_OR_RETURN(gpu, place, gpuInstance, MIG_GPU_INSTANCE, info != NULL);
    READING(gpu)
        *info = (nvmlGpuInstanceInfo_t){
            .device = handle_of(place.index),
            .id = LOAD(gpu->gi_id[place.slot]),
            .profileId = LOAD(gpu->gi_profile[place.slot]),
            .placement = {LOAD(gpu->gi_start[place.slot]), LOAD(gpu->gi_size[place.slot])}};
    return NVML_SUCCESS;
}
