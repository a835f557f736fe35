/* nvidia-smi mig -cgi, -cci, -dgi, -dci.  The first failure ends the command; what was done before it stays. */
#include "mig.h"
#include "settings.h"

#include <stdlib.h>
#include <string.h>

enum { ASKED = 128 };

/* One of the profiles that are asked for: "19", "1g.5gb", "19:4". */
struct asked {
    char text[ASKED]; /* as given */
    char name[ASKED]; /* without the place */
    bool placed;
    unsigned int start;
};

/* Takes the next of a list with commas; false at the end. */
static bool next_asked(const char **list, struct asked *asked)
{
    size_t length;
    char *colon, *end;

    *list += strspn(*list, ",");
    if (!**list)
        return false;
    length = strcspn(*list, ",");
    *asked = (struct asked){.placed = false};
    snprintf(asked->text, sizeof asked->text, "%.*s", (int)length, *list);
    snprintf(asked->name, sizeof asked->name, "%s", asked->text);
    if ((colon = strchr(asked->name, ':'))) {
        *colon = '\0';
        asked->start = (unsigned int)strtoul(colon + 1, &end, 0);
        asked->placed = end > colon + 1;
    }
    *list += length;
    return true;
}

/* By id, or by name with or without "MIG ". */
static bool is_asked(const struct asked *asked, unsigned int id, const char *name)
{
    char *end;
    unsigned long number = strtoul(asked->name, &end, 0);

    if (*asked->name && !*end)
        return number == id;
    return !strcmp(asked->name, name) || (!strncmp(name, "MIG ", 4) && !strcmp(asked->name, name + 4));
}

static nvmlReturn_t create_compute(const struct instance *instance, const nvmlComputeInstanceProfileInfo_v2_t *profile,
                                   const struct asked *asked)
{
    nvmlComputeInstancePlacement_t places[MIG_INSTANCES], place;
    nvmlComputeInstanceInfo_t info = {0};
    nvmlComputeInstance_t handle;
    unsigned int count = MIG_INSTANCES;
    nvmlReturn_t result;

    if (asked && asked->placed) {
        result = NVML(nvmlGpuInstanceGetComputeInstancePossiblePlacements, instance->handle, profile->id, places,
                      &count);
        if (result != NVML_SUCCESS || !count)
            return result == NVML_SUCCESS ? NVML_ERROR_INVALID_ARGUMENT : result;
        place = (nvmlComputeInstancePlacement_t){asked->start, places[0].size};
        result = NVML(nvmlGpuInstanceCreateComputeInstanceWithPlacement, instance->handle, profile->id, &place,
                      &handle);
    } else {
        result = NVML(nvmlGpuInstanceCreateComputeInstance, instance->handle, profile->id, &handle);
    }
    if (result == NVML_SUCCESS)
        result = NVML(nvmlComputeInstanceGetInfo_v2, handle, &info);
    if (result == NVML_SUCCESS)
        printf("Successfully created compute instance ID %2u on GPU %2u GPU instance ID %2u using profile %s (ID "
               "%2u)\n", info.id, instance->gpu, instance->info.id, profile->name, profile->id);
    return result;
}

/* Without `asked` the profile that fills the GPU instance. */
static nvmlReturn_t create_asked_compute(const struct instance *instance, const struct asked *asked)
{
    struct compute_profiles profiles;
    const nvmlComputeInstanceProfileInfo_v2_t *chosen = NULL;
    nvmlReturn_t result = read_compute_profiles(instance, &profiles);

    for (size_t i = 0; i < profiles.count && !chosen; i++) {
        const nvmlComputeInstanceProfileInfo_v2_t *one = &profiles.items[i];
        if (asked ? is_asked(asked, one->id, one->name) : one->sliceCount == instance->profile.sliceCount)
            chosen = one;
    }
    if (result == NVML_SUCCESS)
        result = chosen ? create_compute(instance, chosen, asked) : NVML_ERROR_INVALID_ARGUMENT;
    if (result != NVML_SUCCESS)
        printf("Unable to create a compute instance on GPU %2u GPU instance ID %2u using profile %s: %s\n",
               instance->gpu, instance->info.id, asked ? asked->text : "default", setting_text(result));
    return result;
}

int create_computes(const struct mig *mig)
{
    struct instances instances;
    nvmlReturn_t result = read_instances(mig, &instances);
    struct asked asked;

    if (result != NVML_SUCCESS || !instances.count) {
        free(instances.items);
        return report_none(result, "GPU instances");
    }
    for (size_t i = 0; i < instances.count && result == NVML_SUCCESS; i++) {
        const char *list = mig->profiles;
        if (!list)
            result = create_asked_compute(&instances.items[i], NULL);
        while (list && result == NVML_SUCCESS && next_asked(&list, &asked))
            result = create_asked_compute(&instances.items[i], &asked);
    }
    free(instances.items);
    return report_failure(result, "create compute instances");
}

static nvmlReturn_t create_instance(nvmlDevice_t device, unsigned int profile, const struct asked *asked,
                                    nvmlGpuInstance_t *handle)
{
    nvmlGpuInstancePlacement_t places[MIG_INSTANCES], place;
    unsigned int count = MIG_INSTANCES;
    nvmlReturn_t result;

    if (!asked->placed)
        return NVML(nvmlDeviceCreateGpuInstance, device, profile, handle);
    result = NVML(nvmlDeviceGetGpuInstancePossiblePlacements_v2, device, profile, places, &count);
    if (result != NVML_SUCCESS || !count)
        return result == NVML_SUCCESS ? NVML_ERROR_INVALID_ARGUMENT : result;
    place = (nvmlGpuInstancePlacement_t){asked->start, places[0].size};
    return NVML(nvmlDeviceCreateGpuInstanceWithPlacement, device, profile, &place, handle);
}

static nvmlReturn_t create_asked_instance(const struct mig *mig, const struct gpu *gpu, const struct asked *asked)
{
    struct gpu_profiles profiles;
    const nvmlGpuInstanceProfileInfo_v2_t *chosen = NULL;
    struct instance instance = {.gpu = gpu->index, .device = gpu->device};
    nvmlReturn_t result = read_gpu_profiles(gpu->device, &profiles);

    for (size_t i = 0; i < profiles.count && !chosen; i++)
        if (is_asked(asked, profiles.items[i].id, profiles.items[i].name))
            chosen = &profiles.items[i];
    if (result == NVML_SUCCESS)
        result = chosen ? create_instance(gpu->device, chosen->id, asked, &instance.handle)
                        : NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        result = NVML(nvmlGpuInstanceGetInfo, instance.handle, &instance.info);
    if (result != NVML_SUCCESS) {
        printf("Unable to create a GPU instance on GPU %2u using profile %s: %s\n", gpu->index, asked->text,
               setting_text(result));
        return result;
    }
    instance.profile = *chosen;
    printf("Successfully created GPU instance ID %2u on GPU %2u using profile %s (ID %2u)\n", instance.info.id,
           gpu->index, chosen->name, chosen->id);
    return mig->fill ? create_asked_compute(&instance, NULL) : result;
}

int create_instances(const struct mig *mig)
{
    nvmlReturn_t result = NVML_SUCCESS;
    struct asked asked;

    for (size_t i = 0; i < mig->gpus.count && result == NVML_SUCCESS; i++) {
        const char *list = mig->profiles;
        while (result == NVML_SUCCESS && next_asked(&list, &asked))
            result = create_asked_instance(mig, &mig->gpus.items[i], &asked);
    }
    return report_failure(result, "create GPU instances");
}

int destroy_instances(const struct mig *mig)
{
    struct instances instances;
    nvmlReturn_t result = read_instances(mig, &instances);

    if (result != NVML_SUCCESS || !instances.count) {
        free(instances.items);
        return report_none(result, "GPU instances");
    }
    for (size_t i = 0; i < instances.count && result == NVML_SUCCESS; i++) {
        const struct instance *one = &instances.items[i];
        result = NVML(nvmlGpuInstanceDestroy, one->handle);
        if (result == NVML_SUCCESS)
            printf("Successfully destroyed GPU instance ID %2u from GPU %2u\n", one->info.id, one->gpu);
        else
            printf("Unable to destroy GPU instance ID %2u from GPU %2u: %s\n", one->info.id, one->gpu,
                   setting_text(result));
    }
    free(instances.items);
    return report_failure(result, "destroy GPU instances");
}

static nvmlReturn_t destroy_compute(const struct instance *instance, const struct compute *compute)
{
    nvmlReturn_t result = NVML(nvmlComputeInstanceDestroy, compute->handle);

    if (result == NVML_SUCCESS)
        printf("Successfully destroyed compute instance ID %2u from GPU %2u GPU instance ID %2u\n", compute->info.id,
               instance->gpu, instance->info.id);
    else
        printf("Unable to destroy compute instance ID %2u from GPU %2u GPU instance ID %2u: %s\n", compute->info.id,
               instance->gpu, instance->info.id, setting_text(result));
    return result;
}

int destroy_computes(const struct mig *mig)
{
    struct instances instances;
    nvmlReturn_t result = read_instances(mig, &instances);
    int status;

    if (result != NVML_SUCCESS || !instances.count)
        status = report_none(result, "GPU instances");
    else if (walk_computes(mig, &instances, NULL) == NVML_ERROR_NOT_FOUND)
        status = report_none(NVML_SUCCESS, "compute instances");
    else
        status = report_failure(walk_computes(mig, &instances, destroy_compute), "destroy compute instances");
    free(instances.items);
    return status;
}
