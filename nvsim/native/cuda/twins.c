/* Variants for programs that were compiled for a default stream per thread: to them, NULL is the thread's own stream.
 * twins.inc is written by nvsim/native/generate_cuda.py. */
#include "stream.h"

#define OWN(stream) ((stream) ? (stream) : THREAD_STREAM)

#include "twins.inc"
