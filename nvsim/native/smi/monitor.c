#include "monitor.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct switches known[MONITOR_SWITCHES] = {
    [MONITOR_HELP] = {"-h", "--help", TAKES_NOTHING, 0, 0, 0},
    [MONITOR_ID] = {"-i", "--id", TAKES_TEXT, 0, 0, 0},
    [MONITOR_DELAY] = {"-d", "--delay", TAKES_TEXT, 0, 0, 0},
    [MONITOR_COUNT] = {"-c", "--count", TAKES_TEXT, 0, 0, 0},
    [MONITOR_SELECT] = {"-s", "--select", TAKES_TEXT, 0, 0, 0},
    [MONITOR_OPTIONS] = {"-o", "--options", TAKES_TEXT, 0, 0, 0},
    [MONITOR_FILE] = {"-f", "--filename", TAKES_TEXT, 0, 0, 0},
    [MONITOR_FORMAT] = {NULL, "--format", TAKES_TEXT, 0, 0, 0},
};

static void print_monitor_help(const char *name, bool csv)
{
    printf("nvidia-smi %s: %s, line by line\n\n", name, csv ? "the GPUs" : "the processes on the GPUs");
    printf("    -s, --select=LETTERS  %s\n",
           csv ? "p power and temperature, u utilization, c clocks, v violations, m memory,\n"
                 "                          e errors, t PCIe traffic; without it puc"
               : "u utilization, m memory; without it u");
    fputs("    -d, --delay=SECONDS   between samples; without it 1\n"
          "    -c, --count=N         stop after N samples\n"
          "    -o, --options=D|T|DT  with date, with time\n"
          "    -i, --id=ID,…         only these GPUs\n"
          "    -f, --filename=FILE\n",
          stdout);
    if (csv)
        fputs("    --format=csv,nounit,noheader\n", stdout);
    fputs("    -h, --help\n", stdout);
}

/* Why the command line cannot be followed; 255. */
static int refuse(const char *why)
{
    printf("%s\nFailed to process command line \n\n", why);
    return 255;
}

/* A number from `least` to `most` without anything after it. */
static bool read_number(const char *text, long least, long most, long *number)
{
    char *end;
    *number = strtol(text, &end, 0);
    return *text && !*end && *number >= least && *number <= most;
}

static bool read_format(struct monitor *monitor, const char *text)
{
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, ",");
        bool csv = length == 3 && !strncmp(at, "csv", 3), unit = length == 6 && !strncmp(at, "nounit", 6);
        bool header = length == 8 && !strncmp(at, "noheader", 8);
        if (!csv && !unit && !header) {
            printf("%.*s is not a recognized format option\n", (int)length, at);
            return false;
        }
        monitor->csv |= csv, monitor->nounit |= unit, monitor->noheader |= header;
        at += length + (at[length] == ',');
    }
    return true;
}

/* Fills in what the switches ask for.  The exit status, -1 to go on; a wrong number of samples or seconds, and a switch
 * that is none, print the help and are no failure. */
static int read_switches(struct monitor *monitor, const struct switches *switches, long longest, const char *name)
{
    const char *options = switches[MONITOR_OPTIONS].text, *format = switches[MONITOR_FORMAT].text;
    const char *delay = switches[MONITOR_DELAY].text;
    bool helped = false;

    if (switches[MONITOR_COUNT].text && !read_number(switches[MONITOR_COUNT].text, 1, 0x7fffffff, &monitor->count)) {
        puts("Invalid value for number of samples to be displayed\n");
        helped = true;
    } else if (delay && !read_number(delay, 1, longest, &monitor->delay)) {
        printf("Collection delay/interval should be between 1 second and %ld seconds\n\n", longest);
        helped = true;
    }
    if (helped || switches[MONITOR_HELP].given) {
        print_monitor_help(name, longest > 10);
        return 0;
    }
    if (options && strspn(options, "DT") != strlen(options))
        return refuse("Error in parsing options");
    monitor->date = options && strchr(options, 'D');
    monitor->time = options && strchr(options, 'T');
    if (format && !read_format(monitor, format))
        return refuse("Error parsing format options");
    return -1;
}

/* Reads the command line and finds the GPUs; -1 to go on, else the exit status.  stop_monitor() afterwards in any
 * case. */
int start_monitor(struct monitor *monitor, struct switches *switches, int argc, char **argv, long longest,
                  const char *name)
{
    size_t count = MONITOR_FORMAT + (longest > 10);
    int status;

    memcpy(switches, known, sizeof known);
    *monitor = (struct monitor){.out = stdout, .delay = 1, .width = nvml_branch() < 530 ? 6 : 7};
    if (parse_switches(switches, count, argc, argv)) {
        putchar('\n');
        print_monitor_help(name, longest > 10);
        return 0;
    }
    status = read_switches(monitor, switches, longest, name);
    if (status >= 0)
        return status;
    monitor->metrics = switches[MONITOR_SELECT].text;
    status = find_gpus(&monitor->gpus, switches[MONITOR_ID].text, stdout);
    if (status)
        return status;
    if (monitor->gpus.count > MONITORED)
        monitor->gpus.count = MONITORED;
    if (switches[MONITOR_FILE].text && !(monitor->out = fopen(switches[MONITOR_FILE].text, "we"))) {
        monitor->out = stdout;
        fputs("Failed to process command line \n\n", stdout);
        return 255;
    }
    return -1;
}

void stop_monitor(struct monitor *monitor)
{
    if (monitor->out && monitor->out != stdout)
        fclose(monitor->out);
    free(monitor->gpus.items);
}

static void add(struct line *line, const char *text, int width)
{
    FILE *out = line->monitor->out;

    if (line->monitor->csv)
        fprintf(out, "%s%s", line->begun ? ", " : "", text);
    else
        fprintf(out, "%*s", width, text);
    line->begun = true;
}

/* Whether a heading comes before the next line: the first one, and again after so many lines; CSV has only the
 * first. */
bool needs_heading(struct monitor *monitor)
{
    bool needed = monitor->lines == 0 || (monitor->lines == HEADING_EVERY && !monitor->csv);

    if (needed)
        monitor->lines = 0;
    monitor->lines++;
    return needed;
}

/* The width of a date or a time. */
static int stamp_width(void)
{
    return nvml_branch() < 550 ? 11 : 12;
}

void begin_heading(struct line *line, bool units)
{
    const struct monitor *monitor = line->monitor;
    int stamp = stamp_width();

    line->begun = false;
    fputc('#', monitor->out);
    if (monitor->date)
        add(line, units ? "YYYYMMDD" : "Date", -stamp);
    if (monitor->time)
        add(line, units ? "HH:MM:SS" : "Time", -stamp);
    add(line, units ? "Idx" : "gpu", 4);
}

void begin_line(struct line *line, unsigned int gpu)
{
    const struct monitor *monitor = line->monitor;
    time_t now = time(NULL);
    struct tm local = {0};
    int stamp = stamp_width();
    char text[32];

    line->begun = false;
    localtime_r(&now, &local);
    fputc(' ', monitor->out);
    if (monitor->date && strftime(text, sizeof text, "%Y%m%d", &local))
        add(line, text, -stamp);
    if (monitor->time && strftime(text, sizeof text, "%H:%M:%S", &local))
        add(line, text, -stamp);
    snprintf(text, sizeof text, "%u", gpu);
    add(line, text, 4);
}

void add_cell(struct line *line, int width, const char *text)
{
    add(line, text, width);
}

/* Branches since 535 end a line of columns with a blank. */
void end_line(struct line *line)
{
    const struct monitor *monitor = line->monitor;
    fputs(monitor->csv || monitor->width == 6 ? "\n" : " \n", monitor->out);
}

/* Waits for the next sample; false if there is none, or the result cannot be written. */
bool pause_monitor(const struct monitor *monitor, long done)
{
    struct timespec left = {.tv_sec = monitor->delay};

    if (fflush(monitor->out) || done == monitor->count)
        return false;
    nanosleep(&left, NULL);
    return true;
}
