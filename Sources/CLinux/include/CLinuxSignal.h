#ifndef CLINUX_SIGNAL_H
#define CLINUX_SIGNAL_H

// Signals as something to poll: with Dispatch's own signal sources all of Dispatch was seen to
// stall on Linux when the signal reached a thread that did not block it.

#include <stdint.h>

/// From now on signal `number` (1 to 64) adds one to the returned eventfd instead of having its
/// default effect. The descriptor is non-blocking, closed on exec, and kept for the life of the
/// process: asking again gives the same one. The calling thread does not block the signal any more. -1 and errno on failure.
int32_t cl_signal_report(int32_t number);

/// Gives signal `number` its default effect back.
int32_t cl_signal_default(int32_t number);

/// Signal `number` has no effect any more.
int32_t cl_signal_ignore(int32_t number);

#endif
