/* Settings of clocks. */
#include "settings.h"

#include <stdlib.h>
#include <string.h>

#define SAY(...) fprintf(target->out, __VA_ARGS__)

/* Two clocks in MHz, as the option was given them. */
struct range {
    unsigned int least, most;
    const char *least_name, *most_name; /* words that stand for a limit; NULL: the number is said */
};

static bool read_clock(const char *text, size_t length, unsigned int *clock)
{
    char digits[16], *end;

    if (!length || length >= sizeof digits)
        return false;
    snprintf(digits, sizeof digits, "%.*s", (int)length, text);
    *clock = (unsigned int)strtoul(digits, &end, 10);
    return !*end && *digits != '-';
}

/* "1000,1200", or "1000" for both if one is enough. */
static bool read_range(const char *text, bool one_is_enough, struct range *range)
{
    size_t length = strcspn(text, ",");

    *range = (struct range){0};
    if (!read_clock(text, length, &range->least))
        return false;
    if (text[length])
        return read_clock(text + length + 1, strlen(text + length + 1), &range->most);
    range->most = range->least;
    return one_is_enough;
}

/* `shown`: how much of the text is repeated. */
static void refuse_clocks(struct target *target, const struct change *change, size_t shown, const char *format)
{
    SAY("Specified clocks \"%.*s\" are not valid. Please format input as %s\n", (int)shown, change->text, format);
    refuse(target, NVML_ERROR_INVALID_ARGUMENT);
}

/* `what`: clocks in the words of the option. */
static bool is_refused(struct target *target, nvmlReturn_t result, const char *what)
{
    if (result == NVML_ERROR_NOT_SUPPORTED) {
        SAY("Setting %s clocks is not supported for GPU %s.\n", what, target->bus_id);
        warn(target);
        return true;
    }
    if (result == NVML_ERROR_NO_PERMISSION) {
        SAY("The current user does not have permission to change clocks for GPU %s.\n", target->bus_id);
        refuse(target, nvml_exit_code(result));
        return true;
    }
    return false;
}

/* Says how it went: `done` and `undone` are the texts around the two names of the range. */
static void settle_clocks(struct target *target, nvmlReturn_t result, const char *what, const char *done,
                          const char *pair, const char *undone, const char *undone_pair)
{
    if (is_refused(target, result, what))
        return;
    if (result == NVML_SUCCESS) {
        SAY("%s \"(%s)\" for GPU %s\n", done, pair, target->bus_id);
        target->fleeting = true;
    } else if (result == NVML_ERROR_INVALID_ARGUMENT) {
        SAY("Specified clock combination \"(%s)\" is not supported for GPU %s. Run 'nvidia-smi -q -d SUPPORTED_CLOCKS' "
            "to see list of supported clock combinations\n", pair, target->bus_id);
        warn(target);
    } else {
        SAY("Unable to set %s \"(%s)\" for GPU %s: %s\n", undone, undone_pair, target->bus_id, setting_text(result));
        refuse(target, nvml_exit_code(result));
    }
}

/* Limits that have a name instead of a number. */
static bool read_named_range(const char *text, struct range *range)
{
    static const struct { const char *text; struct range range; } known[] = {
        {"tdp,tdp", {NVML_CLOCK_LIMIT_ID_TDP, NVML_CLOCK_LIMIT_ID_TDP, "tdp", "tdp"}},
        {"tdp,unlimited", {NVML_CLOCK_LIMIT_ID_TDP, NVML_CLOCK_LIMIT_ID_UNLIMITED, "tdp", "unlimited"}},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(text, known[i].text)) {
            *range = known[i].range;
            return true;
        }
    return false;
}

void lock_gpu_clocks(struct target *target, const struct change *change)
{
    struct range range;
    char pair[64], undone[64];

    if (!read_named_range(change->text, &range) && !read_range(change->text, true, &range)) {
        size_t first = strcspn(change->text, ",");
        refuse_clocks(target, change, first ? first : strlen(change->text),
                      "'gpuClkMin,gpuClkMax' or 'gpuClkVal' e.g. '--lock-gpu-clocks=1500,1500', "
                      "'--lock-gpu-clocks=1500', or '--lock-gpu-clocks=tdp,unlimited'");
        return;
    }
    if (range.least_name)
        snprintf(pair, sizeof pair, "gpuClkMin %s, gpuClkMax %s", range.least_name, range.most_name);
    else
        snprintf(pair, sizeof pair, "gpuClkMin %u, gpuClkMax %u", range.least, range.most);
    snprintf(undone, sizeof undone, "gpuClockMin %u, gpuClockMax %u", range.least, range.most);
    settle_clocks(target, NVML(nvmlDeviceSetGpuLockedClocks, target->gpu->device, range.least, range.most),
                  "locked GPU", "GPU clocks set to", pair, "GPU locked clocks", undone);
}

void lock_memory_clocks(struct target *target, const struct change *change)
{
    struct range range;
    char pair[64], undone[64];

    if (!read_range(change->text, true, &range)) {
        refuse_clocks(target, change, strlen(change->text),
                      "'memClkMin,memClkMax' or 'memClkVal' e.g. --lock-memory-clocks=5100,5100 or "
                      "--lock-memory-clocks=5100");
        return;
    }
    snprintf(pair, sizeof pair, "memClkMin %u, memClkMax %u", range.least, range.most);
    snprintf(undone, sizeof undone, "memClockMin %u, memClockMax %u", range.least, range.most);
    settle_clocks(target, NVML(nvmlDeviceSetMemoryLockedClocks, target->gpu->device, range.least, range.most),
                  "locked Memory", "Memory clocks set to", pair, "Memory locked clocks", undone);
}

void set_applications_clocks(struct target *target, const struct change *change)
{
    struct range clocks; /* memory, graphics */
    char pair[64];

    if (!read_range(change->text, false, &clocks)) {
        refuse_clocks(target, change, strlen(change->text), "memClk,smClk e.g. --applications-clocks=2000,300");
        return;
    }
    snprintf(pair, sizeof pair, "MEM %u, SM %u", clocks.least, clocks.most);
    settle_clocks(target, NVML(nvmlDeviceSetApplicationsClocks, target->gpu->device, clocks.least, clocks.most),
                  "applications", "Applications clocks set to", pair, "applications clocks", pair);
}

/* A reset that works is not talked about. */
static void settle_reset(struct target *target, nvmlReturn_t result, const char *what, const char *action)
{
    if (!is_refused(target, result, what))
        settle(target, result, action);
}

void reset_gpu_clocks(struct target *target, const struct change *change)
{
    (void)change;
    settle_reset(target, NVML(nvmlDeviceResetGpuLockedClocks, target->gpu->device), "locked gpu",
                 "reset locked gpu clocks");
}

void reset_memory_clocks(struct target *target, const struct change *change)
{
    (void)change;
    settle_reset(target, NVML(nvmlDeviceResetMemoryLockedClocks, target->gpu->device), "locked Memory",
                 "reset locked Memory clocks");
}

void reset_applications_clocks(struct target *target, const struct change *change)
{
    (void)change;
    settle_reset(target, NVML(nvmlDeviceResetApplicationsClocks, target->gpu->device), "applications",
                 "reset applications clocks");
}

/* NVML has no public call for clocks that wait for the next start of the driver. */
void lock_deferred_clocks(struct target *target, const struct change *change)
{
    SAY("Unable to set Memory locked clocks \"(memClock %ld)\" for GPU %s: Not Supported\n", change->number,
        target->bus_id);
    warn(target);
}

void reset_deferred_clocks(struct target *target, const struct change *change)
{
    (void)change;
    SAY("Reseting deferred memory clocks is not supported\n"
        "Please unload and reload the driver in order for changes to take effect.\n");
    warn(target);
}
