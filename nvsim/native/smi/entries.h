/* What a GPU has several of: each is a row of a --query-… other than --query-gpu. */
#pragma once

#include "gpus.h"

enum query { QUERY_GPU, QUERY_COMPUTE_APPS, QUERY_ACCOUNTED_APPS, QUERY_SUPPORTED_CLOCKS, QUERY_RETIRED_PAGES,
             QUERY_REMAPPED_ROWS, QUERIES };

struct entry {
    nvmlReturn_t result; /* why there is nothing to tell, where even that is a row */
    nvmlProcessInfo_t process;
    nvmlAccountingStats_t stats;
    unsigned int clocks[2]; /* memory, graphics: MHz */
    nvmlPageRetirementCause_t cause;
    unsigned long long address, timestamp;
};

struct entries {
    struct entry *items;
    size_t count;
};

struct entries read_entries(enum query query, nvmlDevice_t device);
