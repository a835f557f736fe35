/* The command line of nvidia-smi, as far as it is not that of a subcommand. */
#pragma once

#include "entries.h"
#include "settings.h"

enum mode { MODE_TABLE, MODE_LIST, MODE_REPORT, MODE_QUERY, MODE_CHANGE, MODE_EXCLUDED, MODE_HELP, MODE_HELP_QUERY,
            MODE_VERSION };

struct options {
    enum mode mode;
    enum query query;    /* which --query-… or --help-query-… */
    struct change change; /* for MODE_CHANGE */
    const char *ids;     /* -i: indices, UUIDs, bus ids, serial numbers, separated by commas; NULL for all GPUs */
    const char *file;    /* -f: where the result goes; NULL for stdout */
    const char *fields;  /* --query-… */
    const char *format;  /* --format; NULL if not given */
    const char *display; /* -d: sections of the report; NULL for all */
    bool xml;            /* -x */
    bool unit;           /* -u: report units instead of GPUs */
    long period;         /* -l, -lms: milliseconds between two results; 0 for one result only */
    bool noheader, nounits;
    int error;           /* exit status of a wrong command line, 0 for a good one */
    bool on_stderr;      /* where the message goes: what the genuine tool does not say is for people */
    char message[512];   /* why it is wrong, with its line ends */
};

extern const char *const query_switches[QUERIES];

struct options parse_options(int argc, char **argv);
void print_help(void);
