"""One GPU as the driver library sees it: the record of the board."""

from dataclasses import dataclass

from nvsim.board_layout import array, i32, layout_of, text, texts, u32, u64

EVENTS = 16
LINKS = 36
CPU_WORDS = 16
PROCESSES = 32
ACCOUNTED = 64
UNITS = 8
PAGES = 64
POLICIES = 12
PCIE_ERRORS = 11
MIG_SLOTS = 8
FANS = 8
SMOOTHING_PROFILES = 5
SMOOTHING_PARAMETERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """What the mock NVML answers for a GPU.  None: the board does not have that, NVML says "Not Supported".

    Names and units are NVML's where it has them.  Live fields are those that `nvsim ctl set` changes."""

    fault: int = u32("what every query answers: 0 all well, 15 lost, 16 reset required (nvmlReturn_t)", live=True)

    # Identity
    name: str = text(96, "product name, e.g. NVIDIA A100-SXM4-40GB")
    uuid: str = text(48, "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, lower-case hexadecimal")
    serial: str = text(32, "13 digits; empty on boards without infoROM")
    vbios: str = text(32, "VBIOS version")
    board_part_number: str = text(32, "e.g. 692-2G506-0200-003")
    gpu_part_number: str = text(32, "e.g. 20B0-884-A1")
    inforom_image: str = text(24, "infoROM image version, e.g. G506.0200.00.04")
    inforom_oem: str = text(16, "infoROM OEM object version")
    inforom_ecc: str = text(16, "infoROM ECC object version")
    inforom_power: str = text(16, "infoROM power object version")
    minor: int = u32("N of /dev/nvidiaN")
    integrated: int = u32("0 on a board of its own; in a Tegra processor 1 by the module nvidia, 2 by nvgpu")
    board_id: int = u32("same for GPUs of one physical board")
    module_id: int | None = u32("position on the base board", default=None)
    brand: int = u32("nvmlBrandType_t")
    architecture: int = u32("NVML_DEVICE_ARCH_*")
    compute_major: int = u32("CUDA compute capability, major")
    compute_minor: int = u32("CUDA compute capability, minor")
    sm_count: int = u32("streaming multiprocessors")
    cuda_cores: int = u32("CUDA cores")
    virtualization: int = u32("nvmlGpuVirtualizationMode_t", live=True)
    addressing_mode: int | None = u32("0 none, 1 HMM, 2 ATS", default=None, live=True)
    gsp_firmware: int | None = u32("1 if the GSP runs the driver's firmware", default=None)
    pdi: int = u64("per-device identifier")

    # PCI
    pci_domain: int = u32("PCI domain")
    pci_bus: int = u32("PCI bus")
    pci_device: int = u32("PCI device; the function is 0")
    pci_device_id: int = u32("device << 16 | vendor")
    pci_subsystem_id: int = u32("subsystem device << 16 | subsystem vendor")
    pci_class: int = u32("class code, 24 bits: 0x030200 is a 3D controller")
    pcie_gen_max: int = u32("PCIe generation that GPU and slot can do")
    pcie_gen_device_max: int = u32("PCIe generation that the GPU can do")
    pcie_gen: int = u32("PCIe generation of the link now", live=True)
    pcie_width_max: int = u32("PCIe lanes that GPU and slot can do")
    pcie_width: int = u32("PCIe lanes of the link now", live=True)
    pcie_replays: int = u32("PCIe replay counter", live=True)
    pcie_tx: int = u32("KB/s sent over PCIe in the last 20 ms", live=True)
    pcie_rx: int = u32("KB/s received over PCIe in the last 20 ms", live=True)

    # Memory
    memory_total: int | None = u64("bytes of device memory", default=None)
    memory_reserved: int = u64("bytes kept by the driver")
    memory_used: int = u64("bytes in use, without the reserved ones", live=True)
    bar1_total: int | None = u64("bytes of the BAR1 aperture", default=None)
    bar1_used: int = u64("bytes of BAR1 mapped", live=True)
    memory_bus_width: int = u32("bits")
    l2_cache: int | None = u32("KiB of level 2 cache", default=None)

    # Clocks
    clock_graphics: int = u32("MHz", live=True)
    clock_sm: int = u32("MHz", live=True)
    clock_memory: int | None = u32("MHz", default=None, live=True)
    clock_video: int | None = u32("MHz", default=None, live=True)
    clock_max_graphics: int | None = u32("MHz", default=None)
    clock_max_sm: int | None = u32("MHz", default=None)
    clock_max_memory: int | None = u32("MHz", default=None)
    clock_max_video: int | None = u32("MHz", default=None)
    clock_min_graphics: int = u32("MHz, the lowest supported")
    clock_app_graphics: int | None = u32("applications clock, MHz", default=None, live=True)
    clock_app_memory: int | None = u32("applications clock, MHz", default=None, live=True)
    clock_default_graphics: int | None = u32("default applications clock, MHz", default=None)
    clock_default_memory: int | None = u32("default applications clock, MHz", default=None)
    clocks_event_reasons: int = u64("why clocks are what they are: nvmlClocksEventReason* bits", default=1, live=True)
    clocks_event_reasons_supported: int = u64("nvmlClocksEventReason* bits that can occur", default=0x1FF)
    pstate: int | None = u32("performance state, 0 to 15", live=True)

    # Power
    power_usage: int | None = u32("milliwatt", default=None, live=True)
    power_average: int | None = u32("milliwatt, mean of the last second", default=None, live=True)
    power_limit: int | None = u32("milliwatt", default=None, live=True)
    power_limit_enforced: int | None = u32("milliwatt", default=None, live=True)
    power_limit_default: int | None = u32("milliwatt", default=None)
    power_limit_min: int | None = u32("milliwatt", default=None)
    power_limit_max: int | None = u32("milliwatt", default=None)
    energy: int | None = u64("millijoule since the driver was loaded", default=None, live=True)

    # Temperature and fans
    temperature: int | None = i32("°C of the GPU core", live=True)
    temperature_memory: int | None = i32("°C of the memory", default=None, live=True)
    threshold_shutdown: int | None = i32("°C", default=None)
    threshold_slowdown: int | None = i32("°C", default=None)
    threshold_gpu_max: int | None = i32("°C, highest in operation", default=None)
    threshold_memory_max: int | None = i32("°C, highest in operation", default=None)
    threshold_target: int | None = i32("°C, the target that fan and clocks follow", default=None, live=True)
    threshold_target_min: int | None = i32("°C", default=None)
    threshold_target_max: int | None = i32("°C", default=None)
    tlimit_shutdown: int | None = i32("°C of margin at which the GPU shuts down", default=None)
    tlimit_slowdown: int | None = i32("°C of margin at which hardware slows down", default=None)
    tlimit_memory_max: int | None = i32("°C of memory margin at which software slows down", default=None)
    tlimit_gpu_max: int | None = i32("°C of margin at which software slows down", default=None)
    tlimit_base: int | None = i32("°C of the core at which the margin (T.Limit) is 0", default=None)
    fan_count: int = u32("fans that the board controls")
    fan_speed: int | None = u32("percent of the highest speed", default=None, live=True)
    fan_rpm: int | None = u32("turns a minute", default=None, live=True)

    # Load
    utilization_gpu: int = u32("percent of time", live=True)
    utilization_memory: int = u32("percent of time", live=True)
    utilization_encoder: int = u32("percent of time", live=True)
    utilization_decoder: int = u32("percent of time", live=True)
    utilization_jpeg: int | None = u32("percent of time", default=None, live=True)
    utilization_ofa: int | None = u32("percent of time", default=None, live=True)

    # Modes
    persistence: int = u32("persistence mode, 0 or 1", live=True)
    compute_mode: int = u32("nvmlComputeMode_t", live=True)
    display_mode: int = u32("1 if a display is attached", live=True)
    display_active: int = u32("1 if a display server runs on it", live=True)
    accounting_mode: int = u32("accounting mode, 0 or 1", live=True)
    mig_mode: int | None = u32("MIG mode, 0 or 1", default=None, live=True)
    mig_pending: int | None = u32("MIG mode after the next reset", default=None, live=True)
    mig_max_devices: int = u32("MIG devices that the GPU can hold")

    # Memory errors
    ecc_mode: int | None = u32("ECC, 0 or 1", default=None, live=True)
    ecc_pending: int | None = u32("ECC after the next reboot", default=None, live=True)
    ecc_default: int | None = u32("ECC as delivered", default=None)
    ecc_volatile_corrected_dram: int = u64("corrected DRAM errors since the driver was loaded", live=True)
    ecc_volatile_corrected_sram: int = u64("corrected SRAM errors since the driver was loaded", live=True)
    ecc_volatile_uncorrected_dram: int = u64("uncorrected DRAM errors since the driver was loaded", live=True)
    ecc_volatile_uncorrected_sram: int = u64("uncorrected SRAM errors since the driver was loaded", live=True)
    ecc_aggregate_corrected_dram: int = u64("corrected DRAM errors in the board's life", live=True)
    ecc_aggregate_corrected_sram: int = u64("corrected SRAM errors in the board's life", live=True)
    ecc_aggregate_uncorrected_dram: int = u64("uncorrected DRAM errors in the board's life", live=True)
    ecc_aggregate_uncorrected_sram: int = u64("uncorrected SRAM errors in the board's life", live=True)
    retired_pages_sbe: int | None = u32("pages retired for single-bit errors", default=None, live=True)
    retired_pages_dbe: int | None = u32("pages retired for double-bit errors", default=None, live=True)
    retired_pages_pending: int | None = u32("1 if a page waits for its retirement", default=None, live=True)
    remapped_correctable: int | None = u32("rows remapped for correctable errors", default=None, live=True)
    remapped_uncorrectable: int | None = u32("rows remapped for uncorrectable errors", default=None, live=True)
    remapped_pending: int | None = u32("1 if a row waits for its remapping", default=None, live=True)
    remapped_failure: int | None = u32("1 if a remapping failed", default=None, live=True)
    remap_banks_max: int | None = u32("banks with all spare rows", default=None, live=True)
    remap_banks_high: int = u32("banks with many spare rows", live=True)
    remap_banks_partial: int = u32("banks with some spare rows", live=True)
    remap_banks_low: int = u32("banks with few spare rows", live=True)
    remap_banks_none: int = u32("banks without spare rows", live=True)

    # NVLink and fabric
    nvlink_links: int = u32("links")
    nvlink_version: int = u32("nvmlNvlinkVersion_t")
    nvlink_speed: int = u32("MB/s of a link, one direction")
    nvlink_active: int = u64("bit n: link n is up", live=True)
    nvlink_remote_device_id: int = u32("device << 16 | vendor of what is at the other end")
    nvlink_remote_type: int = u32("what is there: nvmlIntNvLinkDeviceType_t, 0 GPU, 2 NVSwitch")
    nvlink_remote: tuple[int, ...] = array("u32", LINKS, "per link: domain << 16 | bus << 8 | device << 3")
    fabric_state: int | None = u32("1 not started, 2 in progress, 3 completed", default=None, live=True)
    fabric_status: int = u32("nvmlReturn_t of the fabric registration", live=True)
    fabric_clique: int = u32("fabric clique", live=True)
    fabric_cluster: str = text(40, "fabric cluster UUID, without prefix", live=True)
    c2c_mode: int | None = u32("1 if the chip-to-chip link is in use", default=None)

    # What an administrator set, and what can be set: nvsim/catalog/settings.yaml
    api_unrestricted: int = u32("bit n: ordinary users may call what nvmlRestrictedAPI_t n names", live=True)
    clock_locks: int = u32("clocks that can be locked: sum of 1 graphics, 2 memory")
    lock_graphics_min: int | None = u32("MHz, lower end of the locked clocks", default=None, live=True)
    lock_graphics_max: int | None = u32("MHz, upper end of the locked clocks", default=None, live=True)
    lock_memory_min: int | None = u32("MHz, lower end of the locked clocks", default=None, live=True)
    lock_memory_max: int | None = u32("MHz, upper end of the locked clocks", default=None, live=True)
    offset_graphics: int | None = i32("MHz that the voltage curve is moved by", default=None, live=True)
    offset_graphics_min: int = i32("MHz")
    offset_graphics_max: int = i32("MHz")
    offset_memory: int | None = i32("MHz that the voltage curve is moved by", default=None, live=True)
    offset_memory_min: int = i32("MHz")
    offset_memory_max: int = i32("MHz")
    fan_manual: int = u32("bit n: fan n turns at its target, not by temperature", live=True)
    fan_target: tuple[int, ...] = array("u32", FANS, "percent of the highest speed")
    draining: int = u32("1: the GPU takes no new work, and new processes do not see it", live=True)
    removed: int = u32("0, or 1 + its fault at the time at which the driver let go of it, until the bus is scanned")
    takes_hostname: int = u32("1: a machine can give its name to the GPU")
    hostname: str = text(64, "the name that it gave", live=True)
    power_mizer: int | None = u32("hint for performance: NVML_POWER_MIZER_MODE_*", default=None, live=True)
    clock_faults: int | None = u32("bit n: clock domain 1 << n is at fault", default=None, live=True)
    workload_profiles: int = u64("bit n: the board knows workload power profile n, nvmlPowerProfileType_t")
    workload_requested: int = u64("workload power profiles that are asked for", live=True)
    power_smoothing: int | None = u32("power smoothing, 0 or 1", default=None, live=True)
    power_smoothing_profile: int = u32("power smoothing profile in use", live=True)
    power_smoothing_values: tuple[int, ...] = array("u32", SMOOTHING_PROFILES * SMOOTHING_PARAMETERS,
                                                    "parameter n of profile p in place 8 p + n")

    # Where it is
    numa_node: int | None = u32("NUMA node of host memory", default=None)
    host_bridge: int = u32("GPUs with equal numbers share a PCIe host bridge")
    pcie_switch: int = u32("GPUs with equal numbers share a PCIe switch; 0 none")
    cpu_affinity: tuple[int, ...] = array("u64", CPU_WORDS, "bit n of word w: CPU 64 w + n is near")

    # Memory errors in detail
    ecc_by_unit: int = u32("1 if errors outside DRAM are counted by unit, 0 if as one sum, SRAM")
    ecc_units: tuple[int, ...] = array("u64", 4 * UNITS, "errors outside DRAM: (2 if aggregate, + 1 if uncorrected) "
                                       "* 8 + nvmlMemoryLocation_t, without what the *_sram fields count")
    ecc_sram_parity_volatile: int = u64("of the volatile uncorrected SRAM errors: found by parity", live=True)
    ecc_sram_parity_aggregate: int = u64("of the aggregate uncorrected SRAM errors: found by parity", live=True)
    ecc_sram_sm: int = u64("of the aggregate uncorrected SRAM errors: in an SM", live=True)
    ecc_sram_microcontroller: int = u64("of the aggregate uncorrected SRAM errors: in a microcontroller", live=True)
    ecc_sram_pcie: int = u64("of the aggregate uncorrected SRAM errors: in the PCIe unit", live=True)
    ecc_sram_other: int = u64("of the aggregate uncorrected SRAM errors: elsewhere; what is left was in L2", live=True)
    ecc_sram_threshold: int = u32("1 if SRAM errors exceed what NVIDIA tolerates", live=True)
    retired_address: tuple[int, ...] = array("u64", PAGES, "physical address of each retired page: single-bit ones "
                                             "first, 0 for one that follows from its place")
    retired_time: tuple[int, ...] = array("u64", PAGES, "microseconds since 1970 at which it was retired")
    remapped_correctable_inactive: int | None = u32("rows whose remapping is not active", default=None, live=True)
    remapped_uncorrectable_inactive: int | None = u32("rows whose remapping is not active", default=None, live=True)
    bank_remaps_active: int | None = u32("bank remappings in use", default=None, live=True)
    bank_remaps_inactive: int = u32("bank remappings not in use", live=True)
    bank_remap_pending: int = u32("1 if a bank waits for its remapping", live=True)
    bank_spares_max: int = u32("groups of banks with all spares", live=True)
    bank_spares_none: int = u32("groups of banks without spares", live=True)
    unrepairable_memory: int | None = u32("1 if memory cannot be repaired", default=None, live=True)
    repair_channel_pending: int | None = u32("1 if a memory channel waits for its repair", default=None, live=True)
    repair_tpc_pending: int | None = u32("1 if a TPC waits for its repair", default=None, live=True)
    inforom_checksum: int | None = u32("checksum of the infoROM configuration", default=None)
    inforom_corrupt: int = u32("1 if the infoROM does not fit its checksum", live=True)
    bbx_flush_time: int | None = u64("microseconds since 1970 of the last black-box flush", default=None, live=True)
    bbx_flush_duration: int = u32("microseconds that it took", live=True)
    bbx_time_run: int | None = u32("seconds that the board has run in its life", default=None, live=True)
    recovery_action: int = u32("nvmlDeviceGpuRecoveryAction_t", live=True)

    # Power, clocks and PCIe in detail
    power_memory_average: int | None = u32("milliwatt of the memory, mean of the last second", default=None, live=True)
    power_module: int | None = u32("milliwatt of GPU and CPU together", default=None, live=True)
    power_module_average: int | None = u32("milliwatt of GPU and CPU, mean of the last second", default=None, live=True)
    power_module_limit: int | None = u32("milliwatt of GPU and CPU together", default=None, live=True)
    power_module_limit_default: int | None = u32("milliwatt", default=None)
    power_module_limit_min: int | None = u32("milliwatt", default=None)
    power_module_limit_max: int | None = u32("milliwatt", default=None)
    power_source: int = u32("0 mains, 1 battery, 2 undersized supply", live=True)
    violation: tuple[int, ...] = array("u64", POLICIES, "nanoseconds below the highest clocks, by nvmlPerfPolicyType_t")
    slowdown_software: int = u64("nanoseconds slowed down by software for heat", live=True)
    slowdown_hardware: int = u64("nanoseconds slowed down by hardware for heat", live=True)
    slowdown_brake: int = u64("nanoseconds slowed down by the power brake", live=True)
    pcie_rollovers: int = u32("times that the PCIe replay number rolled over", live=True)
    pcie_errors: tuple[int, ...] = array("u32", PCIE_ERRORS, "PCIe errors, by field id from 173: correctable, NAKs "
                                         "received, receiver, bad TLP, NAKs sent, bad DLLP, non-fatal, fatal, "
                                         "unsupported request, LCRC, lane")
    pcie_recoveries: int = u32("times that the PCIe link went from L0 to recovery", live=True)
    pcie_sent: int = u64("bytes sent over PCIe", live=True)
    pcie_received: int = u64("bytes received over PCIe", live=True)
    pcie_atomics_out: int | None = u32("NVML_PCIE_ATOMICS_CAP_* of requests from the GPU", default=None)
    pcie_atomics_in: int | None = u32("NVML_PCIE_ATOMICS_CAP_* of requests to the GPU", default=None)
    irq: int | None = u32("interrupt number", default=None)

    # NVLink and fabric in detail
    nvlink_errors: tuple[int, ...] = array("u64", 5 * LINKS, "per link: replay, recovery, CRC of flits, CRC of data, "
                                           "ECC of data")
    nvlink_sent: tuple[int, ...] = array("u64", LINKS, "per link: KiB of data sent")
    nvlink_received: tuple[int, ...] = array("u64", LINKS, "per link: KiB of data received")
    nvlink_control: tuple[int, ...] = array("u32", 2 * LINKS, "per link and counter: 0x80000000 if frozen, "
                                            "units << 8 | packet types")
    nvlink_bandwidth_mode: int | None = u32("0 full, 1 off, 2 least, 3 half, 4 three quarters", default=None, live=True)
    nvlink_low_power: int | None = u32("idle time after which a link sleeps, in units of 100 us", default=None,
                                       live=True)
    fabric_health: int = u32("NVML_GPU_FABRIC_HEALTH_MASK_*", live=True)
    fabric_health_summary: int = u32("NVML_GPU_FABRIC_HEALTH_SUMMARY_*", live=True)
    c2c_links: int = u32("chip-to-chip links")
    c2c_speed: int = u32("MB/s of a chip-to-chip link")

    # The machine that it is part of
    platform_host: int | None = u32("number of the host in its tray; none: no platform information", default=None)
    platform_slot: int | None = u32("slot in the chassis", default=None)
    platform_tray: int | None = u32("index of the tray", default=None)
    platform_peer: int = u32("NVLink peers: 0 direct, 1 through switches")
    platform_chassis: str = text(16, "serial number of the chassis")
    platform_fabric_guid: int = u64("GUID of the GPU in the fabric")
    capabilities: int = u32("NVML_DEV_CAP_*")
    confidential: int | None = u32("what confidential computing the GPU can: nvmlConfComputeSystemCaps_t.gpusCaps",
                                   default=None)
    gpm: int = u32("1 if the GPU measures performance metrics (GPM)")
    gpm_streaming: int = u32("1 if GPM streaming is on", live=True)
    vgpu_licensed: int = u32("1 if the share of a vGPU guest has its licence", live=True)

    # Processes: entries in any order; one with pid 0 is free
    process_pid: tuple[int, ...] = array("u32", PROCESSES, "process id, 0 for a free entry")
    process_kind: tuple[int, ...] = array("u32", PROCESSES, "sum of 1 compute, 2 graphics, 4 compute through MPS")
    process_memory: tuple[int, ...] = array("u64", PROCESSES, "bytes of device memory")
    process_gpu_instance: tuple[int, ...] = array("u32", PROCESSES, "GPU instance id, 0xFFFFFFFF outside MIG")
    process_compute_instance: tuple[int, ...] = array("u32", PROCESSES, "compute instance id, 0xFFFFFFFF outside MIG")
    process_sm: tuple[int, ...] = array("u32", PROCESSES, "percent of time on the streaming multiprocessors")
    process_memory_utilization: tuple[int, ...] = array("u32", PROCESSES, "percent of time on the memory interface")
    process_encoder: tuple[int, ...] = array("u32", PROCESSES, "percent of time on the encoders")
    process_decoder: tuple[int, ...] = array("u32", PROCESSES, "percent of time on the decoders")
    process_jpeg: tuple[int, ...] = array("u32", PROCESSES, "percent of time on the JPEG engines")
    process_ofa: tuple[int, ...] = array("u32", PROCESSES, "percent of time on the optical flow accelerators")
    process_started: tuple[int, ...] = array("u64", PROCESSES, "microseconds since 1970 at which it came")
    process_name: tuple[str, ...] = texts(PROCESSES, 64, "the program, as nvidia-smi shows it")

    # Accounting: processes that ended while its mode was on, a ring; those that run are in the table above
    accounting_since: int = u64("microseconds since 1970 at which the mode was turned on: it counts who came later")
    accounted_count: int = u64("processes so far; the next goes to slot accounted_count % 64")
    accounted_pid: tuple[int, ...] = array("u32", ACCOUNTED, "process id")
    accounted_sm: tuple[int, ...] = array("u32", ACCOUNTED, "percent of its time on the streaming multiprocessors")
    accounted_memory_utilization: tuple[int, ...] = array("u32", ACCOUNTED, "percent of its time on memory")
    accounted_memory: tuple[int, ...] = array("u64", ACCOUNTED, "most bytes of device memory")
    accounted_started: tuple[int, ...] = array("u64", ACCOUNTED, "microseconds since 1970 at which it came")
    accounted_time: tuple[int, ...] = array("u64", ACCOUNTED, "milliseconds that it ran")

    # MIG: instances in any order; one of size 0 is free.  A serial number grows with each use of a slot
    mig_table: int = u32("number of its table in catalog/mig.yaml, from 1; 0: no MIG")
    gi_id: tuple[int, ...] = array("u32", MIG_SLOTS, "GPU instance id")
    gi_profile: tuple[int, ...] = array("u32", MIG_SLOTS, "profile id, as nvidia-smi shows it")
    gi_start: tuple[int, ...] = array("u32", MIG_SLOTS, "first placement unit")
    gi_size: tuple[int, ...] = array("u32", MIG_SLOTS, "placement units, 0 for a free slot")
    gi_serial: tuple[int, ...] = array("u32", MIG_SLOTS, "times that the slot was used")
    gi_memory_used: tuple[int, ...] = array("u64", MIG_SLOTS, "bytes of the instance's memory in use")
    ci_gpu_instance: tuple[int, ...] = array("u32", MIG_SLOTS, "id of the GPU instance that a compute instance is in")
    ci_id: tuple[int, ...] = array("u32", MIG_SLOTS, "compute instance id, within its GPU instance")
    ci_profile: tuple[int, ...] = array("u32", MIG_SLOTS, "compute instance profile id")
    ci_start: tuple[int, ...] = array("u32", MIG_SLOTS, "first slice")
    ci_size: tuple[int, ...] = array("u32", MIG_SLOTS, "slices, 0 for a free slot")
    ci_serial: tuple[int, ...] = array("u32", MIG_SLOTS, "times that the slot was used")
    ci_uuid: tuple[str, ...] = texts(MIG_SLOTS, 64, "UUID of the MIG device")

    # Events: a ring, the oldest is overwritten
    event_count: int = u64("events so far; the next goes to slot event_count % 16")
    event_type: tuple[int, ...] = array("u64", EVENTS, "nvmlEventType*")
    event_data: tuple[int, ...] = array("u64", EVENTS, "Xid number for nvmlEventTypeXidCriticalError")
    event_gpu_instance: tuple[int, ...] = array("u32", EVENTS, "GPU instance that it is about, 0xFFFFFFFF: none")
    event_compute_instance: tuple[int, ...] = array("u32", EVENTS, "compute instance, 0xFFFFFFFF: none")

    @property
    def bus_id(self) -> str:
        """The PCI address as Linux writes it: 0000:07:00.0."""
        return f"{self.pci_domain:04x}:{self.pci_bus:02x}:{self.pci_device:02x}.0"


RECORD = layout_of(Gpu)
# A GPU lies twice on the board, behind the generation number that says which copy counts: the even or the odd one.
COPIES = 8
SLOT_SIZE = COPIES + 2 * RECORD.size
