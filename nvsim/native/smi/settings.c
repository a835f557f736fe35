#include "settings.h"

#include <stdlib.h>
#include <string.h>

#define SWITCHED {"DISABLED", "ENABLED"}

/* Names, messages and statuses of all settings were observed of nvidia-smi 550.163.01. */
static const struct setting settings[] = {
    {"-pm", "--persistence-mode", VALUE_NUMBER, SWITCHED, set_persistence},
    {"-e", "--ecc-config", VALUE_NUMBER, SWITCHED, set_ecc},
    {"-p", "--reset-ecc-errors", VALUE_NUMBER, {"VOLATILE", "AGGREGATE"}, clear_ecc},
    {"-c", "--compute-mode", VALUE_NUMBER, {"DEFAULT", "EXCLUSIVE_THREAD", "PROHIBITED", "EXCLUSIVE_PROCESS"},
     set_compute_mode},
    {NULL, "--gom", VALUE_NUMBER, {"ALL_ON", "COMPUTE", "LOW_DP"}, set_operation_mode},
    {"-r", "--gpu-reset", VALUE_NONE, {NULL}, reset_gpu},
    {"-vm", "--virt-mode", VALUE_NUMBER, {NULL}, set_virtualization},
    {"-lgc", "--lock-gpu-clocks", VALUE_TEXT, {NULL}, lock_gpu_clocks},
    {"-rgc", "--reset-gpu-clocks", VALUE_NONE, {NULL}, reset_gpu_clocks},
    {"-lmc", "--lock-memory-clocks", VALUE_TEXT, {NULL}, lock_memory_clocks},
    {"-rmc", "--reset-memory-clocks", VALUE_NONE, {NULL}, reset_memory_clocks},
    {"-lmcd", "--lock-memory-clocks-deferred", VALUE_NUMBER, {NULL}, lock_deferred_clocks},
    {"-rmcd", "--reset-memory-clocks-deferred", VALUE_NONE, {NULL}, reset_deferred_clocks},
    {"-ac", "--applications-clocks", VALUE_TEXT, {NULL}, set_applications_clocks},
    {"-rac", "--reset-applications-clocks", VALUE_NONE, {NULL}, reset_applications_clocks},
    {"-pl", "--power-limit", VALUE_NUMBER, {NULL}, set_power_limit},
    {"-cc", "--cuda-clocks", VALUE_NUMBER, {"RESTORE_DEFAULT", "OVERRIDE"}, set_cuda_clocks},
    {"-am", "--accounting-mode", VALUE_NUMBER, SWITCHED, set_accounting},
    {"-caa", "--clear-accounted-apps", VALUE_NONE, {NULL}, clear_accounting},
    {NULL, "--auto-boost-default", VALUE_NUMBER, SWITCHED, set_auto_boost},
    {NULL, "--auto-boost-permission", VALUE_NUMBER, {"UNRESTRICTED", "RESTRICTED"}, set_auto_boost_permission},
    {"-mig", "--multi-instance-gpu", VALUE_NUMBER, SWITCHED, set_mig},
    {"-gtt", "--gpu-target-temp", VALUE_NUMBER, {NULL}, set_target_temperature},
    {"-dm", "--driver-model", VALUE_NUMBER, {"WDDM", "TCC"}, set_driver_model},
    {"-fdm", "--force-driver-model", VALUE_NUMBER, {"WDDM", "TCC"}, set_driver_model},
};

static bool begins(const char *token, const char *name)
{
    size_t length = name ? strlen(name) : 0;
    return name && !strncmp(token, name, length) && (!token[length] || token[length] == '=');
}

/* The setting of a token of the command line, NULL if it is none. */
const struct setting *find_setting(const char *token)
{
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (begins(token, settings[i].letter) || begins(token, settings[i].word))
            return &settings[i];
    return NULL;
}

/* Whether the text is a value of the setting: fills in the number.  A power limit is in milliwatts then. */
bool read_change(struct change *change)
{
    const struct setting *setting = change->setting;
    char *end;

    if (setting->value != VALUE_NUMBER)
        return true;
    for (size_t i = 0; i < sizeof setting->names / sizeof *setting->names && setting->names[i]; i++)
        if (!strcmp(setting->names[i], change->text)) {
            change->number = (long)i;
            return true;
        }
    if (setting->apply == set_power_limit) {
        change->number = (long)(strtod(change->text, &end) * 1000);
        return end > change->text;
    }
    change->number = strtol(change->text, &end, 0);
    return *change->text && !*end;
}

/* nvidia-smi's words for a return code where it is about a change. */
const char *setting_text(nvmlReturn_t result)
{
    return result == NVML_ERROR_NOT_SUPPORTED ? "Not Supported" : nvml_text(result);
}

/* Goes on with the next GPU, unless warnings are errors: then the status is that of a GPU that cannot. */
void warn(struct target *target)
{
    target->status = NVML_ERROR_NOT_SUPPORTED;
    target->warned = true;
}

/* Stops here. */
void refuse(struct target *target, int status)
{
    target->status = status;
}

/* What is left to say of a result: "Unable to `action` …" of a failure; what a GPU cannot do is only a warning. */
void settle(struct target *target, nvmlReturn_t result, const char *action)
{
    if (result == NVML_SUCCESS)
        return;
    fprintf(target->out, "Unable to %s for GPU %s: %s\n", action, target->bus_id, setting_text(result));
    if (result == NVML_ERROR_NOT_SUPPORTED)
        warn(target);
    else
        refuse(target, nvml_exit_code(result));
}

/* Without persistence mode the driver forgets a GPU that no program uses. */
static void remind_of_persistence(const struct target *target)
{
    nvmlEnableState_t mode = NVML_FEATURE_ENABLED;

    if (NVML(nvmlDeviceGetPersistenceMode, target->gpu->device, &mode) == NVML_SUCCESS && !mode)
        fprintf(target->out, "\nWarning: persistence mode is disabled on device %s. See the Known Issues section of "
                "the nvidia-smi(1) man page for more information. Run with [--help | -h] switch to get more "
                "information on how to enable persistence mode.\n", target->bus_id);
}

int apply_change(const struct gpus *gpus, const struct change *change, FILE *out)
{
    bool needs_reboot = false;

    for (size_t i = 0; i < gpus->count; i++) {
        struct target target = {.gpu = &gpus->items[i], .out = out};
        nvmlPciInfo_t pci;
        bool known = NVML(nvmlDeviceGetPciInfo_v3, target.gpu->device, &pci) == NVML_SUCCESS;

        if (known)
            snprintf(target.bus_id, sizeof target.bus_id, "%s", pci.busId);
        else
            bus_id_of_index(target.gpu->index, target.bus_id, sizeof target.bus_id);
        change->setting->apply(&target, change);
        if (target.status && (!target.warned || change->strict)) {
            fputs(target.silent ? "" : "Terminating early due to previous errors.\n", out);
            return target.status;
        }
        if (target.fleeting)
            remind_of_persistence(&target);
        if (target.warned)
            fputs("Treating as warning and moving on.\n", out);
        needs_reboot |= target.needs_reboot;
    }
    fprintf(out, "All done.\n%s", needs_reboot ? "Reboot required.\n" : "");
    return 0;
}
