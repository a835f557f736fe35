/* Libraries that NVIDIA's libnvidia-ml.so of a branch needs, and ours does not: a linker drops those without a use. */
#include <math.h>
#include <sys/mman.h>

#ifdef NEEDS_LIBM
__attribute__((used, retain)) static double (*const libm)(double) = floor;
#endif
#ifdef NEEDS_LIBRT
__attribute__((used, retain)) static int (*const librt)(const char *) = shm_unlink;
#endif
typedef int nvsim_needs;
