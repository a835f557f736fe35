/* Binding the calling thread to the CPUs near a GPU.  It changes no GPU, so anybody may. */
#include <errno.h>
#include <sched.h>

#include "internal.h"

/* None of the CPUs that a board names need be there: an emulated host has as many as its profile says.  The thread then
 * stays where it is. */
static nvmlReturn_t bind_to(const cpu_set_t *cpus)
{
    if (!sched_setaffinity(0, sizeof *cpus, cpus) || errno == EINVAL)
        return NVML_SUCCESS;
    return errno == EPERM ? NVML_ERROR_NO_PERMISSION : NVML_ERROR_UNKNOWN;
}

nvmlReturn_t nvmlDeviceSetCpuAffinity(nvmlDevice_t device)
{
    cpu_set_t cpus;
    GPU_OR_RETURN(gpu, device, 1);
    _Static_assert(sizeof cpus == sizeof gpu->cpu_affinity, "a CPU set has as many CPUs as the board");
    memcpy(&cpus, gpu->cpu_affinity, sizeof cpus);
    return bind_to(&cpus);
}

nvmlReturn_t nvmlDeviceClearCpuAffinity(nvmlDevice_t device)
{
    cpu_set_t cpus;
    GPU_OR_RETURN(gpu, device, 1);
    memset(&cpus, 0xFF, sizeof cpus);
    return bind_to(&cpus);
}
