/* Memory management: allocating device, host and managed memory. */
#include <unistd.h>

#include "context.h"
#include "memory.h"
#include "pool.h"

enum { PITCH = 512, HOST_FLAGS = 7, REGISTER_FLAGS = 15 };

CUresult cuMemGetInfo_v2(size_t *free, size_t *total)
{
    LOCKED {
        uint64_t all = 0, others = 0;
        CURRENT_OR_RETURN(context, handle);
        if (!free || !total)
            return CUDA_ERROR_INVALID_VALUE;
        memory_of((unsigned)context->device, &all, &others);
        uint64_t own = taken_from(context->device);
        *total = all;
        *free = all - others > own ? all - others - own : 0;
    }
    return CUDA_SUCCESS;
}

/* The interface of 32-bit sizes: as much as fits. */
CUresult cuMemGetInfo(unsigned int *free, unsigned int *total)
{
    size_t found[2] = {0};
    CUresult result = cuMemGetInfo_v2(free ? &found[0] : NULL, total ? &found[1] : NULL);
    if (result)
        return result;
    *free = found[0] > UINT32_MAX ? UINT32_MAX : (unsigned)found[0];
    *total = found[1] > UINT32_MAX ? UINT32_MAX : (unsigned)found[1];
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!dptr || !bytesize)
            return CUDA_ERROR_INVALID_VALUE;
        return take_device_memory(context->device, handle, bytesize, NULL, dptr);
    }
    return CUDA_SUCCESS;
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes, size_t Height,
                            unsigned int ElementSizeBytes)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!dptr || !pPitch || !WidthInBytes || !Height || WidthInBytes > INT32_MAX)
            return CUDA_ERROR_INVALID_VALUE;
        if (ElementSizeBytes != 4 && ElementSizeBytes != 8 && ElementSizeBytes != 16)
            return CUDA_ERROR_INVALID_VALUE;
        size_t pitch = (WidthInBytes + PITCH - 1) / PITCH * PITCH, size = 0;
        if (__builtin_mul_overflow(pitch, Height, &size))
            return CUDA_ERROR_OUT_OF_MEMORY;
        CUresult result = take_device_memory(context->device, handle, size, NULL, dptr);
        if (!result)
            *pPitch = pitch;
        return result;
    }
    return CUDA_SUCCESS;
}

/* Of every context; NULL is nothing to free. */
CUresult cuMemFree_v2(CUdeviceptr dptr)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!dptr)
            return CUDA_SUCCESS;
        struct allocation *found = allocation_at(dptr);
        if (!found || found->start != dptr || (found->place != ON_DEVICE && found->place != MANAGED))
            return CUDA_ERROR_INVALID_VALUE;
        return_to_pool(found);
        give_back(found);
    }
    return CUDA_SUCCESS;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *pbase, size_t *psize, CUdeviceptr dptr)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        const struct allocation *found = allocation_at(dptr);
        if (!found)
            return CUDA_ERROR_NOT_FOUND;
        if (pbase)
            *pbase = found->start;
        if (psize)
            *psize = found->size;
    }
    return CUDA_SUCCESS;
}

CUresult cuMemAllocManaged(CUdeviceptr *dptr, size_t bytesize, unsigned int flags)
{
    LOCKED {
        void *start = NULL;
        CURRENT_OR_RETURN(context, handle);
        if (!dptr || !bytesize || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
            return CUDA_ERROR_INVALID_VALUE;
        CUresult result = take_host_memory(MANAGED, flags, context->device, handle, bytesize, &start);
        if (!result)
            *dptr = (uintptr_t)start;
        return result;
    }
    return CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void **pp, size_t bytesize, unsigned int Flags)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!pp || Flags > HOST_FLAGS)
            return CUDA_ERROR_INVALID_VALUE;
        *pp = NULL;
        return bytesize ? take_host_memory(PINNED, Flags, context->device, handle, bytesize, pp) : CUDA_SUCCESS;
    }
    return CUDA_SUCCESS;
}

CUresult cuMemAllocHost_v2(void **pp, size_t bytesize)
{
    return cuMemHostAlloc(pp, bytesize, 0);
}

CUresult cuMemFreeHost(void *p)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        struct allocation *found = allocation_at((uintptr_t)p);
        if (!p)
            return CUDA_SUCCESS;
        if (!found || found->start != (uintptr_t)p || found->place != PINNED)
            return CUDA_ERROR_INVALID_VALUE;
        give_back(found);
    }
    return CUDA_SUCCESS;
}

CUresult cuMemHostRegister_v2(void *p, size_t bytesize, unsigned int Flags)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!p || !bytesize || Flags > REGISTER_FLAGS)
            return CUDA_ERROR_INVALID_VALUE;
        if (overlaps((uintptr_t)p, bytesize))
            return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
        return take_host_memory(REGISTERED, Flags, context->device, handle, bytesize, &p);
    }
    return CUDA_SUCCESS;
}

CUresult cuMemHostUnregister(void *p)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        struct allocation *found = allocation_at((uintptr_t)p);
        if (!p)
            return CUDA_ERROR_INVALID_VALUE;
        if (!found || found->start != (uintptr_t)p || found->place != REGISTERED)
            return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
        give_back(found);
    }
    return CUDA_SUCCESS;
}

/* The host allocation of an address, or NULL. */
static const struct allocation *host_allocation(void *p)
{
    const struct allocation *found = allocation_at((uintptr_t)p);
    return found && (found->place == PINNED || found->place == REGISTERED) ? found : NULL;
}

/* With unified addressing both sides use one address. */
CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *pdptr, void *p, unsigned int Flags)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!pdptr || Flags || !host_allocation(p))
            return CUDA_ERROR_INVALID_VALUE;
        *pdptr = (uintptr_t)p;
    }
    return CUDA_SUCCESS;
}

CUresult cuMemHostGetFlags(unsigned int *pFlags, void *p)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        const struct allocation *found = host_allocation(p);
        if (!pFlags || !found)
            return CUDA_ERROR_INVALID_VALUE;
        *pFlags = found->flags | CU_MEMHOSTALLOC_DEVICEMAP;
    }
    return CUDA_SUCCESS;
}
