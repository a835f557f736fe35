/* libnvidia-sandboxutils.so.1: which files of a driver root a GPU needs.  CDI generators ask it since driver 565.
 *
 * It answers from NVML of the same driver root, and from the links in /dev/dri/by-path.  Layouts and codes are those
 * that the container toolkit declares. */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvml_api.h"

#define API __attribute__((visibility("default")))

enum { INPUT = 256, VERSION = 1, DEFAULT_ROOT = 0, ROOT_BY_PATH = 1 };
enum result {
    DONE = 0, UNINITIALISED = 1, NOT_SUPPORTED = 2, INVALID_ARGUMENT = 3, INSUFFICIENT_SIZE = 4,
    VERSION_NOT_SUPPORTED = 5, LIBRARY_LOAD = 6, FUNCTION_NOT_FOUND = 7, DEVICE_NOT_FOUND = 8, NVML_FAILED = 9,
    OUT_OF_MEMORY = 10, PATH_NOT_FOUND = 11,
};
enum input { BY_GPU_UUID, BY_MIG_UUID, BY_PCI_ID, BY_PCI_INDEX };
enum type { DEV, PROC };
enum kind { NVIDIA_NODE, CARD, RENDER, CARD_LINK, RENDER_LINK, UVM, UVM_TOOLS, MODESET, CONTROL, PROC_GPU = 11 };
enum flag { CONTENT = 4 };

struct init_input {
    uint32_t version, type;
    char value[INPUT];
};

struct file {
    struct file *next;
    uint32_t type, kind, module, flags;
    char *path; /* below the driver root */
};

struct request {
    uint32_t version, input_type;
    char input[INPUT];
    struct file *files;
};

/* The functions of NVML that are used. */
static struct {
    __typeof__(nvmlInit_v2) *init;
    __typeof__(nvmlShutdown) *shutdown;
    __typeof__(nvmlSystemGetDriverVersion) *driver_version;
    __typeof__(nvmlDeviceGetHandleByUUID) *by_uuid;
    __typeof__(nvmlDeviceGetHandleByPciBusId_v2) *by_bus_id;
    __typeof__(nvmlDeviceGetHandleByIndex_v2) *by_index;
    __typeof__(nvmlDeviceGetMinorNumber) *minor;
    __typeof__(nvmlDeviceGetPciInfo_v3) *pci;
} nvml;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *library; /* NVML, while initialised */
static char root[INPUT];
static struct answer {
    struct answer *before;
    struct file *files;
} *answers; /* what callers have: it stays until the shutdown */

static void unlock(pthread_mutex_t **held)
{
    pthread_mutex_unlock(*held);
}
#define HOLD_LOCK                                                             \
    __attribute__((cleanup(unlock))) pthread_mutex_t *held_ = &lock;         \
    pthread_mutex_lock(held_)

static void *open_nvml(void)
{
    static const char *const folders[] = {"/usr/lib/x86_64-linux-gnu/nvidia/current/", "/usr/lib/x86_64-linux-gnu/",
                                          "/usr/lib64/", "/usr/lib/"};
    char path[INPUT + 64];
    void *found = NULL;
    for (size_t i = 0; *root && !found && i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s%slibnvidia-ml.so.1", root, folders[i]);
        found = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return found ? found : dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
}

static int look_up(void *from, const char *name, void *function)
{
    void *symbol = dlsym(from, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static int look_up_all(void *from)
{
    return look_up(from, "nvmlInit_v2", &nvml.init) && look_up(from, "nvmlShutdown", &nvml.shutdown) &&
           look_up(from, "nvmlSystemGetDriverVersion", &nvml.driver_version) &&
           look_up(from, "nvmlDeviceGetHandleByUUID", &nvml.by_uuid) &&
           look_up(from, "nvmlDeviceGetHandleByPciBusId_v2", &nvml.by_bus_id) &&
           look_up(from, "nvmlDeviceGetHandleByIndex_v2", &nvml.by_index) &&
           look_up(from, "nvmlDeviceGetMinorNumber", &nvml.minor) &&
           look_up(from, "nvmlDeviceGetPciInfo_v3", &nvml.pci);
}

static enum result open_driver(void)
{
    void *found = open_nvml();
    if (!found)
        return LIBRARY_LOAD;
    enum result result = !look_up_all(found) ? FUNCTION_NOT_FOUND : nvml.init() ? NVML_FAILED : DONE;
    if (result)
        dlclose(found);
    else
        library = found;
    return result;
}

API int nvSandboxUtilsInit(const struct init_input *input);
int nvSandboxUtilsInit(const struct init_input *input)
{
    if (!input)
        return INVALID_ARGUMENT;
    if (input->version != VERSION)
        return VERSION_NOT_SUPPORTED;
    if (input->type > ROOT_BY_PATH)
        return NOT_SUPPORTED;
    HOLD_LOCK;
    if (library)
        return DONE;
    size_t length = input->type == DEFAULT_ROOT ? 0 : strnlen(input->value, sizeof input->value);
    if (length == sizeof input->value)
        return INVALID_ARGUMENT;
    while (length && input->value[length - 1] == '/')
        length--;
    memcpy(root, input->value, length);
    root[length] = '\0';
    return open_driver();
}

static void forget(struct file *list)
{
    for (struct file *next; list; list = next) {
        next = list->next;
        free(list->path);
        free(list);
    }
}

API int nvSandboxUtilsShutdown(void);
int nvSandboxUtilsShutdown(void)
{
    HOLD_LOCK;
    if (!library)
        return UNINITIALISED;
    for (struct answer *before; answers; answers = before) {
        before = answers->before;
        forget(answers->files);
        free(answers);
    }
    nvml.shutdown();
    dlclose(library);
    library = NULL;
    return DONE;
}

API int nvSandboxUtilsGetDriverVersion(char *version, unsigned length);
int nvSandboxUtilsGetDriverVersion(char *version, unsigned length)
{
    HOLD_LOCK;
    if (!library)
        return UNINITIALISED;
    if (!version)
        return INVALID_ARGUMENT;
    switch (nvml.driver_version(version, length)) {
    case NVML_SUCCESS:
        return DONE;
    case NVML_ERROR_INSUFFICIENT_SIZE:
        return INSUFFICIENT_SIZE;
    default:
        return NVML_FAILED;
    }
}

/* MIG devices are left to the generator, as with drivers before 565. */
static enum result find_device(const struct request *request, nvmlDevice_t *device)
{
    nvmlReturn_t result = NVML_ERROR_NOT_FOUND;
    char *end = NULL;
    unsigned long index = 0;
    switch (request->input_type) {
    case BY_GPU_UUID:
        result = nvml.by_uuid(request->input, device);
        break;
    case BY_PCI_ID:
        result = nvml.by_bus_id(request->input, device);
        break;
    case BY_PCI_INDEX:
        index = strtoul(request->input, &end, 10);
        if (end == request->input || *end)
            return INVALID_ARGUMENT;
        result = nvml.by_index((unsigned)index, device);
        break;
    case BY_MIG_UUID:
        return NOT_SUPPORTED;
    default:
        return INVALID_ARGUMENT;
    }
    return result ? DEVICE_NOT_FOUND : DONE;
}

/* Puts a file at the front of a list, if the driver root has it.  0 without memory. */
static int add(struct file **list, enum type type, enum kind kind, uint32_t flags, const char *path)
{
    char full[INPUT + PATH_MAX];
    struct stat found;
    snprintf(full, sizeof full, "%s%s", root, path);
    if (lstat(full, &found))
        return 1;
    struct file *file = calloc(1, sizeof *file);
    char *copy = strdup(path);
    if (!file || !copy) {
        free(file);
        free(copy);
        return 0;
    }
    *file = (struct file){.next = *list, .type = type, .kind = kind, .flags = flags, .path = copy};
    *list = file;
    return 1;
}

/* A link in /dev/dri/by-path, and the node that it leads to. */
static int add_display(struct file **list, const char *address, const char *end, enum kind node, enum kind link)
{
    char path[128], full[INPUT + 128], target[64], place[128];
    snprintf(path, sizeof path, "/dev/dri/by-path/pci-%s-%s", address, end);
    snprintf(full, sizeof full, "%s%s", root, path);
    ssize_t length = readlink(full, target, sizeof target - 1);
    if (length <= 0)
        return 1;
    target[length] = '\0';
    const char *name = strrchr(target, '/');
    snprintf(place, sizeof place, "/dev/dri/%s", name ? name + 1 : target);
    return add(list, DEV, node, 0, place) && add(list, DEV, link, CONTENT, path);
}

static int add_all(struct file **list, unsigned minor, const nvmlPciInfo_t *pci)
{
    char address[32], path[64];
    snprintf(address, sizeof address, "%04x:%02x:%02x.0", pci->domain, pci->bus, pci->device);
    snprintf(path, sizeof path, "/proc/driver/nvidia/gpus/%s", address);
    if (!add(list, PROC, PROC_GPU, 0, path) || !add(list, DEV, CONTROL, 0, "/dev/nvidiactl") ||
        !add(list, DEV, MODESET, 0, "/dev/nvidia-modeset") || !add(list, DEV, UVM_TOOLS, 0, "/dev/nvidia-uvm-tools") ||
        !add(list, DEV, UVM, 0, "/dev/nvidia-uvm") || !add_display(list, address, "render", RENDER, RENDER_LINK) ||
        !add_display(list, address, "card", CARD, CARD_LINK))
        return 0;
    snprintf(path, sizeof path, "/dev/nvidia%u", minor);
    return add(list, DEV, NVIDIA_NODE, 0, path);
}

API int nvSandboxUtilsGetGpuResource(struct request *request);
int nvSandboxUtilsGetGpuResource(struct request *request)
{
    nvmlDevice_t device = NULL;
    nvmlPciInfo_t pci = {0};
    unsigned minor = 0;
    HOLD_LOCK;
    if (!library)
        return UNINITIALISED;
    if (!request || !memchr(request->input, 0, sizeof request->input))
        return INVALID_ARGUMENT;
    if (request->version != VERSION)
        return VERSION_NOT_SUPPORTED;
    enum result result = find_device(request, &device);
    if (result)
        return result;
    if (nvml.minor(device, &minor) || nvml.pci(device, &pci))
        return NVML_FAILED;
    struct answer *answer = calloc(1, sizeof *answer);
    if (!answer || !add_all(&answer->files, minor, &pci)) {
        forget(answer ? answer->files : NULL);
        free(answer);
        return OUT_OF_MEMORY;
    }
    answer->before = answers;
    answers = answer;
    request->files = answer->files;
    return DONE;
}

/* What a link of an answer leads to.  `size`: bytes of the buffer, then of the text. */
API int nvSandboxUtilsGetFileContent(const char *path, char *content, unsigned *size);
int nvSandboxUtilsGetFileContent(const char *path, char *content, unsigned *size)
{
    char full[INPUT + PATH_MAX], target[PATH_MAX];
    HOLD_LOCK;
    if (!library)
        return UNINITIALISED;
    if (!path || !content || !size)
        return INVALID_ARGUMENT;
    if (snprintf(full, sizeof full, "%s%s", root, path) >= (int)sizeof full)
        return INVALID_ARGUMENT;
    ssize_t length = readlink(full, target, sizeof target - 1);
    if (length < 0)
        return PATH_NOT_FOUND;
    if ((size_t)length >= *size)
        return INSUFFICIENT_SIZE;
    memcpy(content, target, (size_t)length);
    content[length] = '\0';
    *size = (unsigned)length;
    return DONE;
}
