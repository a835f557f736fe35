/* The table of processes. */
#include "processes.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

#define CELL 64

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
    process_name(pid, cell, size);
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
    if (has_known_memory(process))
        snprintf(memory, sizeof memory, "%lluMiB", process->entry.usedGpuMemory >> 20);
    fprintf(out, "|%5u   %3s  %3s%*u%7s   %-*s%*s |\n", gpu, instance, compute, layout->pid, process->entry.pid,
            process_type(process), layout->process, name, layout->process_memory, memory);
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
        read_processes(processes, gpus->items[i].device);
        for (size_t n = 0; n < processes->count; n++)
            print_process(layout, gpus->items[i].index, &processes->items[n], out);
        found |= processes->count;
    }
    if (!found)
        fprintf(out, "|%-*s|\n", layout->width, "  No running processes found");
    print_full_rule(layout, out, '+', '-');
    free(processes);
}
