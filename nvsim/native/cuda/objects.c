/* Handles are numbers that no other object of the process had or will have: one that is used after its object is gone
 * is found out, which a pointer would not be. */
#include <stdlib.h>

#include "objects.h"

enum { INDEX_BITS = 20, SHIFT = 4 };

static struct object **slots;
static size_t slot_count, slot_room;
static size_t lowest; /* no slot before it is free */
static uint64_t last_id;

static size_t index_of(const void *handle)
{
    return (size_t)((uintptr_t)handle >> SHIFT & ((1u << INDEX_BITS) - 1));
}

static uint64_t id_of(const void *handle)
{
    return (uintptr_t)handle >> (SHIFT + INDEX_BITS);
}

/* The index of a free slot; (size_t)-1 if there can be no more. */
static size_t free_slot(void)
{
    for (; lowest < slot_count; lowest++)
        if (!slots[lowest])
            return lowest;
    if (slot_count == slot_room) {
        size_t room = slot_room ? 2 * slot_room : 64;
        struct object **more = room < 1u << INDEX_BITS ? realloc(slots, room * sizeof *more) : NULL;
        if (!more)
            return (size_t)-1;
        slots = more;
        slot_room = room;
    }
    slots[slot_count] = NULL;
    return slot_count++;
}

struct object *new_object(enum kind kind, void **handle)
{
    size_t i = free_slot();
    struct object *object = i == (size_t)-1 ? NULL : calloc(1, sizeof *object);
    if (!object)
        return NULL;
    object->kind = kind;
    object->id = ++last_id;
    slots[i] = object;
    *handle = (void *)(uintptr_t)((object->id << INDEX_BITS | i) << SHIFT);
    return object;
}

struct object *object_of(const void *handle, enum kind kind)
{
    size_t i = index_of(handle);
    if ((uintptr_t)handle & ((1u << SHIFT) - 1) || i >= slot_count || !slots[i])
        return NULL;
    return slots[i]->kind == kind && slots[i]->id == id_of(handle) ? slots[i] : NULL;
}

static void drop(size_t i)
{
    free(slots[i]);
    slots[i] = NULL;
    lowest = i < lowest ? i : lowest;
}

void drop_object(const void *handle)
{
    drop(index_of(handle));
}

void drop_objects_of(CUcontext context)
{
    for (size_t i = 0; i < slot_count; i++) {
        if (slots[i] && ((slots[i]->kind == STREAM && slots[i]->stream.context == context) ||
                         (slots[i]->kind == EVENT && slots[i]->event.context == context)))
            drop(i);
    }
}
