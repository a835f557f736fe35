/* Values that a driver branch had no public function for yet. */
#pragma once

#include "nvml_client.h"

nvmlReturn_t read_gpu_part_number(nvmlDevice_t device, char *text, size_t size);
nvmlReturn_t read_temperature_margin(nvmlDevice_t device, int *celsius);
nvmlReturn_t read_addressing_mode(nvmlDevice_t device, unsigned int *mode);
