/* Context management: contexts and the stack of current ones that each thread has. */
#include "context.h"
#include "memory.h"
#include "thread.h"

enum { PROHIBITED = 2, VERSION = 3020, FLAGS = 0xFF, SCHEDULES = 7 };

struct context *new_context(CUdevice device, unsigned flags, unsigned version, CUcontext *handle)
{
    static const size_t limits[CU_LIMIT_MAX] = {
        [CU_LIMIT_STACK_SIZE] = 1024,          [CU_LIMIT_PRINTF_FIFO_SIZE] = 1 << 20,
        [CU_LIMIT_MALLOC_HEAP_SIZE] = 8 << 20, [CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH] = 2,
        [CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT] = 2048,
        [CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = 64,
    };
    void *found = NULL;
    struct object *object = new_object(CONTEXT, &found);
    if (!object)
        return NULL;
    object->context = (struct context){.device = device, .flags = flags, .version = version, .alive = true};
    memcpy(object->context.limits, limits, sizeof limits);
    *handle = found;
    return &object->context;
}

void empty_context(CUcontext context)
{
    drop_objects_of(context);
    free_memory_of(context);
}

CUresult context_of(CUcontext handle, struct context **context)
{
    struct object *object = object_of(handle, CONTEXT);
    if (!object)
        return CUDA_ERROR_INVALID_CONTEXT;
    *context = &object->context;
    return object->context.alive ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

CUresult current(struct context **context, CUcontext *handle)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    const struct thread *own = this_thread();
    if (!own || !own->depth)
        return CUDA_ERROR_INVALID_CONTEXT;
    *handle = own->stack[own->depth - 1];
    if (context_of(*handle, context))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    return is_gone((unsigned)(*context)->device) ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

CUresult push_context(CUcontext handle)
{
    struct thread *own = this_thread();
    if (!own || own->depth == DEEPEST)
        return CUDA_ERROR_OUT_OF_MEMORY;
    own->stack[own->depth++] = handle;
    return CUDA_SUCCESS;
}

CUresult admits(CUdevice device)
{
    if (is_gone((unsigned)device))
        return CUDA_ERROR_UNKNOWN;
    return LOAD(gpu_at((unsigned)device)->compute_mode) == PROHIBITED ? CUDA_ERROR_DEVICE_UNAVAILABLE : CUDA_SUCCESS;
}

static CUresult create(CUcontext *pctx, unsigned flags, CUdevice dev)
{
    GPU_OR_RETURN(gpu, dev, pctx != NULL);
    if (flags & ~(unsigned)FLAGS || (flags & SCHEDULES) == 3 || (flags & SCHEDULES) > CU_CTX_SCHED_BLOCKING_SYNC)
        return CUDA_ERROR_INVALID_VALUE;
    LOCKED {
        CUcontext handle = NULL;
        CUresult result = admits(dev);
        if (result)
            return result;
        if (!new_context(dev, flags, VERSION, &handle))
            return CUDA_ERROR_OUT_OF_MEMORY;
        result = push_context(handle);
        if (result)
            drop_object(handle);
        else
            *pctx = handle;
        return result;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxCreate(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
    return create(pctx, flags, dev);
}

CUresult cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
    return create(pctx, flags, dev);
}

/* Contexts on a part of the multiprocessors need the multi-process service. */
CUresult cuCtxCreate_v3(CUcontext *pctx, CUexecAffinityParam *paramsArray, int numParams, unsigned int flags,
                        CUdevice dev)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (numParams < 0 || !paramsArray != !numParams)
        return CUDA_ERROR_INVALID_VALUE;
    return numParams ? CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY : create(pctx, flags, dev);
}

CUresult cuCtxCreate_v4(CUcontext *pctx, CUctxCreateParams *ctxCreateParams, unsigned int flags, CUdevice dev)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (ctxCreateParams && ctxCreateParams->cigParams)
        return CUDA_ERROR_NOT_SUPPORTED;
    return cuCtxCreate_v3(pctx, ctxCreateParams ? ctxCreateParams->execAffinityParams : NULL,
                          ctxCreateParams ? ctxCreateParams->numExecAffinityParams : 0, flags, dev);
}

CUresult cuCtxDestroy_v2(CUcontext ctx)
{
    if (!ctx)
        return CUDA_ERROR_INVALID_VALUE;
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    LOCKED {
        struct context *context = NULL;
        CUresult result = context_of(ctx, &context);
        if (result || context->primary)
            return result ? result : CUDA_ERROR_INVALID_CONTEXT;
        empty_context(ctx);
        drop_object(ctx);
        struct thread *own = this_thread();
        if (own && own->depth && own->stack[own->depth - 1] == ctx)
            own->depth--;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxDestroy(CUcontext ctx)
{
    return cuCtxDestroy_v2(ctx);
}

CUresult cuCtxPushCurrent_v2(CUcontext ctx)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    LOCKED {
        struct context *context = NULL;
        CUresult result = context_of(ctx, &context);
        return result ? result : push_context(ctx);
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent(CUcontext ctx)
{
    return cuCtxPushCurrent_v2(ctx);
}

CUresult cuCtxPopCurrent_v2(CUcontext *pctx)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    struct thread *own = this_thread();
    if (!own || !own->depth)
        return CUDA_ERROR_INVALID_CONTEXT;
    CUcontext top = own->stack[--own->depth];
    if (pctx)
        *pctx = top;
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent(CUcontext *pctx)
{
    return cuCtxPopCurrent_v2(pctx);
}

/* Takes the place of the top of the stack; NULL takes the top away. */
CUresult cuCtxSetCurrent(CUcontext ctx)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    LOCKED {
        struct context *context = NULL;
        CUresult result = ctx ? context_of(ctx, &context) : CUDA_SUCCESS;
        if (result)
            return result;
        struct thread *own = this_thread();
        if (!own)
            return CUDA_ERROR_OUT_OF_MEMORY;
        own->depth -= own->depth > 0;
        return ctx ? push_context(ctx) : CUDA_SUCCESS;
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *pctx)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!pctx)
        return CUDA_ERROR_INVALID_VALUE;
    const struct thread *own = this_thread();
    *pctx = own && own->depth ? own->stack[own->depth - 1] : NULL;
    return CUDA_SUCCESS;
}
