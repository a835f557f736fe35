/* What needs a GPU that computes: code, kernels, graphs, textures, sharing between processes.  It fails with CUDA's own
 * code and never silently.  refused.inc is written by nvsim/native/generate_cuda.py. */
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

CUresult refuse(const char *function, CUresult code)
{
    static bool said;
    const char *name = NULL;
    char line[256];
    if (__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
        return code;
    cuGetErrorName(code, &name);
    int length = snprintf(line, sizeof line,
                          "libcuda: this is an emulated GPU (nvsim), which computes nothing: %s fails with %s; "
                          "further calls of this kind fail without a message\n", function, name);
    ssize_t written = write(STDERR_FILENO, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
    (void)written; /* a process without stderr has nobody to tell */
    return code;
}

#define REFUSED(function, code)                                            \
    CUDA_API CUresult function(void);                                      \
    CUresult function(void)                                                \
    {                                                                      \
        return initialised() ? CUDA_ERROR_NOT_INITIALIZED : refuse(#function, code); \
    }
/* A word that a debugger looks for by name. */
#define WORD(name)                 \
    CUDA_API extern uint32_t name; \
    uint32_t name;

#include "refused.inc"
