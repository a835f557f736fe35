/* An NVML whose answers come from the environment, for failures that no emulated host has. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static unsigned of(const char *name, unsigned otherwise) {
    const char *text = getenv(name);
    return text ? (unsigned)atoi(text) : otherwise;
}

EXPORT int nvmlInit_v2(void) {
    if (of("KILLED", 0))
        raise(SIGKILL);
    if (of("HANGS", 0))
        pause();
    return (int)of("INIT", 0);
}
EXPORT int nvmlShutdown(void) { return 0; }
EXPORT const char *nvmlErrorString(int code) {
    switch (code) {
    case 4: return "Insufficient Permissions";
    case 9: return "Driver Not Loaded";
    case 13: return "Function Not Found";
    case 15: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}
EXPORT int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    const char *text = getenv("DRIVER");
    snprintf(version, length, "%s", text ? text : "550.54.15");
    return 0;
}
EXPORT int nvmlSystemGetCudaDriverVersion(int *version) { *version = 12040; return 0; }
EXPORT int nvmlDeviceGetCount_v2(unsigned *count) { *count = of("GPUS", 1); return 0; }
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(size_t)(index + 1);
    return (int)of("LOST", 0);
}
EXPORT int nvmlDeviceGetMinorNumber(void *device, unsigned *minor) { *minor = (unsigned)(size_t)device - 1; return 0; }
EXPORT int nvmlDeviceGetPciInfo(void *device, void *pci) {
    unsigned address[3] = {0, (unsigned)(size_t)device, 0};
    memcpy((char *)pci + 16, address, sizeof address);
    return 0;
}
EXPORT int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length) {
    snprintf(uuid, length, "GPU-00000000-0000-0000-0000-%012zx", (size_t)device);
    return 0;
}
EXPORT int nvmlDeviceGetName(void *device, char *name, unsigned length) {
    (void)device;
    snprintf(name, length, "Stub");
    return 0;
}
EXPORT int nvmlDeviceGetBrand(void *device, unsigned *brand) { (void)device; *brand = 14; return 0; }
EXPORT int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    (void)device;
    *major = 8;
    *minor = 0;
    return 0;
}
EXPORT int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
    (void)device;
    *current = *pending = of("MIGS", 0) > 0;
    return (int)of("MIG_MODE", 0);
}
EXPORT int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count) { (void)device; *count = of("MIGS", 0); return 0; }
EXPORT int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **mig) {
    (void)device;
    *mig = (void *)(size_t)(100 + index);
    return 0;
}
EXPORT int nvmlDeviceGetGpuInstanceId(void *mig, unsigned *id) { *id = (unsigned)(size_t)mig - 100; return 0; }
EXPORT int nvmlDeviceGetComputeInstanceId(void *mig, unsigned *id) { (void)mig; *id = 0; return 0; }
