/* nvidia-smi mig: profiles, GPU instances and compute instances. */
#pragma once

#include "gpus.h"

enum { MIG_PROFILES = NVML_GPU_INSTANCE_PROFILE_COUNT, MIG_INSTANCES = 64 };

/* What the command is about. */
struct mig {
    struct gpus gpus;      /* those that can do MIG, or are in MIG mode */
    const char *instances; /* -gi: ids, separated by commas; NULL for all */
    const char *computes;  /* -ci */
    const char *profiles;  /* -cgi, -cci: names or ids, separated by commas; NULL for the default one */
    bool fill;             /* -C */
};

struct gpu_profiles {
    nvmlGpuInstanceProfileInfo_v2_t items[MIG_PROFILES];
    size_t count;
};

struct compute_profiles {
    nvmlComputeInstanceProfileInfo_v2_t items[NVML_COMPUTE_INSTANCE_PROFILE_COUNT];
    size_t count;
};

struct instance {
    unsigned int gpu; /* index */
    nvmlDevice_t device;
    nvmlGpuInstance_t handle;
    nvmlGpuInstanceInfo_t info;
    nvmlGpuInstanceProfileInfo_v2_t profile;
};

struct instances {
    struct instance *items;
    size_t count;
};

/* Called for each compute instance of a GPU instance; a status other than 0 ends the walk. */
struct compute {
    nvmlComputeInstance_t handle;
    nvmlComputeInstanceInfo_t info;
    nvmlComputeInstanceProfileInfo_v2_t profile;
};
typedef nvmlReturn_t visit_compute(const struct instance *instance, const struct compute *compute);

nvmlReturn_t read_gpu_profiles(nvmlDevice_t device, struct gpu_profiles *profiles);
nvmlReturn_t read_compute_profiles(const struct instance *instance, struct compute_profiles *profiles);
nvmlReturn_t read_instances(const struct mig *mig, struct instances *instances);
nvmlReturn_t walk_computes(const struct mig *mig, const struct instances *instances, visit_compute *visit);

int list_gpu_profiles(const struct mig *mig);
int list_gpu_placements(const struct mig *mig);
int list_compute_profiles(const struct mig *mig);
int list_compute_placements(const struct mig *mig);
int list_instances(const struct mig *mig);
int list_computes(const struct mig *mig);
int create_instances(const struct mig *mig);
int create_computes(const struct mig *mig);
int destroy_instances(const struct mig *mig);
int destroy_computes(const struct mig *mig);

int report_failure(nvmlReturn_t result, const char *what);
int report_none(nvmlReturn_t result, const char *what);
void print_rule_of(int width, char fill);
