/* nvidia-smi topo.  Tables, messages and statuses are those of nvidia-smi 550.163.01. */
#include "commands.h"
#include "switches.h"
#include "topo.h"

#include <stdlib.h>
#include <string.h>

enum { HELP, ID, MATRIX, PCI_MATRIX, CPU, NEAREST, PATH, PEERS, NEAR_CPU, NEAR_MEMORY, NODE_ID, SWITCHES };

static void print_topo_help(void)
{
    fputs("nvidia-smi topo: how the GPUs are connected\n\n"
          "    -m,   --matrix            every pair of GPUs, their CPUs and NUMA nodes\n"
          "    -mp,  --matrix_pci        the same without NVLink\n"
          "    -p2p, --p2pstatus=r|w|n|a|p  whether pairs can read, write, use NVLink, atomics, PCIe\n"
          "    -c,   --cpu=N             GPUs near a CPU\n"
          "    -n,   --nearest_gpus=0…5  GPUs near the GPU -i: 0 dual board, 1 one switch, 2 switches,\n"
          "                              3 host bridge, 4 CPU, 5 system\n"
          "    -p,   --gpu_path          the path between the two GPUs -i\n"
          "    -C,   --get-numa-id-of-nearby-cpu, -M, --get-numa-id-of-nearby-mem, -gnid, --gpu-numa-id\n"
          "                              NUMA nodes of the GPU -i\n"
          "    -i,   --id=ID,…\n"
          "    -h,   --help\n",
          stdout);
}

static int fail(const char *message)
{
    printf("%s\n\n", message);
    return 255;
}

/* How a level is told: by way of what. */
static const char *way_of(nvmlGpuTopologyLevel_t level)
{
    switch (level) {
    case NVML_TOPOLOGY_INTERNAL: return "by way of an single on-board PCIe switch";
    case NVML_TOPOLOGY_SINGLE: return "by way of a single PCIe switch";
    case NVML_TOPOLOGY_MULTIPLE: return "by way of potentially multiple PCIe switches";
    case NVML_TOPOLOGY_HOSTBRIDGE: return "by the same PCIe host bridge";
    case NVML_TOPOLOGY_NODE: return "by way of an on-CPU interconnect between PCIe host bridges";
    default: return "by way of an SMP interconnect link between NUMA nodes";
    }
}

static void print_indices(const nvmlDevice_t *devices, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        unsigned int index = 0;
        NVML(nvmlDeviceGetIndex, devices[i], &index);
        printf("%s%u", i ? ", " : "", index);
    }
    fputs("\n\n", stdout);
}

static int print_near_cpu(long cpu)
{
    nvmlDevice_t devices[256];
    unsigned int count = sizeof devices / sizeof *devices;

    if (NVML(nvmlSystemGetTopologyGpuSet, (unsigned int)cpu, &count, devices) != NVML_SUCCESS)
        return fail("Failed to display GPUs with affinity for a given CPU information");
    printf("The GPUs that have an affinity with CPU %ld are:\n", cpu);
    print_indices(devices, count);
    return 0;
}

static int print_nearest(const struct gpu *gpu, long level)
{
    nvmlDevice_t devices[256];
    unsigned int count = sizeof devices / sizeof *devices;

    if (level < 0 || level > 5 ||
        NVML(nvmlDeviceGetTopologyNearestGpus, gpu->device, (nvmlGpuTopologyLevel_t)(level * 10), &count, devices) !=
            NVML_SUCCESS)
        return fail("Failed to display the nearest GPUs");
    if (!count) {
        printf("Device %u is not connected to other devices %s.\n\n", gpu->index,
               way_of((nvmlGpuTopologyLevel_t)(level * 10)));
        return 0;
    }
    printf("Device %u is connected %s to device(s): ", gpu->index, way_of((nvmlGpuTopologyLevel_t)(level * 10)));
    print_indices(devices, count);
    return 0;
}

static int print_path(const struct gpu *from, const struct gpu *to)
{
    nvmlGpuTopologyLevel_t level;

    if (NVML(nvmlDeviceGetTopologyCommonAncestor, from->device, to->device, &level) != NVML_SUCCESS)
        return fail("Failed to display the path between GPUs");
    printf("Device %u is connected to device %u %s.\n\n", from->index, to->index, way_of(level));
    return 0;
}

static int print_nodes(const struct gpu *gpu, const char *label, const char *failure)
{
    char nodes[256];

    if (!numa_nodes(gpu->device, nodes, sizeof nodes))
        return fail(failure);
    printf("%s: %s\n", label, nodes);
    return 0;
}

static int print_node_id(const struct gpu *gpu)
{
    unsigned int node = 0;
    nvmlReturn_t result = NVML(nvmlDeviceGetNumaNodeId, gpu->device, &node);

    if (result == NVML_SUCCESS)
        printf("%u\n", node);
    else
        puts("N/A");
    return 0;
}

/* What one or two chosen GPUs are needed for. */
static int run_on(const struct switches *switches, const struct gpus *gpus)
{
    if (switches[NEAREST].given)
        return print_nearest(&gpus->items[0], switches[NEAREST].number);
    if (switches[PATH].given)
        return print_path(&gpus->items[0], &gpus->items[1]);
    if (switches[NEAR_CPU].given)
        return print_nodes(&gpus->items[0], "NUMA IDs of closest CPU", "Failed to display NUMA ID of nearest CPU");
    if (switches[NEAR_MEMORY].given)
        return print_nodes(&gpus->items[0], "NUMA IDs of closest memory",
                           "Failed to display NUMA ID of nearest memory");
    return print_node_id(&gpus->items[0]);
}

/* The exit status of a command that is about another number of GPUs than the `count` of -i, 0 if it is not. */
static int check_ids(const struct switches *switches, size_t count)
{
    static const struct { int at; size_t count; const char *refusal; } needy[] = {
        {NEAREST, 1, "Nearest GPUs argument must be used in conjunction with the -i argument which must be a single "
                     "identifier."},
        {PATH, 2, "Path command line flag must be used in conjection with the -i argument which must be two GPU "
                  "identifiers."},
        {NEAR_CPU, 1, "NUMA ID of nearest CPU must be used in conjunction with the -i argument which must be a single "
                      "identifier."},
        {NEAR_MEMORY, 1, "NUMA ID of nearest memory must be used in conjunction with the -i argument which must be a "
                         "single identifier."},
        {NODE_ID, 1, "GPU NUMA ID command must be used in conjunction with the -i argument which must be a single "
                     "identifier."},
    };
    bool used = false;

    for (size_t i = 0; i < sizeof needy / sizeof *needy; i++) {
        if (!switches[needy[i].at].given)
            continue;
        used = true;
        if (needy[i].count == count)
            continue;
        printf("%s\n\n", needy[i].refusal);
        return 2;
    }
    if (switches[ID].given && !used)
        return fail("The -i command line argument must be used in conjunction with -n or -p.");
    return 0;
}

static int run_matrix(const struct switches *switches, const struct gpus *gpus)
{
    if (switches[PEERS].given)
        return print_peers(gpus, switches[PEERS].text);
    if (switches[CPU].given)
        return print_near_cpu(switches[CPU].number);
    return print_matrix(gpus, switches[MATRIX].given);
}

int run_topo(int argc, char **argv)
{
    struct switches switches[SWITCHES] = {
        [HELP] = {"-h", "--help", TAKES_NOTHING, 0, 0, 0},
        [ID] = {"-i", "--id", TAKES_TEXT, 0, 0, 0},
        [MATRIX] = {"-m", "--matrix", TAKES_NOTHING, 0, 0, 0},
        [PCI_MATRIX] = {"-mp", "--matrix_pci", TAKES_NOTHING, 0, 0, 0},
        [CPU] = {"-c", "--cpu", TAKES_NUMBER, 0, 0, 0},
        [NEAREST] = {"-n", "--nearest_gpus", TAKES_NUMBER, 0, 0, 0},
        [PATH] = {"-p", "--gpu_path", TAKES_NOTHING, 0, 0, 0},
        [PEERS] = {"-p2p", "--p2pstatus", TAKES_TEXT, 0, 0, 0},
        [NEAR_CPU] = {"-C", "--get-numa-id-of-nearby-cpu", TAKES_NOTHING, 0, 0, 0},
        [NEAR_MEMORY] = {"-M", "--get-numa-id-of-nearby-mem", TAKES_NOTHING, 0, 0, 0},
        [NODE_ID] = {"-gnid", "--gpu-numa-id", TAKES_NOTHING, 0, 0, 0},
    };
    struct gpus gpus = {0};
    int status = parse_switches(switches, SWITCHES, argc, argv);

    if (status)
        return status;
    if (switches[HELP].given || !any_given(switches, SWITCHES)) {
        print_topo_help();
        return 0;
    }
    status = find_gpus(&gpus, switches[ID].text, stdout);
    if (!status)
        status = check_ids(switches, switches[ID].given ? gpus.count : 0);
    if (!status)
        status = switches[ID].given ? run_on(switches, &gpus) : run_matrix(switches, &gpus);
    free(gpus.items);
    return status;
}
