/* What the parts of the table share. */
#pragma once

#include "gpus.h"

/* The widths and headings that changed between driver branches, in characters. */
struct layout {
    unsigned int from;     /* first driver branch that prints this */
    int width;             /* between the outer edges */
    int blank;             /* length of the blank line before the processes */
    int smi, driver;       /* versions in the first line, with the blank after them */
    int name, name_end;    /* product name; blanks after the persistence mode */
    int usage, limit;      /* power */
    int bus;               /* PCI bus id, with the blanks before it */
    int used, total;       /* memory */
    int mig_memory;        /* the memory column of a MIG device */
    int mig_used, mig_bar1; /* where the used memory ends in it, in the first and in the second line */
    int process;           /* name of a process */
    int process_memory, pid;
    const char *names, *values, *shared, *engines; /* headings */
};

void print_rule(FILE *out, char left, char fill, char right, const int *widths);
void print_full_rule(const struct layout *layout, FILE *out, char edge, char fill);
void print_mig(const struct layout *layout, const struct gpus *gpus, FILE *out);
void print_processes(const struct layout *layout, const struct gpus *gpus, FILE *out);

unsigned long long mib(unsigned long long bytes);
nvmlReturn_t read_memory_use(nvmlDevice_t device, unsigned long long *used, unsigned long long *total);
