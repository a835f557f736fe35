/* Properties of --query-gpu that need more than a call and a format.  The texts are those of nvidia-smi 550.163.01. */
#include "internal_table.h"
#include "query.h"
#include "table.h"

#include <time.h>

SPECIAL(timestamp)
{
    struct timespec now = {0};
    struct tm local;
    char date[32] = "";

    UNUSED();
    clock_gettime(CLOCK_REALTIME, &now);
    if (localtime_r(&now.tv_sec, &local))
        strftime(date, sizeof date, "%Y/%m/%d %H:%M:%S", &local);
    snprintf(text, size, "%s.%03ld", date, now.tv_nsec / 1000000);
    return NVML_SUCCESS;
}

SPECIAL(driver_version)
{
    UNUSED();
    return NVML(nvmlSystemGetDriverVersion, text, (unsigned int)size);
}

SPECIAL(count)
{
    UNUSED();
    snprintf(text, size, "%u", subject->gpus->attached);
    return NVML_SUCCESS;
}

SPECIAL(no_public_call)
{
    UNUSED();
    (void)text, (void)size;
    return NVML_ERROR_NOT_SUPPORTED;
}

/* Drivers before 550 have no nvmlDeviceGetPciInfoExt; they do not know the two properties of the class either. */
static nvmlReturn_t read_pci(nvmlDevice_t device, nvmlPciInfoExt_t *pci)
{
    nvmlPciInfo_t older;
    nvmlReturn_t result;

    *pci = (nvmlPciInfoExt_t){.version = nvmlPciInfoExt_v1};
    result = NVML(nvmlDeviceGetPciInfoExt, device, pci);
    if (result != NVML_ERROR_FUNCTION_NOT_FOUND)
        return result;
    result = NVML(nvmlDeviceGetPciInfo_v3, device, &older);
    if (result == NVML_SUCCESS) {
        *pci = (nvmlPciInfoExt_t){.domain = older.domain, .bus = older.bus, .device = older.device,
                                  .pciDeviceId = older.pciDeviceId, .pciSubSystemId = older.pciSubSystemId};
        snprintf(pci->busId, sizeof pci->busId, "%s", older.busId);
    }
    return result;
}

SPECIAL(pci)
{
    nvmlPciInfoExt_t pci;
    nvmlReturn_t result = read_pci(device, &pci);

    UNUSED();
    switch (argument) {
    case PCI_DOMAIN: return PRINT(result, "0x%04X", pci.domain);
    case PCI_BUS: return PRINT(result, "0x%02X", pci.bus);
    case PCI_DEVICE: return PRINT(result, "0x%02X", pci.device);
    case PCI_DEVICE_ID: return PRINT(result, "0x%X", pci.pciDeviceId);
    case PCI_SUB_DEVICE_ID: return PRINT(result, "0x%X", pci.pciSubSystemId);
    case PCI_DEVICE_ID_8: return PRINT(result, "0x%08X", pci.pciDeviceId);
    case PCI_SUB_SYSTEM_ID: return PRINT(result, "0x%08X", pci.pciSubSystemId);
    case PCI_BASE_CLASS: return PRINT(result, "0x%X", pci.baseClass);
    case PCI_SUB_CLASS: return PRINT(result, "0x%X", pci.subClass);
    default: return PRINT(result, "%s", pci.busId);
    }
}

SPECIAL(compute_cap)
{
    int major = 0, minor = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetCudaComputeCapability, device, &major, &minor);

    UNUSED();
    return PRINT(result, "%d.%d", major, minor);
}

SPECIAL(compute_mode)
{
    static const char *const names[] = {"Default", "Exclusive_Thread", "Prohibited", "Exclusive_Process"};
    nvmlComputeMode_t mode = NVML_COMPUTEMODE_DEFAULT;
    nvmlReturn_t result = NVML(nvmlDeviceGetComputeMode, device, &mode);

    UNUSED();
    return PRINT(result, "%s", mode <= NVML_COMPUTEMODE_EXCLUSIVE_PROCESS ? names[mode] : "Unknown");
}

SPECIAL(pstate)
{
    nvmlPstates_t state = NVML_PSTATE_UNKNOWN;
    nvmlReturn_t result = NVML(nvmlDeviceGetPerformanceState, device, &state);

    UNUSED();
    if (result == NVML_SUCCESS && state > NVML_PSTATE_15)
        result = NVML_ERROR_UNKNOWN;
    return PRINT(result, "P%d", (int)state);
}

SPECIAL(temperature_gpu)
{
    unsigned int celsius = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetTemperature, device, NVML_TEMPERATURE_GPU, &celsius);

    UNUSED();
    return PRINT(result, "%u", celsius);
}

nvmlReturn_t read_field(nvmlDevice_t device, int argument, nvmlValue_t *value)
{
    nvmlFieldValue_t field = {.fieldId = (unsigned int)argument & 0xffff, .scopeId = (unsigned int)argument >> 16};
    nvmlReturn_t result = NVML(nvmlDeviceGetFieldValues, device, 1, &field);

    *value = field.value;
    return result == NVML_SUCCESS ? field.nvmlReturn : result;
}

/* The one property whose missing value stands there without brackets. */
SPECIAL(temperature_memory)
{
    nvmlFieldValue_t field = {.fieldId = NVML_FI_DEV_MEMORY_TEMP};
    nvmlReturn_t result = NVML(nvmlDeviceGetFieldValues, device, 1, &field);

    UNUSED();
    if (result == NVML_SUCCESS && field.nvmlReturn != NVML_SUCCESS)
        return PRINT(result, "N/A");
    return PRINT(result, "%u", field.value.uiVal);
}

/* A function that the library does not have is, for the reader, a value that there is not: the genuine tool asks
 * another way there. */
nvmlReturn_t if_known(nvmlReturn_t result)
{
    return result == NVML_ERROR_FUNCTION_NOT_FOUND ? NVML_ERROR_NOT_SUPPORTED : result;
}

SPECIAL(temperature_margin)
{
    int celsius = 0;
    nvmlReturn_t result = read_temperature_margin(device, &celsius);

    UNUSED();
    return PRINT(result, "%d", celsius);
}

SPECIAL(addressing_mode)
{
    unsigned int mode = NVML_DEVICE_ADDRESSING_MODE_NONE;
    nvmlReturn_t result = read_addressing_mode(device, &mode);

    UNUSED();
    return PRINT(result, "%s",
                 mode == NVML_DEVICE_ADDRESSING_MODE_HMM   ? "HMM"
                 : mode == NVML_DEVICE_ADDRESSING_MODE_ATS ? "ATS"
                                                           : "None");
}

SPECIAL(gpu_part_number)
{
    UNUSED();
    return read_gpu_part_number(device, text, size);
}

SPECIAL(operation_mode)
{
    static const char *const names[] = {"All On", "Compute", "Low Double Precision"};
    nvmlGpuOperationMode_t mode[2] = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetGpuOperationMode, device, &mode[0], &mode[1]);

    UNUSED();
    return PRINT(result, "%s", mode[argument] <= NVML_GOM_LOW_DP ? names[mode[argument]] : "Unknown");
}

SPECIAL(clocks_supported)
{
    unsigned long long reasons = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetSupportedClocksThrottleReasons, device, &reasons);

    UNUSED();
    return PRINT(result, "0x%016llX", reasons);
}

SPECIAL(clocks_active)
{
    unsigned long long supported = 0, reasons = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetSupportedClocksThrottleReasons, device, &supported);

    UNUSED();
    if (result == NVML_SUCCESS)
        result = NVML(nvmlDeviceGetCurrentClocksThrottleReasons, device, &reasons);
    return PRINT(result, "0x%016llX", reasons);
}

/* A reason that the GPU does not know, or that cannot be asked for, is "[N/A]". */
SPECIAL(clocks_reason)
{
    unsigned long long supported = 0, reasons = 0, reason = (unsigned int)argument;

    UNUSED();
    if (NVML(nvmlDeviceGetSupportedClocksThrottleReasons, device, &supported) != NVML_SUCCESS ||
        !(supported & reason) ||
        NVML(nvmlDeviceGetCurrentClocksThrottleReasons, device, &reasons) != NVML_SUCCESS)
        return NVML_ERROR_NOT_SUPPORTED;
    snprintf(text, size, "%s", reasons & reason ? "Active" : "Not Active");
    return NVML_SUCCESS;
}

SPECIAL(memory)
{
    nvmlMemory_v2_t memory = {.version = nvmlMemory_v2};
    nvmlMemory_t older = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetMemoryInfo_v2, device, &memory);

    UNUSED();
    if (result == NVML_ERROR_FUNCTION_NOT_FOUND && argument != MEMORY_RESERVED) {
        result = NVML(nvmlDeviceGetMemoryInfo, device, &older);
        memory.total = older.total, memory.used = older.used, memory.free = older.free;
    }
    switch (argument) {
    case MEMORY_USED: return PRINT(result, "%llu", mib(memory.used));
    case MEMORY_FREE: return PRINT(result, "%llu", mib(memory.free));
    case MEMORY_RESERVED: return PRINT(result, "%llu", mib(memory.reserved));
    default: return PRINT(result, "%llu", mib(memory.total));
    }
}

SPECIAL(protected_memory)
{
    nvmlMemory_t memory = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetConfComputeProtectedMemoryUsage, device, &memory);

    UNUSED();
    switch (argument) {
    case MEMORY_USED: return PRINT(result, "%llu", mib(memory.used));
    case MEMORY_FREE: return PRINT(result, "%llu", mib(memory.free));
    default: return PRINT(result, "%llu", mib(memory.total));
    }
}

SPECIAL(utilization)
{
    nvmlUtilization_t rates = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetUtilizationRates, device, &rates);

    UNUSED();
    return PRINT(result, "%u", argument ? rates.memory : rates.gpu);
}

SPECIAL(encoder)
{
    unsigned int stats[3] = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetEncoderStats, device, &stats[0], &stats[1], &stats[2]);

    UNUSED();
    return PRINT(result, "%u", stats[argument]);
}

SPECIAL(ecc_total)
{
    unsigned long long count = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetTotalEccErrors, device, (nvmlMemoryErrorType_t)(argument >> 16),
                               (nvmlEccCounterType_t)(argument >> 8 & 0xff), &count);

    UNUSED();
    return PRINT(result, "%llu", count);
}

SPECIAL(ecc_location)
{
    unsigned long long count = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetMemoryErrorCounter, device, (nvmlMemoryErrorType_t)(argument >> 16),
                               (nvmlEccCounterType_t)(argument >> 8 & 0xff),
                               (nvmlMemoryLocation_t)(argument & 0xff), &count);

    UNUSED();
    return PRINT(result, "%llu", count);
}

/* Asked for the count alone, the library says that there is no room for the pages, and how many they are. */
SPECIAL(retired_pages)
{
    unsigned int count = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetRetiredPages, device, (nvmlPageRetirementCause_t)argument, &count, NULL);

    UNUSED();
    if (result == NVML_ERROR_INSUFFICIENT_SIZE)
        result = NVML_SUCCESS;
    return PRINT(result, "%u", count);
}

SPECIAL(power_field)
{
    nvmlValue_t value = {0};
    nvmlReturn_t result = read_field(device, argument, &value);

    UNUSED();
    return PRINT(result, "%.2f", value.uiVal / 1000.0);
}

SPECIAL(reset_status)
{
    nvmlValue_t value = {0};
    nvmlReturn_t result = read_field(device, argument, &value);

    UNUSED();
    return PRINT(result, "%s", value.uiVal ? "Yes" : "No");
}

SPECIAL(vgpu_driver)
{
    unsigned int able = 0;
    nvmlReturn_t result = NVML(nvmlGetVgpuDriverCapabilities, (nvmlVgpuDriverCapability_t)argument, &able);

    UNUSED();
    return PRINT(result, "%u", able);
}

SPECIAL(vgpu_device)
{
    unsigned int able = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetVgpuCapabilities, device, (nvmlDeviceVgpuCapability_t)argument, &able);

    UNUSED();
    return PRINT(result, "%u", able);
}

/* Drivers before 550 have no nvmlDeviceGetGpuFabricInfoV; what they have says no more than the state. */
nvmlReturn_t read_fabric(nvmlDevice_t device, nvmlGpuFabricInfoV_t *fabric)
{
    nvmlGpuFabricInfo_t older = {0};
    nvmlReturn_t result;

    *fabric = (nvmlGpuFabricInfoV_t){.version = nvmlGpuFabricInfo_v2};
    result = NVML(nvmlDeviceGetGpuFabricInfoV, device, fabric);
    if (result == NVML_ERROR_FUNCTION_NOT_FOUND) {
        result = NVML(nvmlDeviceGetGpuFabricInfo, device, &older);
        fabric->state = older.state, fabric->status = older.status;
    }
    return result;
}

/* The values begin with the name of the property; a status means something only when the state is complete. */
SPECIAL(fabric)
{
    static const char *const states[] = {"N/A", "Not Started", "In Progress", "Completed"};
    nvmlGpuFabricInfoV_t fabric;
    nvmlReturn_t result = read_fabric(device, &fabric);
    bool complete = fabric.state == NVML_GPU_FABRIC_STATE_COMPLETED;

    UNUSED();
    if (argument)
        return PRINT(result, "status %s", complete ? nvml_text(fabric.status) : "N/A");
    return PRINT(result, "state  %s", fabric.state <= NVML_GPU_FABRIC_STATE_COMPLETED ? states[fabric.state] : "N/A");
}

SPECIAL(c2c_mode)
{
    nvmlC2cModeInfo_v1_t mode = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetC2cModeInfoV, device, &mode);

    UNUSED();
    return PRINT(result, "%s", mode.isC2cEnabled ? "Enabled" : "Disabled");
}
