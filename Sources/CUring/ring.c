#include "CUring.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

struct curing {
  struct io_uring ring;
  uint32_t depth;
};

curing *curing_create(uint32_t depth) {
  curing *ring = malloc(sizeof *ring);
  if (!ring) return NULL;
  ring->depth = depth;
  int result = io_uring_queue_init(depth, &ring->ring, 0);
  if (result == 0) return ring;
  free(ring);
  errno = -result;
  return NULL;
}

void curing_destroy(curing *ring) {
  io_uring_queue_exit(&ring->ring);
  free(ring);
}

static void prepare(curing *ring, curing_request *request) {
  struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
  uint64_t offset = (uint64_t)request->offset;
  if (request->is_write)
    io_uring_prep_writev(entry, request->fd, request->parts, (unsigned)request->count, offset);
  else
    io_uring_prep_readv(entry, request->fd, request->parts, (unsigned)request->count, offset);
  io_uring_sqe_set_data(entry, request);
}

// Notes what is over, and returns how many requests that are.
static uint32_t reap(curing *ring) {
  struct io_uring_cqe *entry;
  unsigned head;
  uint32_t count = 0;
  io_uring_for_each_cqe(&ring->ring, head, entry) {
    ((curing_request *)io_uring_cqe_get_data(entry))->result = entry->res;
    count++;
  }
  io_uring_cq_advance(&ring->ring, count);
  return count;
}

int32_t curing_run(curing *ring, curing_request *requests, int32_t count) {
  for (int32_t i = 0; i < count; i++) requests[i].result = -ECANCELED;
  int32_t next = 0;
  uint32_t waiting = 0, under_way = 0;
  while (next < count || waiting + under_way > 0) {
    while (next < count && waiting + under_way < ring->depth) {
      prepare(ring, &requests[next++]);
      waiting++;
    }
    // The disk is to have something to do while there is more: then half of it is waited for.
    uint32_t all = waiting + under_way;
    int result = io_uring_submit_and_wait(&ring->ring, next < count ? (all + 1) / 2 : all);
    if (result > 0) {
      waiting -= (uint32_t)result;
      under_way += (uint32_t)result;
    } else if (under_way == 0 && result != -EINTR) {
      return result < 0 ? result : -EIO;
    }
    // What the kernel has, it may write to: whatever goes wrong, the end of that is waited for.
    under_way -= reap(ring);
  }
  return 0;
}
