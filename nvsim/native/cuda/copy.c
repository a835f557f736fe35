/* Memory management: copies of a run of bytes.  Those in a stream are done when the call returns, too. */
#include "memory.h"
#include "stream.h"

/* Which sides of a copy must be addresses that CUDA gave out or was told of. */
enum known { NEITHER = 0, FROM = 1, TO = 2 };

/* Finds both sides with the lock held, and copies without it. */
static CUresult copy(CUstream stream, uint64_t to, uint64_t from, size_t size, enum known known)
{
    void *target = NULL, *source = NULL;
    LOCKED {
        STREAM_OR_RETURN(context, handle, stream);
        if (!size)
            return CUDA_SUCCESS;
        if (!to || !from || backing(to, size, !(known & TO), &target) ||
            backing(from, size, !(known & FROM), &source))
            return CUDA_ERROR_INVALID_VALUE;
    }
    memmove(target, source, size);
    return CUDA_SUCCESS;
}

static uint64_t address(const void *p)
{
    return (uintptr_t)p;
}

CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount)
{
    return copy(NULL, dst, src, ByteCount, NEITHER);
}

CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream)
{
    return copy(hStream, dst, src, ByteCount, NEITHER);
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount)
{
    return copy(NULL, dstDevice, address(srcHost), ByteCount, TO);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount, CUstream hStream)
{
    return copy(hStream, dstDevice, address(srcHost), ByteCount, TO);
}

CUresult cuMemcpyDtoH_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount)
{
    return copy(NULL, address(dstHost), srcDevice, ByteCount, FROM);
}

CUresult cuMemcpyDtoHAsync_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount, CUstream hStream)
{
    return copy(hStream, address(dstHost), srcDevice, ByteCount, FROM);
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount)
{
    return copy(NULL, dstDevice, srcDevice, ByteCount, FROM | TO);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount, CUstream hStream)
{
    return copy(hStream, dstDevice, srcDevice, ByteCount, FROM | TO);
}

/* Between devices that do not reach each other the driver copies through the host: all pairs work. */
CUresult cuMemcpyPeerAsync(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice, CUcontext srcContext,
                           size_t ByteCount, CUstream hStream)
{
    LOCKED {
        struct context *context = NULL;
        if (initialised())
            return CUDA_ERROR_NOT_INITIALIZED;
        if (context_of(dstContext, &context) || context_of(srcContext, &context))
            return CUDA_ERROR_INVALID_CONTEXT;
    }
    return copy(hStream, dstDevice, srcDevice, ByteCount, FROM | TO);
}

CUresult cuMemcpyPeer(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice, CUcontext srcContext,
                      size_t ByteCount)
{
    return cuMemcpyPeerAsync(dstDevice, dstContext, srcDevice, srcContext, ByteCount, NULL);
}
