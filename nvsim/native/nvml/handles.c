/* Device discovery: counting GPUs, and handles from an index, a UUID, a PCI address or a serial number. */
#include <stdio.h>
#include <strings.h>

#include "mig.h"

static unsigned visible(void)
{
    return (unsigned)(LOAD(nvsim_session) & 0xFF);
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *deviceCount)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!deviceCount)
        return NVML_ERROR_INVALID_ARGUMENT;
    *deviceCount = visible();
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount(unsigned int *deviceCount)
{
    return nvmlDeviceGetCount_v2(deviceCount);
}

/* A lost GPU has no handle to give: nvidia-smi then says that it cannot determine it. */
static nvmlReturn_t answer_handle(unsigned index, nvmlDevice_t *device)
{
    nvmlReturn_t fault = fault_of(gpu_at(index));
    if (!fault)
        *device = handle_of(index);
    return fault;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!device || index >= visible())
        return NVML_ERROR_INVALID_ARGUMENT;
    return answer_handle(index, device);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *device)
{
    return nvmlDeviceGetHandleByIndex_v2(index, device);
}

/* Both widths of the domain, either case, with or without the function: 0000:07:00.0, 00000000:07:00.0, 07:00.0. */
nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *pciBusId, nvmlDevice_t *device)
{
    unsigned domain = 0, bus = 0, slot = 0;
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!pciBusId || !device)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (sscanf(pciBusId, "%x:%x:%x", &domain, &bus, &slot) != 3) {
        domain = 0;
        if (sscanf(pciBusId, "%x:%x", &bus, &slot) != 2)
            return NVML_ERROR_INVALID_ARGUMENT;
    }
    for (unsigned index = 0; index < visible(); index++) {
        const struct nvsim_gpu *gpu = gpu_at(index);
        if (!is_readable(gpu) && gpu->pci_domain == domain && gpu->pci_bus == bus && gpu->pci_device == slot)
            return answer_handle(index, device);
    }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *pciBusId, nvmlDevice_t *device)
{
    return nvmlDeviceGetHandleByPciBusId_v2(pciBusId, device);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!uuid || !device)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned index = 0; index < visible(); index++)
        if (!strncasecmp(gpu_at(index)->uuid, uuid, sizeof gpu_at(index)->uuid))
            return answer_handle(index, device);
    return mig_device_with_uuid(uuid, visible(), device);
}

/* The sixteen bytes of a UUID as text with a prefix of four characters. */
static void uuid_text(const unsigned char *bytes, const char *prefix, char *text)
{
    static const char digits[] = "0123456789abcdef";
    memcpy(text, prefix, 4);
    text += 4;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }
    *text = '\0';
}

nvmlReturn_t nvmlDeviceGetHandleByUUIDV(const nvmlUUID_t *uuid, nvmlDevice_t *device)
{
    char text[48] = "";
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!uuid || !device)
        return NVML_ERROR_INVALID_ARGUMENT;
    KNOWN_VERSION(uuid, NVSIM_VERSION_nvmlUUID_v1_t);
    if (uuid->type == NVML_UUID_TYPE_BINARY) { /* of a GPU or a MIG device: the bytes do not say */
        uuid_text(uuid->value.bytes, "GPU-", text);
        nvmlReturn_t result = nvmlDeviceGetHandleByUUID(text, device);
        if (result != NVML_ERROR_NOT_FOUND)
            return result;
        memcpy(text, "MIG-", 4);
    } else if (uuid->type == NVML_UUID_TYPE_ASCII)
        memcpy(text, uuid->value.str, strnlen(uuid->value.str, sizeof uuid->value.str));
    else
        return NVML_ERROR_INVALID_ARGUMENT;
    return nvmlDeviceGetHandleByUUID(text, device);
}

nvmlReturn_t nvmlDeviceGetHandleBySerial(const char *serial, nvmlDevice_t *device)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!serial || !*serial || !device)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned index = 0; index < visible(); index++)
        if (!strncmp(gpu_at(index)->serial, serial, sizeof gpu_at(index)->serial))
            return answer_handle(index, device);
    return NVML_ERROR_NOT_FOUND;
}

/* NVML's number of a GPU: the place among those that this process sees, in PCI bus order; of a MIG device, that among
 * its parent's. */
nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int *index)
{
    NAMED_DEVICE_OR_RETURN(gpu, place, device, index != NULL);
    *index = place.slot == MIG_NONE ? place.index : mig_number(gpu, place.slot);
    return NVML_SUCCESS;
}
