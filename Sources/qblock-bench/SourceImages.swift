/// The base and the overlay of a workload, made once and copied for every run.
///
/// Isolation: the main thread.
struct SourceImages {
  private let directory: WorkDirectory
  private let plan: WorkloadPlan

  /// Makes them in `directory`.
  init(of plan: WorkloadPlan, in directory: WorkDirectory) throws(Failure) {
    self.directory = directory
    self.plan = plan
    let (base, overlay) = (directory.path(of: .base), directory.path(of: .overlay))
    let clusters = "cluster_size=\(WorkloadPlan.clusterSize)"
    let options = plan.baseFormat == "raw" ? [] : ["-o", clusters]
    try ChildProcess.run(
      ["qemu-img", "create", "-q", "-f", plan.baseFormat] + options + [base, "\(plan.virtualSize)"])
    try fill(.base, plan.baseFormat, plan.baseCommands)
    // The backing file is named without a directory, so that a copy of both is a chain as well.
    let backing = ["-F", plan.baseFormat, "-o", clusters]
    if let compression = plan.compression {
      try TextFile(bytes: plan.dataBytes).write(to: directory)
      try ChildProcess.run(
        ["qemu-img", "convert", "-q", "-c", "-f", "raw", "-O", "qcow2", "-B", base]
          + backing + ["-o", "compression_type=\(compression)"]
          + [directory.path(of: .text), overlay])
      directory.remove([.text])
      try ChildProcess.run(
        ["qemu-img", "rebase", "-u", "-f", "qcow2", "-b", WorkDirectory.File.base.rawValue]
          + ["-F", plan.baseFormat, overlay])
    } else {
      try ChildProcess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", WorkDirectory.File.base.rawValue]
          + backing + [overlay])
      try fill(.overlay, "qcow2", plan.commands)
    }
    // qemu-io does not always say that a command has failed.
    guard try directory.allocatedBytes(of: .overlay) >= plan.leastOverlayBytes else {
      throw .sentence("qemu-io has not written all of \(overlay)")
    }
    try ChildProcess.run(["sync", base, overlay])
  }

  private func fill(
    _ file: WorkDirectory.File, _ format: String, _ commands: String
  ) throws(Failure) {
    if commands.isEmpty { return }
    try directory.write(commands, to: .commands)
    try ChildProcess.run(
      ["qemu-io", "-t", "unsafe", "-f", format, directory.path(of: file)],
      input: directory.path(of: .commands))
    directory.remove([.commands])
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
        "qemu-img", "compare", "-q", "-f", "qcow2", "-F", plan.baseFormat,
        directory.path(of: .overlay),
        committed.path(of: .base),
      ])
    } catch .sentence(let text) {
      throw .sentence("After \(contender.rawValue) the base is not what it should be: \(text)")
    }
  }
}
