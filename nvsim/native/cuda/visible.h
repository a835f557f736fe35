/* Which GPUs are this process's devices, and in which order. */
#ifndef NVSIM_CUDA_VISIBLE_H
#define NVSIM_CUDA_VISIBLE_H

#include "internal.h"

/* Fills `found` by device nodes, CUDA_DEVICE_ORDER and CUDA_VISIBLE_DEVICES; how many. */
unsigned find_devices(struct device found[MOST_DEVICES]) HIDDEN;

#endif
