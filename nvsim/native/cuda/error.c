/* Error handling: names and texts of codes, as far as the driver is new enough to have them.  Both work before cuInit. */
#include "internal.h"

static const struct {
    int code, since; /* CUDA version */
    const char *name, *text;
} errors[] = {
#include "errors.inc"
};

/* The place of a code, or the number of codes. */
static size_t place_of(CUresult code)
{
    size_t i = 0;
    while (i < sizeof errors / sizeof *errors && errors[i].code != (int)code)
        i++;
    return i;
}

static CUresult answer(CUresult code, const char **text, bool name)
{
    if (!text)
        return CUDA_ERROR_INVALID_VALUE;
    size_t i = place_of(code);
    *text = NULL;
    if (i == sizeof errors / sizeof *errors || errors[i].since > (int)LOAD(nvsim_board.header.cuda_version))
        return CUDA_ERROR_INVALID_VALUE;
    *text = name ? errors[i].name : errors[i].text;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char **pStr)
{
    return answer(error, pStr, true);
}

CUresult cuGetErrorString(CUresult error, const char **pStr)
{
    return answer(error, pStr, false);
}
