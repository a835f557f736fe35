/* Confidential computing: GPUs since Hopper can do it, and an emulated host has it off. */
#include "change.h"

/* What the GPUs can; 3 if none of them can do confidential computing. */
static nvmlReturn_t ability(uint32_t *ability)
{
    unsigned all = (unsigned)(LOAD(nvsim_session) & 0xFF);
    *ability = NVML_CC_SYSTEM_GPUS_CC_NOT_CAPABLE;
    for (unsigned index = 0; index < all; index++) {
        uint32_t found = gpu_at(index)->confidential;
        if (found != NVSIM_ABSENT_U32)
            *ability = found;
    }
    return *ability ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

static nvmlReturn_t supported(const void *pointer)
{
    uint32_t found = 0;
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    return pointer ? ability(&found) : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlSystemGetConfComputeCapabilities(nvmlConfComputeSystemCaps_t *capabilities)
{
    nvmlReturn_t result = supported(capabilities);
    if (result)
        return result;
    capabilities->cpuCaps = NVML_CC_SYSTEM_CPU_CAPS_NONE;
    return ability(&capabilities->gpusCaps);
}

nvmlReturn_t nvmlSystemGetConfComputeState(nvmlConfComputeSystemState_t *state)
{
    nvmlReturn_t result = supported(state);
    if (!result)
        *state = (nvmlConfComputeSystemState_t){.environment = NVML_CC_SYSTEM_ENVIRONMENT_UNAVAILABLE,
                                                .ccFeature = NVML_CC_SYSTEM_FEATURE_DISABLED,
                                                .devToolsMode = NVML_CC_SYSTEM_DEVTOOLS_MODE_OFF};
    return result;
}

/* Version 2 adds the state of TDISP at the end. */
static nvmlReturn_t settings_of(nvmlSystemConfComputeSettings_v2_t *settings)
{
    nvmlReturn_t result = supported(settings);
    if (result && result != NVML_ERROR_NOT_SUPPORTED)
        return result;
    if (!IS_VERSION(settings, NVSIM_VERSION_nvmlSystemConfComputeSettings_v1_t) &&
        !IS_VERSION(settings, NVSIM_VERSION_nvmlSystemConfComputeSettings_v2_t))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (result)
        return result;
    settings->environment = NVML_CC_SYSTEM_ENVIRONMENT_UNAVAILABLE;
    settings->ccFeature = NVML_CC_SYSTEM_FEATURE_DISABLED;
    settings->devToolsMode = NVML_CC_SYSTEM_DEVTOOLS_MODE_OFF;
    settings->multiGpuMode = NVML_CC_SYSTEM_MULTIGPU_NONE;
    if (settings->version == NVSIM_VERSION_nvmlSystemConfComputeSettings_v2_t)
        settings->tdispState = NVML_CC_SYSTEM_TDISP_STATE_DISABLED;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetConfComputeSettings(nvmlSystemConfComputeSettings_t *settings)
{
    return settings_of((nvmlSystemConfComputeSettings_v2_t *)settings);
}

nvmlReturn_t nvmlSystemGetConfComputeSettings_v2(nvmlSystemConfComputeSettings_v2_t *settings)
{
    return settings_of(settings);
}

nvmlReturn_t nvmlSystemGetConfComputeGpusReadyState(unsigned int *isAcceptingWork)
{
    nvmlReturn_t result = supported(isAcceptingWork);
    if (!result)
        *isAcceptingWork = NVML_CC_ACCEPTING_CLIENT_REQUESTS_FALSE;
    return result;
}

/* Only a host with the feature on has something to make ready. */
nvmlReturn_t nvmlSystemSetConfComputeGpusReadyState(unsigned int isAcceptingWork)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (isAcceptingWork > NVML_CC_ACCEPTING_CLIENT_REQUESTS_TRUE)
        return NVML_ERROR_INVALID_ARGUMENT;
    nvmlReturn_t result = administrator();
    return result ? result : NVML_ERROR_NOT_SUPPORTED;
}
