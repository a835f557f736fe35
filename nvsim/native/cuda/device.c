/* Device management: what a device is, where it is, and which other devices it reaches. */
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

CUresult cuDeviceGetCount(int *count)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    *count = (int)LOAD(device_count);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    GPU_OR_RETURN(gpu, ordinal, device != NULL);
    *device = ordinal;
    return CUDA_SUCCESS;
}

bool is_gone(unsigned device)
{
    const struct nvsim_gpu *gpu = gpu_at(device);
    unsigned slot = devices[device].slot;
    bool gone = false;
    READING(gpu)
        gone = LOAD(gpu->fault) || (slot != MIG_NONE && (!LOAD(gpu->ci_size[slot]) ||
                                                        LOAD(gpu->ci_serial[slot]) != devices[device].serial));
    return gone;
}

/* Too small a buffer gets the beginning. */
CUresult cuDeviceGetName(char *name, int len, CUdevice dev)
{
    char text[sizeof ((struct nvsim_gpu *)0)->name + 32];
    GPU_OR_RETURN(gpu, dev, name && len > 0);
    if (!is_mig((unsigned)dev) || !mig_name(gpu, devices[dev].slot, text, sizeof text))
        snprintf(text, sizeof text, "%s", gpu->name);
    char *module = strstr(text, " (nvgpu)"); /* which NVML alone says */
    if (module)
        *module = '\0';
    snprintf(name, (size_t)len, "%s", text);
    return CUDA_SUCCESS;
}

/* The driver keeps a part of the memory that NVML counts.  GPUs that share the system's memory offer all of it. */
static void gpu_memory(const struct nvsim_gpu *gpu, uint64_t *total, uint64_t *taken)
{
    uint64_t all = 0, reserved = 0;
    READING(gpu) {
        all = LOAD(gpu->memory_total);
        reserved = LOAD(gpu->memory_reserved);
        *taken = LOAD(gpu->memory_used);
    }
    if (all == NVSIM_ABSENT_U64)
        all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    *total = all > reserved ? all - reserved : 0;
}

void memory_of(unsigned device, uint64_t *total, uint64_t *taken)
{
    *total = *taken = 0;
    if (!is_mig(device))
        gpu_memory(gpu_at(device), total, taken);
    else
        mig_memory(gpu_at(device), devices[device].slot, total, taken);
    if (*taken > *total)
        *taken = *total;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
    uint64_t total = 0, taken = 0;
    GPU_OR_RETURN(gpu, dev, bytes != NULL);
    memory_of((unsigned)dev, &total, &taken);
    *bytes = total;
    return CUDA_SUCCESS;
}

/* The interface of 32-bit sizes: as much as fits. */
CUresult cuDeviceTotalMem(unsigned int *bytes, CUdevice dev)
{
    size_t total = 0;
    CUresult result = cuDeviceTotalMem_v2(bytes ? &total : NULL, dev);
    if (!result)
        *bytes = total > UINT32_MAX ? UINT32_MAX : (unsigned)total;
    return result;
}

/* The 32 hexadecimal digits as bytes, behind "GPU-" or "MIG-" if that is there. */
static void uuid_bytes(const char *text, unsigned char bytes[16])
{
    unsigned digit = 0;
    for (text += strspn(text, "GPUMI") ? strlen("GPU-") : 0; *text && digit < 32; text++) {
        unsigned value = *text >= '0' && *text <= '9'   ? (unsigned)(*text - '0')
                         : *text >= 'a' && *text <= 'f' ? (unsigned)(*text - 'a') + 10
                                                        : 16;
        if (value == 16)
            continue;
        bytes[digit / 2] = (unsigned char)(digit % 2 ? bytes[digit / 2] | value : value << 4);
        digit++;
    }
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)
{
    char text[sizeof ((struct nvsim_gpu *)0)->ci_uuid[0] + 1] = "";
    GPU_OR_RETURN(gpu, dev, uuid != NULL);
    if (!is_mig((unsigned)dev))
        return cuDeviceGetUuid(uuid, dev);
    READING(gpu)
        memcpy(text, gpu->ci_uuid[devices[dev].slot], sizeof gpu->ci_uuid[0]);
    memset(uuid, 0, sizeof *uuid);
    uuid_bytes(text, uuid->bytes);
    return CUDA_SUCCESS;
}

/* Of a MIG device, the UUID of its GPU. */
CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice dev)
{
    GPU_OR_RETURN(gpu, dev, uuid != NULL);
    memset(uuid, 0, sizeof *uuid);
    uuid_bytes(gpu->uuid, uuid->bytes);
    return CUDA_SUCCESS;
}

/* Locally unique ids are Windows's. */
CUresult cuDeviceGetLuid(char *luid, unsigned int *deviceNodeMask, CUdevice dev)
{
    GPU_OR_RETURN(gpu, dev, luid && deviceNodeMask);
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
    GPU_OR_RETURN(gpu, dev, major && minor);
    *major = (int)gpu->compute_major;
    *minor = (int)gpu->compute_minor;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetPCIBusId(char *pciBusId, int len, CUdevice dev)
{
    char text[16];
    GPU_OR_RETURN(gpu, dev, pciBusId && len > 0);
    snprintf(text, sizeof text, "%04x:%02x:%02x.0", gpu->pci_domain & 0xFFFF, gpu->pci_bus & 0xFF,
             gpu->pci_device & 0xFF);
    if ((size_t)len <= strlen(text))
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(pciBusId, text, strlen(text) + 1);
    return CUDA_SUCCESS;
}

/* DOMAIN:BUS:DEVICE.FUNCTION, DOMAIN:BUS:DEVICE or BUS:DEVICE.FUNCTION, all hexadecimal. */
CUresult cuDeviceGetByPCIBusId(CUdevice *dev, const char *pciBusId)
{
    unsigned domain = 0, bus = 0, slot = 0;
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!dev || !pciBusId)
        return CUDA_ERROR_INVALID_VALUE;
    if (sscanf(pciBusId, "%x:%x:%x", &domain, &bus, &slot) != 3) {
        domain = 0;
        if (sscanf(pciBusId, "%x:%x", &bus, &slot) != 2)
            return CUDA_ERROR_INVALID_VALUE;
    }
    for (unsigned i = 0; i < LOAD(device_count); i++) {
        const struct nvsim_gpu *gpu = gpu_at(i);
        if (gpu->pci_domain == domain && gpu->pci_bus == bus && gpu->pci_device == slot) {
            *dev = (int)i;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_DEVICE;
}

/* Restricting contexts to some multiprocessors needs the multi-process service. */
CUresult cuDeviceGetExecAffinitySupport(int *pi, CUexecAffinityType type, CUdevice dev)
{
    GPU_OR_RETURN(gpu, dev, pi && type < CU_EXEC_AFFINITY_TYPE_MAX);
    *pi = 0;
    return CUDA_SUCCESS;
}
