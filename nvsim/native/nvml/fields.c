/* Field values: many answers in one call, each with its own return code. */
#include <stdlib.h>
#include <time.h>

#include "change.h"
#include "fields.h"

/* Where on the board the fields of a range of ids are, one after another, and how they are told.  `kind` is the first
 * letter of u(int), U(long long), i(nt). */
struct field {
    unsigned first;
    unsigned last;
    char kind;
    size_t offset;
};

#define ONE(id, kind, name) {NVML_FI_DEV_##id, NVML_FI_DEV_##id, kind, AT(name)}

static const struct field fields[] = {
    ONE(ECC_CURRENT, 'u', ecc_mode),
    ONE(ECC_PENDING, 'u', ecc_pending),
    ONE(RETIRED_SBE, 'u', retired_pages_sbe),
    ONE(RETIRED_DBE, 'u', retired_pages_dbe),
    ONE(RETIRED_PENDING, 'u', retired_pages_pending),
    ONE(RETIRED_PENDING_SBE, 'u', retired_pages_pending),
    ONE(RETIRED_PENDING_DBE, 'u', retired_pages_pending),
    ONE(REMAPPED_COR, 'u', remapped_correctable),
    ONE(REMAPPED_UNC, 'u', remapped_uncorrectable),
    ONE(REMAPPED_PENDING, 'u', remapped_pending),
    ONE(REMAPPED_FAILURE, 'u', remapped_failure),
    ONE(REMAPPED_ROWS_COR_INACTIVE, 'u', remapped_correctable_inactive),
    ONE(REMAPPED_ROWS_UNC_INACTIVE, 'u', remapped_uncorrectable_inactive),
    {NVML_FI_DEV_PERF_POLICY_POWER, NVML_FI_DEV_PERF_POLICY_RELIABILITY, 'U', AT(violation)},
    {NVML_FI_DEV_PERF_POLICY_TOTAL_APP_CLOCKS, NVML_FI_DEV_PERF_POLICY_TOTAL_BASE_CLOCKS, 'U',
     AT(violation[NVML_PERF_POLICY_TOTAL_APP_CLOCKS])},
    ONE(CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN, 'U', slowdown_software),
    ONE(CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN, 'U', slowdown_hardware),
    ONE(CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN, 'U', slowdown_brake),
    ONE(MEMORY_TEMP, 'i', temperature_memory),
    ONE(GPU_TEMP, 'i', temperature),
    ONE(TEMPERATURE_SHUTDOWN_TLIMIT, 'i', tlimit_shutdown),
    ONE(TEMPERATURE_SLOWDOWN_TLIMIT, 'i', tlimit_slowdown),
    ONE(TEMPERATURE_MEM_MAX_TLIMIT, 'i', tlimit_memory_max),
    ONE(TEMPERATURE_GPU_MAX_TLIMIT, 'i', tlimit_gpu_max),
    ONE(TOTAL_ENERGY_CONSUMPTION, 'U', energy),
    ONE(ENERGY, 'U', energy),
    ONE(PCIE_REPLAY_COUNTER, 'u', pcie_replays),
    ONE(PCIE_REPLAY_ROLLOVER_COUNTER, 'u', pcie_rollovers),
    ONE(PCIE_L0_TO_RECOVERY_COUNTER, 'u', pcie_recoveries),
    {NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS, NVML_FI_DEV_PCIE_COUNT_LANE_ERROR, 'u', AT(pcie_errors)},
    ONE(PCIE_COUNT_TX_BYTES, 'U', pcie_sent),
    ONE(PCIE_COUNT_RX_BYTES, 'U', pcie_received),
    ONE(PCIE_OUTBOUND_ATOMICS_MASK, 'u', pcie_atomics_out),
    ONE(PCIE_INBOUND_ATOMICS_MASK, 'u', pcie_atomics_in),
    ONE(C2C_LINK_COUNT, 'u', c2c_links),
    ONE(GET_GPU_RECOVERY_ACTION, 'u', recovery_action),
    ONE(ACTIVE_BANK_REMAPPINGS, 'u', bank_remaps_active),
};

/* Power by scope; what a scope does not have is absent on every board. */
struct power {
    unsigned id;
    size_t scopes[NVML_POWER_SCOPE_MEMORY + 1];
};

enum { NOWHERE = 0 };

static const struct power powers[] = {
    {NVML_FI_DEV_POWER_AVERAGE, {AT(power_average), AT(power_module_average), AT(power_memory_average)}},
    {NVML_FI_DEV_POWER_INSTANT, {AT(power_usage), AT(power_module), NOWHERE}},
    {NVML_FI_DEV_POWER_MIN_LIMIT, {AT(power_limit_min), AT(power_module_limit_min), NOWHERE}},
    {NVML_FI_DEV_POWER_MAX_LIMIT, {AT(power_limit_max), AT(power_module_limit_max), NOWHERE}},
    {NVML_FI_DEV_POWER_DEFAULT_LIMIT, {AT(power_limit_default), AT(power_module_limit_default), NOWHERE}},
    {NVML_FI_DEV_POWER_CURRENT_LIMIT, {AT(power_limit_enforced), AT(power_module_limit), NOWHERE}},
    {NVML_FI_DEV_POWER_REQUESTED_LIMIT, {AT(power_limit), AT(power_module_limit), NOWHERE}},
};

static nvmlReturn_t read_board(const struct nvsim_gpu *gpu, char kind, size_t offset, nvmlFieldValue_t *value)
{
    uint64_t found = 0;
    READING(gpu)
        found = kind == 'U' ? VALUE_AT(uint64_t, gpu, offset) : VALUE_AT(uint32_t, gpu, offset);
    if (kind == 'U')
        return found == NVSIM_ABSENT_U64 ? NVML_ERROR_NOT_SUPPORTED : answer_wide(value, found);
    if (kind == 'u')
        return answer_uint(value, (uint32_t)found);
    if ((int32_t)found == NVSIM_ABSENT_I32)
        return NVML_ERROR_NOT_SUPPORTED;
    value->valueType = NVML_VALUE_TYPE_SIGNED_INT;
    value->value.siVal = (int32_t)found;
    return NVML_SUCCESS;
}

static nvmlReturn_t read_power(const struct nvsim_gpu *gpu, const struct power *power, nvmlFieldValue_t *value)
{
    if (value->scopeId > NVML_POWER_SCOPE_MEMORY)
        return NVML_ERROR_INVALID_ARGUMENT;
    size_t offset = power->scopes[value->scopeId];
    return offset == NOWHERE ? NVML_ERROR_NOT_SUPPORTED : read_board(gpu, 'u', offset, value);
}

/* Counters by place come in pairs, corrected and uncorrected, but for the last one. */
static nvmlReturn_t read_ecc(nvmlDevice_t device, unsigned id, nvmlFieldValue_t *value)
{
    static const nvmlMemoryLocation_t places[] = {
        NVML_MEMORY_LOCATION_L1_CACHE,      NVML_MEMORY_LOCATION_L2_CACHE,       NVML_MEMORY_LOCATION_DRAM,
        NVML_MEMORY_LOCATION_REGISTER_FILE, NVML_MEMORY_LOCATION_TEXTURE_MEMORY, NVML_MEMORY_LOCATION_CBU};
    int aggregate = id >= NVML_FI_DEV_ECC_SBE_AGG_L1;
    unsigned place = id - (aggregate ? NVML_FI_DEV_ECC_SBE_AGG_L1 : NVML_FI_DEV_ECC_SBE_VOL_L1);
    unsigned long long count = 0;
    nvmlReturn_t result;
    if (id <= NVML_FI_DEV_ECC_DBE_AGG_TOTAL) {
        place = id - NVML_FI_DEV_ECC_SBE_VOL_TOTAL;
        result = nvmlDeviceGetTotalEccErrors(device, (nvmlMemoryErrorType_t)(place & 1),
                                             (nvmlEccCounterType_t)(place >> 1), &count);
    } else {
        int alone = id == NVML_FI_DEV_ECC_DBE_VOL_CBU || id == NVML_FI_DEV_ECC_DBE_AGG_CBU;
        result = nvmlDeviceGetMemoryErrorCounter(device, (nvmlMemoryErrorType_t)(alone | (place & 1)),
                                                 aggregate ? NVML_AGGREGATE_ECC : NVML_VOLATILE_ECC,
                                                 places[place / 2], &count);
    }
    return result ? result : answer_wide(value, count);
}

/* What has no field of its own on the board. */
static nvmlReturn_t read_derived(const struct nvsim_gpu *gpu, nvmlFieldValue_t *value)
{
    uint32_t action = LOAD(gpu->recovery_action), banks = LOAD(gpu->bank_remaps_active);
    switch (value->fieldId) {
    case NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED:
        return gpu->mig_max_devices ? answer_uint(value, gpu->architecture >= NVML_DEVICE_ARCH_HOPPER)
                                    : NVML_ERROR_NOT_SUPPORTED;
    case NVML_FI_DEV_IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE:
        return answer_uint(value, gpu->mig_max_devices > 0);
    /* Deprecated in favour of the recovery action since 570. */
    case NVML_FI_DEV_RESET_STATUS:
    case NVML_FI_DEV_DRAIN_AND_RESET_STATUS:
        if (driver_branch() >= 570)
            return NVML_ERROR_DEPRECATED;
        return answer_uint(value, action == (value->fieldId == NVML_FI_DEV_RESET_STATUS
                                                 ? NVML_GPU_RECOVERY_ACTION_GPU_RESET
                                                 : NVML_GPU_RECOVERY_ACTION_DRAIN_AND_RESET));
    case NVML_FI_DEV_C2C_LINK_GET_STATUS:
        return value->scopeId < gpu->c2c_links ? answer_uint(value, gpu->c2c_mode) : NVML_ERROR_NOT_SUPPORTED;
    case NVML_FI_DEV_C2C_LINK_GET_MAX_BW:
        return value->scopeId < gpu->c2c_links ? answer_uint(value, gpu->c2c_speed) : NVML_ERROR_NOT_SUPPORTED;
    case NVML_FI_DEV_C2C_LINK_ERROR_INTR:
    case NVML_FI_DEV_C2C_LINK_ERROR_REPLAY:
    case NVML_FI_DEV_C2C_LINK_ERROR_REPLAY_B2B:
    case NVML_FI_DEV_C2C_LINK_POWER_STATE:
        return value->scopeId < gpu->c2c_links ? answer_uint(value, 0) : NVML_ERROR_NOT_SUPPORTED;
    case NVML_FI_DEV_INACTIVE_BANK_REMAPPINGS:
        return answer_uint(value, banks == NVSIM_ABSENT_U32 ? banks : LOAD(gpu->bank_remaps_inactive));
    case NVML_FI_DEV_BANK_REMAPPER_HISTOGRAM_MAX:
        return answer_uint(value, banks == NVSIM_ABSENT_U32 ? banks : LOAD(gpu->bank_spares_max));
    case NVML_FI_DEV_BANK_REMAPPER_HISTOGRAM_NONE:
        return answer_uint(value, banks == NVSIM_ABSENT_U32 ? banks : LOAD(gpu->bank_spares_none));
    case NVML_FI_DEV_PENDING_BANK_REMAPPING:
        return answer_uint(value, banks == NVSIM_ABSENT_U32 ? banks : LOAD(gpu->bank_remap_pending));
    default:
        return NVML_ERROR_NOT_SUPPORTED;
    }
}

/* Boards with power smoothing show it to administrators alone; the scope of a profile's parameter is the profile. */
static nvmlReturn_t read_smoothing(const struct nvsim_gpu *gpu, nvmlFieldValue_t *value)
{
    uint32_t enabled = LOAD(gpu->power_smoothing);
    unsigned profile = value->scopeId, parameter = value->fieldId - NVML_FI_PWR_SMOOTHING_PROFILE_PERCENT_TMP_FLOOR;
    if (enabled == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    if (administrator())
        return NVML_ERROR_NO_PERMISSION;
    switch (value->fieldId) {
    case NVML_FI_PWR_SMOOTHING_ENABLED:
        return answer_uint(value, enabled);
    case NVML_FI_PWR_SMOOTHING_MAX_NUM_PRESET_PROFILES:
        return answer_uint(value, NVML_POWER_SMOOTHING_MAX_NUM_PROFILES);
    case NVML_FI_PWR_SMOOTHING_ACTIVE_PRESET_PROFILE:
        return answer_uint(value, LOAD(gpu->power_smoothing_profile));
    case NVML_FI_PWR_SMOOTHING_PRIV_LVL:
    case NVML_FI_PWR_SMOOTHING_IMM_RAMP_DOWN_ENABLED:
        return answer_uint(value, 0);
    case NVML_FI_PWR_SMOOTHING_PROFILE_PERCENT_TMP_FLOOR:
    case NVML_FI_PWR_SMOOTHING_PROFILE_RAMP_UP_RATE:
    case NVML_FI_PWR_SMOOTHING_PROFILE_RAMP_DOWN_RATE:
    case NVML_FI_PWR_SMOOTHING_PROFILE_RAMP_DOWN_HYST_VAL:
        if (profile >= NVML_POWER_SMOOTHING_MAX_NUM_PROFILES)
            return NVML_ERROR_INVALID_ARGUMENT;
        parameter += profile * NVML_POWER_SMOOTHING_NUM_PROFILE_PARAMS;
        return answer_uint(value, LOAD(gpu->power_smoothing_values[parameter]));
    default:
        return NVML_ERROR_NOT_SUPPORTED;
    }
}

static nvmlReturn_t read_field(nvmlDevice_t device, const struct nvsim_gpu *gpu, nvmlFieldValue_t *value)
{
    unsigned id = value->fieldId;
    if (within(id, NVML_FI_DEV_ECC_SBE_VOL_TOTAL, NVML_FI_DEV_ECC_DBE_AGG_CBU))
        return read_ecc(device, id, value);
    if (is_link_field(id))
        return read_link_field(gpu, value);
    for (const struct field *field = fields; field < fields + sizeof fields / sizeof *fields; field++)
        if (within(id, field->first, field->last))
            return read_board(gpu, field->kind,
                              field->offset + (id - field->first) * (field->kind == 'U' ? sizeof(uint64_t)
                                                                                        : sizeof(uint32_t)),
                              value);
    for (const struct power *power = powers; power < powers + sizeof powers / sizeof *powers; power++)
        if (power->id == id)
            return read_power(gpu, power, value);
    if (within(id, NVML_FI_PWR_SMOOTHING_ENABLED, NVML_FI_PWR_SMOOTHING_ADMIN_OVERRIDE_RAMP_DOWN_HYST_VAL))
        return read_smoothing(gpu, value);
    return read_derived(gpu, value);
}

/* The call succeeds if one entry could be read; which one says its own code.  It reads a value and fills in the rest
 * of the entry: time stamp in µs, no latency. */
nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int valuesCount, nvmlFieldValue_t *values)
{
    GPU_OR_RETURN(gpu, device, values != NULL && valuesCount > 0);
    struct timespec now = {0};
    nvmlReturn_t result = NVML_SUCCESS;
    int good = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    for (int i = 0; i < valuesCount; i++) {
        values[i].timestamp = (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
        values[i].latencyUsec = 0;
        values[i].value.ullVal = 0;
        values[i].nvmlReturn = read_field(device, gpu, &values[i]);
        if (values[i].nvmlReturn)
            result = values[i].nvmlReturn;
        else
            good++;
    }
    return good ? NVML_SUCCESS : result;
}

struct clearing {
    int count;
    nvmlFieldValue_t *values;
};

static nvmlReturn_t clear_fields(struct nvsim_gpu *gpu, void *arguments)
{
    const struct clearing *clearing = arguments;
    nvmlReturn_t result = NVML_SUCCESS;
    int good = 0;
    for (int i = 0; i < clearing->count; i++) {
        nvmlFieldValue_t *value = &clearing->values[i];
        value->nvmlReturn = clear_link_field(gpu, value);
        if (value->nvmlReturn)
            result = value->nvmlReturn;
        else
            good++;
    }
    return good ? NVML_SUCCESS : result;
}

/* Counters of NVLinks can be cleared, and nothing else. */
nvmlReturn_t nvmlDeviceClearFieldValues(nvmlDevice_t device, int valuesCount, nvmlFieldValue_t *values)
{
    GPU_OR_RETURN(gpu, device, values != NULL && valuesCount > 0);
    struct clearing clearing = {valuesCount, values};
    return change_gpu(device, clear_fields, &clearing);
}
