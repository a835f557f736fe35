/* Memory pools. */
#ifndef NVSIM_CUDA_POOL_H
#define NVSIM_CUDA_POOL_H

#include "memory.h"

/* Takes an allocation that is being freed out of its pool's account, if it has one.  With the lock held. */
void return_to_pool(const struct allocation *allocation) HIDDEN;

#endif
