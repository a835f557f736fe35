/* bench_nvml LIBRARY: best times of loading and asking an NVML library, one `name value` per line.
 *
 * session_us  dlopen, init, count, shutdown, each time in a process of its own
 * load_us     dlopen alone, likewise
 * getter_ns   nvmlDeviceGetTemperature on the last GPU
 * call_ns     a call through a pointer that returns at once: the floor */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SESSIONS = 60, CALLS = 200000, ROUNDS = 20 };

typedef int (*void_fn)(void);
typedef int (*count_fn)(unsigned int *);
typedef int (*handle_fn)(unsigned int, void **);
typedef int (*temperature_fn)(void *, int, unsigned int *);

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
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
    double getter = per_call((temperature_fn)symbol(library, "nvmlDeviceGetTemperature"), device);
    printf("gpus %u\nsession_us %.2f\nload_us %.2f\ngetter_ns %.2f\ncall_ns %.2f\n", count, sessions / 1e3,
           loads / 1e3,
           getter, per_call(nothing, NULL));
    return 0;
}
