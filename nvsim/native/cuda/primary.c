/* Primary context management: the one context of a device that libraries in a process share. */
#include "context.h"

enum { VERSION = 3020, FLAGS = 0xFF };

static struct {
    CUcontext handle;
    unsigned flags; /* for when it is made */
} primaries[MOST_DEVICES];

static struct context *context_on(CUdevice dev)
{
    struct object *object = object_of(primaries[dev].handle, CONTEXT);
    return object ? &object->context : NULL;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev)
{
    GPU_OR_RETURN(gpu, dev, pctx != NULL);
    LOCKED {
        struct context *context = context_on(dev);
        CUresult result = context && context->alive ? CUDA_SUCCESS : admits(dev);
        if (result)
            return result;
        if (!context)
            context = new_context(dev, 0, VERSION, &primaries[dev].handle);
        if (!context)
            return CUDA_ERROR_OUT_OF_MEMORY;
        if (!context->alive || !context->primary)
            context->flags = primaries[dev].flags;
        context->primary = context->alive = true;
        context->users++;
        *pctx = primaries[dev].handle;
    }
    return CUDA_SUCCESS;
}

static void end(CUdevice dev, struct context *context)
{
    empty_context(primaries[dev].handle);
    context->alive = false;
    context->peers = 0;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
    GPU_OR_RETURN(gpu, dev, 1);
    LOCKED {
        struct context *context = context_on(dev);
        if (!context || !context->users)
            return CUDA_ERROR_INVALID_CONTEXT;
        if (--context->users == 0)
            end(dev, context);
    }
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice dev)
{
    return cuDevicePrimaryCtxRelease_v2(dev);
}

/* Ends what is in it; those who retained it still have to release it. */
CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
    GPU_OR_RETURN(gpu, dev, 1);
    LOCKED {
        struct context *context = context_on(dev);
        if (context)
            end(dev, context);
    }
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxReset(CUdevice dev)
{
    return cuDevicePrimaryCtxReset_v2(dev);
}

CUresult cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active)
{
    GPU_OR_RETURN(gpu, dev, flags && active);
    LOCKED {
        struct context *context = context_on(dev);
        *active = context && context->alive;
        *flags = *active ? context->flags : primaries[dev].flags;
    }
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)
{
    GPU_OR_RETURN(gpu, dev, 1);
    if (flags & ~(unsigned)FLAGS)
        return CUDA_ERROR_INVALID_VALUE;
    LOCKED {
        struct context *context = context_on(dev);
        primaries[dev].flags = flags;
        if (context && context->alive)
            context->flags = flags;
    }
    return CUDA_SUCCESS;
}

/* The older one does not change a context that is in use. */
CUresult cuDevicePrimaryCtxSetFlags(CUdevice dev, unsigned int flags)
{
    GPU_OR_RETURN(gpu, dev, 1);
    LOCKED {
        struct context *context = context_on(dev);
        if (context && context->alive)
            return CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE;
    }
    return cuDevicePrimaryCtxSetFlags_v2(dev, flags);
}
