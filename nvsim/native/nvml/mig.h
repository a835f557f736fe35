/* MIG: the board's instances, the profiles of its model, and handles of instances.
 *
 * A GPU instance (GI) has a slot gi_* of the record, a compute instance (CI) a slot ci_*; size 0 is a free one.  A CI is
 * also a MIG device.  Functions over a `const struct nvsim_gpu *` belong inside READING or into an edit. */
#ifndef NVSIM_MIG_H
#define NVSIM_MIG_H

#include "internal.h"

enum { MIG_SLOTS = sizeof ((struct nvsim_gpu *)0)->gi_id / sizeof(uint32_t), MIG_NONE = MIG_SLOTS };
enum { MIG_PLACES = 7, MIG_COMPUTE_PROFILES = 5 };

/* A GPU instance profile: nvsim/catalog/mig.yaml says what the numbers mean. */
struct mig_profile {
    const char *name;
    unsigned index, id, slices, most, memory_mib, sm, copy_engines, decoders, encoders, jpeg, ofa, p2p;
    unsigned size, starts_count, starts[MIG_PLACES], gi_ids[MIG_PLACES];
    unsigned compute_count;
    struct mig_compute {
        unsigned slices, id, most;
    } compute[MIG_COMPUTE_PROFILES];
};

struct mig_table {
    unsigned slices, count;
    const struct mig_profile *profiles;
};

/* Where an object is: which GPU, by NVML's index, and which slot of its record. */
struct mig_place {
    unsigned index, slot;
};

/* An instance that is to be destroyed: a slot may be in use again by then. */
struct mig_victim {
    unsigned slot, serial;
};

#define HIDDEN __attribute__((visibility("hidden")))

/* Profiles; NULL or 0 if the board, or this branch of NVML, does not have it. */
HIDDEN const struct mig_table *mig_table_of(const struct nvsim_gpu *gpu);
HIDDEN unsigned mig_index_count(void);
HIDDEN unsigned mig_compute_index_count(void);
HIDDEN const struct mig_profile *mig_profile_with_id(const struct nvsim_gpu *gpu, unsigned id);
HIDDEN const struct mig_profile *mig_profile_with_index(const struct nvsim_gpu *gpu, unsigned index);
HIDDEN const struct mig_compute *mig_compute_with_id(const struct mig_profile *profile, unsigned id);
/* Streaming multiprocessors of some slices of an instance: all of its own, or those of the profile of that size. */
HIDDEN unsigned mig_compute_sm(const struct mig_table *table, const struct mig_profile *profile, unsigned slices);

/* How many more instances of a profile fit; where the next one goes: a number into starts, MIG_PLACES for nowhere. */
HIDDEN unsigned mig_capacity(const struct nvsim_gpu *gpu, const struct mig_profile *profile);
HIDDEN unsigned mig_choose(const struct nvsim_gpu *gpu, const struct mig_profile *profile);
HIDDEN int mig_is_free(const struct nvsim_gpu *gpu, unsigned start, unsigned size);

/* Slots: MIG_NONE if there is none. */
HIDDEN unsigned mig_gi_with_id(const struct nvsim_gpu *gpu, unsigned id);
HIDDEN unsigned mig_ci_with_id(const struct nvsim_gpu *gpu, unsigned gi, unsigned id);

/* Who may see an instance: an administrator, who may configure or watch MIG, and who may open the nodes of its access
 * files.  `ci` NVSIM_ABSENT_U32: only the GPU instance.  The kernel is asked until it said yes. */
HIDDEN int mig_monitor(void);
HIDDEN int mig_may_use(const struct nvsim_gpu *gpu, unsigned gi, unsigned ci);
/* Waits until the machine's kernel shows, or no longer shows, the access file of an instance. */
HIDDEN void mig_settle(const struct nvsim_gpu *gpu, unsigned gi, unsigned ci, int there);

/* "MIG-…" of a compute instance, from its GPU's UUID and what it is. */
HIDDEN void mig_uuid(const struct nvsim_gpu *gpu, unsigned gi_slot, unsigned ci_slot, char *text, size_t size);

/* What a MIG device is, by the slot of its compute instance.  The profile is NULL if it was destroyed meanwhile. */
HIDDEN const struct mig_profile *mig_profile_of(const struct nvsim_gpu *gpu, unsigned slot);
HIDDEN nvmlReturn_t mig_name(const struct nvsim_gpu *gpu, unsigned slot, char *text, unsigned length);
HIDDEN nvmlReturn_t mig_memory(const struct nvsim_gpu *gpu, unsigned slot, uint64_t *total, uint64_t *used);
HIDDEN unsigned mig_number(const struct nvsim_gpu *gpu, unsigned slot);
HIDDEN nvmlReturn_t mig_device_with_uuid(const char *uuid, unsigned gpus, nvmlDevice_t *device);
/* "MIG 1g.5gb", or "MIG 1c.3g.20gb" where a compute instance has fewer slices than its GPU instance. */
HIDDEN void mig_compute_name(const struct mig_profile *profile, unsigned slices, char *text, size_t size);

/* Handles: bits 4 to 43 as of a GPU, then slot, serial number of its use, and kind; never dereferenced. */
enum mig_kind { MIG_DEVICE = 1, MIG_GPU_INSTANCE = 2, MIG_COMPUTE_INSTANCE = 3 };

static inline int mig_kind_of(const void *handle)
{
    return (int)((uint64_t)(uintptr_t)handle >> 61 & 3);
}

static inline void *mig_handle(unsigned index, enum mig_kind kind, unsigned slot, uint32_t serial)
{
    uint64_t high = (uint64_t)kind << 61 | (uint64_t)(serial & 0x3FFF) << 47 | (uint64_t)slot << 44;
    return (void *)((uintptr_t)handle_of(index) | (uintptr_t)high);
}

/* The place of a live instance; 1, 2 or the fault of its GPU otherwise. */
HIDDEN nvmlReturn_t mig_place_of(const void *handle, enum mig_kind kind, struct mig_place *place);

/* Declares `gpu` and `place` of an instance's handle.  `pointers`: whether every output pointer of the call is set. */
#define MIG_OR_RETURN(gpu, place, handle, kind, pointers)                     \
    struct mig_place place = {0, 0};                                          \
    __attribute__((unused)) const struct nvsim_gpu *gpu = NULL;               \
    {                                                                         \
        nvmlReturn_t result_ = mig_place_of(handle, kind, &place);            \
        if (!result_ && !(pointers))                                          \
            result_ = NVML_ERROR_INVALID_ARGUMENT;                            \
        if (result_)                                                          \
            return result_;                                                   \
        gpu = gpu_at(place.index);                                            \
    }

/* The same for a call that takes a GPU or a MIG device: place.slot is MIG_NONE for a GPU. */
HIDDEN nvmlReturn_t mig_device_or_gpu(nvmlDevice_t device, int pointers, const struct nvsim_gpu **gpu,
                                      struct mig_place *place);
#define ANY_DEVICE_OR_RETURN(gpu, place, device, pointers)                          \
    struct mig_place place = {0, MIG_NONE};                                         \
    __attribute__((unused)) const struct nvsim_gpu *gpu = NULL;                     \
    {                                                                               \
        nvmlReturn_t result_ = mig_device_or_gpu(device, pointers, &gpu, &place);   \
        if (result_)                                                                \
            return result_;                                                         \
    }

#endif
