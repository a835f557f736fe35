/* Stream-ordered memory allocation: pools, and allocations in the order of a stream, which are done at once. */
#include "pool.h"

#include "peers.h"
#include "stream.h"

static CUmemoryPool standard[MOST_DEVICES], chosen[MOST_DEVICES];

static struct pool *pool_of(CUmemoryPool handle)
{
    struct object *object = object_of(handle, POOL);
    return object ? &object->pool : NULL;
}

static struct pool *new_pool(CUdevice device, CUmemoryPool *handle)
{
    void *made = NULL;
    struct object *object = new_object(POOL, &made);
    if (!object)
        return NULL;
    object->pool = (struct pool){.device = device, .reuse = {1, 1, 1}};
    *handle = made;
    return &object->pool;
}

/* The pool that a device came with; NULL without memory. */
static CUmemoryPool standard_pool(CUdevice device)
{
    if (!standard[device]) {
        struct pool *pool = new_pool(device, &standard[device]);
        if (pool)
            pool->standard = true;
    }
    return standard[device];
}

static CUmemoryPool pool_in_use(CUdevice device)
{
    return pool_of(chosen[device]) ? chosen[device] : standard_pool(device);
}

void return_to_pool(const struct allocation *allocation)
{
    struct pool *pool = pool_of(allocation->pool);
    if (pool)
        pool->used -= allocation->size;
}

static CUresult take(CUmemoryPool handle, size_t size, CUcontext context, CUdeviceptr *start)
{
    struct pool *pool = pool_of(handle);
    if (!pool)
        return CUDA_ERROR_INVALID_VALUE;
    if (pool->most && pool->used + size > pool->most)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = take_device_memory(pool->device, context, size, handle, start);
    if (result)
        return result;
    pool->used += size;
    if (pool->used > pool->used_high)
        pool->used_high = pool->used;
    return CUDA_SUCCESS;
}

CUresult cuMemAllocAsync(CUdeviceptr *dptr, size_t bytesize, CUstream hStream)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, hStream);
        if (!dptr || !bytesize)
            return CUDA_ERROR_INVALID_VALUE;
        return take(pool_in_use(context->device), bytesize, handle, dptr);
    }
    return CUDA_SUCCESS;
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool, CUstream hStream)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, hStream);
        if (!dptr || !bytesize)
            return CUDA_ERROR_INVALID_VALUE;
        return take(pool, bytesize, handle, dptr);
    }
    return CUDA_SUCCESS;
}

CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream hStream)
{
    LOCKED {
        STREAM_OR_RETURN(context, handle, hStream);
        struct allocation *found = allocation_at(dptr);
        if (!found || found->start != dptr || found->place != ON_DEVICE)
            return CUDA_ERROR_INVALID_VALUE;
        return_to_pool(found);
        give_back(found);
    }
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool_out, CUdevice dev)
{
    GPU_OR_RETURN(gpu, dev, pool_out != NULL);
    LOCKED
        *pool_out = standard_pool(dev);
    return *pool_out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev)
{
    GPU_OR_RETURN(gpu, dev, pool != NULL);
    LOCKED
        *pool = pool_in_use(dev);
    return *pool ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool)
{
    GPU_OR_RETURN(gpu, dev, 1);
    LOCKED {
        struct pool *found = pool_of(pool);
        if (!found || found->device != dev)
            return CUDA_ERROR_INVALID_VALUE;
        chosen[dev] = pool;
    }
    return CUDA_SUCCESS;
}

/* Pools of a device; those of host memory, and those to share, are not supported. */
CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *poolProps)
{
    if (initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!pool || !poolProps || poolProps->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    if (poolProps->location.type != CU_MEM_LOCATION_TYPE_DEVICE || poolProps->handleTypes)
        return refuse("cuMemPoolCreate", CUDA_ERROR_NOT_SUPPORTED);
    GPU_OR_RETURN(gpu, poolProps->location.id, 1);
    LOCKED {
        struct pool *made = new_pool(poolProps->location.id, pool);
        if (!made)
            return CUDA_ERROR_OUT_OF_MEMORY;
        made->most = poolProps->maxSize;
    }
    return CUDA_SUCCESS;
}

/* Its allocations stay until they are freed; a device that it was chosen for goes back to its own. */
CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
    LOCKED {
        if (initialised())
            return CUDA_ERROR_NOT_INITIALIZED;
        struct pool *found = pool_of(pool);
        if (!found || found->standard)
            return CUDA_ERROR_INVALID_VALUE;
        drop_object(pool);
    }
    return CUDA_SUCCESS;
}

/* A pool keeps no memory that is not in use. */
CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t minBytesToKeep)
{
    (void)minBytesToKeep;
    LOCKED {
        if (initialised())
            return CUDA_ERROR_NOT_INITIALIZED;
        return pool_of(pool) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

/* The account of a 64-bit attribute; NULL for others. */
static uint64_t *account(struct pool *pool, CUmemPool_attribute attr)
{
    switch (attr) {
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        return &pool->threshold;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
        return &pool->used;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        return &pool->used_high;
    default:
        return NULL;
    }
}

static int *reuse(struct pool *pool, CUmemPool_attribute attr)
{
    unsigned i = (unsigned)attr - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES;
    return i < sizeof pool->reuse / sizeof *pool->reuse ? &pool->reuse[i] : NULL;
}

CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
    LOCKED {
        if (initialised())
            return CUDA_ERROR_NOT_INITIALIZED;
        struct pool *found = pool_of(pool);
        if (!found || !value)
            return CUDA_ERROR_INVALID_VALUE;
        if (reuse(found, attr))
            memcpy(value, reuse(found, attr), sizeof(int));
        else if (account(found, attr))
            memcpy(value, account(found, attr), sizeof(uint64_t));
        else
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

/* The high-water marks can only be set to 0: they start again from what is in use. */
CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
    LOCKED {
        uint64_t wanted = 0;
        if (initialised())
            return CUDA_ERROR_NOT_INITIALIZED;
        struct pool *found = pool_of(pool);
        if (!found || !value)
            return CUDA_ERROR_INVALID_VALUE;
        if (reuse(found, attr)) {
            memcpy(reuse(found, attr), value, sizeof(int));
            return CUDA_SUCCESS;
        }
        memcpy(&wanted, value, sizeof wanted);
        if (attr == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
            found->threshold = wanted;
        else if (account(found, attr) == &found->used_high && !wanted)
            found->used_high = found->used;
        else
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

/* Whether a location is a device of this process. */
static bool is_device(const CUmemLocation *location)
{
    return location->type == CU_MEM_LOCATION_TYPE_DEVICE && location->id >= 0 &&
           (unsigned)location->id < LOAD(device_count);
}

/* The device that it is on always has access, and keeps it. */
static CUresult give_access(struct pool *pool, const CUmemAccessDesc *wanted)
{
    if (!is_device(&wanted->location))
        return CUDA_ERROR_INVALID_VALUE;
    unsigned device = (unsigned)wanted->location.id;
    bool own = (int)device == pool->device;
    if (wanted->flags == CU_MEM_ACCESS_FLAGS_PROT_NONE && !own)
        pool->access &= ~(1ull << device);
    else if (wanted->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        return CUDA_ERROR_INVALID_VALUE;
    else if (!own && !reachable(device, (unsigned)pool->device))
        return CUDA_ERROR_INVALID_DEVICE;
    else
        pool->access |= 1ull << device;
    return CUDA_SUCCESS;
}

CUresult cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc *map, size_t count)
{
    LOCKED {
        if (initialised())
            return CUDA_ERROR_NOT_INITIALIZED;
        struct pool *found = pool_of(pool);
        if (!found || (count && !map))
            return CUDA_ERROR_INVALID_VALUE;
        for (size_t i = 0; i < count; i++) {
            CUresult result = give_access(found, &map[i]);
            if (result)
                return result;
        }
    }
    return CUDA_SUCCESS;
}

CUresult cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool memPool, CUmemLocation *location)
{
    LOCKED {
        if (initialised())
            return CUDA_ERROR_NOT_INITIALIZED;
        struct pool *found = pool_of(memPool);
        if (!flags || !found || !location || !is_device(location))
            return CUDA_ERROR_INVALID_VALUE;
        bool given = location->id == found->device || found->access >> location->id & 1;
        *flags = given ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
    }
    return CUDA_SUCCESS;
}
