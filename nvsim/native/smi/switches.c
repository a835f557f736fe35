#include "switches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool begins(const char *token, const char *name)
{
    size_t length = name ? strlen(name) : 0;
    return name && !strncmp(token, name, length) && (!token[length] || token[length] == '=');
}

static struct switches *find_switch(struct switches *switches, size_t count, const char *token)
{
    for (size_t i = 0; i < count; i++)
        if (begins(token, switches[i].letter) || begins(token, switches[i].word))
            return &switches[i];
    return NULL;
}

/* Fills in the table from what follows the subcommand.  Messages and statuses are those of nvidia-smi 550.163.01. */
int parse_switches(struct switches *switches, size_t count, int argc, char **argv)
{
    for (int at = 2; at < argc; at++) {
        const char *token = argv[at], *equals = strchr(token, '=');
        struct switches *found = find_switch(switches, count, token);
        char *end;
        if (!found || (equals && found->takes == TAKES_NOTHING)) {
            printf("Option \"%s\" is not recognized.\n", token);
            return 2;
        }
        found->given = true;
        if (found->takes == TAKES_NOTHING)
            continue;
        if (equals)
            found->text = equals + 1;
        else if (at + 1 < argc && *argv[at + 1] != '-')
            found->text = argv[++at];
        if (!found->text && found->takes != MAY_TAKE_TEXT) {
            printf("Option \"%s\" is missing its value.\n", token);
            return 2;
        }
        if (found->takes != TAKES_NUMBER)
            continue;
        found->number = strtol(found->text, &end, 0);
        if (!*found->text || *end) {
            printf("Option \"%s\" is invalid for \"%s\".\n", found->text, token);
            return 2;
        }
    }
    return 0;
}

bool any_given(const struct switches *switches, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (switches[i].given)
            return true;
    return false;
}
