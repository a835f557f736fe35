/* MIG profiles of the boards, as nvsim/catalog/mig.yaml has them and the driver branch knows them. */
#include <stdio.h>

#include "board/mig.h"
#include "board/mig_tables.inc"

enum { TABLES = sizeof tables / sizeof *tables };

static unsigned newest(const unsigned (*counts)[2], size_t length)
{
    unsigned branch = driver_branch(), count = counts[0][1];
    for (size_t i = 0; i < length && counts[i][0] <= branch; i++)
        count = counts[i][1];
    return count;
}

unsigned mig_index_count(void)
{
    return newest(index_counts, sizeof index_counts / sizeof *index_counts);
}

unsigned mig_compute_index_count(void)
{
    return newest(compute_counts, sizeof compute_counts / sizeof *compute_counts);
}

const struct mig_table *mig_table_of(const struct nvsim_gpu *gpu)
{
    uint32_t number = LOAD(gpu->mig_table);
    return number < TABLES && tables[number].count ? &tables[number] : NULL;
}

const struct mig_profile *mig_profile_with_id(const struct nvsim_gpu *gpu, unsigned id)
{
    const struct mig_table *table = mig_table_of(gpu);
    for (unsigned i = 0, known = mig_index_count(); table && i < table->count; i++)
        if (table->profiles[i].id == id && table->profiles[i].index < known)
            return &table->profiles[i];
    return NULL;
}

const struct mig_profile *mig_profile_with_index(const struct nvsim_gpu *gpu, unsigned index)
{
    const struct mig_table *table = mig_table_of(gpu);
    for (unsigned i = 0; table && index < mig_index_count() && i < table->count; i++)
        if (table->profiles[i].index == index)
            return &table->profiles[i];
    return NULL;
}

const struct mig_compute *mig_compute_with_id(const struct mig_profile *profile, unsigned id)
{
    for (unsigned i = 0; i < profile->compute_count; i++)
        if (profile->compute[i].id == id)
            return &profile->compute[i];
    return NULL;
}

unsigned mig_compute_sm(const struct mig_table *table, const struct mig_profile *profile, unsigned slices)
{
    if (slices == profile->slices)
        return profile->sm;
    for (unsigned i = 0; i < table->count; i++)
        if (table->profiles[i].slices == slices)
            return table->profiles[i].sm;
    return profile->sm * slices / profile->slices;
}

void mig_compute_name(const struct mig_profile *profile, unsigned slices, char *text, size_t size)
{
    if (slices < profile->slices)
        snprintf(text, size, "MIG %uc.%s", slices, profile->name);
    else
        snprintf(text, size, "MIG %s", profile->name);
}
