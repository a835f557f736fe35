/* The MIG devices of a GPU in nvidia-smi -q. */
#include "report.h"
#include "table.h"

static void print_attributes(struct report *report, nvmlDevice_t device)
{
    nvmlDeviceAttributes_t has = {0};

    if (NVML(nvmlDeviceGetAttributes_v2, device, &has) != NVML_SUCCESS)
        return;
    report_open(report, "Device Attributes", "device_attributes");
    report_open(report, "Shared", "shared");
    report_number(report, "Multiprocessor count", "multiprocessor_count", has.multiprocessorCount, "");
    report_number(report, "Copy Engine count", "copy_engine_count", has.sharedCopyEngineCount, "");
    report_number(report, "Encoder count", "encoder_count", has.sharedEncoderCount, "");
    report_number(report, "Decoder count", "decoder_count", has.sharedDecoderCount, "");
    report_number(report, "OFA count", "ofa_count", has.sharedOfaCount, "");
    report_number(report, "JPG count", "jpg_count", has.sharedJpegCount, "");
    report_close(report, "Shared", "shared");
    report_close(report, "Device Attributes", "device_attributes");
}

static void print_value(struct report *report, const char *label, const char *element, reader *read,
                        nvmlDevice_t device, int argument, const char *unit)
{
    char value[64] = "", text[96];
    nvmlReturn_t result = read(&report->subject, device, argument, value, sizeof value);

    snprintf(text, sizeof text, "%s%s", value, unit);
    report_row(report, label, element, result == NVML_SUCCESS ? text : nvml_text(result));
}

static void print_errors(struct report *report, nvmlDevice_t device)
{
    report_open(report, "ECC Errors", "ecc_error_count");
    report_open(report, "Volatile", "volatile_count");
    print_value(report, "SRAM Uncorrectable", "sram_uncorrectable", special_ecc_location, device,
                ECC(NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC, NVML_MEMORY_LOCATION_SRAM), "");
    report_close(report, "Volatile", "volatile_count");
    report_close(report, "ECC Errors", "ecc_error_count");
}

static void print_memory(struct report *report, nvmlDevice_t device)
{
    report_open(report, "FB Memory Usage", "fb_memory_usage");
    print_value(report, "Total", "total", special_memory, device, MEMORY_TOTAL, " MiB");
    if (nvml_branch() >= 510)
        print_value(report, "Reserved", "reserved", special_memory, device, MEMORY_RESERVED, " MiB");
    print_value(report, "Used", "used", special_memory, device, MEMORY_USED, " MiB");
    print_value(report, "Free", "free", special_memory, device, MEMORY_FREE, " MiB");
    report_close(report, "FB Memory Usage", "fb_memory_usage");
    report_open(report, "BAR1 Memory", "bar1_memory_usage");
    print_value(report, "Total", "total", special_bar1_memory, device, MEMORY_TOTAL, " MiB");
    print_value(report, "Used", "used", special_bar1_memory, device, MEMORY_USED, " MiB");
    print_value(report, "Free", "free", special_bar1_memory, device, MEMORY_FREE, " MiB");
    report_close(report, "BAR1 Memory", "bar1_memory_usage");
}

static void print_device(struct report *report, nvmlDevice_t device, unsigned int index)
{
    unsigned int instance = 0, compute = 0;

    if (NVML(nvmlDeviceGetGpuInstanceId, device, &instance) != NVML_SUCCESS ||
        NVML(nvmlDeviceGetComputeInstanceId, device, &compute) != NVML_SUCCESS)
        return;
    report_open(report, "MIG Device", "mig_device");
    report_number(report, "Index", "index", index, "");
    report_number(report, "GPU Instance ID", "gpu_instance_id", instance, "");
    report_number(report, "Compute Instance ID", "compute_instance_id", compute, "");
    print_attributes(report, device);
    print_errors(report, device);
    print_memory(report, device);
    report_close(report, "MIG Device", "mig_device");
}

/* The elements of the devices stand as far left as the one around them. */
void part_mig_devices(struct report *report, const struct row *row)
{
    unsigned int count = 0;
    bool found = false;
    nvmlDevice_t device;

    (void)row;
    report_open(report, NULL, "mig_devices");
    report->depth -= report->xml;
    if (NVML(nvmlDeviceGetMaxMigDeviceCount, report->gpu->device, &count) != NVML_SUCCESS)
        count = 0;
    for (unsigned int index = 0; index < count; index++)
        if (NVML(nvmlDeviceGetMigDeviceHandleByIndex, report->gpu->device, index, &device) == NVML_SUCCESS) {
            print_device(report, device, index);
            found = true;
        }
    if (report->xml && !found)
        fputs("\t\t\tNone\n", report->out);
    report->depth += report->xml;
    report_close(report, NULL, "mig_devices");
}
