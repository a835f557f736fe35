/* nvidia-smi -L */
#include "commands.h"

#include <string.h>

/* "  MIG 1g.5gb      Device  2: (UUID: MIG-…)"; the profile is what follows " MIG " in the device's name. */
static void print_mig_devices(nvmlDevice_t parent, FILE *out)
{
    char name[NVML_DEVICE_NAME_V2_BUFFER_SIZE], uuid[NVML_DEVICE_UUID_V2_BUFFER_SIZE], *profile;
    unsigned int count = 0;
    nvmlDevice_t device;

    if (NVML(nvmlDeviceGetMaxMigDeviceCount, parent, &count) != NVML_SUCCESS)
        return;
    for (unsigned int index = 0; index < count; index++)
        if (NVML(nvmlDeviceGetMigDeviceHandleByIndex, parent, index, &device) == NVML_SUCCESS &&
            NVML(nvmlDeviceGetUUID, device, uuid, sizeof uuid) == NVML_SUCCESS &&
            NVML(nvmlDeviceGetName, device, name, sizeof name) == NVML_SUCCESS && (profile = strstr(name, " MIG ")))
            fprintf(out, "  MIG %-11s Device %2u: (UUID: %s)\n", profile + strlen(" MIG "), index, uuid);
}

/* The exit status of the GPU, 0 if it was listed. */
static int print_gpu(unsigned int index, FILE *out)
{
    char name[NVML_DEVICE_NAME_V2_BUFFER_SIZE], uuid[NVML_DEVICE_UUID_V2_BUFFER_SIZE];
    char bus_id[NVML_DEVICE_PCI_BUS_ID_BUFFER_SIZE];
    nvmlPciInfo_t pci;
    nvmlDevice_t device;
    nvmlReturn_t result = NVML(nvmlDeviceGetHandleByIndex_v2, index, &device);

    if (result != NVML_SUCCESS)
        return report_no_handle(result, index, "gpu ", out);
    result = NVML(nvmlDeviceGetName, device, name, sizeof name);
    if (result != NVML_SUCCESS) {
        bool known = NVML(nvmlDeviceGetPciInfo_v3, device, &pci) == NVML_SUCCESS;
        bus_id_of_index(index, bus_id, sizeof bus_id);
        fprintf(out, "Unable to determine the product name for gpu %s: %s\n", known ? pci.busId : bus_id,
                nvml_text(result));
        return nvml_exit_code(result);
    }
    result = NVML(nvmlDeviceGetUUID, device, uuid, sizeof uuid);
    fprintf(out, "GPU %u: %s (UUID: %s)\n", index, name, result == NVML_SUCCESS ? uuid : nvml_text(result));
    print_mig_devices(device, out);
    return 0;
}

int print_list(FILE *out)
{
    unsigned int count = 0;
    int status = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetCount_v2, &count);

    if (result != NVML_SUCCESS) {
        fprintf(out, "Unable to determine the number of available GPUs: %s\n", nvml_text(result));
        return nvml_exit_code(result);
    }
    if (!count)
        fputs("No devices found.\n", out);
    for (unsigned int index = 0; index < count; index++) {
        int failed = print_gpu(index, out);
        status = failed ? failed : status;
    }
    return status;
}

/* nvidia-smi -B: the GPUs that the driver was told to leave alone. */
int print_excluded(FILE *out)
{
    unsigned int count = 0;
    nvmlReturn_t result = NVML(nvmlGetExcludedDeviceCount, &count);

    if (result != NVML_SUCCESS && result != NVML_ERROR_NOT_SUPPORTED && result != NVML_ERROR_FUNCTION_NOT_FOUND) {
        fprintf(out, "Unable to determine the number of excluded GPUs: %s\n", nvml_text(result));
        return nvml_exit_code(result);
    }
    if (!count)
        fputs("No excluded devices found.\n", out);
    for (unsigned int index = 0; index < count; index++) {
        nvmlExcludedDeviceInfo_t info;
        if (NVML(nvmlGetExcludedDeviceInfoByIndex, index, &info) == NVML_SUCCESS)
            fprintf(out, "Excluded GPU %u: %s (UUID: %s)\n", index, info.pciInfo.busId, info.uuid);
    }
    return 0;
}
