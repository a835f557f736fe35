/* MIG through NVML: handles of instances and devices, and what fits. */
#ifndef NVSIM_MIG_H
#define NVSIM_MIG_H

#include "board/mig.h"
#include "internal.h"

/* Where an object is: which GPU, by NVML's index, and which slot of its record. */
struct mig_place {
    unsigned index, slot;
};

/* An instance that is to be destroyed: a slot may be in use again by then. */
struct mig_victim {
    unsigned slot, serial;
};

/* How many more instances of a profile fit; where the next one goes: a number into starts, MIG_PLACES for nowhere. */
HIDDEN unsigned mig_capacity(const struct nvsim_gpu *gpu, const struct mig_profile *profile);
HIDDEN unsigned mig_choose(const struct nvsim_gpu *gpu, const struct mig_profile *profile);
HIDDEN int mig_is_free(const struct nvsim_gpu *gpu, unsigned start, unsigned size);

/* Whether this process may watch MIG on any GPU, which is asked once, or use an instance (board/mig.h).  What was allowed
 * stays so until the last shutdown, as a descriptor that the driver holds would. */
HIDDEN int mig_monitor(void);
HIDDEN int mig_may_use(const struct nvsim_gpu *gpu, unsigned gi, unsigned ci);
/* Waits until the machine's kernel shows, or no longer shows, the access file of an instance. */
HIDDEN void mig_settle(const struct nvsim_gpu *gpu, unsigned gi, unsigned ci, int there);

/* "MIG-…" of a compute instance, from its GPU's UUID and what it is. */
HIDDEN void mig_uuid(const struct nvsim_gpu *gpu, unsigned gi_slot, unsigned ci_slot, char *text, size_t size);
enum { MIG_UUID_SIZE = sizeof ((struct nvsim_gpu *)0)->ci_uuid[0] };
HIDDEN void mig_read_uuid(const struct nvsim_gpu *gpu, unsigned slot, char uuid[MIG_UUID_SIZE]);
/* NVML's number of a MIG device among those of its GPU that this process sees; the device of a UUID, 6 without one. */
HIDDEN unsigned mig_number(const struct nvsim_gpu *gpu, unsigned slot);
HIDDEN nvmlReturn_t mig_device_with_uuid(const char *uuid, unsigned gpus, nvmlDevice_t *device);

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
#define NAMED_DEVICE_OR_RETURN(gpu, place, device, pointers)                        \
    struct mig_place place = {0, MIG_NONE};                                         \
    __attribute__((unused)) const struct nvsim_gpu *gpu = NULL;                     \
    {                                                                               \
        nvmlReturn_t result_ = mig_device_or_gpu(device, pointers, &gpu, &place);   \
        if (result_)                                                                \
            return result_;                                                         \
    }
/* For a call that asks for more than who it is. */
#define ANY_DEVICE_OR_RETURN(gpu, place, device, pointers)                          \
    NAMED_DEVICE_OR_RETURN(gpu, place, device, pointers)                            \
    if (is_readable(gpu))                                                           \
        return NVML_ERROR_NOT_SUPPORTED;

#endif
