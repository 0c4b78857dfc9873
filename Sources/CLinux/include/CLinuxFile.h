#ifndef CLINUX_FILE_H
#define CLINUX_FILE_H

// What Swift's Glibc module hides because it is built without _GNU_SOURCE, or cannot import because
// it is variadic or a function-like macro. Functions return what the system call returns: -1 and
// errno on failure, unless told otherwise.

#include <dirent.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

// Values differ between architectures and are defined in file.c from the system's own headers.
extern const int32_t cl_O_DIRECT;
extern const int32_t cl_O_PATH;
extern const int32_t cl_SEEK_DATA;
extern const int32_t cl_SEEK_HOLE;
extern const int32_t cl_FALLOC_FL_KEEP_SIZE;
extern const int32_t cl_FALLOC_FL_PUNCH_HOLE;
extern const int32_t cl_FALLOC_FL_ZERO_RANGE;

/// Sets (`F_RDLCK`) or drops (`F_UNLCK`) an open-file-description lock without waiting.
int32_t cl_ofd_set(int32_t fd, int32_t type, int64_t start, int64_t length);

/// Whether a write lock on these bytes would clash with another open file description: 1 or 0.
int32_t cl_ofd_would_clash(int32_t fd, int64_t start, int64_t length);

/// fcntl(F_GETFL).
int32_t cl_status_flags(int32_t fd);

int32_t cl_fallocate(int32_t fd, int32_t mode, int64_t offset, int64_t length);

/// Returns the bytes copied; 0 at the source's end.
int64_t cl_copy_file_range(
    int32_t source, int64_t source_offset, int32_t target, int64_t target_offset, int64_t length);

/// ioctl(FICLONERANGE): shares the source's blocks.
int32_t cl_clone_range(
    int32_t source, int64_t source_offset, int32_t target, int64_t target_offset, int64_t length);

/// Reads what the page cache holds of the bytes from `offset` on, as far as it holds the first of
/// them. Returns how many came, or a negative error number: -EAGAIN where the first is not there.
int64_t cl_read_cached(int32_t fd, const struct iovec *parts, int32_t count, int64_t offset);

/// sync_file_range(SYNC_FILE_RANGE_WRITE): lets the disk begin to write these bytes.
int32_t cl_start_write_back(int32_t fd, int64_t offset, int64_t length);

/// Opens `path` below the directory `root`, which no `..`, symbolic link or magic link may leave.
int32_t cl_open_beneath(int32_t root, const char *path, int32_t flags);

/// The alignment that direct I/O needs on this open file, memory and offsets alike; 0 where the
/// kernel does not say.
int32_t cl_direct_alignment(int32_t fd);

/// A block device's length in bytes.
int64_t cl_device_size(int32_t fd);

/// A block device's logical block in bytes.
int32_t cl_device_block_size(int32_t fd);

/// Tells a block device that these bytes are not needed.
int32_t cl_device_discard(int32_t fd, int64_t offset, int64_t length);

/// The next entry of a directory that is a number, as in /proc; -1 after the last one.
int64_t cl_next_number(DIR *directory);

/// The columns of the terminal `fd`; 0 where it has none to tell.
int32_t cl_terminal_columns(int32_t fd);

#endif
