/* Settings of modes, counters, power and temperature. */
#include "settings.h"

#define SAY(...) fprintf(target->out, __VA_ARGS__)

static const char *enabled(long number)
{
    return number ? "Enabled" : "Disabled";
}

/* Whether the number is one of `count`; if not, says that the `what` is invalid. */
static bool is_valid(struct target *target, const struct change *change, long count, const char *what)
{
    if (change->number >= 0 && change->number < count)
        return true;
    SAY("Invalid %s: %s\n", what, change->text);
    refuse(target, NVML_ERROR_INVALID_ARGUMENT);
    return false;
}

/* Says that it is MIG mode that keeps a GPU from `what`, if that is so. */
static void blame_mig(struct target *target, nvmlReturn_t result, const char *what, const char *value)
{
    unsigned int current = 0, pending = 0;

    if (result == NVML_ERROR_NOT_SUPPORTED &&
        NVML(nvmlDeviceGetMigMode, target->gpu->device, &current, &pending) == NVML_SUCCESS && current)
        SAY("%s%s is not supported on a MIG-enabled device.\n", what, value);
}

void set_persistence(struct target *target, const struct change *change)
{
    nvmlEnableState_t mode;
    nvmlReturn_t result;

    if (!is_valid(target, change, 2, "persistence mode"))
        return;
    if (NVML(nvmlDeviceGetPersistenceMode, target->gpu->device, &mode) == NVML_SUCCESS &&
        (long)mode == change->number) {
        SAY("Persistence mode is already %s for GPU %s.\n", enabled(change->number), target->bus_id);
        return;
    }
    result = NVML(nvmlDeviceSetPersistenceMode, target->gpu->device, (nvmlEnableState_t)change->number);
    settle(target, result, "set persistence mode");
    if (result == NVML_SUCCESS)
        SAY("%s persistence mode for GPU %s.\n", enabled(change->number), target->bus_id);
}

static void lack_ecc(struct target *target)
{
    SAY("ECC features not supported for GPU %s.\n", target->bus_id);
    warn(target);
}

void set_ecc(struct target *target, const struct change *change)
{
    nvmlEnableState_t current, pending;
    nvmlReturn_t result;

    if (!is_valid(target, change, 2, "ECC configuration code"))
        return;
    result = NVML(nvmlDeviceGetEccMode, target->gpu->device, &current, &pending);
    if (result == NVML_ERROR_NOT_SUPPORTED) {
        lack_ecc(target);
        return;
    }
    if (result == NVML_SUCCESS && (long)pending == change->number) {
        SAY("ECC support is already %s for GPU %s.\n", enabled(change->number), target->bus_id);
        return;
    }
    result = NVML(nvmlDeviceSetEccMode, target->gpu->device, (nvmlEnableState_t)change->number);
    settle(target, result, "set ECC config");
    if (result != NVML_SUCCESS)
        return;
    SAY("%s ECC support for GPU %s.\n", enabled(change->number), target->bus_id);
    target->needs_reboot = true;
}

void clear_ecc(struct target *target, const struct change *change)
{
    nvmlReturn_t result;

    if (!is_valid(target, change, 2, "ECC type"))
        return;
    result = NVML(nvmlDeviceClearEccErrorCounts, target->gpu->device, (nvmlEccCounterType_t)change->number);
    blame_mig(target, result, "Clearing ECC errors", "");
    if (result == NVML_ERROR_NOT_SUPPORTED) {
        lack_ecc(target);
        return;
    }
    settle(target, result, "clear ECC errors");
    if (result == NVML_SUCCESS)
        SAY("Reset %s ECC errors to zero for GPU %s.\n", change->number ? "aggregate" : "volatile", target->bus_id);
}

void set_compute_mode(struct target *target, const struct change *change)
{
    nvmlComputeMode_t mode;
    nvmlReturn_t result;

    if (!is_valid(target, change, NVML_COMPUTEMODE_COUNT, "compute mode"))
        return;
    if (change->number == NVML_COMPUTEMODE_EXCLUSIVE_THREAD) {
        SAY("Exclusive_Thread was deprecated! Use value 3:Exclusive_Process instead.\n");
        warn(target);
        return;
    }
    if (NVML(nvmlDeviceGetComputeMode, target->gpu->device, &mode) == NVML_SUCCESS && (long)mode == change->number) {
        SAY("Compute mode is already set to %s for GPU %s.\n", change->setting->names[mode], target->bus_id);
        return;
    }
    result = NVML(nvmlDeviceSetComputeMode, target->gpu->device, (nvmlComputeMode_t)change->number);
    blame_mig(target, result, "Setting compute mode to ", change->setting->names[change->number]);
    settle(target, result, "set the compute mode");
    if (result == NVML_SUCCESS)
        SAY("Set compute mode to %s for GPU %s.\n", change->setting->names[change->number], target->bus_id);
}

void set_operation_mode(struct target *target, const struct change *change)
{
    nvmlGpuOperationMode_t current, pending;
    nvmlReturn_t result = NVML(nvmlDeviceGetGpuOperationMode, target->gpu->device, &current, &pending);

    if (result == NVML_ERROR_NOT_SUPPORTED) {
        SAY("GOM mode cannot be changed on GPU %s.\n", target->bus_id);
        warn(target);
        return;
    }
    settle(target, NVML(nvmlDeviceSetGpuOperationMode, target->gpu->device, (nvmlGpuOperationMode_t)change->number),
           "set GOM mode");
}

void set_accounting(struct target *target, const struct change *change)
{
    nvmlEnableState_t mode;
    nvmlReturn_t result;

    if (!is_valid(target, change, 2, "Accounting Mode"))
        return;
    if (NVML(nvmlDeviceGetAccountingMode, target->gpu->device, &mode) == NVML_SUCCESS &&
        (long)mode == change->number) {
        SAY("Accounting Mode is already %s for GPU %s.\n", enabled(change->number), target->bus_id);
        return;
    }
    result = NVML(nvmlDeviceSetAccountingMode, target->gpu->device, (nvmlEnableState_t)change->number);
    blame_mig(target, result, "Setting accounting mode to ", enabled(change->number));
    settle(target, result, "set Accounting Mode");
    target->fleeting = result == NVML_SUCCESS && change->number;
    if (result == NVML_SUCCESS)
        SAY("%s Accounting Mode for GPU %s.\n", enabled(change->number), target->bus_id);
}

void clear_accounting(struct target *target, const struct change *change)
{
    nvmlReturn_t result = NVML(nvmlDeviceClearAccountingPids, target->gpu->device);

    (void)change;
    settle(target, result, "clear Accounted PIDs");
    if (result == NVML_SUCCESS)
        SAY("Cleared Accounted PIDs for GPU %s.\n", target->bus_id);
}

/* The mode waits for a reset that could not be done at once. */
static void report_pending_mig(struct target *target, const struct change *change, nvmlReturn_t reason)
{
    SAY("Warning: MIG mode is in pending %s state for GPU %s:%s\n", change->number ? "enable" : "disable",
        target->bus_id, setting_text(reason));
    if (reason == NVML_ERROR_IN_USE)
        SAY("%s is currently being used by one or more other processes (e.g. CUDA application or a monitoring "
            "application such as another instance of nvidia-smi). Please first kill all processes using the device and "
            "retry the command or reboot the system to make MIG mode effective.\n", target->bus_id);
    else
        SAY("Reboot the system or try nvidia-smi --gpu-reset to make MIG mode effective on GPU %s\n", target->bus_id);
}

void set_mig(struct target *target, const struct change *change)
{
    nvmlReturn_t reason = NVML_SUCCESS, result;

    if (!is_valid(target, change, 2, "MIG Mode"))
        return;
    result = NVML(nvmlDeviceSetMigMode, target->gpu->device, (unsigned int)change->number, &reason);
    settle(target, result, change->number ? "enable MIG Mode" : "disable MIG Mode");
    target->fleeting = result == NVML_SUCCESS;
    if (result == NVML_SUCCESS && reason != NVML_SUCCESS)
        report_pending_mig(target, change, reason);
    else if (result == NVML_SUCCESS)
        SAY("%s MIG Mode for GPU %s\n", enabled(change->number), target->bus_id);
}

void set_target_temperature(struct target *target, const struct change *change)
{
    unsigned int least, most;
    int celsius = (int)change->number;

    if (NVML(nvmlDeviceGetTemperatureThreshold, target->gpu->device, NVML_TEMPERATURE_THRESHOLD_ACOUSTIC_MIN,
             &least) != NVML_SUCCESS ||
        NVML(nvmlDeviceGetTemperatureThreshold, target->gpu->device, NVML_TEMPERATURE_THRESHOLD_ACOUSTIC_MAX,
             &most) != NVML_SUCCESS) {
        SAY("GPU Target Temperature Threshold not supported for GPU %s.\n", target->bus_id);
        warn(target);
        return;
    }
    if (celsius < (int)least || celsius > (int)most) {
        SAY("Invalid input. GPU Target Temperature should be in range %u - %u for GPU %s\n", least, most,
            target->bus_id);
        refuse(target, NVML_ERROR_INVALID_ARGUMENT);
        return;
    }
    settle(target, NVML(nvmlDeviceSetTemperatureThreshold, target->gpu->device,
                        NVML_TEMPERATURE_THRESHOLD_ACOUSTIC_CURR, &celsius),
           "set requested Target Temperature");
}

/* Drivers before 545 have no nvmlDeviceSetPowerManagementLimit_v2, and no scope either. */
static nvmlReturn_t write_power_limit(nvmlDevice_t device, unsigned int milliwatt, long scope)
{
    nvmlPowerValue_v2_t value = {.version = nvmlPowerValue_v2, .powerScope = (nvmlPowerScopeType_t)scope,
                                 .powerValueMw = milliwatt};
    nvmlReturn_t result = NVML(nvmlDeviceSetPowerManagementLimit_v2, device, &value);

    return result == NVML_ERROR_FUNCTION_NOT_FOUND && !scope
               ? NVML(nvmlDeviceSetPowerManagementLimit, device, milliwatt)
               : result;
}

void set_power_limit(struct target *target, const struct change *change)
{
    unsigned int least = 0, most = ~0u, before = 0, milliwatt = (unsigned int)change->number;
    nvmlDevice_t device = target->gpu->device;
    nvmlReturn_t result;

    if (change->scope > NVML_POWER_SCOPE_MODULE) {
        SAY("Failed to set power management limit. Invalid device type.\n");
        refuse(target, NVML_ERROR_INVALID_ARGUMENT);
        return;
    }
    if (NVML(nvmlDeviceGetPowerManagementLimitConstraints, device, &least, &most) == NVML_SUCCESS &&
        (milliwatt < least || milliwatt > most)) {
        SAY("Provided power limit %.2f W is not a valid power limit which should be between %.2f W and %.2f W for GPU "
            "%s\n", milliwatt / 1000.0, least / 1000.0, most / 1000.0, target->bus_id);
        refuse(target, NVML_ERROR_INVALID_ARGUMENT);
        return;
    }
    NVML(nvmlDeviceGetPowerManagementLimit, device, &before);
    result = write_power_limit(device, milliwatt, change->scope);
    if (result == NVML_SUCCESS) {
        SAY("Power limit for GPU %s was set to %.2f W from %.2f W.\n", target->bus_id, milliwatt / 1000.0,
            before / 1000.0);
        target->fleeting = true;
    } else if (result == NVML_ERROR_NOT_SUPPORTED) {
        SAY("Changing power management limit is not supported for GPU: %s.\n", target->bus_id);
        warn(target);
    } else {
        SAY("Failed to set power management limit for GPU %s: %s\n", target->bus_id, setting_text(result));
        refuse(target, nvml_exit_code(result));
    }
}

void set_virtualization(struct target *target, const struct change *change)
{
    nvmlReturn_t result = NVML(nvmlDeviceSetVirtualizationMode, target->gpu->device,
                               (nvmlGpuVirtualizationMode_t)change->number);

    if (result == NVML_ERROR_NOT_SUPPORTED) {
        SAY("Setting virtualization mode is not supported for GPU %s.\n", target->bus_id);
        warn(target);
    } else if (result == NVML_ERROR_INVALID_ARGUMENT) {
        SAY("Either the GPU id %s or the virtualization mode %ld is invalid.\n", target->bus_id, change->number);
        refuse(target, nvml_exit_code(result));
    } else {
        settle(target, result, "set virtualization mode");
    }
}

static void settle_boost(struct target *target, nvmlReturn_t result, const char *action, const char *ability)
{
    if (result == NVML_ERROR_NOT_SUPPORTED) {
        SAY("%s is not supported for GPU: %s.\n", ability, target->bus_id);
        warn(target);
    } else if (result != NVML_SUCCESS) {
        SAY("Failed to %s %s: %s\n", action, target->bus_id, setting_text(result));
        refuse(target, nvml_exit_code(result));
    }
}

void set_auto_boost(struct target *target, const struct change *change)
{
    settle_boost(target,
                 NVML(nvmlDeviceSetDefaultAutoBoostedClocksEnabled, target->gpu->device,
                      change->number ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED, 0),
                 change->number ? "ENABLE default auto boosted clocks for GPU"
                                : "DISABLE default auto boosted clocks for GPU",
                 "Enabling/disabling default auto boosted clocks");
}

void set_auto_boost_permission(struct target *target, const struct change *change)
{
    settle_boost(target,
                 NVML(nvmlDeviceSetAPIRestriction, target->gpu->device, NVML_RESTRICTED_API_SET_AUTO_BOOSTED_CLOCKS,
                      change->number ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED),
                 "change auto boosted clocks permissions for GPU ", "Changing auto boosted clocks permissions");
}

void set_driver_model(struct target *target, const struct change *change)
{
    (void)change;
    SAY("Changing driver models is not supported for GPU %s on this platform.\n", target->bus_id);
    warn(target);
}

/* NVML has no public call for this, nor for the next. */
void set_cuda_clocks(struct target *target, const struct change *change)
{
    if (change->number != 0 && change->number != 1) {
        SAY("Input should be 0 or 1. See nvidia-smi -h.\n");
        refuse(target, NVML_ERROR_INVALID_ARGUMENT);
        return;
    }
    SAY("Overriding CUDA clock limit is not supported for this device.\n");
    warn(target);
}

void reset_gpu(struct target *target, const struct change *change)
{
    (void)change;
    SAY("GPU Reset couldn't run because it could not be determined if GPU %s is the primary GPU.\n", target->bus_id);
    target->silent = true;
    refuse(target, NVML_ERROR_NOT_SUPPORTED);
}
