/* MIG devices: a compute instance in a GPU instance, which programs use like a GPU of its own. */
#include <stdio.h>
#include <strings.h>

#include "mig.h"
#include "sha1.h"

/* The bytes of a GPU's UUID, behind its prefix. */
static void uuid_bytes(const char *text, size_t size, unsigned char bytes[16])
{
    static const char digits[] = "0123456789abcdef";
    unsigned n = 0;
    for (size_t i = sizeof "GPU-" - 1; i < size && text[i] && n < 32; i++) {
        const char *digit = strchr(digits, text[i]);
        if (!digit)
            continue;
        unsigned value = (unsigned)(digit - digits);
        bytes[n / 2] = (unsigned char)(n % 2 ? bytes[n / 2] | value : value << 4);
        n++;
    }
}

/* Since 470 a name-based UUID in the name space of the GPU's: the same for the same instances.  Before, the GPU's UUID
 * and the two instance ids. */
void mig_uuid(const struct nvsim_gpu *gpu, unsigned gi_slot, unsigned ci_slot, char *text, size_t size)
{
    unsigned char data[SHA1_MOST + 1] = {0}, hash[SHA1_SIZE];
    unsigned gi = gpu->gi_id[gi_slot], ci = gpu->ci_id[ci_slot];
    if (driver_branch() < 470) {
        snprintf(text, size, "MIG-%.44s/%u/%u", gpu->uuid, gi, ci);
        return;
    }
    uuid_bytes(gpu->uuid, sizeof gpu->uuid, data);
    int length = snprintf((char *)data + 16, sizeof data - 16, "%u/%u/%u/%u", gi, ci, gpu->gi_profile[gi_slot],
                          gpu->ci_profile[ci_slot]);
    nvsim_sha1(data, 16 + (size_t)length, hash);
    hash[6] = (unsigned char)((hash[6] & 0x0F) | 0x50);
    hash[8] = (unsigned char)((hash[8] & 0x3F) | 0x80);
    snprintf(text, size, "MIG-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", hash[0], hash[1],
             hash[2], hash[3], hash[4], hash[5], hash[6], hash[7], hash[8], hash[9], hash[10], hash[11], hash[12],
             hash[13], hash[14], hash[15]);
}

/* Counts those that this process may see, as a container with one of seven knows it as number 0. */
nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index, nvmlDevice_t *migDevice)
{
    GPU_OR_RETURN(gpu, device, migDevice != NULL);
    struct mig_device devices[MIG_SLOTS];
    unsigned parent = 0, number = 0;
    if (!gpu->mig_max_devices)
        return NVML_ERROR_NOT_SUPPORTED;
    if (index >= gpu->mig_max_devices)
        return NVML_ERROR_INVALID_ARGUMENT;
    index_of(device, &parent);
    for (unsigned i = 0, count = mig_devices(gpu, devices); i < count; i++)
        if (mig_may_use(gpu, devices[i].gi, devices[i].ci) && number++ == index) {
            *migDevice = mig_handle(parent, MIG_DEVICE, devices[i].slot, devices[i].serial);
            return NVML_SUCCESS;
        }
    return NVML_ERROR_NOT_FOUND;
}

void mig_read_uuid(const struct nvsim_gpu *gpu, unsigned slot, char uuid[MIG_UUID_SIZE])
{
    READING(gpu)
        memcpy(uuid, gpu->ci_uuid[slot], MIG_UUID_SIZE);
    uuid[MIG_UUID_SIZE - 1] = '\0';
}

nvmlReturn_t mig_device_with_uuid(const char *uuid, unsigned gpus, nvmlDevice_t *device)
{
    for (unsigned index = 0; index < gpus; index++) {
        const struct nvsim_gpu *gpu = gpu_at(index);
        struct mig_device devices[MIG_SLOTS];
        for (unsigned i = 0, count = mig_devices(gpu, devices); i < count; i++) {
            unsigned slot = devices[i].slot;
            char own[MIG_UUID_SIZE];
            mig_read_uuid(gpu, slot, own);
            if (strcasecmp(own, uuid) || !mig_may_use(gpu, devices[i].gi, devices[i].ci))
                continue;
            *device = mig_handle(index, MIG_DEVICE, slot, devices[i].serial);
            return fault_of(gpu);
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

unsigned mig_number(const struct nvsim_gpu *gpu, unsigned slot)
{
    struct mig_device devices[MIG_SLOTS];
    unsigned number = 0;
    for (unsigned i = 0, count = mig_devices(gpu, devices); i < count && devices[i].slot != slot; i++)
        number += (unsigned)mig_may_use(gpu, devices[i].gi, devices[i].ci);
    return number;
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int *isMigDevice)
{
    ANY_DEVICE_OR_RETURN(gpu, place, device, isMigDevice != NULL);
    *isMigDevice = place.slot != MIG_NONE;
    return NVML_SUCCESS;
}

/* A GPU is no MIG device: it has no parent and no instance ids. */
nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t migDevice, nvmlDevice_t *device)
{
    ANY_DEVICE_OR_RETURN(gpu, place, migDevice, device != NULL);
    if (place.slot == MIG_NONE)
        return NVML_ERROR_INVALID_ARGUMENT;
    *device = handle_of(place.index);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned int *id)
{
    ANY_DEVICE_OR_RETURN(gpu, place, device, id != NULL);
    if (place.slot == MIG_NONE)
        return NVML_ERROR_INVALID_ARGUMENT;
    *id = LOAD(gpu->ci_gpu_instance[place.slot]);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, unsigned int *id)
{
    ANY_DEVICE_OR_RETURN(gpu, place, device, id != NULL);
    if (place.slot == MIG_NONE)
        return NVML_ERROR_INVALID_ARGUMENT;
    *id = LOAD(gpu->ci_id[place.slot]);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t device, nvmlDeviceAttributes_t *attributes)
{
    ANY_DEVICE_OR_RETURN(gpu, place, device, attributes != NULL);
    if (place.slot == MIG_NONE)
        return NVML_ERROR_NOT_SUPPORTED;
    const struct mig_profile *profile = mig_profile_of(gpu, place.slot);
    unsigned slices = LOAD(gpu->ci_size[place.slot]);
    if (!profile)
        return NVML_ERROR_INVALID_ARGUMENT;
    *attributes = (nvmlDeviceAttributes_t){
        .multiprocessorCount = mig_compute_sm(mig_table_of(gpu), profile, slices),
        .sharedCopyEngineCount = profile->copy_engines,
        .sharedDecoderCount = profile->decoders,
        .sharedEncoderCount = profile->encoders,
        .sharedJpegCount = profile->jpeg,
        .sharedOfaCount = profile->ofa,
        .gpuInstanceSliceCount = profile->slices,
        .computeInstanceSliceCount = slices,
        .memorySizeMB = profile->memory_mib};
    return NVML_SUCCESS;
}

/* The first version ends before the memory size. */
nvmlReturn_t nvmlDeviceGetAttributes(nvmlDevice_t device, nvmlDeviceAttributes_t *attributes)
{
    nvmlDeviceAttributes_t found;
    nvmlReturn_t result = nvmlDeviceGetAttributes_v2(device, attributes ? &found : NULL);
    if (!result)
        memcpy(attributes, &found, offsetof(nvmlDeviceAttributes_t, memorySizeMB));
    return result;
}
