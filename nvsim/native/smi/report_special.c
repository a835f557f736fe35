/* Rows of nvidia-smi -q that need more than a call and a format: what a GPU is and how it is attached.  The texts are
 * those of nvidia-smi 550.163.01. */
#include "report.h"
#include "table.h"

#include <string.h>
#include <time.h>

/* The name of a number, or "Unknown" for one without a name. */
#define NAMED(names, value) ((size_t)(value) < sizeof(names) / sizeof *(names) && (names)[value] ? (names)[value] \
                                                                                                : "Unknown")

SPECIAL(brand)
{
    static const char *const names[] = {
        [NVML_BRAND_UNKNOWN] = "Unknown", [NVML_BRAND_QUADRO] = "Quadro", [NVML_BRAND_TESLA] = "Tesla",
        [NVML_BRAND_NVS] = "NVS", [NVML_BRAND_GRID] = "Grid", [NVML_BRAND_GEFORCE] = "GeForce",
        [NVML_BRAND_TITAN] = "Titan", [NVML_BRAND_NVIDIA_VAPPS] = "NVIDIA Virtual Applications",
        [NVML_BRAND_NVIDIA_VPC] = "NVIDIA Virtual PC", [NVML_BRAND_NVIDIA_VCS] = "NVIDIA Virtual Compute Server",
        [NVML_BRAND_NVIDIA_VWS] = "NVIDIA RTX Virtual Workstation",
        [NVML_BRAND_NVIDIA_CLOUD_GAMING] = "NVIDIA Cloud Gaming", [NVML_BRAND_QUADRO_RTX] = "Quadro RTX",
        [NVML_BRAND_NVIDIA_RTX] = "NVIDIA RTX", [NVML_BRAND_NVIDIA] = "NVIDIA",
        [NVML_BRAND_GEFORCE_RTX] = "GeForce RTX",
        [NVML_BRAND_TITAN_RTX] = "Titan RTX",
    };
    nvmlBrandType_t brand = NVML_BRAND_UNKNOWN;
    nvmlReturn_t result = NVML(nvmlDeviceGetBrand, device, &brand);

    UNUSED();
    return PRINT(result, "%s", NAMED(names, brand));
}

SPECIAL(architecture)
{
    static const char *const names[] = {
        [NVML_DEVICE_ARCH_KEPLER] = "Kepler", [NVML_DEVICE_ARCH_MAXWELL] = "Maxwell",
        [NVML_DEVICE_ARCH_PASCAL] = "Pascal", [NVML_DEVICE_ARCH_VOLTA] = "Volta",
        [NVML_DEVICE_ARCH_TURING] = "Turing", [NVML_DEVICE_ARCH_AMPERE] = "Ampere",
        [NVML_DEVICE_ARCH_ADA] = "Ada Lovelace", [NVML_DEVICE_ARCH_HOPPER] = "Hopper",
        [NVML_DEVICE_ARCH_BLACKWELL] = "Blackwell", [NVML_DEVICE_ARCH_RUBIN] = "Rubin",
    };
    nvmlDeviceArchitecture_t architecture = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetArchitecture, device, &architecture);

    UNUSED();
    return PRINT(result, "%s", NAMED(names, architecture));
}

SPECIAL(pdi)
{
    nvmlPdi_t pdi = {.version = nvmlPdi_v1};
    nvmlReturn_t result = if_known(NVML(nvmlDeviceGetPdi, device, &pdi));

    UNUSED();
    return PRINT(result, "0x%016llx", pdi.value);
}

SPECIAL(multi_gpu_board)
{
    unsigned int several = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetMultiGpuBoard, device, &several);

    UNUSED();
    return PRINT(result, "%s", several ? "Yes" : "No");
}

SPECIAL(board_id)
{
    unsigned int id = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetBoardId, device, &id);

    UNUSED();
    return PRINT(result, "0x%x", id);
}

static nvmlReturn_t print_bytes(const unsigned char *bytes, size_t count, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "0x");

    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%02x", bytes[i]);
    return NVML_SUCCESS;
}

SPECIAL(platform)
{
    nvmlPlatformInfo_t info = {.version = nvmlPlatformInfo_v2};
    nvmlReturn_t result = if_known(NVML(nvmlDeviceGetPlatformInfo, device, &info));

    UNUSED();
    if (result != NVML_SUCCESS)
        return result;
    switch (argument) {
    case PLATFORM_CHASSIS:
        return PRINT(result, "%.*s", (int)sizeof info.chassisSerialNumber, (const char *)info.chassisSerialNumber);
    case PLATFORM_SLOT: return PRINT(result, "%u", info.slotNumber);
    case PLATFORM_TRAY: return PRINT(result, "%u", info.trayIndex);
    case PLATFORM_HOST: return PRINT(result, "%u", info.hostId);
    case PLATFORM_PEER: return PRINT(result, "%s", info.peerType ? "Switch Connected" : "Direct Connected");
    default: return print_bytes(info.ibGuid, 8, text, size);
    }
}

/* When the board last wrote down its black box, and how long that took. */
SPECIAL(bbx_flush)
{
    unsigned long long timestamp = 0;
    unsigned long duration = 0;
    char date[32] = "";
    struct tm local;
    nvmlReturn_t result = if_known(NVML(nvmlDeviceGetLastBBXFlushTime, device, &timestamp, &duration));
    time_t seconds = (time_t)(timestamp / 1000000);

    UNUSED();
    if (argument)
        return PRINT(result, "%lu us", duration);
    if (localtime_r(&seconds, &local))
        strftime(date, sizeof date, "%Y/%m/%d %H:%M:%S", &local);
    return PRINT(result, "%s.%03llu", date, timestamp / 1000 % 1000);
}

SPECIAL(gsp_firmware)
{
    UNUSED();
    return size < NVML_GSP_FIRMWARE_VERSION_BUF_SIZE ? NVML_ERROR_INSUFFICIENT_SIZE
                                                     : if_known(NVML(nvmlDeviceGetGspFirmwareVersion, device, text));
}

SPECIAL(virtualization_mode)
{
    static const char *const names[] = {"None", "Pass-Through", "VGPU", "Host VGPU", "VSGA"};
    nvmlGpuVirtualizationMode_t mode = NVML_GPU_VIRTUALIZATION_MODE_NONE;
    nvmlReturn_t result = NVML(nvmlDeviceGetVirtualizationMode, device, &mode);

    UNUSED();
    return PRINT(result, "%s", NAMED(names, mode));
}

SPECIAL(host_vgpu_mode)
{
    nvmlHostVgpuMode_t mode = NVML_HOST_VGPU_MODE_NON_SRIOV;
    nvmlReturn_t result = NVML(nvmlDeviceGetHostVgpuMode, device, &mode);

    UNUSED();
    return PRINT(result, "%s", mode == NVML_HOST_VGPU_MODE_SRIOV ? "SR-IOV" : "Non SR-IOV");
}

SPECIAL(vgpu_heterogeneous_mode)
{
    nvmlVgpuHeterogeneousMode_t mode = {.version = nvmlVgpuHeterogeneousMode_v1};
    nvmlReturn_t result = if_known(NVML(nvmlDeviceGetVgpuHeterogeneousMode, device, &mode));

    UNUSED();
    return PRINT(result, "%s", mode.mode ? "Enabled" : "Disabled");
}

static nvmlReturn_t licensed_product(nvmlDevice_t device, nvmlGridLicensableFeature_t *feature)
{
    nvmlGridLicensableFeatures_t found = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetGridLicensableFeatures_v4, device, &found);

    if (!result && !(found.isGridLicenseSupported && found.licensableFeaturesCount))
        result = NVML_ERROR_NOT_SUPPORTED;
    *feature = found.gridLicensableFeatures[0];
    return result;
}

/* Whether the GPU needs a licence, as the share of a vGPU guest does. */
bool has_licensed_product(nvmlDevice_t device)
{
    nvmlGridLicensableFeature_t feature;

    return licensed_product(device, &feature) == NVML_SUCCESS;
}

/* NVML tells no guest whether it may still run unrestricted for a while, so one without a licence is restricted. */
SPECIAL(license)
{
    nvmlGridLicensableFeature_t feature;
    nvmlReturn_t result = licensed_product(device, &feature);
    const nvmlGridLicenseExpiry_t *expiry = &feature.licenseExpiry;

    UNUSED();
    if (argument == LICENSE_PRODUCT)
        return PRINT(result, "%s", feature.productName);
    if (!feature.featureEnabled)
        return PRINT(result, "%s", "Unlicensed (Restricted)");
    if (expiry->status == NVML_GRID_LICENSE_EXPIRY_VALID)
        return PRINT(result, "Licensed (Expiry: %u-%hu-%hu %hu:%hu:%hu GMT)", expiry->year, expiry->month, expiry->day,
                     expiry->hour, expiry->min, expiry->sec);
    return PRINT(result, "Licensed (Expiry: %s)",
                 expiry->status == NVML_GRID_LICENSE_EXPIRY_PERMANENT ? "Permanent" : "N/A");
}

SPECIAL(bridge_chip)
{
    nvmlBridgeChipHierarchy_t chips = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetBridgeChipInfo, device, &chips);

    UNUSED();
    if (result == NVML_SUCCESS && !chips.bridgeCount)
        result = NVML_ERROR_NOT_SUPPORTED;
    if (argument)
        return PRINT(result, "%u", chips.bridgeChipInfo[0].fwVersion);
    return PRINT(result, "%s", chips.bridgeChipInfo[0].type == NVML_BRIDGE_CHIP_PLX ? "PLX" : "BRO4");
}

SPECIAL(pcie_throughput)
{
    unsigned int value = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetPcieThroughput, device, (nvmlPcieUtilCounter_t)argument, &value);

    UNUSED();
    return PRINT(result, "%u", value);
}

/* Names of the bits of NVML_FI_DEV_PCIE_…_ATOMICS_MASK. */
SPECIAL(atomic_caps)
{
    static const char *const names[] = {"FETCHADD_32", "FETCHADD_64", "SWAP_32", "SWAP_64", "CAS_32", "CAS_64",
                                        "CAS_128"};
    nvmlValue_t value = {0};
    nvmlReturn_t result = read_field(device, argument, &value);
    size_t used = 0;

    UNUSED();
    if (result != NVML_SUCCESS)
        return result;
    *text = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names && used < size; i++)
        if (value.uiVal >> i & 1)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " " : "", names[i]);
    return used ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

SPECIAL(field)
{
    nvmlValue_t value = {0};
    nvmlReturn_t result = read_field(device, argument, &value);

    UNUSED();
    return PRINT(result, "%u", value.uiVal);
}

SPECIAL(signed_field)
{
    nvmlValue_t value = {0};
    nvmlReturn_t result = read_field(device, argument, &value);

    UNUSED();
    return PRINT(result, "%d", value.siVal);
}

/* A field that is told in nanoseconds. */
SPECIAL(microseconds)
{
    nvmlValue_t value = {0};
    nvmlReturn_t result = read_field(device, argument, &value);

    UNUSED();
    return PRINT(result, "%llu", value.ullVal / 1000);
}

SPECIAL(memory_with_reserved)
{
    nvmlMemory_t memory = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetMemoryInfo, device, &memory);

    UNUSED();
    return PRINT(result, "%llu", mib(memory.used));
}

SPECIAL(bar1_memory)
{
    nvmlBAR1Memory_t memory = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetBAR1MemoryInfo, device, &memory);

    UNUSED();
    switch (argument) {
    case MEMORY_USED: return PRINT(result, "%llu", mib(memory.bar1Used));
    case MEMORY_FREE: return PRINT(result, "%llu", mib(memory.bar1Free));
    default: return PRINT(result, "%llu", mib(memory.bar1Total));
    }
}

SPECIAL(frame_capture)
{
    nvmlFBCStats_t stats = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetFBCStats, device, &stats);
    const unsigned int values[] = {stats.sessionsCount, stats.averageFPS, stats.averageLatency};

    UNUSED();
    return PRINT(result, "%u", values[argument]);
}

SPECIAL(dram_encryption)
{
    nvmlDramEncryptionInfo_t modes[2] = {{.version = nvmlDramEncryptionInfo_v1},
                                         {.version = nvmlDramEncryptionInfo_v1}};
    nvmlReturn_t result = if_known(NVML(nvmlDeviceGetDramEncryptionMode, device, &modes[0], &modes[1]));

    UNUSED();
    return PRINT(result, "%s", modes[argument].encryptionState ? "Enabled" : "Disabled");
}

SPECIAL(egm)
{
    nvmlDeviceCapabilities_t capabilities = {.version = nvmlDeviceCapabilities_v1};
    nvmlReturn_t result = if_known(NVML(nvmlDeviceGetCapabilities, device, &capabilities));

    UNUSED();
    return PRINT(result, "%s", capabilities.capMask & NVML_DEV_CAP_EGM ? "enabled" : "disabled");
}
