/* Field values: many answers in one call, each with its own return code. */
#include <time.h>

#include "internal.h"

/* Where on the board a field is, and how it is told.  `kind` is the first letter of u(int), U(long long), i(nt). */
struct field {
    unsigned id;
    char kind;
    size_t offset;
};

static const struct field fields[] = {
    {NVML_FI_DEV_ECC_CURRENT, 'u', AT(ecc_mode)},
    {NVML_FI_DEV_ECC_PENDING, 'u', AT(ecc_pending)},
    {NVML_FI_DEV_ECC_SBE_VOL_DEV, 'U', AT(ecc_volatile_corrected_dram)},
    {NVML_FI_DEV_ECC_DBE_VOL_DEV, 'U', AT(ecc_volatile_uncorrected_dram)},
    {NVML_FI_DEV_ECC_SBE_AGG_DEV, 'U', AT(ecc_aggregate_corrected_dram)},
    {NVML_FI_DEV_ECC_DBE_AGG_DEV, 'U', AT(ecc_aggregate_uncorrected_dram)},
    {NVML_FI_DEV_RETIRED_SBE, 'u', AT(retired_pages_sbe)},
    {NVML_FI_DEV_RETIRED_DBE, 'u', AT(retired_pages_dbe)},
    {NVML_FI_DEV_RETIRED_PENDING, 'u', AT(retired_pages_pending)},
    {NVML_FI_DEV_REMAPPED_COR, 'u', AT(remapped_correctable)},
    {NVML_FI_DEV_REMAPPED_UNC, 'u', AT(remapped_uncorrectable)},
    {NVML_FI_DEV_REMAPPED_PENDING, 'u', AT(remapped_pending)},
    {NVML_FI_DEV_REMAPPED_FAILURE, 'u', AT(remapped_failure)},
    {NVML_FI_DEV_MEMORY_TEMP, 'i', AT(temperature_memory)},
    {NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, 'U', AT(energy)},
    {NVML_FI_DEV_ENERGY, 'U', AT(energy)},
    {NVML_FI_DEV_PCIE_REPLAY_COUNTER, 'u', AT(pcie_replays)},
    {NVML_FI_DEV_POWER_AVERAGE, 'u', AT(power_average)},
    {NVML_FI_DEV_POWER_INSTANT, 'u', AT(power_usage)},
    {NVML_FI_DEV_POWER_MIN_LIMIT, 'u', AT(power_limit_min)},
    {NVML_FI_DEV_POWER_MAX_LIMIT, 'u', AT(power_limit_max)},
    {NVML_FI_DEV_POWER_DEFAULT_LIMIT, 'u', AT(power_limit_default)},
    {NVML_FI_DEV_POWER_CURRENT_LIMIT, 'u', AT(power_limit_enforced)},
    {NVML_FI_DEV_POWER_REQUESTED_LIMIT, 'u', AT(power_limit)},
    {NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT, 'i', AT(tlimit_shutdown)},
    {NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT, 'i', AT(tlimit_slowdown)},
    {NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT, 'i', AT(tlimit_memory_max)},
    {NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT, 'i', AT(tlimit_gpu_max)},
    {NVML_FI_DEV_NVLINK_LINK_COUNT, 'u', AT(nvlink_links)},
};

/* Counters that stay zero on a host where nothing runs. */
static const unsigned zeros[] = {
    NVML_FI_DEV_PCIE_REPLAY_ROLLOVER_COUNTER,
    NVML_FI_DEV_C2C_LINK_COUNT,
    NVML_FI_DEV_PERF_POLICY_POWER,
    NVML_FI_DEV_PERF_POLICY_THERMAL,
    NVML_FI_DEV_PERF_POLICY_SYNC_BOOST,
    NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT,
    NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION,
    NVML_FI_DEV_PERF_POLICY_RELIABILITY,
    NVML_FI_DEV_PERF_POLICY_TOTAL_APP_CLOCKS,
    NVML_FI_DEV_PERF_POLICY_TOTAL_BASE_CLOCKS,
    NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN,
    NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN,
    NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN,
    NVML_FI_DEV_GET_GPU_RECOVERY_ACTION,
};

static nvmlReturn_t answer(nvmlFieldValue_t *value, uint64_t found)
{
    value->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
    value->value.ullVal = found;
    return NVML_SUCCESS;
}

static nvmlReturn_t answer_uint(nvmlFieldValue_t *value, uint32_t found)
{
    value->valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
    value->value.uiVal = found;
    return NVML_SUCCESS;
}

static nvmlReturn_t read_wide(const struct nvsim_gpu *gpu, size_t offset, nvmlFieldValue_t *value)
{
    uint64_t found = 0;
    READING(gpu)
        found = VALUE_AT(uint64_t, gpu, offset);
    return found == NVSIM_ABSENT_U64 ? NVML_ERROR_NOT_SUPPORTED : answer(value, found);
}

static nvmlReturn_t read_narrow(const struct nvsim_gpu *gpu, const struct field *field, nvmlFieldValue_t *value)
{
    uint32_t found = 0;
    READING(gpu)
        found = VALUE_AT(uint32_t, gpu, field->offset);
    if (field->kind == 'u')
        return found == NVSIM_ABSENT_U32 ? NVML_ERROR_NOT_SUPPORTED : answer_uint(value, found);
    if ((int32_t)found == NVSIM_ABSENT_I32)
        return NVML_ERROR_NOT_SUPPORTED;
    value->valueType = NVML_VALUE_TYPE_SIGNED_INT;
    value->value.siVal = (int32_t)found;
    return NVML_SUCCESS;
}

/* ECC counters mean nothing while ECC is off; totals are sums. */
static nvmlReturn_t read_ecc(nvmlDevice_t device, unsigned id, nvmlFieldValue_t *value)
{
    int uncorrected = id == NVML_FI_DEV_ECC_DBE_VOL_TOTAL || id == NVML_FI_DEV_ECC_DBE_AGG_TOTAL;
    int aggregate = id == NVML_FI_DEV_ECC_SBE_AGG_TOTAL || id == NVML_FI_DEV_ECC_DBE_AGG_TOTAL;
    unsigned long long total = 0;
    nvmlReturn_t result = nvmlDeviceGetTotalEccErrors(
        device, uncorrected ? NVML_MEMORY_ERROR_TYPE_UNCORRECTED : NVML_MEMORY_ERROR_TYPE_CORRECTED,
        aggregate ? NVML_AGGREGATE_ECC : NVML_VOLATILE_ECC, &total);
    return result ? result : answer(value, total);
}

/* Fields that the scope (a link) or the model decides. */
static nvmlReturn_t read_link(const struct nvsim_gpu *gpu, nvmlFieldValue_t *value)
{
    uint64_t up = LOAD(gpu->nvlink_active);
    if (!gpu->nvlink_links)
        return NVML_ERROR_NOT_SUPPORTED;
    switch (value->fieldId) {
    case NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON:
        return answer_uint(value, up ? gpu->nvlink_speed : 0);
    case NVML_FI_DEV_NVSWITCH_CONNECTED_LINK_COUNT:
        return answer_uint(value, gpu->nvlink_remote_type == NVML_NVLINK_DEVICE_TYPE_SWITCH
                                      ? (uint32_t)__builtin_popcountll(up)
                                      : 0);
    case NVML_FI_DEV_NVLINK_GET_SPEED:
    case NVML_FI_DEV_NVLINK_GET_STATE:
    case NVML_FI_DEV_NVLINK_GET_VERSION:
        if (value->scopeId >= gpu->nvlink_links || value->scopeId >= NVML_NVLINK_MAX_LINKS)
            return NVML_ERROR_INVALID_ARGUMENT;
        up = up >> value->scopeId & 1;
        if (value->fieldId == NVML_FI_DEV_NVLINK_GET_STATE)
            return answer_uint(value, (uint32_t)up);
        return answer_uint(value, value->fieldId == NVML_FI_DEV_NVLINK_GET_VERSION ? gpu->nvlink_version
                                  : up                                             ? gpu->nvlink_speed
                                                                                   : 0);
    default:
        return NVML_ERROR_NOT_SUPPORTED;
    }
}

static unsigned within(unsigned id, unsigned first, unsigned last)
{
    return id >= first && id <= last;
}

/* Error, throughput and bandwidth counters of links: nothing has crossed them. */
static unsigned counts_traffic(unsigned id)
{
    return within(id, NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L0, NVML_FI_DEV_NVLINK_BANDWIDTH_C1_TOTAL) ||
           within(id, NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L6, NVML_FI_DEV_NVLINK_BANDWIDTH_C1_L11) ||
           within(id, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, NVML_FI_DEV_NVLINK_THROUGHPUT_RAW_RX);
}

static nvmlReturn_t read_field(nvmlDevice_t device, const struct nvsim_gpu *gpu, nvmlFieldValue_t *value)
{
    unsigned id = value->fieldId;
    if (within(id, NVML_FI_DEV_ECC_SBE_VOL_TOTAL, NVML_FI_DEV_ECC_DBE_AGG_TOTAL))
        return read_ecc(device, id, value);
    if (within(id, NVML_FI_DEV_ECC_SBE_VOL_L1, NVML_FI_DEV_ECC_DBE_AGG_CBU) && LOAD(gpu->ecc_mode) != 1)
        return NVML_ERROR_NOT_SUPPORTED;
    for (const struct field *field = fields; field < fields + sizeof fields / sizeof *fields; field++)
        if (field->id == id)
            return field->kind == 'U' ? read_wide(gpu, field->offset, value) : read_narrow(gpu, field, value);
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++)
        if (zeros[i] == id)
            return answer(value, 0);
    if (id == NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED && gpu->mig_max_devices)
        return answer_uint(value, gpu->architecture >= NVML_DEVICE_ARCH_HOPPER);
    return gpu->nvlink_links && counts_traffic(id) ? answer(value, 0) : read_link(gpu, value);
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
        values[i].nvmlReturn = read_field(device, gpu, &values[i]);
        if (values[i].nvmlReturn)
            result = values[i].nvmlReturn;
        else
            good++;
    }
    return good ? NVML_SUCCESS : result;
}

nvmlReturn_t nvmlDeviceClearFieldValues(nvmlDevice_t device, int valuesCount, nvmlFieldValue_t *values)
{
    GPU_OR_RETURN(gpu, device, values != NULL && valuesCount > 0);
    for (int i = 0; i < valuesCount; i++)
        values[i].nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
    return NVML_ERROR_NOT_SUPPORTED;
}
