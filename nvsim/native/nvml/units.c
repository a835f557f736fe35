/* S-class units, enclosures of the Tesla age: no host has one, so each unit and each index is invalid. */
#include "internal.h"

nvmlReturn_t nvmlUnitGetCount(unsigned int *unitCount)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!unitCount)
        return NVML_ERROR_INVALID_ARGUMENT;
    *unitCount = 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlUnitGetHandleByIndex(unsigned int index, nvmlUnit_t *unit)
{
    (void)index;
    (void)unit;
    return initialised() ? NVML_ERROR_UNINITIALIZED : NVML_ERROR_INVALID_ARGUMENT;
}
