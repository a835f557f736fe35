/* nvsim-probe-dl: the dynamic half of the probe.  `nvsim-probe-dl NAME…` prints
 *
 *   {"libraries":{NAME:{"path":…}|{"error":…}},"nvml":{"init":…,"init_text":…,"driver":…,"nvml":…,"gpus":[…]},
 *    "cuda":{"init":…,"devices":[UUID…]}}
 *
 * where each NAME is opened as a program would, and NVML's functions are looked up by the names that old clients use.
 * Every look at a library happens in a process of its own: a library that crashes or that brings another one along does
 * not change what the next one shows. */
#include "nvml_api.h"
#include "probe/json.h"
#include "probe_cuda.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NVML_LIBRARY "libnvidia-ml.so.1"
#define CUDA_LIBRARY "libcuda.so.1"

struct gpu {
    nvmlDevice_t device;
    nvmlReturn_t error; /* of the first query that failed */
};

static void write_library(struct json *json, const char *name)
{
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    struct link_map *map = NULL;

    json_open(json, '{');
    if (library && !dlinfo(library, RTLD_DI_LINKMAP, &map))
        json_member(json, "path", map->l_name);
    else
        json_member(json, "error", dlerror());
    json_close(json, '}');
}

/* Sets a function pointer; NVML's own code for a function that the library does not have. */
static nvmlReturn_t look_up(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol ? NVML_SUCCESS : NVML_ERROR_FUNCTION_NOT_FOUND;
}

/* CALL(result, library, function, arguments…): the function by its literal name, with its own type. */
#define CALL(result, library, name, ...)                                                                              \
    do {                                                                                                              \
        __typeof__(name) *call_;                                                                                      \
        (result) = look_up((library), #name, &call_);                                                                 \
        if ((result) == NVML_SUCCESS)                                                                                 \
            (result) = call_(__VA_ARGS__);                                                                            \
    } while (0)

static bool answered(struct gpu *gpu, nvmlReturn_t result)
{
    if (result != NVML_SUCCESS && gpu->error == NVML_SUCCESS)
        gpu->error = result;
    return result == NVML_SUCCESS;
}

static void write_text(struct json *json, struct gpu *gpu, const char *key, nvmlReturn_t result, const char *text)
{
    json_member(json, key, answered(gpu, result) ? text : NULL);
}

static void write_value(struct json *json, struct gpu *gpu, const char *key, nvmlReturn_t result, long long value)
{
    if (answered(gpu, result))
        json_member_number(json, key, value);
    else
        json_member(json, key, NULL);
}

/* "mig": the UUIDs of a GPU's MIG devices that this process sees; nothing outside MIG mode. */
static void write_mig(struct json *json, void *library, nvmlDevice_t parent)
{
    unsigned int current = 0, pending = 0, count = 0;
    nvmlReturn_t result;
    nvmlDevice_t device;
    char uuid[96] = "";

    CALL(result, library, nvmlDeviceGetMigMode, parent, &current, &pending);
    if (result != NVML_SUCCESS || current != NVML_DEVICE_MIG_ENABLE)
        return;
    json_key(json, "mig");
    json_open(json, '[');
    CALL(result, library, nvmlDeviceGetMaxMigDeviceCount, parent, &count);
    for (unsigned int index = 0; result == NVML_SUCCESS && index < count; index++) {
        CALL(result, library, nvmlDeviceGetMigDeviceHandleByIndex, parent, index, &device);
        if (result == NVML_SUCCESS)
            CALL(result, library, nvmlDeviceGetUUID, device, uuid, sizeof uuid);
        if (result == NVML_SUCCESS)
            json_string(json, uuid);
    }
    json_close(json, ']');
}

static void write_gpu(struct json *json, void *library, unsigned int index)
{
    struct gpu gpu = {0};
    char uuid[96] = "", name[96] = "";
    unsigned int minor = 0, temperature = 0;
    nvmlPciInfo_t pci = {0};
    nvmlMemory_t memory = {0};
    nvmlReturn_t result;

    json_open(json, '{');
    json_member_number(json, "index", index);
    CALL(result, library, nvmlDeviceGetHandleByIndex_v2, index, &gpu.device);
    if (answered(&gpu, result)) {
        CALL(result, library, nvmlDeviceGetUUID, gpu.device, uuid, sizeof uuid);
        write_text(json, &gpu, "uuid", result, uuid);
        CALL(result, library, nvmlDeviceGetName, gpu.device, name, sizeof name);
        write_text(json, &gpu, "name", result, name);
        CALL(result, library, nvmlDeviceGetMinorNumber, gpu.device, &minor);
        write_value(json, &gpu, "minor", result, minor);
        CALL(result, library, nvmlDeviceGetPciInfo_v3, gpu.device, &pci);
        write_text(json, &gpu, "bus_id", result, pci.busId);
        CALL(result, library, nvmlDeviceGetTemperature, gpu.device, NVML_TEMPERATURE_GPU, &temperature);
        write_value(json, &gpu, "temperature", result, temperature);
        CALL(result, library, nvmlDeviceGetMemoryInfo, gpu.device, &memory);
        write_value(json, &gpu, "memory_mib", result, (long long)(memory.total >> 20));
        write_mig(json, library, gpu.device);
    }
    json_member_number(json, "error", gpu.error);
    json_close(json, '}');
}

static void write_system(struct json *json, void *library)
{
    char driver[80] = "", nvml[80] = "";
    unsigned int count = 0;
    nvmlReturn_t result;

    CALL(result, library, nvmlSystemGetDriverVersion, driver, sizeof driver);
    json_member(json, "driver", result == NVML_SUCCESS ? driver : NULL);
    CALL(result, library, nvmlSystemGetNVMLVersion, nvml, sizeof nvml);
    json_member(json, "nvml", result == NVML_SUCCESS ? nvml : NULL);
    CALL(result, library, nvmlDeviceGetCount_v2, &count);
    if (result != NVML_SUCCESS)
        json_member_number(json, "count_error", result);
    json_key(json, "gpus");
    json_open(json, '[');
    for (unsigned int index = 0; result == NVML_SUCCESS && index < count; index++)
        write_gpu(json, library, index);
    json_close(json, ']');
}

static void write_nvml(struct json *json, const char *name)
{
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    __typeof__(nvmlErrorString) *error_string;
    nvmlReturn_t result;

    json_open(json, '{');
    if (!library) {
        json_member(json, "error", dlerror());
    } else {
        CALL(result, library, nvmlInit_v2);
        json_member_number(json, "init", result);
        if (look_up(library, "nvmlErrorString", &error_string) == NVML_SUCCESS)
            json_member(json, "init_text", error_string(result));
        if (result == NVML_SUCCESS) {
            write_system(json, library);
            CALL(result, library, nvmlShutdown);
        }
    }
    json_close(json, '}');
}

static char *read_all(int fd, size_t *length)
{
    size_t size = 4096;
    char *text = malloc(size), *grown;
    ssize_t step = 1;

    for (*length = 0; text && step > 0;) {
        if (*length == size) {
            if (!(grown = realloc(text, size *= 2)))
                break;
            text = grown;
        }
        do
            step = read(fd, text + *length, size - *length);
        while (step < 0 && errno == EINTR);
        *length += step > 0 ? (size_t)step : 0;
    }
    return text;
}

/* In the child: the output of a constructor or of a chatty library does not get between the report's words. */
static int look(int fd, void (*write_part)(struct json *, const char *), const char *name)
{
    struct json json = {.out = fdopen(fd, "w")};
    if (!json.out)
        return 1;
    dup2(STDERR_FILENO, STDOUT_FILENO);
    write_part(&json, name);
    return fflush(json.out) ? 1 : 0;
}

static void write_apart(struct json *json, void (*write_part)(struct json *, const char *), const char *name)
{
    int fds[2], status = 0;
    size_t length = 0;
    char *text, why[64] = "";
    pid_t pid;

    if (pipe(fds) || (pid = fork()) < 0) {
        json_open(json, '{');
        json_member(json, "error", strerror(errno));
        json_close(json, '}');
        return;
    }
    if (!pid)
        _exit(close(fds[0]) || look(fds[1], write_part, name));
    close(fds[1]);
    text = read_all(fds[0], &length);
    close(fds[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "killed by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) || !text || !length)
        snprintf(why, sizeof why, "ended with status %d", WEXITSTATUS(status));
    if (*why) {
        json_open(json, '{');
        json_member(json, "error", why);
        json_close(json, '}');
    } else {
        json_raw(json, text, length);
    }
    free(text);
}

int main(int argc, char **argv)
{
    struct json json = {.out = stdout};

    json_open(&json, '{');
    json_key(&json, "libraries");
    json_open(&json, '{');
    for (int i = 1; i < argc; i++) {
        json_key(&json, argv[i]);
        write_apart(&json, write_library, argv[i]);
    }
    json_close(&json, '}');
    json_key(&json, "nvml");
    write_apart(&json, write_nvml, NVML_LIBRARY);
    json_key(&json, "cuda");
    write_apart(&json, write_cuda, CUDA_LIBRARY);
    json_close(&json, '}');
    fputc('\n', stdout);
    return fflush(stdout) ? 1 : 0;
}
