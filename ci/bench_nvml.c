/* bench_nvml LIBRARY: best times of loading and asking an NVML library, one `name value` per line.
 *
 * session_us  dlopen, init, count, shutdown, each time in a process of its own
 * load_us     dlopen alone, likewise
 * getter_ns   nvmlDeviceGetTemperature on the last GPU
 * threads_ns  the same from 16 threads at once: processor time over the calls of all of them, which grows with each
 *             lock and each line of memory that they pass around
 * call_ns     a call through a pointer that returns at once: the floor
 * mig_ns      nvmlDeviceGetMemoryInfo on the last MIG device of the last GPU, if it has one */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SESSIONS = 60, CALLS = 200000, ROUNDS = 20, THREADS = 16, MIG_DEVICES = 8 };

typedef int (*void_fn)(void);
typedef int (*count_fn)(unsigned int *);
typedef int (*handle_fn)(unsigned int, void **);
typedef int (*temperature_fn)(void *, int, unsigned int *);
typedef int (*mig_fn)(void *, unsigned int, void **);
typedef int (*memory_fn)(void *, unsigned long long *);

static double by(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double now(void)
{
    return by(CLOCK_MONOTONIC);
}

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "bench_nvml: %s\n", dlerror());
        exit(1);
    }
    return found;
}

static void *opened(const char *path)
{
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "bench_nvml: %s\n", dlerror());
        exit(1);
    }
    return library;
}

static void checked(int result, const char *what)
{
    if (result) {
        fprintf(stderr, "bench_nvml: %s returned %d\n", what, result);
        exit(1);
    }
}

static void session(const char *path)
{
    unsigned int count;
    void *library = opened(path);
    checked(((void_fn)symbol(library, "nvmlInit_v2"))(), "nvmlInit_v2");
    checked(((count_fn)symbol(library, "nvmlDeviceGetCount_v2"))(&count), "nvmlDeviceGetCount_v2");
    checked(((void_fn)symbol(library, "nvmlShutdown"))(), "nvmlShutdown");
}

static void load(const char *path)
{
    opened(path);
}

/* Best time of `work` over SESSIONS fresh processes, in ns: a library that stays loaded must not profit from it. */
static double best_of_processes(void (*work)(const char *), const char *path)
{
    double best = 1e18;
    for (int i = 0; i < SESSIONS; i++) {
        int ends[2];
        double took = 1e18;
        checked(pipe(ends), "pipe");
        pid_t child = fork();
        if (child == 0) {
            double start = now();
            work(path);
            took = now() - start;
            _exit(write(ends[1], &took, sizeof(took)) != sizeof(took));
        }
        close(ends[1]);
        if (read(ends[0], &took, sizeof(took)) != sizeof(took))
            exit(1);
        close(ends[0]);
        waitpid(child, NULL, 0);
        best = took < best ? took : best;
    }
    return best;
}

static int __attribute__((noinline)) nothing(void *device, int sensor, unsigned int *value)
{
    __asm__ volatile("" ::"r"(device), "r"(sensor), "r"(value) : "memory");
    return 0;
}

static double per_call(temperature_fn call, void *device)
{
    unsigned int value;
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now();
        for (int i = 0; i < CALLS; i++)
            checked(call(device, 0, &value), "getter");
        double took = (now() - start) / CALLS;
        best = took < best ? took : best;
    }
    return best;
}

struct asker {
    temperature_fn call;
    void *device;
    pthread_barrier_t *start;
};

static void *ask(void *given)
{
    struct asker *asker = given;
    unsigned int value;
    pthread_barrier_wait(asker->start);
    for (int i = 0; i < CALLS; i++)
        checked(asker->call(asker->device, 0, &value), "getter");
    return NULL;
}

static double per_call_of_threads(temperature_fn call, void *device)
{
    double best = 1e18;
    for (int round = 0; round < ROUNDS / 4; round++) {
        pthread_t threads[THREADS];
        pthread_barrier_t start;
        struct asker asker = {call, device, &start};
        pthread_barrier_init(&start, NULL, THREADS + 1);
        for (int i = 0; i < THREADS; i++)
            checked(pthread_create(&threads[i], NULL, ask, &asker), "pthread_create");
        double begun = by(CLOCK_PROCESS_CPUTIME_ID);
        pthread_barrier_wait(&start);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        double took = (by(CLOCK_PROCESS_CPUTIME_ID) - begun) / ((double)CALLS * THREADS);
        best = took < best ? took : best;
        pthread_barrier_destroy(&start);
    }
    return best;
}

static double per_memory_call(memory_fn call, void *device)
{
    unsigned long long memory[3];
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now();
        for (int i = 0; i < CALLS; i++)
            checked(call(device, memory), "nvmlDeviceGetMemoryInfo");
        double took = (now() - start) / CALLS;
        best = took < best ? took : best;
    }
    return best;
}

/* The MIG device with the highest number, or NULL; a library may lack the call. */
static void *last_mig_device(void *library, void *gpu)
{
    void *found = NULL, *device;
    mig_fn by_index = (mig_fn)dlsym(library, "nvmlDeviceGetMigDeviceHandleByIndex");
    for (unsigned i = 0; by_index && i < MIG_DEVICES; i++)
        if (!by_index(gpu, i, &device))
            found = device;
    return found;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: bench_nvml LIBRARY\n");
        return 2;
    }
    double sessions = best_of_processes(session, argv[1]), loads = best_of_processes(load, argv[1]);
    unsigned int count;
    void *library = opened(argv[1]), *device;
    checked(((void_fn)symbol(library, "nvmlInit_v2"))(), "nvmlInit_v2");
    checked(((count_fn)symbol(library, "nvmlDeviceGetCount_v2"))(&count), "nvmlDeviceGetCount_v2");
    checked(((handle_fn)symbol(library, "nvmlDeviceGetHandleByIndex_v2"))(count - 1, &device), "handle");
    temperature_fn getter = (temperature_fn)symbol(library, "nvmlDeviceGetTemperature");
    void *mig = last_mig_device(library, device);
    printf("gpus %u\nsession_us %.2f\nload_us %.2f\n", count, sessions / 1e3, loads / 1e3);
    printf("getter_ns %.2f\nthreads_ns %.2f\ncall_ns %.2f\n", per_call(getter, device),
           per_call_of_threads(getter, device), per_call(nothing, NULL));
    if (mig)
        printf("mig_ns %.2f\n", per_memory_call((memory_fn)symbol(library, "nvmlDeviceGetMemoryInfo"), mig));
    return 0;
}
