import CLinux

/// How the process takes memory from the system.
package enum ProcessMemory {
  /// Lets all threads take memory from one place. By default the system's allocator has several,
  /// and what one lane frees in its own the others cannot use: with the tables of a large image
  /// that came to a quarter of the peak. To be called before there is a second thread.
  package static func useOneArena() { cl_use_one_arena() }
}
