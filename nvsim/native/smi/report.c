/* nvidia-smi -q, as text or with -x as XML: walks the table of rows. */
#include "report.h"
#include "commands.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#define READER(kind, function) READ_##kind(function)
#define ROW(...)
#include "report_rows.inc"
#undef READER
#undef ROW

static const struct row rows[] = {
#define READER(kind, function)
#define ROW(...) {__VA_ARGS__},
#include "report_rows.inc"
};

enum { COLUMN = 42 }; /* where the values of the text begin */

static void indent(const struct report *report)
{
    for (int i = 0; i < report->depth; i++)
        fputs(report->xml ? "\t" : "    ", report->out);
}

static void print_escaped(const char *text, FILE *out)
{
    for (; *text; text++)
        switch (*text) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        default: fputc(*text, out);
        }
}

/* A group; without a label or an element it is not there, and what is in it stands one level further out. */
void report_open(struct report *report, const char *label, const char *element)
{
    const char *name = report->xml ? element : label;

    if (!name)
        return;
    indent(report);
    fprintf(report->out, report->xml ? "<%s>\n" : "%s\n", name);
    report->depth++;
}

void report_close(struct report *report, const char *label, const char *element)
{
    if (!(report->xml ? element : label))
        return;
    report->depth--;
    if (report->xml) {
        indent(report);
        fprintf(report->out, "</%s>\n", element);
    }
}

void report_row(struct report *report, const char *label, const char *element, const char *text)
{
    if (!(report->xml ? element : label))
        return;
    indent(report);
    if (report->xml) {
        fprintf(report->out, "<%s>", element);
        print_escaped(text, report->out);
        fprintf(report->out, "</%s>\n", element);
    } else {
        fprintf(report->out, "%-*s: %s\n", COLUMN - 4 * report->depth, label, text);
    }
}

void report_number(struct report *report, const char *label, const char *element, unsigned long long value,
                   const char *unit)
{
    char text[64];

    snprintf(text, sizeof text, "%llu%s%s", value, *unit ? " " : "", unit);
    report_row(report, label, element, text);
}

/* Whether a list with commas has the section; case does not matter. */
static bool asks_for(const char *list, const char *section)
{
    size_t length = strlen(section);

    while (list && *list) {
        size_t step = strcspn(list, ",");
        if (step == length && !strncasecmp(list, section, length))
            return true;
        list += step + (list[step] == ',');
    }
    return false;
}

static bool is_visible(const struct report *report, const struct row *row)
{
    unsigned int branch = nvml_branch();
    bool asked = row->display && asks_for(report->display, row->display);

    if (row->after >= branch || branch > row->until)
        return false;
    if (report->display ? !asked : row->asked && !report->xml)
        return false;
    return (!row->when || row->when(report->gpu->device)) && (!row->unless || !row->unless(report->gpu->device));
}

/* A function that the library does not have gives a value that there is not. */
static void print_value(struct report *report, const struct row *row)
{
    char text[512] = "", *value = text;
    nvmlReturn_t result = row->read(&report->subject, report->gpu->device, row->argument, text, sizeof text);

    if (result == NVML_ERROR_FUNCTION_NOT_FOUND)
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result != NVML_SUCCESS)
        snprintf(text, sizeof text, "%s", nvml_text(result));
    else if (row->unit)
        snprintf(text + strlen(text), sizeof text - strlen(text), " %s", row->unit);
    if (report->xml && row->bare && !strncmp(text, "0x", 2))
        value += 2;
    report->depth += report->xml ? 0 : (int)row->indent;
    report_row(report, row->label, row->element, value);
    report->depth -= report->xml ? 0 : (int)row->indent;
}

static void print_rows(struct report *report, const struct row *first, size_t count)
{
    for (const struct row *row = first; row < first + count; row += 1 + row->inner) {
        if (!is_visible(report, row))
            continue;
        if (row->part) {
            row->part(report, row);
        } else if (row->read) {
            print_value(report, row);
        } else {
            report_open(report, row->label, row->element);
            print_rows(report, row + 1, row->inner);
            report_close(report, row->label, row->element);
        }
    }
}

static void print_gpu(struct report *report)
{
    nvmlPciInfo_t pci;
    nvmlReturn_t result = NVML(nvmlDeviceGetPciInfo_v3, report->gpu->device, &pci);
    const char *bus_id = result == NVML_SUCCESS ? pci.busId : nvml_text(result);

    fprintf(report->out, report->xml ? "\t<gpu id=\"%s\">\n" : "GPU %s\n", bus_id);
    report->depth++;
    print_rows(report, rows, sizeof rows / sizeof *rows);
    report->depth--;
    fputs(report->xml ? "\t</gpu>\n\n" : "\n", report->out);
}

/* What the whole machine has. */
static void print_head(struct report *report)
{
    char date[64] = "", driver[NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE], cuda[32];
    time_t now = time(NULL);
    struct tm local;
    int number = 0;
    nvmlReturn_t result;

    if (localtime_r(&now, &local))
        strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &local);
    report_row(report, "Timestamp", "timestamp", date);
    result = NVML(nvmlSystemGetDriverVersion, driver, sizeof driver);
    report_row(report, "Driver Version", "driver_version", result == NVML_SUCCESS ? driver : nvml_text(result));
    result = NVML(nvmlSystemGetCudaDriverVersion_v2, &number);
    snprintf(cuda, sizeof cuda, "%d.%d", number / 1000, number % 1000 / 10);
    report_row(report, "CUDA Version", "cuda_version", result == NVML_SUCCESS ? cuda : nvml_text(result));
    if (!report->xml)
        fputc('\n', report->out);
}

/* Enclosures of the S class, which no driver of today serves. */
static void print_units(struct report *report)
{
    unsigned int count = 0;

    NVML(nvmlUnitGetCount, &count);
    report_row(report, "HIC Info", NULL, "N/A");
    report_open(report, NULL, "hic_info");
    report_close(report, NULL, "hic_info");
    report_number(report, "Attached Units", "attached_units", count, "");
    if (!report->xml)
        fputc('\n', report->out);
}

static void print_gpus(struct report *report)
{
    const struct gpus *gpus = report->subject.gpus;

    report_number(report, "Attached GPUs", "attached_gpus", gpus->attached, "");
    for (size_t i = 0; i < gpus->count; i++) {
        report->gpu = &gpus->items[i];
        print_gpu(report);
    }
}

void print_report(const struct gpus *gpus, const struct options *options, FILE *out)
{
    struct report report = {.out = out, .xml = options->xml, .display = options->display, .subject = {.gpus = gpus}};

    if (report.xml)
        fprintf(out, "<?xml version=\"1.0\" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM \"nvsmi_%s_v%d.dtd\">\n",
                options->unit ? "unit" : "device", nvml_branch() < 530 ? 11 : 12);
    else
        fputs("\n==============NVSMI LOG==============\n\n", out);
    report_open(&report, NULL, "nvidia_smi_log");
    print_head(&report);
    if (options->unit)
        print_units(&report);
    else
        print_gpus(&report);
    report_close(&report, NULL, "nvidia_smi_log");
}

/* Whether every section of -d is one; "RESET_STATUS" is none before the driver that has such a row. */
bool are_sections(const char *list)
{
    unsigned int branch = nvml_branch();

    while (*list) {
        size_t length = strcspn(list, ",");
        bool known = !length;
        for (size_t i = 0; i < sizeof rows / sizeof *rows && !known; i++)
            known = rows[i].display && strlen(rows[i].display) == length && rows[i].after < branch &&
                    branch <= rows[i].until && !strncasecmp(rows[i].display, list, length);
        if (!known)
            return false;
        list += length + (list[length] == ',');
    }
    return true;
}
