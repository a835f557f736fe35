/* What cuGetProcAddress can find. */
#ifndef NVSIM_CUDA_ENTRIES_H
#define NVSIM_CUDA_ENTRIES_H

#include <stddef.h>

/* A function, or the same for per-thread default streams, by the name and the CUDA version that programs ask for. */
struct entry {
    const char *name;
    int since;
    const void *function, *twin;
};

/* By name, and of one name the newest first. */
extern const struct entry entries[] __attribute__((visibility("hidden")));
extern const size_t entry_count __attribute__((visibility("hidden")));

#endif
