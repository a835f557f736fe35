/* Contexts, and the stack of current ones that each thread has.  Everything here is called with the lock held. */
#ifndef NVSIM_CUDA_CONTEXT_H
#define NVSIM_CUDA_CONTEXT_H

#include "objects.h"

/* A new context on a device, with the limits that devices start with; NULL without memory. */
struct context *new_context(CUdevice device, unsigned flags, unsigned version, CUcontext *handle) HIDDEN;

/* Ends what belongs to a context: its memory, streams and events. */
void empty_context(CUcontext context) HIDDEN;

/* The context of a handle: 201 for none, 709 for one that was destroyed. */
CUresult context_of(CUcontext handle, struct context **context) HIDDEN;

/* The current context of this thread: 3, 201 without one, 709 for one that was destroyed, 999 on a lost GPU. */
CUresult current(struct context **context, CUcontext *handle) HIDDEN;

#define CURRENT_OR_RETURN(context, handle)              \
    struct context *context = NULL;                     \
    CUcontext handle = NULL;                            \
    {                                                   \
        CUresult result_ = current(&context, &handle);  \
        if (result_)                                    \
            return result_;                             \
    }

CUresult push_context(CUcontext handle) HIDDEN;

/* Whether a device takes one more context, by its compute mode. */
CUresult admits(CUdevice device) HIDDEN;

#endif
