/* Peer access between devices: over NVLink, or over PCIe between boards that are no GeForce. */
#include "internal.h"
#include "peers.h"

enum { SWITCH = 2, GEFORCE = 5 };

/* Through a switch all reach each other; without one, those whose links lead to each other. */
static bool linked(const struct nvsim_gpu *a, const struct nvsim_gpu *b)
{
    uint32_t address = b->pci_domain << 16 | b->pci_bus << 8 | b->pci_device << 3;
    if (!LOAD(a->nvlink_active) || !LOAD(b->nvlink_active))
        return false;
    if (a->nvlink_remote_type == SWITCH && b->nvlink_remote_type == SWITCH)
        return true;
    for (unsigned i = 0; i < a->nvlink_links && i < sizeof a->nvlink_remote / sizeof *a->nvlink_remote; i++)
        if (a->nvlink_remote_type != SWITCH && a->nvlink_remote[i] == address)
            return true;
    return false;
}

bool reachable(unsigned from, unsigned to)
{
    const struct nvsim_gpu *a = gpu_at(from), *b = gpu_at(to);
    if (from == to || is_mig(from) || is_mig(to) || a->memory_total == NVSIM_ABSENT_U64 || b->memory_total == NVSIM_ABSENT_U64)
        return false;
    return linked(a, b) || (a->brand != GEFORCE && b->brand != GEFORCE);
}

CUresult cuDeviceCanAccessPeer(int *canAccessPeer, CUdevice dev, CUdevice peerDev)
{
    GPU_OR_RETURN(from, dev, canAccessPeer != NULL);
    GPU_OR_RETURN(to, peerDev, 1);
    *canAccessPeer = reachable((unsigned)dev, (unsigned)peerDev);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attrib, CUdevice srcDevice, CUdevice dstDevice)
{
    GPU_OR_RETURN(from, srcDevice, value != NULL);
    GPU_OR_RETURN(to, dstDevice, 1);
    if (srcDevice == dstDevice)
        return CUDA_ERROR_INVALID_DEVICE;
    bool direct = linked(from, to), reached = reachable((unsigned)srcDevice, (unsigned)dstDevice);
    switch ((int)attrib) {
    case CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK: /* 0 is the best */
        *value = reached && !direct;
        return CUDA_SUCCESS;
    case CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED:
    case CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED:
        *value = reached;
        return CUDA_SUCCESS;
    case CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED:
        *value = direct;
        return CUDA_SUCCESS;
    case CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED:
        *value = 0;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}
