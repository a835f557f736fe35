/* Rows of nvidia-smi -q about the state of a GPU: errors, repairs, temperatures, power, fabric. */
#include "internal_table.h"
#include "report.h"

#include <stddef.h>

/* Whether rows can be replaced by spare ones: others retire pages. */
bool has_remapped_rows(nvmlDevice_t device)
{
    unsigned int corrected, uncorrected, pending, failure;

    return NVML(nvmlDeviceGetRemappedRows, device, &corrected, &uncorrected, &pending, &failure) !=
           NVML_ERROR_NOT_SUPPORTED;
}

static nvmlDeviceArchitecture_t architecture_of(nvmlDevice_t device)
{
    nvmlDeviceArchitecture_t architecture = NVML_DEVICE_ARCH_UNKNOWN;

    NVML(nvmlDeviceGetArchitecture, device, &architecture);
    return architecture;
}

/* Before Turing errors are told by the unit of the chip. */
bool has_ecc_units(nvmlDevice_t device)
{
    return architecture_of(device) < NVML_DEVICE_ARCH_TURING;
}

/* Since 535 the SRAM errors of Ampere and later are told by cause, known or not. */
bool has_sram_causes(nvmlDevice_t device)
{
    nvmlDeviceArchitecture_t architecture = architecture_of(device);

    return nvml_branch() >= 530 && architecture >= NVML_DEVICE_ARCH_AMPERE && architecture != NVML_DEVICE_ARCH_UNKNOWN;
}

bool has_sram_places(nvmlDevice_t device)
{
    return !has_ecc_units(device) && !has_sram_causes(device);
}

/* Whether the GPU counts its degrees down to a limit instead of up from zero. */
bool has_tlimit(nvmlDevice_t device)
{
    int celsius;

    return nvml_branch() >= 530 && read_temperature_margin(device, &celsius) == NVML_SUCCESS;
}

SPECIAL(recovery_action)
{
    static const char *const names[] = {"None",  "Reset",         "Reboot", "Drain P2P", "Drain and Reset",
                                        "Recover IMEX Domain", "Bus Reset", "System Reboot"};
    nvmlValue_t value = {0};
    nvmlReturn_t result = read_field(device, argument | NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, &value);

    UNUSED();
    return PRINT(result, "%s", value.uiVal < sizeof names / sizeof *names ? names[value.uiVal] : "Unknown");
}

static nvmlReturn_t read_sram(nvmlDevice_t device, nvmlEccSramErrorStatus_v1_t *status)
{
    *status = (nvmlEccSramErrorStatus_v1_t){.version = nvmlEccSramErrorStatus_v1};
    return if_known(NVML(nvmlDeviceGetSramEccErrorStatus, device, status));
}

SPECIAL(sram_errors)
{
    nvmlEccSramErrorStatus_v1_t status;
    nvmlReturn_t result = read_sram(device, &status);

    UNUSED();
    return PRINT(result, "%llu", *(const unsigned long long *)(const void *)((const char *)&status + argument));
}

SPECIAL(sram_threshold)
{
    nvmlEccSramErrorStatus_v1_t status;
    nvmlReturn_t result = read_sram(device, &status);

    UNUSED();
    return PRINT(result, "%s", status.bThresholdExceeded ? "Yes" : "No");
}

SPECIAL(repair_pending)
{
    nvmlRepairStatus_t status = {.version = nvmlRepairStatus_v1};
    nvmlReturn_t result = if_known(NVML(nvmlDeviceGetRepairStatus, device, &status));

    UNUSED();
    return PRINT(result, "%s", (argument ? status.bTpcRepairPending : status.bChannelRepairPending) ? "Yes" : "No");
}

SPECIAL(remapped)
{
    unsigned int values[4] = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetRemappedRows, device, &values[0], &values[1], &values[2], &values[3]);

    UNUSED();
    if (argument < 2)
        return PRINT(result, "%u", values[argument]);
    return PRINT(result, "%s", values[argument] ? "Yes" : "No");
}

SPECIAL(histogram)
{
    nvmlRowRemapperHistogramValues_t banks = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetRowRemapperHistogram, device, &banks);
    const unsigned int values[] = {banks.max, banks.high, banks.partial, banks.low, banks.none};

    UNUSED();
    return PRINT(result, "%u", values[argument]);
}

SPECIAL(threshold)
{
    unsigned int celsius = 0;
    nvmlReturn_t result =
        NVML(nvmlDeviceGetTemperatureThreshold, device, (nvmlTemperatureThresholds_t)argument, &celsius);

    UNUSED();
    return PRINT(result, "%d", (int)celsius);
}

SPECIAL(power_management)
{
    nvmlEnableState_t mode = NVML_FEATURE_DISABLED;
    nvmlReturn_t result = NVML(nvmlDeviceGetPowerManagementMode, device, &mode);

    UNUSED();
    return PRINT(result, "%s", mode ? "Supported" : "N/A");
}

SPECIAL(auto_boost)
{
    nvmlEnableState_t states[2] = {NVML_FEATURE_DISABLED, NVML_FEATURE_DISABLED};
    nvmlReturn_t result = NVML(nvmlDeviceGetAutoBoostedClocksEnabled, device, &states[0], &states[1]);

    UNUSED();
    return PRINT(result, "%s", states[argument] ? "On" : "Off");
}

SPECIAL(fabric_state)
{
    static const char *const names[] = {"N/A", "Not Started", "In Progress", "Completed"};
    nvmlGpuFabricInfoV_t fabric;
    nvmlReturn_t result = if_known(read_fabric(device, &fabric));

    UNUSED();
    return PRINT(result, "%s", fabric.state < sizeof names / sizeof *names ? names[fabric.state] : "N/A");
}

/* The rest of what is said about the fabric means something only when the GPU has joined it. */
static nvmlReturn_t read_joined(nvmlDevice_t device, nvmlGpuFabricInfoV_t *fabric)
{
    nvmlReturn_t result = if_known(read_fabric(device, fabric));

    return result == NVML_SUCCESS && fabric->state != NVML_GPU_FABRIC_STATE_COMPLETED ? NVML_ERROR_NOT_SUPPORTED
                                                                                      : result;
}

SPECIAL(fabric_status)
{
    nvmlGpuFabricInfoV_t fabric;
    nvmlReturn_t result = read_joined(device, &fabric);

    UNUSED();
    return PRINT(result, "%s", nvml_text(fabric.status));
}

SPECIAL(fabric_clique)
{
    nvmlGpuFabricInfoV_t fabric;
    nvmlReturn_t result = read_joined(device, &fabric);

    UNUSED();
    return PRINT(result, "%u", fabric.cliqueId);
}

SPECIAL(fabric_cluster)
{
    nvmlGpuFabricInfoV_t fabric;
    nvmlReturn_t result = read_joined(device, &fabric);
    const unsigned char *id = fabric.clusterUuid;

    UNUSED();
    return PRINT(result, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[0], id[1], id[2],
                 id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]);
}

SPECIAL(fabric_summary)
{
    static const char *const names[] = {"N/A", "Healthy", "Unhealthy", "Limited Capacity"};
    nvmlGpuFabricInfo_v3_t fabric = {.version = nvmlGpuFabricInfo_v3};
    nvmlReturn_t result = if_known(NVML(nvmlDeviceGetGpuFabricInfoV, device, &fabric));
    size_t summary = fabric.healthSummary;

    UNUSED();
    return PRINT(result, "%s", summary < sizeof names / sizeof *names ? names[summary] : "N/A");
}

/* What the bits from `argument` on of the health mask mean; 0: the fabric does not say. */
static const char *health_text(unsigned int mask, int argument)
{
    static const char *const yes_no[] = {"N/A", "True", "False", "N/A"};
    static const char *const bandwidth[] = {"N/A", "Degraded", "Full", "N/A"};
    static const char *const configuration[] = {"N/A", "None", "Incorrect SystemGuid", "Incorrect Chassis SN",
                                                "No Partition", "Insufficient Nvlinks"};
    unsigned int value = mask >> argument;

    switch (argument) {
    case NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_DEGRADED_BW: return bandwidth[value & 3];
    case NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_INCORRECT_CONFIGURATION:
        value &= NVML_GPU_FABRIC_HEALTH_MASK_WIDTH_INCORRECT_CONFIGURATION;
        return value < sizeof configuration / sizeof *configuration ? configuration[value] : "Unknown";
    default: return yes_no[value & 3];
    }
}

SPECIAL(fabric_health)
{
    nvmlGpuFabricInfoV_t fabric;
    nvmlReturn_t result = read_joined(device, &fabric);

    UNUSED();
    return PRINT(result, "%s", health_text(fabric.healthMask, argument));
}
