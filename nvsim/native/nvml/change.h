/* Changes that a program makes to a GPU: what the driver would do for an administrator is written to the board. */
#ifndef NVSIM_CHANGE_H
#define NVSIM_CHANGE_H

#include "internal.h"

/* What to change in a copy of the record.  A result other than 0 is the call's own, and nothing is changed. */
typedef nvmlReturn_t (*nvsim_edit)(struct nvsim_gpu *gpu, void *arguments);

/* 0 if the caller may administer GPUs, else 4: the driver asks for CAP_SYS_ADMIN, which root in an ordinary container
 * does not have. */
nvmlReturn_t administrator(void) __attribute__((visibility("hidden")));

/* Changes a GPU for every process at once, in every library of this folder that carries the board.  1, 2, 15 and 16 as
 * for a getter; 4 without the right to administer; else what `edit` says. */
nvmlReturn_t change_gpu(nvmlDevice_t device, nvsim_edit edit, void *arguments)
    __attribute__((visibility("hidden")));

/* The same for a GPU by its place on the board, whether this process sees it or not. */
nvmlReturn_t change_place(unsigned place, nvsim_edit edit, void *arguments) __attribute__((visibility("hidden")));

/* The same for a call that an administrator may open to ordinary users: they too must be able to write the file. */
nvmlReturn_t change_unrestricted(nvmlDevice_t device, nvmlRestrictedAPI_t api, nvsim_edit edit, void *arguments)
    __attribute__((visibility("hidden")));

/* Puts an event into the ring of a record that is being changed. */
static inline void raise_event(struct nvsim_gpu *gpu, uint64_t type, uint64_t data)
{
    unsigned place = (unsigned)(gpu->event_count++ % (sizeof gpu->event_type / sizeof gpu->event_type[0]));
    gpu->event_type[place] = type;
    gpu->event_data[place] = data;
    gpu->event_gpu_instance[place] = gpu->event_compute_instance[place] = 0xFFFFFFFF;
}

#endif
