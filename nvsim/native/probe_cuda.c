/* Asks the CUDA driver as an old client would, by the names of its functions. */
#include "probe_cuda.h"

#include <dlfcn.h>
#include <string.h>

#include "cuda/cuda_api.h"

struct driver {
    __typeof__(cuInit) *init;
    __typeof__(cuDeviceGetCount) *count;
    __typeof__(cuDeviceGetName) *name;
    __typeof__(cuDeviceGetUuid_v2) *uuid;
};

/* Sets a function pointer; NULL for a function that the library does not have. */
static void look_up(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
}

static void write_device(struct json *json, const struct driver *driver, int device)
{
    char name[96] = "", text[48];
    CUuuid uuid = {{0}};
    char *end = text;
    if (driver->name(name, sizeof name, device) || driver->uuid(&uuid, device))
        return;
    end += snprintf(text, sizeof text, "%s", strstr(name, " MIG ") ? "MIG" : "GPU");
    for (unsigned i = 0; i < sizeof uuid.bytes; i++)
        end += sprintf(end, "%s%02x", i == 0 || i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid.bytes[i]);
    json_string(json, text);
}

void write_cuda(struct json *json, const char *name)
{
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    struct driver driver;
    int count = 0;

    json_open(json, '{');
    if (!library) {
        json_member(json, "error", dlerror());
        json_close(json, '}');
        return;
    }
    look_up(library, "cuInit", &driver.init);
    look_up(library, "cuDeviceGetCount", &driver.count);
    look_up(library, "cuDeviceGetName", &driver.name);
    look_up(library, "cuDeviceGetUuid_v2", &driver.uuid);
    if (!driver.init || !driver.count || !driver.name || !driver.uuid) {
        json_member(json, "error", "not a CUDA driver library");
    } else {
        CUresult result = driver.init(0);
        json_member_number(json, "init", result);
        json_key(json, "devices");
        json_open(json, '[');
        if (!result)
            driver.count(&count);
        for (int device = 0; device < count; device++)
            write_device(json, &driver, device);
        json_close(json, ']');
    }
    json_close(json, '}');
}
