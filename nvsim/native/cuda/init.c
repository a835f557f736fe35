/* Initialization and version.  What a process may open decides what it sees (DESIGN D4), and then its environment. */
#include <pthread.h>

#include "board/host.h"
#include "internal.h"
#include "thread.h"
#include "visible.h"

struct device devices[MOST_DEVICES];
unsigned device_count;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool forked; /* this process is a child of one in which cuInit had succeeded */

void acquire(void)
{
    pthread_mutex_lock(&lock);
}

void release(int *held)
{
    if (*held)
        pthread_mutex_unlock(&lock);
}

/* CUDA does not survive fork: the child can only exec.  Another thread may have held the lock, which nobody would
 * release there. */
static void leave_child(void)
{
    forked = forked || device_count;
    device_count = 0;
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

static bool watched; /* forks are noticed */

__attribute__((constructor)) static void watch_forks(void)
{
    watched = !pthread_atfork(NULL, NULL, leave_child);
}

/* The GPU of Jetson Orin works without nvidia-uvm.  Since L4T 36 CUDA begins with the render node of the processor and
 * the fences of host1x, and is not supported (801) where a container lacks them: wendylabsinc/WendyOS#1699. */
static CUresult tegra(void)
{
    int needed = nvsim_board.header.driver_branch >= 540;
    return needed && (nvsim_node("dri/renderD", 128) || nvsim_node("host1x-fence", -1)) ? CUDA_ERROR_NOT_SUPPORTED
                                                                                      : CUDA_SUCCESS;
}

/* What the driver says before it looks for devices.  Without /dev/nvidia-uvm the driver fails unspecifically. */
static CUresult driver(void)
{
    switch (nvsim_driver()) {
    case NVSIM_DRIVER_ANSWERS:
        break;
    case NVSIM_DRIVER_BLOCKED:
        return CUDA_ERROR_OPERATING_SYSTEM;
    case NVSIM_DRIVER_MISMATCH:
        return CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
    default:
        return CUDA_ERROR_NO_DEVICE;
    }
    if (nvsim_nvgpu_answers())
        return tegra();
    return !is_wsl() && nvsim_node("nvidia-uvm", -1) ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

/* Until the fabric manager has joined the GPUs to the NVLink fabric there is no CUDA on them. */
static CUresult fabric(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t state = LOAD(gpu_at(i)->fabric_state);
        if (state == 1 || state == 2)
            return CUDA_ERROR_SYSTEM_NOT_READY;
    }
    return CUDA_SUCCESS;
}

static CUresult initialise(void)
{
    if (forked)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (device_count)
        return CUDA_SUCCESS;
    CUresult result = driver();
    unsigned count = result ? 0 : find_devices(devices);
    if (!result && !count)
        result = CUDA_ERROR_NO_DEVICE;
    if (!result)
        result = fabric(count);
    if (result)
        return result;
    if (!watched || prepare_threads())
        return CUDA_ERROR_OUT_OF_MEMORY;
    __atomic_store_n(&device_count, count, __ATOMIC_RELEASE);
    return CUDA_SUCCESS;
}

CUresult cuInit(unsigned int Flags)
{
    if (Flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (!initialised())
        return CUDA_SUCCESS;
    CUresult result = CUDA_SUCCESS;
    LOCKED
        result = initialise();
    return result;
}

/* Works before cuInit, and without a GPU. */
CUresult cuDriverGetVersion(int *driverVersion)
{
    if (!driverVersion)
        return CUDA_ERROR_INVALID_VALUE;
    *driverVersion = (int)LOAD(nvsim_board.header.cuda_version);
    return CUDA_SUCCESS;
}
