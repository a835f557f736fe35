/* NVLink, the fabric, and where GPUs are relative to each other and to CPUs. */
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
    *counterValue = 0;
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

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t device, unsigned int link, nvmlPciInfo_t *pci)
{
    const struct nvsim_gpu *gpu = NULL;
    nvmlReturn_t result = link_of(device, link, pci, &gpu);
    if (result)
        return result;
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

static nvmlReturn_t fabric_of(nvmlDevice_t device, const void *pointer, nvmlGpuFabricInfo_t *info)
{
    GPU_OR_RETURN(gpu, device, pointer != NULL);
    uint32_t state = 0;
    char cluster[sizeof gpu->fabric_cluster] = "";
    READING(gpu) {
        state = LOAD(gpu->fabric_state);
        info->status = (nvmlReturn_t)LOAD(gpu->fabric_status);
        info->cliqueId = LOAD(gpu->fabric_clique);
        memcpy(cluster, gpu->fabric_cluster, sizeof cluster - 1);
    }
    if (state == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    info->state = (nvmlGpuFabricState_t)state;
    uuid_bytes(cluster, info->clusterUuid);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuFabricInfo(nvmlDevice_t device, nvmlGpuFabricInfo_t *gpuFabricInfo)
{
    nvmlGpuFabricInfo_t found = {0};
    nvmlReturn_t result = fabric_of(device, gpuFabricInfo, &found);
    if (!result)
        *gpuFabricInfo = found;
    return result;
}

/* Versions 2 and 3 differ in what follows the health mask. */
nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t device, nvmlGpuFabricInfoV_t *gpuFabricInfo)
{
    nvmlGpuFabricInfo_t found = {0};
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
    gpuFabricInfo->cliqueId = found.cliqueId;
    gpuFabricInfo->state = found.state;
    gpuFabricInfo->healthMask = 0;
    if (gpuFabricInfo->version == NVSIM_VERSION_nvmlGpuFabricInfo_v3_t)
        gpuFabricInfo->healthSummary = NVML_GPU_FABRIC_HEALTH_SUMMARY_NOT_SUPPORTED;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetC2cModeInfoV(nvmlDevice_t device, nvmlC2cModeInfo_v1_t *c2cModeInfo)
{
    return get_u32(device, c2cModeInfo ? &c2cModeInfo->isC2cEnabled : NULL, AT(c2c_mode));
}

/* Two GPUs and the pointer for the answer. */
static nvmlReturn_t pair_of(nvmlDevice_t first, nvmlDevice_t second, const void *pointer,
                            const struct nvsim_gpu *gpus[2])
{
    nvmlReturn_t result = gpu_of(first, 1, &gpus[0]);
    return result ? result : gpu_of(second, pointer != NULL, &gpus[1]);
}

static nvmlGpuTopologyLevel_t level_of(const struct nvsim_gpu *a, const struct nvsim_gpu *b)
{
    if (a->board_id == b->board_id)
        return NVML_TOPOLOGY_INTERNAL;
    if (a->pcie_switch && a->pcie_switch == b->pcie_switch)
        return NVML_TOPOLOGY_SINGLE;
    if (a->numa_node != b->numa_node)
        return NVML_TOPOLOGY_SYSTEM;
    return a->host_bridge == b->host_bridge ? NVML_TOPOLOGY_HOSTBRIDGE : NVML_TOPOLOGY_NODE;
}

nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t device1, nvmlDevice_t device2,
                                                 nvmlGpuTopologyLevel_t *pathInfo)
{
    const struct nvsim_gpu *gpus[2] = {NULL, NULL};
    nvmlReturn_t result = pair_of(device1, device2, pathInfo, gpus);
    if (!result)
        *pathInfo = level_of(gpus[0], gpus[1]);
    return result;
}

nvmlReturn_t nvmlDeviceOnSameBoard(nvmlDevice_t device1, nvmlDevice_t device2, int *onSameBoard)
{
    const struct nvsim_gpu *gpus[2] = {NULL, NULL};
    nvmlReturn_t result = pair_of(device1, device2, onSameBoard, gpus);
    if (!result)
        *onSameBoard = gpus[0]->board_id == gpus[1]->board_id;
    return result;
}

/* NVLink peers reach each other through the switches, others over PCIe if their boards can. */
nvmlReturn_t nvmlDeviceGetP2PStatus(nvmlDevice_t device1, nvmlDevice_t device2, nvmlGpuP2PCapsIndex_t p2pIndex,
                                    nvmlGpuP2PStatus_t *p2pStatus)
{
    const struct nvsim_gpu *gpus[2] = {NULL, NULL};
    nvmlReturn_t result = pair_of(device1, device2, p2pStatus, gpus);
    if (result)
        return result;
    if (p2pIndex >= NVML_P2P_CAPS_INDEX_UNKNOWN)
        return NVML_ERROR_INVALID_ARGUMENT;
    int linked = LOAD(gpus[0]->nvlink_active) && LOAD(gpus[1]->nvlink_active);
    int pcie = gpus[0]->brand != NVML_BRAND_GEFORCE && gpus[1]->brand != NVML_BRAND_GEFORCE;
    if (p2pIndex == NVML_P2P_CAPS_INDEX_NVLINK || p2pIndex == NVML_P2P_CAPS_INDEX_ATOMICS)
        *p2pStatus = linked ? NVML_P2P_STATUS_OK : NVML_P2P_STATUS_NOT_SUPPORTED;
    else if (p2pIndex == NVML_P2P_CAPS_INDEX_PCI)
        *p2pStatus = pcie ? NVML_P2P_STATUS_OK : NVML_P2P_STATUS_CHIPSET_NOT_SUPPORTED;
    else
        *p2pStatus = linked || pcie ? NVML_P2P_STATUS_OK : NVML_P2P_STATUS_CHIPSET_NOT_SUPPORTED;
    return NVML_SUCCESS;
}

/* Fills an array with the GPUs within a level of another, or without one, with those near a CPU. */
static nvmlReturn_t choose(unsigned *count, nvmlDevice_t *devices, const struct nvsim_gpu *from, unsigned cpu,
                           nvmlGpuTopologyLevel_t level)
{
    unsigned found = 0, room = *count, all = (unsigned)(LOAD(nvsim_session) & 0xFF);
    for (unsigned index = 0; index < all; index++) {
        const struct nvsim_gpu *gpu = gpu_at(index);
        int wanted = from ? slot_of(gpu) != slot_of(from) && level_of(from, gpu) <= level
                          : (int)(gpu->cpu_affinity[cpu / 64] >> cpu % 64 & 1);
        if (!wanted)
            continue;
        if (devices && found < room)
            devices[found] = handle_of(index);
        found++;
    }
    *count = found;
    return devices && found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTopologyNearestGpus(nvmlDevice_t device, nvmlGpuTopologyLevel_t level, unsigned int *count,
                                              nvmlDevice_t *deviceArray)
{
    GPU_OR_RETURN(gpu, device, count != NULL);
    return choose(count, deviceArray, gpu, 0, level);
}

nvmlReturn_t nvmlSystemGetTopologyGpuSet(unsigned int cpuNumber, unsigned int *count, nvmlDevice_t *deviceArray)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!count || cpuNumber >= 64 * (sizeof ((struct nvsim_gpu *)0)->cpu_affinity / sizeof(uint64_t)))
        return NVML_ERROR_INVALID_ARGUMENT;
    return choose(count, deviceArray, NULL, cpuNumber, NVML_TOPOLOGY_SYSTEM);
}

/* Bit sets of the caller's size: what does not fit is cut off, what is left over is cleared. */
static nvmlReturn_t cpu_set(nvmlDevice_t device, unsigned size, unsigned long *set)
{
    GPU_OR_RETURN(gpu, device, set && size);
    for (unsigned word = 0; word < size; word++)
        set[word] = word < sizeof gpu->cpu_affinity / sizeof *gpu->cpu_affinity ? gpu->cpu_affinity[word] : 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCpuAffinity(nvmlDevice_t device, unsigned int cpuSetSize, unsigned long *cpuSet)
{
    return cpu_set(device, cpuSetSize, cpuSet);
}

nvmlReturn_t nvmlDeviceGetCpuAffinityWithinScope(nvmlDevice_t device, unsigned int cpuSetSize, unsigned long *cpuSet,
                                                 nvmlAffinityScope_t scope)
{
    GPU_OR_RETURN(gpu, device, cpuSet && cpuSetSize && scope <= NVML_AFFINITY_SCOPE_SOCKET);
    return cpu_set(device, cpuSetSize, cpuSet);
}

nvmlReturn_t nvmlDeviceGetMemoryAffinity(nvmlDevice_t device, unsigned int nodeSetSize, unsigned long *nodeSet,
                                         nvmlAffinityScope_t scope)
{
    GPU_OR_RETURN(gpu, device, nodeSet && nodeSetSize && scope <= NVML_AFFINITY_SCOPE_SOCKET);
    unsigned bits = 8 * sizeof *nodeSet, node = gpu->numa_node;
    if (node == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    if (node / bits >= nodeSetSize)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    memset(nodeSet, 0, nodeSetSize * sizeof *nodeSet);
    nodeSet[node / bits] = 1ul << node % bits;
    return NVML_SUCCESS;
}

/* The node of the GPU's own memory, which only coherent boards bring along; not the one that it is near. */
nvmlReturn_t nvmlDeviceGetNumaNodeId(nvmlDevice_t device, unsigned int *node)
{
    GPU_OR_RETURN(gpu, device, node != NULL);
    if (gpu->c2c_mode != 1 || gpu->numa_node == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    *node = gpu->numa_node;
    return NVML_SUCCESS;
}
