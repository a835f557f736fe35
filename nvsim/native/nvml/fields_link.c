/* Field values of NVLink.  Older fields have the link in their number, in two ranges and perhaps a total; later ones
 * have it in the scope, where all bits set stand for all links. */
#include "fields.h"

enum { LINKS = NVML_NVLINK_MAX_LINKS, EARLY = 6, ERRORS = NVML_NVLINK_ERROR_COUNT, ALL = -1, NO_LINK = -2 };
enum kind { REPLAY, RECOVERY, FLIT, DATA, ECC, TRAFFIC, SPEED };

/* Ids of links 0 to 5, the total, and links 6 to 11.  Total 0: there is none. */
struct by_number {
    unsigned first;
    unsigned total;
    unsigned late;
    enum kind kind;
};

#define NUMBERED(name, kind) \
    {NVML_FI_DEV_NVLINK_##name##_L0, NVML_FI_DEV_NVLINK_##name##_TOTAL, NVML_FI_DEV_NVLINK_##name##_L6, kind}
static const struct by_number numbered[] = {
    NUMBERED(CRC_FLIT_ERROR_COUNT, FLIT),
    NUMBERED(CRC_DATA_ERROR_COUNT, DATA),
    NUMBERED(REPLAY_ERROR_COUNT, REPLAY),
    NUMBERED(RECOVERY_ERROR_COUNT, RECOVERY),
    NUMBERED(ECC_DATA_ERROR_COUNT, ECC),
    NUMBERED(BANDWIDTH_C0, TRAFFIC),
    NUMBERED(BANDWIDTH_C1, TRAFFIC),
    {NVML_FI_DEV_NVLINK_SPEED_MBPS_L0, NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON, NVML_FI_DEV_NVLINK_SPEED_MBPS_L6, SPEED},
};

/* The link of an id, or ALL for the total, and what kind of value it is. */
static int link_of_id(unsigned id, enum kind *kind)
{
    for (const struct by_number *row = numbered; row < numbered + sizeof numbered / sizeof *numbered; row++) {
        *kind = row->kind;
        if (id == row->total)
            return ALL;
        if (within(id, row->first, row->first + EARLY - 1))
            return (int)(id - row->first);
        if (within(id, row->late, row->late + EARLY - 1))
            return (int)(id - row->late) + EARLY;
    }
    return NO_LINK;
}

unsigned is_link_field(unsigned id)
{
    enum kind kind;
    return link_of_id(id, &kind) != NO_LINK || id == NVML_FI_DEV_NVLINK_LINK_COUNT ||
           within(id, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, NVML_FI_DEV_NVLINK_THROUGHPUT_RAW_RX) ||
           within(id, NVML_FI_DEV_NVLINK_REMOTE_NVLINK_ID, NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD) ||
           within(id, NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD_MAX, NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD_SUPPORTED) ||
           within(id, NVML_FI_DEV_NVLINK_COUNT_FEC_HISTORY_0, NVML_FI_DEV_NVLINK_COUNT_FEC_HISTORY_15) ||
           within(id, NVML_FI_DEV_NVLINK_COUNT_RAW_ERRORS_LANE0, NVML_FI_DEV_NVLINK_GET_DATA_RATE);
}

/* The sum of a counter over a link or ALL; `stride` counters of each link lie side by side. */
static uint64_t sum(const struct nvsim_gpu *gpu, size_t offset, unsigned stride, int link)
{
    uint64_t total = 0;
    READING(gpu) {
        total = 0;
        for (unsigned i = 0; i < gpu->nvlink_links && i < LINKS; i++)
            if (link == ALL || link == (int)i)
                total += VALUE_AT(uint64_t, gpu, offset + i * stride * sizeof(uint64_t));
    }
    return total;
}

static uint64_t errors(const struct nvsim_gpu *gpu, enum kind kind, int link)
{
    return sum(gpu, AT(nvlink_errors) + kind * sizeof(uint64_t), ERRORS, link);
}

static uint32_t speed(const struct nvsim_gpu *gpu, int link)
{
    uint64_t up = LOAD(gpu->nvlink_active);
    return (link == ALL ? up : up >> link & 1) ? gpu->nvlink_speed : 0;
}

/* Bandwidth counters belong to NVLink 1 and 2; a link that the board does not have is not supported. */
static nvmlReturn_t read_numbered(const struct nvsim_gpu *gpu, int link, enum kind kind, nvmlFieldValue_t *value)
{
    if (link >= (int)gpu->nvlink_links)
        return NVML_ERROR_NOT_SUPPORTED;
    if (kind == SPEED)
        return answer_uint(value, speed(gpu, link));
    if (kind == TRAFFIC)
        return gpu->architecture > NVML_DEVICE_ARCH_VOLTA
                   ? NVML_ERROR_NOT_SUPPORTED
                   : answer_wide(value, sum(gpu, AT(nvlink_sent), 1, link) + sum(gpu, AT(nvlink_received), 1, link));
    return answer_wide(value, errors(gpu, kind, link));
}

/* Idle links sleep on Hopper and later. */
static nvmlReturn_t read_sleep(const struct nvsim_gpu *gpu, nvmlFieldValue_t *value)
{
    uint32_t threshold = LOAD(gpu->nvlink_low_power);
    if (threshold == NVSIM_ABSENT_U32)
        return value->fieldId == NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD_SUPPORTED ? answer_uint(value, 0)
                                                                                  : NVML_ERROR_NOT_SUPPORTED;
    switch (value->fieldId) {
    case NVML_FI_DEV_NVLINK_GET_POWER_STATE:
        return answer_uint(value, NVML_NVLINK_POWER_STATE_HIGH_SPEED);
    case NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD:
        return answer_uint(value, threshold);
    case NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD_MIN:
        return answer_uint(value, NVML_NVLINK_LOW_POWER_THRESHOLD_MIN);
    case NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD_MAX:
        return answer_uint(value, NVML_NVLINK_LOW_POWER_THRESHOLD_MAX);
    case NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD_UNITS:
        return answer_uint(value, NVML_NVLINK_LOW_POWER_THRESHOLD_UNIT_100US);
    default:
        return answer_uint(value, 1);
    }
}

/* Counters of the link layer that came with NVLink 5. */
static nvmlReturn_t read_port(const struct nvsim_gpu *gpu, int link, nvmlFieldValue_t *value)
{
    if (gpu->architecture < NVML_DEVICE_ARCH_BLACKWELL)
        return NVML_ERROR_NOT_SUPPORTED;
    switch (value->fieldId) {
    case NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES:
        return answer_wide(value, sum(gpu, AT(nvlink_sent), 1, link) * 1024);
    case NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES:
        return answer_wide(value, sum(gpu, AT(nvlink_received), 1, link) * 1024);
    case NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_EVENTS:
    case NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_SUCCESSFUL_EVENTS:
        return answer_wide(value, errors(gpu, RECOVERY, link));
    case NVML_FI_DEV_NVLINK_COUNT_RCV_ERRORS:
    case NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS:
    case NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_ERRORS:
        return answer_wide(value, errors(gpu, FLIT, link) + errors(gpu, DATA, link));
    case NVML_FI_DEV_NVLINK_GET_DATA_RATE:
        return answer_uint(value, link == ALL ? 0 : speed(gpu, link));
    default:
        return answer_wide(value, 0);
    }
}

/* What a link is and has counted; `link` may be ALL where there is something to add up. */
static nvmlReturn_t read_scoped(const struct nvsim_gpu *gpu, int link, nvmlFieldValue_t *value)
{
    uint64_t up = LOAD(gpu->nvlink_active);
    switch (value->fieldId) {
    case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX:
    case NVML_FI_DEV_NVLINK_THROUGHPUT_RAW_TX:
        return answer_wide(value, sum(gpu, AT(nvlink_sent), 1, link));
    case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX:
    case NVML_FI_DEV_NVLINK_THROUGHPUT_RAW_RX:
        return answer_wide(value, sum(gpu, AT(nvlink_received), 1, link));
    case NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY:
        return answer_wide(value, errors(gpu, REPLAY, link));
    case NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY:
        return answer_wide(value, errors(gpu, RECOVERY, link));
    case NVML_FI_DEV_NVLINK_ERROR_DL_CRC:
        return answer_wide(value, errors(gpu, FLIT, link) + errors(gpu, DATA, link));
    case NVML_FI_DEV_NVLINK_GET_SPEED:
        return answer_uint(value, speed(gpu, link));
    case NVML_FI_DEV_NVLINK_GET_STATE:
        return answer_uint(value, (link == ALL ? up : up >> link & 1) != 0);
    case NVML_FI_DEV_NVLINK_GET_VERSION:
        return answer_uint(value, gpu->nvlink_version);
    case NVML_FI_DEV_NVLINK_REMOTE_NVLINK_ID:
        return link != ALL && up >> link & 1 ? answer_uint(value, (uint32_t)link) : NVML_ERROR_NOT_SUPPORTED;
    default:
        return read_port(gpu, link, value);
    }
}

/* The link in an entry's scope. */
static nvmlReturn_t scope_of(const struct nvsim_gpu *gpu, const nvmlFieldValue_t *value, int *link)
{
    *link = (int)value->scopeId;
    if (value->scopeId == UINT32_MAX || (value->scopeId < gpu->nvlink_links && value->scopeId < LINKS))
        return NVML_SUCCESS;
    return NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t read_link_field(const struct nvsim_gpu *gpu, nvmlFieldValue_t *value)
{
    unsigned id = value->fieldId;
    enum kind kind;
    int link = link_of_id(id, &kind);
    if (id == NVML_FI_DEV_NVLINK_LINK_COUNT)
        return answer_uint(value, gpu->nvlink_links);
    if (!gpu->nvlink_links)
        return NVML_ERROR_NOT_SUPPORTED;
    if (link != NO_LINK)
        return read_numbered(gpu, link, kind, value);
    if (id == NVML_FI_DEV_NVSWITCH_CONNECTED_LINK_COUNT)
        return answer_uint(value, gpu->nvlink_remote_type == NVML_NVLINK_DEVICE_TYPE_SWITCH
                                      ? (uint32_t)__builtin_popcountll(LOAD(gpu->nvlink_active))
                                      : 0);
    if (within(id, NVML_FI_DEV_NVLINK_GET_POWER_STATE, NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD) ||
        within(id, NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD_MIN, NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD_SUPPORTED) ||
        id == NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD_MAX)
        return read_sleep(gpu, value);
    nvmlReturn_t result = scope_of(gpu, value, &link);
    return result ? result : read_scoped(gpu, link, value);
}

/* Zero in one link, or in all. */
static void clear(uint64_t *counters, unsigned stride, unsigned count, int link)
{
    for (unsigned i = 0; i < LINKS; i++)
        if (link == ALL || link == (int)i)
            memset(counters + i * stride, 0, count * sizeof *counters);
}

static nvmlReturn_t clear_scoped(struct nvsim_gpu *gpu, unsigned id, int link)
{
    switch (id) {
    case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX:
    case NVML_FI_DEV_NVLINK_THROUGHPUT_RAW_TX:
    case NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES:
        clear(gpu->nvlink_sent, 1, 1, link);
        return NVML_SUCCESS;
    case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX:
    case NVML_FI_DEV_NVLINK_THROUGHPUT_RAW_RX:
    case NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES:
        clear(gpu->nvlink_received, 1, 1, link);
        return NVML_SUCCESS;
    case NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY:
        clear(gpu->nvlink_errors + REPLAY, ERRORS, 1, link);
        return NVML_SUCCESS;
    case NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY:
    case NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_EVENTS:
        clear(gpu->nvlink_errors + RECOVERY, ERRORS, 1, link);
        return NVML_SUCCESS;
    case NVML_FI_DEV_NVLINK_ERROR_DL_CRC:
        clear(gpu->nvlink_errors + FLIT, ERRORS, 2, link);
        return NVML_SUCCESS;
    default:
        return NVML_ERROR_NOT_SUPPORTED;
    }
}

nvmlReturn_t clear_link_field(struct nvsim_gpu *gpu, const nvmlFieldValue_t *value)
{
    enum kind kind;
    int link = link_of_id(value->fieldId, &kind);
    if (!gpu->nvlink_links)
        return NVML_ERROR_NOT_SUPPORTED;
    if (link == NO_LINK) {
        nvmlReturn_t result = scope_of(gpu, value, &link);
        return result ? result : clear_scoped(gpu, value->fieldId, link);
    }
    if (kind >= TRAFFIC || link >= (int)gpu->nvlink_links)
        return NVML_ERROR_NOT_SUPPORTED;
    clear(gpu->nvlink_errors + kind, ERRORS, 1, link);
    return NVML_SUCCESS;
}
