/* The table of processes: each pid of a GPU once, with the kinds of its contexts. */
#include "table.h"

#include <stdlib.h>
#include <string.h>

#define CELL 64
#define LISTED 500 /* processes of one kind on one GPU; the genuine tool asks for as many */

enum kind { COMPUTE = 1, MPS = 2, GRAPHICS = 4 };

struct process {
    nvmlProcessInfo_t entry;
    unsigned int kinds; /* bits of enum kind */
};

struct processes {
    struct process items[2 * LISTED];
    size_t count;
};

static nvmlReturn_t ask(nvmlDevice_t device, enum kind kind, unsigned int *count, nvmlProcessInfo_t *entries)
{
    switch (kind) {
    case COMPUTE: return NVML(nvmlDeviceGetComputeRunningProcesses_v3, device, count, entries);
    case MPS: return NVML(nvmlDeviceGetMPSComputeRunningProcesses_v3, device, count, entries);
    default: return NVML(nvmlDeviceGetGraphicsRunningProcesses_v3, device, count, entries);
    }
}

static struct process *find(struct processes *processes, unsigned int pid)
{
    for (size_t i = 0; i < processes->count; i++)
        if (processes->items[i].entry.pid == pid)
            return &processes->items[i];
    return NULL;
}

/* A pid that is only known to MPS is not shown. */
static void add(struct processes *processes, nvmlDevice_t device, enum kind kind)
{
    nvmlProcessInfo_t *entries = calloc(LISTED, sizeof *entries);
    unsigned int count = LISTED;

    if (entries && ask(device, kind, &count, entries) == NVML_SUCCESS)
        for (unsigned int i = 0; i < count && i < LISTED; i++) {
            struct process *known = find(processes, entries[i].pid);
            if (known)
                known->kinds |= kind;
            else if (kind != MPS && processes->count < 2 * LISTED)
                processes->items[processes->count++] = (struct process){.entry = entries[i], .kinds = kind};
        }
    free(entries);
}

static const char *type_of(unsigned int kinds)
{
    switch (kinds) {
    case COMPUTE: return "C";
    case COMPUTE | MPS: return "M+C";
    case COMPUTE | GRAPHICS: return "C+G";
    case COMPUTE | MPS | GRAPHICS: return "M+C+G";
    default: return "G";
    }
}

static void instance_cell(unsigned int id, char *cell)
{
    if (id == ~0u)
        snprintf(cell, CELL, "N/A");
    else
        snprintf(cell, CELL, "%2u ", id);
}

/* Long names lose their beginning: what tells two processes apart is at the end. */
static void name_cell(unsigned int pid, size_t width, char *cell, size_t size)
{
    nvmlReturn_t result;

    *cell = '\0';
    result = NVML(nvmlSystemGetProcessName, pid, cell, (unsigned int)size);
    if (result != NVML_SUCCESS)
        snprintf(cell, size, "[%s]", nvml_text(result));
    if (strlen(cell) > width) {
        memmove(cell + 3, cell + strlen(cell) - (width - 3), width - 2);
        memcpy(cell, "...", 3);
    }
}

static void print_process(const struct layout *layout, unsigned int gpu, const struct process *process, FILE *out)
{
    char instance[CELL], compute[CELL], name[4096], memory[CELL] = "N/A     ";

    instance_cell(process->entry.gpuInstanceId, instance);
    instance_cell(process->entry.computeInstanceId, compute);
    name_cell(process->entry.pid, (size_t)layout->process, name, sizeof name);
    if (process->entry.usedGpuMemory != ~0ull)
        snprintf(memory, sizeof memory, "%lluMiB", process->entry.usedGpuMemory >> 20);
    fprintf(out, "|%5u   %3s  %3s%*u%7s   %-*s%*s |\n", gpu, instance, compute, layout->pid, process->entry.pid,
            type_of(process->kinds), layout->process, name, layout->process_memory, memory);
}

void print_processes(const struct layout *layout, const struct gpus *gpus, FILE *out)
{
    struct processes *processes = malloc(sizeof *processes);
    int rest = layout->width - layout->pid - 26;
    bool found = false;

    print_full_rule(layout, out, '+', '-');
    fprintf(out, "| %-*s|\n", layout->width - 1, "Processes:");
    fprintf(out, "|  GPU   GI   CI %*s   Type   %-*sGPU Memory |\n", layout->pid, "PID", rest - 11, "Process name");
    fprintf(out, "|        ID   ID %*s          %-*sUsage      |\n", layout->pid, "", rest - 11, "");
    print_full_rule(layout, out, '|', '=');
    for (size_t i = 0; processes && i < gpus->count; i++) {
        processes->count = 0;
        add(processes, gpus->items[i].device, COMPUTE);
        add(processes, gpus->items[i].device, GRAPHICS);
        add(processes, gpus->items[i].device, MPS);
        for (size_t n = 0; n < processes->count; n++)
            print_process(layout, gpus->items[i].index, &processes->items[n], out);
        found |= processes->count;
    }
    if (!found)
        fprintf(out, "|%-*s|\n", layout->width, "  No running processes found");
    print_full_rule(layout, out, '+', '-');
    free(processes);
}
