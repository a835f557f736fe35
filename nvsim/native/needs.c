/* Libraries that NVIDIA's driver libraries of a branch need, and ours do not: a linker drops those without a use. */
#include <dlfcn.h>
#include <math.h>
#include <sys/mman.h>

#ifdef NEEDS_LIBDL
__attribute__((used, retain)) static void *(*const libdl)(void *, const char *) = dlsym;
#endif
#ifdef NEEDS_LIBM
__attribute__((used, retain)) static double (*const libm)(double) = floor;
#endif
#ifdef NEEDS_LIBRT
__attribute__((used, retain)) static int (*const librt)(const char *) = shm_unlink;
#endif
typedef int nvsim_needs;
