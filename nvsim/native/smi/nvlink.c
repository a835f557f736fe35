/* nvidia-smi nvlink.  Lines, messages and statuses are those of nvidia-smi 550.163.01. */
#include "commands.h"
#include "query.h"
#include "settings.h"
#include "switches.h"

#include <stdlib.h>
#include <string.h>

enum { HELP, ID, LINK, STATUS, CAPABILITIES, BUS_ID, REMOTE, ERRORS, LANE_ERRORS, RESET_ERRORS, THROUGHPUT,
       SET_CONTROL, GET_CONTROL, GET_COUNTERS, RESET_COUNTERS, SET_LOW_POWER, GET_LOW_POWER, SET_BANDWIDTH,
       GET_BANDWIDTH, CHECK_BRIDGE, SWITCHES };

static void print_nvlink_help(void)
{
    fputs("nvidia-smi nvlink: the NVLinks of the GPUs\n\n"
          "    -s,  --status              speed of each link, or that it is inactive\n"
          "    -c,  --capabilities        what a link can do\n"
          "    -p,  --pcibusid            PCI bus id at the other end\n"
          "    -R,  --remotelinkinfo      the same, with the number of the link there\n"
          "    -e,  --errorcounters       replay, recovery and CRC errors;  -re, --reseterrorcounters\n"
          "    -ec, --crcerrorcounters    CRC errors of each lane\n"
          "    -gt, --getthroughput=d|r   KiB of data, of data and protocol\n"
          "    -gLowPwrInfo, --getLowPowerInfo;  -sLowPwrThres, --setLowPowerThreshold=N\n"
          "    -gBwMode, --getBandwidthMode;  -sBwMode, --setBandwidthMode=MODE\n"
          "    -cBridge, --checkBridge\n"
          "    -sc, -gc, -g, -r           counters that newer drivers do not have\n"
          "    -i,  --id=ID,…  -l, --link=N  only these GPUs, this link\n"
          "    -h,  --help\n",
          stdout);
}

/* What each action is told: a GPU, its links, and the switches. */
struct links {
    const struct gpu *gpu;
    unsigned int first, end; /* those that are asked for */
    const struct switches *switches;
};

static bool is_active(nvmlDevice_t device, unsigned int link)
{
    nvmlEnableState_t state = NVML_FEATURE_DISABLED;
    return NVML(nvmlDeviceGetNvLinkState, device, link, &state) == NVML_SUCCESS && state;
}

/* Whether the GPU has the link, up or not. */
static bool has_link(nvmlDevice_t device, unsigned int link)
{
    nvmlEnableState_t state;
    return NVML(nvmlDeviceGetNvLinkState, device, link, &state) == NVML_SUCCESS;
}

static nvmlReturn_t read_link_field(nvmlDevice_t device, unsigned int link, unsigned int id, nvmlValue_t *value)
{
    return read_field(device, (int)(link << 16 | id), value);
}

/* MB/s; drivers before 525 have a field for each of the first twelve links. */
static nvmlReturn_t read_speed(nvmlDevice_t device, unsigned int link, nvmlValue_t *speed)
{
    nvmlReturn_t result = read_link_field(device, link, NVML_FI_DEV_NVLINK_GET_SPEED, speed);

    if (result == NVML_SUCCESS || link >= 12)
        return result;
    return read_field(device, (int)(link < 6 ? NVML_FI_DEV_NVLINK_SPEED_MBPS_L0 + link
                                             : NVML_FI_DEV_NVLINK_SPEED_MBPS_L6 + link - 6), speed);
}

static int fail(const char *what, nvmlReturn_t result)
{
    printf("NVML: %s: %s\n", what, setting_text(result));
    return nvml_exit_code(result);
}

/* Whether no link is up; says so, unless one link was asked for. */
static bool all_are_down(const struct links *links, const char *what)
{
    if (links->switches[LINK].given)
        return false;
    for (unsigned int link = links->first; link < links->end; link++)
        if (is_active(links->gpu->device, link))
            return false;
    printf("NVML: Unable to retrieve NVLink %s as all links are inActive\n", what);
    return true;
}

static int print_status(const struct links *links)
{
    if (all_are_down(links, "information"))
        return 0;
    for (unsigned int link = links->first; link < links->end; link++) {
        nvmlValue_t speed = {0};
        if (is_active(links->gpu->device, link) && read_speed(links->gpu->device, link, &speed) == NVML_SUCCESS)
            printf("\t Link %u: %g GB/s\n", link, speed.uiVal / 1000.0);
        else if (links->switches[LINK].given)
            printf("NVML: Unable to retrieve NVLink information for link %u - inActive\n", link);
        else
            printf("\t Link %u: <inactive>\n", link);
    }
    return 0;
}

static int print_capabilities(const struct links *links)
{
    static const char *const names[NVML_NVLINK_CAP_COUNT] = {
        "P2P is supported", "Access to system memory supported", "P2P atomics supported",
        "System memory atomics supported", "SLI is supported", "Link is supported",
    };

    for (unsigned int link = links->first; link < links->end; link++)
        for (unsigned int i = 0; i < NVML_NVLINK_CAP_COUNT && is_active(links->gpu->device, link); i++) {
            unsigned int able = 0;
            nvmlReturn_t result = NVML(nvmlDeviceGetNvLinkCapability, links->gpu->device, link,
                                       (nvmlNvLinkCapability_t)i, &able);
            if (result != NVML_SUCCESS)
                return fail("Unable to retrieve NVLink capabilities", result);
            printf("\t Link %u, %s: %s\n", link, names[i], able ? "true" : "false");
        }
    return 0;
}

static int print_remotes(const struct links *links)
{
    bool with_link = links->switches[REMOTE].given;

    for (unsigned int link = links->first; link < links->end; link++) {
        nvmlPciInfo_t pci;
        nvmlValue_t remote = {0};
        nvmlReturn_t result;
        if (!is_active(links->gpu->device, link))
            continue;
        result = NVML(nvmlDeviceGetNvLinkRemotePciInfo_v2, links->gpu->device, link, &pci);
        if (result != NVML_SUCCESS)
            return fail("Unable to retrieve NvLink remote PCI info", result);
        if (!with_link) {
            printf("\t Link %u: %s\n", link, pci.busId);
            continue;
        }
        result = read_link_field(links->gpu->device, link, NVML_FI_DEV_NVLINK_REMOTE_NVLINK_ID, &remote);
        if (result != NVML_SUCCESS) {
            printf("NVML: Unable to retrieve NvLink remote Nvlink IDs for device %u: %s\n", links->gpu->index,
                   setting_text(result));
            return nvml_exit_code(result);
        }
        printf("\t Link %u: Remote Device %s: Link %u\n", link, pci.busId, remote.uiVal);
    }
    return 0;
}

static int print_errors(const struct links *links)
{
    static const struct { const char *name; nvmlNvLinkErrorCounter_t counter; } counters[] = {
        {"Replay", NVML_NVLINK_ERROR_DL_REPLAY}, {"Recovery", NVML_NVLINK_ERROR_DL_RECOVERY},
        {"CRC", NVML_NVLINK_ERROR_DL_CRC_FLIT},
    };

    if (all_are_down(links, "errors"))
        return 0;
    for (unsigned int link = links->first; link < links->end; link++) {
        if (!is_active(links->gpu->device, link)) {
            if (links->switches[LINK].given)
                printf("NVML: Unable to retrieve NVLink errors for link %u - inActive\n", link);
            continue;
        }
        for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
            unsigned long long count = 0;
            nvmlReturn_t result = NVML(nvmlDeviceGetNvLinkErrorCounter, links->gpu->device, link,
                                       counters[i].counter, &count);
            if (result != NVML_SUCCESS)
                return fail("Unable to retrieve NVLink counters", result);
            printf("\t Link %u: %s Errors: %llu\n", link, counters[i].name, count);
        }
        putchar('\n');
    }
    return 0;
}

/* NVML has no public counter of a lane. */
static int print_lane_errors(const struct links *links)
{
    for (unsigned int link = links->first; link < links->end; link++)
        if (is_active(links->gpu->device, link)) {
            printf("NVML: Unable to retrieve NvLink ECC error counter for link %u: Not Supported\n", link);
            return NVML_ERROR_NOT_SUPPORTED;
        }
    return 0;
}

static int reset_errors(const struct links *links)
{
    for (unsigned int link = links->first; link < links->end; link++) {
        nvmlReturn_t result;
        if (!is_active(links->gpu->device, link)) {
            printf("\t Link %u: skipping error counter reset on inactive link\n", link);
            continue;
        }
        result = NVML(nvmlDeviceResetNvLinkErrorCounters, links->gpu->device, link);
        if (result != NVML_SUCCESS) {
            printf("NVML: Unable to reset NvLink link error counters for link %u: %s\n", link, setting_text(result));
            return nvml_exit_code(result);
        }
        printf("\t Link %u: error counters reset\n", link);
    }
    return 0;
}

/* Prints the pair of counters of one kind: KiB sent, KiB received. */
static nvmlReturn_t print_pair(nvmlDevice_t device, unsigned int link, const char *kind, unsigned int sent)
{
    static const char *const ways[] = {"Tx", "Rx"};

    for (unsigned int way = 0; way < 2; way++) {
        nvmlValue_t value = {0};
        nvmlReturn_t result = read_link_field(device, link, sent + way, &value);
        if (result != NVML_SUCCESS) {
            fail("Unable to retrieve NVLink throughput counters", result);
            return result;
        }
        printf("\t Link %u: %s %s: %llu KiB\n", link, kind, ways[way], value.ullVal);
    }
    return NVML_SUCCESS;
}

static int print_throughput(const struct links *links)
{
    const char *kinds = links->switches[THROUGHPUT].text;
    nvmlReturn_t result = strspn(kinds, "dr") == strlen(kinds) ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;

    for (unsigned int link = links->first; link < links->end && result == NVML_SUCCESS; link++) {
        if (!is_active(links->gpu->device, link) && !links->switches[LINK].given)
            continue;
        if (!is_active(links->gpu->device, link))
            fail("Unable to retrieve NVLink throughput counters", result = NVML_ERROR_NOT_SUPPORTED);
        if (result == NVML_SUCCESS && strchr(kinds, 'd'))
            result = print_pair(links->gpu->device, link, "Data", NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX);
        if (result == NVML_SUCCESS && strchr(kinds, 'r'))
            result = print_pair(links->gpu->device, link, "Raw", NVML_FI_DEV_NVLINK_THROUGHPUT_RAW_TX);
    }
    if (result != NVML_SUCCESS)
        puts("Failed to get throughput counters");
    return nvml_exit_code(result);
}

static int print_low_power(const struct links *links)
{
    for (unsigned int link = links->first; link < links->end; link++) {
        nvmlValue_t state = {0}, threshold = {0};
        nvmlReturn_t result;
        if (!is_active(links->gpu->device, link))
            continue;
        result = read_link_field(links->gpu->device, link, NVML_FI_DEV_NVLINK_GET_POWER_STATE, &state);
        if (result == NVML_SUCCESS)
            result = read_link_field(links->gpu->device, link, NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD, &threshold);
        if (result != NVML_SUCCESS) {
            puts("Not supported");
            return nvml_exit_code(result);
        }
        printf("\t Link %u: Low Power Mode: %s\n\t Link %u: Low Power Threshold: %u us\n\n", link,
               state.uiVal ? "Low Power State" : "High Speed State", link, threshold.uiVal * 100);
    }
    return 0;
}

static int set_low_power(const struct links *links)
{
    const char *text = links->switches[SET_LOW_POWER].text;
    nvmlNvLinkPowerThres_t threshold = {.lowPwrThreshold = !strcmp(text, "default")
                                                               ? NVML_NVLINK_LOW_POWER_THRESHOLD_RESET
                                                               : (unsigned int)strtoul(text, NULL, 0)};
    nvmlValue_t before;
    nvmlReturn_t result = read_link_field(links->gpu->device, 0, NVML_FI_DEV_NVLINK_GET_POWER_THRESHOLD, &before);

    if (result == NVML_ERROR_NOT_SUPPORTED) {
        puts("Not supported");
        return nvml_exit_code(result);
    }
    result = NVML(nvmlDeviceSetNvLinkDeviceLowPowerThreshold, links->gpu->device, &threshold);
    return result == NVML_SUCCESS ? 0 : fail("Unable to set Low Power Threshold", result);
}

static int refuse_control(const struct links *links)
{
    const struct switches *asked = links->switches;

    if (asked[SET_CONTROL].given)
        fputs("Warning: Setting counter control is deprecated!\n\n", stdout);
    else if (asked[GET_CONTROL].given)
        fputs("Warning: Getting counter control is deprecated!\n\n", stdout);
    else if (asked[GET_COUNTERS].given)
        fputs("Warning: Getting counters using option -g is deprecated. \nPlease use option -gt instead.\n\n", stdout);
    else
        fputs("Warning: Resetting throughput counters is deprecated!\n\n", stdout);
    return NVML_ERROR_NOT_SUPPORTED;
}

/* The actions on a GPU, in the order in which several of them are done. */
static const struct { int at; int (*run)(const struct links *links); } actions[] = {
    {STATUS, print_status}, {CAPABILITIES, print_capabilities}, {BUS_ID, print_remotes}, {REMOTE, print_remotes},
    {SET_CONTROL, refuse_control}, {GET_CONTROL, refuse_control}, {GET_COUNTERS, refuse_control},
    {RESET_COUNTERS, refuse_control}, {ERRORS, print_errors}, {LANE_ERRORS, print_lane_errors},
    {RESET_ERRORS, reset_errors}, {THROUGHPUT, print_throughput}, {SET_LOW_POWER, set_low_power},
    {GET_LOW_POWER, print_low_power},
};

/* The number of links of a GPU. */
static unsigned int count_links(nvmlDevice_t device)
{
    unsigned int count = 0;

    while (count < NVML_NVLINK_MAX_LINKS && has_link(device, count))
        count++;
    return count;
}

/* A GPU without links is not spoken of. */
static int run_on(const struct gpu *gpu, const struct switches *switches)
{
    char name[NVML_DEVICE_NAME_V2_BUFFER_SIZE] = "", uuid[NVML_DEVICE_UUID_V2_BUFFER_SIZE] = "";
    struct links links = {.gpu = gpu, .end = count_links(gpu->device), .switches = switches};
    int status = 0;

    if (!links.end)
        return 0;
    if (switches[LINK].given)
        links.first = (unsigned int)switches[LINK].number, links.end = links.first + 1;
    NVML(nvmlDeviceGetName, gpu->device, name, sizeof name);
    NVML(nvmlDeviceGetUUID, gpu->device, uuid, sizeof uuid);
    printf("GPU %u: %s (UUID: %s)\n", gpu->index, name, uuid);
    for (size_t i = 0; i < sizeof actions / sizeof *actions && !status; i++)
        if (switches[actions[i].at].given)
            status = actions[i].run(&links);
    return status;
}

/* The mode of the whole machine. */
static int run_bandwidth(const struct switches *switches)
{
    static const char *const names[] = {"FULL", "OFF", "MIN", "HALF", "3QUARTER"};
    const char *wanted = switches[SET_BANDWIDTH].text;
    unsigned int mode = 0;
    nvmlReturn_t result;

    if (!switches[SET_BANDWIDTH].given) {
        result = NVML(nvmlSystemGetNvlinkBwMode, &mode);
        if (result == NVML_SUCCESS)
            printf("NVLINK Bandwidth mode: %s\n", mode < sizeof names / sizeof *names ? names[mode] : "Unknown");
        else
            puts("Unable to read nvlink bandwidth mode");
        return nvml_exit_code(result);
    }
    while (mode < sizeof names / sizeof *names && strcmp(names[mode], wanted))
        mode++;
    result = mode < sizeof names / sizeof *names ? NVML(nvmlSystemSetNvlinkBwMode, mode) : NVML_ERROR_INVALID_ARGUMENT;
    if (result != NVML_SUCCESS)
        printf("Unable to set nvlink bandwidth mode %s\n", wanted);
    return nvml_exit_code(result);
}

int run_nvlink(int argc, char **argv)
{
    struct switches switches[SWITCHES] = {
        [HELP] = {"-h", "--help", TAKES_NOTHING, 0, 0, 0},
        [ID] = {"-i", "--id", TAKES_TEXT, 0, 0, 0},
        [LINK] = {"-l", "--link", TAKES_NUMBER, 0, 0, 0},
        [STATUS] = {"-s", "--status", TAKES_NOTHING, 0, 0, 0},
        [CAPABILITIES] = {"-c", "--capabilities", TAKES_NOTHING, 0, 0, 0},
        [BUS_ID] = {"-p", "--pcibusid", TAKES_NOTHING, 0, 0, 0},
        [REMOTE] = {"-R", "--remotelinkinfo", TAKES_NOTHING, 0, 0, 0},
        [ERRORS] = {"-e", "--errorcounters", TAKES_NOTHING, 0, 0, 0},
        [LANE_ERRORS] = {"-ec", "--crcerrorcounters", TAKES_NOTHING, 0, 0, 0},
        [RESET_ERRORS] = {"-re", "--reseterrorcounters", TAKES_NOTHING, 0, 0, 0},
        [THROUGHPUT] = {"-gt", "--getthroughput", TAKES_TEXT, 0, 0, 0},
        [SET_CONTROL] = {"-sc", "--setcontrol", TAKES_TEXT, 0, 0, 0},
        [GET_CONTROL] = {"-gc", "--getcontrol", TAKES_TEXT, 0, 0, 0},
        [GET_COUNTERS] = {"-g", "--getcounters", TAKES_TEXT, 0, 0, 0},
        [RESET_COUNTERS] = {"-r", "--resetcounters", TAKES_TEXT, 0, 0, 0},
        [SET_LOW_POWER] = {"-sLowPwrThres", "--setLowPowerThreshold", TAKES_TEXT, 0, 0, 0},
        [GET_LOW_POWER] = {"-gLowPwrInfo", "--getLowPowerInfo", TAKES_NOTHING, 0, 0, 0},
        [SET_BANDWIDTH] = {"-sBwMode", "--setBandwidthMode", TAKES_TEXT, 0, 0, 0},
        [GET_BANDWIDTH] = {"-gBwMode", "--getBandwidthMode", TAKES_NOTHING, 0, 0, 0},
        [CHECK_BRIDGE] = {"-cBridge", "--checkBridge", TAKES_NOTHING, 0, 0, 0},
    };
    struct gpus gpus = {0};
    int status = parse_switches(switches, SWITCHES, argc, argv);

    if (status)
        return status;
    if (switches[HELP].given || !any_given(switches, SWITCHES)) {
        print_nvlink_help();
        return 0;
    }
    if (switches[SET_BANDWIDTH].given || switches[GET_BANDWIDTH].given)
        return run_bandwidth(switches);
    status = find_gpus(&gpus, switches[ID].text, stdout);
    for (size_t i = 0; i < gpus.count && !status; i++)
        status = run_on(&gpus.items[i], switches);
    free(gpus.items);
    return status;
}
