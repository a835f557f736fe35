/* The board's table of processes, for every list that is made of it. */
#ifndef NVSIM_PROCESSES_H
#define NVSIM_PROCESSES_H

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

enum { PROCESSES = sizeof((struct nvsim_gpu *)0)->process_pid / sizeof(uint32_t) };
/* What process_kind is made of.  A client of MPS is a compute process too. */
enum { COMPUTE_PROCESSES = 1 | 4, GRAPHICS_PROCESSES = 2, MPS_PROCESSES = 4 };

/* Puts process i of the table into place `place` of a caller's array. */
typedef void process_writer(void *entries, unsigned place, const struct nvsim_gpu *gpu, unsigned i);

/* The processes of some kinds: 7 if the caller's array is too small, and *count says how many there are.  1, 2, 15, 16
 * as for a getter. */
nvmlReturn_t list_processes(nvmlDevice_t device, uint32_t kinds, unsigned *count, void *entries, process_writer *write)
    __attribute__((visibility("hidden")));

/* Microseconds since 1970, as NVML stamps samples. */
static inline uint64_t now_us(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

#endif
