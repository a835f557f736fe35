/* Workload power profiles and power smoothing, on boards that have them. */
#include "change.h"

enum { WORDS = sizeof(nvmlMask255_t) / sizeof(unsigned), PARAMETERS = NVML_POWER_SMOOTHING_NUM_PROFILE_PARAMS };

/* The two profiles for the whole board exclude each other; the first one wins. */
static const uint64_t exclusive = 1u << NVML_POWER_PROFILE_MAX_P | 1u << NVML_POWER_PROFILE_MAX_Q;

static nvmlMask255_t mask_of(uint64_t profiles)
{
    return (nvmlMask255_t){.mask = {(unsigned)profiles, (unsigned)(profiles >> 32)}};
}

static uint64_t conflicts(unsigned profile)
{
    uint64_t own = 1ull << profile;
    return own & exclusive ? exclusive & ~own : 0;
}

static uint64_t enforced(uint64_t requested)
{
    return (requested & exclusive) == exclusive ? requested & ~(1ull << NVML_POWER_PROFILE_MAX_Q) : requested;
}

nvmlReturn_t nvmlDeviceWorkloadPowerProfileGetProfilesInfo(nvmlDevice_t device,
                                                           nvmlWorkloadPowerProfileProfilesInfo_t *profilesInfo)
{
    GPU_OR_RETURN(gpu, device, profilesInfo != NULL);
    KNOWN_VERSION(profilesInfo, NVSIM_VERSION_nvmlWorkloadPowerProfileProfilesInfo_v1_t);
    if (!gpu->workload_profiles)
        return NVML_ERROR_NOT_SUPPORTED;
    profilesInfo->perfProfilesMask = mask_of(gpu->workload_profiles);
    for (unsigned profile = 0; profile < 64; profile++)
        if (gpu->workload_profiles >> profile & 1)
            profilesInfo->perfProfile[profile] = (nvmlWorkloadPowerProfileInfo_t){
                .version = NVSIM_VERSION_nvmlWorkloadPowerProfileInfo_v1_t,
                .profileId = profile,
                .priority = profile,
                .conflictingMask = mask_of(conflicts(profile) & gpu->workload_profiles)};
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceWorkloadPowerProfileGetCurrentProfiles(
    nvmlDevice_t device, nvmlWorkloadPowerProfileCurrentProfiles_t *currentProfiles)
{
    GPU_OR_RETURN(gpu, device, currentProfiles != NULL);
    KNOWN_VERSION(currentProfiles, NVSIM_VERSION_nvmlWorkloadPowerProfileCurrentProfiles_v1_t);
    if (!gpu->workload_profiles)
        return NVML_ERROR_NOT_SUPPORTED;
    uint64_t requested = 0;
    READING(gpu)
        requested = LOAD(gpu->workload_requested);
    currentProfiles->perfProfilesMask = mask_of(gpu->workload_profiles);
    currentProfiles->requestedProfilesMask = mask_of(requested);
    currentProfiles->enforcedProfilesMask = mask_of(enforced(requested));
    return NVML_SUCCESS;
}

struct request {
    const nvmlMask255_t *profiles;
    nvmlPowerProfileOperation_t operation;
};

static nvmlReturn_t apply(struct nvsim_gpu *gpu, void *arguments)
{
    const struct request *request = arguments;
    const unsigned *words = request->profiles->mask;
    uint64_t profiles = words[0] | (uint64_t)words[1] << 32;
    if (!gpu->workload_profiles)
        return NVML_ERROR_NOT_SUPPORTED;
    for (unsigned word = 2; word < WORDS; word++)
        if (words[word])
            return NVML_ERROR_INVALID_ARGUMENT;
    if (profiles & ~gpu->workload_profiles)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (request->operation == NVML_POWER_PROFILE_OPERATION_CLEAR)
        gpu->workload_requested &= ~profiles;
    else if (request->operation == NVML_POWER_PROFILE_OPERATION_SET)
        gpu->workload_requested |= profiles;
    else
        gpu->workload_requested = profiles;
    return NVML_SUCCESS;
}

static nvmlReturn_t request_profiles(nvmlDevice_t device, const nvmlWorkloadPowerProfileRequestedProfiles_t *profiles,
                                     nvmlPowerProfileOperation_t operation)
{
    GPU_OR_RETURN(gpu, device, profiles != NULL);
    KNOWN_VERSION(profiles, NVSIM_VERSION_nvmlWorkloadPowerProfileRequestedProfiles_v1_t);
    struct request request = {&profiles->requestedProfilesMask, operation};
    return change_gpu(device, apply, &request);
}

nvmlReturn_t nvmlDeviceWorkloadPowerProfileSetRequestedProfiles(
    nvmlDevice_t device, nvmlWorkloadPowerProfileRequestedProfiles_t *requestedProfiles)
{
    return request_profiles(device, requestedProfiles, NVML_POWER_PROFILE_OPERATION_SET);
}

nvmlReturn_t nvmlDeviceWorkloadPowerProfileClearRequestedProfiles(
    nvmlDevice_t device, nvmlWorkloadPowerProfileRequestedProfiles_t *requestedProfiles)
{
    return request_profiles(device, requestedProfiles, NVML_POWER_PROFILE_OPERATION_CLEAR);
}

nvmlReturn_t nvmlDeviceWorkloadPowerProfileUpdateProfiles_v1(
    nvmlDevice_t device, nvmlWorkloadPowerProfileUpdateProfiles_v1_t *updateProfiles)
{
    GPU_OR_RETURN(gpu, device, updateProfiles != NULL && updateProfiles->operation < NVML_POWER_PROFILE_OPERATION_MAX);
    struct request request = {&updateProfiles->updateProfilesMask, updateProfiles->operation};
    return change_gpu(device, apply, &request);
}

/* Power smoothing */

static nvmlReturn_t set_smoothing(struct nvsim_gpu *gpu, void *state)
{
    if (gpu->power_smoothing == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    gpu->power_smoothing = *(const nvmlEnableState_t *)state;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDevicePowerSmoothingSetState(nvmlDevice_t device, nvmlPowerSmoothingState_t *state)
{
    GPU_OR_RETURN(gpu, device, state != NULL);
    KNOWN_VERSION(state, NVSIM_VERSION_nvmlPowerSmoothingState_v1_t);
    if ((unsigned)state->state > NVML_FEATURE_ENABLED)
        return NVML_ERROR_INVALID_ARGUMENT;
    return change_gpu(device, set_smoothing, &state->state);
}

static nvmlReturn_t activate(struct nvsim_gpu *gpu, void *profile)
{
    if (gpu->power_smoothing == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    gpu->power_smoothing_profile = *(const unsigned *)profile;
    return NVML_SUCCESS;
}

static nvmlReturn_t known_profile(nvmlDevice_t device, const nvmlPowerSmoothingProfile_t *profile)
{
    GPU_OR_RETURN(gpu, device, profile != NULL);
    KNOWN_VERSION(profile, NVSIM_VERSION_nvmlPowerSmoothingProfile_v1_t);
    return profile->profileId < NVML_POWER_SMOOTHING_MAX_NUM_PROFILES ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDevicePowerSmoothingActivatePresetProfile(nvmlDevice_t device, nvmlPowerSmoothingProfile_t *profile)
{
    nvmlReturn_t result = known_profile(device, profile);
    return result ? result : change_gpu(device, activate, &profile->profileId);
}

static nvmlReturn_t set_parameter(struct nvsim_gpu *gpu, void *arguments)
{
    const nvmlPowerSmoothingProfile_t *profile = arguments;
    if (gpu->power_smoothing == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    gpu->power_smoothing_values[profile->profileId * PARAMETERS + profile->paramId] = (uint32_t)profile->value;
    return NVML_SUCCESS;
}

/* Values are percent, mW/s or ms: none is negative, and the floor is a share. */
nvmlReturn_t nvmlDevicePowerSmoothingUpdatePresetProfileParam(nvmlDevice_t device,
                                                              nvmlPowerSmoothingProfile_t *profile)
{
    nvmlReturn_t result = known_profile(device, profile);
    if (result)
        return result;
    double most = profile->paramId == NVML_POWER_SMOOTHING_PROFILE_PARAM_PERCENT_TMP_FLOOR ? 100 : UINT32_MAX;
    if (profile->paramId >= PARAMETERS || !(profile->value >= 0 && profile->value <= most))
        return NVML_ERROR_INVALID_ARGUMENT;
    return change_gpu(device, set_parameter, profile);
}
