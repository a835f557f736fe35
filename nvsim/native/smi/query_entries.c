/* Properties of what a GPU has several of: processes, clocks, pages. */
#include "processes.h"
#include "query.h"

#include <time.h>

static nvmlReturn_t print_time(unsigned long long seconds, char *text, size_t size)
{
    time_t when = (time_t)seconds;
    struct tm local;

    if (!localtime_r(&when, &local))
        return NVML_ERROR_UNKNOWN;
    strftime(text, size, "%a %b %e %H:%M:%S %Y", &local);
    return NVML_SUCCESS;
}

static nvmlReturn_t print_name(unsigned int pid, char *text, size_t size)
{
    process_name(pid, text, size);
    return NVML_SUCCESS;
}

/* The cause of a retired page is known even where the pages are not. */
SPECIAL(entry)
{
    const struct entry *entry = subject->entry;
    nvmlReturn_t result = entry->result;

    UNUSED();
    switch (argument) {
    case ENTRY_PID: return PRINT(result, "%u", entry->process.pid);
    case ENTRY_NAME: return print_name(entry->process.pid, text, size);
    case ENTRY_MEMORY:
        if (entry->process.usedGpuMemory == (unsigned long long)NVML_VALUE_NOT_AVAILABLE)
            return NVML_ERROR_NOT_SUPPORTED;
        return PRINT(result, "%llu", entry->process.usedGpuMemory >> 20);
    case ENTRY_GPU_UTILIZATION: return PRINT(result, "%u", entry->stats.gpuUtilization);
    case ENTRY_MEMORY_UTILIZATION: return PRINT(result, "%u", entry->stats.memoryUtilization);
    case ENTRY_MAX_MEMORY: return PRINT(result, "%llu", entry->stats.maxMemoryUsage >> 20);
    case ENTRY_TIME: return PRINT(result, "%llu", entry->stats.time);
    case ENTRY_MEMORY_CLOCK: return PRINT(result, "%u", entry->clocks[0]);
    case ENTRY_GRAPHICS_CLOCK: return PRINT(result, "%u", entry->clocks[1]);
    case ENTRY_ADDRESS: return PRINT(result, "0x%016llx", entry->address);
    case ENTRY_TIMESTAMP: return result == NVML_SUCCESS ? print_time(entry->timestamp, text, size) : result;
    default:
        return PRINT(NVML_SUCCESS, "%s Bit ECC",
                     entry->cause == NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR ? "Double" : "Single");
    }
}

/* Only a host of virtual GPUs has one. */
SPECIAL(no_vgpu_instance)
{
    UNUSED();
    return PRINT(subject->entry->result, "N/A");
}

SPECIAL(remapped_rows)
{
    unsigned int values[4] = {0};
    nvmlReturn_t result = NVML(nvmlDeviceGetRemappedRows, device, &values[0], &values[1], &values[2], &values[3]);

    UNUSED();
    return PRINT(result, "%u", values[argument]);
}
