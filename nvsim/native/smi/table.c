/* nvidia-smi without arguments: the GPUs, their MIG devices, their processes.
 *
 * The layouts are those of nvidia-smi 470.256.02, 535.261.03 and 550.163.01, observed on a stand-in library; which one
 * is printed follows the library's driver branch.  560 and later give the pid six more columns (published outputs). */
#include "commands.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CELL 64

static const struct layout layouts[] = {
    {
        .from = 0,
        .width = 77, .blank = 79, .smi = 13, .driver = 13, .name = 18, .name_end = 2, .usage = 7, .limit = 4,
        .bus = 17, .used = 10, .total = 8, .mig_memory = 22, .mig_used = 10, .mig_bar1 = 10,
        .process = 28, .process_memory = 12, .pid = 10,
        .names = " GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC ",
        .values = " Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. ",
        .shared = "         Shared        ", .engines = " CE  ENC  DEC  OFA  JPG",
    },
    {
        .from = 530,
        .width = 87, .blank = 89, .smi = 23, .driver = 13, .name = 27, .name_end = 1, .usage = 17, .limit = 4,
        .bus = 17, .used = 10, .total = 8, .mig_memory = 32, .mig_used = 19, .mig_bar1 = 19,
        .process = 38, .process_memory = 12, .pid = 10,
        .names = " GPU  Name                 Persistence-M | Bus-Id        Disp.A | Volatile Uncorr. ECC ",
        .values = " Fan  Temp   Perf          Pwr:Usage/Cap |         Memory-Usage | GPU-Util  Compute M. ",
        .shared = "      Shared           ", .engines = " CE ENC DEC OFA JPG    ",
    },
    {
        .from = 550,
        .width = 89, .blank = 89, .smi = 23, .driver = 15, .name = 27, .name_end = 1, .usage = 16, .limit = 5,
        .bus = 19, .used = 11, .total = 9, .mig_memory = 34, .mig_used = 19, .mig_bar1 = 21,
        .process = 38, .process_memory = 14, .pid = 10,
        .names = " GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC ",
        .values = " Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. ",
        .shared = "      Shared           ", .engines = " CE ENC DEC OFA JPG    ",
    },
    {
        .from = 560,
        .width = 89, .blank = 89, .smi = 23, .driver = 15, .name = 27, .name_end = 1, .usage = 16, .limit = 5,
        .bus = 19, .used = 11, .total = 9, .mig_memory = 34, .mig_used = 19, .mig_bar1 = 21,
        .process = 32, .process_memory = 14, .pid = 16,
        .names = " GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC ",
        .values = " Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. ",
        .shared = "      Shared           ", .engines = " CE ENC DEC OFA JPG    ",
    },
};

static const struct layout *layout_of(unsigned int branch)
{
    const struct layout *best = layouts;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].from <= branch)
            best = &layouts[i];
    return best;
}

/* `left`, as many `fill` as each width says with "+" between them, `right`.  A width of 0 is the end. */
void print_rule(FILE *out, char left, char fill, char right, const int *widths)
{
    fputc(left, out);
    for (; *widths; widths++) {
        for (int i = 0; i < *widths; i++)
            fputc(fill, out);
        fputc(widths[1] ? '+' : right, out);
    }
    fputc('\n', out);
}

void print_full_rule(const struct layout *layout, FILE *out, char edge, char fill)
{
    print_rule(out, edge, fill, edge, (int[]){layout->width, 0});
}

static void print_gpu_rule(const struct layout *layout, FILE *out, char left, char fill, char right)
{
    int memory = layout->used + layout->total + 4;
    print_rule(out, left, fill, right, (int[]){layout->width - memory - 24, memory, 22, 0});
}

/* Cuts a text to `width` characters, the last three of them dots. */
static void shorten(char *text, size_t width)
{
    if (strlen(text) > width)
        strcpy(text + width - 3, "...");
}

/* What stands in a cell whose value could not be read. */
static const char *failed(nvmlReturn_t result)
{
    return result == NVML_ERROR_NOT_SUPPORTED ? "N/A" : "ERR!";
}

/* Left-aligned in four characters and a text of its own for 0 and 1: the cells at the right of a column. */
static const char *switched(nvmlReturn_t result, unsigned int value, const char *off, const char *on)
{
    if (result != NVML_SUCCESS)
        return result == NVML_ERROR_NOT_SUPPORTED ? "N/A " : "ERR!";
    return value ? on : off;
}

static void print_head(const struct layout *layout, FILE *out)
{
    char smi[NVML_SYSTEM_NVML_VERSION_BUFFER_SIZE] = "N/A", driver[NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE] = "";
    char cuda[CELL];
    int number = 0;
    nvmlReturn_t result = NVML(nvmlSystemGetDriverVersion, driver, sizeof driver);

    if (result != NVML_SUCCESS)
        snprintf(driver, sizeof driver, "%s", failed(result));
    result = NVML(nvmlSystemGetCudaDriverVersion_v2, &number);
    if (result == NVML_SUCCESS)
        snprintf(cuda, sizeof cuda, "%d.%d", number / 1000, number % 1000 / 10);
    else
        snprintf(cuda, sizeof cuda, "%s", failed(result));
    nvml_version(smi, sizeof smi);
    print_full_rule(layout, out, '+', '-');
    fprintf(out, "| NVIDIA-SMI %-*s Driver Version: %-*s CUDA Version: %-8s |\n", layout->smi - 1, smi,
            layout->driver - 1, driver, cuda);
    print_gpu_rule(layout, out, nvml_branch() < 580 ? '|' : '+', '-', '+');
    fprintf(out, "|%s|\n|%s|\n", layout->names, layout->values);
    fprintf(out, "|%*s|%*s|               MIG M. |\n", layout->width - layout->used - layout->total - 28, "",
            layout->used + layout->total + 4, "");
    print_gpu_rule(layout, out, '|', '=', '|');
}

/* "On" in MIG mode, "Off" without ECC, else the count of uncorrected errors; a star if a reboot changes the mode. */
static void ecc_cell(nvmlDevice_t device, bool mig, char *cell)
{
    nvmlEnableState_t current, pending;
    unsigned long long errors;
    nvmlReturn_t result = NVML(nvmlDeviceGetEccMode, device, &current, &pending);

    if (result == NVML_SUCCESS && (mig || !current || current != pending)) {
        snprintf(cell, CELL, "%s%s", current ? "On" : "Off", current == pending ? "" : "*");
        return;
    }
    if (result == NVML_SUCCESS)
        result = NVML(nvmlDeviceGetTotalEccErrors, device, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC,
                      &errors);
    if (result == NVML_SUCCESS)
        snprintf(cell, CELL, "%llu", errors);
    else
        snprintf(cell, CELL, "%s", failed(result));
}

static void print_names(const struct layout *layout, const struct gpu *gpu, bool mig, FILE *out)
{
    char name[NVML_DEVICE_NAME_V2_BUFFER_SIZE], bus_id[NVML_DEVICE_PCI_BUS_ID_BUFFER_SIZE], ecc[CELL];
    nvmlEnableState_t state = NVML_FEATURE_DISABLED;
    nvmlPciInfo_t pci;
    nvmlReturn_t result = NVML(nvmlDeviceGetName, gpu->device, name, sizeof name);

    if (result != NVML_SUCCESS)
        snprintf(name, sizeof name, "%s", failed(result));
    shorten(name, layout->name);
    result = NVML(nvmlDeviceGetPersistenceMode, gpu->device, &state);
    fprintf(out, "|%4u  %-*s %s%*s%*s|", gpu->index, layout->name, name,
            layout->name_end == 1 ? "  " : "", 4, switched(result, state, " Off", " On "), layout->name_end, "");
    result = NVML(nvmlDeviceGetPciInfo_v3, gpu->device, &pci);
    snprintf(bus_id, sizeof bus_id, "%s", result == NVML_SUCCESS ? pci.busId : failed(result));
    bool no_address = result == NVML_ERROR_NOT_SUPPORTED;
    result = NVML(nvmlDeviceGetDisplayActive, gpu->device, &state);
    if (no_address)
        fprintf(out, " %-*s", layout->bus - 1, bus_id);
    else
        fprintf(out, "%*s", layout->bus, bus_id);
    fprintf(out, "%4s |", result == NVML_SUCCESS ? (state ? "On" : "Off") : failed(result));
    ecc_cell(gpu->device, mig, ecc);
    fprintf(out, "%21s |\n", ecc);
}

/* Bytes as MiB: rounded up since 550, so that a used byte shows; cut off before. */
unsigned long long mib(unsigned long long bytes)
{
    return (bytes + (nvml_branch() < 550 ? 0 : (1 << 20) - 1)) >> 20;
}

/* nvidia-smi before 510 has no nvmlDeviceGetMemoryInfo_v2; the older function counts what the driver keeps as used. */
nvmlReturn_t read_memory_use(nvmlDevice_t device, unsigned long long *used, unsigned long long *total)
{
    nvmlMemory_v2_t memory = {.version = nvmlMemory_v2};
    nvmlMemory_t older;
    nvmlReturn_t result = NVML(nvmlDeviceGetMemoryInfo_v2, device, &memory);

    *used = memory.used, *total = memory.total;
    if (result == NVML_ERROR_FUNCTION_NOT_FOUND) {
        result = NVML(nvmlDeviceGetMemoryInfo, device, &older);
        *used = older.used, *total = older.total;
    }
    return result;
}

static void print_memory(const struct layout *layout, nvmlDevice_t device, FILE *out)
{
    char used_cell[CELL], total_cell[CELL];
    unsigned long long used, total;
    int width = layout->used + layout->total + 3;
    nvmlReturn_t result = read_memory_use(device, &used, &total);

    if (result == NVML_SUCCESS) {
        snprintf(used_cell, sizeof used_cell, "%lluMiB", mib(used));
        snprintf(total_cell, sizeof total_cell, "%lluMiB", mib(total));
        shorten(used_cell, (size_t)layout->used);
        shorten(total_cell, (size_t)layout->total);
        fprintf(out, "%*s / %*s |", layout->used, used_cell, layout->total, total_cell);
    } else if (result == NVML_ERROR_NO_PERMISSION) {
        fprintf(out, "%21s%*s|", "N/A", width - 20, "");
    } else {
        snprintf(used_cell, sizeof used_cell, "%s",
                 result == NVML_ERROR_NOT_SUPPORTED ? "Not Supported" : nvml_text(result));
        shorten(used_cell, (size_t)width - 1);
        fprintf(out, " %-*s|", width, used_cell);
    }
}

/* Milliwatt as whole watts, never less than `least`.  What a board does not draw is left-aligned since 580. */
static void watts_cell(nvmlReturn_t result, unsigned int milliwatt, unsigned int least, int width, char *cell)
{
    unsigned int watts = milliwatt / 1000 < least ? least : milliwatt / 1000;

    if (result == NVML_SUCCESS)
        snprintf(cell, CELL, "%*uW", width - 1, watts);
    else
        snprintf(cell, CELL, "%4s", failed(result));
    shorten(cell, (size_t)width);
}

static void print_condition(const struct layout *layout, nvmlDevice_t device, FILE *out)
{
    char fan[CELL], temperature[CELL], state[CELL] = "", usage[CELL], limit[CELL];
    nvmlPstates_t pstate;
    unsigned int value = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetFanSpeed, device, &value);

    snprintf(fan, sizeof fan, "%u%%", value);
    fprintf(out, "|%4s", result == NVML_SUCCESS ? fan : failed(result));
    result = NVML(nvmlDeviceGetTemperature, device, NVML_TEMPERATURE_GPU, &value);
    snprintf(temperature, sizeof temperature, "%uC", value);
    fprintf(out, "%6s", result == NVML_SUCCESS ? temperature : failed(result));
    result = NVML(nvmlDeviceGetPerformanceState, device, &pstate);
    if (result == NVML_SUCCESS && pstate <= NVML_PSTATE_15)
        snprintf(state, sizeof state, "P%d", (int)pstate);
    else
        snprintf(state, sizeof state, "%s ", result == NVML_SUCCESS ? "ERR!" : failed(result));
    fprintf(out, "%6s", state);
    result = NVML(nvmlDeviceGetPowerUsage, device, &value);
    watts_cell(result, value, 1, 4, usage);
    if (result != NVML_SUCCESS && nvml_branch() >= 580)
        snprintf(usage, sizeof usage, "%-4s", failed(result));
    result = NVML(nvmlDeviceGetEnforcedPowerLimit, device, &value);
    watts_cell(result, value, 0, layout->limit, limit);
    fprintf(out, "%*s / %-*s |", layout->usage, usage, layout->limit, limit);
}

static const char *compute_mode(nvmlComputeMode_t mode)
{
    switch (mode) {
    case NVML_COMPUTEMODE_DEFAULT: return "Default";
    case NVML_COMPUTEMODE_EXCLUSIVE_THREAD: return "E. Thread";
    case NVML_COMPUTEMODE_PROHIBITED: return "Prohibited";
    case NVML_COMPUTEMODE_EXCLUSIVE_PROCESS: return "E. Process";
    default: return "Unknown";
    }
}

static void print_load(nvmlDevice_t device, FILE *out)
{
    nvmlUtilization_t utilization = {0};
    nvmlComputeMode_t mode;
    char cell[CELL];
    nvmlReturn_t result = NVML(nvmlDeviceGetUtilizationRates, device, &utilization);

    snprintf(cell, sizeof cell, "%u%%", utilization.gpu);
    fprintf(out, "%8s", result == NVML_SUCCESS ? cell : failed(result));
    result = NVML(nvmlDeviceGetComputeMode, device, &mode);
    fprintf(out, "%13s |\n", result == NVML_SUCCESS ? compute_mode(mode) : failed(result));
}

/* The three lines of a GPU; whether it is in MIG mode.  A mode with a star is the one that the next reset brings. */
static bool print_gpu(const struct layout *layout, const struct gpu *gpu, FILE *out)
{
    unsigned int current = 0, pending = 0;
    int middle = layout->used + layout->total + 4;
    char cell[CELL];
    nvmlReturn_t result = NVML(nvmlDeviceGetMigMode, gpu->device, &current, &pending);
    bool mig = result == NVML_SUCCESS && current;

    print_names(layout, gpu, mig, out);
    print_condition(layout, gpu->device, out);
    print_memory(layout, gpu->device, out);
    print_load(gpu->device, out);
    if (result == NVML_SUCCESS)
        snprintf(cell, sizeof cell, "%s%s", pending ? "Enabled" : "Disabled", current == pending ? "" : "*");
    else
        snprintf(cell, sizeof cell, "%s", failed(result));
    fprintf(out, "|%*s|%*s|%21s |\n", layout->width - middle - 24, "", middle, "", cell);
    print_gpu_rule(layout, out, '+', '-', '+');
    return mig;
}

void print_table(const struct gpus *gpus, FILE *out)
{
    const struct layout *layout = layout_of(nvml_branch());
    time_t now = time(NULL);
    struct tm local;
    char date[CELL] = "";
    bool mig = false;

    if (localtime_r(&now, &local))
        strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &local);
    fprintf(out, "%s       \n", date);
    print_head(layout, out);
    for (size_t i = 0; i < gpus->count; i++)
        mig |= print_gpu(layout, &gpus->items[i], out);
    if (mig)
        print_mig(layout, gpus, out);
    fprintf(out, "%*s\n", layout->blank, "");
    print_processes(layout, gpus, out);
}
