/* The GPUs that a command is about. */
#pragma once

#include "nvml_client.h"

#include <stdio.h>

struct gpu {
    nvmlDevice_t device;
    unsigned int index;
};

struct gpus {
    struct gpu *items;
    size_t count;
    unsigned int attached; /* how many NVML counts, chosen or not */
};

int find_gpus(struct gpus *gpus, const char *ids, FILE *out);
int report_no_handle(nvmlReturn_t result, unsigned int index, const char *noun, FILE *out);
void bus_id_of_index(unsigned int index, char *text, size_t size);
