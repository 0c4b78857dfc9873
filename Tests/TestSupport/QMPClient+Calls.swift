package import QMP
package import QMPClient

// The calls that most tests make.

extension QMPClient {
  /// Opens the image at `path` as the node `name`. `backing` is the node under it; by default the
  /// chain comes from the header.
  package func add(
    _ name: String, _ path: String, format: String = "qcow2", backing: BackingReference? = nil,
    dropBitmaps: Bool = false, _ change: (inout BlockdevOptions) -> Void = { _ in }
  ) throws {
    let file = BlockdevReference.options(BlockdevOptions(.file(FileOptions(filename: path))))
    var options = Qcow2Options(file: file, backing: backing)
    options.dropBitmaps = dropBitmaps
    let driver = format == "raw" ? DriverOptions.raw(RawOptions(file: file)) : .qcow2(options)
    var call = BlockdevAdd { $0.options = BlockdevOptions(driver, nodeName: name) }
    change(&call.options)
    try execute(call)
  }

  /// Starts a commit as the job `j`, which stays until it is dismissed.
  package func startCommit(
    of device: String, _ change: (inout BlockCommit) -> Void = { _ in }
  ) throws {
    try execute(
      BlockCommit {
        $0.jobID = "j"
        $0.device = device
        $0.autoDismiss = false
        change(&$0)
      })
  }

  /// Carries a commit through to its end, completing it where it becomes ready.
  package func commit(
    _ device: String, _ change: (inout BlockCommit) -> Void = { _ in }
  ) throws -> JobOutcome {
    try startCommit(of: device, change)
    return try finish()
  }

  /// Carries a stream into `device` through to its end; returns how that ended.
  package func stream(
    _ device: String, _ change: (inout BlockStream) -> Void = { _ in }
  ) throws -> JobOutcome {
    try execute(
      BlockStream {
        $0.jobID = "j"
        $0.device = device
        $0.autoDismiss = false
        change(&$0)
      })
    return try conclude()
  }

  /// Waits for the job `j`, completes it where it becomes ready, dismisses it, and returns how it
  /// ended.
  package func finish() throws -> JobOutcome {
    let first = try wait(until: .ready)
    if first.status == .ready { try execute(JobComplete { $0.id = "j" }) }
    return try conclude()
  }

  /// Waits for the end of the job `j`, which nobody has to complete (any more), dismisses it, and
  /// returns how it ended.
  package func conclude() throws -> JobOutcome {
    let last = try wait(until: .concluded)
    try execute(JobDismiss { $0.id = "j" })
    return last
  }

  /// Waits for the job `j`.
  @discardableResult
  package func wait(until goal: JobWait.Goal) throws -> JobOutcome {
    try execute(
      JobWait {
        $0.id = "j"
        $0.until = goal
      }, timeout: .seconds(60))
  }

  /// Empties `node`; returns how that ended.
  package func makeEmpty(
    _ node: String, _ change: (inout BlockMakeEmpty) -> Void = { _ in }
  ) throws -> JobOutcome {
    try execute(
      BlockMakeEmpty {
        $0.node = node
        $0.job.id = "j"
        $0.job.autoDismiss = false
        change(&$0)
      })
    let outcome = try wait(until: .concluded)
    try execute(JobDismiss { $0.id = "j" })
    return outcome
  }

  /// Writes the first `length` bytes of the file `source` to `node`; returns how that ended.
  package func write(
    _ node: String, at offset: Int, length: Int, from source: String
  ) throws -> JobOutcome {
    try execute(
      BlockWrite {
        $0.node = node
        $0.offset = offset
        $0.length = length
        $0.from = source
        $0.job.id = "j"
        $0.job.autoDismiss = false
      })
    return try conclude()
  }

  /// Closes a node.
  package func remove(_ name: String) throws {
    try execute(BlockdevDel { $0.nodeName = name })
  }
}
