/* Written by nvsim/native/generate.py from nvsim/board.py and board_gpu.py: change those, not this file. */
#ifndef NVSIM_BOARD_H
#define NVSIM_BOARD_H

#include <stdint.h>

#define NVSIM_BOARD_SECTION ".nvsim.board"
#define NVSIM_BOARD_MAGIC "NVSIMBRD"
#define NVSIM_BOARD_FORMAT 1
#define NVSIM_BOARD_CAPACITY 64

/* A value that the machine does not have. */
#define NVSIM_ABSENT_I32 INT32_MIN
#define NVSIM_ABSENT_U32 UINT32_MAX
#define NVSIM_ABSENT_U64 UINT64_MAX

struct nvsim_gpu {
    uint32_t fault; /* what every query answers: 0 all well, 15 lost, 16 reset required (nvmlReturn_t) */
    char name[96]; /* product name, e.g. NVIDIA A100-SXM4-40GB */
    char uuid[48]; /* GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, lower-case hexadecimal */
    char serial[32]; /* 13 digits; empty on boards without infoROM */
    char vbios[32]; /* VBIOS version */
    char board_part_number[32]; /* e.g. 692-2G506-0200-003 */
    char gpu_part_number[32]; /* e.g. 20B0-884-A1 */
    char inforom_image[24]; /* infoROM image version, e.g. G506.0200.00.04 */
    char inforom_oem[16]; /* infoROM OEM object version */
    char inforom_ecc[16]; /* infoROM ECC object version */
    char inforom_power[16]; /* infoROM power object version */
    uint32_t minor; /* N of /dev/nvidiaN */
    uint32_t integrated; /* 0 on a board of its own; in a Tegra processor 1 by the module nvidia, 2 by nvgpu */
    uint32_t board_id; /* same for GPUs of one physical board */
    uint32_t module_id; /* position on the base board */
    uint32_t brand; /* nvmlBrandType_t */
    uint32_t architecture; /* NVML_DEVICE_ARCH_* */
    uint32_t compute_major; /* CUDA compute capability, major */
    uint32_t compute_minor; /* CUDA compute capability, minor */
    uint32_t sm_count; /* streaming multiprocessors */
    uint32_t cuda_cores; /* CUDA cores */
    uint32_t virtualization; /* nvmlGpuVirtualizationMode_t */
    uint32_t addressing_mode; /* 0 none, 1 HMM, 2 ATS */
    uint32_t gsp_firmware; /* 1 if the GSP runs the driver's firmware */
    uint64_t pdi; /* per-device identifier */
    uint32_t pci_domain; /* PCI domain */
    uint32_t pci_bus; /* PCI bus */
    uint32_t pci_device; /* PCI device; the function is 0 */
    uint32_t pci_device_id; /* device << 16 | vendor */
    uint32_t pci_subsystem_id; /* subsystem device << 16 | subsystem vendor */
    uint32_t pci_class; /* class code, 24 bits: 0x030200 is a 3D controller */
    uint32_t pcie_gen_max; /* PCIe generation that GPU and slot can do */
    uint32_t pcie_gen_device_max; /* PCIe generation that the GPU can do */
    uint32_t pcie_gen; /* PCIe generation of the link now */
    uint32_t pcie_width_max; /* PCIe lanes that GPU and slot can do */
    uint32_t pcie_width; /* PCIe lanes of the link now */
    uint32_t pcie_replays; /* PCIe replay counter */
    uint32_t pcie_tx; /* KB/s sent over PCIe in the last 20 ms */
    uint32_t pcie_rx; /* KB/s received over PCIe in the last 20 ms */
    uint64_t memory_total; /* bytes of device memory */
    uint64_t memory_reserved; /* bytes kept by the driver */
    uint64_t memory_used; /* bytes in use, without the reserved ones */
    uint64_t bar1_total; /* bytes of the BAR1 aperture */
    uint64_t bar1_used; /* bytes of BAR1 mapped */
    uint32_t memory_bus_width; /* bits */
    uint32_t l2_cache; /* KiB of level 2 cache */
    uint32_t clock_graphics; /* MHz */
    uint32_t clock_sm; /* MHz */
    uint32_t clock_memory; /* MHz */
    uint32_t clock_video; /* MHz */
    uint32_t clock_max_graphics; /* MHz */
    uint32_t clock_max_sm; /* MHz */
    uint32_t clock_max_memory; /* MHz */
    uint32_t clock_max_video; /* MHz */
    uint32_t clock_min_graphics; /* MHz, the lowest supported */
    uint32_t clock_app_graphics; /* applications clock, MHz */
    uint32_t clock_app_memory; /* applications clock, MHz */
    uint32_t clock_default_graphics; /* default applications clock, MHz */
    uint32_t clock_default_memory; /* default applications clock, MHz */
    uint64_t clocks_event_reasons; /* why clocks are what they are: nvmlClocksEventReason* bits */
    uint64_t clocks_event_reasons_supported; /* nvmlClocksEventReason* bits that can occur */
    uint32_t pstate; /* performance state, 0 to 15 */
    uint32_t power_usage; /* milliwatt */
    uint32_t power_average; /* milliwatt, mean of the last second */
    uint32_t power_limit; /* milliwatt */
    uint32_t power_limit_enforced; /* milliwatt */
    uint32_t power_limit_default; /* milliwatt */
    uint32_t power_limit_min; /* milliwatt */
    uint32_t power_limit_max; /* milliwatt */
    uint64_t energy; /* millijoule since the driver was loaded */
    int32_t temperature; /* °C of the GPU core */
    int32_t temperature_memory; /* °C of the memory */
    int32_t threshold_shutdown; /* °C */
    int32_t threshold_slowdown; /* °C */
    int32_t threshold_gpu_max; /* °C, highest in operation */
    int32_t threshold_memory_max; /* °C, highest in operation */
    int32_t threshold_target; /* °C, the target that fan and clocks follow */
    int32_t threshold_target_min; /* °C */
    int32_t threshold_target_max; /* °C */
    int32_t tlimit_shutdown; /* °C of margin at which the GPU shuts down */
    int32_t tlimit_slowdown; /* °C of margin at which hardware slows down */
    int32_t tlimit_memory_max; /* °C of memory margin at which software slows down */
    int32_t tlimit_gpu_max; /* °C of margin at which software slows down */
    int32_t tlimit_base; /* °C of the core at which the margin (T.Limit) is 0 */
    uint32_t fan_count; /* fans that the board controls */
    uint32_t fan_speed; /* percent of the highest speed */
    uint32_t fan_rpm; /* turns a minute */
    uint32_t utilization_gpu; /* percent of time */
    uint32_t utilization_memory; /* percent of time */
    uint32_t utilization_encoder; /* percent of time */
    uint32_t utilization_decoder; /* percent of time */
    uint32_t utilization_jpeg; /* percent of time */
    uint32_t utilization_ofa; /* percent of time */
    uint32_t persistence; /* persistence mode, 0 or 1 */
    uint32_t compute_mode; /* nvmlComputeMode_t */
    uint32_t display_mode; /* 1 if a display is attached */
    uint32_t display_active; /* 1 if a display server runs on it */
    uint32_t accounting_mode; /* accounting mode, 0 or 1 */
    uint32_t mig_mode; /* MIG mode, 0 or 1 */
    uint32_t mig_pending; /* MIG mode after the next reset */
    uint32_t mig_max_devices; /* MIG devices that the GPU can hold */
    uint32_t ecc_mode; /* ECC, 0 or 1 */
    uint32_t ecc_pending; /* ECC after the next reboot */
    uint32_t ecc_default; /* ECC as delivered */
    uint64_t ecc_volatile_corrected_dram; /* corrected DRAM errors since the driver was loaded */
    uint64_t ecc_volatile_corrected_sram; /* corrected SRAM errors since the driver was loaded */
    uint64_t ecc_volatile_uncorrected_dram; /* uncorrected DRAM errors since the driver was loaded */
    uint64_t ecc_volatile_uncorrected_sram; /* uncorrected SRAM errors since the driver was loaded */
    uint64_t ecc_aggregate_corrected_dram; /* corrected DRAM errors in the board's life */
    uint64_t ecc_aggregate_corrected_sram; /* corrected SRAM errors in the board's life */
    uint64_t ecc_aggregate_uncorrected_dram; /* uncorrected DRAM errors in the board's life */
    uint64_t ecc_aggregate_uncorrected_sram; /* uncorrected SRAM errors in the board's life */
    uint32_t retired_pages_sbe; /* pages retired for single-bit errors */
    uint32_t retired_pages_dbe; /* pages retired for double-bit errors */
    uint32_t retired_pages_pending; /* 1 if a page waits for its retirement */
    uint32_t remapped_correctable; /* rows remapped for correctable errors */
    uint32_t remapped_uncorrectable; /* rows remapped for uncorrectable errors */
    uint32_t remapped_pending; /* 1 if a row waits for its remapping */
    uint32_t remapped_failure; /* 1 if a remapping failed */
    uint32_t remap_banks_max; /* banks with all spare rows */
    uint32_t remap_banks_high; /* banks with many spare rows */
    uint32_t remap_banks_partial; /* banks with some spare rows */
    uint32_t remap_banks_low; /* banks with few spare rows */
    uint32_t remap_banks_none; /* banks without spare rows */
    uint32_t nvlink_links; /* links */
    uint32_t nvlink_version; /* nvmlNvlinkVersion_t */
    uint32_t nvlink_speed; /* MB/s of a link, one direction */
    uint64_t nvlink_active; /* bit n: link n is up */
    uint32_t nvlink_remote_device_id; /* device << 16 | vendor of what is at the other end */
    uint32_t nvlink_remote_type; /* what is there: nvmlIntNvLinkDeviceType_t, 0 GPU, 2 NVSwitch */
    uint32_t nvlink_remote[36]; /* per link: domain << 16 | bus << 8 | device << 3 */
    uint32_t fabric_state; /* 1 not started, 2 in progress, 3 completed */
    uint32_t fabric_status; /* nvmlReturn_t of the fabric registration */
    uint32_t fabric_clique; /* fabric clique */
    char fabric_cluster[40]; /* fabric cluster UUID, without prefix */
    uint32_t c2c_mode; /* 1 if the chip-to-chip link is in use */
    uint32_t api_unrestricted; /* bit n: ordinary users may call what nvmlRestrictedAPI_t n names */
    uint32_t clock_locks; /* clocks that can be locked: sum of 1 graphics, 2 memory */
    uint32_t lock_graphics_min; /* MHz, lower end of the locked clocks */
    uint32_t lock_graphics_max; /* MHz, upper end of the locked clocks */
    uint32_t lock_memory_min; /* MHz, lower end of the locked clocks */
    uint32_t lock_memory_max; /* MHz, upper end of the locked clocks */
    int32_t offset_graphics; /* MHz that the voltage curve is moved by */
    int32_t offset_graphics_min; /* MHz */
    int32_t offset_graphics_max; /* MHz */
    int32_t offset_memory; /* MHz that the voltage curve is moved by */
    int32_t offset_memory_min; /* MHz */
    int32_t offset_memory_max; /* MHz */
    uint32_t fan_manual; /* bit n: fan n turns at its target, not by temperature */
    uint32_t fan_target[8]; /* percent of the highest speed */
    uint32_t draining; /* 1: the GPU takes no new work, and new processes do not see it */
    uint32_t removed; /* 0, or 1 + its fault at the time at which the driver let go of it, until the bus is scanned */
    uint32_t takes_hostname; /* 1: a machine can give its name to the GPU */
    char hostname[64]; /* the name that it gave */
    uint32_t power_mizer; /* hint for performance: NVML_POWER_MIZER_MODE_* */
    uint32_t clock_faults; /* bit n: clock domain 1 << n is at fault */
    uint64_t workload_profiles; /* bit n: the board knows workload power profile n, nvmlPowerProfileType_t */
    uint64_t workload_requested; /* workload power profiles that are asked for */
    uint32_t power_smoothing; /* power smoothing, 0 or 1 */
    uint32_t power_smoothing_profile; /* power smoothing profile in use */
    uint32_t power_smoothing_values[40]; /* parameter n of profile p in place 8 p + n */
    uint32_t numa_node; /* NUMA node of host memory */
    uint32_t host_bridge; /* GPUs with equal numbers share a PCIe host bridge */
    uint32_t pcie_switch; /* GPUs with equal numbers share a PCIe switch; 0 none */
    uint64_t cpu_affinity[16]; /* bit n of word w: CPU 64 w + n is near */
    uint32_t ecc_by_unit; /* 1 if errors outside DRAM are counted by unit, 0 if as one sum, SRAM */
    uint64_t ecc_units[32]; /* errors outside DRAM: (2 if aggregate, + 1 if uncorrected) * 8 + nvmlMemoryLocation_t, without what the *_sram fields count */
    uint64_t ecc_sram_parity_volatile; /* of the volatile uncorrected SRAM errors: found by parity */
    uint64_t ecc_sram_parity_aggregate; /* of the aggregate uncorrected SRAM errors: found by parity */
    uint64_t ecc_sram_sm; /* of the aggregate uncorrected SRAM errors: in an SM */
    uint64_t ecc_sram_microcontroller; /* of the aggregate uncorrected SRAM errors: in a microcontroller */
    uint64_t ecc_sram_pcie; /* of the aggregate uncorrected SRAM errors: in the PCIe unit */
    uint64_t ecc_sram_other; /* of the aggregate uncorrected SRAM errors: elsewhere; what is left was in L2 */
    uint32_t ecc_sram_threshold; /* 1 if SRAM errors exceed what NVIDIA tolerates */
    uint64_t retired_address[64]; /* physical address of each retired page: single-bit ones first, 0 for one that follows from its place */
    uint64_t retired_time[64]; /* microseconds since 1970 at which it was retired */
    uint32_t remapped_correctable_inactive; /* rows whose remapping is not active */
    uint32_t remapped_uncorrectable_inactive; /* rows whose remapping is not active */
    uint32_t bank_remaps_active; /* bank remappings in use */
    uint32_t bank_remaps_inactive; /* bank remappings not in use */
    uint32_t bank_remap_pending; /* 1 if a bank waits for its remapping */
    uint32_t bank_spares_max; /* groups of banks with all spares */
    uint32_t bank_spares_none; /* groups of banks without spares */
    uint32_t unrepairable_memory; /* 1 if memory cannot be repaired */
    uint32_t repair_channel_pending; /* 1 if a memory channel waits for its repair */
    uint32_t repair_tpc_pending; /* 1 if a TPC waits for its repair */
    uint32_t inforom_checksum; /* checksum of the infoROM configuration */
    uint32_t inforom_corrupt; /* 1 if the infoROM does not fit its checksum */
    uint64_t bbx_flush_time; /* microseconds since 1970 of the last black-box flush */
    uint32_t bbx_flush_duration; /* microseconds that it took */
    uint32_t bbx_time_run; /* seconds that the board has run in its life */
    uint32_t recovery_action; /* nvmlDeviceGpuRecoveryAction_t */
    uint32_t power_memory_average; /* milliwatt of the memory, mean of the last second */
    uint32_t power_module; /* milliwatt of GPU and CPU together */
    uint32_t power_module_average; /* milliwatt of GPU and CPU, mean of the last second */
    uint32_t power_module_limit; /* milliwatt of GPU and CPU together */
    uint32_t power_module_limit_default; /* milliwatt */
    uint32_t power_module_limit_min; /* milliwatt */
    uint32_t power_module_limit_max; /* milliwatt */
    uint32_t power_source; /* 0 mains, 1 battery, 2 undersized supply */
    uint64_t violation[12]; /* nanoseconds below the highest clocks, by nvmlPerfPolicyType_t */
    uint64_t slowdown_software; /* nanoseconds slowed down by software for heat */
    uint64_t slowdown_hardware; /* nanoseconds slowed down by hardware for heat */
    uint64_t slowdown_brake; /* nanoseconds slowed down by the power brake */
    uint32_t pcie_rollovers; /* times that the PCIe replay number rolled over */
    uint32_t pcie_errors[11]; /* PCIe errors, by field id from 173: correctable, NAKs received, receiver, bad TLP, NAKs sent, bad DLLP, non-fatal, fatal, unsupported request, LCRC, lane */
    uint32_t pcie_recoveries; /* times that the PCIe link went from L0 to recovery */
    uint64_t pcie_sent; /* bytes sent over PCIe */
    uint64_t pcie_received; /* bytes received over PCIe */
    uint32_t pcie_atomics_out; /* NVML_PCIE_ATOMICS_CAP_* of requests from the GPU */
    uint32_t pcie_atomics_in; /* NVML_PCIE_ATOMICS_CAP_* of requests to the GPU */
    uint32_t irq; /* interrupt number */
    uint64_t nvlink_errors[180]; /* per link: replay, recovery, CRC of flits, CRC of data, ECC of data */
    uint64_t nvlink_sent[36]; /* per link: KiB of data sent */
    uint64_t nvlink_received[36]; /* per link: KiB of data received */
    uint32_t nvlink_control[72]; /* per link and counter: 0x80000000 if frozen, units << 8 | packet types */
    uint32_t nvlink_bandwidth_mode; /* 0 full, 1 off, 2 least, 3 half, 4 three quarters */
    uint32_t nvlink_low_power; /* idle time after which a link sleeps, in units of 100 us */
    uint32_t fabric_health; /* NVML_GPU_FABRIC_HEALTH_MASK_* */
    uint32_t fabric_health_summary; /* NVML_GPU_FABRIC_HEALTH_SUMMARY_* */
    uint32_t c2c_links; /* chip-to-chip links */
    uint32_t c2c_speed; /* MB/s of a chip-to-chip link */
    uint32_t platform_host; /* number of the host in its tray; none: no platform information */
    uint32_t platform_slot; /* slot in the chassis */
    uint32_t platform_tray; /* index of the tray */
    uint32_t platform_peer; /* NVLink peers: 0 direct, 1 through switches */
    char platform_chassis[16]; /* serial number of the chassis */
    uint64_t platform_fabric_guid; /* GUID of the GPU in the fabric */
    uint32_t capabilities; /* NVML_DEV_CAP_* */
    uint32_t confidential; /* what confidential computing the GPU can: nvmlConfComputeSystemCaps_t.gpusCaps */
    uint32_t gpm; /* 1 if the GPU measures performance metrics (GPM) */
    uint32_t gpm_streaming; /* 1 if GPM streaming is on */
    uint32_t vgpu_licensed; /* 1 if the share of a vGPU guest has its licence */
    uint32_t process_pid[32]; /* process id, 0 for a free entry */
    uint32_t process_kind[32]; /* sum of 1 compute, 2 graphics, 4 compute through MPS */
    uint64_t process_memory[32]; /* bytes of device memory */
    uint32_t process_gpu_instance[32]; /* GPU instance id, 0xFFFFFFFF outside MIG */
    uint32_t process_compute_instance[32]; /* compute instance id, 0xFFFFFFFF outside MIG */
    uint32_t process_sm[32]; /* percent of time on the streaming multiprocessors */
    uint32_t process_memory_utilization[32]; /* percent of time on the memory interface */
    uint32_t process_encoder[32]; /* percent of time on the encoders */
    uint32_t process_decoder[32]; /* percent of time on the decoders */
    uint32_t process_jpeg[32]; /* percent of time on the JPEG engines */
    uint32_t process_ofa[32]; /* percent of time on the optical flow accelerators */
    uint64_t process_started[32]; /* microseconds since 1970 at which it came */
    char process_name[32][64]; /* the program, as nvidia-smi shows it */
    uint64_t accounting_since; /* microseconds since 1970 at which the mode was turned on: it counts who came later */
    uint64_t accounted_count; /* processes so far; the next goes to slot accounted_count % 64 */
    uint32_t accounted_pid[64]; /* process id */
    uint32_t accounted_sm[64]; /* percent of its time on the streaming multiprocessors */
    uint32_t accounted_memory_utilization[64]; /* percent of its time on memory */
    uint64_t accounted_memory[64]; /* most bytes of device memory */
    uint64_t accounted_started[64]; /* microseconds since 1970 at which it came */
    uint64_t accounted_time[64]; /* milliseconds that it ran */
    uint32_t mig_table; /* number of its table in catalog/mig.yaml, from 1; 0: no MIG */
    uint32_t gi_id[8]; /* GPU instance id */
    uint32_t gi_profile[8]; /* profile id, as nvidia-smi shows it */
    uint32_t gi_start[8]; /* first placement unit */
    uint32_t gi_size[8]; /* placement units, 0 for a free slot */
    uint32_t gi_serial[8]; /* times that the slot was used */
    uint64_t gi_memory_used[8]; /* bytes of the instance's memory in use */
    uint32_t ci_gpu_instance[8]; /* id of the GPU instance that a compute instance is in */
    uint32_t ci_id[8]; /* compute instance id, within its GPU instance */
    uint32_t ci_profile[8]; /* compute instance profile id */
    uint32_t ci_start[8]; /* first slice */
    uint32_t ci_size[8]; /* slices, 0 for a free slot */
    uint32_t ci_serial[8]; /* times that the slot was used */
    char ci_uuid[8][64]; /* UUID of the MIG device */
    uint64_t event_count; /* events so far; the next goes to slot event_count % 16 */
    uint64_t event_type[16]; /* nvmlEventType* */
    uint64_t event_data[16]; /* Xid number for nvmlEventTypeXidCriticalError */
    uint32_t event_gpu_instance[16]; /* GPU instance that it is about, 0xFFFFFFFF: none */
    uint32_t event_compute_instance[16]; /* compute instance, 0xFFFFFFFF: none */
} __attribute__((aligned(8)));

struct nvsim_header {
    char magic[16]; /* NVSIMBRD */
    uint32_t format; /* version of this layout */
    uint32_t header_size; /* bytes of this struct */
    uint32_t gpu_size; /* bytes of a GPU record */
    uint32_t gpu_capacity; /* records in the section */
    uint32_t gpu_count; /* records in use */
    uint32_t driver_loaded; /* 1 if the kernel modules are loaded */
    uint32_t cuda_version; /* 1000 * major + 10 * minor */
    char driver_version[32]; /* version of the user-space driver, e.g. 550.54.15 */
    char kernel_version[32]; /* version of the kernel modules; a difference is a mismatch */
    char nvml_version[32]; /* CUDA major and driver version, e.g. 12.550.54.15 */
    char dev_root[1024]; /* folder that holds dev/; on a machine / or /:FOLDER, tried in that order */
    uint32_t driver_branch; /* first number of the driver's version, e.g. 550 */
    uint32_t driver_release; /* second number of the driver's version, e.g. 54 */
    char windows_version[32]; /* WSL 2: version of the Windows driver that this library came with; else empty */
    uint32_t adapter_count; /* WSL 2: adapters that libdxcore.so lists */
    uint32_t adapter_wddm[16]; /* WDDM version of each, 2700 is 2.7 */
    uint64_t adapter_luid[16]; /* locally unique id of each */
    char adapter_store[16][192]; /* path of the driver store of each */
} __attribute__((aligned(8)));

/* A GPU, twice: copies[generation & 1] counts. */
struct nvsim_slot {
    uint32_t generation;
    uint32_t unused;
    struct nvsim_gpu copies[2];
};

struct nvsim_board {
    struct nvsim_header header;
    struct nvsim_slot slots[NVSIM_BOARD_CAPACITY];
};

#endif
