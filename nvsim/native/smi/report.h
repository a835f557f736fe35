/* nvidia-smi -q: one table of rows, printed as text or as XML. */
#pragma once

#include "query.h"

/* Where a report goes and how deep in it we are.  The lines of a part are written with the functions below, so that
 * text and XML cannot tell different things. */
struct report {
    FILE *out;
    bool xml;
    int depth;
    const char *display; /* -d: sections, separated by commas; NULL for all */
    struct subject subject;
    const struct gpu *gpu;
};

void report_open(struct report *report, const char *label, const char *element);
void report_close(struct report *report, const char *label, const char *element);
void report_row(struct report *report, const char *label, const char *element, const char *text);
void report_number(struct report *report, const char *label, const char *element, unsigned long long value,
                   const char *unit);

struct row;
typedef bool condition(nvmlDevice_t device);
typedef void part(struct report *report, const struct row *row);

struct row {
    const char *label, *element, *unit, *display;
    unsigned int after, until, indent, inner; /* inner: how many of the following rows are below this one */
    bool asked, bare;
    condition *when, *unless;
    reader *read;
    part *part;
    int argument;
};

condition has_remapped_rows, has_ecc_units, has_sram_causes, has_sram_places, has_tlimit, has_licensed_product;
part part_mig_devices, part_samples, part_supported_clocks, part_retired_pages, part_processes,
    part_accounted_processes;

/* ECC() with shorter words. */
#define ERRORS(type, counter, place)                                                                                   \
    ECC(NVML_MEMORY_ERROR_TYPE_##type, NVML_##counter##_ECC, NVML_MEMORY_LOCATION_##place)
/* Scope and field of a power reading in one number. */
#define SCOPED(scope, field) (NVML_POWER_SCOPE_##scope << 16 | NVML_FI_DEV_POWER_##field)
/* Where a counter is in nvmlEccSramErrorStatus_v1_t. */
#define SRAM(counter) ((int)offsetof(nvmlEccSramErrorStatus_v1_t, counter))
enum { LICENSE_PRODUCT, LICENSE_STATUS };
enum { PLATFORM_CHASSIS, PLATFORM_SLOT, PLATFORM_TRAY, PLATFORM_HOST, PLATFORM_PEER, PLATFORM_GUID };

reader special_brand, special_architecture, special_pdi, special_multi_gpu_board, special_board_id, special_platform,
    special_bbx_flush, special_gsp_firmware, special_virtualization_mode, special_host_vgpu_mode,
    special_vgpu_heterogeneous_mode, special_license, special_recovery_action, special_bridge_chip, special_pcie_throughput,
    special_atomic_caps, special_field, special_signed_field, special_microseconds, special_memory_with_reserved,
    special_bar1_memory, special_frame_capture, special_dram_encryption, special_sram_errors, special_sram_threshold,
    special_repair_pending, special_remapped, special_histogram, special_threshold, special_power_management,
    special_auto_boost, special_fabric_state, special_fabric_status, special_fabric_clique, special_fabric_cluster,
    special_fabric_summary, special_fabric_health, special_egm;
