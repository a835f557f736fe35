/* Which devices reach each other's memory. */
#ifndef NVSIM_CUDA_PEERS_H
#define NVSIM_CUDA_PEERS_H

#include "internal.h"

bool reachable(unsigned from, unsigned to) HIDDEN;

#endif
