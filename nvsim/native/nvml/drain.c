/* Taking a GPU out of service: draining it, letting go of it, and finding it again.  These calls name a GPU by its PCI
 * address, because a process may not see it any more. */
#include "change.h"

/* The place on the board of the GPU at an address; -1: there is none. */
static int place_at(const nvmlPciInfo_t *address)
{
    unsigned present = LOAD(nvsim_board.header.gpu_count);
    for (unsigned place = 0; place < present && place < NVSIM_BOARD_CAPACITY; place++) {
        const struct nvsim_gpu *gpu = copy_of(&nvsim_board.slots[place]);
        if (gpu->pci_domain == address->domain && gpu->pci_bus == address->bus && gpu->pci_device == address->device)
            return (int)place;
    }
    return -1;
}

static nvmlReturn_t change_at(const nvmlPciInfo_t *address, nvsim_edit edit, void *arguments)
{
    int place = place_at(address);
    return place < 0 ? NVML_ERROR_INVALID_ARGUMENT : change_place((unsigned)place, edit, arguments);
}

static int in_use(const struct nvsim_gpu *gpu)
{
    for (unsigned i = 0; i < sizeof gpu->process_pid / sizeof *gpu->process_pid; i++)
        if (gpu->process_pid[i])
            return 1;
    return gpu->persistence != 0;
}

/* Draining starts on a GPU that persistence mode does not hold. */
static nvmlReturn_t set_draining(struct nvsim_gpu *gpu, void *state)
{
    uint32_t wanted = *(const nvmlEnableState_t *)state;
    if (gpu->removed)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (wanted && gpu->persistence)
        return NVML_ERROR_IN_USE;
    gpu->draining = wanted;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceModifyDrainState(nvmlPciInfo_t *pciInfo, nvmlEnableState_t newState)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!pciInfo || newState > NVML_FEATURE_ENABLED)
        return NVML_ERROR_INVALID_ARGUMENT;
    return change_at(pciInfo, set_draining, &newState);
}

nvmlReturn_t nvmlDeviceQueryDrainState(nvmlPciInfo_t *pciInfo, nvmlEnableState_t *currentState)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    int place = pciInfo && currentState ? place_at(pciInfo) : -1;
    if (place < 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    *currentState = LOAD(copy_of(&nvsim_board.slots[place])->draining);
    return NVML_SUCCESS;
}

/* Whoever still holds the GPU finds it lost. */
static nvmlReturn_t let_go(struct nvsim_gpu *gpu, void *unused)
{
    (void)unused;
    if (in_use(gpu))
        return NVML_ERROR_IN_USE;
    gpu->removed = gpu->removed ? gpu->removed : 1 + gpu->fault;
    gpu->draining = 0;
    gpu->fault = NVML_ERROR_GPU_IS_LOST;
    return NVML_SUCCESS;
}

/* What the link does afterwards makes no difference to a board that is not there. */
nvmlReturn_t nvmlDeviceRemoveGpu_v2(nvmlPciInfo_t *pciInfo, nvmlDetachGpuState_t gpuState,
                                    nvmlPcieLinkState_t linkState)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!pciInfo || gpuState > NVML_DETACH_GPU_REMOVE || linkState > NVML_PCIE_LINK_SHUT_DOWN)
        return NVML_ERROR_INVALID_ARGUMENT;
    return change_at(pciInfo, let_go, NULL);
}

nvmlReturn_t nvmlDeviceRemoveGpu(nvmlPciInfo_t *pciInfo)
{
    return nvmlDeviceRemoveGpu_v2(pciInfo, NVML_DETACH_GPU_REMOVE, NVML_PCIE_LINK_KEEP);
}

static nvmlReturn_t take_back(struct nvsim_gpu *gpu, void *unused)
{
    (void)unused;
    if (gpu->removed)
        gpu->fault = gpu->removed - 1;
    gpu->removed = 0;
    return NVML_SUCCESS;
}

/* Scans a part of the PCI tree: the GPU there is seen again by processes that initialise NVML from now on. */
nvmlReturn_t nvmlDeviceDiscoverGpus(nvmlPciInfo_t *pciInfo)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!pciInfo)
        return NVML_ERROR_INVALID_ARGUMENT;
    return change_at(pciInfo, take_back, NULL);
}
