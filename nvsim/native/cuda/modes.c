/* Settings of the process that hold without a module or a profiler. */
#include <stdlib.h>

#include "context.h"

enum { LAZY_BY_DEFAULT = 12020 };

/* CUDA_MODULE_LOADING says how; without it modules are loaded when they are used since CUDA 12.2. */
CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
    const char *wanted = getenv("CUDA_MODULE_LOADING");
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!mode)
        return CUDA_ERROR_INVALID_VALUE;
    bool lazy = (int)LOAD(nvsim_board.header.cuda_version) >= LAZY_BY_DEFAULT;
    if (wanted && (!strcmp(wanted, "LAZY") || !strcmp(wanted, "EAGER")))
        lazy = *wanted == 'L';
    *mode = lazy ? CU_MODULE_LAZY_LOADING : CU_MODULE_EAGER_LOADING;
    return CUDA_SUCCESS;
}

/* Without a profiler these are successes that do nothing. */
CUresult cuProfilerStart(void)
{
    return cuCtxSynchronize();
}

CUresult cuProfilerStop(void)
{
    return cuCtxSynchronize();
}

/* Writes of other devices are in memory at once. */
CUresult cuFlushGPUDirectRDMAWrites(CUflushGPUDirectRDMAWritesTarget target, CUflushGPUDirectRDMAWritesScope scope)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (target != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX)
            return CUDA_ERROR_INVALID_VALUE;
        if (scope != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER &&
            scope != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_ALL_DEVICES)
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}
