/* nvidia-smi mig.  Tables, messages and statuses are those of nvidia-smi 550.163.01. */
#include "mig.h"
#include "commands.h"
#include "settings.h"
#include "switches.h"

#include <stdlib.h>

enum { HELP, ID, INSTANCE, COMPUTE, FILL, LIST_GPU_PROFILES, LIST_GPU_PLACEMENTS, CREATE_INSTANCE, DESTROY_INSTANCE,
       LIST_INSTANCES, LIST_COMPUTE_PROFILES, LIST_COMPUTE_PLACEMENTS, CREATE_COMPUTE, DESTROY_COMPUTE, LIST_COMPUTES,
       SWITCHES };

/* The actions, in the order in which one is chosen of several. */
static const struct { int at; int (*run)(const struct mig *mig); bool any_mode; } actions[] = {
    {LIST_GPU_PROFILES, list_gpu_profiles, true}, {LIST_GPU_PLACEMENTS, list_gpu_placements, true},
    {CREATE_INSTANCE, create_instances, false},   {DESTROY_INSTANCE, destroy_instances, false},
    {LIST_INSTANCES, list_instances, false},      {LIST_COMPUTE_PROFILES, list_compute_profiles, false},
    {LIST_COMPUTE_PLACEMENTS, list_compute_placements, false},
    {CREATE_COMPUTE, create_computes, false},     {DESTROY_COMPUTE, destroy_computes, false},
    {LIST_COMPUTES, list_computes, false},
};

static void print_mig_help(void)
{
    fputs("nvidia-smi mig: Multi-Instance GPU\n\n"
          "    -lgip,  --list-gpu-instance-profiles             profiles of GPU instances, and how many are free\n"
          "    -lgipp, --list-gpu-instance-possible-placements  where they can lie: {Start}:Size\n"
          "    -cgi,   --create-gpu-instance=PROFILE[:START],…  by id or name; -C adds the default compute instance\n"
          "    -dgi,   --destroy-gpu-instance\n"
          "    -lgi,   --list-gpu-instances\n"
          "    -lcip,  --list-compute-instance-profiles\n"
          "    -lcipp, --list-compute-instance-possible-placements\n"
          "    -cci,   --create-compute-instance[=PROFILE[:START],…]  without a profile the default one\n"
          "    -dci,   --destroy-compute-instance\n"
          "    -lci,   --list-compute-instances\n"
          "    -i, --id=ID,…  -gi, --gpu-instance-id=ID,…  -ci, --compute-instance-id=ID,…\n"
          "        only these GPUs, GPU instances, compute instances\n"
          "    -C, --default-compute-instance\n"
          "    -h, --help\n",
          stdout);
}

int report_failure(nvmlReturn_t result, const char *what)
{
    if (result != NVML_SUCCESS)
        printf("Failed to %s: %s\n", what, setting_text(result));
    return nvml_exit_code(result);
}

int report_none(nvmlReturn_t result, const char *what)
{
    result = result == NVML_SUCCESS ? NVML_ERROR_NOT_FOUND : result;
    printf("No %s found: %s\n", what, setting_text(result));
    return nvml_exit_code(result);
}

void print_rule_of(int width, char fill)
{
    putchar(fill == '-' ? '+' : '|');
    for (int i = 0; i < width; i++)
        putchar(fill);
    puts(fill == '-' ? "+" : "|");
}

enum { LISTS_IN_ANY_MODE = 550 }; /* the first branch that lists profiles while MIG mode is off */

/* Leaves the GPUs that can do MIG, or with `enabled` those that are in MIG mode; false if that are none. */
static bool keep_capable(struct gpus *gpus, bool enabled, int *status)
{
    bool older = nvml_branch() < LISTS_IN_ANY_MODE;
    size_t capable = 0, kept = 0;

    for (size_t i = 0; i < gpus->count; i++) {
        unsigned int current = 0, pending = 0;
        if (NVML(nvmlDeviceGetMigMode, gpus->items[i].device, &current, &pending) != NVML_SUCCESS)
            continue;
        capable++;
        if (current || !enabled)
            gpus->items[kept++] = gpus->items[i];
    }
    gpus->count = kept;
    if (!kept)
        printf("No MIG-%s devices found.\n", capable || older ? "enabled" : "supported");
    *status = capable && !older ? 0 : NVML_ERROR_NOT_FOUND;
    return kept;
}

int run_mig(int argc, char **argv)
{
    struct switches switches[SWITCHES] = {
        [HELP] = {"-h", "--help", TAKES_NOTHING, 0, 0, 0},
        [ID] = {"-i", "--id", TAKES_TEXT, 0, 0, 0},
        [INSTANCE] = {"-gi", "--gpu-instance-id", TAKES_TEXT, 0, 0, 0},
        [COMPUTE] = {"-ci", "--compute-instance-id", TAKES_TEXT, 0, 0, 0},
        [FILL] = {"-C", "--default-compute-instance", TAKES_NOTHING, 0, 0, 0},
        [LIST_GPU_PROFILES] = {"-lgip", "--list-gpu-instance-profiles", TAKES_NOTHING, 0, 0, 0},
        [LIST_GPU_PLACEMENTS] = {"-lgipp", "--list-gpu-instance-possible-placements", TAKES_NOTHING, 0, 0, 0},
        [CREATE_INSTANCE] = {"-cgi", "--create-gpu-instance", TAKES_TEXT, 0, 0, 0},
        [DESTROY_INSTANCE] = {"-dgi", "--destroy-gpu-instance", TAKES_NOTHING, 0, 0, 0},
        [LIST_INSTANCES] = {"-lgi", "--list-gpu-instances", TAKES_NOTHING, 0, 0, 0},
        [LIST_COMPUTE_PROFILES] = {"-lcip", "--list-compute-instance-profiles", TAKES_NOTHING, 0, 0, 0},
        [LIST_COMPUTE_PLACEMENTS] = {"-lcipp", "--list-compute-instance-possible-placements", TAKES_NOTHING, 0, 0, 0},
        [CREATE_COMPUTE] = {"-cci", "--create-compute-instance", MAY_TAKE_TEXT, 0, 0, 0},
        [DESTROY_COMPUTE] = {"-dci", "--destroy-compute-instance", TAKES_NOTHING, 0, 0, 0},
        [LIST_COMPUTES] = {"-lci", "--list-compute-instances", TAKES_NOTHING, 0, 0, 0},
    };
    struct mig mig = {0};
    int status = parse_switches(switches, SWITCHES, argc, argv);

    if (status)
        return status;
    if (switches[HELP].given || !any_given(switches + INSTANCE, SWITCHES - INSTANCE)) {
        print_mig_help();
        return 0;
    }
    mig.instances = switches[INSTANCE].text, mig.computes = switches[COMPUTE].text;
    mig.fill = switches[FILL].given;
    mig.profiles = switches[CREATE_INSTANCE].given ? switches[CREATE_INSTANCE].text : switches[CREATE_COMPUTE].text;
    for (size_t i = 0; i < sizeof actions / sizeof *actions && !status; i++) {
        if (!switches[actions[i].at].given)
            continue;
        status = find_gpus(&mig.gpus, switches[ID].text, stdout);
        if (!status && keep_capable(&mig.gpus, !actions[i].any_mode || nvml_branch() < LISTS_IN_ANY_MODE, &status))
            status = actions[i].run(&mig);
        free(mig.gpus.items);
        break;
    }
    return status;
}
