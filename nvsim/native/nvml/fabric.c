/* The NVLink fabric that a GPU belongs to, and the rack that it sits in. */
#include "internal.h"

/* Sixteen bytes from a UUID without prefix. */
static void uuid_bytes(const char *text, unsigned char *bytes)
{
    unsigned count = 0;
    for (; *text && count < 32; text++) {
        unsigned digit = *text >= 'a' ? (unsigned)(*text - 'a' + 10) : (unsigned)(*text - '0');
        if (*text == '-')
            continue;
        bytes[count / 2] = (unsigned char)(bytes[count / 2] << 4 | (digit & 15));
        count++;
    }
}

/* The newest layout has everything that the older ones have; cliques[0] is their only clique. */
static nvmlReturn_t fabric_of(nvmlDevice_t device, const void *pointer, nvmlGpuFabricInfo_v4_t *info)
{
    GPU_OR_RETURN(gpu, device, pointer != NULL);
    uint32_t state = 0;
    char cluster[sizeof gpu->fabric_cluster] = "";
    READING(gpu) {
        state = LOAD(gpu->fabric_state);
        info->status = (nvmlReturn_t)LOAD(gpu->fabric_status);
        info->cliques[0].id = LOAD(gpu->fabric_clique);
        info->healthMask = LOAD(gpu->fabric_health);
        info->healthSummary = (unsigned char)LOAD(gpu->fabric_health_summary);
        memcpy(cluster, gpu->fabric_cluster, sizeof cluster - 1);
    }
    if (state == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    info->numCliques = 1;
    info->cliques[0].type = NVML_GPU_FABRIC_CLIQUE_TYPE_UNICAST_POINTER;
    info->state = (nvmlGpuFabricState_t)state;
    uuid_bytes(cluster, info->clusterUuid);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuFabricInfo_v4(nvmlDevice_t device, nvmlGpuFabricInfo_v4_t *gpuFabricInfo)
{
    nvmlGpuFabricInfo_v4_t found = {0};
    nvmlReturn_t result = fabric_of(device, gpuFabricInfo, &found);
    if (!result)
        *gpuFabricInfo = found;
    return result;
}

nvmlReturn_t nvmlDeviceGetGpuFabricInfo(nvmlDevice_t device, nvmlGpuFabricInfo_t *gpuFabricInfo)
{
    nvmlGpuFabricInfo_v4_t found = {0};
    nvmlReturn_t result = fabric_of(device, gpuFabricInfo, &found);
    if (result)
        return result;
    memcpy(gpuFabricInfo->clusterUuid, found.clusterUuid, sizeof found.clusterUuid);
    gpuFabricInfo->status = found.status;
    gpuFabricInfo->cliqueId = found.cliques[0].id;
    gpuFabricInfo->state = found.state;
    return NVML_SUCCESS;
}

/* Version 3 adds a summary to what version 2 has. */
nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t device, nvmlGpuFabricInfoV_t *gpuFabricInfo)
{
    nvmlGpuFabricInfo_v4_t found = {0};
    nvmlReturn_t result = fabric_of(device, gpuFabricInfo, &found);
    if (result && result != NVML_ERROR_NOT_SUPPORTED)
        return result;
    if (!IS_VERSION(gpuFabricInfo, NVSIM_VERSION_nvmlGpuFabricInfo_v3_t) &&
        !IS_VERSION(gpuFabricInfo, NVSIM_VERSION_nvmlGpuFabricInfo_v2_t))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (result)
        return result;
    memcpy(gpuFabricInfo->clusterUuid, found.clusterUuid, sizeof found.clusterUuid);
    gpuFabricInfo->status = found.status;
    gpuFabricInfo->cliqueId = found.cliques[0].id;
    gpuFabricInfo->state = found.state;
    gpuFabricInfo->healthMask = found.healthMask;
    if (gpuFabricInfo->version == NVSIM_VERSION_nvmlGpuFabricInfo_v3_t)
        gpuFabricInfo->healthSummary = found.healthSummary;
    return NVML_SUCCESS;
}

/* 255 for what the platform does not say. */
static unsigned char small(uint32_t value)
{
    return value == NVSIM_ABSENT_U32 ? 0xFF : (unsigned char)value;
}

/* Versions 1 and 2 name the same bytes differently, and 1 has the GUID of a rack where 2 has a serial number. */
nvmlReturn_t nvmlDeviceGetPlatformInfo(nvmlDevice_t device, nvmlPlatformInfo_t *platformInfo)
{
    GPU_OR_RETURN(gpu, device, platformInfo != NULL);
    if (!IS_VERSION(platformInfo, NVSIM_VERSION_nvmlPlatformInfo_v1_t) &&
        !IS_VERSION(platformInfo, NVSIM_VERSION_nvmlPlatformInfo_v2_t))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (gpu->platform_host == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    *platformInfo = (nvmlPlatformInfo_t){.version = platformInfo->version,
                                         .slotNumber = small(gpu->platform_slot),
                                         .trayIndex = small(gpu->platform_tray),
                                         .hostId = small(gpu->platform_host),
                                         .peerType = small(gpu->platform_peer),
                                         .moduleId = small(gpu->module_id)};
    memcpy(platformInfo->ibGuid, &gpu->platform_fabric_guid, sizeof gpu->platform_fabric_guid);
    memcpy(platformInfo->chassisSerialNumber, gpu->platform_chassis,
           strnlen(gpu->platform_chassis, sizeof platformInfo->chassisSerialNumber));
    return NVML_SUCCESS;
}
