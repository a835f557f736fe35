/* vGPU, by the side of it that the machine is: a host whose driver shares GPUs, a guest that has a share, or neither.
 * The catalogue knows no vGPU types, so a host has none to offer, and no guest runs on it. */
#include "internal.h"

static uint32_t mode_of(const struct nvsim_gpu *gpu)
{
    return LOAD(gpu->virtualization);
}

/* The GPU of a host that shares it; 3 for any other. */
static nvmlReturn_t shared(nvmlDevice_t device, const void *pointer, const struct nvsim_gpu **found)
{
    GPU_OR_RETURN(gpu, device, pointer != NULL);
    *found = gpu;
    return mode_of(gpu) == NVML_GPU_VIRTUALIZATION_MODE_HOST_VGPU ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

/* Shares are virtual functions since Ampere. */
nvmlReturn_t nvmlDeviceGetHostVgpuMode(nvmlDevice_t device, nvmlHostVgpuMode_t *pHostVgpuMode)
{
    const struct nvsim_gpu *gpu = NULL;
    nvmlReturn_t result = shared(device, pHostVgpuMode, &gpu);
    if (!result)
        *pHostVgpuMode = gpu->architecture >= NVML_DEVICE_ARCH_AMPERE ? NVML_HOST_VGPU_MODE_SRIOV
                                                                      : NVML_HOST_VGPU_MODE_NON_SRIOV;
    return result;
}

nvmlReturn_t nvmlDeviceGetVgpuHeterogeneousMode(nvmlDevice_t device, nvmlVgpuHeterogeneousMode_t *pHeterogeneousMode)
{
    GPU_OR_RETURN(gpu, device, pHeterogeneousMode != NULL);
    KNOWN_VERSION(pHeterogeneousMode, NVSIM_VERSION_nvmlVgpuHeterogeneousMode_v1_t);
    nvmlReturn_t result = shared(device, pHeterogeneousMode, &gpu);
    if (!result)
        pHeterogeneousMode->mode = NVML_FEATURE_DISABLED;
    return result;
}

static nvmlReturn_t none(nvmlDevice_t device, unsigned *count)
{
    const struct nvsim_gpu *gpu = NULL;
    nvmlReturn_t result = shared(device, count, &gpu);
    if (!result)
        *count = 0;
    return result;
}

nvmlReturn_t nvmlDeviceGetActiveVgpus(nvmlDevice_t device, unsigned int *vgpuCount, nvmlVgpuInstance_t *vgpuInstances)
{
    (void)vgpuInstances;
    return none(device, vgpuCount);
}

nvmlReturn_t nvmlDeviceGetSupportedVgpus(nvmlDevice_t device, unsigned int *vgpuCount, nvmlVgpuTypeId_t *vgpuTypeIds)
{
    (void)vgpuTypeIds;
    return none(device, vgpuCount);
}

nvmlReturn_t nvmlDeviceGetCreatableVgpus(nvmlDevice_t device, unsigned int *vgpuCount, nvmlVgpuTypeId_t *vgpuTypeIds)
{
    (void)vgpuTypeIds;
    return none(device, vgpuCount);
}

/* The ranges that NVIDIA's vGPU software guide gives: slices of 1 to 30 ms, in ns. */
nvmlReturn_t nvmlDeviceGetVgpuSchedulerCapabilities(nvmlDevice_t device, nvmlVgpuSchedulerCapabilities_t *pCapabilities)
{
    const struct nvsim_gpu *gpu = NULL;
    nvmlReturn_t result = shared(device, pCapabilities, &gpu);
    if (!result)
        *pCapabilities = (nvmlVgpuSchedulerCapabilities_t){
            .supportedSchedulers = {NVML_VGPU_SCHEDULER_POLICY_BEST_EFFORT, NVML_VGPU_SCHEDULER_POLICY_EQUAL_SHARE,
                                    NVML_VGPU_SCHEDULER_POLICY_FIXED_SHARE},
            .maxTimeslice = 30000000,
            .minTimeslice = 1000000,
            .isArrModeSupported = 1,
            .maxFrequencyForARR = 960,
            .minFrequencyForARR = 63,
            .maxAvgFactorForARR = 60,
            .minAvgFactorForARR = 1};
    return result;
}

nvmlReturn_t nvmlDeviceGetVgpuSchedulerState(nvmlDevice_t device, nvmlVgpuSchedulerGetState_t *pSchedulerState)
{
    const struct nvsim_gpu *gpu = NULL;
    nvmlReturn_t result = shared(device, pSchedulerState, &gpu);
    if (!result)
        *pSchedulerState = (nvmlVgpuSchedulerGetState_t){.schedulerPolicy = NVML_VGPU_SCHEDULER_POLICY_BEST_EFFORT,
                                                         .arrMode = NVML_VGPU_SCHEDULER_ARR_DEFAULT};
    return result;
}

/* Only a guest needs a licence.  Earlier versions of the call, with smaller structs, are not answered. */
nvmlReturn_t nvmlDeviceGetGridLicensableFeatures_v4(nvmlDevice_t device,
                                                    nvmlGridLicensableFeatures_t *pGridLicensableFeatures)
{
    GPU_OR_RETURN(gpu, device, pGridLicensableFeatures != NULL);
    uint32_t licensed = 0;
    READING(gpu)
        licensed = LOAD(gpu->vgpu_licensed);
    if (mode_of(gpu) != NVML_GPU_VIRTUALIZATION_MODE_VGPU)
        return NVML_ERROR_NOT_SUPPORTED;
    static const char product[] = "NVIDIA Virtual Compute Server";
    nvmlGridLicensableFeatures_t found = {.isGridLicenseSupported = 1, .licensableFeaturesCount = 1};
    nvmlGridLicensableFeature_t *feature = &found.gridLicensableFeatures[0];
    feature->featureCode = NVML_GRID_LICENSE_FEATURE_CODE_COMPUTE;
    feature->featureState = feature->featureEnabled = licensed;
    memcpy(feature->productName, product, sizeof product);
    feature->licenseExpiry.status = licensed ? NVML_GRID_LICENSE_EXPIRY_PERMANENT
                                             : NVML_GRID_LICENSE_EXPIRY_NOT_APPLICABLE;
    *pGridLicensableFeatures = found;
    return NVML_SUCCESS;
}
