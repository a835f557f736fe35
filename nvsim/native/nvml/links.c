/* NVLink: what links are, where they lead, and what they have counted. */
#include <stdio.h>

#include "internal.h"

/* A board without links supports none of their queries; a link that it does not have is an invalid argument. */
static nvmlReturn_t link_of(nvmlDevice_t device, unsigned link, const void *pointer, const struct nvsim_gpu **found)
{
    GPU_OR_RETURN(gpu, device, pointer != NULL);
    *found = gpu;
    if (!gpu->nvlink_links)
        return NVML_ERROR_NOT_SUPPORTED;
    return link < gpu->nvlink_links && link < NVML_NVLINK_MAX_LINKS ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

static unsigned link_up(const struct nvsim_gpu *gpu, unsigned link)
{
    uint64_t active = 0;
    READING(gpu)
        active = LOAD(gpu->nvlink_active);
    return active >> link & 1;
}

nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t device, unsigned int link, nvmlEnableState_t *isActive)
{
    const struct nvsim_gpu *gpu = NULL;
    nvmlReturn_t result = link_of(device, link, isActive, &gpu);
    if (!result)
        *isActive = (nvmlEnableState_t)link_up(gpu, link);
    return result;
}

nvmlReturn_t nvmlDeviceGetNvLinkVersion(nvmlDevice_t device, unsigned int link, unsigned int *version)
{
    const struct nvsim_gpu *gpu = NULL;
    nvmlReturn_t result = link_of(device, link, version, &gpu);
    if (!result)
        *version = gpu->nvlink_version;
    return result;
}

nvmlReturn_t nvmlDeviceGetNvLinkCapability(nvmlDevice_t device, unsigned int link, nvmlNvLinkCapability_t capability,
                                           unsigned int *capResult)
{
    const struct nvsim_gpu *gpu = NULL;
    nvmlReturn_t result = link_of(device, link, capResult, &gpu);
    if (result)
        return result;
    if (capability >= NVML_NVLINK_CAP_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    *capResult = capability != NVML_NVLINK_CAP_SLI_BRIDGE;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkErrorCounter(nvmlDevice_t device, unsigned int link, nvmlNvLinkErrorCounter_t counter,
                                             unsigned long long *counterValue)
{
    const struct nvsim_gpu *gpu = NULL;
    nvmlReturn_t result = link_of(device, link, counterValue, &gpu);
    if (result)
        return result;
    if (counter >= NVML_NVLINK_ERROR_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    READING(gpu)
        *counterValue = LOAD(gpu->nvlink_errors[link * NVML_NVLINK_ERROR_COUNT + counter]);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t device, unsigned int link,
                                                 nvmlIntNvLinkDeviceType_t *pNvLinkDeviceType)
{
    const struct nvsim_gpu *gpu = NULL;
    nvmlReturn_t result = link_of(device, link, pNvLinkDeviceType, &gpu);
    if (result)
        return result;
    *pNvLinkDeviceType = link_up(gpu, link) ? (nvmlIntNvLinkDeviceType_t)gpu->nvlink_remote_type
                                            : NVML_NVLINK_DEVICE_TYPE_UNKNOWN;
    return NVML_SUCCESS;
}

/* A link that leads nowhere and one that this board does not have are the same here: nvidia-smi topo 535 and 550 ask
 * for more links than an A100 has, and give up at an invalid argument. */
nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t device, unsigned int link, nvmlPciInfo_t *pci)
{
    const struct nvsim_gpu *gpu = NULL;
    nvmlReturn_t result = link_of(device, link, pci, &gpu);
    if (result)
        return gpu && link < NVML_NVLINK_MAX_LINKS ? NVML_ERROR_NOT_SUPPORTED : result;
    if (!link_up(gpu, link))
        return NVML_ERROR_NOT_SUPPORTED;
    uint32_t remote = gpu->nvlink_remote[link];
    *pci = (nvmlPciInfo_t){.domain = remote >> 16,
                           .bus = remote >> 8 & 0xFF,
                           .device = remote >> 3 & 0x1F,
                           .pciDeviceId = gpu->nvlink_remote_device_id};
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, NVML_DEVICE_PCI_BUS_ID_LEGACY_FMT, pci->domain, pci->bus & 0xFF,
             pci->device & 0x1F);
    snprintf(pci->busId, sizeof pci->busId, NVML_DEVICE_PCI_BUS_ID_FMT, pci->domain, pci->bus & 0xFF,
             pci->device & 0x1F);
    return NVML_SUCCESS;
}

/* The layout before busId[32] existed. */
nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo(nvmlDevice_t device, unsigned int link, nvmlPciInfo_t *pci)
{
    nvmlPciInfo_t found;
    nvmlReturn_t result = nvmlDeviceGetNvLinkRemotePciInfo_v2(device, link, pci ? &found : NULL);
    if (!result)
        memcpy(pci, &found, offsetof(nvmlPciInfo_t, busId));
    return result;
}
