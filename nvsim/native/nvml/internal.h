/* What every chapter of the library shares: handles, readings of the board, and getters that are one line each.
 *
 * The order of checks is NVML's: not initialised (1), invalid handle (2), NULL (2), lost GPU (15), then the answer.
 * A getter takes no lock, allocates nothing and makes no system call. */
#ifndef NVSIM_INTERNAL_H
#define NVSIM_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "board/host.h"
#include "board/read.h"
#include "nvml_api.h"

/* Non-zero while initialised: generation << 8 | number of visible GPUs. */
extern uint64_t nvsim_session __attribute__((visibility("hidden")));
/* Place on the board of each visible GPU, in PCI bus order. */
extern uint8_t nvsim_visible[NVSIM_BOARD_CAPACITY] __attribute__((visibility("hidden")));

/* A handle is (generation << 8 | index + 1) << 4: never dereferenced, and unknown after a shutdown. */
static inline nvmlDevice_t handle_of(unsigned index)
{
    uint64_t session = LOAD(nvsim_session);
    return (nvmlDevice_t)(uintptr_t)(((session & ~0xFFull) | (index + 1)) << 4);
}

static inline nvmlReturn_t initialised(void)
{
    return LOAD(nvsim_session) ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

/* The index of a handle, by NVML's numbering. */
static inline nvmlReturn_t index_of(nvmlDevice_t device, unsigned *index)
{
    uint64_t session = LOAD(nvsim_session), handle = (uintptr_t)device;
    unsigned place = (unsigned)(handle >> 4 & 0xFF);
    if (!session)
        return NVML_ERROR_UNINITIALIZED;
    if ((handle >> 12) != (session >> 8) || (handle & 0xF) || place == 0 || place > (session & 0xFF))
        return NVML_ERROR_INVALID_ARGUMENT;
    *index = place - 1;
    return NVML_SUCCESS;
}

static inline const struct nvsim_gpu *gpu_at(unsigned index)
{
    return copy_of(&nvsim_board.slots[LOAD(nvsim_visible[index]) % NVSIM_BOARD_CAPACITY]);
}

/* What every query of a GPU answers, if it is not well.  The board may hold any number. */
static inline nvmlReturn_t fault_of(const struct nvsim_gpu *gpu)
{
    uint32_t fault = LOAD(gpu->fault);
    return fault <= NVML_ERROR_RESET_TYPE_NOT_SUPPORTED ? (nvmlReturn_t)fault : NVML_ERROR_UNKNOWN;
}

/* A handle that is none of a GPU: 3 for a MIG device, which has few properties of its own; else 2. */
nvmlReturn_t not_a_gpu(nvmlDevice_t device) __attribute__((visibility("hidden")));

/* The GPU of a handle, whatever drives it.  `pointers`: whether every output pointer of the call is set. */
static inline nvmlReturn_t any_gpu_of(nvmlDevice_t device, int pointers, const struct nvsim_gpu **gpu)
{
    unsigned index = 0;
    nvmlReturn_t result = index_of(device, &index);
    if (result)
        return result == NVML_ERROR_INVALID_ARGUMENT ? not_a_gpu(device) : result;
    if (!pointers)
        return NVML_ERROR_INVALID_ARGUMENT;
    *gpu = gpu_at(index);
    return fault_of(*gpu);
}

/* NVML reads GPUs through the module nvidia.  Of one that nvgpu drives (Jetson Orin) it knows who it is, no more. */
static inline nvmlReturn_t is_readable(const struct nvsim_gpu *gpu)
{
    return LOAD(gpu->integrated) == NVSIM_BY_NVGPU ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
}

/* The GPU of a handle, for a call that asks for more than who it is. */
static inline nvmlReturn_t gpu_of(nvmlDevice_t device, int pointers, const struct nvsim_gpu **gpu)
{
    nvmlReturn_t result = any_gpu_of(device, pointers, gpu);
    return result ? result : is_readable(*gpu);
}

#define GPU_OR_RETURN(gpu, device, pointers)                    \
    const struct nvsim_gpu *gpu = NULL;                         \
    {                                                           \
        nvmlReturn_t result_ = gpu_of(device, pointers, &gpu);  \
        if (result_)                                            \
            return result_;                                     \
    }

/* A value by its offset in the record. */
#define AT(name) offsetof(struct nvsim_gpu, name)
#define VALUE_AT(type, gpu, offset) LOAD(*(const type *)((const char *)(gpu) + (offset)))

/* Copies a text.  Too short a buffer: 7, and nothing is written.  No text: the board does not have it. */
static inline nvmlReturn_t answer_text(const char *text, size_t size, char *buffer, unsigned length)
{
    size_t used = strnlen(text, size) + 1;
    if (used == 1)
        return NVML_ERROR_NOT_SUPPORTED;
    if (used > size || length < used)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    memcpy(buffer, text, used);
    return NVML_SUCCESS;
}

static inline nvmlReturn_t get_u32(nvmlDevice_t device, void *value, size_t offset)
{
    GPU_OR_RETURN(gpu, device, value != NULL);
    uint32_t found = 0;
    READING(gpu)
        found = VALUE_AT(uint32_t, gpu, offset);
    if (found == NVSIM_ABSENT_U32)
        return NVML_ERROR_NOT_SUPPORTED;
    memcpy(value, &found, sizeof found);
    return NVML_SUCCESS;
}

static inline nvmlReturn_t get_u64(nvmlDevice_t device, unsigned long long *value, size_t offset)
{
    GPU_OR_RETURN(gpu, device, value != NULL);
    uint64_t found = 0;
    READING(gpu)
        found = VALUE_AT(uint64_t, gpu, offset);
    if (found == NVSIM_ABSENT_U64)
        return NVML_ERROR_NOT_SUPPORTED;
    *value = found;
    return NVML_SUCCESS;
}

static inline nvmlReturn_t get_text(nvmlDevice_t device, char *buffer, unsigned length, size_t offset, size_t size)
{
    GPU_OR_RETURN(gpu, device, buffer != NULL);
    return answer_text((const char *)gpu + offset, size, buffer, length);
}

#define GET_U32(function, type, field) \
    nvmlReturn_t function(nvmlDevice_t device, type *value) \
    { return get_u32(device, value, AT(field)); }
#define GET_U64(function, field) \
    nvmlReturn_t function(nvmlDevice_t device, unsigned long long *value) \
    { return get_u64(device, value, AT(field)); }
#define GET_TEXT(function, field) \
    nvmlReturn_t function(nvmlDevice_t device, char *text, unsigned int length) \
    { return get_text(device, text, length, AT(field), sizeof ((struct nvsim_gpu *)0)->field); }
/* Two values of one record, read together. */
#define GET_PAIR(function, type, first_field, second_field) \
    nvmlReturn_t function(nvmlDevice_t device, type *first, type *second) \
    { \
        GPU_OR_RETURN(gpu, device, first && second); \
        uint32_t a = 0, b = 0; \
        READING(gpu) { \
            a = LOAD(gpu->first_field); \
            b = LOAD(gpu->second_field); \
        } \
        if (a == NVSIM_ABSENT_U32) \
            return NVML_ERROR_NOT_SUPPORTED; \
        *first = (type)a; \
        *second = (type)b; \
        return NVML_SUCCESS; \
    }
/* A value that is the same on every board that there is. */
#define GET_CONSTANT(function, type, constant) \
    nvmlReturn_t function(nvmlDevice_t device, type *value) \
    { \
        GPU_OR_RETURN(gpu, device, value != NULL); \
        *value = (constant); \
        return NVML_SUCCESS; \
    }
/* A list that is empty on an emulated host. */
#define GET_EMPTY(function, type) \
    nvmlReturn_t function(nvmlDevice_t device, unsigned int *count, type *entries) \
    { \
        (void)entries; \
        GPU_OR_RETURN(gpu, device, count != NULL); \
        *count = 0; \
        return NVML_SUCCESS; \
    }

/* The version of a struct, if the emulated driver is not older than it. */
#define IS_VERSION(pointer, known) ((pointer)->version == (known) && driver_branch() >= known##_SINCE)
#define KNOWN_VERSION(pointer, known) \
    do { \
        if ((pointer)->version != (known) || driver_branch() < known##_SINCE) \
            return NVML_ERROR_ARGUMENT_VERSION_MISMATCH; \
    } while (0)

#endif
