/* What the files of libcuda share: the process's state, its devices, and the order of checks.
 *
 * The order is CUDA's: not initialised (3), NULL (1), invalid device (101) or context (201), then the answer.  What
 * asks a device takes no lock; contexts, streams, events and memory are guarded by one. */
#ifndef NVSIM_CUDA_INTERNAL_H
#define NVSIM_CUDA_INTERNAL_H

#include <stdbool.h>
#include <string.h>

#include "board/mig.h"
#include "board/read.h"
#include "cuda_api.h"

enum { MOST_DEVICES = NVSIM_BOARD_CAPACITY };

/* The devices of this process, in CUDA's order; fixed once cuInit has succeeded. */
struct device {
    uint8_t place;   /* of its GPU on the board */
    uint8_t slot;    /* of a MIG device in its GPU's record; MIG_NONE: the whole GPU */
    uint32_t serial; /* of the use of that slot */
};
extern struct device devices[MOST_DEVICES] HIDDEN;

/* Number of devices once cuInit has succeeded, else 0.  A child of fork starts at 0 and stays there. */
extern unsigned device_count HIDDEN;

static inline CUresult initialised(void)
{
    return __atomic_load_n(&device_count, __ATOMIC_ACQUIRE) ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

static inline const struct nvsim_gpu *gpu_at(unsigned device)
{
    return copy_of(&nvsim_board.slots[devices[device].place]);
}

/* The GPU of a device.  `pointers`: whether every output pointer of the call is set. */
static inline CUresult gpu_of(CUdevice device, int pointers, const struct nvsim_gpu **gpu)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!pointers)
        return CUDA_ERROR_INVALID_VALUE;
    if (device < 0 || (unsigned)device >= LOAD(device_count))
        return CUDA_ERROR_INVALID_DEVICE;
    *gpu = gpu_at((unsigned)device);
    return CUDA_SUCCESS;
}

#define GPU_OR_RETURN(gpu, device, pointers)              \
    const struct nvsim_gpu *gpu = NULL;                   \
    {                                                     \
        CUresult result_ = gpu_of(device, pointers, &gpu); \
        if (result_)                                      \
            return result_;                               \
    }

static inline bool is_mig(unsigned device)
{
    return devices[device].slot != MIG_NONE;
}

/* Whether a device cannot be used any more: its GPU is lost, or the MIG device was destroyed. */
bool is_gone(unsigned device) HIDDEN;

/* Bytes of memory of a device that programs can have, and how many of them others have taken. */
void memory_of(unsigned device, uint64_t *total, uint64_t *taken) HIDDEN;

/* The one lock.  `LOCKED { … }` holds it for its body, also when that returns. */
void acquire(void) HIDDEN;
void release(int *held) HIDDEN;
#define LOCKED for (int held_ __attribute__((cleanup(release))) = (acquire(), 1), once_ = 1; once_; once_ = 0)

/* Fails with `code`, and says on stderr, once in a process, that an emulated GPU computes nothing. */
CUresult refuse(const char *function, CUresult code) HIDDEN;

#endif
