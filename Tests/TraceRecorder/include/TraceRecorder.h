// A library to be preloaded (LD_PRELOAD) into a program, ours or another: it writes down, in the
// order in which they are done, all changes that the program makes to the files of one directory,
// and the events that it sends to its clients. It can also kill the program at one of them.
//
// It is told by the environment:
//
//   TRACE_RECORDER_DIRECTORY   the directory, without symbolic links; files in it must exist before
//                              they are changed, and have no blank in their names
//   TRACE_RECORDER_OUTPUT      the file that the trace is appended to
//   TRACE_RECORDER_KILL_AT     optional: N, the change or flush at which SIGKILL is raised, the
//                              first being 1; it is not done
//   TRACE_RECORDER_KILL_CUT    optional: where that is a write, so many of its bytes are written
//                              first; fewer, where that is not the end of a page of the file
//   TRACE_RECORDER_LOSE_AT     optional: N; where that is a write, it is not done, but the program
//                              is told that it is: an error for a test to find
//
//   TRACE_RECORDER_HOLD        optional: a FIFO; before each read, change and flush of such a file the
//                              program waits until somebody has it open for writing: a disk that
//                              does not answer
//
// The trace is text, one operation a line, words parted by one blank, numbers decimal:
//
//   write FILE OFFSET BYTES    BYTES are at OFFSET, two lower-case hexadecimal digits each
//   copy FILE OFFSET BYTES     the same, by a copy inside the kernel
//   zero FILE OFFSET LENGTH    the range reads zero; the file grows up to its end
//   punch FILE OFFSET LENGTH   what lies in the file of the range reads zero
//   truncate FILE LENGTH       the file has this length; what came in reads zero
//   flush-begin FILE           a flush (fsync, fdatasync) begins
//   flush-end FILE             the oldest flush that has begun has succeeded
//   hold FILE                  a call waits, or does not, for TRACE_RECORDER_HOLD
//   event NAME                 a message with "event": NAME has gone out
//
// A change is written down when it has been made, what it depended on having been written down
// before. Only system calls by their C names are seen: no mapped memory, io_uring or Linux-native
// AIO. To let files share blocks is refused with EOPNOTSUPP, for which every program has another
// way. What is missed nonetheless shows when the trace, replayed, does not give the files.
#pragma once
