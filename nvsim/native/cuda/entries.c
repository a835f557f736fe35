/* The table of cuGetProcAddress.  Here only addresses matter, so functions are declared without their parameters; the
 * file includes no header that knows better.  entries.inc is written by nvsim/native/generate_cuda.py. */
#include "entries.h"

#define ENTRY(name, since, function, twin) \
    extern const char function[];          \
    extern const char twin[];
#include "entries.inc"
#undef ENTRY

const struct entry entries[] = {
#define ENTRY(name, since, function, twin) {#name, since, function, twin},
#include "entries.inc"
#undef ENTRY
};

const size_t entry_count = sizeof entries / sizeof *entries;
