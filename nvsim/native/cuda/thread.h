/* What each thread has of its own. */
#ifndef NVSIM_CUDA_THREAD_H
#define NVSIM_CUDA_THREAD_H

#include "internal.h"

enum { DEEPEST = 128 };

struct thread {
    CUcontext stack[DEEPEST]; /* of current contexts; the last one is current */
    unsigned depth;
    CUstreamCaptureMode capture_mode;
};

/* To be called once, before the other one. */
CUresult prepare_threads(void) HIDDEN;

/* This thread's own; NULL without memory. */
struct thread *this_thread(void) HIDDEN;

#endif
