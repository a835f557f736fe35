/* libnvidia-ml.so.1 as a client sees it that must run with every driver: opened by its SONAME, each function looked up
 * when it is first called. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "nvml_api.h"

bool nvml_open(void);
void nvml_close(void);
void *nvml_symbol(const char *name);

/* The result of NVML's function `name`, or NVML_ERROR_FUNCTION_NOT_FOUND from a library that does not have it. */
#define NVML(name, ...)                                                                                               \
    __extension__({                                                                                                   \
        static __typeof__(name) *function_;                                                                           \
        if (!function_)                                                                                               \
            function_ = (__typeof__(name) *)nvml_symbol(#name);                                                       \
        function_ ? function_(__VA_ARGS__) : NVML_ERROR_FUNCTION_NOT_FOUND;                                           \
    })

nvmlReturn_t nvml_init(void);
const char *nvml_text(nvmlReturn_t result);
int nvml_exit_code(nvmlReturn_t result);
bool nvml_version(char *text, size_t size);
unsigned int nvml_branch(void);
