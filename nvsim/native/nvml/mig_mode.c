/* MIG mode: on or off now, and after the next reset. */
#include "change.h"
#include "mig.h"

GET_PAIR(nvmlDeviceGetMigMode, unsigned int, mig_mode, mig_pending)

/* A MIG device holds none; a board without MIG has zero. */
nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count)
{
    ANY_DEVICE_OR_RETURN(gpu, place, device, count != NULL);
    *count = place.slot == MIG_NONE ? gpu->mig_max_devices : 0;
    return NVML_SUCCESS;
}

static int has_processes(const struct nvsim_gpu *gpu)
{
    for (size_t i = 0; i < sizeof gpu->process_pid / sizeof *gpu->process_pid; i++)
        if (gpu->process_pid[i])
            return 1;
    return 0;
}

static int has_instances(const struct nvsim_gpu *gpu)
{
    for (unsigned slot = 0; slot < MIG_SLOTS; slot++)
        if (gpu->gi_size[slot])
            return 1;
    return 0;
}

struct switching {
    unsigned mode;
    nvmlReturn_t status;
};

/* Until Hopper the switch needs a reset, and waits for it while the GPU is in use; since then it happens at once, and
 * not at all while the GPU is in use. */
static nvmlReturn_t set_mode(struct nvsim_gpu *gpu, void *arguments)
{
    struct switching *wanted = arguments;
    if (gpu->mig_mode == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    if (!wanted->mode && has_instances(gpu))
        return NVML_ERROR_IN_USE;
    if (wanted->mode != gpu->mig_mode && has_processes(gpu)) {
        if (gpu->architecture >= NVML_DEVICE_ARCH_HOPPER)
            return NVML_ERROR_IN_USE;
        wanted->status = NVML_ERROR_IN_USE;
    } else if (wanted->mode != gpu->mig_mode) {
        gpu->mig_mode = wanted->mode;
        raise_event(gpu, nvmlEventMigConfigChange, 0);
    }
    gpu->mig_pending = wanted->mode;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceSetMigMode(nvmlDevice_t device, unsigned int mode, nvmlReturn_t *activationStatus)
{
    GPU_OR_RETURN(gpu, device, activationStatus && mode <= NVML_DEVICE_MIG_ENABLE);
    struct switching wanted = {.mode = mode, .status = NVML_SUCCESS};
    if (LOAD(gpu->mig_mode) == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    nvmlReturn_t result = change_gpu(device, set_mode, &wanted);
    if (!result)
        *activationStatus = wanted.status;
    return result;
}
