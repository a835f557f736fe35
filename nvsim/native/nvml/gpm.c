/* GPU performance metrics (GPM): a client takes two samples and asks for what happened between them.  A sample is a
 * copy of what the board says at that time; a rate comes from the counters if they moved, else from the board's own
 * rate, and a percentage is the mean of both samples. */
#include <stdlib.h>
#include <time.h>

#include "change.h"

enum { SAMPLES_MAX = 4096, LINKS = NVML_NVLINK_MAX_LINKS };

struct nvmlGpmSample_st {
    const struct nvsim_slot *slot;
    uint64_t ns;
    uint32_t sm, memory, decoder, jpeg, ofa;
    uint32_t pcie_sent, pcie_received;
    uint32_t links;
    uint64_t sent[LINKS], received[LINKS];
};

/* Live samples: a pointer that is not here is no sample. */
static nvmlGpmSample_t samples[SAMPLES_MAX];

static int swap(nvmlGpmSample_t from, nvmlGpmSample_t to)
{
    for (unsigned i = 0; i < SAMPLES_MAX; i++) {
        nvmlGpmSample_t expected = from;
        if (__atomic_compare_exchange_n(&samples[i], &expected, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return 1;
    }
    return 0;
}

static int known(nvmlGpmSample_t sample)
{
    for (unsigned i = 0; sample && i < SAMPLES_MAX; i++)
        if (LOAD(samples[i]) == sample)
            return 1;
    return 0;
}

nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *gpmSample)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!gpmSample)
        return NVML_ERROR_INVALID_ARGUMENT;
    nvmlGpmSample_t fresh = calloc(1, sizeof *fresh);
    if (!fresh || !swap(NULL, fresh)) {
        free(fresh);
        return NVML_ERROR_MEMORY;
    }
    *gpmSample = fresh;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t gpmSample)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!gpmSample || !swap(gpmSample, NULL))
        return NVML_ERROR_INVALID_ARGUMENT;
    free(gpmSample);
    return NVML_SUCCESS;
}

static void take(const struct nvsim_gpu *gpu, nvmlGpmSample_t sample)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    sample->slot = slot_of(gpu);
    sample->ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    READING(gpu) {
        sample->sm = LOAD(gpu->utilization_gpu);
        sample->memory = LOAD(gpu->utilization_memory);
        sample->decoder = LOAD(gpu->utilization_decoder);
        sample->jpeg = LOAD(gpu->utilization_jpeg);
        sample->ofa = LOAD(gpu->utilization_ofa);
        sample->pcie_sent = LOAD(gpu->pcie_tx);
        sample->pcie_received = LOAD(gpu->pcie_rx);
        sample->links = gpu->nvlink_links < LINKS ? gpu->nvlink_links : LINKS;
        memcpy(sample->sent, gpu->nvlink_sent, sizeof sample->sent);
        memcpy(sample->received, gpu->nvlink_received, sizeof sample->received);
    }
}

nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t device, nvmlGpmSample_t gpmSample)
{
    GPU_OR_RETURN(gpu, device, known(gpmSample));
    if (!gpu->gpm)
        return NVML_ERROR_NOT_SUPPORTED;
    take(gpu, gpmSample);
    return NVML_SUCCESS;
}

/* The whole GPU's values, for each of its instances. */
nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t device, unsigned int gpuInstanceId, nvmlGpmSample_t gpmSample)
{
    GPU_OR_RETURN(gpu, device, known(gpmSample));
    nvmlGpuInstance_t instance = NULL;
    if (!gpu->gpm)
        return NVML_ERROR_NOT_SUPPORTED;
    nvmlReturn_t result = nvmlDeviceGetGpuInstanceById(device, gpuInstanceId, &instance);
    if (!result)
        take(gpu, gpmSample);
    return result;
}

nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, nvmlGpmSupport_t *gpmSupport)
{
    GPU_OR_RETURN(gpu, device, gpmSupport != NULL);
    if (gpmSupport->version != NVML_GPM_SUPPORT_VERSION)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    gpmSupport->isSupportedDevice = gpu->gpm;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmQueryIfStreamingEnabled(nvmlDevice_t device, unsigned int *state)
{
    GPU_OR_RETURN(gpu, device, state != NULL);
    if (!gpu->gpm)
        return NVML_ERROR_NOT_SUPPORTED;
    *state = LOAD(gpu->gpm_streaming);
    return NVML_SUCCESS;
}

static nvmlReturn_t set_streaming(struct nvsim_gpu *gpu, void *state)
{
    gpu->gpm_streaming = *(const unsigned *)state;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmSetStreamingEnabled(nvmlDevice_t device, unsigned int state)
{
    GPU_OR_RETURN(gpu, device, state <= 1);
    return gpu->gpm ? change_gpu(device, set_streaming, &state) : NVML_ERROR_NOT_SUPPORTED;
}

/* A metric: its names, unit, and what it is made of.  `part` is the share of the GPU's activity in percent, for those
 * that the board does not hold one by one: half of the work is on tensor cores, by half-precision numbers. */
struct metric {
    unsigned id;
    char *name;
    char *unit;
    size_t offset;
    unsigned part;
};

#define OF(name) offsetof(struct nvmlGpmSample_st, name)

static char percent[] = "%", mebibytes[] = "MiB/s";

static const struct metric metrics[] = {
    {NVML_GPM_METRIC_GRAPHICS_UTIL, "Graphics Activity", percent, OF(sm), 100},
    {NVML_GPM_METRIC_SM_UTIL, "SM Activity", percent, OF(sm), 100},
    {NVML_GPM_METRIC_SM_OCCUPANCY, "SM Occupancy", percent, OF(sm), 50},
    {NVML_GPM_METRIC_INTEGER_UTIL, "Integer Activity", percent, OF(sm), 10},
    {NVML_GPM_METRIC_ANY_TENSOR_UTIL, "Tensor Activity", percent, OF(sm), 50},
    {NVML_GPM_METRIC_DFMA_TENSOR_UTIL, "DFMA Tensor Activity", percent, OF(sm), 0},
    {NVML_GPM_METRIC_HMMA_TENSOR_UTIL, "HMMA Tensor Activity", percent, OF(sm), 50},
    {NVML_GPM_METRIC_DMMA_TENSOR_UTIL, "DMMA Tensor Activity", percent, OF(sm), 0},
    {NVML_GPM_METRIC_IMMA_TENSOR_UTIL, "IMMA Tensor Activity", percent, OF(sm), 0},
    {NVML_GPM_METRIC_DRAM_BW_UTIL, "DRAM Activity", percent, OF(memory), 100},
    {NVML_GPM_METRIC_FP64_UTIL, "FP64 Activity", percent, OF(sm), 0},
    {NVML_GPM_METRIC_FP32_UTIL, "FP32 Activity", percent, OF(sm), 20},
    {NVML_GPM_METRIC_FP16_UTIL, "FP16 Activity", percent, OF(sm), 10},
    {NVML_GPM_METRIC_PCIE_TX_PER_SEC, "PCIe TX", mebibytes, OF(pcie_sent), 0},
    {NVML_GPM_METRIC_PCIE_RX_PER_SEC, "PCIe RX", mebibytes, OF(pcie_received), 0},
    {NVML_GPM_METRIC_NVDEC_0_UTIL, "NVDEC 0 Activity", percent, OF(decoder), 100},
    {NVML_GPM_METRIC_NVJPG_0_UTIL, "NVJPG 0 Activity", percent, OF(jpeg), 100},
    {NVML_GPM_METRIC_NVOFA_0_UTIL, "NVOFA 0 Activity", percent, OF(ofa), 100},
    {NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC, "NVLink Total RX", mebibytes, OF(received), 0},
    {NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC, "NVLink Total TX", mebibytes, OF(sent), 0},
    {NVML_GPM_METRIC_NVLINK_L0_RX_PER_SEC, "NVLink RX", mebibytes, OF(received), 0},
    {NVML_GPM_METRIC_NVLINK_L0_TX_PER_SEC, "NVLink TX", mebibytes, OF(sent), 0},
};

/* The link that a metric is of, in the two ranges of their ids; -1 for another metric, or all links. */
static int link_of_metric(unsigned id)
{
    if (id >= NVML_GPM_METRIC_NVLINK_L0_RX_PER_SEC && id <= NVML_GPM_METRIC_NVLINK_L17_TX_PER_SEC)
        return (int)(id - NVML_GPM_METRIC_NVLINK_L0_RX_PER_SEC) / 2;
    if (id >= NVML_GPM_METRIC_NVLINK_L18_RX_PER_SEC && id <= NVML_GPM_METRIC_NVLINK_L35_TX_PER_SEC)
        return (int)(id - NVML_GPM_METRIC_NVLINK_L18_RX_PER_SEC) / 2 + 18;
    return -1;
}

/* Links share one description for each direction. */
static const struct metric *metric_of(unsigned id, int link)
{
    if (link >= 0)
        id = (id & 1) ? NVML_GPM_METRIC_NVLINK_L0_TX_PER_SEC : NVML_GPM_METRIC_NVLINK_L0_RX_PER_SEC;
    for (const struct metric *metric = metrics; metric < metrics + sizeof metrics / sizeof *metrics; metric++)
        if (metric->id == id)
            return metric;
    return NULL;
}

static const void *at(nvmlGpmSample_t sample, const struct metric *metric)
{
    return (const char *)sample + metric->offset;
}

/* MiB a second, from counters of KiB. */
static double link_rate(nvmlGpmSample_t a, nvmlGpmSample_t b, const struct metric *metric, int link)
{
    const uint64_t *before = at(a, metric), *after = at(b, metric);
    double moved = 0;
    for (int i = 0; i < LINKS; i++)
        if (link < 0 || link == i)
            moved += (double)(after[i] - before[i]);
    return b->ns > a->ns ? moved / 1024 / ((double)(b->ns - a->ns) / 1e9) : 0;
}

static nvmlReturn_t measure(nvmlGpmSample_t a, nvmlGpmSample_t b, nvmlGpmMetric_t *asked)
{
    int link = link_of_metric(asked->metricId);
    const struct metric *metric = metric_of(asked->metricId, link);
    if (!metric)
        return NVML_ERROR_NOT_SUPPORTED;
    int of_links = metric->offset == OF(sent) || metric->offset == OF(received);
    if (of_links && (!a->links || link >= (int)a->links))
        return NVML_ERROR_NOT_SUPPORTED;
    asked->metricInfo.shortName = asked->metricInfo.longName = metric->name;
    asked->metricInfo.unit = metric->unit;
    if (of_links) {
        asked->value = link_rate(a, b, metric, link);
        return NVML_SUCCESS;
    }
    uint32_t before = *(const uint32_t *)at(a, metric), after = *(const uint32_t *)at(b, metric);
    if (before == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    double mean = ((double)before + after) / 2;
    asked->value = metric->unit == percent ? mean * metric->part / 100 : mean / 1024;
    return NVML_SUCCESS;
}

/* Both samples must have been taken, of one GPU. */
nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *metricsGet)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!metricsGet)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (metricsGet->version != NVML_GPM_METRICS_GET_VERSION)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlGpmSample_t a = metricsGet->sample1, b = metricsGet->sample2;
    unsigned room = sizeof metricsGet->metrics / sizeof *metricsGet->metrics;
    if (!known(a) || !known(b) || !a->slot || a->slot != b->slot || metricsGet->numMetrics > room)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned i = 0; i < metricsGet->numMetrics; i++)
        metricsGet->metrics[i].nvmlReturn = measure(a, b, &metricsGet->metrics[i]);
    return NVML_SUCCESS;
}
