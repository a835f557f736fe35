/* nvidia-smi dmon.  Columns and messages are those of nvidia-smi 470.256.02, 535.261.03 and 550.163.01. */
#include "commands.h"
#include "monitor.h"
#include "query.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

/* What is remembered of a GPU from one sample to the next: how long power or heat had slowed it, ns. */
struct past {
    unsigned long long power, heat;
};

static const char *print_unsigned(char *cell, size_t size, nvmlReturn_t result, unsigned long long value)
{
    if (result == NVML_SUCCESS)
        snprintf(cell, size, "%llu", value);
    else
        snprintf(cell, size, "-");
    return cell;
}

#define CELL(result, value) print_unsigned(cell, size, result, value)
#define COLUMN(name)                                                                                                   \
    static const char *column_##name(nvmlDevice_t device, struct past *past, long seconds, char *cell, size_t size)
#define IGNORED() ((void)past, (void)seconds)

COLUMN(power)
{
    unsigned int milliwatt = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetPowerUsage, device, &milliwatt);
    IGNORED();
    return CELL(result, milliwatt / 1000);
}

COLUMN(gpu_temperature)
{
    unsigned int celsius = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetTemperature, device, NVML_TEMPERATURE_GPU, &celsius);
    IGNORED();
    return CELL(result, celsius);
}

COLUMN(memory_temperature)
{
    nvmlValue_t value = {0};
    nvmlReturn_t result = read_field(device, NVML_FI_DEV_MEMORY_TEMP, &value);
    IGNORED();
    return CELL(result, value.uiVal);
}

COLUMN(sm)
{
    nvmlUtilization_t rates = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetUtilizationRates, device, &rates);
    IGNORED();
    return CELL(result, rates.gpu);
}

COLUMN(memory_use)
{
    nvmlUtilization_t rates = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetUtilizationRates, device, &rates);
    IGNORED();
    return CELL(result, rates.memory);
}

#define ENGINE_COLUMN(name, function)                                                                                  \
    COLUMN(name)                                                                                                       \
    {                                                                                                                  \
        unsigned int percent = 0, period = 0;                                                                          \
        nvmlReturn_t result = NVML(function, device, &percent, &period);                                               \
        IGNORED();                                                                                                     \
        return CELL(result, percent);                                                                                  \
    }
ENGINE_COLUMN(encoder, nvmlDeviceGetEncoderUtilization)
ENGINE_COLUMN(decoder, nvmlDeviceGetDecoderUtilization)
ENGINE_COLUMN(jpeg, nvmlDeviceGetJpgUtilization)
ENGINE_COLUMN(ofa, nvmlDeviceGetOfaUtilization)

#define CLOCK_COLUMN(name, clock)                                                                                      \
    COLUMN(name)                                                                                                       \
    {                                                                                                                  \
        unsigned int megahertz = 0;                                                                                    \
        nvmlReturn_t result = NVML(nvmlDeviceGetClockInfo, device, clock, &megahertz);                                 \
        IGNORED();                                                                                                     \
        return CELL(result, megahertz);                                                                                \
    }
CLOCK_COLUMN(memory_clock, NVML_CLOCK_MEM)
CLOCK_COLUMN(sm_clock, NVML_CLOCK_SM)

/* Part of the time since the last sample in which power slowed the GPU. */
COLUMN(power_violation)
{
    nvmlViolationTime_t found = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetViolationStatus, device, NVML_PERF_POLICY_POWER, &found);
    unsigned long long since = past->power && found.violationTime > past->power ? found.violationTime - past->power : 0;
    unsigned long long percent = since / 10000000 / (unsigned long long)(seconds ? seconds : 1);

    past->power = found.violationTime;
    return CELL(result, percent > 100 ? 100 : percent);
}

/* Whether heat slowed the GPU since the last sample: not known of the first one. */
COLUMN(heat_violation)
{
    nvmlViolationTime_t found = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetViolationStatus, device, NVML_PERF_POLICY_THERMAL, &found);
    bool more = found.violationTime > past->heat;

    past->heat = found.violationTime;
    return CELL(seconds ? result : NVML_ERROR_NO_DATA, more);
}

COLUMN(frame_buffer)
{
    unsigned long long used = 0, total = 0;
    nvmlReturn_t result = read_memory_use(device, &used, &total);
    IGNORED();
    return CELL(result, mib(used));
}

COLUMN(bar1)
{
    nvmlBAR1Memory_t memory = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetBAR1MemoryInfo, device, &memory);
    IGNORED();
    return CELL(result, mib(memory.bar1Used));
}

COLUMN(protected_memory)
{
    nvmlMemory_t memory = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetConfComputeProtectedMemoryUsage, device, &memory);
    IGNORED();
    return CELL(result, mib(memory.used));
}

#define ERROR_COLUMN(name, type)                                                                                       \
    COLUMN(name)                                                                                                       \
    {                                                                                                                  \
        unsigned long long count = 0;                                                                                  \
        nvmlReturn_t result = NVML(nvmlDeviceGetTotalEccErrors, device, type, NVML_AGGREGATE_ECC, &count);             \
        IGNORED();                                                                                                     \
        return CELL(result, count);                                                                                    \
    }
ERROR_COLUMN(corrected, NVML_MEMORY_ERROR_TYPE_CORRECTED)
ERROR_COLUMN(uncorrected, NVML_MEMORY_ERROR_TYPE_UNCORRECTED)

COLUMN(replays)
{
    unsigned int count = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetPcieReplayCounter, device, &count);
    IGNORED();
    return CELL(result, count);
}

#define TRAFFIC_COLUMN(name, counter)                                                                                  \
    COLUMN(name)                                                                                                       \
    {                                                                                                                  \
        unsigned int kilobytes = 0;                                                                                    \
        nvmlReturn_t result = NVML(nvmlDeviceGetPcieThroughput, device, counter, &kilobytes);                          \
        IGNORED();                                                                                                     \
        return CELL(result, kilobytes / 1024);                                                                         \
    }
TRAFFIC_COLUMN(received, NVML_PCIE_UTIL_RX_BYTES)
TRAFFIC_COLUMN(sent, NVML_PCIE_UTIL_TX_BYTES)

/* `from`: the first driver branch with the column. */
static const struct column {
    char metric;
    const char *name, *unit;
    const char *(*print)(nvmlDevice_t device, struct past *past, long seconds, char *cell, size_t size);
    unsigned int from;
} columns[] = {
    {'p', "pwr", "W", column_power, 0},           {'p', "gtemp", "C", column_gpu_temperature, 0},
    {'p', "mtemp", "C", column_memory_temperature, 0},
    {'u', "sm", "%", column_sm, 0},               {'u', "mem", "%", column_memory_use, 0},
    {'u', "enc", "%", column_encoder, 0},         {'u', "dec", "%", column_decoder, 0},
    {'u', "jpg", "%", column_jpeg, 530},          {'u', "ofa", "%", column_ofa, 530},
    {'c', "mclk", "MHz", column_memory_clock, 0}, {'c', "pclk", "MHz", column_sm_clock, 0},
    {'v', "pviol", "%", column_power_violation, 0}, {'v', "tviol", "bool", column_heat_violation, 0},
    {'m', "fb", "MB", column_frame_buffer, 0},    {'m', "bar1", "MB", column_bar1, 0},
    {'m', "ccpm", "MB", column_protected_memory, 530},
    {'e', "sbecc", "errs", column_corrected, 0},  {'e', "dbecc", "errs", column_uncorrected, 0},
    {'e', "pci", "errs", column_replays, 0},
    {'t', "rxpci", "MB/s", column_received, 0},   {'t', "txpci", "MB/s", column_sent, 0},
};

struct choice {
    const struct column *items[sizeof columns / sizeof *columns];
    size_t count;
};

/* The columns in the order of the letters; a letter counts once. */
static bool choose(struct choice *choice, const char *metrics)
{
    choice->count = 0;
    for (const char *at = metrics; *at; at++) {
        size_t before = choice->count;
        bool again = memchr(metrics, *at, (size_t)(at - metrics));
        for (size_t i = 0; i < sizeof columns / sizeof *columns && !again; i++)
            if (columns[i].metric == *at && columns[i].from <= nvml_branch())
                choice->items[choice->count++] = &columns[i];
        if (choice->count == before && !again)
            return false;
    }
    return choice->count;
}

static void print_heading(struct monitor *monitor, const struct choice *choice)
{
    struct line line = {.monitor = monitor};

    for (int units = 0; units < 2; units++) {
        if (units ? monitor->nounit : monitor->noheader)
            continue;
        begin_heading(&line, units);
        for (size_t i = 0; i < choice->count; i++)
            add_cell(&line, monitor->width, units ? choice->items[i]->unit : choice->items[i]->name);
        end_line(&line);
    }
}

static void print_sample(struct monitor *monitor, const struct choice *choice, struct past *past, bool first)
{
    struct line line = {.monitor = monitor};
    char cell[32];

    for (size_t n = 0; n < monitor->gpus.count; n++) {
        if (needs_heading(monitor))
            print_heading(monitor, choice);
        begin_line(&line, monitor->gpus.items[n].index);
        for (size_t i = 0; i < choice->count; i++)
            add_cell(&line, monitor->width,
                     choice->items[i]->print(monitor->gpus.items[n].device, &past[n], first ? 0 : monitor->delay, cell,
                                             sizeof cell));
        end_line(&line);
    }
}

int run_dmon(int argc, char **argv)
{
    struct switches switches[MONITOR_SWITCHES];
    struct past past[MONITORED] = {{0, 0}};
    struct monitor monitor;
    struct choice choice;
    int status = start_monitor(&monitor, switches, argc, argv, 600, "dmon");

    if (status < 0 && !choose(&choice, monitor.metrics ? monitor.metrics : "puc")) {
        puts("Failed to find any metric to display\nFailed to process command line \n");
        status = 255;
    }
    for (long sample = 0; status < 0;) {
        print_sample(&monitor, &choice, past, !sample);
        if (!pause_monitor(&monitor, ++sample))
            status = 0;
    }
    stop_monitor(&monitor);
    return status;
}
