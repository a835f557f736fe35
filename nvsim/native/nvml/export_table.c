/* The table of unnamed functions that NVIDIA's nvidia-smi asks for before anything else.  Slot numbers and behaviour
 * are black-box observations of nvidia-smi 470 to 555; unused slots hold a function that touches nothing. */
#include "processes.h"

enum { SLOTS = 256 };

static int unused(nvmlDevice_t first)
{
    unsigned index = 0;
    return index_of(first, &index) ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

/* What an engine did in a sample: how busy it was, and whom it worked for. */
struct engine_sample {
    unsigned utilization;
    unsigned unused;
    unsigned pid;
    unsigned char further[68];
};

/* A sample of all engines: SM, memory, encoder, decoder; since 550 also JPEG and optical flow. */
static unsigned char *write_samples(unsigned char *to, const struct nvsim_gpu *gpu, unsigned i, unsigned processes)
{
    const unsigned busy[] = {LOAD(gpu->process_sm[i]),      LOAD(gpu->process_memory_utilization[i]),
                             LOAD(gpu->process_encoder[i]), LOAD(gpu->process_decoder[i]),
                             LOAD(gpu->process_jpeg[i]),    LOAD(gpu->process_ofa[i])};
    unsigned engines = driver_branch() >= 550 ? 6 : 4;
    uint64_t stamp = now_us();
    memcpy(to, &stamp, sizeof stamp);
    to += sizeof stamp;
    for (unsigned engine = 0; engine < engines; engine++, to += sizeof(struct engine_sample)) {
        struct engine_sample sample = {.utilization = busy[engine] * processes, .pid = LOAD(gpu->process_pid[i])};
        memcpy(to, &sample, sizeof sample);
    }
    return to;
}

/* For pmon, which takes the mean of all samples for each process: a sample holds one process, so each shows as many
 * times its share as there are processes. */
static int process_samples(nvmlDevice_t device, unsigned long long since, void *unknown, unsigned *count, void *samples)
{
    (void)since, (void)unknown;
    GPU_OR_RETURN(gpu, device, count && samples);
    unsigned room = *count, found = 0;
    if (LOAD(gpu->mig_mode) == 1)
        return NVML_ERROR_NOT_SUPPORTED;
    READING(gpu) {
        unsigned processes = 0;
        unsigned char *to = samples;
        for (unsigned i = 0; i < PROCESSES; i++)
            processes += LOAD(gpu->process_pid[i]) != 0;
        found = 0;
        for (unsigned i = 0; i < PROCESSES && found < room; i++)
            if (LOAD(gpu->process_pid[i])) {
                to = write_samples(to, gpu, i, processes);
                found++;
            }
    }
    *count = found;
    return found ? NVML_SUCCESS : NVML_ERROR_NOT_FOUND;
}

static int monitoring(nvmlDevice_t device, unsigned *capable, unsigned version)
{
    (void)version;
    GPU_OR_RETURN(gpu, device, capable != NULL);
    *capable = 1;
    return NVML_SUCCESS;
}

static int bus_id(unsigned index, char *text, unsigned length)
{
    if (!text || index >= (LOAD(nvsim_session) & 0xFF))
        return NVML_ERROR_INVALID_ARGUMENT;
    const struct nvsim_gpu *gpu = gpu_at(index);
    snprintf(text, length, NVML_DEVICE_PCI_BUS_ID_FMT, gpu->pci_domain, gpu->pci_bus, gpu->pci_device);
    return NVML_SUCCESS;
}

static int enforced_limit(nvmlDevice_t device, unsigned *milliwatt)
{
    return nvmlDeviceGetEnforcedPowerLimit(device, milliwatt);
}

/* An entry of the lists below. */
struct named_process {
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
    unsigned long long protected_memory;
    char name[4096];
};

static void write_named(void *entries, unsigned place, const struct nvsim_gpu *gpu, unsigned i)
{
    struct named_process *entry = (struct named_process *)entries + place;
    entry->pid = LOAD(gpu->process_pid[i]);
    entry->memory = LOAD(gpu->process_memory[i]);
    entry->gpu_instance = LOAD(gpu->process_gpu_instance[i]);
    entry->compute_instance = LOAD(gpu->process_compute_instance[i]);
    entry->protected_memory = 0;
    memcpy(entry->name, gpu->process_name[i], sizeof gpu->process_name[i]);
    entry->name[sizeof gpu->process_name[i] - 1] = '\0';
}

/* Callers take nothing but success: with too little room they get as many as fit. */
static int fitting(nvmlDevice_t device, uint32_t kinds, unsigned *count, void *entries)
{
    unsigned room = count && entries ? *count : 0;
    nvmlReturn_t result = list_processes(device, kinds, count, entries, write_named);
    if (result != NVML_ERROR_INSUFFICIENT_SIZE)
        return (int)result;
    *count = room;
    return NVML_SUCCESS;
}

static int compute_processes(nvmlDevice_t device, unsigned *count, void *entries)
{
    return fitting(device, COMPUTE_PROCESSES, count, entries);
}

static int mps_processes(nvmlDevice_t device, unsigned *count, void *entries)
{
    return fitting(device, MPS_PROCESSES, count, entries);
}

static int graphics_processes(nvmlDevice_t device, unsigned *count, void *entries)
{
    return fitting(device, GRAPHICS_PROCESSES, count, entries);
}

static int gpu_part_number(nvmlDevice_t device, char *text, unsigned length)
{
    return get_text(device, text, length, AT(gpu_part_number),
                    sizeof ((struct nvsim_gpu *)0)->gpu_part_number);
}

static int temperature_margin(nvmlDevice_t device, int *celsius)
{
    nvmlMarginTemperature_t margin = {.version = NVSIM_VERSION_nvmlMarginTemperature_v1_t};
    nvmlReturn_t result = nvmlDeviceGetMarginTemperature(device, celsius ? &margin : NULL);
    if (!result)
        *celsius = margin.marginTemperature;
    return result;
}

static int addressing_mode(nvmlDevice_t device, unsigned *mode)
{
    return get_u32(device, mode, AT(addressing_mode));
}

/* Functions of different types share the table; callers know which is which. */
#define SLOT(function) ((void (*)(void))(function))
static void (*table[SLOTS])(void) = {
    [72] = SLOT(monitoring),         [81] = SLOT(bus_id),               [108] = SLOT(enforced_limit),
    [145] = SLOT(process_samples),   [213] = SLOT(compute_processes),   [214] = SLOT(mps_processes),
    [215] = SLOT(graphics_processes), [231] = SLOT(gpu_part_number),    [240] = SLOT(temperature_margin),
    [242] = SLOT(addressing_mode),
};

__attribute__((constructor)) static void fill_table(void)
{
    for (unsigned i = 1; i < SLOTS; i++)
        if (!table[i])
            table[i] = SLOT(unused);
    uintptr_t size = sizeof table;
    memcpy(table, &size, sizeof size);
}

/* Works before initialisation.  A table other than this one: 2. */
nvmlReturn_t nvmlInternalGetExportTable(const void **found, const void *guid)
{
    static const unsigned char known[16] = {0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
                                            0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4};
    if (!found || !guid || memcmp(guid, known, sizeof known))
        return NVML_ERROR_INVALID_ARGUMENT;
    *found = table;
    return NVML_SUCCESS;
}
