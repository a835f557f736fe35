/* MIG profiles through NVML: what there is, what still fits, and where the driver would put the next instance. */
#include <stdio.h>

#include "mig.h"

int mig_is_free(const struct nvsim_gpu *gpu, unsigned start, unsigned size)
{
    for (unsigned slot = 0; slot < MIG_SLOTS; slot++) {
        uint32_t taken = LOAD(gpu->gi_start[slot]), length = LOAD(gpu->gi_size[slot]);
        if (length && start < taken + length && taken < start + size)
            return 0;
    }
    return 1;
}

/* Media engines of a profile: what one of them needs, and what the whole board has, which its largest profile takes. */
enum { ENGINES = 4 };

static void add_engines(const struct mig_profile *profile, unsigned engines[ENGINES])
{
    engines[0] += profile->decoders;
    engines[1] += profile->encoders;
    engines[2] += profile->jpeg;
    engines[3] += profile->ofa;
}

static void board_engines(const struct mig_table *table, unsigned most[ENGINES])
{
    for (unsigned i = 0; i < table->count; i++) {
        unsigned engines[ENGINES] = {0};
        add_engines(&table->profiles[i], engines);
        for (unsigned n = 0; n < ENGINES; n++)
            if (engines[n] > most[n])
                most[n] = engines[n];
    }
}

/* How many more of a profile the media engines allow that nobody uses yet. */
static unsigned engine_limit(const struct nvsim_gpu *gpu, const struct mig_profile *profile)
{
    unsigned all[ENGINES] = {0}, used[ENGINES] = {0}, wanted[ENGINES] = {0}, limit = profile->most;
    const struct mig_table *table = mig_table_of(gpu);
    if (!table)
        return 0;
    board_engines(table, all);
    add_engines(profile, wanted);
    for (unsigned slot = 0; slot < MIG_SLOTS; slot++) {
        const struct mig_profile *other = LOAD(gpu->gi_size[slot])
                                              ? mig_profile_with_id(gpu, LOAD(gpu->gi_profile[slot])) : NULL;
        if (other)
            add_engines(other, used);
    }
    for (unsigned n = 0; n < ENGINES; n++) {
        unsigned left = all[n] > used[n] ? all[n] - used[n] : 0;
        if (wanted[n] && left / wanted[n] < limit)
            limit = left / wanted[n];
    }
    return limit;
}

unsigned mig_capacity(const struct nvsim_gpu *gpu, const struct mig_profile *profile)
{
    unsigned places = 0, limit = engine_limit(gpu, profile);
    for (unsigned i = 0; i < profile->starts_count; i++)
        places += (unsigned)mig_is_free(gpu, profile->starts[i], profile->size);
    return places < limit ? places : limit;
}

/* Free places of each size of instance, the largest counted most, if [start, start + size) were taken as well. */
static uint64_t room_left(const struct nvsim_gpu *gpu, const struct mig_table *table, unsigned start, unsigned size)
{
    uint64_t room = 0;
    for (unsigned i = 0; i < table->count; i++) {
        const struct mig_profile *profile = &table->profiles[i];
        for (unsigned n = 0; n < profile->starts_count; n++)
            if (mig_is_free(gpu, profile->starts[n], profile->size) &&
                (profile->starts[n] + profile->size <= start || start + size <= profile->starts[n]))
                room += 1ull << 7 * profile->slices;
    }
    return room;
}

/* The driver places an instance so that the largest others stay possible; of equal places it takes the lowest. */
unsigned mig_choose(const struct nvsim_gpu *gpu, const struct mig_profile *profile)
{
    const struct mig_table *table = mig_table_of(gpu);
    unsigned best = MIG_PLACES;
    uint64_t best_room = 0;
    for (unsigned i = 0; table && mig_capacity(gpu, profile) && i < profile->starts_count; i++) {
        if (!mig_is_free(gpu, profile->starts[i], profile->size))
            continue;
        uint64_t room = room_left(gpu, table, profile->starts[i], profile->size);
        if (best == MIG_PLACES || room > best_room) {
            best = i;
            best_room = room;
        }
    }
    return best;
}

/* A profile by its index, as the calls for profiles take it: 2 for an index that NVML does not know, 3 for one that the
 * board does not have.  They answer also while MIG is off. */
static nvmlReturn_t find_index(const struct nvsim_gpu *gpu, unsigned index, const struct mig_profile **profile)
{
    if (LOAD(gpu->mig_mode) == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    if (index >= mig_index_count())
        return NVML_ERROR_INVALID_ARGUMENT;
    *profile = mig_profile_with_index(gpu, index);
    return *profile ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfo(nvmlDevice_t device, unsigned int profile,
                                                 nvmlGpuInstanceProfileInfo_t *info)
{
    GPU_OR_RETURN(gpu, device, info != NULL);
    const struct mig_profile *found = NULL;
    nvmlReturn_t result = find_index(gpu, profile, &found);
    if (result)
        return result;
    *info = (nvmlGpuInstanceProfileInfo_t){.id = found->id,
                                           .isP2pSupported = found->p2p,
                                           .sliceCount = found->slices,
                                           .instanceCount = found->most,
                                           .multiprocessorCount = found->sm,
                                           .copyEngineCount = found->copy_engines,
                                           .decoderCount = found->decoders,
                                           .encoderCount = found->encoders,
                                           .jpegCount = found->jpeg,
                                           .ofaCount = found->ofa,
                                           .memorySizeMB = found->memory_mib};
    return NVML_SUCCESS;
}

/* Capability bits of the third version of the struct. */
static unsigned capabilities(const struct mig_profile *profile)
{
    return (profile->p2p ? NVML_GPU_INSTANCE_PROFILE_CAPS_P2P : 0) |
           (strstr(profile->name, "+gfx") ? NVML_GPU_INSTANCE_PROFILE_CAPS_GFX : 0);
}

/* Version 2 and 3 of the struct have one size; P2P moved from a number of its own to a bit. */
static nvmlReturn_t versioned_info(const struct mig_profile *profile, nvmlGpuInstanceProfileInfo_v2_t *info)
{
    if (IS_VERSION(info, NVSIM_VERSION_nvmlGpuInstanceProfileInfo_v2_t)) {
        *info = (nvmlGpuInstanceProfileInfo_v2_t){
            .version = info->version, .id = profile->id, .isP2pSupported = profile->p2p,
            .sliceCount = profile->slices, .instanceCount = profile->most, .multiprocessorCount = profile->sm,
            .copyEngineCount = profile->copy_engines, .decoderCount = profile->decoders,
            .encoderCount = profile->encoders, .jpegCount = profile->jpeg, .ofaCount = profile->ofa,
            .memorySizeMB = profile->memory_mib};
        snprintf(info->name, sizeof info->name, "MIG %s", profile->name);
        return NVML_SUCCESS;
    }
    if (!IS_VERSION(info, NVSIM_VERSION_nvmlGpuInstanceProfileInfo_v3_t))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlGpuInstanceProfileInfo_v3_t *third = (nvmlGpuInstanceProfileInfo_v3_t *)(void *)info;
    *third = (nvmlGpuInstanceProfileInfo_v3_t){
        .version = info->version, .id = profile->id, .sliceCount = profile->slices, .instanceCount = profile->most,
        .multiprocessorCount = profile->sm, .copyEngineCount = profile->copy_engines,
        .decoderCount = profile->decoders, .encoderCount = profile->encoders, .jpegCount = profile->jpeg,
        .ofaCount = profile->ofa, .memorySizeMB = profile->memory_mib, .capabilities = capabilities(profile)};
    snprintf(third->name, sizeof third->name, "MIG %s", profile->name);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfoV(nvmlDevice_t device, unsigned int profile,
                                                  nvmlGpuInstanceProfileInfo_v2_t *info)
{
    GPU_OR_RETURN(gpu, device, info != NULL);
    const struct mig_profile *found = NULL;
    nvmlReturn_t result = find_index(gpu, profile, &found);
    return result ? result : versioned_info(found, info);
}

/* A profile by its id: 2 for one that the board does not have. */
static nvmlReturn_t find_id(const struct nvsim_gpu *gpu, unsigned id, const struct mig_profile **profile)
{
    if (LOAD(gpu->mig_mode) == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    *profile = mig_profile_with_id(gpu, id);
    return *profile ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfoByIdV(nvmlDevice_t device, unsigned int profileId,
                                                      nvmlGpuInstanceProfileInfo_v2_t *info)
{
    GPU_OR_RETURN(gpu, device, info != NULL);
    const struct mig_profile *found = NULL;
    nvmlReturn_t result = find_id(gpu, profileId, &found);
    return result ? result : versioned_info(found, info);
}

/* The count is how many there are; without an array it is all that is answered. */
nvmlReturn_t nvmlDeviceGetGpuInstancePossiblePlacements_v2(nvmlDevice_t device, unsigned int profileId,
                                                           nvmlGpuInstancePlacement_t *placements,
                                                           unsigned int *count)
{
    GPU_OR_RETURN(gpu, device, count != NULL);
    const struct mig_profile *found = NULL;
    nvmlReturn_t result = LOAD(gpu->mig_mode) == 1 ? find_id(gpu, profileId, &found) : NVML_ERROR_NOT_SUPPORTED;
    if (result)
        return result;
    unsigned room = *count;
    *count = found->starts_count;
    if (placements && room < found->starts_count)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; placements && i < found->starts_count; i++)
        placements[i] = (nvmlGpuInstancePlacement_t){.start = found->starts[i], .size = found->size};
    return NVML_SUCCESS;
}

/* The first version has the same arguments: it wants an array that is large enough. */
nvmlReturn_t nvmlDeviceGetGpuInstancePossiblePlacements(nvmlDevice_t device, unsigned int profileId,
                                                        nvmlGpuInstancePlacement_t *placements, unsigned int *count)
{
    return nvmlDeviceGetGpuInstancePossiblePlacements_v2(device, profileId, placements, count);
}

nvmlReturn_t nvmlDeviceGetGpuInstanceRemainingCapacity(nvmlDevice_t device, unsigned int profileId,
                                                       unsigned int *count)
{
    GPU_OR_RETURN(gpu, device, count != NULL);
    nvmlReturn_t result = NVML_SUCCESS;
    unsigned left = 0;
    READING(gpu) {
        const struct mig_profile *found = NULL;
        result = LOAD(gpu->mig_mode) == 1 ? find_id(gpu, profileId, &found) : NVML_ERROR_NOT_SUPPORTED;
        left = result ? 0 : mig_capacity(gpu, found);
    }
    if (!result)
        *count = left;
    return result;
}
