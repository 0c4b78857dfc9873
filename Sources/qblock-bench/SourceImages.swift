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
    for (file, below) in zip(plan.files, [nil] + plan.files.map(Optional.some)) {
      if file == .overlay, let compression = plan.compression {
        try makeCompressed(compression)
      } else {
        try make(file, over: below)
      }
    }
    // qemu-io does not always say that a command has failed.
    if plan.changesImages {
      guard try directory.allocatedBytes(of: .overlay) >= plan.leastOverlayBytes else {
        throw .sentence("qemu-io has not written all of \(directory.path(of: .overlay))")
      }
    }
    if !plan.files.isEmpty { try ChildProcess.run(["sync"] + plan.files.map(directory.path(of:))) }
  }

  /// Options of all images; for the backing files see `make`.
  private static let clusters = ["-o", "cluster_size=\(WorkloadPlan.clusterSize)"]

  /// An image by itself, or over `below`, which it names without a directory, so that a copy of all
  /// is a chain as well.
  private func make(_ file: WorkDirectory.File, over below: WorkDirectory.File?) throws(Failure) {
    let path = directory.path(of: file)
    var words = ["qemu-img", "create", "-q", "-f", below == nil ? plan.baseFormat : "qcow2"]
    if below != nil || plan.baseFormat == "qcow2" { words += Self.clusters }
    let isPreallocated = file == plan.preallocated
    if isPreallocated { words += ["-o", "preallocation=metadata"] }
    var backing: [String] = []
    if let below {
      backing = ["-b", below.name, "-F", below == .base ? plan.baseFormat : "qcow2"]
    }
    if !isPreallocated { words += backing }
    try ChildProcess.run(words + [path, "\(plan.virtualSize)"])
    // qemu-img makes no tables for an image that has a backing file.
    if isPreallocated, below != nil {
      try ChildProcess.run(["qemu-img", "rebase", "-u", "-f", "qcow2"] + backing + [path])
    }
    let commands = plan.commands(for: file)
    if commands.isEmpty { return }
    try directory.write(commands, to: .commands)
    try ChildProcess.run(
      [
        "qemu-io", "-t", "unsafe", "-d", "unmap", "-f", below == nil ? plan.baseFormat : "qcow2",
        path,
      ],
      input: directory.path(of: .commands))
    directory.remove([.commands])
  }

  private func makeCompressed(_ method: String) throws(Failure) {
    let (base, overlay) = (directory.path(of: .base), directory.path(of: .overlay))
    try TextFile(bytes: plan.dataBytes).write(to: directory)
    try ChildProcess.run(
      ["qemu-img", "convert", "-q", "-c", "-f", "raw", "-O", "qcow2", "-B", base]
        + ["-F", plan.baseFormat] + Self.clusters + ["-o", "compression_type=\(method)"]
        + [directory.path(of: .text), overlay])
    directory.remove([.text])
    try ChildProcess.run(
      ["qemu-img", "rebase", "-u", "-f", "qcow2", "-b", WorkDirectory.File.base.name]
        + ["-F", plan.baseFormat, overlay])
  }

  /// Copies them to `target`, holes as holes, and waits until the copies are on the disk.
  func copy(to target: WorkDirectory) throws(Failure) {
    target.remove(plan.files)
    for file in plan.files {
      try ChildProcess.run([
        "cp", "--sparse=always", "--reflink=never", directory.path(of: file), target.path(of: file),
      ])
    }
    if !plan.files.isEmpty { try ChildProcess.run(["sync"] + plan.files.map(target.path(of:))) }
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
      throw .sentence(
        "After \(contender.name(in: plan.workload)) the base is not what it should be: \(text)")
    }
  }
}
