#include "processes.h"

#include <stdlib.h>

#define LISTED (PROCESSES / 2) /* processes of one kind; the genuine tool asks for as many */

enum kind { COMPUTE = 1, MPS = 2, GRAPHICS = 4 };

/* NVML's function of a kind; drivers before 510 have the second version, which tells the same. */
#define ASK(function)                                                                                                  \
    ((result = NVML(function##_v3, device, count, entries)) == NVML_ERROR_FUNCTION_NOT_FOUND                           \
         ? NVML(function##_v2, device, count, (nvmlProcessInfo_v2_t *)(void *)entries)                                 \
         : result)

static nvmlReturn_t ask(nvmlDevice_t device, enum kind kind, unsigned int *count, nvmlProcessInfo_t *entries)
{
    nvmlReturn_t result;

    switch (kind) {
    case COMPUTE: return ASK(nvmlDeviceGetComputeRunningProcesses);
    case MPS: return ASK(nvmlDeviceGetMPSComputeRunningProcesses);
    default: return ASK(nvmlDeviceGetGraphicsRunningProcesses);
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
            else if (kind != MPS && processes->count < PROCESSES)
                processes->items[processes->count++] = (struct process){.entry = entries[i], .kinds = kind};
        }
    free(entries);
}

static int by_pid(const void *one, const void *other)
{
    const struct process *a = one, *b = other;

    return (a->entry.pid > b->entry.pid) - (a->entry.pid < b->entry.pid);
}

/* The processes of a GPU or of a MIG device, by pid; none if the driver does not say. */
void read_processes(struct processes *processes, nvmlDevice_t device)
{
    processes->count = 0;
    add(processes, device, COMPUTE);
    add(processes, device, GRAPHICS);
    add(processes, device, MPS);
    qsort(processes->items, processes->count, sizeof *processes->items, by_pid);
}

const char *process_type(const struct process *process)
{
    switch (process->kinds) {
    case COMPUTE: return "C";
    case COMPUTE | MPS: return "M+C";
    case COMPUTE | GRAPHICS: return "C+G";
    case COMPUTE | MPS | GRAPHICS: return "M+C+G";
    default: return "G";
    }
}

/* What a driver's process has been started as; why not, in brackets. */
void process_name(unsigned int pid, char *text, size_t size)
{
    nvmlReturn_t result;

    *text = '\0';
    result = NVML(nvmlSystemGetProcessName, pid, text, (unsigned int)size);
    if (result != NVML_SUCCESS)
        snprintf(text, size, "[%s]", nvml_text(result));
}

bool has_known_memory(const struct process *process)
{
    return process->entry.usedGpuMemory != (unsigned long long)NVML_VALUE_NOT_AVAILABLE;
}
