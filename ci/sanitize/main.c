/* sanitize calls SEED ROUNDS           every function, before, during and after a session, right and wrong arguments
 * sanitize threads SEED ROUNDS         every function from 16 threads, while another initialises and shuts down
 * sanitize life SEED ROUNDS            initialises and shuts down
 * sanitize board SEED ROUNDS FILE OFFSET FIRST   any bytes as the board, which lies in FILE at OFFSET
 *
 * Ends with 0, or is killed after a sanitizer's report, a code that NVML does not have, or a call that does not come
 * back. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "board.h"
#include "calls.h"
#include "nvml_api.h"

enum { THREADS = 16, PATIENCE_S = 120, EXPORT_TABLE_ARGUMENTS = 6 };

static unsigned round_now;
static const char *function_now = "nothing";

/* The last words of a run: where to begin the next one.  An exit would wait for the lock of the sanitizer that reports. */
static void report(int signal)
{
    fprintf(stderr, "sanitize: %s in round %u, calling %s\n", signal == SIGALRM ? "no answer" : "ended", round_now,
            function_now);
    kill(getpid(), SIGKILL);
}

void failed(const char *what, const char *name, long number)
{
    fprintf(stderr, "sanitize: %s: %s %ld\n", name, what, number);
    abort();
}

static void everything(struct world *world)
{
    for (unsigned f = 0; f < function_count; f++) {
        const struct function *function = &all_functions[f];
        function_now = function->name;
        try_call(world, function, NONE, 0);
        for (unsigned which = 0; which < function->count; which++)
            for (enum flaw flaw = NULL_POINTER; flaw < FLAWS; flaw++)
                try_call(world, function, flaw, which);
    }
}

/* The unnamed functions answer to nobody's arguments too. */
static void export_table(void)
{
    static const unsigned char guid[16] = {0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
                                           0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4};
    const void *found = NULL;
    if (nvmlInternalGetExportTable(&found, guid))
        failed("returned no table for", "nvmlInternalGetExportTable", 0);
    int (*const *table)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t) = found;
    size_t size;
    memcpy(&size, found, sizeof size);
    for (size_t slot = 1; slot < size / sizeof *table; slot++)
        table[slot](0, 0, 0, 0, 0, 0);
}

static void calls(struct random random, unsigned rounds)
{
    struct world world = {.random = random};
    everything(&world);
    export_table();
    for (unsigned round = 0; round < rounds; round++) {
        alarm(PATIENCE_S);
        round_now = round;
        if (!take_handles(&world))
            failed("fails in round", "nvmlInit_v2", round);
        everything(&world);
        export_table();
        drop_handles(&world);
        everything(&world); /* with handles of the session that has ended */
    }
}

static unsigned thread_rounds;
static int stop;
/* A set that all threads use, now and then. */
static nvmlEventSet_t shared_set;

static void *one_thread(void *start)
{
    struct world world = {.random = *(struct random *)start, .honest = 1};
    for (unsigned round = 0; round < thread_rounds; round++) {
        alarm(PATIENCE_S);
        if (!take_handles(&world))
            failed("fails in round", "nvmlInit_v2", round);
        if (round % 4)
            nvmlShutdown(); /* so that the session may end while this thread asks */
        void *own = world.event_set;
        if (round % 2)
            world.event_set = shared_set;
        for (unsigned f = 0; f < function_count; f++)
            try_call(&world, &all_functions[f], NONE, 0);
        world.event_set = own;
        if (!(round % 4))
            drop_handles(&world);
    }
    return NULL;
}

static void *life(void *rounds)
{
    for (unsigned i = 0; i < *(unsigned *)rounds && !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
        if (nvmlInit_v2())
            failed("fails in round", "nvmlInit_v2", i);
        usleep(100);
        nvmlShutdown();
    }
    return NULL;
}

static void threads(struct random random, unsigned rounds)
{
    pthread_t running[THREADS], other;
    struct random starts[THREADS];
    unsigned forever = UINT32_MAX;
    thread_rounds = rounds;
    nvmlInit_v2();
    nvmlEventSetCreate(&shared_set);
    nvmlShutdown();
    pthread_create(&other, NULL, life, &forever);
    for (unsigned i = 0; i < THREADS; i++) {
        starts[i].state = next(&random);
        pthread_create(&running[i], NULL, one_thread, &starts[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(running[i], NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(other, NULL);
}

/* A number where comparisons, sums and shifts go wrong. */
static uint32_t edge(struct random *random)
{
    static const uint32_t edges[] = {0, 1, 2, 15, 63, 64, 65, 255, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF};
    unsigned choice = pick(random, sizeof edges / sizeof *edges + 2);
    return choice < sizeof edges / sizeof *edges ? edges[choice] : (uint32_t)next(random);
}

/* One change to some bytes of a board. */
static void mutate(struct random *random, unsigned char *bytes, size_t size)
{
    size_t place = pick(random, (unsigned)size), length = pick(random, pick(random, 8) ? 64 : 4096);
    if (length > size - place)
        length = size - place;
    switch (pick(random, 6)) {
    case 0:
        bytes[place] = (unsigned char)next(random);
        break;
    case 1:
        memcpy(bytes + (place & ~(size_t)3), &(uint32_t){edge(random)}, sizeof(uint32_t));
        break;
    case 2:
        for (place &= ~(size_t)3; length >= sizeof(uint32_t); place += sizeof(uint32_t), length -= sizeof(uint32_t))
            memcpy(bytes + place, &(uint32_t){edge(random)}, sizeof(uint32_t));
        break;
    case 3:
        memset(bytes + place, pick(random, 2) ? 0xFF : 'A', length);
        break;
    case 4:
        for (size_t i = 0; i < length; i++)
            bytes[place + i] = (unsigned char)next(random);
        break;
    default:
        memmove(bytes + place, bytes + pick(random, (unsigned)(size - length)), length);
    }
}

/* A GPU that has a node and is not lost is asked further. */
static void well(struct nvsim_board *board, const struct nvsim_board *good)
{
    for (unsigned i = 0; i < 2 * good->header.gpu_count; i++) {
        board->slots[i / 2].copies[i % 2].fault = 0;
        board->slots[i / 2].copies[i % 2].minor = good->slots[i / 2].copies[0].minor;
    }
}

/* Mostly many changes to the GPUs that are there; now and then to the header, to everything, or nothing but noise. */
static void mutated(struct random *random, const struct nvsim_board *good, struct nvsim_board *bad)
{
    memcpy(bad, good, sizeof *bad);
    if (!pick(random, 8))
        mutate(random, (unsigned char *)&bad->header, sizeof bad->header);
    if (!pick(random, 8))
        bad->header.gpu_count = pick(random, 2) ? NVSIM_BOARD_CAPACITY : (uint32_t)next(random);
    for (unsigned changes = pick(random, 64) + 1; changes; changes--)
        mutate(random, (unsigned char *)bad->slots, good->header.gpu_count * sizeof *good->slots);
    if (!pick(random, 16))
        memset(bad->slots, pick(random, 2) ? 0xFF : 'A', sizeof bad->slots);
    if (!pick(random, 16))
        for (uint32_t *word = (uint32_t *)bad->slots; word < (uint32_t *)(bad + 1); word++)
            *word = edge(random);
    if (pick(random, 8))
        well(bad, good);
}

static void store(int file, const struct nvsim_board *board, off_t offset)
{
    if (pwrite(file, board, sizeof *board, offset) != (ssize_t)sizeof *board)
        failed("cannot be written:", "board", file);
}

/* Any bytes before a session, other bytes in the middle of it. */
static void board_round(struct world *world, int file, off_t offset, const struct nvsim_board *good,
                        struct nvsim_board *bad)
{
    mutated(&world->random, good, bad);
    store(file, bad, offset);
    if (!take_handles(world))
        return;
    for (unsigned half = 0; half < 2; half++) {
        for (unsigned f = 0; f < function_count; f++) {
            function_now = all_functions[f].name;
            try_call(world, &all_functions[f], NONE, 0);
        }
        bad->header = good->header;
        mutate(&world->random, (unsigned char *)bad->slots, sizeof bad->slots);
        store(file, bad, offset);
    }
    drop_handles(world);
}

static void board(uint64_t seed, unsigned rounds, const char *path, off_t offset, unsigned first)
{
    struct nvsim_board *good = malloc(sizeof *good), *bad = malloc(sizeof *bad);
    int file = open(path, O_RDWR);
    if (!good || !bad || file < 0 || pread(file, good, sizeof *good, offset) != (ssize_t)sizeof *good)
        failed("cannot be read:", path, file);
    for (unsigned round = first; round < first + rounds; round++) {
        struct world world = {.random = {.state = seed ^ (uint64_t)round << 32}, .honest = 1};
        alarm(PATIENCE_S);
        round_now = round;
        board_round(&world, file, offset, good, bad);
    }
    free(good);
    free(bad);
    close(file);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    struct random random = {.state = strtoull(argv[2], NULL, 0)};
    unsigned rounds = (unsigned)strtoul(argv[3], NULL, 0);
    signal(SIGALRM, report);
    signal(SIGABRT, report);
    alarm(PATIENCE_S);
    if (!strcmp(argv[1], "calls"))
        calls(random, rounds);
    else if (!strcmp(argv[1], "threads"))
        threads(random, rounds);
    else if (!strcmp(argv[1], "life")) {
        alarm(0); /* whoever started it ends it */
        life(&rounds);
    } else if (!strcmp(argv[1], "board") && argc == 7)
        board(random.state, rounds, argv[4], strtoll(argv[5], NULL, 0), (unsigned)strtoul(argv[6], NULL, 0));
    else
        return 2;
    printf("sanitize: %llu calls, %llu successes\n", (unsigned long long)made, (unsigned long long)answered);
    return made && !answered; /* nothing was tested */
}
