import Glibc

/// How many files the process may have open.
package enum OpenFileLimit {
  /// Raises the limit to `needed`, as far as the system lets the process; returns what it is then.
  package static func raise(to needed: Int) -> Int {
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    guard unsafe getrlimit(resource, &limit) == 0 else { return needed }
    let old = Int(clamping: limit.rlim_cur)
    guard old < needed else { return old }
    limit.rlim_cur = min(rlim_t(clamping: needed), limit.rlim_max)
    return unsafe setrlimit(resource, &limit) == 0 ? Int(clamping: limit.rlim_cur) : old
  }
}
