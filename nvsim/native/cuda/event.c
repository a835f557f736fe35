/* Event management.  Work is done when a call returns, so an event has happened when it is recorded. */
#include "stream.h"

enum { FLAGS = 7 };

CUresult cuEventCreate(CUevent *phEvent, unsigned int Flags)
{
    LOCKED {
        void *made = NULL;
        CURRENT_OR_RETURN(context, handle);
        if (!phEvent || Flags > FLAGS)
            return CUDA_ERROR_INVALID_VALUE;
        if (Flags & CU_EVENT_INTERPROCESS && !(Flags & CU_EVENT_DISABLE_TIMING))
            return CUDA_ERROR_INVALID_VALUE;
        struct object *object = new_object(EVENT, &made);
        if (!object)
            return CUDA_ERROR_OUT_OF_MEMORY;
        object->event = (struct event){.context = handle, .flags = Flags};
        *phEvent = made;
    }
    return CUDA_SUCCESS;
}

CUresult cuEventRecordWithFlags(CUevent hEvent, CUstream hStream, unsigned int flags)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, hStream);
        struct object *object = object_of(hEvent, EVENT);
        if (!object || object->event.context != handle)
            return CUDA_ERROR_INVALID_HANDLE;
        if (flags > CU_EVENT_RECORD_EXTERNAL)
            return CUDA_ERROR_INVALID_VALUE;
        object->event.recorded = true;
        clock_gettime(CLOCK_MONOTONIC, &object->event.when);
    }
    return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent hEvent, CUstream hStream)
{
    return cuEventRecordWithFlags(hEvent, hStream, 0);
}

static CUresult check(CUevent event)
{
    LOCKED {
        if (initialised())
            return CUDA_ERROR_NOT_INITIALIZED;
        return object_of(event, EVENT) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
    }
    return CUDA_SUCCESS;
}

CUresult cuEventQuery(CUevent hEvent)
{
    return check(hEvent);
}

CUresult cuEventSynchronize(CUevent hEvent)
{
    return check(hEvent);
}

CUresult cuEventDestroy_v2(CUevent hEvent)
{
    if (!hEvent)
        return CUDA_ERROR_INVALID_HANDLE;
    LOCKED {
        if (initialised())
            return CUDA_ERROR_NOT_INITIALIZED;
        if (!object_of(hEvent, EVENT))
            return CUDA_ERROR_INVALID_HANDLE;
        drop_object(hEvent);
    }
    return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent hEvent)
{
    return cuEventDestroy_v2(hEvent);
}

/* The event of a handle if it has a time. */
static const struct event *timed(CUevent handle)
{
    const struct object *object = object_of(handle, EVENT);
    return object && object->event.recorded && !(object->event.flags & CU_EVENT_DISABLE_TIMING) ? &object->event : NULL;
}

CUresult cuEventElapsedTime_v2(float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
    LOCKED {
        if (initialised())
            return CUDA_ERROR_NOT_INITIALIZED;
        if (!pMilliseconds)
            return CUDA_ERROR_INVALID_VALUE;
        const struct event *start = timed(hStart), *end = timed(hEnd);
        if (!start || !end)
            return CUDA_ERROR_INVALID_HANDLE;
        *pMilliseconds = (float)((double)(end->when.tv_sec - start->when.tv_sec) * 1e3 +
                                 (double)(end->when.tv_nsec - start->when.tv_nsec) / 1e6);
    }
    return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
    return cuEventElapsedTime_v2(pMilliseconds, hStart, hEnd);
}
