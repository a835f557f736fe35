/* nvidia-smi topo -m, -mp, -p2p: one row and one column for each GPU. */
#include "topo.h"

#include <string.h>

enum { BITS = 8 * sizeof(unsigned long), WORDS = 64 };

static const char legend[] =
    "\nLegend:\n\n"
    "  X    = Self\n"
    "  SYS  = Connection traversing PCIe as well as the SMP interconnect between NUMA nodes (e.g., QPI/UPI)\n"
    "  NODE = Connection traversing PCIe as well as the interconnect between PCIe Host Bridges within a NUMA node\n"
    "  PHB  = Connection traversing PCIe as well as a PCIe Host Bridge (typically the CPU)\n"
    "  PXB  = Connection traversing multiple PCIe bridges (without traversing the PCIe Host Bridge)\n"
    "  PIX  = Connection traversing at most a single PCIe bridge\n";

/* The numbers of the bits that are set, neighbours joined: "0-15,32-47". */
static void print_set(const unsigned long *words, size_t count, char *text, size_t size)
{
    size_t used = 0, bits = count * BITS;

    *text = '\0';
    for (size_t i = 0; i < bits && used < size; i++) {
        size_t last = i;
        if (!(words[i / BITS] >> i % BITS & 1))
            continue;
        while (last + 1 < bits && words[(last + 1) / BITS] >> (last + 1) % BITS & 1)
            last++;
        used += (size_t)snprintf(text + used, size - used, last > i ? "%s%zu-%zu" : "%s%zu", used ? "," : "", i, last);
        i = last;
    }
}

/* The NUMA nodes whose memory is near a GPU; false if NVML does not say. */
bool numa_nodes(nvmlDevice_t device, char *text, size_t size)
{
    unsigned long words[WORDS] = {0};

    if (NVML(nvmlDeviceGetMemoryAffinity, device, WORDS, words, NVML_AFFINITY_SCOPE_NODE) != NVML_SUCCESS)
        return false;
    print_set(words, WORDS, text, size);
    return *text;
}

static void print_affinity(nvmlDevice_t device)
{
    unsigned long words[WORDS] = {0};
    unsigned int node = 0;
    char cpus[1024] = "", nodes[256];

    if (NVML(nvmlDeviceGetCpuAffinity, device, WORDS, words) == NVML_SUCCESS)
        print_set(words, WORDS, cpus, sizeof cpus);
    printf("%s\t%s", *cpus ? cpus : "N/A", numa_nodes(device, nodes, sizeof nodes) ? nodes : "N/A");
    if (nvml_branch() < 530)
        return;
    if (NVML(nvmlDeviceGetNumaNodeId, device, &node) == NVML_SUCCESS)
        printf("\t\t%u", node);
    else
        fputs("\t\tN/A", stdout);
}

static bool is_switch(nvmlDevice_t device, unsigned int link)
{
    nvmlIntNvLinkDeviceType_t type = NVML_NVLINK_DEVICE_TYPE_UNKNOWN;
    return NVML(nvmlDeviceGetNvLinkRemoteDeviceType, device, link, &type) == NVML_SUCCESS &&
           type == NVML_NVLINK_DEVICE_TYPE_SWITCH;
}

/* The links of a GPU that are up and lead to a switch, or with `to` to that GPU. */
static unsigned int count_links(nvmlDevice_t device, const nvmlPciInfo_t *to)
{
    unsigned int count = 0;

    for (unsigned int link = 0; link < NVML_NVLINK_MAX_LINKS; link++) {
        nvmlEnableState_t state = NVML_FEATURE_DISABLED;
        nvmlPciInfo_t pci;
        if (NVML(nvmlDeviceGetNvLinkState, device, link, &state) != NVML_SUCCESS || !state)
            continue;
        if (!to)
            count += is_switch(device, link);
        else if (NVML(nvmlDeviceGetNvLinkRemotePciInfo_v2, device, link, &pci) == NVML_SUCCESS)
            count += !is_switch(device, link) && pci.domain == to->domain && pci.bus == to->bus &&
                     pci.device == to->device;
    }
    return count;
}

/* The links from one GPU to another: through a switch all that it has. */
static unsigned int links_between(nvmlDevice_t one, nvmlDevice_t other)
{
    nvmlPciInfo_t pci;

    if (count_links(other, NULL))
        return count_links(one, NULL);
    return NVML(nvmlDeviceGetPciInfo_v3, other, &pci) == NVML_SUCCESS ? count_links(one, &pci) : 0;
}

static bool path_cell(nvmlDevice_t one, nvmlDevice_t other, char *cell, size_t size)
{
    nvmlGpuTopologyLevel_t level;
    const char *text = "SYS";

    if (NVML(nvmlDeviceGetTopologyCommonAncestor, one, other, &level) != NVML_SUCCESS)
        return false;
    switch (level) {
    case NVML_TOPOLOGY_INTERNAL:
    case NVML_TOPOLOGY_SINGLE: text = "PIX"; break;
    case NVML_TOPOLOGY_MULTIPLE: text = "PXB"; break;
    case NVML_TOPOLOGY_HOSTBRIDGE: text = "PHB"; break;
    case NVML_TOPOLOGY_NODE: text = "NODE"; break;
    default: break;
    }
    snprintf(cell, size, "%s", text);
    return true;
}

/* The heading is underlined, also where it goes into a pipe. */
static void print_heading(const struct gpus *gpus, const char *before, const char *after)
{
    printf("%s\033[4m", before);
    for (size_t i = 0; i < gpus->count; i++)
        printf("GPU%u\t", gpus->items[i].index);
    printf("%s\033[0m\n", after);
}

int print_matrix(const struct gpus *gpus, bool nvlink)
{
    print_heading(gpus, "\t", nvml_branch() < 530 ? "CPU Affinity\tNUMA Affinity"
                                                  : "CPU Affinity\tNUMA Affinity\tGPU NUMA ID");
    for (size_t row = 0; row < gpus->count; row++) {
        nvmlDevice_t one = gpus->items[row].device;
        printf("GPU%u\t", gpus->items[row].index);
        for (size_t column = 0; column < gpus->count; column++) {
            nvmlDevice_t other = gpus->items[column].device;
            unsigned int links = nvlink && row != column ? links_between(one, other) : 0;
            char cell[32] = " X ";
            if (links) {
                snprintf(cell, sizeof cell, "NV%u", links);
            } else if (row != column && !path_cell(one, other, cell, sizeof cell)) {
                fputs("Failed to run topology matrix\n\n", stdout);
                return 255;
            }
            printf("%s\t", cell);
        }
        print_affinity(one);
        putchar('\n');
    }
    fputs(legend, stdout);
    if (nvlink)
        puts("  NV#  = Connection traversing a bonded set of # NVLinks");
    return 0;
}

static const char *peer_cell(nvmlReturn_t result, nvmlGpuP2PStatus_t status)
{
    if (result != NVML_SUCCESS)
        return "U";
    switch (status) {
    case NVML_P2P_STATUS_OK: return "OK";
    case NVML_P2P_STATUS_CHIPSET_NOT_SUPPORTED: return "CNS";
    case NVML_P2P_STATUS_GPU_NOT_SUPPORTED: return "GNS";
    case NVML_P2P_STATUS_IOH_TOPOLOGY_NOT_SUPPORTED: return "TNS";
    case NVML_P2P_STATUS_DISABLED_BY_REGKEY:
    case NVML_P2P_STATUS_NOT_SUPPORTED: return "NS";
    default: return "U";
    }
}

int print_peers(const struct gpus *gpus, const char *capability)
{
    static const char letters[] = "rwnap"; /* in the order of NVML's numbers */
    const char *letter = strlen(capability) == 1 ? strchr(letters, *capability) : NULL;

    if (!letter) {
        puts("Invalid p2p capability index specified at the command-line");
        return 2;
    }
    print_heading(gpus, " \t", "");
    for (size_t row = 0; row < gpus->count; row++) {
        printf(" GPU%u\t", gpus->items[row].index);
        for (size_t column = 0; column < gpus->count; column++) {
            nvmlGpuP2PStatus_t status = NVML_P2P_STATUS_UNKNOWN;
            nvmlReturn_t result = NVML(nvmlDeviceGetP2PStatus, gpus->items[row].device, gpus->items[column].device,
                                       (nvmlGpuP2PCapsIndex_t)(letter - letters), &status);
            printf("%s\t", row == column ? "X" : peer_cell(result, status));
        }
        putchar('\n');
    }
    fputs("\nLegend:\n\n"
          "  X    = Self\n"
          "  OK   = Status Ok\n"
          "  CNS  = Chipset not supported\n"
          "  GNS  = GPU not supported\n"
          "  TNS  = Topology not supported\n"
          "  NS   = Not supported\n"
          "  U    = Unknown\n",
          stdout);
    return 0;
}
