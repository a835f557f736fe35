#include "nvml_client.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *library;

bool nvml_open(void)
{
    library = dlopen("libnvidia-ml.so.1", RTLD_LAZY);
    return library;
}

void nvml_close(void)
{
    if (library)
        dlclose(library);
    library = NULL;
}

void *nvml_symbol(const char *name)
{
    return library ? dlsym(library, name) : NULL;
}

/* Drivers before 396 have no nvmlInitWithFlags. */
nvmlReturn_t nvml_init(void)
{
    return nvml_symbol("nvmlInitWithFlags") ? NVML(nvmlInitWithFlags, 0) : NVML(nvmlInit_v2);
}

/* nvidia-smi's words for a return code, which are its own: NVML says "Not Supported" where it says "N/A". */
const char *nvml_text(nvmlReturn_t result)
{
    static const char *const texts[] = {
        [NVML_SUCCESS] = "Success",
        [NVML_ERROR_UNINITIALIZED] = "Uninitialized",
        [NVML_ERROR_INVALID_ARGUMENT] = "Invalid Argument",
        [NVML_ERROR_NOT_SUPPORTED] = "N/A",
        [NVML_ERROR_NO_PERMISSION] = "Insufficient Permissions",
        [NVML_ERROR_ALREADY_INITIALIZED] = "Already Initialized",
        [NVML_ERROR_NOT_FOUND] = "Not Found",
        [NVML_ERROR_INSUFFICIENT_SIZE] = "Insufficient Size",
        [NVML_ERROR_INSUFFICIENT_POWER] = "Insufficient External Power",
        [NVML_ERROR_DRIVER_NOT_LOADED] = "Driver Not Loaded",
        [NVML_ERROR_TIMEOUT] = "Timeout",
        [NVML_ERROR_IRQ_ISSUE] = "Interrupt Request Issue",
        [NVML_ERROR_LIBRARY_NOT_FOUND] = "NVML Shared Library Not Found",
        [NVML_ERROR_FUNCTION_NOT_FOUND] = "Function Not Found",
        [NVML_ERROR_CORRUPTED_INFOROM] = "Corrupted infoROM",
        [NVML_ERROR_GPU_IS_LOST] = "GPU is lost",
        [NVML_ERROR_RESET_REQUIRED] = "GPU requires reset",
        [NVML_ERROR_OPERATING_SYSTEM] = "GPU access blocked by the operating system",
        [NVML_ERROR_LIB_RM_VERSION_MISMATCH] = "Driver/library version mismatch",
        [NVML_ERROR_IN_USE] = "In use by another client",
        [NVML_ERROR_MEMORY] = "Insufficient Memory",
        [NVML_ERROR_NO_DATA] = "No data",
        [NVML_ERROR_VGPU_ECC_NOT_SUPPORTED] = "vGPU ECC not supported",
        [NVML_ERROR_INSUFFICIENT_RESOURCES] = "Insufficient Resources",
        [NVML_ERROR_FREQ_NOT_SUPPORTED] = "Invalid Frequency",
        [NVML_ERROR_ARGUMENT_VERSION_MISMATCH] = "Argument version mismatch",
        [NVML_ERROR_DEPRECATED] = "Requested functionality has been deprecated",
        [NVML_ERROR_NOT_READY] = "System is not in ready state",
        [NVML_ERROR_GPU_NOT_FOUND] = "No supported GPUs were found",
        [NVML_ERROR_INVALID_STATE] = "Resource not in correct state to perform requested operation",
    };
    const char *(*error_string)(nvmlReturn_t) = nvml_symbol("nvmlErrorString");

    if ((size_t)result < sizeof texts / sizeof *texts)
        return texts[result];
    return error_string && result != NVML_ERROR_UNKNOWN ? error_string(result) : "Unknown Error";
}

/* Return codes that nvidia-smi passes on as its exit status; the others become 255. */
int nvml_exit_code(nvmlReturn_t result)
{
    switch (result) {
    case NVML_SUCCESS:
    case NVML_ERROR_INVALID_ARGUMENT:
    case NVML_ERROR_NOT_SUPPORTED:
    case NVML_ERROR_NO_PERMISSION:
    case NVML_ERROR_NOT_FOUND:
    case NVML_ERROR_DRIVER_NOT_LOADED:
    case NVML_ERROR_LIBRARY_NOT_FOUND:
    case NVML_ERROR_FUNCTION_NOT_FOUND:
    case NVML_ERROR_GPU_IS_LOST:
    case NVML_ERROR_OPERATING_SYSTEM:
    case NVML_ERROR_LIB_RM_VERSION_MISMATCH:
    case NVML_ERROR_IN_USE:
    case NVML_ERROR_INSUFFICIENT_RESOURCES:
        return (int)result;
    default:
        return 255;
    }
}

/* The library's driver version, e.g. 550.54.15: NVML's own version without the CUDA major before it.  Libraries from
 * 535 on answer without being initialised. */
bool nvml_version(char *text, size_t size)
{
    char version[NVML_SYSTEM_NVML_VERSION_BUFFER_SIZE] = "";
    const char *dot;

    if (NVML(nvmlSystemGetNVMLVersion, version, sizeof version) != NVML_SUCCESS || !(dot = strchr(version, '.')))
        return false;
    snprintf(text, size, "%s", dot + 1);
    return true;
}

/* The driver branch, e.g. 550; a library that does not say is taken for a new one. */
unsigned int nvml_branch(void)
{
    char version[NVML_SYSTEM_NVML_VERSION_BUFFER_SIZE];
    return nvml_version(version, sizeof version) ? (unsigned int)strtoul(version, NULL, 10) : 999;
}
