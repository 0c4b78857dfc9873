#include "CLinuxFile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

const int32_t cl_O_DIRECT = O_DIRECT;
const int32_t cl_O_PATH = O_PATH;
const int32_t cl_SEEK_DATA = SEEK_DATA;
const int32_t cl_SEEK_HOLE = SEEK_HOLE;
const int32_t cl_FALLOC_FL_KEEP_SIZE = FALLOC_FL_KEEP_SIZE;
const int32_t cl_FALLOC_FL_PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE;
const int32_t cl_FALLOC_FL_ZERO_RANGE = FALLOC_FL_ZERO_RANGE;

static struct flock lock_of(int32_t type, int64_t start, int64_t length) {
  return (struct flock){
      .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

int32_t cl_ofd_set(int32_t fd, int32_t type, int64_t start, int64_t length) {
  struct flock lock = lock_of(type, start, length);
  return fcntl(fd, F_OFD_SETLK, &lock);
}

int32_t cl_ofd_would_clash(int32_t fd, int64_t start, int64_t length) {
  struct flock lock = lock_of(F_WRLCK, start, length);
  if (fcntl(fd, F_OFD_GETLK, &lock) == -1) return -1;
  return lock.l_type != F_UNLCK;
}

int32_t cl_status_flags(int32_t fd) { return fcntl(fd, F_GETFL); }

int32_t cl_fallocate(int32_t fd, int32_t mode, int64_t offset, int64_t length) {
  return fallocate(fd, mode, offset, length);
}

int64_t cl_copy_file_range(
    int32_t source, int64_t source_offset, int32_t target, int64_t target_offset, int64_t length) {
  off_t from = source_offset, to = target_offset;
  return copy_file_range(source, &from, target, &to, (size_t)length, 0);
}

int64_t cl_read_cached(int32_t fd, const struct iovec *parts, int32_t count, int64_t offset) {
  ssize_t result = preadv2(fd, parts, count, offset, RWF_NOWAIT);
  return result == -1 ? -errno : result;
}

int32_t cl_start_write_back(int32_t fd, int64_t offset, int64_t length) {
  return sync_file_range(fd, offset, length, SYNC_FILE_RANGE_WRITE);
}

int32_t cl_clone_range(
    int32_t source, int64_t source_offset, int32_t target, int64_t target_offset, int64_t length) {
  struct file_clone_range range = {
      .src_fd = source,
      .src_offset = (uint64_t)source_offset,
      .src_length = (uint64_t)length,
      .dest_offset = (uint64_t)target_offset};
  return ioctl(target, FICLONERANGE, &range);
}

int32_t cl_open_beneath(int32_t root, const char *path, int32_t flags) {
  struct open_how how = {
      .flags = (uint64_t)(uint32_t)flags,
      .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  // Where something is renamed anywhere at that moment, the kernel cannot tell where ".." leads,
  // and asks to try again.
  int32_t fd = -1;
  for (int tries = 0; tries < 1000; tries++) {
    fd = (int32_t)syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return fd;
}

int32_t cl_direct_alignment(int32_t fd) {
#ifdef STATX_DIOALIGN
  struct statx status;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
      (status.stx_mask & STATX_DIOALIGN)) {
    uint32_t memory = status.stx_dio_mem_align, offset = status.stx_dio_offset_align;
    return (int32_t)(memory > offset ? memory : offset);
  }
#endif
  return 0;
}

int64_t cl_device_size(int32_t fd) {
  uint64_t size;
  return ioctl(fd, BLKGETSIZE64, &size) == -1 ? -1 : (int64_t)size;
}

int32_t cl_device_block_size(int32_t fd) {
  int size;
  return ioctl(fd, BLKSSZGET, &size) == -1 ? -1 : size;
}

int32_t cl_device_discard(int32_t fd, int64_t offset, int64_t length) {
  uint64_t range[2] = {(uint64_t)offset, (uint64_t)length};
  return ioctl(fd, BLKDISCARD, range);
}

int32_t cl_terminal_columns(int32_t fd) {
  struct winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == -1 ? 0 : size.ws_col;
}

int64_t cl_next_number(DIR *directory) {
  struct dirent *entry;
  while ((entry = readdir(directory))) {
    char *end;
    long number = strtol(entry->d_name, &end, 10);
    if (end != entry->d_name && *end == 0 && number >= 0) return number;
  }
  return -1;
}
