/* Parts of nvidia-smi -q of which a GPU has a varying number: samples, clocks, pages, processes. */
#include "processes.h"
#include "report.h"
#include "table.h"

#include <stdlib.h>
#include <time.h>

/* What is said of some seconds of samples. */
struct summary {
    double seconds, average;
    unsigned int count, least, most;
};

static nvmlReturn_t read_summary(nvmlDevice_t device, nvmlSamplingType_t type, struct summary *summary)
{
    nvmlValueType_t kind;
    unsigned int count = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetSamples, device, type, 0, &kind, &count, NULL);
    nvmlSample_t *samples;

    if (result != NVML_SUCCESS || !count || !(samples = calloc(count, sizeof *samples)))
        return result == NVML_SUCCESS ? NVML_ERROR_NOT_FOUND : result;
    result = NVML(nvmlDeviceGetSamples, device, type, 0, &kind, &count, samples);
    *summary = (struct summary){.count = count, .least = ~0u};
    for (unsigned int i = 0; result == NVML_SUCCESS && i < count; i++) {
        unsigned int value = samples[i].sampleValue.uiVal;
        summary->most = value > summary->most ? value : summary->most;
        summary->least = value < summary->least ? value : summary->least;
        summary->average += value;
        summary->seconds = (double)(samples[i].timeStamp - samples[0].timeStamp) / 1000000;
    }
    if (count)
        summary->average /= count;
    free(samples);
    return result;
}

static void print_sample(struct report *report, const struct row *row, const char *label, nvmlReturn_t result,
                         double value)
{
    char text[64];

    if (result != NVML_SUCCESS)
        snprintf(text, sizeof text, "%s", nvml_text(result));
    else if (row->argument == NVML_TOTAL_POWER_SAMPLES)
        snprintf(text, sizeof text, "%.2f %s", value / 1000, row->unit);
    else
        snprintf(text, sizeof text, "%u %s", (unsigned int)value, row->unit);
    report_row(report, label, NULL, text);
}

void part_samples(struct report *report, const struct row *row)
{
    struct summary summary = {0};
    nvmlReturn_t result = read_summary(report->gpu->device, (nvmlSamplingType_t)row->argument, &summary);
    char duration[64], count[64];

    snprintf(duration, sizeof duration, "%.2f sec", summary.seconds);
    snprintf(count, sizeof count, "%u", summary.count);
    report_open(report, row->label, NULL);
    report_row(report, "Duration", NULL, result == NVML_SUCCESS ? duration : nvml_text(result));
    report_row(report, "Number of Samples", NULL, result == NVML_SUCCESS ? count : nvml_text(result));
    print_sample(report, row, "Max", result, summary.most);
    print_sample(report, row, "Min", result, summary.least);
    print_sample(report, row, "Avg", result, summary.average);
    report_close(report, row->label, NULL);
}

static void print_graphics_clocks(struct report *report, unsigned int memory)
{
    unsigned int clocks[1024], count = sizeof clocks / sizeof *clocks;

    if (NVML(nvmlDeviceGetSupportedGraphicsClocks, report->gpu->device, memory, &count, clocks) != NVML_SUCCESS)
        return;
    for (unsigned int i = 0; i < count; i++)
        report_number(report, "Graphics", "supported_graphics_clock", clocks[i], "MHz");
}

void part_supported_clocks(struct report *report, const struct row *row)
{
    unsigned int clocks[128], count = sizeof clocks / sizeof *clocks;
    nvmlReturn_t result = NVML(nvmlDeviceGetSupportedMemoryClocks, report->gpu->device, &count, clocks);

    if (result != NVML_SUCCESS) {
        report_row(report, row->label, row->element, nvml_text(result));
        return;
    }
    report_open(report, row->label, row->element);
    for (unsigned int i = 0; i < count; i++) {
        report_open(report, NULL, "supported_mem_clock");
        report_number(report, "Memory", "value", clocks[i], "MHz");
        report->depth += !report->xml;
        print_graphics_clocks(report, clocks[i]);
        report->depth -= !report->xml;
        report_close(report, NULL, "supported_mem_clock");
    }
    report_close(report, row->label, row->element);
}

void part_retired_pages(struct report *report, const struct row *row)
{
    unsigned long long addresses[256], timestamps[256];
    unsigned int count = sizeof addresses / sizeof *addresses;
    char text[64] = "";
    struct tm local;
    nvmlReturn_t result = NVML(nvmlDeviceGetRetiredPages_v2, report->gpu->device,
                               (nvmlPageRetirementCause_t)row->argument, &count, addresses, timestamps);

    if (result != NVML_SUCCESS) {
        report_row(report, NULL, row->element, nvml_text(result));
        return;
    }
    report_open(report, NULL, row->element);
    for (unsigned int i = 0; i < count; i++) {
        time_t seconds = (time_t)timestamps[i];
        report_open(report, NULL, "retired_page");
        snprintf(text, sizeof text, "0x%016llx", addresses[i]);
        report_row(report, NULL, "retired_page_address", text);
        if (localtime_r(&seconds, &local))
            strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &local);
        report_row(report, NULL, "retired_page_timestamp", text);
        report_close(report, NULL, "retired_page");
    }
    report_close(report, NULL, row->element);
}

static void print_instance(struct report *report, const char *label, const char *element, unsigned int id)
{
    if (id == ~0u)
        report_row(report, label, element, "N/A");
    else
        report_number(report, label, element, id, "");
}

static void print_process(struct report *report, const struct process *process)
{
    char name[4096];

    process_name(process->entry.pid, name, sizeof name);
    report_open(report, NULL, "process_info");
    print_instance(report, "GPU instance ID", "gpu_instance_id", process->entry.gpuInstanceId);
    print_instance(report, "Compute instance ID", "compute_instance_id", process->entry.computeInstanceId);
    report_number(report, "Process ID", "pid", process->entry.pid, "");
    report->depth += !report->xml;
    report_row(report, "Type", "type", process_type(process));
    report_row(report, "Name", "process_name", name);
    if (has_known_memory(process))
        report_number(report, "Used GPU Memory", "used_memory", process->entry.usedGpuMemory >> 20, "MiB");
    else
        report_row(report, "Used GPU Memory", "used_memory",
                   report->xml ? "N/A" : "Not available in WDDM driver model");
    report->depth -= !report->xml;
    report_close(report, NULL, "process_info");
}

void part_processes(struct report *report, const struct row *row)
{
    struct processes *processes = malloc(sizeof *processes);

    if (!processes)
        return;
    read_processes(processes, report->gpu->device);
    if (!processes->count && !report->xml) {
        report_row(report, row->label, row->element, "None");
    } else {
        report_open(report, row->label, row->element);
        for (size_t i = 0; i < processes->count; i++)
            print_process(report, &processes->items[i]);
        report_close(report, row->label, row->element);
    }
    free(processes);
}

static void print_percent(struct report *report, const char *label, const char *element, unsigned int value)
{
    if (value == ~0u)
        report_row(report, label, element, "N/A");
    else
        report_number(report, label, element, value, "%");
}

static void print_accounted(struct report *report, unsigned int pid)
{
    nvmlAccountingStats_t stats = {0};

    if (NVML(nvmlDeviceGetAccountingStats, report->gpu->device, pid, &stats) != NVML_SUCCESS)
        return;
    report_open(report, NULL, "accounted_process_info");
    report_number(report, "Process ID", "pid", pid, "");
    report->depth += !report->xml;
    print_percent(report, "GPU Utilization", "gpu_util", stats.gpuUtilization);
    print_percent(report, "Memory Utilization", "memory_util", stats.memoryUtilization);
    if (stats.maxMemoryUsage == ~0ull)
        report_row(report, "Max memory usage", "max_memory_usage", "N/A");
    else
        report_number(report, "Max memory usage", "max_memory_usage", stats.maxMemoryUsage >> 20, "MiB");
    report_number(report, "Time", "time", stats.time, "ms");
    report_number(report, "Is Running", "is_running", stats.isRunning, "");
    report->depth -= !report->xml;
    report_close(report, NULL, "accounted_process_info");
}

void part_accounted_processes(struct report *report, const struct row *row)
{
    unsigned int pids[4096], count = sizeof pids / sizeof *pids;
    nvmlReturn_t result = NVML(nvmlDeviceGetAccountingPids, report->gpu->device, &count, pids);

    if (result != NVML_SUCCESS || (!count && !report->xml)) {
        report_row(report, row->label, row->element, result == NVML_SUCCESS ? "None" : nvml_text(result));
        return;
    }
    report_open(report, row->label, row->element);
    for (unsigned int i = 0; i < count; i++)
        print_accounted(report, pids[i]);
    report_close(report, row->label, row->element);
}
