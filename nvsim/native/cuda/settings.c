/* Context management: what can be asked of the current context, and set in it. */
#include "context.h"
#include "peers.h"

CUresult cuCtxGetDevice(CUdevice *device)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!device)
            return CUDA_ERROR_INVALID_VALUE;
        *device = context->device;
    }
    return CUDA_SUCCESS;
}

/* A context by its handle; NULL is the current one. */
static CUresult given_or_current(CUcontext ctx, struct context **context)
{
    CUcontext handle = ctx;
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    return ctx ? context_of(ctx, context) : current(context, &handle);
}

CUresult cuCtxGetDevice_v2(CUdevice *device, CUcontext ctx)
{
    LOCKED {
        struct context *context = NULL;
        CUresult result = given_or_current(ctx, &context);
        if (result || !device)
            return result ? result : CUDA_ERROR_INVALID_VALUE;
        *device = context->device;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxGetFlags(unsigned int *flags)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!flags)
            return CUDA_ERROR_INVALID_VALUE;
        *flags = context->flags;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxSetFlags(unsigned int flags)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (flags > 0xFF)
            return CUDA_ERROR_INVALID_VALUE;
        context->flags = flags;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxGetId(CUcontext ctx, unsigned long long *ctxId)
{
    LOCKED {
        struct context *context = NULL;
        CUresult result = given_or_current(ctx, &context);
        if (result || !ctxId)
            return result ? result : CUDA_ERROR_INVALID_VALUE;
        *ctxId = ((struct object *)((char *)context - offsetof(struct object, context)))->id;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned int *version)
{
    LOCKED {
        struct context *context = NULL;
        CUresult result = given_or_current(ctx, &context);
        if (result || !version)
            return result ? result : CUDA_ERROR_INVALID_VALUE;
        *version = context->version;
    }
    return CUDA_SUCCESS;
}

/* All work is done when a call returns. */
CUresult cuCtxSynchronize(void)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize_v2(CUcontext ctx)
{
    LOCKED {
        struct context *context = NULL;
        return given_or_current(ctx, &context);
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxGetLimit(size_t *pvalue, CUlimit limit)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!pvalue || (unsigned)limit >= CU_LIMIT_MAX)
            return CUDA_ERROR_INVALID_VALUE;
        if (limit > CU_LIMIT_PERSISTING_L2_CACHE_SIZE)
            return CUDA_ERROR_UNSUPPORTED_LIMIT;
        *pvalue = context->limits[limit];
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxSetLimit(CUlimit limit, size_t value)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if ((unsigned)limit >= CU_LIMIT_MAX)
            return CUDA_ERROR_INVALID_VALUE;
        if (limit > CU_LIMIT_PERSISTING_L2_CACHE_SIZE)
            return CUDA_ERROR_UNSUPPORTED_LIMIT;
        context->limits[limit] = value;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCacheConfig(CUfunc_cache *pconfig)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!pconfig)
            return CUDA_ERROR_INVALID_VALUE;
        *pconfig = context->cache;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCacheConfig(CUfunc_cache config)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
            return CUDA_ERROR_INVALID_VALUE;
        context->cache = config;
    }
    return CUDA_SUCCESS;
}

/* Banks of shared memory are four bytes wide on all devices since Maxwell, whatever is set. */
CUresult cuCtxGetSharedMemConfig(CUsharedconfig *pConfig)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!pConfig)
            return CUDA_ERROR_INVALID_VALUE;
        *pConfig = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxSetSharedMemConfig(CUsharedconfig config)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if ((unsigned)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

/* Volta and later have six priorities.  Either pointer may be NULL. */
CUresult cuCtxGetStreamPriorityRange(int *leastPriority, int *greatestPriority)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (leastPriority)
            *leastPriority = 0;
        if (greatestPriority)
            *greatestPriority = -5;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxResetPersistingL2Cache(void)
{
    return cuCtxSynchronize();
}

CUresult cuCtxGetExecAffinity(CUexecAffinityParam *pExecAffinity, CUexecAffinityType type)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!pExecAffinity || (unsigned)type >= CU_EXEC_AFFINITY_TYPE_MAX)
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
}

CUresult cuCtxEnablePeerAccess(CUcontext peerContext, unsigned int Flags)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        struct context *peer = NULL;
        if (Flags)
            return CUDA_ERROR_INVALID_VALUE;
        if (context_of(peerContext, &peer) || peerContext == handle)
            return CUDA_ERROR_INVALID_CONTEXT;
        if (!reachable((unsigned)context->device, (unsigned)peer->device))
            return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
        if (context->peers >> peer->device & 1)
            return CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
        context->peers |= 1ull << peer->device;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxDisablePeerAccess(CUcontext peerContext)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        struct context *peer = NULL;
        if (context_of(peerContext, &peer))
            return CUDA_ERROR_INVALID_CONTEXT;
        if (!(context->peers >> peer->device & 1))
            return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
        context->peers &= ~(1ull << peer->device);
    }
    return CUDA_SUCCESS;
}
