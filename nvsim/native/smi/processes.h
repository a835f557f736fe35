/* The processes of a GPU: each pid of an instance once, with the kinds of its contexts. */
#pragma once

#include "gpus.h"

#define PROCESSES 1000 /* at most, on one GPU */

struct process {
    nvmlProcessInfo_t entry;
    unsigned int kinds; /* bits: compute, MPS, graphics */
};

struct processes {
    struct process items[PROCESSES];
    size_t count;
};

void read_processes(struct processes *processes, nvmlDevice_t device);
const char *process_type(const struct process *process);
void process_name(unsigned int pid, char *text, size_t size);
bool has_known_memory(const struct process *process);
