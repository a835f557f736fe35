"""What NVML says of seven models, compared with what `nvidia-smi -q -x` showed on a real board of each.

The values are from captures that NVIDIA publishes: NVIDIA/k8s-test-infra:tests/e2e/go/assertions/nvidiasmi/testdata/
hardware.  What differs from board to board of a model, such as its temperature, is not compared."""

import json

import pytest
from nvml_host import Host

MODELS = ("A100-SXM4-40GB", "H100-SXM5-80GB", "B200", "GB200", "GB300", "L40S", "T4")
NA = "N/A"
ATOMICS = 0x3F
CLIENT = """
import json, os, pynvml
from ctypes import byref, c_uint
from pynvml import *
def field(d, id, scope=0):
    value, = nvmlDeviceGetFieldValues(d, [(id, scope)])
    if value.nvmlReturn:
        raise NVMLError(value.nvmlReturn)
    return {NVML_VALUE_TYPE_UNSIGNED_INT: value.value.uiVal, NVML_VALUE_TYPE_SIGNED_INT: value.value.siVal,
            NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: value.value.ullVal}[value.valueType]
def struct(function, d, kind, version=0):
    info = kind()
    if version:
        info.version = version
    code = pynvml._nvmlGetFunctionPointer(function)(d, byref(info))
    if code:
        raise NVMLError(code)
    return info
def answer(expression, d):
    try:
        return eval(expression)
    except NVMLError_NotSupported:
        return "N/A"
    except Exception as e:  # the row fails, and shows why
        return repr(e)
nvmlInit()
devices = [nvmlDeviceGetHandleByIndex(i) for i in range(nvmlDeviceGetCount())]
print(json.dumps({path: [answer(expression, d) for d in devices]
                  for path, expression in json.loads(os.environ["ROWS"]).items()}, default=bytes.decode))
"""

PLATFORM = "bytes(struct('nvmlDeviceGetPlatformInfo', d, c_nvmlPlatformInfo_v2_t, nvmlPlatformInfo_v2))"
PLACE = f"(lambda n: 'N/A' if n == 255 else n)({PLATFORM}[{{}}])"
FABRIC = "struct('nvmlDeviceGetGpuFabricInfoV', d, c_nvmlGpuFabricInfo_v3_t, nvmlGpuFabricInfo_v3).{}"
SRAM = "struct('nvmlDeviceGetSramEccErrorStatus', d, c_nvmlEccSramErrorStatus_v1_t, nvmlEccSramErrorStatus_v1).{}"
REPAIR = "nvmlDeviceGetRepairStatus(d)[{}]"
C2C = "nvmlDeviceGetC2cModeInfoV(d).isC2cEnabled"
MEMORY = "nvmlDeviceGetMemoryInfo(d, version=nvmlMemory_v2).{} >> 20"
BAR1 = "nvmlDeviceGetBAR1MemoryInfo(d).bar1Total >> 20"
CAPABILITIES = "struct('nvmlDeviceGetCapabilities', d, c_nvmlDeviceCapabilities_v1_t, 0x1000008).capMask"
UNREPAIRABLE = "struct('nvmlDeviceGetUnrepairableMemoryFlag_v1', d, c_uint).value"
MILLIWATT = "field(d, NVML_FI_DEV_POWER_{}, {})"
ECC = "nvmlDeviceGetMemoryErrorCounter(d, {}, {}, {})"

# Element of the report, how a client asks, and the answers of A100, H100, B200, GB200, GB300, L40S, T4.
TABLE = [
    ("product_name", "nvmlDeviceGetName(d)", "NVIDIA A100-SXM4-40GB", "NVIDIA H100 80GB HBM3", "NVIDIA B200",
     "NVIDIA GB200", "NVIDIA GB300", "NVIDIA L40S", "Tesla T4"),
    ("product_brand", "nvmlDeviceGetBrand(d)", 14, 14, 14, 14, 14, 14, 14),
    ("product_architecture", "nvmlDeviceGetArchitecture(d)", 7, 9, 10, 10, 10, 8, 6),
    ("mig_mode/current_mig", "nvmlDeviceGetMigMode(d)[0]", 0, 0, 0, 0, 0, NA, NA),
    ("accounting_mode_buffer_size", "nvmlDeviceGetAccountingBufferSize(d)", *[4000] * 7),
    ("driver_model/current_dm", "nvmlDeviceGetCurrentDriverModel(d)", *[NA] * 7),
    ("vbios_version", "nvmlDeviceGetVbiosVersion(d)", "92.00.45.00.03", "96.00.99.00.01", "97.00.FA.00.09",
     "97.00.B9.00.69", "97.10.4A.00.1A", "95.02.66.00.15", "90.04.96.00.02"),
    ("multigpu_board", "nvmlDeviceGetMultiGpuBoard(d)", *[0] * 7),
    ("board_part_number", "nvmlDeviceGetBoardPartNumber(d)", "692-2G506-0200-003", "692-2G520-0200-000",
     "692-2G525-0220-500", "900-2G548-A801-000", "900-2G548-0081-000", "900-2G133-A880-000", "900-2G183-A800-001"),
    ("platformInfo/chassis_serial_number", PLATFORM + "[20:36].strip(b'\\0')",
     NA, NA, "", "1820000000001", "1820000000001", NA, NA),
    ("platformInfo/slot_number", PLACE.format(36), NA, NA, NA, 14, 25, NA, NA),
    ("platformInfo/tray_index", PLACE.format(37), NA, NA, NA, 4, 15, NA, NA),
    ("platformInfo/host_id", PLACE.format(38), NA, NA, 1, 1, 1, NA, NA),
    ("platformInfo/peer_type", PLACE.format(39), NA, NA, 1, 1, 1, NA, NA),
    ("platformInfo/gpu_fabric_guid", f"int.from_bytes({PLATFORM}[4:20], 'little')", NA, NA, 2, 1, 1,
     NA, NA),
    ("inforom_version/img_version", "nvmlDeviceGetInforomImageVersion(d)", "G506.0200.00.04", "G520.0200.00.05",
     "G525.0220.00.03", "G548.0201.00.06", "G548.0301.00.03", "G133.0242.00.03", "G183.0200.00.02"),
    ("inforom_version/oem_object", "nvmlDeviceGetInforomVersion(d, 0)", "2.0", "2.1", "2.1", "2.1", "2.1", "2.1",
     "1.1"),
    ("inforom_version/ecc_object", "nvmlDeviceGetInforomVersion(d, 1)", "6.16", "7.16", "7.16", "7.16", "7.16", "6.16",
     "5.0"),
    ("inforom_version/pwr_object", "nvmlDeviceGetInforomVersion(d, 2)", *[NA] * 7),
    ("inforom_bbx_flush/latest_timestamp", "nvmlDeviceGetLastBBXFlushTime(d)[0]", NA, 1787237943740000, NA,
     1787268780497000, 1787262948288000, NA, NA),
    ("inforom_bbx_flush/latest_duration", "nvmlDeviceGetLastBBXFlushTime(d)[1]", NA, 93088, NA, 61655, 69751, NA, NA),
    ("gpu_operation_mode/current_gom", "nvmlDeviceGetCurrentGpuOperationMode(d)", *[NA] * 7),
    ("c2c_mode", C2C, NA, 0, 0, 1, 1, NA, NA),
    ("gpu_virtualization_mode/host_vgpu_mode", "nvmlDeviceGetHostVgpuMode(d)", *[NA] * 7),
    ("gpu_recovery_action", "field(d, NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)", *[0] * 7),
    ("gsp_firmware_version", "nvmlDeviceGetGspFirmwareVersion(d)", *["580.105.08"] * 7),
    ("pci/pci_device_id", "hex(nvmlDeviceGetPciInfo(d).pciDeviceId)", "0x20b010de", "0x233010de", "0x290110de",
     "0x294110de", "0x31c210de", "0x26b910de", "0x1eb810de"),
    ("pci/pci_sub_system_id", "hex(nvmlDeviceGetPciInfo(d).pciSubSystemId)", "0x134f10de", "0x16c110de", "0x199910de",
     "0x204610de", "0x21f110de", "0x185110de", "0x12a210de"),
    ("pci/pci_gpu_link_info/pcie_gen/max_link_gen", "nvmlDeviceGetMaxPcieLinkGeneration(d)", 4, 5, 5, 5, 6, 4, 3),
    ("pci/replay_rollover_counter", "field(d, NVML_FI_DEV_PCIE_REPLAY_ROLLOVER_COUNTER)", *[0] * 7),
    ("pci/atomic_caps_outbound", "field(d, NVML_FI_DEV_PCIE_OUTBOUND_ATOMICS_MASK)", NA, NA, ATOMICS, NA, NA, NA, NA),
    ("pci/atomic_caps_inbound", "field(d, NVML_FI_DEV_PCIE_INBOUND_ATOMICS_MASK)", NA, NA, *[ATOMICS] * 3, NA, NA),
    ("fan_speed", "nvmlDeviceGetFanSpeed(d)", *[NA] * 7),
    ("performance_state", "nvmlDeviceGetPerformanceState(d)", *[0] * 7),
    ("clocks_event_reasons", "nvmlDeviceGetCurrentClocksEventReasons(d)", *[1] * 7),
    ("fb_memory_usage/total", MEMORY.format("total"), 40960, 81559, 183359, 189471, 284208, 46068, 15360),
    ("fb_memory_usage/reserved", MEMORY.format("reserved"), 518, 480, 728, 742, 947, 609, 448),
    ("bar1_memory_usage/total", BAR1, 65536, 131072, 262144, 262144, 524288, 65536, 256),
    ("utilization/gpu_util", "nvmlDeviceGetUtilizationRates(d).gpu", *[0] * 7),
    ("utilization/jpeg_util", "nvmlDeviceGetJpgUtilization(d)[0]", *[0] * 7),
    ("utilization/ofa_util", "nvmlDeviceGetOfaUtilization(d)[0]", *[0] * 7),
    ("dram_encryption_mode/current_dram_encryption", "nvmlDeviceGetDramEncryptionMode(d)", *[NA] * 7),
    ("ecc_mode/current_ecc", "nvmlDeviceGetEccMode(d)[0]", *[1] * 7),
    ("ecc_errors/volatile/sram_correctable", ECC.format(0, 0, 7), *[0] * 7),
    ("ecc_errors/volatile/sram_uncorrectable", ECC.format(1, 0, 7), *[0] * 7),
    ("ecc_errors/volatile/sram_uncorrectable_parity", SRAM.format("volatileUncParity"), *[0] * 6, NA),
    ("ecc_errors/aggregate/sram_threshold_exceeded", SRAM.format("bThresholdExceeded"), *[0] * 6, NA),
    ("ecc_errors/aggregate_uncorrectable_sram_sources/sram_l2", SRAM.format("aggregateUncBucketL2"), *[0] * 6, NA),
    ("ecc_errors/channel_repair_pending", REPAIR.format(0), *[0] * 6, NA),
    ("ecc_errors/tpc_repair_pending", REPAIR.format(1), *[0] * 6, NA),
    ("ecc_errors/unrepairable_memory", UNREPAIRABLE, NA, NA, NA, 0, 0, NA, NA),
    ("retired_pages/multiple_single_bit_retirement/retired_count", "len(nvmlDeviceGetRetiredPages(d, 0))", *[NA] * 6,
     0),
    ("retired_pages/pending_retirement", "nvmlDeviceGetRetiredPagesPendingStatus(d)", *[NA] * 6, 0),
    ("remapped_rows/remapped_row_corr", "nvmlDeviceGetRemappedRows(d)[0]", *[0] * 6, NA),
    ("remapped_rows/remapped_row_corr_inactive", "field(d, NVML_FI_DEV_REMAPPED_ROWS_COR_INACTIVE)", *[0] * 6, NA),
    ("remapped_rows/row_remapper_histogram_max", "nvmlDeviceGetRowRemapperHistogram(d).max", 640, 2560, 3840, 3968,
     5952, 192, NA),
    ("temperature/gpu_temp_max_tlimit_threshold", "field(d, NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT)", NA, -8, -5, -5,
     -5, -5, NA),
    ("temperature/gpu_temp_slow_tlimit_threshold", "field(d, NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT)", NA, -2, -3, -2,
     -2, -2, NA),
    ("temperature/gpu_temp_max_mem_tlimit_threshold", "field(d, NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT)", NA, 0, 0, 0,
     0, NA, NA),
    ("temperature/gpu_temp_max_threshold", "nvmlDeviceGetTemperatureThreshold(d, 0)", 92, 95, 93, 92, 92, 93, 96),
    ("temperature/gpu_temp_max_mem_threshold", "nvmlDeviceGetTemperatureThreshold(d, 2)", 95, *[NA] * 6),
    ("temperature/gpu_target_temperature", "nvmlDeviceGetTemperatureThreshold(d, 5)", *[NA] * 7),
    ("gpu_power_readings/current_power_limit", MILLIWATT.format("CURRENT_LIMIT", 0), 400000, 700000, 1000000, 1200000,
     1400000, 350000, 70000),
    ("gpu_power_readings/min_power_limit", MILLIWATT.format("MIN_LIMIT", 0), 100000, 200000, 200000, 200000, 200000,
     100000, 60000),
    ("gpu_memory_power_readings/average_power_draw", MILLIWATT.format("AVERAGE", 2), NA, 32980, 22330, 30260, 35700,
     NA, NA),
    ("gpu_memory_power_readings/instant_power_draw", MILLIWATT.format("INSTANT", 2), *[NA] * 7),
    ("module_power_readings/average_power_draw", MILLIWATT.format("AVERAGE", 1), NA, NA, NA, 467170, 488290, NA, NA),
    ("module_power_readings/instant_power_draw", MILLIWATT.format("INSTANT", 1), NA, NA, NA, 467680, 487680, NA, NA),
    ("module_power_readings/default_power_limit", MILLIWATT.format("DEFAULT_LIMIT", 1), NA, NA, NA, 2500000, 2900000,
     NA, NA),
    ("module_power_readings/min_power_limit", MILLIWATT.format("MIN_LIMIT", 1), NA, NA, NA, 500000, 500000, NA, NA),
    ("edpp_multiplier", "field(d, NVML_FI_DEV_EDPP_MULTIPLIER)", *[NA] * 7),
    ("max_clocks/graphics_clock", "nvmlDeviceGetMaxClockInfo(d, 0)", 1410, 1980, 1965, 2062, 2070, 2520, 1590),
    ("max_clocks/video_clock", "nvmlDeviceGetMaxClockInfo(d, 3)", 1290, 1545, 1965, 1890, 1912, 1965, 1470),
    ("max_customer_boost_clocks/graphics_clock", "nvmlDeviceGetMaxCustomerBoostClock(d, 0)", 1410, 1980, 1965, 2062,
     2070, 2520, 1590),
    ("clock_policy/auto_boost", "nvmlDeviceGetAutoBoostedClocksEnabled(d)", *[NA] * 7),
    ("fabric/state", FABRIC.format("state"), NA, 3, 3, 3, 3, NA, NA),
    ("fabric/health", FABRIC.format("healthMask"), NA, 0, 2 << 6, 0xAA, 0x1AA, NA, NA),
    ("fabric/health/summary", FABRIC.format("healthSummary"), NA, 0, 1, 1, 1, NA, NA),
    ("supported_clocks/supported_mem_clock", "nvmlDeviceGetSupportedMemoryClocks(d)[0]", 1215, 2619, 3996, 3996, 3996,
     9001, 5001),
    ("capabilities/egm", CAPABILITIES, *[0] * 7),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    machine = Host(tmp_path_factory.mktemp("boards"), MODELS, driver_version="580.105.08", cuda_version="13.0")
    rows = {path: expression for path, expression, *_ in TABLE}
    return json.loads(machine.run(CLIENT, ROWS=json.dumps(rows)))


@pytest.mark.parametrize("row", TABLE, ids=[path for path, *_ in TABLE])
def test_the_models_answer_as_their_real_boards_did(answers, row):
    path, _, *expected = row
    assert answers[path] == expected
