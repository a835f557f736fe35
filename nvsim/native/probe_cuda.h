/* What the CUDA driver shows a process: {"init":CODE,"devices":[UUID…]}, or {"error":…} without its library. */
#ifndef NVSIM_PROBE_CUDA_H
#define NVSIM_PROBE_CUDA_H

#include "probe/json.h"

void write_cuda(struct json *json, const char *library);

#endif
