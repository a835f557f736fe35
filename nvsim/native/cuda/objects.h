/* Contexts, streams, events and memory pools, by handle.  Everything here is called with the lock held. */
#ifndef NVSIM_CUDA_OBJECTS_H
#define NVSIM_CUDA_OBJECTS_H

#include <time.h>

#include "internal.h"

enum kind { CONTEXT = 1, STREAM, EVENT, POOL };

struct context {
    CUdevice device;
    unsigned flags, version, users; /* version of the API that made it; users: of a primary context */
    bool primary, alive;            /* a primary context without users is not alive, but keeps its handle */
    uint64_t peers;                 /* bit n: memory of device n may be used */
    size_t limits[CU_LIMIT_MAX];
    CUfunc_cache cache;
};

struct stream {
    CUcontext context;
    unsigned flags;
    int priority;
};

struct event {
    CUcontext context;
    unsigned flags;
    bool recorded;
    struct timespec when;
};

struct pool {
    CUdevice device;
    bool standard; /* the one that its device comes with */
    uint64_t threshold, most; /* bytes kept when idle; ceiling, 0 for none */
    uint64_t used, used_high;
    uint64_t access; /* bit n: device n, other than its own, may use its memory */
    int reuse[3];
};

struct object {
    enum kind kind;
    uint64_t id; /* never used again in this process */
    union {
        struct context context;
        struct stream stream;
        struct event event;
        struct pool pool;
    };
};

/* A new object of zeros, with its handle; NULL without memory. */
struct object *new_object(enum kind kind, void **handle) HIDDEN;

/* The object of a handle, or NULL: handles of other kinds, of objects that are gone, and made-up ones are unknown. */
struct object *object_of(const void *handle, enum kind kind) HIDDEN;

void drop_object(const void *handle) HIDDEN;

/* Drops every stream and event of a context. */
void drop_objects_of(CUcontext context) HIDDEN;

#endif
