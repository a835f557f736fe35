/* Asks the capability nodes which MIG instances this process may see. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "board/host.h"
#include "board/mig.h"

/* Minors of the nodes, as /proc/driver/nvidia-caps/mig-minors lists them. */
enum { CAP_CONFIG = 1, CAP_MONITOR = 2, CAP_FIRST = 3, CAP_INSTANCES = 15, CAP_STEP = 9 };

/* Whether this process may open the node of a capability.  A node that may be opened on a kernel without the driver
 * says ENXIO. */
static int openable(unsigned minor)
{
    char path[NVSIM_NODE_PATH];
    nvsim_node_path(path, "nvidia-caps/nvidia-cap", (int)minor);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno == ENXIO || errno == ENODEV;
    close(fd);
    return 1;
}

int mig_monitor_allowed(void)
{
    return nvsim_administrator() || openable(CAP_MONITOR) || openable(CAP_CONFIG);
}

int mig_instance_allowed(unsigned gpu_minor, unsigned gi, unsigned ci)
{
    unsigned first = CAP_FIRST + (gpu_minor * CAP_INSTANCES + gi) * CAP_STEP;
    if (gpu_minor >= NVSIM_CAPABILITY_GPUS || gi >= CAP_INSTANCES || !openable(first))
        return 0;
    return ci == NVSIM_ABSENT_U32 || (ci < CAP_STEP - 1 && openable(first + 1 + ci));
}
