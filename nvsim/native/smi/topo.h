/* What the parts of nvidia-smi topo share. */
#pragma once

#include "gpus.h"

int print_matrix(const struct gpus *gpus, bool nvlink);
int print_peers(const struct gpus *gpus, const char *capability);
bool numa_nodes(nvmlDevice_t device, char *text, size_t size);
