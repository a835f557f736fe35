/* Reading the board (DESIGN D3): what every driver library that carries one does in the same way. */
#ifndef NVSIM_BOARD_READ_H
#define NVSIM_BOARD_READ_H

#include <stddef.h>
#include <stdint.h>

#include "board.h"

/* The section that nvsim.board writes to from outside: never fold its initial values into code. */
extern const struct nvsim_board nvsim_board __attribute__((visibility("hidden")));

#define LOAD(place) __atomic_load_n(&(place), __ATOMIC_RELAXED)

/* First number of the driver's version: what calls do has changed from branch to branch. */
static inline unsigned driver_branch(void)
{
    return LOAD(nvsim_board.header.driver_branch);
}

/* Whether the machine is a WSL 2 one: its GPUs are those of Windows, and /dev/dxg leads to them. */
static inline int is_wsl(void)
{
    return LOAD(nvsim_board.header.windows_version[0]) != 0;
}

/* The copy of a GPU that counts now.  What can change of it is for READING below. */
static inline const struct nvsim_gpu *copy_of(const struct nvsim_slot *slot)
{
    return &slot->copies[__atomic_load_n(&slot->generation, __ATOMIC_ACQUIRE) & 1];
}

/* Where a copy lies: two copies of one slot are the same GPU. */
static inline const struct nvsim_slot *slot_of(const struct nvsim_gpu *gpu)
{
    return &nvsim_board.slots[((uintptr_t)gpu - (uintptr_t)nvsim_board.slots) / sizeof(struct nvsim_slot)];
}

/* `READING(gpu) { … }` points `gpu` at the copy that counts, and runs its body again if another one counts by then:
 * what the body reads belongs together.  A writer that is at work, or was killed, stops nobody. */
struct reading {
    const struct nvsim_slot *slot;
    const struct nvsim_gpu **gpu;
    uint32_t generation;
    int done;
};

static inline int reading_again(struct reading *r)
{
    if (r->done) {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (LOAD(r->slot->generation) == r->generation)
            return 0;
    }
    r->done = 1;
    r->generation = __atomic_load_n(&r->slot->generation, __ATOMIC_ACQUIRE);
    *r->gpu = &r->slot->copies[r->generation & 1];
    return 1;
}

#define READING(gpu) for (struct reading r_ = {slot_of(gpu), &(gpu), 0, 0}; reading_again(&r_);)

#endif
