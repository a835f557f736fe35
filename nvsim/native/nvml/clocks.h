/* What reading and setting clocks share. */
#ifndef NVSIM_CLOCKS_H
#define NVSIM_CLOCKS_H

#include "internal.h"

/* Graphics clocks are in steps below the highest. */
enum { CLOCK_STEP_MHZ = 15 };
/* The first branch that says of applications clocks that they are deprecated. */
enum { NO_APPLICATION_CLOCKS = 595 };

#endif
