/* The MIG devices of a GPU: which there are, and what each is. */
#include <stdio.h>
#include <string.h>

#include "board/mig.h"

unsigned mig_gi_with_id(const struct nvsim_gpu *gpu, unsigned id)
{
    for (unsigned slot = 0; slot < MIG_SLOTS; slot++)
        if (LOAD(gpu->gi_size[slot]) && LOAD(gpu->gi_id[slot]) == id)
            return slot;
    return MIG_NONE;
}

unsigned mig_ci_with_id(const struct nvsim_gpu *gpu, unsigned gi, unsigned id)
{
    for (unsigned slot = 0; slot < MIG_SLOTS; slot++)
        if (LOAD(gpu->ci_size[slot]) && LOAD(gpu->ci_gpu_instance[slot]) == gi && LOAD(gpu->ci_id[slot]) == id)
            return slot;
    return MIG_NONE;
}

/* The slots of a GPU's MIG devices, by GPU instance id, then compute instance id; how many. */
static unsigned in_order(const struct nvsim_gpu *gpu, unsigned slots[MIG_SLOTS])
{
    unsigned count = 0;
    for (unsigned slot = 0; slot < MIG_SLOTS; slot++) {
        unsigned place = count;
        uint64_t key = (uint64_t)LOAD(gpu->ci_gpu_instance[slot]) << 32 | LOAD(gpu->ci_id[slot]);
        if (!LOAD(gpu->ci_size[slot]))
            continue;
        for (; place; place--) {
            unsigned other = slots[place - 1];
            if (((uint64_t)LOAD(gpu->ci_gpu_instance[other]) << 32 | LOAD(gpu->ci_id[other])) < key)
                break;
            slots[place] = other;
        }
        slots[place] = slot;
        count++;
    }
    return count;
}

unsigned mig_devices(const struct nvsim_gpu *gpu, struct mig_device devices[MIG_SLOTS])
{
    unsigned count = 0;
    READING(gpu) {
        unsigned slots[MIG_SLOTS] = {0};
        count = LOAD(gpu->mig_mode) == 1 ? in_order(gpu, slots) : 0;
        for (unsigned i = 0; i < count; i++)
            devices[i] = (struct mig_device){.slot = slots[i],
                                             .serial = LOAD(gpu->ci_serial[slots[i]]),
                                             .gi = LOAD(gpu->ci_gpu_instance[slots[i]]),
                                             .ci = LOAD(gpu->ci_id[slots[i]])};
    }
    return count;
}

const struct mig_profile *mig_profile_of(const struct nvsim_gpu *gpu, unsigned slot)
{
    const struct mig_profile *profile = NULL;
    READING(gpu) {
        unsigned gi_slot = mig_gi_with_id(gpu, LOAD(gpu->ci_gpu_instance[slot]));
        profile = gi_slot == MIG_NONE ? NULL : mig_profile_with_id(gpu, LOAD(gpu->gi_profile[gi_slot]));
    }
    return profile;
}

int mig_name(const struct nvsim_gpu *gpu, unsigned slot, char *text, size_t size)
{
    char profile_name[32];
    const struct mig_profile *profile = mig_profile_of(gpu, slot);
    if (!profile)
        return 0;
    mig_compute_name(profile, LOAD(gpu->ci_size[slot]), profile_name, sizeof profile_name);
    snprintf(text, size, "%.*s %s", (int)(size - sizeof profile_name - 2), gpu->name, profile_name);
    return 1;
}

/* What the instance's processes hold, and what it takes for itself. */
static uint64_t used_in(const struct nvsim_gpu *gpu, unsigned gi)
{
    unsigned slot = mig_gi_with_id(gpu, gi);
    uint64_t used = slot == MIG_NONE ? 0 : LOAD(gpu->gi_memory_used[slot]);
    for (size_t i = 0; i < sizeof gpu->process_pid / sizeof *gpu->process_pid; i++)
        if (LOAD(gpu->process_pid[i]) && LOAD(gpu->process_gpu_instance[i]) == gi)
            used += LOAD(gpu->process_memory[i]);
    return used;
}

int mig_memory(const struct nvsim_gpu *gpu, unsigned slot, uint64_t *total, uint64_t *used)
{
    const struct mig_profile *profile = mig_profile_of(gpu, slot);
    if (!profile)
        return 0;
    *total = (uint64_t)profile->memory_mib << 20;
    READING(gpu)
        *used = used_in(gpu, LOAD(gpu->ci_gpu_instance[slot]));
    return 1;
}
