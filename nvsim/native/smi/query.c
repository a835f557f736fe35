/* nvidia-smi --query-gpu, --query-compute-apps and the like */
#include "query.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#define READER(kind, function) READ_##kind(function)
#define FIELD(...)
#include "query_fields.inc"
#undef READER
#undef FIELD

struct field {
    enum query query;
    const char *name, *aliases, *unit;
    unsigned int after, until; /* driver branches: known to those above `after`, up to `until` */
    reader *read;
    int argument;
};

static const struct field fields[] = {
#define READER(kind, function)
#define FIELD(query, name, aliases, unit, after, until, kind, function, argument)                                      \
    {query, name, aliases, unit, after, until, kind##_##function, argument},
#include "query_fields.inc"
};

/* Whether a list with commas has the word. */
static bool listed(const char *list, const char *word, size_t length)
{
    while (*list) {
        size_t step = strcspn(list, ",");
        if (step == length && !strncmp(list, word, length))
            return true;
        list += step + (list[step] == ',');
    }
    return false;
}

static const struct field *find_field(enum query query, const char *name, size_t length)
{
    unsigned int branch = nvml_branch();

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].query == query && fields[i].after < branch && branch <= fields[i].until &&
            (listed(fields[i].name, name, length) || listed(fields[i].aliases, name, length)))
            return &fields[i];
    return NULL;
}

/* Takes the next name of a list with commas, empty ones left out; false at the end. */
static bool next_name(const char **list, const char **name, size_t *length)
{
    *list += strspn(*list, ",");
    *name = *list;
    *length = strcspn(*list, ",");
    *list += *length;
    return *length;
}

/* The exit status, 0 if every name is a property; else the first that is none has been named. */
int check_fields(enum query query, const char *names, FILE *out)
{
    const char *name;
    size_t length;

    while (next_name(&names, &name, &length))
        if (!find_field(query, name, length)) {
            fprintf(out, "Field \"%.*s\" is not a valid field to query.\n\n", (int)length, name);
            return 2;
        }
    return 0;
}

static void print_value(const struct field *field, const struct subject *subject, nvmlDevice_t device, bool units,
                        FILE *out)
{
    char text[4096] = "";
    nvmlReturn_t result = field->read(subject, device, field->argument, text, sizeof text);

    if (result != NVML_SUCCESS)
        fprintf(out, "[%s]", nvml_text(result));
    else
        fprintf(out, "%s%s%s", text, units && *field->unit ? " " : "", units ? field->unit : "");
}

static void print_row(const struct options *options, const struct subject *subject, nvmlDevice_t device, FILE *out)
{
    const char *list = options->fields, *name, *comma = "";
    size_t length;

    for (; next_name(&list, &name, &length); comma = ", ") {
        fputs(comma, out);
        print_value(find_field(options->query, name, length), subject, device, !options->nounits, out);
    }
    fputc('\n', out);
}

/* The heading keeps the units under "nounits"; only the values lose them. */
static void print_heading(const struct options *options, FILE *out)
{
    const char *list = options->fields, *name, *comma = "";
    size_t length;

    for (; next_name(&list, &name, &length); comma = ", ") {
        const struct field *field = find_field(options->query, name, length);
        bool unit = *field->unit;
        fprintf(out, "%s%s%s%s%s", comma, field->name, unit ? " [" : "", field->unit, unit ? "]" : "");
    }
    fputc('\n', out);
}

void print_query(const struct gpus *gpus, const struct options *options, bool header, FILE *out)
{
    if (header)
        print_heading(options, out);
    for (size_t i = 0; i < gpus->count; i++) {
        struct entries entries = read_entries(options->query, gpus->items[i].device);
        for (size_t n = 0; n < entries.count; n++) {
            struct subject subject = {.gpus = gpus, .entry = &entries.items[n]};
            print_row(options, &subject, gpus->items[i].device, out);
        }
        free(entries.items);
    }
}

/* nvidia-smi --help-query-…: the names; what they mean is told by NVML's documentation. */
void print_query_help(enum query query, FILE *out)
{
    unsigned int branch = nvml_branch();

    fprintf(out, "List of valid properties to query for the switch \"%s\":\n", query_switches[query]);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *list = fields[i].aliases, *name;
        size_t length;
        if (fields[i].query != query || fields[i].after >= branch || branch > fields[i].until)
            continue;
        fprintf(out, "\n\"%s\"", fields[i].name);
        while (next_name(&list, &name, &length))
            fprintf(out, " or \"%.*s\"", (int)length, name);
        fputc('\n', out);
    }
}
