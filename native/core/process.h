// Rights that the whole process gives up: it cannot have them back.
#ifndef GIGATUN_PROCESS_H
#define GIGATUN_PROCESS_H

#include <stdint.h>

#include "fault.h"

// No core dumps, no tracing by processes of the same user. Returns 0, or -1 with a fault.
int process_forbid_dumps(struct fault *fault);

// Leaves every thread at most the capabilities of `keep` (bit n is capability n of capability.h), in all five sets, and
// no new privileges by executing anything; a thread that is made later inherits both. Programs that are executed get the
// kept ones, whichever user runs them. Returns the number of threads, or -1 with a fault; then some may be limited.
int process_limit(uint64_t keep, struct fault *fault);

#endif
