/* Stream management.  A call has done its work when it returns, so every stream is always empty. */
#include "stream.h"

#include "memory.h"
#include "thread.h"

CUresult stream_context(CUstream handle, struct context **context, CUcontext *context_handle)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!handle || handle == LEGACY_STREAM || handle == THREAD_STREAM)
        return current(context, context_handle);
    struct object *object = object_of(handle, STREAM);
    if (!object)
        return CUDA_ERROR_INVALID_HANDLE;
    *context_handle = object->stream.context;
    return context_of(*context_handle, context);
}

CUresult cuStreamCreateWithPriority(CUstream *phStream, unsigned int flags, int priority)
{
    LOCKED {
        void *made = NULL;
        CURRENT_OR_RETURN(context, handle);
        if (!phStream || flags > CU_STREAM_NON_BLOCKING)
            return CUDA_ERROR_INVALID_VALUE;
        struct object *object = new_object(STREAM, &made);
        if (!object)
            return CUDA_ERROR_OUT_OF_MEMORY;
        object->stream = (struct stream){.context = handle, .flags = flags,
                                         .priority = priority > 0 ? 0 : priority < -5 ? -5 : priority};
        *phStream = made;
    }
    return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream *phStream, unsigned int Flags)
{
    return cuStreamCreateWithPriority(phStream, Flags, 0);
}

/* The default streams stay.  NULL is judged before anything else. */
CUresult cuStreamDestroy_v2(CUstream hStream)
{
    if (!hStream)
        return CUDA_ERROR_INVALID_HANDLE;
    LOCKED {
        if (initialised())
            return CUDA_ERROR_NOT_INITIALIZED;
        if (!object_of(hStream, STREAM))
            return CUDA_ERROR_INVALID_HANDLE;
        drop_object(hStream);
    }
    return CUDA_SUCCESS;
}

CUresult cuStreamDestroy(CUstream hStream)
{
    return cuStreamDestroy_v2(hStream);
}

static CUresult check(CUstream stream)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, stream);
    }
    return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream hStream)
{
    return check(hStream);
}

CUresult cuStreamQuery(CUstream hStream)
{
    return check(hStream);
}

CUresult cuStreamGetFlags(CUstream hStream, unsigned int *flags)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, hStream);
        const struct object *object = object_of(hStream, STREAM);
        if (!flags)
            return CUDA_ERROR_INVALID_VALUE;
        *flags = object ? object->stream.flags : CU_STREAM_DEFAULT;
    }
    return CUDA_SUCCESS;
}

CUresult cuStreamGetPriority(CUstream hStream, int *priority)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, hStream);
        const struct object *object = object_of(hStream, STREAM);
        if (!priority)
            return CUDA_ERROR_INVALID_VALUE;
        *priority = object ? object->stream.priority : 0;
    }
    return CUDA_SUCCESS;
}

/* Ids of made streams are those of their objects; default streams have their own, below all of them in a context. */
CUresult cuStreamGetId(CUstream hStream, unsigned long long *streamId)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, hStream);
        const struct object *object = object_of(hStream, STREAM), *owner = object_of(handle, CONTEXT);
        if (!streamId)
            return CUDA_ERROR_INVALID_VALUE;
        *streamId = object ? object->id : owner->id << 32 | (hStream == THREAD_STREAM ? 2 : 1);
    }
    return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx(CUstream hStream, CUcontext *pctx)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, hStream);
        if (!pctx)
            return CUDA_ERROR_INVALID_VALUE;
        *pctx = handle;
    }
    return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx_v2(CUstream hStream, CUcontext *pCtx, CUgreenCtx *pGreenCtx)
{
    CUresult result = cuStreamGetCtx(hStream, pCtx);
    if (!result && pGreenCtx)
        *pGreenCtx = NULL;
    return result;
}

CUresult cuStreamGetDevice(CUstream hStream, CUdevice *device)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, hStream);
        if (!device)
            return CUDA_ERROR_INVALID_VALUE;
        *device = context->device;
    }
    return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream hStream, CUevent hEvent, unsigned int Flags)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, hStream);
        if (Flags > 1)
            return CUDA_ERROR_INVALID_VALUE;
        return object_of(hEvent, EVENT) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
    }
    return CUDA_SUCCESS;
}

/* The stream is empty, so its turn has come: the function is called before this returns, by this thread. */
CUresult cuStreamAddCallback(CUstream hStream, CUstreamCallback callback, void *userData, unsigned int flags)
{
    CUresult result = check(hStream);
    if (result)
        return result;
    if (!callback || flags)
        return CUDA_ERROR_INVALID_VALUE;
    callback(hStream, CUDA_SUCCESS, userData);
    return CUDA_SUCCESS;
}

CUresult cuLaunchHostFunc(CUstream hStream, CUhostFn fn, void *userData)
{
    CUresult result = check(hStream);
    if (result)
        return result;
    if (!fn)
        return CUDA_ERROR_INVALID_VALUE;
    fn(userData);
    return CUDA_SUCCESS;
}

CUresult cuStreamAttachMemAsync(CUstream hStream, CUdeviceptr dptr, size_t length, unsigned int flags)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, hStream);
        const struct allocation *found = allocation_at(dptr);
        if (!found || found->place != MANAGED || (length && length != found->size))
            return CUDA_ERROR_INVALID_VALUE;
        if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST && flags != CU_MEM_ATTACH_SINGLE)
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

/* Without graphs no stream is ever captured. */
CUresult cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus *captureStatus)
{
    CUresult result = check(hStream);
    if (result || !captureStatus)
        return result ? result : CUDA_ERROR_INVALID_VALUE;
    *captureStatus = CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

CUresult cuStreamGetCaptureInfo(CUstream hStream, CUstreamCaptureStatus *captureStatus_out, cuuint64_t *id_out)
{
    CUresult result = cuStreamIsCapturing(hStream, captureStatus_out);
    if (!result && id_out)
        *id_out = 0;
    return result;
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!mode || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    struct thread *own = this_thread();
    if (!own)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUstreamCaptureMode before = own->capture_mode;
    own->capture_mode = *mode;
    *mode = before;
    return CUDA_SUCCESS;
}
