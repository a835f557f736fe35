/* Device memory is memory of this machine that the program cannot reach by the addresses it is given.
 *
 * On the first allocation a device gets a range of addresses, twice as large as its memory so that gaps between
 * allocations do not matter, and right behind it as much memory, of which the kernel provides a page when it is first
 * written to.  A device address is one of the range, which faults when a program uses it itself, as on a real host;
 * what it stands for lies one range further. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"

enum { ALIGNMENT = 512, PAGE = 4096 };

static struct range {
    uint64_t start, size; /* of the addresses; 0: none yet */
    uint64_t next;        /* where to look first */
    uint64_t taken;       /* bytes in allocations */
} ranges[MOST_DEVICES];

/* By address. */
static struct allocation *list;
static size_t count, room;
static uint64_t last_id;

static uint64_t rounded(uint64_t size, uint64_t to)
{
    return (size + to - 1) / to * to;
}

/* The place in the list of the first allocation that starts behind an address. */
static size_t behind(uint64_t address)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool make_room(void)
{
    if (count < room)
        return true;
    size_t wanted = room ? 2 * room : 64;
    struct allocation *more = realloc(list, wanted * sizeof *more);
    if (!more)
        return false;
    list = more;
    room = wanted;
    return true;
}

static void note(struct allocation allocation)
{
    size_t i = behind(allocation.start);
    memmove(list + i + 1, list + i, (count - i) * sizeof *list);
    allocation.id = ++last_id;
    list[i] = allocation;
    count++;
}

static bool open_range(struct range *range, uint64_t memory)
{
    uint64_t size = rounded(2 * memory, 2 << 20);
    char *start = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return false;
    if (mprotect(start + size, size, PROT_READ | PROT_WRITE)) {
        munmap(start, 2 * size);
        return false;
    }
    /* Neither a core dump nor a child has use for it.  Without these calls, both work. */
    madvise(start, 2 * size, MADV_DONTDUMP);
    madvise(start, 2 * size, MADV_DONTFORK);
    *range = (struct range){.start = (uintptr_t)start, .size = size, .next = (uintptr_t)start};
    return true;
}

/* The first gap of a size at or behind an address of the range; 0 if there is none. */
static uint64_t gap(const struct range *range, uint64_t from, uint64_t size)
{
    uint64_t end = range->start + range->size;
    for (size_t i = behind(from); from + size <= end; i++) {
        if (i == count || list[i].start >= from + size)
            return from;
        from = list[i].start + rounded(list[i].size, ALIGNMENT);
    }
    return 0;
}

CUresult take_device_memory(CUdevice device, CUcontext context, size_t size, CUmemoryPool pool, CUdeviceptr *start)
{
    struct range *range = &ranges[device];
    uint64_t total = 0, others = 0, needed = rounded(size, ALIGNMENT);
    memory_of((unsigned)device, &total, &others);
    if (size > total || range->taken + needed > total - others || !make_room())
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!range->size && !open_range(range, total))
        return CUDA_ERROR_OUT_OF_MEMORY;
    uint64_t found = gap(range, range->next, needed);
    if (!found)
        found = gap(range, range->start, needed);
    if (!found)
        return CUDA_ERROR_OUT_OF_MEMORY;
    note((struct allocation){.start = found, .size = size, .place = ON_DEVICE, .device = device, .context = context,
                             .pool = pool});
    range->next = found + needed;
    range->taken += needed;
    *start = found;
    return CUDA_SUCCESS;
}

CUresult take_host_memory(enum place place, unsigned flags, CUdevice device, CUcontext context, size_t size,
                          void **start)
{
    if (!make_room())
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (place != REGISTERED) {
        void *found = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (found == MAP_FAILED)
            return CUDA_ERROR_OUT_OF_MEMORY;
        *start = found;
    }
    note((struct allocation){.start = (uintptr_t)*start, .size = size, .place = place, .flags = flags,
                             .device = device, .context = context});
    return CUDA_SUCCESS;
}

struct allocation *allocation_at(uint64_t address)
{
    size_t i = behind(address);
    return i && address - list[i - 1].start < list[i - 1].size ? &list[i - 1] : NULL;
}

bool overlaps(uint64_t start, size_t size)
{
    size_t i = behind(start);
    return allocation_at(start) || (i < count && list[i].start - start < size);
}

/* The whole pages within a run of bytes. */
static void *pages_in(void *start, size_t size, size_t *length)
{
    uint64_t from = rounded((uintptr_t)start, PAGE), to = ((uintptr_t)start + size) / PAGE * PAGE;
    *length = from < to ? to - from : 0;
    return (void *)(uintptr_t)from;
}

void clear(void *place, size_t size)
{
    size_t length = 0, before = size;
    char *pages = pages_in(place, size, &length);
    if (length && !madvise(pages, length, MADV_DONTNEED)) { /* they read as zeros when they are used again */
        before = (size_t)(pages - (char *)place);
        memset(pages + length, 0, size - before - length);
    }
    memset(place, 0, before);
}

/* The pages that an allocation had to itself go back to the kernel. */
static void discard(const struct range *range, const struct allocation *allocation)
{
    size_t length = 0;
    void *pages = pages_in((void *)(uintptr_t)(allocation->start + range->size), allocation->size, &length);
    if (length)
        madvise(pages, length, MADV_DONTNEED);
}

void give_back(struct allocation *allocation)
{
    struct range *range = &ranges[allocation->device];
    if (allocation->place == ON_DEVICE) {
        discard(range, allocation);
        range->taken -= rounded(allocation->size, ALIGNMENT);
    } else if (allocation->place != REGISTERED) {
        munmap((void *)(uintptr_t)allocation->start, allocation->size);
    }
    size_t i = (size_t)(allocation - list);
    count--;
    memmove(list + i, list + i + 1, (count - i) * sizeof *list);
}

void free_memory_of(CUcontext context)
{
    for (size_t i = count; i-- > 0;)
        if (list[i].context == context)
            give_back(&list[i]);
}

uint64_t taken_from(CUdevice device)
{
    return ranges[device].taken;
}

static bool in_a_range(uint64_t address)
{
    for (unsigned i = 0; i < MOST_DEVICES; i++)
        if (address - ranges[i].start < ranges[i].size)
            return true;
    return false;
}

CUresult backing(uint64_t address, size_t size, bool foreign, void **place)
{
    const struct allocation *found = allocation_at(address);
    if (!found && (!foreign || in_a_range(address)))
        return CUDA_ERROR_INVALID_VALUE;
    if (found && found->place != REGISTERED && size > found->start + found->size - address)
        return CUDA_ERROR_INVALID_VALUE;
    uint64_t further = found && found->place == ON_DEVICE ? ranges[found->device].size : 0;
    *place = (void *)(uintptr_t)(address + further);
    return CUDA_SUCCESS;
}
