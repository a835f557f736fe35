/* MIG on the board: the profiles of each model, and the instances of a GPU.
 *
 * A GPU instance (GI) has a slot gi_* of the record, a compute instance (CI) a slot ci_*; size 0 is a free one.  A CI is
 * also a MIG device.  Functions over a `const struct nvsim_gpu *` belong inside READING, unless they say otherwise. */
#ifndef NVSIM_BOARD_MIG_H
#define NVSIM_BOARD_MIG_H

#include "board/read.h"

#define HIDDEN __attribute__((visibility("hidden")))

enum { MIG_SLOTS = sizeof ((struct nvsim_gpu *)0)->gi_id / sizeof(uint32_t), MIG_NONE = MIG_SLOTS };
/* So many GPUs have capability nodes for their instances. */
enum { NVSIM_CAPABILITY_GPUS = 32 };
enum { MIG_PLACES = 7, MIG_COMPUTE_PROFILES = 5 };

/* A GPU instance profile: nvsim/catalog/mig.yaml says what the numbers mean. */
struct mig_profile {
    const char *name;
    unsigned index, id, slices, most, memory_mib, sm, copy_engines, decoders, encoders, jpeg, ofa, p2p;
    unsigned size, starts_count, starts[MIG_PLACES], gi_ids[MIG_PLACES];
    unsigned compute_count;
    struct mig_compute {
        unsigned slices, id, most;
    } compute[MIG_COMPUTE_PROFILES];
};

struct mig_table {
    unsigned slices, count;
    const struct mig_profile *profiles;
};

/* Profiles; NULL or 0 if the board, or this driver branch, does not have it. */
HIDDEN const struct mig_table *mig_table_of(const struct nvsim_gpu *gpu);
HIDDEN unsigned mig_index_count(void);
HIDDEN unsigned mig_compute_index_count(void);
HIDDEN const struct mig_profile *mig_profile_with_id(const struct nvsim_gpu *gpu, unsigned id);
HIDDEN const struct mig_profile *mig_profile_with_index(const struct nvsim_gpu *gpu, unsigned index);
HIDDEN const struct mig_compute *mig_compute_with_id(const struct mig_profile *profile, unsigned id);
/* Streaming multiprocessors of some slices of an instance: all of its own, or those of the profile of that size. */
HIDDEN unsigned mig_compute_sm(const struct mig_table *table, const struct mig_profile *profile, unsigned slices);
/* "MIG 1g.5gb", or "MIG 1c.3g.20gb" where a compute instance has fewer slices than its GPU instance. */
HIDDEN void mig_compute_name(const struct mig_profile *profile, unsigned slices, char *text, size_t size);

/* Slots: MIG_NONE if there is none. */
HIDDEN unsigned mig_gi_with_id(const struct nvsim_gpu *gpu, unsigned id);
HIDDEN unsigned mig_ci_with_id(const struct nvsim_gpu *gpu, unsigned gi, unsigned id);

/* A MIG device: the slot of its compute instance, the serial number of that slot's use, and both ids. */
struct mig_device {
    unsigned slot, serial, gi, ci;
};

/* A GPU's MIG devices by GPU instance id, then compute instance id; how many.  None while MIG is off.  Reads by itself. */
HIDDEN unsigned mig_devices(const struct nvsim_gpu *gpu, struct mig_device devices[MIG_SLOTS]);
/* Of the MIG device in a slot: the profile of its GPU instance, or NULL if it was destroyed; "NVIDIA A100-SXM4-40GB MIG
 * 1g.5gb"; bytes of memory, which the compute instances of a GPU instance share.  They read by themselves. */
HIDDEN const struct mig_profile *mig_profile_of(const struct nvsim_gpu *gpu, unsigned slot);
HIDDEN int mig_name(const struct nvsim_gpu *gpu, unsigned slot, char *text, size_t size);
HIDDEN int mig_memory(const struct nvsim_gpu *gpu, unsigned slot, uint64_t *total, uint64_t *used);

/* Who may see an instance (DESIGN D4): an administrator, who may configure or watch MIG, and who may open the nodes of
 * its access files.  `ci` NVSIM_ABSENT_U32: only the GPU instance.  They ask the kernel. */
HIDDEN int mig_monitor_allowed(void);
HIDDEN int mig_instance_allowed(unsigned gpu_minor, unsigned gi, unsigned ci);

#endif
