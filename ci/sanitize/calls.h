/* How the sanitizer runs call a function of the library: with what for each argument, and what is wrong with them. */
#ifndef CALLS_H
#define CALLS_H

#include <stdint.h>

enum kind {
    DEVICE,
    EVENT_SET,
    GPU_INSTANCE,
    COMPUTE_INSTANCE,
    HANDLE,    /* of a kind of object that the run does not make */
    NUMBER,    /* an integer or an enumeration */
    TIMEOUT,   /* milliseconds to wait */
    LENGTH,    /* elements of the function's arrays, by value */
    COUNT,     /* the same by pointer: it comes back as what is needed */
    TEXT,      /* read by the function */
    ARRAY,     /* of LENGTH or COUNT elements */
    POINTER,   /* to one element */
    VERSIONED, /* to a struct whose first field is its version, with its size in the lower 24 bits */
};

enum flaw {
    NONE,
    NULL_POINTER,
    WRONG_HANDLE,
    WRONG_VERSION,
    HUGE_NUMBER,
    FLAWS,
};

struct argument {
    enum kind kind;
    int any_bytes; /* what it points to may hold anything: no pointers */
    unsigned size; /* of an element */
    unsigned version_count;
    const unsigned *versions;
};

enum { ARGUMENTS = 9 };

struct function {
    const char *name;
    int (*call)(const uintptr_t *values);
    unsigned count;
    struct argument arguments[ARGUMENTS];
};

/* A sequence that is the same on every machine. */
struct random {
    uint64_t state;
};
uint64_t next(struct random *random);
/* One of 0 … limit - 1. */
unsigned pick(struct random *random, unsigned limit);

/* What a caller holds at the moment. */
struct world {
    struct random random;
    void *device, *event_set, *gpu_instance, *compute_instance;
    int honest; /* no count above the room that there is */
};

extern const struct function *const all_functions;
extern const unsigned function_count;
/* Calls so far, and how many of them were a success. */
extern uint64_t made, answered;
/* Calls a function with `flaw` in argument number `which`; its return code.  A code that NVML does not have ends the
 * program. */
int try_call(struct world *world, const struct function *function, enum flaw flaw, unsigned which);
/* Initialises and takes handles of a GPU that is visible, of a set, and of MIG instances if there are. */
int take_handles(struct world *world);
void drop_handles(struct world *world);
_Noreturn void failed(const char *what, const char *name, long number);

#endif
