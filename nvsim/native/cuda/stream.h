/* Streams. */
#ifndef NVSIM_CUDA_STREAM_H
#define NVSIM_CUDA_STREAM_H

#include "context.h"

/* The default streams, which every context has: NULL and 1 that of all threads, 2 one for each thread. */
#define LEGACY_STREAM ((CUstream)(uintptr_t)1)
#define THREAD_STREAM ((CUstream)(uintptr_t)2)

/* Checks a stream and gives its context: 3; 201 or 709 for a default stream without one; 400.  With the lock held. */
CUresult stream_context(CUstream handle, struct context **context, CUcontext *context_handle) HIDDEN;

#define STREAM_OR_RETURN(context, context_handle, stream)                     \
    struct context *context = NULL;                                           \
    CUcontext context_handle = NULL;                                          \
    {                                                                         \
        CUresult result_ = stream_context(stream, &context, &context_handle); \
        if (result_)                                                          \
            return result_;                                                   \
    }

#endif
