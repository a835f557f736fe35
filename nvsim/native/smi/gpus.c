#include "gpus.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int no_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Bus id of a GPU that NVML gives no handle for: NVML counts GPUs in the order of their bus ids, and so does the kernel
 * driver's folder.  Empty if that does not say either. */
void bus_id_of_index(unsigned int index, char *text, size_t size)
{
    struct dirent **entries;
    int count = scandir("/proc/driver/nvidia/gpus", &entries, no_dots, alphasort);

    snprintf(text, size, "%u", index);
    for (int i = 0; i < count; i++) {
        if ((unsigned int)i == index)
            snprintf(text, size, "%s%s", strlen(entries[i]->d_name) == 12 ? "0000" : "", entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    for (char *at = text; *at; at++)
        if (*at >= 'a' && *at <= 'f')
            *at = (char)(*at - 'a' + 'A');
}

/* The line about a GPU without a handle, `noun` being "GPU" or "gpu "; the exit status. */
int report_no_handle(nvmlReturn_t result, unsigned int index, const char *noun, FILE *out)
{
    char bus_id[NVML_DEVICE_PCI_BUS_ID_BUFFER_SIZE];
    const char *text = "Unknown Error\n";

    if (result == NVML_ERROR_GPU_IS_LOST)
        text = "GPU is lost.  Reboot the system to recover this GPU\n\n\n";
    else if (result == NVML_ERROR_RESET_REQUIRED)
        text = "A GPU reset must occur before this GPU can be used again.\n\n.\n";
    else if (result == NVML_ERROR_NO_PERMISSION)
        text = "Insufficient Permissions\n";
    else if (result == NVML_ERROR_NOT_FOUND)
        text = "Not Found\n";
    bus_id_of_index(index, bus_id, sizeof bus_id);
    fprintf(out, "Unable to determine the device handle for %s%s: %s", noun, bus_id, text);
    return nvml_exit_code(result);
}

static bool is_bus_id(nvmlDevice_t device, const char *word)
{
    nvmlPciInfo_t pci;
    unsigned int domain, bus, slot;
    int used = 0;

    if (sscanf(word, "%x:%x:%x.0%n", &domain, &bus, &slot, &used) != 3 || word[used]) {
        domain = 0;
        if (sscanf(word, "%x:%x.0%n", &bus, &slot, &used) != 2 || word[used])
            return false;
    }
    return NVML(nvmlDeviceGetPciInfo_v3, device, &pci) == NVML_SUCCESS && pci.domain == domain && pci.bus == bus &&
           pci.device == slot;
}

static bool is_named(const struct gpu *gpu, const char *word)
{
    char text[NVML_DEVICE_UUID_V2_BUFFER_SIZE], *end;
    unsigned long index = strtoul(word, &end, 0);

    if (*word && !*end && index == gpu->index)
        return true;
    if (NVML(nvmlDeviceGetUUID, gpu->device, text, sizeof text) == NVML_SUCCESS && !strcmp(text, word))
        return true;
    if (NVML(nvmlDeviceGetSerial, gpu->device, text, sizeof text) == NVML_SUCCESS && !strcmp(text, word))
        return true;
    return is_bus_id(gpu->device, word);
}

static bool is_chosen(const struct gpu *gpu, const char *ids)
{
    char word[NVML_DEVICE_UUID_V2_BUFFER_SIZE];
    const char *at = ids;

    while (at && *at) {
        size_t length = strcspn(at, ",");
        snprintf(word, sizeof word, "%.*s", (int)length, at);
        if (is_named(gpu, word + strspn(word, " ")))
            return true;
        at += length + (at[length] == ',');
    }
    return !ids;
}

/* Fills `gpus` with those named by `ids` (NULL: all), in NVML's order; free(gpus->items) afterwards.  A GPU that this
 * process may not open is passed over; any other GPU without a handle ends the command.  The exit status, 0 if there is
 * at least one GPU; all that is to be said about another status has been written. */
int find_gpus(struct gpus *gpus, const char *ids, FILE *out)
{
    bool forbidden = false;
    nvmlReturn_t result = NVML(nvmlDeviceGetCount_v2, &gpus->attached);

    if (result != NVML_SUCCESS) {
        fputs("Unable to determine the number of GPUs", out);
        return nvml_exit_code(result);
    }
    gpus->items = calloc(gpus->attached ? gpus->attached : 1, sizeof *gpus->items);
    if (!gpus->items)
        return 255;
    for (unsigned int index = 0; index < gpus->attached; index++) {
        struct gpu gpu = {.index = index};
        result = NVML(nvmlDeviceGetHandleByIndex_v2, index, &gpu.device);
        forbidden |= result == NVML_ERROR_NO_PERMISSION;
        if (result == NVML_SUCCESS && is_chosen(&gpu, ids))
            gpus->items[gpus->count++] = gpu;
        else if (result != NVML_SUCCESS && result != NVML_ERROR_NO_PERMISSION && result != NVML_ERROR_NOT_FOUND)
            return report_no_handle(result, index, "GPU", out);
    }
    if (gpus->count)
        return 0;
    if (forbidden)
        fputs("No devices were found. Please make sure /dev/nvidia* files are readable by current user.\n", out);
    else
        fputs("No devices were found\n", out);
    return forbidden ? NVML_ERROR_NO_PERMISSION : NVML_ERROR_NOT_FOUND;
}
