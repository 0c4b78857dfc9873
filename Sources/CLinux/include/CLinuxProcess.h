#ifndef CLINUX_PROCESS_H
#define CLINUX_PROCESS_H

// Starting a program in ways that posix_spawn does not know, and what the C library has no function
// for. Functions return what the system call returns: -1 and errno on failure, unless told
// otherwise.

#include <stdint.h>

/// Starts `program` with no arguments but `arguments` (the first is its own name; NULL ends them),
/// and hands it the listening socket `listener` as the service manager would (sd_listen_fds(3)).
///
/// It reads nothing, its output goes where our errors go, and the terminal's signals pass it by.
/// Returns its process number.
int32_t cl_spawn_listener(const char *program, char *const *arguments, int32_t listener);

/// Opens /dev/null for each of the descriptors 0 to 2 that is closed: otherwise the next file that
/// is opened would be a standard stream. Only before anything else is opened.
int32_t cl_open_standard_streams(void);

/// Goes on in a process of its own, without a terminal, while the caller's process waits for it:
/// that ends with status 0 once the new one calls `cl_detach`, and with 1 when it ends before.
/// Of the descriptors of before, only the standard streams are left. Returns, in the new process,
/// what `cl_detach` wants. Only before other threads run.
int32_t cl_daemonize(void);

/// Lets go of the standard streams and of the working directory, and of the process that waits
/// behind `waiting`. What fails is left as it was.
int32_t cl_detach(int32_t waiting);

/// Counts how often this process, and those that it starts from now on, pass the kernel's tracepoint
/// `number` (perf_event_open(2)). Returns a descriptor from which the count is read, 8 bytes.
int32_t cl_count_tracepoint(uint64_t number);

/// Lets all threads of this process allocate from one arena (mallopt(3), M_ARENA_MAX).
void cl_use_one_arena(void);

#endif
