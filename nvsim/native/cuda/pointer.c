/* Unified addressing: what an address is. */
#include "memory.h"
#include "stream.h"

static CUresult answer(void *data, const void *value, size_t size)
{
    memcpy(data, value, size);
    return CUDA_SUCCESS;
}
#define ANSWER(type, value) return answer(data, &(type){value}, sizeof(type))

/* An attribute of an address in an allocation. */
static CUresult describe(const struct allocation *a, CUdeviceptr ptr, CUpointer_attribute attribute, void *data)
{
    bool host = a->place == PINNED || a->place == REGISTERED;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        ANSWER(CUcontext, a->context);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        ANSWER(CUmemorytype, host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        ANSWER(CUdeviceptr, ptr);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        if (a->place == ON_DEVICE)
            return CUDA_ERROR_INVALID_VALUE;
        ANSWER(void *, (void *)(uintptr_t)ptr);
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
        ANSWER(unsigned, 0);
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
        ANSWER(unsigned long long, a->id);
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
        ANSWER(unsigned, a->place == MANAGED);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        ANSWER(int, a->device);
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        ANSWER(CUdeviceptr, a->start);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        ANSWER(size_t, a->size);
    case CU_POINTER_ATTRIBUTE_MAPPED:
        ANSWER(unsigned, 1);
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        ANSWER(unsigned long long, CU_MEM_HANDLE_TYPE_NONE);
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        ANSWER(int, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        ANSWER(CUmemoryPool, a->pool);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        const struct allocation *found = allocation_at(ptr);
        if (!data || !found)
            return CUDA_ERROR_INVALID_VALUE;
        return describe(found, ptr, attribute, data);
    }
    return CUDA_SUCCESS;
}

/* What is said of an address that CUDA does not know: zeros, and -2 for its device. */
static CUresult describe_unknown(CUpointer_attribute attribute, void *data)
{
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        ANSWER(uint64_t, 0);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        ANSWER(int, -2);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        ANSWER(unsigned, 0);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* Unlike a single one, several attributes can be asked of any address. */
CUresult cuPointerGetAttributes(unsigned int numAttributes, CUpointer_attribute *attributes, void **data,
                                CUdeviceptr ptr)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        const struct allocation *found = allocation_at(ptr);
        if (!numAttributes || !attributes || !data)
            return CUDA_ERROR_INVALID_VALUE;
        for (unsigned i = 0; i < numAttributes; i++) {
            if (!data[i])
                return CUDA_ERROR_INVALID_VALUE;
            if (found && !describe(found, ptr, attributes[i], data[i]))
                continue;
            CUresult result = describe_unknown(attributes[i], data[i]);
            if (result)
                return result;
        }
    }
    return CUDA_SUCCESS;
}

/* Every operation is synchronous already. */
CUresult cuPointerSetAttribute(const void *value, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    LOCKED {
        CURRENT_OR_RETURN(context, handle);
        if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS || !allocation_at(ptr))
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

/* Advice about managed memory, and moving it, change nothing that a program can see. */
static CUresult managed(CUstream stream, CUdeviceptr start, size_t size, bool placed)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, stream);
        const struct allocation *found = allocation_at(start);
        if (!found || found->place != MANAGED || !size || size > found->start + found->size - start)
            return CUDA_ERROR_INVALID_VALUE;
        return placed ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
    }
    return CUDA_SUCCESS;
}

static bool is_place(CUdevice device)
{
    return device == -1 || (device >= 0 && (unsigned)device < LOAD(device_count));
}

static bool is_location(CUmemLocation location)
{
    return location.type != CU_MEM_LOCATION_TYPE_DEVICE || (location.id >= 0 && is_place(location.id));
}

CUresult cuMemAdvise(CUdeviceptr devPtr, size_t count, CUmem_advise advice, CUdevice device)
{
    if ((unsigned)advice - 1 >= CU_MEM_ADVISE_UNSET_ACCESSED_BY)
        return initialised() ? CUDA_ERROR_NOT_INITIALIZED : CUDA_ERROR_INVALID_VALUE;
    return managed(NULL, devPtr, count, advice <= CU_MEM_ADVISE_UNSET_READ_MOSTLY || is_place(device));
}

CUresult cuMemAdvise_v2(CUdeviceptr devPtr, size_t count, CUmem_advise advice, CUmemLocation location)
{
    if ((unsigned)advice - 1 >= CU_MEM_ADVISE_UNSET_ACCESSED_BY)
        return initialised() ? CUDA_ERROR_NOT_INITIALIZED : CUDA_ERROR_INVALID_VALUE;
    return managed(NULL, devPtr, count, advice <= CU_MEM_ADVISE_UNSET_READ_MOSTLY || is_location(location));
}

CUresult cuMemPrefetchAsync(CUdeviceptr devPtr, size_t count, CUdevice dstDevice, CUstream hStream)
{
    return managed(hStream, devPtr, count, is_place(dstDevice));
}

CUresult cuMemPrefetchAsync_v2(CUdeviceptr devPtr, size_t count, CUmemLocation location, unsigned int flags,
                               CUstream hStream)
{
    if (flags)
        return initialised() ? CUDA_ERROR_NOT_INITIALIZED : CUDA_ERROR_INVALID_VALUE;
    return managed(hStream, devPtr, count, is_location(location));
}
