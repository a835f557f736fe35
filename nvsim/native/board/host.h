/* What a process may see of the host: visibility follows the device nodes (DESIGN D4). */
#ifndef NVSIM_BOARD_HOST_H
#define NVSIM_BOARD_HOST_H

#include "board/read.h"

/* Whether the driver answers a process at all. */
enum nvsim_driver {
    NVSIM_DRIVER_ANSWERS,
    NVSIM_DRIVER_ABSENT,    /* no kernel modules, or no /dev/nvidiactl */
    NVSIM_DRIVER_DENIED,    /* the device cgroup denies /dev/nvidiactl */
    NVSIM_DRIVER_FORBIDDEN, /* the mode of /dev/nvidiactl does */
    NVSIM_DRIVER_BLOCKED,   /* WSL 2: Windows has loaded another driver than the one that this library came with */
    NVSIM_DRIVER_MISMATCH,  /* this library and the kernel modules are of different versions */
};

/* Values of `integrated` of a GPU: that of a Jetson. */
enum { NVSIM_BY_NVIDIA = 1, NVSIM_BY_NVGPU = 2 };

/* Whether this process may use the GPU of a Jetson that nvgpu drives, for which it needs no node of the module nvidia. */
int nvsim_nvgpu_answers(void) __attribute__((visibility("hidden")));

enum nvsim_driver nvsim_driver(void) __attribute__((visibility("hidden")));

/* Whether this process may administer GPUs: the driver asks for CAP_SYS_ADMIN, which root in an ordinary container does
 * not have. */
int nvsim_administrator(void) __attribute__((visibility("hidden")));

enum { NVSIM_NODE_PATH = sizeof nvsim_board.header.dev_root + 64 };

/* Where /dev/NAME (with a number at its end unless `minor` is negative) is looked for.  A board whose dev_root is
 * "/:FOLDER" has nodes in FOLDER/dev for processes whose /dev has none: there the real library makes the missing ones. */
void nvsim_node_path(char path[NVSIM_NODE_PATH], const char *name, int minor) __attribute__((visibility("hidden")));

/* 0 if /dev/NAME (with a number at its end unless `minor` is negative) is there and may be opened, else the errno. */
int nvsim_node(const char *name, int minor) __attribute__((visibility("hidden")));

/* Fills `places` with the GPUs that are in service and whose node may be opened (under WSL 2 all), in PCI bus order, by their place on
 * the board; how many. */
unsigned nvsim_find_gpus(uint8_t places[NVSIM_BOARD_CAPACITY]) __attribute__((visibility("hidden")));

#endif
