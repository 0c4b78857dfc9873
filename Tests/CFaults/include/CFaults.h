#ifndef CFAULTS_H
#define CFAULTS_H

#include <stdint.h>

// System calls that fail on demand. A program that this is linked into has these definitions of
// pread, pwrite, preadv, pwritev, fdatasync, ftruncate, fallocate, copy_file_range and ioctl (of
// FICLONERANGE) instead of the C library's; they pass everything on, but for files with a plan.

/// What happens to calls on some files.
typedef struct {
  /// The error number that a call fails with; 0 for a call that does only a part of its work.
  int32_t error;
  /// How many calls that could fail so still come through before the first that does.
  int64_t after;
  /// Whether later calls fail too; of those that are interrupted, and made again, each second.
  int32_t lasts;
  /// The device and the numbers of the files.
  uint64_t device;
  uint64_t files[8];
  int32_t file_count;
  /// Which files have changes that no flush has kept yet.
  int32_t is_dirty[8];
  /// Calls that could fail so, calls that did, and flushes of such files among those.
  int64_t calls, failures, lost_flushes;
  /// Bytes that were copied to such files inside the kernel.
  int64_t copied;
} cfaults_plan;

/// From now on `plan` holds, and counts, until `cfaults_disarm`. Returns 0 where there are too
/// many.
int32_t cfaults_arm(cfaults_plan *plan);
void cfaults_disarm(cfaults_plan *plan);

#endif
