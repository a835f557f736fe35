/* nvidia-smi pmon.  Columns and messages are those of nvidia-smi 470.256.02, 535.261.03 and 550.163.01. */
#include "commands.h"
#include "monitor.h"
#include "processes.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES = 512 };

/* The widths that changed between driver branches. */
static const struct layout {
    unsigned int from;
    int pid_name, type_name, first_name; /* headings of the process id, the type, and the first column after it */
    int gap;                             /* blanks before the command */
    bool engines;                        /* whether JPEG and OFA have columns */
    bool secure;                         /* whether protected memory has one */
} layouts[] = {
    {0, 11, 6, 6, 3, false, false},
    {530, 12, 6, 6, 4, false, true},
    {550, 12, 7, 7, 4, true, true},
};

static const struct layout *layout_of(void)
{
    const struct layout *best = layouts;

    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].from <= nvml_branch())
            best = &layouts[i];
    return best;
}

/* Drivers before 550 have no nvmlDeviceGetProcessesUtilizationInfo. */
static size_t read_older_loads(nvmlDevice_t device, unsigned long long since, nvmlProcessUtilizationInfo_v1_t *loads)
{
    nvmlProcessUtilizationSample_t samples[SAMPLES];
    unsigned int count = SAMPLES;

    if (NVML(nvmlDeviceGetProcessUtilization, device, samples, &count, since) != NVML_SUCCESS)
        return 0;
    for (unsigned int i = 0; i < count; i++)
        loads[i] = (nvmlProcessUtilizationInfo_v1_t){
            .pid = samples[i].pid, .smUtil = samples[i].smUtil, .memUtil = samples[i].memUtil,
            .encUtil = samples[i].encUtil, .decUtil = samples[i].decUtil};
    return count;
}

static size_t read_loads(nvmlDevice_t device, unsigned long long since, nvmlProcessUtilizationInfo_v1_t *loads)
{
    nvmlProcessesUtilizationInfo_v1_t info = {.version = nvmlProcessesUtilizationInfo_v1,
                                              .processSamplesCount = SAMPLES, .lastSeenTimeStamp = since,
                                              .procUtilArray = loads};
    nvmlReturn_t result = NVML(nvmlDeviceGetProcessesUtilizationInfo, device, &info);

    if (result == NVML_ERROR_FUNCTION_NOT_FOUND)
        return read_older_loads(device, since, loads);
    return result == NVML_SUCCESS ? info.processSamplesCount : 0;
}

static void add_number(struct line *line, int width, bool known, unsigned long long value)
{
    char cell[32] = "-";

    if (known)
        snprintf(cell, sizeof cell, "%llu", value);
    add_cell(line, width, cell);
}

static void add_utilization(struct line *line, const struct layout *layout,
                            const nvmlProcessUtilizationInfo_v1_t *load)
{
    int width = line->monitor->width;

    add_number(line, width, load, load ? load->smUtil : 0);
    add_number(line, width, load, load ? load->memUtil : 0);
    add_number(line, width, load, load ? load->encUtil : 0);
    add_number(line, width, load, load ? load->decUtil : 0);
    if (!layout->engines)
        return;
    add_number(line, width, load, load ? load->jpgUtil : 0);
    add_number(line, width, load, load ? load->ofaUtil : 0);
}

static void add_memory(struct line *line, const struct layout *layout, const struct process *process)
{
    int width = line->monitor->width;
    bool known = process && has_known_memory(process);

    add_number(line, width, process, known ? process->entry.usedGpuMemory >> 20 : 0);
    if (layout->secure)
        add_number(line, width, process, 0);
}

/* The command as it was given, cut to the column. */
static void add_command(struct line *line, const struct layout *layout, const struct process *process)
{
    char name[4096] = "-";

    if (process)
        process_name(process->entry.pid, name, sizeof name);
    fprintf(line->monitor->out, "%*s%-15.15s\n", layout->gap, "", name);
}

static void print_heading(struct monitor *monitor)
{
    static const char *const utilization[] = {"sm", "mem", "enc", "dec", "jpg", "ofa"};
    const struct layout *layout = layout_of();
    struct line line = {.monitor = monitor};

    for (int units = 0; units < 2; units++) {
        int width = layout->first_name;
        begin_heading(&line, units);
        add_cell(&line, layout->pid_name, units ? "#" : "pid");
        add_cell(&line, layout->type_name, units ? "C/G" : "type");
        for (const char *metric = monitor->metrics; *metric; metric++) {
            size_t count = *metric == 'u' ? layout->engines ? 6 : 4 : 1 + layout->secure;
            for (size_t i = 0; i < count; i++, width = monitor->width)
                add_cell(&line, width,
                         *metric == 'u' ? units ? "%" : utilization[i]
                         : units        ? "MB"
                         : i            ? "ccpm"
                                        : "fb");
        }
        fprintf(monitor->out, "%*s%s%s\n", layout->gap, "", units ? "name" : "command", layout->engines ? " " : "");
    }
}

static void print_row(struct monitor *monitor, unsigned int gpu, const struct process *process,
                      const nvmlProcessUtilizationInfo_v1_t *load)
{
    const struct layout *layout = layout_of();
    struct line line = {.monitor = monitor};
    char pid[16] = "-";

    if (process)
        snprintf(pid, sizeof pid, "%u", process->entry.pid);
    if (needs_heading(monitor))
        print_heading(monitor);
    begin_line(&line, gpu);
    add_cell(&line, 11, pid);
    add_cell(&line, 6, process ? process_type(process) : "-");
    for (const char *metric = monitor->metrics; *metric; metric++)
        if (*metric == 'u')
            add_utilization(&line, layout, load);
        else
            add_memory(&line, layout, process);
    add_command(&line, layout, process);
}

static const nvmlProcessUtilizationInfo_v1_t *load_of(unsigned int pid, const nvmlProcessUtilizationInfo_v1_t *loads,
                                                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (loads[i].pid == pid)
            return &loads[i];
    return NULL;
}

/* The rows of a GPU; a process that has ended meanwhile has none. */
static void print_gpu(struct monitor *monitor, const struct gpu *gpu, unsigned long long since)
{
    struct processes *processes = malloc(sizeof *processes);
    nvmlProcessUtilizationInfo_v1_t *loads = calloc(SAMPLES, sizeof *loads);
    size_t known = loads ? read_loads(gpu->device, since, loads) : 0;
    bool found = false;
    char name[256];

    if (processes)
        read_processes(processes, gpu->device);
    for (size_t i = 0; processes && i < processes->count; i++) {
        unsigned int pid = processes->items[i].entry.pid;
        if (NVML(nvmlSystemGetProcessName, pid, name, sizeof name) == NVML_ERROR_NOT_FOUND)
            continue;
        print_row(monitor, gpu->index, &processes->items[i], load_of(pid, loads, known));
        found = true;
    }
    if (!found)
        print_row(monitor, gpu->index, NULL, NULL);
    free(processes);
    free(loads);
}

int run_pmon(int argc, char **argv)
{
    struct switches switches[MONITOR_SWITCHES];
    struct monitor monitor;
    int status = start_monitor(&monitor, switches, argc, argv, 10, "pmon");

    if (!monitor.metrics)
        monitor.metrics = "u";
    if (status < 0 && (!*monitor.metrics || strspn(monitor.metrics, "um") != strlen(monitor.metrics))) {
        puts("Failed to find any metric to display\nFailed to process command line \n");
        status = 255;
    }
    for (long sample = 0; status < 0;) {
        unsigned long long since = (unsigned long long)(time(NULL) - monitor.delay) * 1000000;
        for (size_t i = 0; i < monitor.gpus.count; i++)
            print_gpu(&monitor, &monitor.gpus.items[i], sample ? since : 0);
        if (!pause_monitor(&monitor, ++sample))
            status = 0;
    }
    stop_monitor(&monitor);
    return status;
}
