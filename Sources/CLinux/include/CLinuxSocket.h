#ifndef CLINUX_SOCKET_H
#define CLINUX_SOCKET_H

// Unix sockets: what needs _GNU_SOURCE, or structures that Swift can fill only with pointer tricks.
// Functions return what the system call returns: -1 and errno on failure, unless told otherwise.

#include <stddef.h>
#include <stdint.h>

/// A stream socket that is closed on exec; non-blocking when `nonblocking` is not 0.
int32_t cl_unix_socket(int32_t nonblocking);

/// Binds to the path `name` of `length` bytes without a final NUL; ENAMETOOLONG where the address
/// cannot hold it.
int32_t cl_unix_bind(int32_t fd, const char *name, size_t length);

/// Connects to a path; ENAMETOOLONG where the address cannot hold it.
int32_t cl_unix_connect(int32_t fd, const char *name, size_t length);

/// Accepts a connection that is non-blocking and closed on exec.
int32_t cl_accept(int32_t listener);

/// Whether `fd` is a Unix stream socket that listens: 1 or 0.
int32_t cl_is_unix_listener(int32_t fd);

/// Who connected, or who listens: the process and its ids at that moment.
int32_t cl_peer(int32_t fd, int32_t *pid, uint32_t *uid, uint32_t *gid);

/// Receives bytes without waiting. With `most` 1 the first of the descriptors that come along goes
/// to `passed`, closed on exec; the others, or with `most` 0 all, find no room, so that the kernel
/// closes them. `passed` is left alone where none came. Where one came along with whitespace behind
/// other bytes, whichever peer's message each was in, a call ends before that whitespace, so that
/// the call which brings the descriptor tells with which of both it came.
int64_t cl_receive(int32_t fd, void *buffer, size_t capacity, int32_t *passed, int32_t most);

/// A descriptor that can be read when a socket of it has hung up: both of its directions are over.
int32_t cl_hang_ups(void);

/// Watches `fd` under `name`, for one hang-up.
int32_t cl_hang_ups_add(int32_t watch, int32_t fd, uint64_t name);

/// Watches `fd` no more.
int32_t cl_hang_ups_drop(int32_t watch, int32_t fd);

/// The name of one that has hung up, without waiting: 1, or 0 where none has.
int32_t cl_hang_ups_next(int32_t watch, uint64_t *name);

/// Sends bytes without waiting and without SIGPIPE.
int64_t cl_send(int32_t fd, const void *bytes, size_t length);

/// Sends one datagram to a path, or to an abstract name that is written with a leading '@', without
/// waiting: EAGAIN where its reader has too many to read.
int32_t cl_send_datagram(const char *name, size_t name_length, const void *bytes, size_t length);

#endif
