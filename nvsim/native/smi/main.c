/* nvidia-smi: an ordinary client of NVML.  Public functions are all it needs: NVIDIA's library will do as well. */
#include "commands.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NO_LIBRARY                                                                                                     \
    "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA Display "       \
    "Driver is properly installed and present in your system.\n"                                                       \
    "Please also try adding directory that contains libnvidia-ml.so to your system PATH.\n"
#define NO_DRIVER                                                                                                      \
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA "  \
    "driver is installed and running.\n\n"

/* "550.163" of "550.163.01". */
static bool short_version(char *text, size_t size)
{
    char *dot;

    if (!nvml_version(text, size))
        return false;
    if ((dot = strchr(text, '.')) && (dot = strchr(dot + 1, '.')))
        *dot = '\0';
    return true;
}

/* Says why NVML could not be initialised; the exit status, 0 if the command goes on nevertheless. */
static int report_init(nvmlReturn_t result)
{
    char version[NVML_SYSTEM_NVML_VERSION_BUFFER_SIZE];

    if (result == NVML_SUCCESS)
        return 0;
    if (result == NVML_ERROR_DRIVER_NOT_LOADED) {
        fputs(NO_DRIVER, stdout);
    } else if (result == NVML_ERROR_LIBRARY_NOT_FOUND) {
        fputs(NO_LIBRARY, stdout);
    } else {
        printf("Failed to initialize NVML: %s\n", nvml_text(result));
        if (result == NVML_ERROR_LIB_RM_VERSION_MISMATCH && short_version(version, sizeof version))
            printf("NVML library version: %s\n", version);
    }
    return result == NVML_ERROR_GPU_NOT_FOUND ? 0 : nvml_exit_code(result);
}

static int print_versions(void)
{
    char library[NVML_SYSTEM_NVML_VERSION_BUFFER_SIZE] = "N/A", nvml[NVML_SYSTEM_NVML_VERSION_BUFFER_SIZE] = "N/A";
    char driver[NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE] = "N/A";
    int cuda = 0;

    nvml_version(library, sizeof library);
    short_version(nvml, sizeof nvml);
    NVML(nvmlSystemGetDriverVersion, driver, sizeof driver);
    printf("NVIDIA-SMI version  : %s\nNVML version        : %s\nDRIVER version      : %s\n", library, nvml, driver);
    if (NVML(nvmlSystemGetCudaDriverVersion_v2, &cuda) == NVML_SUCCESS)
        printf("CUDA Version        : %d.%d\n", cuda / 1000, cuda % 1000 / 10);
    else
        printf("CUDA Version        : N/A\n");
    return 0;
}

static void wait_for(long milliseconds)
{
    struct timespec left = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    nanosleep(&left, NULL);
}

/* The table, the report or the query, once or until interrupted; a change, once. */
static int print_gpus(const struct options *options, FILE *out)
{
    struct gpus gpus = {0};
    int status = options->mode == MODE_QUERY ? check_fields(options->query, options->fields, out) : 0;

    if (options->display && !are_sections(options->display)) {
        fputs("Failed to parse --display/-d flags\n", out);
        status = 2;
    }
    if (!status)
        status = find_gpus(&gpus, options->ids, out);
    if (!status && options->mode == MODE_CHANGE) {
        status = apply_change(&gpus, &options->change, out);
        free(gpus.items);
        return status;
    }
    for (bool first = true; !status; first = false) {
        if (options->mode == MODE_QUERY)
            print_query(&gpus, options, first && !options->noheader, out);
        else if (options->mode == MODE_REPORT)
            print_report(&gpus, options, out);
        else
            print_table(&gpus, out);
        if (fflush(out))
            status = 255;
        if (!options->period)
            break;
        wait_for(options->period);
    }
    free(gpus.items);
    return status;
}

static int run(const struct options *options)
{
    FILE *out = stdout;
    int status;

    if (options->error) {
        fputs(options->message, options->on_stderr ? stderr : stdout);
        return options->error;
    }
    if (options->mode == MODE_VERSION)
        return print_versions();
    if (options->mode == MODE_LIST)
        return print_list(stdout);
    if (options->mode == MODE_EXCLUDED)
        return print_excluded(stdout);
    if (options->mode == MODE_HELP_QUERY) {
        print_query_help(options->query, stdout);
        return 0;
    }
    if (options->file && !(out = fopen(options->file, "we"))) {
        printf("Failed to create the log file %s\n\n", options->file);
        return 255;
    }
    status = print_gpus(options, out);
    if (out != stdout)
        fclose(out);
    return status;
}

/* The subcommand of the command line, NULL if it has none. */
static int (*find_subcommand(int argc, char **argv))(int, char **)
{
    static const struct { const char *name; int (*run)(int argc, char **argv); } subcommands[] = {
        {"dmon", run_dmon}, {"mig", run_mig}, {"nvlink", run_nvlink}, {"pmon", run_pmon}, {"topo", run_topo},
    };

    for (size_t i = 0; argc > 1 && i < sizeof subcommands / sizeof *subcommands; i++)
        if (!strcmp(argv[1], subcommands[i].name))
            return subcommands[i].run;
    return NULL;
}

int main(int argc, char **argv)
{
    int (*subcommand)(int, char **) = find_subcommand(argc, argv);
    struct options options = {0};
    nvmlReturn_t result = NVML_ERROR_LIBRARY_NOT_FOUND;
    int status;

    if (!subcommand)
        options = parse_options(argc, argv);
    if (options.mode == MODE_HELP && !options.error) {
        print_help();
        return 0;
    }
    /* As in the genuine tool a missing driver is reported before a mistake in the command line. */
    if (nvml_open())
        result = nvml_init();
    status = report_init(result);
    if (!status)
        status = subcommand ? subcommand(argc, argv) : run(&options);
    if (result == NVML_SUCCESS)
        NVML(nvmlShutdown);
    nvml_close();
    return fflush(stdout) && !status ? 255 : status;
}
