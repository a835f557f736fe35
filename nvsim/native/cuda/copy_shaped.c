/* Memory management: copies of rectangles and boxes.  A rectangle is a box of depth 1.  There are no arrays. */
#include "memory.h"
#include "stream.h"

/* One side of a copy: the address of its first byte, and how far rows and slices are apart. */
struct side {
    uint64_t first;
    size_t row, slice;
    bool known; /* an address that CUDA gave out or was told of */
};

struct box {
    size_t width, height, depth;
};

/* 1 for a shape that cannot be: rows that overlap, or sizes that no memory has. */
static CUresult place(struct side *side, CUmemorytype type, uint64_t start, size_t pitch, size_t rows,
                      const size_t at[3], const struct box *box)
{
    size_t row = pitch ? pitch : box->width + at[0], height = rows ? rows : box->height + at[1];
    size_t slice = 0, depth = 0, line = 0, offset = 0;
    if (box->width + at[0] > row || (box->depth > 1 && box->height + at[1] > height))
        return CUDA_ERROR_INVALID_VALUE;
    if (__builtin_mul_overflow(row, height, &slice) || __builtin_mul_overflow(slice, at[2], &depth) ||
        __builtin_mul_overflow(row, at[1], &line) || __builtin_add_overflow(depth, line, &offset))
        return CUDA_ERROR_INVALID_VALUE;
    if (!start)
        return CUDA_ERROR_INVALID_VALUE;
    *side = (struct side){.first = start + offset + at[0], .row = row, .slice = slice,
                          .known = type == CU_MEMORYTYPE_DEVICE};
    return CUDA_SUCCESS;
}

/* The bytes from the first to the last that a side has in the box. */
static size_t span(const struct side *side, const struct box *box)
{
    return (box->depth - 1) * side->slice + (box->height - 1) * side->row + box->width;
}

static CUresult copy(CUstream stream, const struct side *to, const struct side *from, const struct box *box)
{
    void *target = NULL, *source = NULL;
    LOCKED {
        STREAM_OR_RETURN(context, handle, stream);
        if (!box->width || !box->height || !box->depth)
            return CUDA_SUCCESS;
        if (backing(to->first, span(to, box), !to->known, &target) ||
            backing(from->first, span(from, box), !from->known, &source))
            return CUDA_ERROR_INVALID_VALUE;
    }
    for (size_t z = 0; z < box->depth; z++)
        for (size_t y = 0; y < box->height; y++)
            memmove((char *)target + z * to->slice + y * to->row, (char *)source + z * from->slice + y * from->row,
                    box->width);
    return CUDA_SUCCESS;
}

static CUresult copy_box(const CUDA_MEMCPY3D *c, CUstream stream, const char *function)
{
    struct side to, from;
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!c)
        return CUDA_ERROR_INVALID_VALUE;
    if (c->srcMemoryType == CU_MEMORYTYPE_ARRAY || c->dstMemoryType == CU_MEMORYTYPE_ARRAY)
        return refuse(function, CUDA_ERROR_INVALID_HANDLE);
    const struct box box = {c->WidthInBytes, c->Height, c->Depth};
    const size_t source_at[3] = {c->srcXInBytes, c->srcY, c->srcZ}, target_at[3] = {c->dstXInBytes, c->dstY, c->dstZ};
    uint64_t source = c->srcMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c->srcHost : c->srcDevice;
    uint64_t target = c->dstMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c->dstHost : c->dstDevice;
    if (place(&from, c->srcMemoryType, source, c->srcPitch, c->srcHeight, source_at, &box) ||
        place(&to, c->dstMemoryType, target, c->dstPitch, c->dstHeight, target_at, &box))
        return CUDA_ERROR_INVALID_VALUE;
    return copy(stream, &to, &from, &box);
}

static CUresult copy_rectangle(const CUDA_MEMCPY2D *c, CUstream stream, const char *function)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!c)
        return CUDA_ERROR_INVALID_VALUE;
    const CUDA_MEMCPY3D box = {
        .srcXInBytes = c->srcXInBytes, .srcY = c->srcY, .srcMemoryType = c->srcMemoryType, .srcHost = c->srcHost,
        .srcDevice = c->srcDevice, .srcPitch = c->srcPitch, .dstXInBytes = c->dstXInBytes, .dstY = c->dstY,
        .dstMemoryType = c->dstMemoryType, .dstHost = c->dstHost, .dstDevice = c->dstDevice, .dstPitch = c->dstPitch,
        .WidthInBytes = c->WidthInBytes, .Height = c->Height, .Depth = 1,
    };
    return copy_box(&box, stream, function);
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *pCopy)
{
    return copy_rectangle(pCopy, NULL, "cuMemcpy2D");
}

CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *pCopy)
{
    return copy_rectangle(pCopy, NULL, "cuMemcpy2DUnaligned");
}

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *pCopy, CUstream hStream)
{
    return copy_rectangle(pCopy, hStream, "cuMemcpy2DAsync");
}

CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D *pCopy)
{
    return copy_box(pCopy, NULL, "cuMemcpy3D");
}

CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
    return copy_box(pCopy, hStream, "cuMemcpy3DAsync");
}

/* Addresses say which device they are of: the contexts only have to be there. */
CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream)
{
    CUDA_MEMCPY3D box;
    _Static_assert(sizeof box == sizeof *pCopy, "the two have the contexts where the other one has nothing");
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!pCopy)
        return CUDA_ERROR_INVALID_VALUE;
    LOCKED {
        struct context *context = NULL;
        if (context_of(pCopy->dstContext, &context) || context_of(pCopy->srcContext, &context))
            return CUDA_ERROR_INVALID_CONTEXT;
    }
    memcpy(&box, pCopy, sizeof box);
    return copy_box(&box, hStream, "cuMemcpy3DPeer");
}

CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *pCopy)
{
    return cuMemcpy3DPeerAsync(pCopy, NULL);
}
