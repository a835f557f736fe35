/* Which calls an administrator opens to ordinary users: those that set applications clocks. */
#include "change.h"

/* Only boards older than those of the catalogue have auto boost; not every board has applications clocks. */
static nvmlReturn_t known(const struct nvsim_gpu *gpu, nvmlRestrictedAPI_t api)
{
    int has = api == NVML_RESTRICTED_API_SET_APPLICATION_CLOCKS && gpu->clock_default_graphics != NVSIM_ABSENT_U32;
    return has ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

/* Any process may ask. */
nvmlReturn_t nvmlDeviceGetAPIRestriction(nvmlDevice_t device, nvmlRestrictedAPI_t apiType,
                                         nvmlEnableState_t *isRestricted)
{
    GPU_OR_RETURN(gpu, device, isRestricted != NULL && apiType < NVML_RESTRICTED_API_COUNT);
    nvmlReturn_t result = known(gpu, apiType);
    if (!result)
        *isRestricted = !(LOAD(gpu->api_unrestricted) & 1u << apiType);
    return result;
}

struct restriction {
    nvmlRestrictedAPI_t api;
    nvmlEnableState_t restricted;
};

static nvmlReturn_t restrict_api(struct nvsim_gpu *gpu, void *arguments)
{
    const struct restriction *wanted = arguments;
    uint32_t bit = 1u << wanted->api;
    gpu->api_unrestricted = wanted->restricted ? gpu->api_unrestricted & ~bit : gpu->api_unrestricted | bit;
    return known(gpu, wanted->api);
}

nvmlReturn_t nvmlDeviceSetAPIRestriction(nvmlDevice_t device, nvmlRestrictedAPI_t apiType,
                                         nvmlEnableState_t isRestricted)
{
    struct restriction wanted = {apiType, isRestricted};
    GPU_OR_RETURN(gpu, device, apiType < NVML_RESTRICTED_API_COUNT && isRestricted <= NVML_FEATURE_ENABLED);
    return change_gpu(device, restrict_api, &wanted);
}
