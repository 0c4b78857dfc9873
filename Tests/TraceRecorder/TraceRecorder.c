#include "TraceRecorder.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// Calls go to the kernel itself (`syscall`), so that none of them comes back here.

static const char *directory, *hold;
static int output = -1;
static long kill_at, kill_cut, lose_at;
static atomic_long operations;

// MARK: The trace

static void fail(const char *reason) {
  fprintf(stderr, "TraceRecorder: %s: %s\n", reason, strerror(errno));
  abort();
}

static long number(const char *variable) {
  const char *text = getenv(variable);
  return text ? atol(text) : 0;
}

__attribute__((constructor)) static void start(void) {
  directory = getenv("TRACE_RECORDER_DIRECTORY");
  const char *path = getenv("TRACE_RECORDER_OUTPUT");
  if (!directory || !path) return;
  output = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (output < 0) fail(path);
  kill_at = number("TRACE_RECORDER_KILL_AT");
  kill_cut = number("TRACE_RECORDER_KILL_CUT");
  lose_at = number("TRACE_RECORDER_LOSE_AT");
  hold = getenv("TRACE_RECORDER_HOLD");
}

// A line goes out in one piece, so that threads do not mix theirs.
static void append(const char *line, size_t length) {
  if (syscall(SYS_write, output, line, length) != (long)length) fail("the trace");
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...) {
  char line[PATH_MAX + 128];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  append(line, (size_t)length);
}

static void note_bytes(
    const char *verb, const char *name, off_t offset, const uint8_t *bytes, size_t count) {
  static const char digits[] = "0123456789abcdef";
  size_t room = strlen(name) + 64 + 2 * count;
  char *line = malloc(room);
  if (!line) fail("a line");
  size_t length = (size_t)snprintf(line, room, "%s %s %lld ", verb, name, (long long)offset);
  for (size_t index = 0; index < count; index++) {
    line[length++] = digits[bytes[index] >> 4];
    line[length++] = digits[bytes[index] & 15];
  }
  line[length++] = '\n';
  append(line, length);
  free(line);
}

// The events in a message that is about to go out. They are noted before: what is made durable
// after that does not count for them. Of a message that goes out in two pieces some may be noted
// twice.
static void note_event(const char *message, size_t count) {
  static const char key[] = "\"event\"";
  const char *end = message + count;
  while ((message = memmem(message, (size_t)(end - message), key, sizeof key - 1))) {
    message += sizeof key - 1;
    while (message < end && (*message == ':' || *message == ' ' || *message == '"')) message++;
    const char *name = message;
    while (message < end && (isupper((unsigned char)*message) || *message == '_')) message++;
    if (message > name) note("event %.*s\n", (int)(message - name), name);
  }
}

// MARK: Which files

// Writes the name of the file into `name`; false where it is none of those recorded.
static bool is_recorded(int fd, char name[PATH_MAX]) {
  if (output < 0) return false;
  int error = errno;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  errno = error;
  size_t above = strlen(directory);
  if (length <= (ssize_t)above + 1) return false;
  path[length] = 0;
  if (strncmp(path, directory, above) != 0 || path[above] != '/') return false;
  strcpy(name, path + above + 1);
  if (strpbrk(name, " \n")) fail("a file with a blank in its name");
  return true;
}

// Waits, where that is asked for, until somebody has the FIFO open for writing.
static void wait_for_disk(const char *name) {
  if (!hold) return;
  note("hold %s\n", name);
  int error = errno, fd;
  do fd = open(hold, O_RDONLY | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) fail(hold);
  close(fd);
  errno = error;
}

// Counts an operation that is about to begin, and returns its number; at the one that is asked for
// the process ends. The arguments are those of a write, or nothing.
static long begin(
    int fd, const char *name, const void *bytes, size_t count, off_t offset) {
  wait_for_disk(name);
  long operation = atomic_fetch_add(&operations, 1) + 1;
  if (operation != kill_at) return operation;
  // A signal interrupts a write between two pages only.
  long cut = kill_cut < (long)count ? kill_cut - (offset + kill_cut) % 4096 : (long)count;
  if (cut > 0) (void)syscall(SYS_pwrite64, fd, bytes, cut, offset);
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

// MARK: Reads

ssize_t pread64(int fd, void *bytes, size_t count, off64_t offset) {
  char name[PATH_MAX];
  if (hold && is_recorded(fd, name)) wait_for_disk(name);
  return syscall(SYS_pread64, fd, bytes, count, offset);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t offset) {
  return pread64(fd, bytes, count, offset);
}

// MARK: Writes

// All bytes of a vector in one piece, which the caller frees.
static uint8_t *gathered(const struct iovec *vector, int parts, size_t *count) {
  *count = 0;
  for (int part = 0; part < parts; part++) *count += vector[part].iov_len;
  uint8_t *bytes = malloc(*count + 1), *next = bytes;
  if (!bytes) fail("a vector");
  for (int part = 0; part < parts; part++) {
    memcpy(next, vector[part].iov_base, vector[part].iov_len);
    next += vector[part].iov_len;
  }
  return bytes;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  char name[PATH_MAX];
  if (!is_recorded(fd, name)) return syscall(SYS_pwrite64, fd, bytes, count, offset);
  if (begin(fd, name, bytes, count, offset) == lose_at) return (ssize_t)count;
  ssize_t written = syscall(SYS_pwrite64, fd, bytes, count, offset);
  if (written > 0) note_bytes("write", name, offset, bytes, (size_t)written);
  return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  return pwrite64(fd, bytes, count, offset);
}

ssize_t pwritev64v2(int fd, const struct iovec *vector, int parts, off64_t offset, int flags) {
  char name[PATH_MAX];
  if (!is_recorded(fd, name)) {
    return syscall(SYS_pwritev2, fd, vector, (long)parts, offset, 0L, flags);
  }
  size_t count;
  uint8_t *bytes = gathered(vector, parts, &count);
  ssize_t written = pwrite64(fd, bytes, count, offset);
  free(bytes);
  return written;
}

ssize_t pwritev2(int fd, const struct iovec *vector, int parts, off_t offset, int flags) {
  return pwritev64v2(fd, vector, parts, offset, flags);
}

ssize_t pwritev64(int fd, const struct iovec *vector, int parts, off64_t offset) {
  return pwritev64v2(fd, vector, parts, offset, 0);
}

ssize_t pwritev(int fd, const struct iovec *vector, int parts, off_t offset) {
  return pwritev64v2(fd, vector, parts, offset, 0);
}

ssize_t write(int fd, const void *bytes, size_t count) {
  char name[PATH_MAX];
  if (is_recorded(fd, name)) {
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written = pwrite64(fd, bytes, count, offset);
    if (written > 0) (void)lseek(fd, offset + written, SEEK_SET);
    return written;
  }
  if (output >= 0) note_event(bytes, count);
  return syscall(SYS_write, fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *vector, int parts) {
  if (output < 0) return syscall(SYS_writev, fd, vector, (long)parts);
  size_t count;
  uint8_t *bytes = gathered(vector, parts, &count);
  ssize_t written = write(fd, bytes, count);
  free(bytes);
  return written;
}

// MARK: Messages

ssize_t send(int fd, const void *bytes, size_t count, int flags) {
  if (output >= 0) note_event(bytes, count);
  return syscall(SYS_sendto, fd, bytes, count, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  if (output >= 0) {
    size_t count;
    uint8_t *bytes = gathered(message->msg_iov, (int)message->msg_iovlen, &count);
    note_event((const char *)bytes, count);
    free(bytes);
  }
  return syscall(SYS_sendmsg, fd, message, flags);
}

// MARK: Lengths and holes

int ftruncate64(int fd, off64_t length) {
  char name[PATH_MAX];
  if (!is_recorded(fd, name)) return (int)syscall(SYS_ftruncate, fd, length);
  begin(fd, name, NULL, 0, 0);
  int result = (int)syscall(SYS_ftruncate, fd, length);
  if (result == 0) note("truncate %s %lld\n", name, (long long)length);
  return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  char name[PATH_MAX];
  if (!is_recorded(fd, name)) return (int)syscall(SYS_fallocate, fd, mode, offset, length);
  struct stat before;
  if (fstat(fd, &before) != 0) fail("fstat");
  if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
    errno = EOPNOTSUPP;
    return -1;
  }
  begin(fd, name, NULL, 0, 0);
  int result = (int)syscall(SYS_fallocate, fd, mode, offset, length);
  if (result != 0) return result;
  if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
    const char *verb = mode & FALLOC_FL_KEEP_SIZE ? "punch" : "zero";
    note("%s %s %lld %lld\n", verb, name, (long long)offset, (long long)length);
  } else if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + length > before.st_size) {
    note("truncate %s %lld\n", name, (long long)(offset + length));
  }
  return 0;
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
  return fallocate64(fd, mode, offset, length);
}

// MARK: Flushes

static int flush(long call, int fd) {
  char name[PATH_MAX];
  if (!is_recorded(fd, name)) return (int)syscall(call, fd);
  begin(fd, name, NULL, 0, 0);
  note("flush-begin %s\n", name);
  int result = (int)syscall(call, fd);
  if (result == 0) note("flush-end %s\n", name);
  return result;
}

int fsync(int fd) { return flush(SYS_fsync, fd); }

int fdatasync(int fd) { return flush(SYS_fdatasync, fd); }

// MARK: Copies inside the kernel

// What goes over is read before, because nobody sees it pass.
ssize_t copy_file_range(
    int source, off64_t *from, int target, off64_t *to, size_t length, unsigned flags) {
  char name[PATH_MAX];
  if (!is_recorded(target, name)) {
    return syscall(SYS_copy_file_range, source, from, target, to, length, flags);
  }
  if (!from || !to) fail("a copy from where a file stands");
  uint8_t *bytes = malloc(length + 1);
  if (!bytes) fail("a copy");
  ssize_t count = syscall(SYS_pread64, source, bytes, length, *from);
  if (count > 0) {
    off64_t offset = *to;
    if (begin(target, name, bytes, (size_t)count, offset) == lose_at) {
      *from += count;
      *to += count;
    } else {
      count = syscall(SYS_copy_file_range, source, from, target, to, (size_t)count, flags);
      if (count > 0) note_bytes("copy", name, offset, bytes, (size_t)count);
    }
  }
  free(bytes);
  return count;
}

int ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  char name[PATH_MAX];
  if ((request == FICLONE || request == FICLONERANGE) && is_recorded(fd, name)) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return (int)syscall(SYS_ioctl, fd, request, argument);
}
