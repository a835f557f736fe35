#include "options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every message and status here was observed of NVIDIA's nvidia-smi 550.163.01. */
#define SEE_HELP "Please run 'nvidia-smi -h' for help.\n\n"

/* Switches and subcommands of the genuine tool that this one does not have. */
static const char *const unbuilt[] = {
    "-u", "--unit", "--dtd", "-B", "--list-excluded-gpus",
    "--debug", "-pm", "--persistence-mode", "-e", "--ecc-config", "-p", "--reset-ecc-errors", "-c",
    "--compute-mode", "--gom", "-r", "--gpu-reset", "-vm", "--virt-mode", "-lgc", "--lock-gpu-clocks", "-rgc",
    "--reset-gpu-clocks", "-lmc", "--lock-memory-clocks", "-rmc", "--reset-memory-clocks", "-ac",
    "--applications-clocks", "-rac", "--reset-applications-clocks", "-pl", "--power-limit", "-cc", "--cuda-clocks",
    "-am", "--accounting-mode", "-caa", "--clear-accounted-apps", "-mig", "--multi-instance-gpu", "-gtt",
    "--gpu-target-temp", "--query-compute-apps", "--query-accounted-apps", "--query-supported-clocks",
    "--query-retired-pages", "--query-remapped-rows", "--help-query-compute-apps", "--help-query-accounted-apps",
    "--help-query-supported-clocks", "--help-query-retired-pages", "--help-query-remapped-rows", "dmon", "daemon",
    "replay", "pmon", "topo", "drain", "nvlink", "clocks", "encodersessions", "fbcsessions", "mig", "vgpu",
    "compute-policy", "boost-slider", "power-hint", "conf-compute", "c2c", "power-smoothing", "stats",
};

static __attribute__((format(printf, 3, 4))) void fail(struct options *options, int status, const char *format, ...)
{
    va_list arguments;
    if (options->error)
        return;
    options->error = status;
    va_start(arguments, format);
    vsnprintf(options->message, sizeof options->message, format, arguments);
    va_end(arguments);
}

/* Whether `token` is the switch `name`, alone or followed by "=" and a value. */
static bool is_switch(const char *token, const char *name)
{
    size_t length = strlen(name);
    return !strncmp(token, name, length) && (!token[length] || token[length] == '=');
}

static bool is_unbuilt(const char *token)
{
    for (size_t i = 0; i < sizeof unbuilt / sizeof *unbuilt; i++)
        if (is_switch(token, unbuilt[i]))
            return true;
    return false;
}

/* Takes `-s VALUE`, `-s=VALUE`, `--switch VALUE` or `--switch=VALUE`; a missing value is an error unless `optional`.
 * What looks like a switch is no value, but "-i -1" has one. */
static bool take(struct options *options, char **argv, int *at, const char *name, const char **value, bool optional)
{
    const char *token = argv[*at], *equals = strchr(token, '=');

    if (!is_switch(token, name))
        return false;
    if (equals)
        *value = equals + 1;
    else if (argv[*at + 1] && strncmp(argv[*at + 1], "--", optional ? 1 : 2))
        *value = argv[++*at];
    else if (!optional)
        fail(options, 255, "ERROR: Option %s is missing its value. " SEE_HELP, name);
    return true;
}

/* `text` in `unit` milliseconds; without a number every five seconds, as the genuine tool does. */
static void set_period(struct options *options, const char *text, long unit)
{
    char *end;
    long number = text ? strtol(text, &end, 10) : 0;

    if (!text || end == text)
        options->period = 5000;
    else if (number > 0)
        options->period = number * unit;
    else
        fail(options, 2, "Provided [-l(ms) | --loop(-ms)=] value is incorrect. "
                         "Loop frequency must be greater than 0.\n\n");
}

/* Modes that allow no other switch; the first other token is named. */
static bool parse_alone(struct options *options, int argc, char **argv)
{
    static const struct { const char *name; enum mode mode; } alone[] = {
        {"-h", MODE_HELP},         {"--help", MODE_HELP},
        {"--version", MODE_VERSION}, {"--help-query-gpu", MODE_HELP_QUERY},
        {"-L", MODE_LIST},         {"--list-gpus", MODE_LIST},
    };

    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
        for (int at = 1; at < argc; at++) {
            if (strcmp(argv[at], alone[i].name))
                continue;
            options->mode = alone[i].mode;
            if (argc > 2)
                fail(options, 2, "ERROR: Option %s is not valid for this command. " SEE_HELP, argv[at == 1 ? 2 : 1]);
            return true;
        }
    return false;
}

static void parse_format(struct options *options)
{
    bool csv = false;

    if (!options->format) {
        fail(options, 2, "\"--format=\" switch is missing. " SEE_HELP);
        return;
    }
    for (const char *at = options->format; *at;) {
        size_t length = strcspn(at, ",");
        bool is_csv = length == 3 && !strncmp(at, "csv", 3);
        bool noheader = length == 8 && !strncmp(at, "noheader", 8);
        bool nounits = length == 7 && !strncmp(at, "nounits", 7);
        if (length && !is_csv && !noheader && !nounits)
            fail(options, 2, "Format modifier is not recognized.\n");
        csv |= is_csv, options->noheader |= noheader, options->nounits |= nounits;
        at += length + (at[length] == ',');
    }
    if (!csv)
        fail(options, 2, "Format modifier --format=csv is mandatory.\n");
}

/* A switch without a value. */
static bool is_flag(const char *token, const char *letter, const char *word, bool *flag)
{
    bool found = !strcmp(token, letter) || !strcmp(token, word);

    *flag |= found;
    return found;
}

static void check_report(struct options *options, bool report)
{
    if (options->xml && !report)
        fail(options, 2, "Invalid combination of input arguments. Specify -q/--query and -x/--xml-format to run an "
                         "XML query.  " SEE_HELP);
    if (options->display && !report)
        fail(options, 2, "Invalid combination of input arguments. Specify -q/--query and -d/--display to run a "
                         "filtered query.  " SEE_HELP);
    if (options->xml && options->display)
        fail(options, 2, "Invalid combination of input arguments: --display/-d flags can not be combined with "
                         "-x/--xml-format flags.\n");
    if (report)
        options->mode = MODE_REPORT;
}

static void parse_token(struct options *options, char **argv, int *at, bool query, bool *report)
{
    const char *token = argv[*at], *period = NULL;

    if (take(options, argv, at, "-i", &options->ids, false) || take(options, argv, at, "--id", &options->ids, false) ||
        take(options, argv, at, "-f", &options->file, false) ||
        take(options, argv, at, "--filename", &options->file, false) ||
        take(options, argv, at, "--query-gpu", &options->fields, false) ||
        (!query && (is_flag(token, "-q", "--query", report) || is_flag(token, "-x", "--xml-format", &options->xml) ||
                    take(options, argv, at, "-d", &options->display, false) ||
                    take(options, argv, at, "--display", &options->display, false))) ||
        (query && take(options, argv, at, "--format", &options->format, false)))
        return;
    if (take(options, argv, at, "-l", &period, true) || take(options, argv, at, "--loop", &period, true)) {
        set_period(options, period, 1000);
    } else if (take(options, argv, at, "-lms", &period, true) || take(options, argv, at, "--loop-ms", &period, true)) {
        set_period(options, period, 1);
    } else if (is_unbuilt(token)) {
        options->on_stderr |= !options->error;
        fail(options, 1, "nvidia-smi: %s of NVIDIA's nvidia-smi is not part of this emulation. Run nvidia-smi -h.\n",
             token);
    } else if (query) {
        fail(options, 2, "ERROR: Option %s is not recognized. " SEE_HELP, token);
    } else {
        fail(options, 255, "ERROR: Option %s is not recognized. Please run 'nvidia-smi -h'.\n\n", token);
    }
}

struct options parse_options(int argc, char **argv)
{
    struct options options = {.mode = MODE_TABLE};
    bool query = false, report = false;

    if (parse_alone(&options, argc, argv))
        return options;
    for (int at = 1; at < argc; at++)
        query |= is_switch(argv[at], "--query-gpu");
    for (int at = 1; at < argc; at++)
        parse_token(&options, argv, &at, query, &report);
    check_report(&options, report);
    if (query) {
        options.mode = MODE_QUERY;
        parse_format(&options);
    }
    return options;
}

void print_help(void)
{
    fputs("NVIDIA System Management Interface, as emulated by nvsim\n\n"
          "    nvidia-smi [-i ID,…] [-f FILE] [-l [SEC] | -lms MS]\n"
          "        A table of the GPUs, their MIG devices and their processes.\n"
          "    nvidia-smi -q [-d SECTION,…] [-x] [-i ID,…] [-f FILE] [-l [SEC] | -lms MS]\n"
          "        All that is known of the GPUs, or the sections of it that are asked for; with -x as XML.\n"
          "    nvidia-smi -L, --list-gpus\n"
          "        One line for each GPU and MIG device, with its UUID.\n"
          "    nvidia-smi --query-gpu=PROPERTY,… --format=csv[,noheader][,nounits]\n"
          "               [-i ID,…] [-f FILE] [-l [SEC] | -lms MS]\n"
          "        Chosen properties of each GPU as comma-separated values.\n"
          "    nvidia-smi --help-query-gpu\n"
          "        The properties that --query-gpu knows.\n"
          "    nvidia-smi --version\n"
          "    nvidia-smi -h, --help\n\n"
          "    -i, --id=          GPUs by index, UUID, PCI bus id or serial number\n"
          "    -f, --filename=    write to a file\n"
          "    -l, --loop=        again every SEC seconds (default 5), until interrupted\n"
          "    -lms, --loop-ms=   again every MS milliseconds\n",
          stdout);
}
