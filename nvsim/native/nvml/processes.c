/* Running processes, from the board's table.  Every version of a list is the same processes in another layout. */
#include "mig.h"
#include "processes.h"

enum { LAST_WIDE_535 = 86 };

/* An entry of each version of the public lists. */
static void write_v1(void *entries, unsigned place, const struct nvsim_gpu *gpu, unsigned i)
{
    ((nvmlProcessInfo_v1_t *)entries)[place] = (nvmlProcessInfo_v1_t){
        .pid = LOAD(gpu->process_pid[i]), .usedGpuMemory = LOAD(gpu->process_memory[i])};
}

/* The second and the third version have the same entries under two names. */
static void write_v2(void *entries, unsigned place, const struct nvsim_gpu *gpu, unsigned i)
{
    ((nvmlProcessInfo_t *)entries)[place] = (nvmlProcessInfo_t){
        .pid = LOAD(gpu->process_pid[i]),
        .usedGpuMemory = LOAD(gpu->process_memory[i]),
        .gpuInstanceId = LOAD(gpu->process_gpu_instance[i]),
        .computeInstanceId = LOAD(gpu->process_compute_instance[i])};
}

/* Outside confidential computing no memory is protected.  The third version wrote these entries too in the first
 * releases of branch 535, which broke its callers; since then it has those of the second version again. */
static void write_detail(void *entries, unsigned place, const struct nvsim_gpu *gpu, unsigned i)
{
    ((nvmlProcessDetail_v1_t *)entries)[place] = (nvmlProcessDetail_v1_t){
        .pid = LOAD(gpu->process_pid[i]),
        .usedGpuMemory = LOAD(gpu->process_memory[i]),
        .gpuInstanceId = LOAD(gpu->process_gpu_instance[i]),
        .computeInstanceId = LOAD(gpu->process_compute_instance[i])};
}

/* Whether process i runs on the device: on its GPU, or on the MIG device in a slot. */
static int runs_on(const struct nvsim_gpu *gpu, unsigned slot, unsigned i)
{
    return slot == MIG_NONE || (LOAD(gpu->process_gpu_instance[i]) == LOAD(gpu->ci_gpu_instance[slot]) &&
                                LOAD(gpu->process_compute_instance[i]) == LOAD(gpu->ci_id[slot]));
}

/* Too few places: 7, and `count` says how many there should be.  A GPU lists those of its MIG devices too.  WSL 2
 * does not see the processes of Windows: its lists are empty. */
nvmlReturn_t list_processes(nvmlDevice_t device, uint32_t kinds, unsigned *count, void *entries, process_writer *write)
{
    ANY_DEVICE_OR_RETURN(gpu, place, device, count != NULL);
    unsigned room = entries ? *count : 0, found = 0;
    READING(gpu) {
        found = 0;
        for (unsigned i = 0; i < PROCESSES; i++) {
            if (is_wsl() || !LOAD(gpu->process_pid[i]) || !(LOAD(gpu->process_kind[i]) & kinds) || !runs_on(gpu, place.slot, i))
                continue;
            if (found < room)
                write(entries, found, gpu, i);
            found++;
        }
    }
    *count = found;
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

#define GET_LIST(function, kinds, type, write) \
    nvmlReturn_t function(nvmlDevice_t device, unsigned int *infoCount, type *infos) \
    { return list_processes(device, kinds, infoCount, infos, write); }

static process_writer *third_version(void)
{
    unsigned release = LOAD(nvsim_board.header.driver_release);
    return driver_branch() == 535 && release <= LAST_WIDE_535 ? write_detail : write_v2;
}

GET_LIST(nvmlDeviceGetComputeRunningProcesses, COMPUTE_PROCESSES, nvmlProcessInfo_v1_t, write_v1)
GET_LIST(nvmlDeviceGetComputeRunningProcesses_v2, COMPUTE_PROCESSES, nvmlProcessInfo_v2_t, write_v2)
GET_LIST(nvmlDeviceGetComputeRunningProcesses_v3, COMPUTE_PROCESSES, nvmlProcessInfo_t, third_version())
GET_LIST(nvmlDeviceGetGraphicsRunningProcesses, GRAPHICS_PROCESSES, nvmlProcessInfo_v1_t, write_v1)
GET_LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, GRAPHICS_PROCESSES, nvmlProcessInfo_v2_t, write_v2)
GET_LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, GRAPHICS_PROCESSES, nvmlProcessInfo_t, third_version())
GET_LIST(nvmlDeviceGetMPSComputeRunningProcesses, MPS_PROCESSES, nvmlProcessInfo_v1_t, write_v1)
GET_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, MPS_PROCESSES, nvmlProcessInfo_v2_t, write_v2)
GET_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, MPS_PROCESSES, nvmlProcessInfo_t, third_version())

nvmlReturn_t nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t device, nvmlProcessDetailList_t *plist)
{
    static const uint32_t kinds[] = {[NVML_PROCESS_MODE_COMPUTE] = COMPUTE_PROCESSES,
                                     [NVML_PROCESS_MODE_GRAPHICS] = GRAPHICS_PROCESSES,
                                     [NVML_PROCESS_MODE_MPS] = MPS_PROCESSES,
                                     [NVML_PROCESS_MODE_ALL] = COMPUTE_PROCESSES | GRAPHICS_PROCESSES};
    ANY_DEVICE_OR_RETURN(gpu, place, device, plist != NULL);
    KNOWN_VERSION(plist, NVSIM_VERSION_nvmlProcessDetailList_v1_t);
    if (plist->mode >= sizeof kinds / sizeof *kinds)
        return NVML_ERROR_INVALID_ARGUMENT;
    return list_processes(device, kinds[plist->mode], &plist->numProcArrayEntries, plist->procArray, write_detail);
}

/* How busy process i keeps the GPU now, as a sample of either version. */
static void write_sample(void *samples, unsigned place, const struct nvsim_gpu *gpu, unsigned i, uint64_t stamp)
{
    ((nvmlProcessUtilizationSample_t *)samples)[place] = (nvmlProcessUtilizationSample_t){
        .pid = LOAD(gpu->process_pid[i]),
        .timeStamp = stamp,
        .smUtil = LOAD(gpu->process_sm[i]),
        .memUtil = LOAD(gpu->process_memory_utilization[i]),
        .encUtil = LOAD(gpu->process_encoder[i]),
        .decUtil = LOAD(gpu->process_decoder[i])};
}

static void write_info(void *samples, unsigned place, const struct nvsim_gpu *gpu, unsigned i, uint64_t stamp)
{
    ((nvmlProcessUtilizationInfo_v1_t *)samples)[place] = (nvmlProcessUtilizationInfo_v1_t){
        .timeStamp = stamp,
        .pid = LOAD(gpu->process_pid[i]),
        .smUtil = LOAD(gpu->process_sm[i]),
        .memUtil = LOAD(gpu->process_memory_utilization[i]),
        .encUtil = LOAD(gpu->process_encoder[i]),
        .decUtil = LOAD(gpu->process_decoder[i]),
        .jpgUtil = LOAD(gpu->process_jpeg[i]),
        .ofaUtil = LOAD(gpu->process_ofa[i])};
}

/* One sample per process, of now: the board keeps no history.  Without samples newer than `last`: 6.  The parent of
 * MIG devices does not say. */
static nvmlReturn_t list_samples(const struct nvsim_gpu *gpu, uint64_t last, unsigned *count, void *samples,
                                 void (*write)(void *, unsigned, const struct nvsim_gpu *, unsigned, uint64_t))
{
    unsigned room = samples ? *count : 0, found = 0;
    uint64_t stamp = now_us();
    if (LOAD(gpu->mig_mode) == 1)
        return NVML_ERROR_NOT_SUPPORTED;
    READING(gpu) {
        found = 0;
        for (unsigned i = 0; i < PROCESSES; i++) {
            if (!LOAD(gpu->process_pid[i]))
                continue;
            if (found < room)
                write(samples, found, gpu, i, stamp);
            found++;
        }
    }
    *count = stamp > last ? found : 0;
    if (!*count)
        return NVML_ERROR_NOT_FOUND;
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *utilization,
                                             unsigned int *processSamplesCount, unsigned long long lastSeenTimeStamp)
{
    GPU_OR_RETURN(gpu, device, processSamplesCount != NULL);
    return list_samples(gpu, lastSeenTimeStamp, processSamplesCount, utilization, write_sample);
}

nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device,
                                                   nvmlProcessesUtilizationInfo_t *procesesUtilInfo)
{
    GPU_OR_RETURN(gpu, device, procesesUtilInfo != NULL);
    KNOWN_VERSION(procesesUtilInfo, NVSIM_VERSION_nvmlProcessesUtilizationInfo_v1_t);
    return list_samples(gpu, procesesUtilInfo->lastSeenTimeStamp, &procesesUtilInfo->processSamplesCount,
                        procesesUtilInfo->procUtilArray, write_info);
}

/* The first argument of a process's command line.  A process that is not there: 6. */
static nvmlReturn_t command_of(unsigned pid, char *name, unsigned length)
{
    char path[32], text[4096];
    snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NVML_ERROR_NOT_FOUND;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0)
        return NVML_ERROR_NOT_FOUND;
    text[got] = '\0';
    snprintf(name, length, "%s", text);
    return NVML_SUCCESS;
}

/* The name that a visible GPU's table has for a process; whether there is one. */
static int name_on_board(unsigned pid, char *name, unsigned length)
{
    unsigned gpus = (unsigned)(LOAD(nvsim_session) & 0xFF);
    for (unsigned index = 0; index < gpus; index++) {
        const struct nvsim_gpu *gpu = gpu_at(index);
        for (unsigned i = 0; i < PROCESSES; i++) {
            if (LOAD(gpu->process_pid[i]) != pid || !gpu->process_name[i][0])
                continue;
            snprintf(name, length, "%.*s", (int)sizeof gpu->process_name[i], gpu->process_name[i]);
            return 1;
        }
    }
    return 0;
}

/* A process of the board's table has the name that stands there, any other one that of its command line.  What does
 * not fit is cut off. */
nvmlReturn_t nvmlSystemGetProcessName(unsigned int pid, char *name, unsigned int length)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!name || !length)
        return NVML_ERROR_INVALID_ARGUMENT;
    return pid && name_on_board(pid, name, length) ? NVML_SUCCESS : command_of(pid, name, length);
}
