/* Command lines of subcommands: one table of switches for each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum takes { TAKES_NOTHING, TAKES_TEXT, TAKES_NUMBER, MAY_TAKE_TEXT };

struct switches {
    const char *letter, *word; /* NULL: there is only the other */
    enum takes takes;
    bool given;
    const char *text;          /* NULL unless a value was given */
    long number;
};

int parse_switches(struct switches *switches, size_t count, int argc, char **argv);
bool any_given(const struct switches *switches, size_t count);
