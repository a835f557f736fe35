/* Attributes of devices, by the rules of nvsim/catalog/cuda-attributes.yaml, which attributes.inc holds. */
#include <stddef.h>

#include "internal.h"

enum read { NOTHING, U32, U64 };
enum test { NO_TEST, AT_LEAST, EQUAL_TO, OTHER_THAN, ABSENT };
enum { MOST_STEPS = 8 };

/* The value is times * (field or outcome of its test, if one is read) * (step of the compute capability, if any). */
struct attribute {
    bool known;
    int since; /* CUDA version */
    int times;
    enum read read;
    size_t offset;
    int otherwise; /* if the board has no such field */
    enum test test;
    int against;
    struct {
        int compute, value;
    } steps[MOST_STEPS];
};

static const struct attribute attributes[] = {
#include "attributes.inc"
};

static bool passes(const struct attribute *a, uint64_t value, bool absent)
{
    switch (a->test) {
    case AT_LEAST:
        return !absent && value >= (uint64_t)a->against;
    case EQUAL_TO:
        return !absent && value == (uint64_t)a->against;
    case OTHER_THAN:
        return absent || value != (uint64_t)a->against;
    default:
        return absent;
    }
}

static int64_t field(const struct attribute *a, const struct nvsim_gpu *gpu)
{
    const char *place = (const char *)gpu + a->offset;
    uint64_t value = a->read == U32 ? LOAD(*(const uint32_t *)place) : LOAD(*(const uint64_t *)place);
    bool absent = value == (a->read == U32 ? NVSIM_ABSENT_U32 : NVSIM_ABSENT_U64);
    if (a->test)
        return passes(a, value, absent);
    return absent ? a->otherwise : (int64_t)value;
}

/* The value of the greatest key that is not above the device's compute capability; before all of them, the first. */
static int64_t step(const struct attribute *a, const struct nvsim_gpu *gpu)
{
    int compute = (int)(gpu->compute_major * 10 + gpu->compute_minor), value = a->steps[0].value;
    for (unsigned i = 1; i < MOST_STEPS && a->steps[i].compute && a->steps[i].compute <= compute; i++)
        value = a->steps[i].value;
    return value;
}

/* The part of a GPU's attribute that one of its MIG devices has: the cache goes with the memory, and none of it can be
 * set aside. */
static int share(unsigned device, CUdevice_attribute attribute, int value)
{
    const struct nvsim_gpu *gpu = gpu_at(device);
    const struct mig_profile *profile = mig_profile_of(gpu, devices[device].slot);
    const struct mig_table *table = mig_table_of(gpu);
    unsigned whole = 1;
    if (!profile || !table)
        return value;
    for (unsigned i = 0; i < table->count; i++)
        whole = table->profiles[i].size > whole ? table->profiles[i].size : whole;
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
        return (int)mig_compute_sm(table, profile, LOAD(gpu->ci_size[devices[device].slot]));
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
        return (int)profile->copy_engines;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
        return (int)((int64_t)value * profile->size / whole);
    case CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE:
        return 0;
    default:
        return value;
    }
}

CUresult cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev)
{
    GPU_OR_RETURN(gpu, dev, pi != NULL);
    if ((size_t)attrib >= sizeof attributes / sizeof *attributes || !attributes[attrib].known)
        return CUDA_ERROR_INVALID_VALUE;
    const struct attribute *a = &attributes[attrib];
    if (a->since > (int)LOAD(nvsim_board.header.cuda_version))
        return CUDA_ERROR_INVALID_VALUE;
    int64_t value = a->times;
    READING(gpu)
        value = a->times * (a->read ? field(a, gpu) : 1) * (a->steps[0].compute ? step(a, gpu) : 1);
    *pi = is_mig((unsigned)dev) ? share((unsigned)dev, attrib, (int)value) : (int)value;
    return CUDA_SUCCESS;
}

/* The properties that CUDA had before attributes. */
CUresult cuDeviceGetProperties(CUdevprop *prop, CUdevice dev)
{
    static const struct {
        size_t offset;
        CUdevice_attribute attribute;
    } parts[] = {
        {offsetof(CUdevprop, maxThreadsPerBlock), CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK},
        {offsetof(CUdevprop, maxThreadsDim[0]), CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X},
        {offsetof(CUdevprop, maxThreadsDim[1]), CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y},
        {offsetof(CUdevprop, maxThreadsDim[2]), CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z},
        {offsetof(CUdevprop, maxGridSize[0]), CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X},
        {offsetof(CUdevprop, maxGridSize[1]), CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y},
        {offsetof(CUdevprop, maxGridSize[2]), CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z},
        {offsetof(CUdevprop, sharedMemPerBlock), CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK},
        {offsetof(CUdevprop, totalConstantMemory), CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY},
        {offsetof(CUdevprop, SIMDWidth), CU_DEVICE_ATTRIBUTE_WARP_SIZE},
        {offsetof(CUdevprop, memPitch), CU_DEVICE_ATTRIBUTE_MAX_PITCH},
        {offsetof(CUdevprop, regsPerBlock), CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK},
        {offsetof(CUdevprop, clockRate), CU_DEVICE_ATTRIBUTE_CLOCK_RATE},
        {offsetof(CUdevprop, textureAlign), CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT},
    };
    GPU_OR_RETURN(gpu, dev, prop != NULL);
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        int value = 0;
        CUresult result = cuDeviceGetAttribute(&value, parts[i].attribute, dev);
        if (result)
            return result;
        memcpy((char *)prop + parts[i].offset, &value, sizeof value);
    }
    return CUDA_SUCCESS;
}
