/* Arguments for every function of the library, from the table that calls.py writes.
 *
 * Every array and struct lies in memory of its own of exactly its size, so that a write beyond it is seen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "nvml_api.h"

#include "calls.inc"

const struct function *const all_functions = functions;
const unsigned function_count = sizeof functions / sizeof *functions;

uint64_t made, answered;

/* More elements than any list of the library has. */
enum { ROOM = 4096, TEXT_ROOM = 80 };

uint64_t next(struct random *random)
{
    random->state += 0x9E3779B97F4A7C15; /* splitmix64 */
    uint64_t mixed = random->state;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
    return mixed ^ mixed >> 31;
}

unsigned pick(struct random *random, unsigned limit)
{
    return (unsigned)(next(random) % limit);
}

/* Numbers at which something often changes. */
static uint64_t number_for(struct random *random)
{
    static const uint64_t edges[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 18, 35, 36, 63, 64, 65, 255, 256, 1024,
                                     0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, UINT64_MAX};
    unsigned choice = pick(random, 40);
    if (choice < sizeof edges / sizeof *edges)
        return edges[choice];
    return choice < 36 ? pick(random, 20) : next(random);
}

static uintptr_t wrong_handle(struct world *world, uintptr_t right)
{
    const uintptr_t wrong[] = {0, 1, 0x10, 0xDEADBEEF0, UINTPTR_MAX, right + 1, right + 0x10, right ^ 1ull << 40};
    return wrong[pick(&world->random, sizeof wrong / sizeof *wrong)];
}

static void fill(struct random *random, unsigned char *bytes, size_t size)
{
    switch (pick(random, 3)) {
    case 0:
        memset(bytes, 0xFF, size);
        break;
    case 1:
        for (size_t i = 0; i < size; i++)
            bytes[i] = (unsigned char)next(random);
        break;
    default:
        for (size_t i = 0; i + sizeof(unsigned) <= size; i += sizeof(unsigned))
            memcpy(bytes + i, &(unsigned){(unsigned)number_for(random)}, sizeof(unsigned));
    }
}

static uintptr_t elements(struct world *world, const struct argument *argument, size_t count)
{
    size_t size = count * argument->size;
    unsigned char *bytes = calloc(1, size ? size : 1);
    if (!bytes)
        failed("no memory for", "calloc", (long)size);
    if (argument->any_bytes && pick(&world->random, 2))
        fill(&world->random, bytes, size);
    return (uintptr_t)bytes;
}

/* A struct of one of the versions that there are; with a wrong one, only the version itself may be read. */
static uintptr_t versioned(struct world *world, const struct argument *argument, int wrong)
{
    static const unsigned others[] = {0, 1, UINT32_MAX, 0x7F000000};
    unsigned version = argument->versions[pick(&world->random, argument->version_count)];
    if (wrong) {
        version = pick(&world->random, 2) ? version ^ 0x40000000 : others[pick(&world->random, 4)];
        unsigned *alone = malloc(sizeof *alone);
        if (alone)
            *alone = version;
        return (uintptr_t)alone;
    }
    struct argument sized = *argument;
    sized.size = version & 0xFFFFFF;
    uintptr_t made = elements(world, &sized, 1);
    memcpy((void *)made, &version, sizeof version);
    return made;
}

static uintptr_t text_for(struct random *random)
{
    static const char *const texts[] = {"", "GPU-", "MIG-", "0", "00000000:01:00.0", "0000:01:00.0", "1:2", ":::", "%s%n",
                                        "MIG-GPU-00000000-0000-0000-0000-000000000000/1/0",
                                        "GPU-00000000-0000-0000-0000-000000000000"};
    char *text = NULL;
    if (pick(random, 4)) {
        text = strdup(texts[pick(random, sizeof texts / sizeof *texts)]);
    } else if ((text = malloc(TEXT_ROOM))) {
        memset(text, 'A', TEXT_ROOM - 1);
        text[TEXT_ROOM - 1] = '\0';
    }
    return (uintptr_t)text;
}

static uintptr_t live(const struct world *world, enum kind kind)
{
    void *const held[] = {[DEVICE] = world->device, [EVENT_SET] = world->event_set,
                          [GPU_INSTANCE] = world->gpu_instance, [COMPUTE_INSTANCE] = world->compute_instance};
    return (uintptr_t)held[kind];
}

/* Whether the argument is memory of its own, to be given back after the call. */
static int is_memory(enum kind kind)
{
    return kind >= COUNT;
}

static uintptr_t value_for(struct world *world, const struct argument *argument, enum flaw flaw, unsigned room)
{
    unsigned stated = flaw == HUGE_NUMBER && !world->honest ? UINT32_MAX : room;
    if (flaw == NULL_POINTER && is_memory(argument->kind))
        return 0;
    switch (argument->kind) {
    case DEVICE:
    case EVENT_SET:
    case GPU_INSTANCE:
    case COMPUTE_INSTANCE:
        return flaw == WRONG_HANDLE ? wrong_handle(world, live(world, argument->kind)) : live(world, argument->kind);
    case HANDLE:
        return wrong_handle(world, 0);
    case NUMBER:
        return flaw == HUGE_NUMBER ? UINTPTR_MAX : (uintptr_t)number_for(&world->random);
    case TIMEOUT:
        return pick(&world->random, 2);
    case LENGTH: /* an array that is shorter than its length is nobody's fault but the caller's */
        return flaw == HUGE_NUMBER ? (uintptr_t)-1 : room;
    case COUNT: {
        unsigned *count = malloc(sizeof *count);
        if (count)
            *count = stated;
        return (uintptr_t)count;
    }
    case TEXT:
        return text_for(&world->random);
    case ARRAY:
        return elements(world, argument, room);
    case POINTER:
        return elements(world, argument, 1);
    case VERSIONED:
        return versioned(world, argument, flaw == WRONG_VERSION);
    }
    return 0;
}

static int is_known(int code)
{
    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] == code)
            return 1;
    return 0;
}

/* What a successful call made is given back, or there would be none left to make. */
static void give_back(const struct function *function, const uintptr_t *values)
{
    if (!strcmp(function->name, "nvmlEventSetCreate"))
        nvmlEventSetFree(*(nvmlEventSet_t *)values[0]);
    else if (!strcmp(function->name, "nvmlGpmSampleAlloc"))
        nvmlGpmSampleFree(*(nvmlGpmSample_t *)values[0]);
}

/* A length by value says what is there: only texts, which are written as far as they go, may be given a wrong one. */
static int may_lie(const struct function *function, unsigned which)
{
    if (function->arguments[which].kind != LENGTH)
        return 1;
    for (unsigned i = 0; i < function->count; i++)
        if (function->arguments[i].kind == ARRAY && function->arguments[i].size != 1)
            return 0;
    return 1;
}

/* Of several arrays of a function, some are a single value that goes with the list. */
static unsigned room_for(struct random *random, const struct function *function)
{
    static const unsigned rooms[] = {0, 1, 2, 3, 16, 40, 64, 96};
    unsigned arrays = 0;
    for (unsigned i = 0; i < function->count; i++)
        arrays += function->arguments[i].kind == ARRAY;
    unsigned room = rooms[pick(random, sizeof rooms / sizeof *rooms)];
    return arrays > 1 && !room ? 1 : room;
}

int try_call(struct world *world, const struct function *function, enum flaw flaw, unsigned which)
{
    uintptr_t values[ARGUMENTS] = {0};
    unsigned room = room_for(&world->random, function);
    if (flaw == HUGE_NUMBER && !may_lie(function, which))
        flaw = NONE;
    if (flaw == HUGE_NUMBER)
        room = ROOM;
    for (unsigned i = 0; i < function->count; i++)
        values[i] = value_for(world, &function->arguments[i], i == which ? flaw : NONE, room);
    int code = function->call(values);
    if (!is_known(code))
        failed("returned", function->name, code);
    if (!code)
        give_back(function, values);
    __atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&answered, !code, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < function->count; i++)
        if (is_memory(function->arguments[i].kind))
            free((void *)values[i]);
    return code;
}

/* The first GPU instance of any profile, and its first compute instance. */
static void take_instances(struct world *world, nvmlDevice_t parent)
{
    nvmlGpuInstance_t found[8] = {0};
    nvmlComputeInstance_t parts[8] = {0};
    for (unsigned profile = 0; profile < 32 && !world->gpu_instance; profile++) {
        unsigned count = 8;
        if (!nvmlDeviceGetGpuInstances(parent, profile, found, &count) && count)
            world->gpu_instance = found[0];
    }
    for (unsigned profile = 0; profile < 32 && world->gpu_instance && !world->compute_instance; profile++) {
        unsigned count = 8;
        if (!nvmlGpuInstanceGetComputeInstances(world->gpu_instance, profile, parts, &count) && count)
            world->compute_instance = parts[0];
    }
}

int take_handles(struct world *world)
{
    unsigned count = 0;
    nvmlDevice_t parent = NULL, mig = NULL;
    nvmlEventSet_t set = NULL;
    world->device = world->event_set = world->gpu_instance = world->compute_instance = NULL;
    if (nvmlInit_v2())
        return 0;
    if (nvmlDeviceGetCount_v2(&count) || !count)
        return 1;
    if (nvmlDeviceGetHandleByIndex_v2(pick(&world->random, count), &parent))
        parent = NULL;
    world->device = parent;
    take_instances(world, parent);
    if (pick(&world->random, 2) && !nvmlDeviceGetMigDeviceHandleByIndex(parent, pick(&world->random, 7), &mig))
        world->device = mig;
    if (!nvmlEventSetCreate(&set))
        world->event_set = set;
    return 1;
}

void drop_handles(struct world *world)
{
    if (world->event_set)
        nvmlEventSetFree(world->event_set);
    nvmlShutdown();
}
