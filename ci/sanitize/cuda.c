/* Calls every function of libcuda with NULLs, and those that allocate, copy and make objects from 16 threads at once.
 * cuda.py writes functions.inc, a line FUNCTION(name) for each. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FUNCTION(name) int name();
#include "functions.inc"
#undef FUNCTION

enum { THREADS = 16, ROUNDS = 300, MOST = 4096, GPUS = 2 };

static int (*const functions[])() = {
#define FUNCTION(name) name,
#include "functions.inc"
};

static pthread_barrier_t start;

static void *work(void *number)
{
    intptr_t wrong = 0, own = (intptr_t)number;
    char out[MOST], in[MOST];
    void *context = NULL, *event = NULL, *stream = NULL;
    pthread_barrier_wait(&start);
    wrong += cuInit(0) || cuDevicePrimaryCtxRetain(&context, (int)own % GPUS) || cuCtxSetCurrent(context);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t at = 0;
        size_t size = 1 + (size_t)(i * 37 + own) % MOST;
        memset(out, (int)own, size);
        wrong += cuMemAlloc_v2(&at, size) || cuEventCreate(&event, 0) || cuStreamCreate(&stream, 0) ||
                 cuMemcpyHtoD_v2(at, out, size) || cuEventRecord(event, stream) || cuMemcpyDtoH_v2(in, at, size) ||
                 memcmp(in, out, size) || cuMemFree_v2(at) || cuEventDestroy_v2(event) || cuStreamDestroy_v2(stream);
    }
    return (void *)wrong;
}

static void call_all(void)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        functions[i](0, 0, 0, 0, 0, 0, 0, 0);
}

int main(void)
{
    pthread_t threads[THREADS];
    intptr_t wrong = 0;
    call_all(); /* by name: those before cuInit are not initialised, those behind it have no context */
    pthread_barrier_init(&start, NULL, THREADS);
    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        void *found = NULL;
        pthread_join(threads[i], &found);
        wrong += (intptr_t)found;
    }
    void *context = NULL;
    wrong += cuCtxCreate_v2(&context, 0, 0);
    call_all();
    return wrong != 0;
}
