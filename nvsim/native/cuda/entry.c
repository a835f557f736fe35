/* Driver entry point access: functions by name, CUDA version and kind of default stream. */
#include "entries.h"
#include "internal.h"

/* The first entry of a name, or entry_count. */
static size_t first_of(const char *name)
{
    size_t low = 0, high = entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < entry_count && !strcmp(entries[low].name, name) ? low : entry_count;
}

/* The newest function of a name that is not newer than `version`, nor than the driver; NULL without one. */
static CUdriverProcAddressQueryResult look_up(const char *name, unsigned version, bool per_thread,
                                              const void **function)
{
    unsigned driver = LOAD(nvsim_board.header.cuda_version);
    CUdriverProcAddressQueryResult result = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    *function = NULL;
    for (size_t i = first_of(name); i < entry_count && !strcmp(entries[i].name, name); i++) {
        if ((unsigned)entries[i].since > driver)
            continue;
        if ((unsigned)entries[i].since <= version) {
            *function = per_thread ? entries[i].twin : entries[i].function;
            return CU_GET_PROC_ADDRESS_SUCCESS;
        }
        result = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
    }
    return result;
}

enum { FLAGS = CU_GET_PROC_ADDRESS_LEGACY_STREAM | CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM };

/* Works before cuInit.  A function that is not found is a success without an address: the status says why. */
CUresult cuGetProcAddress_v2(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *symbolStatus)
{
    const void *function = NULL;
    if (!symbol || !pfn || flags > FLAGS)
        return CUDA_ERROR_INVALID_VALUE;
    CUdriverProcAddressQueryResult status = look_up(
        symbol, (unsigned)cudaVersion, flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &function);
    memcpy(pfn, &function, sizeof function);
    if (symbolStatus)
        *symbolStatus = status;
    return CUDA_SUCCESS;
}

/* Without a status, an error, and no address is written. */
CUresult cuGetProcAddress(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags)
{
    void *found = NULL;
    CUresult result = cuGetProcAddress_v2(symbol, pfn ? &found : NULL, cudaVersion, flags, NULL);
    if (result || !found)
        return result ? result : CUDA_ERROR_NOT_FOUND;
    *pfn = found;
    return CUDA_SUCCESS;
}

/* The tables of unnamed functions by which NVIDIA's CUDA runtime finds and checks its driver.  It is right to refuse a
 * library that is not NVIDIA's, so there are none: every id is unknown. */
CUresult cuGetExportTable(const void **ppExportTable, const CUuuid *pExportTableId)
{
    if (!ppExportTable || !pExportTableId)
        return CUDA_ERROR_INVALID_VALUE;
    *ppExportTable = NULL;
    return refuse("cuGetExportTable", CUDA_ERROR_INVALID_VALUE);
}
