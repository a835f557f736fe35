/* Options that change a GPU: each is applied to one GPU after the other. */
#pragma once

#include "gpus.h"

/* What the command line asks for. */
struct change {
    const struct setting *setting;
    const char *text;   /* the value as it was given; NULL for an option without one */
    long number;        /* the value, where it is a number or has a name */
    long scope;         /* --scope of a power limit */
    bool strict;        /* --error-on-warning */
};

/* A GPU that is being changed, and what came of it. */
struct target {
    const struct gpu *gpu;
    char bus_id[NVML_DEVICE_PCI_BUS_ID_BUFFER_SIZE];
    FILE *out;
    bool warned;      /* the status is no reason to stop */
    bool needs_reboot;
    bool fleeting;    /* the change is lost when the driver puts the GPU away */
    bool silent;      /* the end of the command is not announced */
    int status;       /* 0, or why the GPU could not be changed */
};

typedef void apply(struct target *target, const struct change *change);

enum value { VALUE_NONE, VALUE_NUMBER, VALUE_TEXT };

struct setting {
    const char *letter, *word; /* NULL: there is only the other */
    enum value value;
    const char *names[5];      /* names of the numbers from 0 on; case matters */
    apply *apply;
};

const struct setting *find_setting(const char *token);
bool read_change(struct change *change);
int apply_change(const struct gpus *gpus, const struct change *change, FILE *out);

void warn(struct target *target);
void refuse(struct target *target, int status);
void settle(struct target *target, nvmlReturn_t result, const char *action);
const char *setting_text(nvmlReturn_t result);

apply set_persistence, set_ecc, clear_ecc, set_compute_mode, set_operation_mode, set_accounting, clear_accounting,
    set_mig, set_target_temperature, set_power_limit, set_virtualization, set_auto_boost, set_auto_boost_permission,
    set_driver_model, set_cuda_clocks, reset_gpu, lock_gpu_clocks, reset_gpu_clocks, lock_memory_clocks,
    reset_memory_clocks, lock_deferred_clocks, reset_deferred_clocks, set_applications_clocks,
    reset_applications_clocks;
