/* The table of MIG devices, printed when a GPU is in MIG mode. */
#include "table.h"

#define CELL 64

static void print_mig_rule(const struct layout *layout, FILE *out, char edge, char fill)
{
    print_rule(out, edge, fill, edge, (int[]){18, layout->mig_memory, 11, 23, 0});
}

static void print_head(const struct layout *layout, FILE *out)
{
    int memory = layout->mig_memory - 1;

    print_full_rule(layout, out, '+', '-');
    fprintf(out, "| %-*s|\n", layout->width - 1, "MIG devices:");
    print_mig_rule(layout, out, '+', '-');
    fprintf(out, "| GPU  GI  CI  MIG |%*s |        Vol|%s|\n", memory, "Memory-Usage", layout->shared);
    fprintf(out, "|      ID  ID  Dev |%*s | SM     Unc|%s|\n", memory, "BAR1-Usage", layout->engines);
    fprintf(out, "|                  |%*s |        ECC|%23s|\n", memory, "", "");
    print_mig_rule(layout, out, '|', '=');
}

/* What a row says of a MIG device. */
struct mig_device {
    unsigned int instance, compute;
    unsigned long long used, total;
    nvmlBAR1Memory_t bar1;
    nvmlDeviceAttributes_t attributes;
    unsigned long long errors; /* uncorrected SRAM errors */
    bool counted;              /* whether `errors` is known */
};

/* A device that cannot be described is left out; only the error counter may be unsupported. */
static bool read_device(nvmlDevice_t device, struct mig_device *mig)
{
    nvmlReturn_t result = NVML(nvmlDeviceGetMemoryErrorCounter, device, NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
                               NVML_VOLATILE_ECC, NVML_MEMORY_LOCATION_SRAM, &mig->errors);

    mig->counted = result == NVML_SUCCESS;
    return (mig->counted || result == NVML_ERROR_NOT_SUPPORTED) &&
           NVML(nvmlDeviceGetGpuInstanceId, device, &mig->instance) == NVML_SUCCESS &&
           NVML(nvmlDeviceGetComputeInstanceId, device, &mig->compute) == NVML_SUCCESS &&
           NVML(nvmlDeviceGetAttributes_v2, device, &mig->attributes) == NVML_SUCCESS &&
           NVML(nvmlDeviceGetBAR1MemoryInfo, device, &mig->bar1) == NVML_SUCCESS &&
           read_memory_use(device, &mig->used, &mig->total) == NVML_SUCCESS;
}

/* "13MiB / 19968MiB", the used memory ending in column `used_end`. */
static void print_use(const struct layout *layout, int used_end, unsigned long long used, unsigned long long total,
                      FILE *out)
{
    char used_cell[CELL], total_cell[CELL];

    snprintf(used_cell, sizeof used_cell, "%lluMiB", mib(used));
    snprintf(total_cell, sizeof total_cell, "%5lluMiB", mib(total));
    fprintf(out, "|%*s / %-*s|", used_end, used_cell, layout->mig_memory - used_end - 3, total_cell);
}

static void print_device(const struct layout *layout, unsigned int gpu, unsigned int index,
                         const struct mig_device *mig, FILE *out)
{
    const nvmlDeviceAttributes_t *has = &mig->attributes;
    char errors[CELL] = "N/A";

    if (mig->counted)
        snprintf(errors, sizeof errors, "%llu", mig->errors);
    fprintf(out, "|%3u  %3u %3u %3u  ", gpu, mig->instance, mig->compute, index);
    print_use(layout, layout->mig_used, mig->used, mig->total, out);
    fprintf(out, "%3u%7s |%3u%4u%5u%5u%5u |\n", has->multiprocessorCount, errors, has->sharedCopyEngineCount,
            has->sharedEncoderCount, has->sharedDecoderCount, has->sharedOfaCount, has->sharedJpegCount);
    fprintf(out, "|%18s", "");
    print_use(layout, layout->mig_bar1, mig->bar1.bar1Used, mig->bar1.bar1Total, out);
    fprintf(out, "%11s|%23s|\n", "", "");
    print_mig_rule(layout, out, '+', '-');
}

/* The rows of a GPU; whether there was one. */
static bool print_devices(const struct layout *layout, const struct gpu *gpu, FILE *out)
{
    unsigned int count = 0;
    bool found = false;
    nvmlDevice_t device;

    if (NVML(nvmlDeviceGetMaxMigDeviceCount, gpu->device, &count) != NVML_SUCCESS)
        return false;
    for (unsigned int index = 0; index < count; index++) {
        struct mig_device mig = {0};
        if (NVML(nvmlDeviceGetMigDeviceHandleByIndex, gpu->device, index, &device) != NVML_SUCCESS ||
            !read_device(device, &mig))
            continue;
        print_device(layout, gpu->index, index, &mig, out);
        found = true;
    }
    return found;
}

void print_mig(const struct layout *layout, const struct gpus *gpus, FILE *out)
{
    bool found = false;

    fputc('\n', out);
    print_head(layout, out);
    for (size_t i = 0; i < gpus->count; i++)
        found |= print_devices(layout, &gpus->items[i], out);
    if (!found) {
        fprintf(out, "|%-*s|\n", layout->width, "  No MIG devices found");
        print_full_rule(layout, out, '+', '-');
    }
}
