#include "entries.h"

#include <stdlib.h>

enum { APPS = 250, PIDS = 4096, MEMORY_CLOCKS = 128, GRAPHICS_CLOCKS = 1024, PAGES = 256 };

/* Without memory for it an entry is left out. */
static void add(struct entries *entries, struct entry entry)
{
    struct entry *items = realloc(entries->items, (entries->count + 1) * sizeof *items);

    if (!items)
        return;
    items[entries->count++] = entry;
    entries->items = items;
}

static void add_compute_apps(struct entries *entries, nvmlDevice_t device)
{
    nvmlProcessInfo_t found[APPS];
    unsigned int count = APPS;
    nvmlReturn_t result = NVML(nvmlDeviceGetComputeRunningProcesses_v3, device, &count, found);

    if (result == NVML_ERROR_FUNCTION_NOT_FOUND)
        result = NVML(nvmlDeviceGetComputeRunningProcesses_v2, device, &count, (nvmlProcessInfo_v2_t *)(void *)found);
    for (unsigned int i = 0; result == NVML_SUCCESS && i < count && i < APPS; i++)
        add(entries, (struct entry){.process = found[i]});
}

static void add_accounted_apps(struct entries *entries, nvmlDevice_t device)
{
    unsigned int pids[PIDS], count = PIDS;
    nvmlReturn_t result = NVML(nvmlDeviceGetAccountingPids, device, &count, pids);

    if (result != NVML_SUCCESS)
        add(entries, (struct entry){.result = result});
    for (unsigned int i = 0; result == NVML_SUCCESS && i < count && i < PIDS; i++) {
        struct entry entry = {.process = {.pid = pids[i]}};
        entry.result = NVML(nvmlDeviceGetAccountingStats, device, pids[i], &entry.stats);
        add(entries, entry);
    }
}

static void add_supported_clocks(struct entries *entries, nvmlDevice_t device)
{
    unsigned int memory[MEMORY_CLOCKS], graphics[GRAPHICS_CLOCKS], count = MEMORY_CLOCKS;
    nvmlReturn_t result = NVML(nvmlDeviceGetSupportedMemoryClocks, device, &count, memory);

    if (result != NVML_SUCCESS)
        add(entries, (struct entry){.result = result});
    for (unsigned int i = 0; result == NVML_SUCCESS && i < count && i < MEMORY_CLOCKS; i++) {
        unsigned int several = GRAPHICS_CLOCKS;
        if (NVML(nvmlDeviceGetSupportedGraphicsClocks, device, memory[i], &several, graphics) != NVML_SUCCESS)
            continue;
        for (unsigned int n = 0; n < several && n < GRAPHICS_CLOCKS; n++)
            add(entries, (struct entry){.clocks = {memory[i], graphics[n]}});
    }
}

static void add_retired_pages(struct entries *entries, nvmlDevice_t device)
{
    unsigned long long addresses[PAGES], timestamps[PAGES];

    for (unsigned int cause = 0; cause < NVML_PAGE_RETIREMENT_CAUSE_COUNT; cause++) {
        unsigned int count = PAGES;
        nvmlReturn_t result = NVML(nvmlDeviceGetRetiredPages_v2, device, (nvmlPageRetirementCause_t)cause, &count,
                                   addresses, timestamps);
        struct entry entry = {.result = result, .cause = (nvmlPageRetirementCause_t)cause};
        if (result != NVML_SUCCESS)
            add(entries, entry);
        for (unsigned int i = 0; result == NVML_SUCCESS && i < count && i < PAGES; i++) {
            entry.address = addresses[i], entry.timestamp = timestamps[i];
            add(entries, entry);
        }
    }
}

/* The rows that a GPU gives to a query, in NVML's order; free(items) afterwards.  --query-gpu and
 * --query-remapped-rows have one row for each GPU. */
struct entries read_entries(enum query query, nvmlDevice_t device)
{
    struct entries entries = {0};

    switch (query) {
    case QUERY_COMPUTE_APPS: add_compute_apps(&entries, device); break;
    case QUERY_ACCOUNTED_APPS: add_accounted_apps(&entries, device); break;
    case QUERY_SUPPORTED_CLOCKS: add_supported_clocks(&entries, device); break;
    case QUERY_RETIRED_PAGES: add_retired_pages(&entries, device); break;
    default: add(&entries, (struct entry){0});
    }
    return entries;
}
