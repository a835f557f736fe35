/* What is allocated in this process, on devices and for them.  Everything here is called with the lock held. */
#ifndef NVSIM_CUDA_MEMORY_H
#define NVSIM_CUDA_MEMORY_H

#include "objects.h"

/* ON_DEVICE has an address that only CUDA can use; the others are at the same address for both sides. */
enum place { ON_DEVICE, MANAGED, PINNED, REGISTERED };

struct allocation {
    uint64_t start, size; /* device address, bytes asked for */
    uint64_t id;
    enum place place;
    unsigned flags;
    CUdevice device;
    CUcontext context;
    CUmemoryPool pool; /* NULL: not from a pool */
};

/* Takes device memory.  Alignment is 512 bytes; nothing is used on this machine until it is written to. */
CUresult take_device_memory(CUdevice device, CUcontext context, size_t size, CUmemoryPool pool, CUdeviceptr *start)
    HIDDEN;

/* Takes (or with `start` set, notes) memory that both sides use. */
CUresult take_host_memory(enum place place, unsigned flags, CUdevice device, CUcontext context, size_t size,
                          void **start) HIDDEN;

/* The allocation that an address lies in, or NULL. */
struct allocation *allocation_at(uint64_t address) HIDDEN;

/* Whether any byte of a range is in an allocation. */
bool overlaps(uint64_t start, size_t size) HIDDEN;

/* Gives an allocation back; what it points to is gone. */
void give_back(struct allocation *allocation) HIDDEN;

void free_memory_of(CUcontext context) HIDDEN;

/* Bytes of device memory that this process has. */
uint64_t taken_from(CUdevice device) HIDDEN;

/* Where bytes at an address lie on this machine: 1 if they are not in one allocation.  With `foreign`, an address that
 * CUDA does not know is ordinary memory of the program. */
CUresult backing(uint64_t address, size_t size, bool foreign, void **place) HIDDEN;

/* Sets bytes of device memory, by what `backing` gave for them, to zero, and gives whole pages back to the kernel.
 * Without the lock. */
void clear(void *place, size_t size) HIDDEN;

#endif
