/* What dmon and pmon share: lines that scroll, one for each GPU or process and sample. */
#pragma once

#include "gpus.h"
#include "switches.h"

struct monitor {
    struct gpus gpus;
    FILE *out;
    long delay, count;   /* seconds between samples; samples, 0 for no end */
    const char *metrics; /* letters */
    bool date, time;
    bool csv, noheader, nounit;
    int width;           /* of a column */
    long lines;          /* since the last heading */
};

enum { MONITORED = 16, HEADING_EVERY = 44 }; /* GPUs at most; lines between two headings */

/* A line under way. */
struct line {
    struct monitor *monitor;
    bool begun;
};

int start_monitor(struct monitor *monitor, struct switches *switches, int argc, char **argv, long longest,
                  const char *name);
void stop_monitor(struct monitor *monitor);
bool needs_heading(struct monitor *monitor);
void begin_heading(struct line *line, bool units);
void begin_line(struct line *line, unsigned int gpu);
void add_cell(struct line *line, int width, const char *text);
void end_line(struct line *line);
bool pause_monitor(const struct monitor *monitor, long done);

/* The switches of both, for the table of a subcommand. */
enum { MONITOR_HELP, MONITOR_ID, MONITOR_DELAY, MONITOR_COUNT, MONITOR_SELECT, MONITOR_OPTIONS, MONITOR_FILE,
       MONITOR_FORMAT, MONITOR_SWITCHES };
