/// The base and the overlay of a workload, made once and copied for every run.
///
/// Isolation: the main thread.
struct SourceImages {
  private let directory: WorkDirectory

  /// Makes them in `directory`.
  init(of plan: WorkloadPlan, in directory: WorkDirectory) throws(Failure) {
    self.directory = directory
    let base = directory.path(of: .base)
    let overlay = directory.path(of: .overlay)
    let options = ["-q", "-f", "qcow2", "-o", "cluster_size=\(WorkloadPlan.clusterSize)"]
    try ChildProcess.run(["qemu-img", "create"] + options + [base, "\(plan.virtualSize)"])
    // The backing file is named without a directory, so that a copy of both is a chain as well.
    let backing = ["-b", WorkDirectory.File.base.rawValue, "-F", "qcow2"]
    try ChildProcess.run(["qemu-img", "create"] + options + backing + [overlay])
    try directory.write(plan.commands, to: .commands)
    try ChildProcess.run(
      ["qemu-io", "-t", "unsafe", "-f", "qcow2", overlay], input: directory.path(of: .commands))
    directory.remove([.commands])
    // qemu-io does not always say that a command has failed.
    guard try directory.allocatedBytes(of: .overlay) >= plan.dataBytes else {
      throw .sentence("qemu-io has not written all of \(overlay)")
    }
    try ChildProcess.run(["sync", base, overlay])
  }

  /// Copies them to `target`, holes as holes, and waits until the copies are on the disk.
  func copy(to target: WorkDirectory) throws(Failure) {
    target.remove([.base, .overlay])
    for file in [WorkDirectory.File.base, .overlay] {
      try ChildProcess.run([
        "cp", "--sparse=always", "--reflink=never", directory.path(of: file), target.path(of: file),
      ])
    }
    try ChildProcess.run(["sync", target.path(of: .base), target.path(of: .overlay)])
  }

  /// Checks that the base in `committed` alone shows what the overlay here shows.
  func compare(with committed: WorkDirectory, after contender: Contender) throws(Failure) {
    do throws(Failure) {
      try ChildProcess.run([
        "qemu-img", "compare", "-q", "-f", "qcow2", "-F", "qcow2", directory.path(of: .overlay),
        committed.path(of: .base),
      ])
    } catch .sentence(let text) {
      throw .sentence("After \(contender.rawValue) the base is not what it should be: \(text)")
    }
  }
}
