/* The unnamed functions that NVIDIA's nvidia-smi asks its library for.  Their numbers and arguments were observed of
 * nvidia-smi 535 to 555 and are used with these branches alone; since 560 two of the values have public functions. */
#include "internal_table.h"

#include <stdint.h>

enum { GPU_PART_NUMBER = 231, TEMPERATURE_MARGIN = 240, ADDRESSING_MODE = 242, PART_NUMBER_SIZE = 80 };
enum { OBSERVED_FROM = 535, OBSERVED_UNTIL = 555 };

typedef void function(void);

/* The function of a number, NULL where it is not known to be what we mean.  The table begins with its size in bytes. */
static function *find_function(unsigned int number)
{
    static const unsigned char guid[16] = {0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
                                           0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4};
    nvmlReturn_t (*get_table)(const void **table, const void *guid) =
        (nvmlReturn_t(*)(const void **, const void *))nvml_symbol("nvmlInternalGetExportTable");
    const void *table = NULL;
    unsigned int branch = nvml_branch();

    if (branch < OBSERVED_FROM || branch > OBSERVED_UNTIL || !get_table || get_table(&table, guid) != NVML_SUCCESS ||
        !table || *(const uintptr_t *)table <= number * sizeof(void *))
        return NULL;
    return ((function *const *)table)[number];
}

nvmlReturn_t read_gpu_part_number(nvmlDevice_t device, char *text, size_t size)
{
    nvmlReturn_t (*read)(nvmlDevice_t device, char *text, unsigned int size) =
        (nvmlReturn_t(*)(nvmlDevice_t, char *, unsigned int))find_function(GPU_PART_NUMBER);

    return read && size >= PART_NUMBER_SIZE ? read(device, text, PART_NUMBER_SIZE) : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t read_temperature_margin(nvmlDevice_t device, int *celsius)
{
    nvmlMarginTemperature_t margin = {.version = nvmlMarginTemperature_v1};
    nvmlReturn_t result = NVML(nvmlDeviceGetMarginTemperature, device, &margin);
    nvmlReturn_t (*read)(nvmlDevice_t device, int *celsius);

    *celsius = margin.marginTemperature;
    if (result != NVML_ERROR_FUNCTION_NOT_FOUND)
        return result;
    read = (nvmlReturn_t(*)(nvmlDevice_t, int *))find_function(TEMPERATURE_MARGIN);
    return read ? read(device, celsius) : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t read_addressing_mode(nvmlDevice_t device, unsigned int *mode)
{
    nvmlDeviceAddressingMode_t found = {.version = nvmlDeviceAddressingMode_v1};
    nvmlReturn_t result = NVML(nvmlDeviceGetAddressingMode, device, &found);
    nvmlReturn_t (*read)(nvmlDevice_t device, unsigned int *mode);

    *mode = found.value;
    if (result != NVML_ERROR_FUNCTION_NOT_FOUND)
        return result;
    read = (nvmlReturn_t(*)(nvmlDevice_t, unsigned int *))find_function(ADDRESSING_MODE);
    return read ? read(device, mode) : NVML_ERROR_NOT_SUPPORTED;
}
