/* Error reporting.  The texts are those of 550 and 555; an older driver does not know the codes that came later. */
#include "internal.h"

/* The first branch that knows a code: as seen in 470, 535 and 550, between them by the headers. */
static unsigned known_since(nvmlReturn_t code)
{
    switch (code) {
    case NVML_ERROR_NO_DATA:
    case NVML_ERROR_VGPU_ECC_NOT_SUPPORTED:
        return 515;
    case NVML_ERROR_ARGUMENT_VERSION_MISMATCH:
        return 520;
    case NVML_ERROR_DEPRECATED:
        return 525;
    case NVML_ERROR_NOT_READY:
        return 535;
    case NVML_ERROR_GPU_NOT_FOUND:
        return 545;
    case NVML_ERROR_INVALID_STATE:
        return 550;
    default:
        return 0;
    }
}

const char *nvmlErrorString(nvmlReturn_t result)
{
    static const char *const texts[] = {
        [NVML_SUCCESS] = "Success",
        [NVML_ERROR_UNINITIALIZED] = "Uninitialized",
        [NVML_ERROR_INVALID_ARGUMENT] = "Invalid Argument",
        [NVML_ERROR_NOT_SUPPORTED] = "Not Supported",
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
    int known = (unsigned)result < sizeof texts / sizeof *texts && driver_branch() >= known_since(result);
    return known ? texts[result] : "Unknown Error";
}
