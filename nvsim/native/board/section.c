/* The board itself.  Alone in its file, so that no reader sees the values that it is compiled with; read-only and
 * without relocations, so that its pages stay the file's own and a later pwrite to the file shows. */
#include "board/read.h"

__attribute__((section(NVSIM_BOARD_SECTION), aligned(4096), used)) const struct nvsim_board nvsim_board = {
    .header = {.magic = NVSIM_BOARD_MAGIC,
               .format = NVSIM_BOARD_FORMAT,
               .header_size = sizeof(struct nvsim_header),
               .gpu_size = sizeof(struct nvsim_gpu),
               .gpu_capacity = NVSIM_BOARD_CAPACITY},
};
