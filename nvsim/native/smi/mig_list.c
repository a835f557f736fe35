/* nvidia-smi mig -lgip, -lgipp, -lcip, -lcipp, -lgi, -lci */
#include "mig.h"

#include <stdlib.h>

static void print_gpu_profile(unsigned int gpu, const nvmlGpuInstanceProfileInfo_v2_t *has, unsigned int left)
{
    printf("|%4u  %-18s%2u%6u/%-9u%-11.2f%-7s%-3u%5u%6u   |\n", gpu, has->name, has->id, left, has->instanceCount,
           (double)has->memorySizeMB / 1024, has->isP2pSupported ? "Yes" : "No", has->multiprocessorCount,
           has->decoderCount, has->encoderCount);
    printf("|%62u%6u%6u   |\n", has->copyEngineCount, has->jpegCount, has->ofaCount);
    print_rule_of(77, '-');
}

int list_gpu_profiles(const struct mig *mig)
{
    struct gpu_profiles profiles;
    nvmlReturn_t result = NVML_SUCCESS;

    print_rule_of(77, '-');
    puts("| GPU instance profiles:                                                      |\n"
         "| GPU   Name             ID    Instances   Memory     P2P    SM    DEC   ENC  |\n"
         "|                              Free/Total   GiB              CE    JPEG  OFA  |");
    print_rule_of(77, '=');
    for (size_t i = 0; i < mig->gpus.count && result == NVML_SUCCESS; i++) {
        const struct gpu *gpu = &mig->gpus.items[i];
        result = read_gpu_profiles(gpu->device, &profiles);
        for (size_t n = 0; n < profiles.count && result == NVML_SUCCESS; n++) {
            unsigned int left = 0;
            result = NVML(nvmlDeviceGetGpuInstanceRemainingCapacity, gpu->device, profiles.items[n].id, &left);
            if (result == NVML_SUCCESS)
                print_gpu_profile(gpu->index, &profiles.items[n], left);
        }
    }
    return report_failure(result, "display GPU instance profiles");
}

/* "{0,2,4}:2" after the profile that can lie there. */
static void print_placements(unsigned int profile, const nvmlGpuInstancePlacement_t *places, unsigned int count)
{
    printf("Profile ID %2u Placement%s: {", profile, count == 1 ? " " : "s");
    for (unsigned int i = 0; i < count; i++)
        printf("%s%u", i ? "," : "", places[i].start);
    printf("}:%u\n", count ? places[0].size : 0);
}

static nvmlReturn_t read_gpu_placements(nvmlDevice_t device, unsigned int profile, nvmlGpuInstancePlacement_t *places,
                                        unsigned int *count)
{
    nvmlReturn_t result = NVML(nvmlDeviceGetGpuInstancePossiblePlacements_v2, device, profile, places, count);

    return result == NVML_ERROR_FUNCTION_NOT_FOUND
               ? NVML(nvmlDeviceGetGpuInstancePossiblePlacements, device, profile, places, count)
               : result;
}

int list_gpu_placements(const struct mig *mig)
{
    struct gpu_profiles profiles;
    nvmlReturn_t result = NVML_SUCCESS;

    for (size_t i = 0; i < mig->gpus.count && result == NVML_SUCCESS; i++) {
        const struct gpu *gpu = &mig->gpus.items[i];
        result = read_gpu_profiles(gpu->device, &profiles);
        for (size_t n = 0; n < profiles.count && result == NVML_SUCCESS; n++) {
            nvmlGpuInstancePlacement_t places[MIG_INSTANCES];
            unsigned int count = MIG_INSTANCES;
            result = read_gpu_placements(gpu->device, profiles.items[n].id, places, &count);
            if (result != NVML_SUCCESS)
                break;
            printf("GPU %2u ", gpu->index);
            print_placements(profiles.items[n].id, places, count);
        }
    }
    return report_failure(result, "display GPU instance placements");
}

static nvmlReturn_t print_compute_profile(const struct instance *instance,
                                          const nvmlComputeInstanceProfileInfo_v2_t *has)
{
    unsigned int left = 0;
    nvmlReturn_t result =
        NVML(nvmlGpuInstanceGetComputeInstanceRemainingCapacity, instance->handle, has->id, &left);

    if (result != NVML_SUCCESS)
        return result;
    printf("|%4u%7u       %-18s%4u%c%6u/%-12u%-3u%8u%6u%6u   |\n", instance->gpu, instance->info.id, has->name, has->id,
           has->sliceCount == instance->profile.sliceCount ? '*' : ' ', left, has->instanceCount,
           has->multiprocessorCount, has->sharedDecoderCount, has->sharedEncoderCount, has->sharedOfaCount);
    printf("|%71u%6u         |\n", has->sharedCopyEngineCount, has->sharedJpegCount);
    print_rule_of(86, '-');
    return result;
}

int list_compute_profiles(const struct mig *mig)
{
    struct compute_profiles profiles;
    struct instances instances;
    nvmlReturn_t result = read_instances(mig, &instances);

    if (result != NVML_SUCCESS || !instances.count) {
        free(instances.items);
        return report_none(result, "GPU instances");
    }
    print_rule_of(86, '-');
    puts("| Compute instance profiles:                                                           |\n"
         "| GPU     GPU       Name             Profile  Instances   Exclusive       Shared       |\n"
         "|       Instance                       ID     Free/Total     SM       DEC   ENC   OFA  |\n"
         "|         ID                                                          CE    JPEG       |");
    print_rule_of(86, '=');
    for (size_t i = 0; i < instances.count && result == NVML_SUCCESS; i++) {
        result = read_compute_profiles(&instances.items[i], &profiles);
        for (size_t n = 0; n < profiles.count && result == NVML_SUCCESS; n++)
            result = print_compute_profile(&instances.items[i], &profiles.items[n]);
    }
    free(instances.items);
    return report_failure(result, "display compute instance profiles");
}

static nvmlReturn_t print_compute_placements(const struct instance *instance, unsigned int profile)
{
    nvmlComputeInstancePlacement_t places[MIG_INSTANCES];
    nvmlGpuInstancePlacement_t shown[MIG_INSTANCES];
    unsigned int count = MIG_INSTANCES;
    nvmlReturn_t result =
        NVML(nvmlGpuInstanceGetComputeInstancePossiblePlacements, instance->handle, profile, places, &count);

    if (result != NVML_SUCCESS)
        return result;
    for (unsigned int i = 0; i < count; i++)
        shown[i] = (nvmlGpuInstancePlacement_t){places[i].start, places[i].size};
    printf("GPU %2u GI %2u ", instance->gpu, instance->info.id);
    print_placements(profile, shown, count);
    return result;
}

int list_compute_placements(const struct mig *mig)
{
    struct compute_profiles profiles;
    struct instances instances;
    nvmlReturn_t result = read_instances(mig, &instances);

    if (result != NVML_SUCCESS || !instances.count) {
        free(instances.items);
        return report_none(result, "GPU instances");
    }
    for (size_t i = 0; i < instances.count && result == NVML_SUCCESS; i++) {
        result = read_compute_profiles(&instances.items[i], &profiles);
        for (size_t n = 0; n < profiles.count && result == NVML_SUCCESS; n++)
            result = print_compute_placements(&instances.items[i], profiles.items[n].id);
    }
    free(instances.items);
    return report_failure(result, "display compute instance placements");
}

int list_instances(const struct mig *mig)
{
    struct mig all = {.gpus = mig->gpus}; /* -gi makes no difference here */
    struct instances instances;
    nvmlReturn_t result = read_instances(&all, &instances);

    if (result != NVML_SUCCESS || !instances.count) {
        free(instances.items);
        return result == NVML_SUCCESS || result == NVML_ERROR_NOT_FOUND
                   ? report_none(result, "GPU instances")
                   : report_failure(result, "display GPU instances");
    }
    print_rule_of(55, '-');
    puts("| GPU instances:                                        |\n"
         "| GPU   Name             Profile  Instance   Placement  |\n"
         "|                          ID       ID       Start:Size |");
    print_rule_of(55, '=');
    for (size_t i = 0; i < instances.count; i++) {
        const struct instance *one = &instances.items[i];
        printf("|%4u  %-18s%4u%9u%11u:%-6u|\n", one->gpu, one->profile.name, one->profile.id, one->info.id,
               one->info.placement.start, one->info.placement.size);
        print_rule_of(55, '-');
    }
    free(instances.items);
    return 0;
}

static nvmlReturn_t print_compute(const struct instance *instance, const struct compute *compute)
{
    printf("|%4u%7u       %-18s%4u%10u%11u:%-6u|\n", instance->gpu, instance->info.id, compute->profile.name,
           compute->profile.id, compute->info.id, compute->info.placement.start, compute->info.placement.size);
    print_rule_of(68, '-');
    return NVML_SUCCESS;
}

int list_computes(const struct mig *mig)
{
    struct mig all = {.gpus = mig->gpus, .instances = mig->instances}; /* -ci makes no difference here */
    struct instances instances;
    nvmlReturn_t result = read_instances(&all, &instances);
    bool found = result == NVML_SUCCESS && instances.count;

    if (found && walk_computes(&all, &instances, NULL) == NVML_ERROR_NOT_FOUND) {
        free(instances.items);
        return report_none(NVML_SUCCESS, "compute instances");
    }
    if (found) {
        print_rule_of(68, '-');
        puts("| Compute instances:                                                 |\n"
             "| GPU     GPU       Name             Profile   Instance   Placement  |\n"
             "|       Instance                       ID        ID       Start:Size |\n"
             "|         ID                                                         |");
        print_rule_of(68, '=');
        result = walk_computes(&all, &instances, print_compute);
    }
    free(instances.items);
    return found ? report_failure(result, "display compute instances") : report_none(result, "GPU instances");
}
