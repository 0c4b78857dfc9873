#include "CFaults.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_PLANS = 16 };
static cfaults_plan *plans[MOST_PLANS];
static int armed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int32_t cfaults_arm(cfaults_plan *plan) {
  int32_t done = 0;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < MOST_PLANS && !done; i++) {
    if (plans[i]) continue;
    plans[i] = plan;
    __atomic_add_fetch(&armed, 1, __ATOMIC_SEQ_CST);
    done = 1;
  }
  pthread_mutex_unlock(&lock);
  return done;
}

void cfaults_disarm(cfaults_plan *plan) {
  pthread_mutex_lock(&lock);
  for (int i = 0; i < MOST_PLANS; i++) {
    if (plans[i] != plan) continue;
    plans[i] = 0;
    __atomic_sub_fetch(&armed, 1, __ATOMIC_SEQ_CST);
  }
  pthread_mutex_unlock(&lock);
}

// What a call is to the file.
enum call { CALL_READ, CALL_WRITE, CALL_SPACE, CALL_FLUSH };

static int can_fail(const cfaults_plan *plan, enum call call) {
  switch (plan->error) {
    case 0: return call == CALL_READ || call == CALL_WRITE;
    case ENOSPC: return call != CALL_READ;
    default: return 1;
  }
}

// Which of the plan's files it is; -1 for none.
static int place(const cfaults_plan *plan, const struct stat *status) {
  if (plan->device != (uint64_t)status->st_dev) return -1;
  for (int i = 0; i < plan->file_count; i++)
    if (plan->files[i] == (uint64_t)status->st_ino) return i;
  return -1;
}

static int is_due(cfaults_plan *plan) {
  int64_t number = plan->calls++ - plan->after;
  if (number < 0 || (number > 0 && !plan->lasts)) return 0;
  return plan->error != EINTR || number % 2 == 0;
}

// The fate of a call: -1 to let it be, 0 to do a part, an error number to fail.
static int fate(int fd, enum call call) {
  if (__atomic_load_n(&armed, __ATOMIC_SEQ_CST) == 0) return -1;
  struct stat status;
  if (fstat(fd, &status) != 0) return -1;
  int result = -1;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < MOST_PLANS && result < 0; i++) {
    cfaults_plan *plan = plans[i];
    int file = plan ? place(plan, &status) : -1;
    if (file < 0) continue;
    int is_hit = can_fail(plan, call) && is_due(plan);
    if (is_hit) {
      result = plan->error;
      plan->failures++;
      if (call == CALL_FLUSH && plan->error != EINTR) plan->lost_flushes += plan->is_dirty[file];
    } else if (call != CALL_READ) {
      plan->is_dirty[file] = call != CALL_FLUSH;
    }
  }
  pthread_mutex_unlock(&lock);
  return result;
}

static void note_copy(int fd, ssize_t count) {
  if (__atomic_load_n(&armed, __ATOMIC_SEQ_CST) == 0) return;
  struct stat status;
  if (fstat(fd, &status) != 0) return;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < MOST_PLANS; i++)
    if (plans[i] && place(plans[i], &status) >= 0) plans[i]->copied += count;
  pthread_mutex_unlock(&lock);
}

#define FAIL(fd, call)                                                                            \
  int number = fate(fd, call);                                                                    \
  if (number > 0) {                                                                               \
    errno = number;                                                                               \
    return -1;                                                                                    \
  }

static size_t part(size_t count, int number) {
  return number == 0 && count > 1 ? count / 2 : count;
}

ssize_t pread(int fd, void *bytes, size_t count, off_t offset) {
  FAIL(fd, CALL_READ)
  return syscall(SYS_pread64, fd, bytes, part(count, number), offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  FAIL(fd, CALL_WRITE)
  return syscall(SYS_pwrite64, fd, bytes, part(count, number), offset);
}

// A part of a vector is its first piece, or a part of that.
ssize_t preadv(int fd, const struct iovec *vector, int count, off_t offset) {
  FAIL(fd, CALL_READ)
  if (number == 0)
    return syscall(SYS_pread64, fd, vector->iov_base, part(vector->iov_len, 0), offset);
  return syscall(SYS_preadv, fd, vector, count, offset, 0);
}

ssize_t pwritev(int fd, const struct iovec *vector, int count, off_t offset) {
  FAIL(fd, CALL_WRITE)
  if (number == 0)
    return syscall(SYS_pwrite64, fd, vector->iov_base, part(vector->iov_len, 0), offset);
  return syscall(SYS_pwritev, fd, vector, count, offset, 0);
}

int fdatasync(int fd) {
  FAIL(fd, CALL_FLUSH)
  return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
  FAIL(fd, CALL_FLUSH)
  return (int)syscall(SYS_fsync, fd);
}

int ftruncate(int fd, off_t length) {
  FAIL(fd, CALL_SPACE)
  return (int)syscall(SYS_ftruncate, fd, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
  FAIL(fd, CALL_SPACE)
  return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

ssize_t copy_file_range(
    int from, off_t *source, int fd, off_t *target, size_t count, unsigned flags) {
  FAIL(fd, CALL_WRITE)
  ssize_t copied =
      syscall(SYS_copy_file_range, from, source, fd, target, part(count, number), flags);
  if (copied > 0) note_copy(fd, copied);
  return copied;
}

// Blocks are shared all or none.
int ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  if (request == FICLONERANGE) {
    FAIL(fd, CALL_SPACE)
  }
  return (int)syscall(SYS_ioctl, fd, request, argument);
}
