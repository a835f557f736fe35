/* Every function that no other file defines: it checks its arguments in their order, and then is not supported.
 * unsupported.inc is written by nvsim/native/generate.py. */
#include "change.h"
#include "mig.h"

/* Changing a GPU needs the right to administer. */
#define ROOT                             \
    if (administrator())                 \
        return NVML_ERROR_NO_PERMISSION;
#define DEVICE(device)                                     \
    {                                                      \
        const struct nvsim_gpu *gpu = NULL;                \
        nvmlReturn_t result = gpu_of(device, 1, &gpu);     \
        if (result)                                        \
            return result;                                 \
    }
#define INSTANCE(handle)                                                           \
    {                                                                               \
        struct mig_place place;                                                     \
        nvmlReturn_t result = mig_place_of(handle, MIG_GPU_INSTANCE, &place);       \
        if (result)                                                                 \
            return result;                                                          \
    }
#define ANY(value) (void)(value);
/* A handle of a kind of object that the host does not have. */
#define NOBODY(handle)                      \
    (void)(handle);                         \
    return NVML_ERROR_INVALID_ARGUMENT;
#define POINTER(pointer)                        \
    if (!(pointer))                             \
        return NVML_ERROR_INVALID_ARGUMENT;
#define VERSIONED(pointer, ...)                                                           \
    POINTER(pointer)                                                                      \
    {                                                                                     \
        static const unsigned versions[] = {__VA_ARGS__};                                 \
        unsigned i = 0;                                                                   \
        while (i < sizeof versions / sizeof *versions && versions[i] != (pointer)->version) \
            i++;                                                                          \
        if (i == sizeof versions / sizeof *versions)                                      \
            return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;                                  \
    }
/* Those that are gone from the newest header are declared nowhere else. */
#define UNSUPPORTED(function, parameters, ...) \
    NVML_API nvmlReturn_t function parameters  \
    {                                          \
        if (initialised())                     \
            return NVML_ERROR_UNINITIALIZED;   \
        __VA_ARGS__                            \
        return NVML_ERROR_NOT_SUPPORTED;       \
    }

#include "unsupported.inc"
