#include "options.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Every message and status here was observed of NVIDIA's nvidia-smi 550.163.01. */
#define SEE_HELP "Please run 'nvidia-smi -h' for help.\n\n"
#define COMBINATION "Invalid combination of input arguments. "

const char *const query_switches[QUERIES] = {
    [QUERY_GPU] = "--query-gpu", [QUERY_COMPUTE_APPS] = "--query-compute-apps",
    [QUERY_ACCOUNTED_APPS] = "--query-accounted-apps", [QUERY_SUPPORTED_CLOCKS] = "--query-supported-clocks",
    [QUERY_RETIRED_PAGES] = "--query-retired-pages", [QUERY_REMAPPED_ROWS] = "--query-remapped-rows",
};

/* What kind of command the line is: each kind knows other options, and has other words for those it does not know. */
enum family { FAMILY_SHOW, FAMILY_QUERY, FAMILY_CHANGE };

/* The state of one pass over the command line. */
struct parser {
    struct options *options;
    char **argv;
    int at;
    enum family family;
    bool report;                /* -q */
    const char *scope, *clocks; /* --scope, --mode */
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

/* Takes `-s VALUE`, `-s=VALUE`, `--switch VALUE` or `--switch=VALUE`; a missing value is an error unless `optional`.
 * What looks like a switch is no value, but "-i -1" has one. */
static bool take(struct parser *parser, const char *name, const char **value, bool optional)
{
    const char *token = parser->argv[parser->at], *next = parser->argv[parser->at + 1], *equals = strchr(token, '=');

    if (!is_switch(token, name))
        return false;
    if (equals) {
        *value = equals + 1;
    } else if (next && strncmp(next, "--", optional ? 1 : 2)) {
        *value = next;
        parser->at++;
    } else if (!optional) {
        fail(parser->options, 255, "ERROR: Option %s is missing its value. " SEE_HELP, name);
    }
    return true;
}

static bool take_either(struct parser *parser, const char *letter, const char *word, const char **value,
                        bool optional)
{
    return take(parser, letter, value, optional) || take(parser, word, value, optional);
}

/* A switch without a value. */
static bool take_flag(struct parser *parser, const char *letter, const char *word, bool *flag)
{
    const char *token = parser->argv[parser->at];
    bool found = !strcmp(token, letter) || !strcmp(token, word);

    *flag |= found;
    return found;
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
    static const struct { const char *name; enum mode mode; enum query query; } alone[] = {
        {"-h", MODE_HELP, 0}, {"--help", MODE_HELP, 0}, {"--version", MODE_VERSION, 0},
        {"--help-query-gpu", MODE_HELP_QUERY, QUERY_GPU},
        {"--help-query-compute-apps", MODE_HELP_QUERY, QUERY_COMPUTE_APPS},
        {"--help-query-accounted-apps", MODE_HELP_QUERY, QUERY_ACCOUNTED_APPS},
        {"--help-query-supported-clocks", MODE_HELP_QUERY, QUERY_SUPPORTED_CLOCKS},
        {"--help-query-retired-pages", MODE_HELP_QUERY, QUERY_RETIRED_PAGES},
        {"--help-query-remapped-rows", MODE_HELP_QUERY, QUERY_REMAPPED_ROWS},
        {"-L", MODE_LIST, 0}, {"--list-gpus", MODE_LIST, 0},
        {"-B", MODE_EXCLUDED, 0}, {"--list-excluded-gpus", MODE_EXCLUDED, 0},
    };

    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
        for (int at = 1; at < argc; at++) {
            if (strcmp(argv[at], alone[i].name))
                continue;
            options->mode = alone[i].mode;
            options->query = alone[i].query;
            if (argc > 2 && options->mode != MODE_HELP_QUERY)
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

static bool take_query(struct parser *parser)
{
    for (int query = 0; query < QUERIES; query++)
        if (take(parser, query_switches[query], &parser->options->fields, false)) {
            if (parser->options->mode == MODE_QUERY)
                fail(parser->options, 2, "Only one --query-* switch can be used at a time.\n");
            parser->options->mode = MODE_QUERY;
            parser->options->query = (enum query)query;
            return true;
        }
    return take(parser, "--format", &parser->options->format, false);
}

/* The options that go with the table, the report and the queries. */
static bool take_output(struct parser *parser)
{
    struct options *options = parser->options;
    const char *period = NULL;

    if (take_either(parser, "-f", "--filename", &options->file, false))
        return true;
    if (take_either(parser, "-l", "--loop", &period, true)) {
        set_period(options, period, 1000);
        return true;
    }
    if (take_either(parser, "-lms", "--loop-ms", &period, true)) {
        set_period(options, period, 1);
        return true;
    }
    if (parser->family == FAMILY_QUERY)
        return take_query(parser);
    return take_flag(parser, "-q", "--query", &parser->report) ||
           take_flag(parser, "-x", "--xml-format", &options->xml) ||
           take_flag(parser, "-u", "--unit", &options->unit) ||
           take_either(parser, "-d", "--display", &options->display, false);
}

/* A setting and its value; a second one is an error. */
static bool take_change(struct parser *parser)
{
    struct change *change = &parser->options->change;
    const char *token = parser->argv[parser->at];
    const struct setting *setting = find_setting(token);

    if (take_flag(parser, "-eow", "--error-on-warning", &change->strict) ||
        take_either(parser, "-sc", "--scope", &parser->scope, false) ||
        take_either(parser, "-m", "--mode", &parser->clocks, false))
        return true;
    if (!setting)
        return false;
    if (change->setting)
        fail(parser->options, 2, COMBINATION "Only one device modification may be done at a time.\n\n");
    change->setting = setting;
    if (setting->value == VALUE_NONE) {
        if (strchr(token, '='))
            fail(parser->options, 255, "ERROR: Option %s is not recognized. " SEE_HELP, strchr(token, '=') + 1);
        return true;
    }
    take_either(parser, setting->letter ? setting->letter : setting->word, setting->word, &change->text, false);
    if (change->text && !read_change(change))
        fail(parser->options, 2, "ERROR: Option %s is invalid for %s. " SEE_HELP, change->text, token);
    return true;
}

/* Subcommands of the genuine tool that this one does not have. */
static bool is_subcommand(const char *token)
{
    static const char *const names[] = {
        "daemon", "replay", "drain", "clocks", "encodersessions", "fbcsessions",
        "vgpu", "compute-policy", "boost-slider", "power-hint", "conf-compute", "c2c", "power-smoothing",
        "base-clocks", "gpm", "pci", "stats",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(token, names[i]))
            return true;
    return false;
}

static void parse_token(struct parser *parser)
{
    const char *token = parser->argv[parser->at];

    if (take_either(parser, "-i", "--id", &parser->options->ids, false) ||
        (parser->family == FAMILY_CHANGE ? take_change(parser) : take_output(parser)))
        return;
    if ((parser->at == 1 && is_subcommand(token)) || !strcmp(token, "--dtd") || is_switch(token, "--debug") ||
        is_switch(token, "-t") || is_switch(token, "--toggle-led")) {
        parser->options->on_stderr |= !parser->options->error;
        fail(parser->options, 1,
             "nvidia-smi: %s of NVIDIA's nvidia-smi is not part of this emulation. Run nvidia-smi -h.\n", token);
    } else if (parser->family == FAMILY_SHOW) {
        fail(parser->options, 255, "ERROR: Option %s is not recognized. Please run 'nvidia-smi -h'.\n\n", token);
    } else {
        fail(parser->options, parser->family == FAMILY_QUERY ? 2 : 255,
             "ERROR: Option %s is not recognized. " SEE_HELP, token);
    }
}

static void check_report(struct options *options, bool report)
{
    if (options->unit && !report)
        fail(options, 2, COMBINATION "Specify -q/--query and -u/--unit to run a unit query.  " SEE_HELP);
    if (options->xml && !report)
        fail(options, 2, COMBINATION "Specify -q/--query and -x/--xml-format to run an XML query.  " SEE_HELP);
    if (options->display && !report)
        fail(options, 2, COMBINATION "Specify -q/--query and -d/--display to run a filtered query.  " SEE_HELP);
    if (options->xml && options->display)
        fail(options, 2, "Invalid combination of input arguments: --display/-d flags can not be combined with "
                         "-x/--xml-format flags.\n");
    if (report)
        options->mode = MODE_REPORT;
}

static void check_change(struct options *options, const struct parser *parser)
{
    bool limits = options->change.setting && options->change.setting->apply == set_power_limit;
    bool locks = options->change.setting && options->change.setting->apply == lock_gpu_clocks;
    char *end;

    options->mode = MODE_CHANGE;
    if (parser->scope && !limits)
        fail(options, 2, COMBINATION "'--scope' can only be used with '--power-limits'.\n\n");
    if (parser->clocks && !locks)
        fail(options, 2, COMBINATION "'--mode' can only be used with '--lock-gpu-clocks'.\n\n");
    if (limits && options->change.number < 0)
        fail(options, 255, "Input combination for device modification is not valid.\n\n");
    if (parser->scope) {
        options->change.scope = strtol(parser->scope, &end, 0);
        if (!*parser->scope || *end)
            fail(options, 2, "ERROR: Option %s is invalid for -sc. " SEE_HELP, parser->scope);
    }
}

/* A setting decides, else a query. */
static enum family family_of(int argc, char **argv)
{
    enum family family = FAMILY_SHOW;

    for (int at = 1; at < argc; at++) {
        if (find_setting(argv[at]) || is_switch(argv[at], "-sc") || is_switch(argv[at], "--scope") ||
            is_switch(argv[at], "-m") || is_switch(argv[at], "--mode"))
            return FAMILY_CHANGE;
        for (int query = 0; query < QUERIES; query++)
            if (is_switch(argv[at], query_switches[query]))
                family = FAMILY_QUERY;
    }
    return family;
}

struct options parse_options(int argc, char **argv)
{
    struct options options = {.mode = MODE_TABLE};
    struct parser parser = {.options = &options, .argv = argv, .family = family_of(argc, argv)};

    if (parse_alone(&options, argc, argv))
        return options;
    for (parser.at = 1; parser.at < argc; parser.at++)
        parse_token(&parser);
    if (parser.family == FAMILY_QUERY)
        parse_format(&options);
    else if (parser.family == FAMILY_SHOW)
        check_report(&options, parser.report);
    else
        check_change(&options, &parser);
    return options;
}
