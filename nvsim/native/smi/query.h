/* Readers: each writes a property of a GPU as text and returns what NVML said.  The READ_… macros define one for an
 * NVML function of the usual shapes; query_special.c has those that need more than a call and a format. */
#pragma once

#include "entries.h"

/* What a reader is asked about, besides a GPU. */
struct subject {
    const struct gpus *gpus;
    const struct entry *entry; /* NULL unless the query lists what a GPU has several of */
};

typedef nvmlReturn_t reader(const struct subject *subject, nvmlDevice_t device, int argument, char *text,
                            size_t size);

#define READ_BEGIN(kind, function)                                                                                     \
    static nvmlReturn_t kind##_##function(const struct subject *subject, nvmlDevice_t device, int argument,            \
                                          char *text, size_t size)                                                     \
    {                                                                                                                  \
        nvmlReturn_t result;                                                                                           \
        (void)subject, (void)argument;
#define READ_END(format, value)                                                                                        \
        if (result == NVML_SUCCESS)                                                                                    \
            snprintf(text, size, format, value);                                                                       \
        return result;                                                                                                 \
    }

#define READ_text(function)                                                                                            \
    READ_BEGIN(text, function)                                                                                         \
        result = NVML(function, device, text, (unsigned int)size);                                                     \
        return result;                                                                                                 \
    }
#define READ_inforom(function)                                                                                         \
    READ_BEGIN(inforom, function)                                                                                      \
        result = NVML(function, device, (nvmlInforomObject_t)argument, text, (unsigned int)size);                      \
        return result;                                                                                                 \
    }
#define READ_uint(function)                                                                                            \
    READ_BEGIN(uint, function)                                                                                         \
        unsigned int value = 0;                                                                                        \
        result = NVML(function, device, &value);                                                                       \
    READ_END("%u", value)
#define READ_lanes(function)                                                                                           \
    READ_BEGIN(lanes, function)                                                                                        \
        unsigned int value = 0;                                                                                        \
        result = NVML(function, device, &value);                                                                       \
    READ_END("%ux", value)
#define READ_uint_pair(function)                                                                                       \
    READ_BEGIN(uint_pair, function)                                                                                    \
        unsigned int value[2] = {0};                                                                                   \
        result = NVML(function, device, &value[0], &value[1]);                                                         \
    READ_END("%u", value[argument])
#define READ_watts(function)                                                                                           \
    READ_BEGIN(watts, function)                                                                                        \
        unsigned int value = 0;                                                                                        \
        result = NVML(function, device, &value);                                                                       \
    READ_END("%.2f", value / 1000.0)
#define READ_watts_pair(function)                                                                                      \
    READ_BEGIN(watts_pair, function)                                                                                   \
        unsigned int value[2] = {0};                                                                                   \
        result = NVML(function, device, &value[0], &value[1]);                                                         \
    READ_END("%.2f", value[argument] / 1000.0)
#define READ_clock(function)                                                                                           \
    READ_BEGIN(clock, function)                                                                                        \
        unsigned int value = 0;                                                                                        \
        result = NVML(function, device, (nvmlClockType_t)argument, &value);                                            \
    READ_END("%u", value)
#define READ_enabled(function)                                                                                         \
    READ_BEGIN(enabled, function)                                                                                      \
        nvmlEnableState_t value = NVML_FEATURE_DISABLED;                                                               \
        result = NVML(function, device, &value);                                                                       \
    READ_END("%s", value ? "Enabled" : "Disabled")
#define READ_enabled_pair(function)                                                                                    \
    READ_BEGIN(enabled_pair, function)                                                                                 \
        nvmlEnableState_t value[2] = {0};                                                                              \
        result = NVML(function, device, &value[0], &value[1]);                                                         \
    READ_END("%s", value[argument] ? "Enabled" : "Disabled")
#define READ_flag_pair(function)                                                                                       \
    READ_BEGIN(flag_pair, function)                                                                                    \
        unsigned int value[2] = {0};                                                                                   \
        result = NVML(function, device, &value[0], &value[1]);                                                         \
    READ_END("%s", value[argument] ? "Enabled" : "Disabled")
#define READ_yes_no(function)                                                                                          \
    READ_BEGIN(yes_no, function)                                                                                       \
        nvmlEnableState_t value = NVML_FEATURE_DISABLED;                                                               \
        result = NVML(function, device, &value);                                                                       \
    READ_END("%s", value ? "Yes" : "No")

/* The head of a reader that needs more than those macros, and what its body has in common with others. */
#define SPECIAL(name)                                                                                                  \
    nvmlReturn_t special_##name(const struct subject *subject, nvmlDevice_t device, int argument, char *text,          \
                                size_t size)
#define UNUSED() ((void)subject, (void)device, (void)argument)

/* A value for a result, and the result for the caller. */
#define PRINT(result, ...) ((result) == NVML_SUCCESS ? (void)snprintf(text, size, __VA_ARGS__) : (void)0, (result))

enum { PCI_BUS_ID, PCI_DOMAIN, PCI_BUS, PCI_DEVICE, PCI_DEVICE_ID, PCI_SUB_DEVICE_ID, PCI_DEVICE_ID_8,
       PCI_SUB_SYSTEM_ID, PCI_BASE_CLASS, PCI_SUB_CLASS };
enum { MEMORY_TOTAL, MEMORY_USED, MEMORY_FREE, MEMORY_RESERVED };

/* Properties of an entry, for special_entry. */
enum { ENTRY_PID, ENTRY_NAME, ENTRY_MEMORY, ENTRY_GPU_UTILIZATION, ENTRY_MEMORY_UTILIZATION, ENTRY_MAX_MEMORY,
       ENTRY_TIME, ENTRY_MEMORY_CLOCK, ENTRY_GRAPHICS_CLOCK, ENTRY_ADDRESS, ENTRY_TIMESTAMP, ENTRY_CAUSE };

/* Error type, counter and location of an ECC property in one number. */
#define ECC(type, counter, location) ((type) << 16 | (counter) << 8 | (location))

reader special_timestamp, special_driver_version, special_count, special_pci, special_compute_cap,
    special_compute_mode, special_pstate, special_temperature_gpu, special_temperature_memory,
    special_temperature_margin, special_no_public_call, special_operation_mode, special_clocks_supported,
    special_clocks_active, special_clocks_reason, special_memory, special_protected_memory, special_utilization,
    special_encoder, special_ecc_total, special_ecc_location, special_retired_pages, special_power_field,
    special_vgpu_driver, special_vgpu_device, special_addressing_mode, special_reset_status, special_fabric,
    special_c2c_mode, special_gpu_part_number, special_entry, special_no_vgpu_instance, special_remapped_rows;

/* What nvmlDeviceGetFieldValues says about one field; `argument` is its id, and its scope in the upper 16 bits. */
nvmlReturn_t read_field(nvmlDevice_t device, int argument, nvmlValue_t *value);
nvmlReturn_t read_fabric(nvmlDevice_t device, nvmlGpuFabricInfoV_t *fabric);
nvmlReturn_t if_known(nvmlReturn_t result);
