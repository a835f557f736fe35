/* Field values: how an entry is filled in, and the chapters that fields.c leaves to other files. */
#ifndef NVSIM_FIELDS_H
#define NVSIM_FIELDS_H

#include "internal.h"

static inline nvmlReturn_t answer_wide(nvmlFieldValue_t *value, uint64_t found)
{
    value->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
    value->value.ullVal = found;
    return NVML_SUCCESS;
}

static inline nvmlReturn_t answer_uint(nvmlFieldValue_t *value, uint32_t found)
{
    if (found == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    value->valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
    value->value.uiVal = found;
    return NVML_SUCCESS;
}

static inline unsigned within(unsigned id, unsigned first, unsigned last)
{
    return id >= first && id <= last;
}

/* Whether a field belongs to NVLink, and its value; which link is in the id, or in the scope. */
unsigned is_link_field(unsigned id) __attribute__((visibility("hidden")));
nvmlReturn_t read_link_field(const struct nvsim_gpu *gpu, nvmlFieldValue_t *value)
    __attribute__((visibility("hidden")));

/* Sets the counters behind a field to zero in a record that is being changed; 3 for a field that does not count. */
nvmlReturn_t clear_link_field(struct nvsim_gpu *gpu, const nvmlFieldValue_t *value)
    __attribute__((visibility("hidden")));

#endif
