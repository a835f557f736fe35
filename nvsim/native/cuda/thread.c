/* What each thread has of its own lies behind a key: it goes when the thread ends, and the library needs no storage in
 * the loader's hands, of which there is little for libraries that are opened late. */
#include "thread.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_key_t key;
static bool prepared;

CUresult prepare_threads(void)
{
    prepared = prepared || !pthread_key_create(&key, free);
    return prepared ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

struct thread *this_thread(void)
{
    struct thread *own = pthread_getspecific(key);
    if (own)
        return own;
    own = calloc(1, sizeof *own);
    if (own && pthread_setspecific(key, own)) {
        free(own);
        return NULL;
    }
    return own;
}

/* A library that is closed must not be called when a thread ends. */
__attribute__((destructor)) static void close_key(void)
{
    if (prepared)
        pthread_key_delete(key);
}
