/* Memory management: filling memory with a value of 8, 16 or 32 bits. */
#include "memory.h"
#include "stream.h"

/* Rows of elements of `size` bytes each. */
struct area {
    size_t size, width, height, pitch;
};

static void fill(char *row, uint32_t value, size_t size, size_t count)
{
    if (size == 1) {
        memset(row, (int)value, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        memcpy(row + i * size, &value, size);
}

static CUresult set(CUstream stream, CUdeviceptr at, uint32_t value, struct area area)
{
    void *start = NULL;
    size_t width = 0;
    bool on_device = false;
    LOCKED {
        STREAM_OR_RETURN(context, handle, stream);
        if (at % area.size || __builtin_mul_overflow(area.width, area.size, &width))
            return CUDA_ERROR_INVALID_VALUE;
        if (!width || !area.height)
            return CUDA_SUCCESS;
        if (area.height > 1 && (area.pitch < width || area.pitch > SIZE_MAX / area.height))
            return CUDA_ERROR_INVALID_VALUE;
        if (backing(at, (area.height - 1) * area.pitch + width, false, &start))
            return CUDA_ERROR_INVALID_VALUE;
        on_device = allocation_at(at)->place == ON_DEVICE;
    }
    if (on_device && !value && area.height == 1) {
        clear(start, width);
        return CUDA_SUCCESS;
    }
    for (size_t y = 0; y < area.height; y++)
        fill((char *)start + y * area.pitch, value, area.size, area.width);
    return CUDA_SUCCESS;
}

#define LINE(function, name, type, bytes)                                                  \
    CUresult function(CUdeviceptr dstDevice, type name, size_t N)                          \
    {                                                                                      \
        return set(NULL, dstDevice, name, (struct area){bytes, N, 1, 0});                  \
    }
#define LINE_IN_STREAM(function, name, type, bytes)                                        \
    CUresult function(CUdeviceptr dstDevice, type name, size_t N, CUstream hStream)        \
    {                                                                                      \
        return set(hStream, dstDevice, name, (struct area){bytes, N, 1, 0});               \
    }
#define AREA(function, name, type, bytes)                                                  \
    CUresult function(CUdeviceptr dstDevice, size_t dstPitch, type name, size_t Width, size_t Height) \
    {                                                                                      \
        return set(NULL, dstDevice, name, (struct area){bytes, Width, Height, dstPitch});  \
    }
#define AREA_IN_STREAM(function, name, type, bytes)                                        \
    CUresult function(CUdeviceptr dstDevice, size_t dstPitch, type name, size_t Width, size_t Height, \
                      CUstream hStream)                                                    \
    {                                                                                      \
        return set(hStream, dstDevice, name, (struct area){bytes, Width, Height, dstPitch}); \
    }

LINE(cuMemsetD8_v2, uc, unsigned char, 1)
LINE(cuMemsetD16_v2, us, unsigned short, 2)
LINE(cuMemsetD32_v2, ui, unsigned int, 4)
LINE_IN_STREAM(cuMemsetD8Async, uc, unsigned char, 1)
LINE_IN_STREAM(cuMemsetD16Async, us, unsigned short, 2)
LINE_IN_STREAM(cuMemsetD32Async, ui, unsigned int, 4)
AREA(cuMemsetD2D8_v2, uc, unsigned char, 1)
AREA(cuMemsetD2D16_v2, us, unsigned short, 2)
AREA(cuMemsetD2D32_v2, ui, unsigned int, 4)
AREA_IN_STREAM(cuMemsetD2D8Async, uc, unsigned char, 1)
AREA_IN_STREAM(cuMemsetD2D16Async, us, unsigned short, 2)
AREA_IN_STREAM(cuMemsetD2D32Async, ui, unsigned int, 4)
