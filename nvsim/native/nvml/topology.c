/* Where GPUs are relative to each other and to CPUs, and the chip-to-chip link to a CPU. */
#include "internal.h"

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
    if (LOAD(gpus[0]->mig_mode) == 1 || LOAD(gpus[1]->mig_mode) == 1) {
        *p2pStatus = NVML_P2P_STATUS_NOT_SUPPORTED; /* MIG takes peer access away */
        return NVML_SUCCESS;
    }
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
