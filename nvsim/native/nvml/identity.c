/* Who a GPU is: names, numbers, versions, and its PCI address and link. */
#include <stdio.h>

#include "mig.h"

GET_TEXT(nvmlDeviceGetSerial, serial)
GET_TEXT(nvmlDeviceGetVbiosVersion, vbios)
GET_TEXT(nvmlDeviceGetBoardPartNumber, board_part_number)
GET_TEXT(nvmlDeviceGetInforomImageVersion, inforom_image)

/* Under WSL 2 no GPU has a node of its own. */
nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned int *minorNumber)
{
    GPU_OR_RETURN(gpu, device, minorNumber != NULL);
    if (is_wsl())
        return NVML_ERROR_NOT_SUPPORTED;
    *minorNumber = LOAD(gpu->minor);
    return NVML_SUCCESS;
}
GET_U32(nvmlDeviceGetBrand, nvmlBrandType_t, brand)
GET_U32(nvmlDeviceGetArchitecture, nvmlDeviceArchitecture_t, architecture)
GET_U32(nvmlDeviceGetBoardId, unsigned int, board_id)
GET_U32(nvmlDeviceGetModuleId, unsigned int, module_id)
GET_U32(nvmlDeviceGetNumGpuCores, unsigned int, cuda_cores)
GET_U32(nvmlDeviceGetVirtualizationMode, nvmlGpuVirtualizationMode_t, virtualization)
GET_U32(nvmlDeviceGetMaxPcieLinkGeneration, unsigned int, pcie_gen_max)
GET_U32(nvmlDeviceGetGpuMaxPcieLinkGeneration, unsigned int, pcie_gen_device_max)
GET_U32(nvmlDeviceGetCurrPcieLinkGeneration, unsigned int, pcie_gen)
GET_U32(nvmlDeviceGetMaxPcieLinkWidth, unsigned int, pcie_width_max)
GET_U32(nvmlDeviceGetCurrPcieLinkWidth, unsigned int, pcie_width)
GET_U32(nvmlDeviceGetPcieReplayCounter, unsigned int, pcie_replays)
GET_CONSTANT(nvmlDeviceGetMultiGpuBoard, unsigned int, 0)
GET_CONSTANT(nvmlDeviceGetBusType, nvmlBusType_t, NVML_BUS_TYPE_PCIE)
GET_U32(nvmlDeviceGetPowerSource, nvmlPowerSource_t, power_source)

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor)
{
    const struct nvsim_gpu *gpu = NULL;
    nvmlReturn_t result = any_gpu_of(device, major && minor, &gpu);
    if (result)
        return result;
    *major = (int)gpu->compute_major;
    *minor = (int)gpu->compute_minor;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length)
{
    NAMED_DEVICE_OR_RETURN(gpu, place, device, name != NULL);
    char mig[NVML_DEVICE_NAME_V2_BUFFER_SIZE];
    if (place.slot != MIG_NONE)
        return mig_name(gpu, place.slot, mig, sizeof mig) ? answer_text(mig, sizeof mig, name, length)
                                                          : NVML_ERROR_INVALID_ARGUMENT;
    return answer_text(gpu->name, sizeof gpu->name, name, length);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length)
{
    NAMED_DEVICE_OR_RETURN(gpu, place, device, uuid != NULL);
    char mig[MIG_UUID_SIZE];
    if (place.slot == MIG_NONE)
        return answer_text(gpu->uuid, sizeof gpu->uuid, uuid, length);
    mig_read_uuid(gpu, place.slot, mig);
    return answer_text(mig, sizeof mig, uuid, length);
}

nvmlReturn_t nvmlDeviceGetInforomVersion(nvmlDevice_t device, nvmlInforomObject_t object, char *version,
                                         unsigned int length)
{
    GPU_OR_RETURN(gpu, device, version != NULL);
    switch (object) {
    case NVML_INFOROM_OEM:
        return answer_text(gpu->inforom_oem, sizeof gpu->inforom_oem, version, length);
    case NVML_INFOROM_ECC:
        return answer_text(gpu->inforom_ecc, sizeof gpu->inforom_ecc, version, length);
    case NVML_INFOROM_POWER:
        return answer_text(gpu->inforom_power, sizeof gpu->inforom_power, version, length);
    case NVML_INFOROM_DEN:
        return NVML_ERROR_NOT_SUPPORTED;
    default:
        return NVML_ERROR_INVALID_ARGUMENT;
    }
}

/* A board without infoROM has none to be corrupted. */
nvmlReturn_t nvmlDeviceValidateInforom(nvmlDevice_t device)
{
    GPU_OR_RETURN(gpu, device, 1);
    if (!*gpu->inforom_image)
        return NVML_ERROR_NOT_SUPPORTED;
    return LOAD(gpu->inforom_corrupt) ? NVML_ERROR_CORRUPTED_INFOROM : NVML_SUCCESS;
}

GET_U32(nvmlDeviceGetInforomConfigurationChecksum, unsigned int, inforom_checksum)

/* The black box keeps what led to a failure. */
nvmlReturn_t nvmlDeviceGetLastBBXFlushTime(nvmlDevice_t device, unsigned long long *timestamp,
                                           unsigned long *durationUs)
{
    GPU_OR_RETURN(gpu, device, timestamp && durationUs);
    uint64_t when = 0;
    uint32_t took = 0;
    READING(gpu) {
        when = LOAD(gpu->bbx_flush_time);
        took = LOAD(gpu->bbx_flush_duration);
    }
    if (when == NVSIM_ABSENT_U64)
        return NVML_ERROR_NOT_SUPPORTED;
    *timestamp = when;
    *durationUs = took;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetBBXTimeData_v1(nvmlDevice_t device, nvmlBBXTimeData_v1_t *timeData)
{
    return get_u32(device, timeData ? &timeData->timeRun : NULL, AT(bbx_time_run));
}

GET_U32(nvmlDeviceGetIrqNum, unsigned int, irq)

/* The layout before busId[32] existed: callers hand over that much less memory. */
static void legacy_pci(const struct nvsim_gpu *gpu, nvmlPciInfo_t *pci)
{
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04X:%02X:%02X.0", gpu->pci_domain & 0xFFFF,
             gpu->pci_bus & 0xFF, gpu->pci_device & 0xFF);
    pci->domain = gpu->pci_domain;
    pci->bus = gpu->pci_bus;
    pci->device = gpu->pci_device;
    pci->pciDeviceId = gpu->pci_device_id;
}

static void long_bus_id(const struct nvsim_gpu *gpu, char *text, size_t size)
{
    snprintf(text, size, NVML_DEVICE_PCI_BUS_ID_FMT, gpu->pci_domain, gpu->pci_bus & 0xFF, gpu->pci_device & 0xFF);
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    GPU_OR_RETURN(gpu, device, pci != NULL);
    legacy_pci(gpu, pci);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    GPU_OR_RETURN(gpu, device, pci != NULL);
    legacy_pci(gpu, pci);
    pci->pciSubSystemId = gpu->pci_subsystem_id;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    GPU_OR_RETURN(gpu, device, pci != NULL);
    legacy_pci(gpu, pci);
    pci->pciSubSystemId = gpu->pci_subsystem_id;
    long_bus_id(gpu, pci->busId, sizeof pci->busId);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfoExt(nvmlDevice_t device, nvmlPciInfoExt_t *pci)
{
    GPU_OR_RETURN(gpu, device, pci != NULL);
    KNOWN_VERSION(pci, NVSIM_VERSION_nvmlPciInfoExt_v1_t);
    pci->domain = gpu->pci_domain;
    pci->bus = gpu->pci_bus;
    pci->device = gpu->pci_device;
    pci->pciDeviceId = gpu->pci_device_id;
    pci->pciSubSystemId = gpu->pci_subsystem_id;
    pci->baseClass = gpu->pci_class >> 16 & 0xFF;
    pci->subClass = gpu->pci_class >> 8 & 0xFF;
    long_bus_id(gpu, pci->busId, sizeof pci->busId);
    return NVML_SUCCESS;
}

/* MB/s of a lane by generation; NVML names speeds by it. */
static unsigned lane_speed(unsigned generation)
{
    static const unsigned speeds[] = {0, 2500, 5000, 8000, 16000, 32000, 64000};
    return generation < sizeof speeds / sizeof *speeds ? speeds[generation] : 0;
}

nvmlReturn_t nvmlDeviceGetPcieSpeed(nvmlDevice_t device, unsigned int *pcieSpeed)
{
    GPU_OR_RETURN(gpu, device, pcieSpeed != NULL);
    *pcieSpeed = lane_speed(LOAD(gpu->pcie_gen));
    return *pcieSpeed ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetPcieLinkMaxSpeed(nvmlDevice_t device, unsigned int *maxSpeed)
{
    GPU_OR_RETURN(gpu, device, maxSpeed != NULL);
    /* NVML_PCIE_LINK_MAX_SPEED_* counts as generations do. */
    if (!gpu->pcie_gen_max || gpu->pcie_gen_max > NVML_PCIE_LINK_MAX_SPEED_64000MBPS)
        return NVML_ERROR_NOT_SUPPORTED;
    *maxSpeed = gpu->pcie_gen_max;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, nvmlPcieUtilCounter_t counter, unsigned int *value)
{
    GPU_OR_RETURN(gpu, device, value != NULL && counter < NVML_PCIE_UTIL_COUNT);
    READING(gpu)
        *value = counter == NVML_PCIE_UTIL_TX_BYTES ? LOAD(gpu->pcie_tx) : LOAD(gpu->pcie_rx);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetBridgeChipInfo(nvmlDevice_t device, nvmlBridgeChipHierarchy_t *bridgeHierarchy)
{
    GPU_OR_RETURN(gpu, device, bridgeHierarchy != NULL);
    return NVML_ERROR_NOT_SUPPORTED;
}

/* The firmware is the driver's own, so it carries the driver's version.  The caller's buffer holds 64 bytes. */
nvmlReturn_t nvmlDeviceGetGspFirmwareVersion(nvmlDevice_t device, char *version)
{
    GPU_OR_RETURN(gpu, device, version != NULL);
    if (gpu->gsp_firmware != 1)
        return NVML_ERROR_NOT_SUPPORTED;
    return answer_text(nvsim_board.header.driver_version, sizeof nvsim_board.header.driver_version, version,
                       NVML_GSP_FIRMWARE_VERSION_BUF_SIZE);
}

GET_PAIR(nvmlDeviceGetGspFirmwareMode, unsigned int, gsp_firmware, gsp_firmware)

nvmlReturn_t nvmlDeviceGetAddressingMode(nvmlDevice_t device, nvmlDeviceAddressingMode_t *mode)
{
    GPU_OR_RETURN(gpu, device, mode != NULL);
    KNOWN_VERSION(mode, NVSIM_VERSION_nvmlDeviceAddressingMode_v1_t);
    uint32_t found = LOAD(gpu->addressing_mode);
    if (found == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    mode->value = found;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPdi(nvmlDevice_t device, nvmlPdi_t *pdi)
{
    GPU_OR_RETURN(gpu, device, pdi != NULL);
    KNOWN_VERSION(pdi, NVSIM_VERSION_nvmlPdi_v1_t);
    pdi->value = gpu->pdi;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCapabilities(nvmlDevice_t device, nvmlDeviceCapabilities_t *caps)
{
    GPU_OR_RETURN(gpu, device, caps != NULL);
    KNOWN_VERSION(caps, NVSIM_VERSION_nvmlDeviceCapabilities_v1_t);
    caps->capMask = gpu->capabilities;
    return NVML_SUCCESS;
}

/* Driver models are for Windows.  A caller may ask for one of the two alone. */
nvmlReturn_t nvmlDeviceGetDriverModel_v2(nvmlDevice_t device, nvmlDriverModel_t *current, nvmlDriverModel_t *pending)
{
    GPU_OR_RETURN(gpu, device, current || pending);
    return NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetDriverModel(nvmlDevice_t device, nvmlDriverModel_t *current, nvmlDriverModel_t *pending)
{
    return nvmlDeviceGetDriverModel_v2(device, current, pending);
}
