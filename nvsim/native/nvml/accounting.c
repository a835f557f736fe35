/* Accounting: what processes used, while they run and after they ended.  It counts those that came after its mode was
 * turned on. */
#include "change.h"
#include "processes.h"

enum {
    ACCOUNTED = sizeof((struct nvsim_gpu *)0)->accounted_pid / sizeof(uint32_t),
    BUFFER_SIZE = 4000, /* what the driver says; the board holds fewer */
    SAMPLING_PERIOD_US = 1000000,
};

GET_U32(nvmlDeviceGetAccountingMode, nvmlEnableState_t, accounting_mode)
GET_CONSTANT(nvmlDeviceGetAccountingBufferSize, unsigned int, BUFFER_SIZE)

/* One process; `time_ms` is 0 as long as it runs. */
struct account {
    uint32_t pid, sm, memory_utilization, running;
    uint64_t memory, started, time_ms;
};

static struct account running(const struct nvsim_gpu *gpu, unsigned i)
{
    return (struct account){.pid = LOAD(gpu->process_pid[i]), .running = 1,
                            .sm = LOAD(gpu->process_sm[i]),
                            .memory_utilization = LOAD(gpu->process_memory_utilization[i]),
                            .memory = LOAD(gpu->process_memory[i]), .started = LOAD(gpu->process_started[i])};
}

static struct account ended(const struct nvsim_gpu *gpu, unsigned i)
{
    return (struct account){.pid = LOAD(gpu->accounted_pid[i]), .sm = LOAD(gpu->accounted_sm[i]),
                            .memory_utilization = LOAD(gpu->accounted_memory_utilization[i]),
                            .memory = LOAD(gpu->accounted_memory[i]), .started = LOAD(gpu->accounted_started[i]),
                            .time_ms = LOAD(gpu->accounted_time[i])};
}

/* The accounts of a GPU: first those of running processes, then those of ended ones, the latest first; how many. */
static unsigned collect(const struct nvsim_gpu *gpu, struct account accounts[PROCESSES + ACCOUNTED])
{
    uint64_t since = LOAD(gpu->accounting_since), count = LOAD(gpu->accounted_count);
    unsigned found = 0;
    for (unsigned i = 0; i < PROCESSES; i++)
        if (LOAD(gpu->process_pid[i]) && LOAD(gpu->process_started[i]) >= since)
            accounts[found++] = running(gpu, i);
    for (uint64_t i = count; i > 0 && count - i < ACCOUNTED; i--)
        accounts[found++] = ended(gpu, (unsigned)((i - 1) % ACCOUNTED));
    return found;
}

/* 3 if the mode is off. */
static nvmlReturn_t accounts_of(const struct nvsim_gpu *gpu, struct account accounts[PROCESSES + ACCOUNTED],
                                unsigned *found)
{
    uint32_t mode = 0;
    READING(gpu) {
        mode = LOAD(gpu->accounting_mode);
        *found = collect(gpu, accounts);
    }
    return mode ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetAccountingPids(nvmlDevice_t device, unsigned int *count, unsigned int *pids)
{
    struct account accounts[PROCESSES + ACCOUNTED];
    unsigned found = 0;
    GPU_OR_RETURN(gpu, device, count != NULL);
    nvmlReturn_t result = accounts_of(gpu, accounts, &found);
    if (result)
        return result;
    unsigned room = pids ? *count : 0;
    *count = found;
    if (found > room)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < found; i++)
        pids[i] = accounts[i].pid;
    return NVML_SUCCESS;
}

/* Of several processes with one pid, the latest. */
static nvmlReturn_t account_of(const struct nvsim_gpu *gpu, unsigned pid, struct account *account)
{
    struct account accounts[PROCESSES + ACCOUNTED];
    unsigned found = 0;
    nvmlReturn_t result = accounts_of(gpu, accounts, &found);
    for (unsigned i = 0; !result && i < found; i++)
        if (accounts[i].pid == pid) {
            *account = accounts[i];
            return NVML_SUCCESS;
        }
    return result ? result : NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetAccountingStats(nvmlDevice_t device, unsigned int pid, nvmlAccountingStats_t *stats)
{
    struct account account;
    GPU_OR_RETURN(gpu, device, stats != NULL);
    nvmlReturn_t result = account_of(gpu, pid, &account);
    if (!result)
        *stats = (nvmlAccountingStats_t){.gpuUtilization = account.sm,
                                         .memoryUtilization = account.memory_utilization,
                                         .maxMemoryUsage = account.memory,
                                         .time = account.time_ms,
                                         .startTime = account.started,
                                         .isRunning = account.running};
    return result;
}

/* The caller names the process in `stats`.  A sample was taken in each second of its life. */
nvmlReturn_t nvmlDeviceGetAccountingStats_v2(nvmlDevice_t device, nvmlAccountingStats_v2_t *stats)
{
    struct account account;
    GPU_OR_RETURN(gpu, device, stats != NULL);
    nvmlReturn_t result = account_of(gpu, stats->pid, &account);
    if (result)
        return result;
    uint64_t now = now_us(), life = account.time_ms * 1000;
    if (account.running)
        life = now > account.started ? now - account.started : 0;
    unsigned samples = (unsigned)(life / SAMPLING_PERIOD_US) + 1;
    *stats = (nvmlAccountingStats_v2_t){.pid = account.pid,
                                        .isRunning = account.running,
                                        .gpuUtilization = account.sm,
                                        .memoryUtilization = account.memory_utilization,
                                        .maxMemoryUsage = account.memory,
                                        .sampleCount = samples,
                                        .sumGpuUtil = (unsigned long long)account.sm * samples,
                                        .sumFbUtil = (unsigned long long)account.memory_utilization * samples,
                                        .time = account.time_ms,
                                        .startTime = account.started};
    return NVML_SUCCESS;
}

/* Turned off, it forgets everything.  Not while MIG is on. */
static nvmlReturn_t set_mode(struct nvsim_gpu *gpu, void *mode)
{
    uint32_t wanted = *(const nvmlEnableState_t *)mode;
    if (gpu->mig_mode == 1)
        return NVML_ERROR_NOT_SUPPORTED;
    if (wanted && !gpu->accounting_mode)
        gpu->accounting_since = now_us();
    if (!wanted)
        gpu->accounted_count = 0;
    gpu->accounting_mode = wanted;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceSetAccountingMode(nvmlDevice_t device, nvmlEnableState_t mode)
{
    GPU_OR_RETURN(gpu, device, mode <= NVML_FEATURE_ENABLED);
    return change_gpu(device, set_mode, &mode);
}

static nvmlReturn_t forget_ended(struct nvsim_gpu *gpu, void *unused)
{
    (void)unused;
    if (!gpu->accounting_mode)
        return NVML_ERROR_NOT_SUPPORTED;
    gpu->accounted_count = 0;
    return NVML_SUCCESS;
}

/* Of the processes that ended; those that run go on being counted. */
nvmlReturn_t nvmlDeviceClearAccountingPids(nvmlDevice_t device)
{
    return change_gpu(device, forget_ended, NULL);
}
