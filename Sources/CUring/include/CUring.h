#ifndef CURING_H
#define CURING_H

// Whole batches of reads and writes by the kernel's io_uring, in one function, so that requests are
// on their way only while it runs.

#include <stdint.h>
#include <sys/uio.h>

/// The memory that is shared with the kernel; for one thread at a time.
typedef struct curing curing;

/// One read or write: `count` pieces of memory, and the bytes of `fd` from `offset` on.
typedef struct curing_request {
  int32_t fd;
  int32_t is_write;
  const struct iovec *parts;
  int32_t count;
  /// Set when it is over: the bytes that passed, or a negative error number; -ECANCELED where the
  /// kernel did not begin with it.
  int32_t result;
  int64_t offset;
} curing_request;

/// A ring for `depth` requests at a time. NULL and errno where the kernel refuses it.
curing *curing_create(uint32_t depth);
void curing_destroy(curing *ring);

/// Carries out `count` requests in any order, and returns when all are over. 0, or a negative error
/// number where the kernel did not take some of them: then the ring must not be used again.
int32_t curing_run(curing *ring, curing_request *requests, int32_t count);

#endif
