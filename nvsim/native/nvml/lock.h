/* A lock for what no getter needs: sessions and event sets. */
#ifndef NVSIM_LOCK_H
#define NVSIM_LOCK_H

#include <sched.h>
#include <unistd.h>

/* Holds the id of the process whose thread is inside, 0 if none is.  A child of fork may inherit the number of a thread
 * that it does not have; it is not its own process id, so the child takes the lock over. */
static inline void acquire(int *lock)
{
    int self = (int)getpid();
    for (;;) {
        int holder = 0;
        if (__atomic_compare_exchange_n(lock, &holder, self, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        if (holder != self && __atomic_compare_exchange_n(lock, &holder, self, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        sched_yield();
    }
}

static inline void release(int *lock)
{
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

#endif
