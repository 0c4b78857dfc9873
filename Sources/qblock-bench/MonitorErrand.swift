import Glibc
import JSONValue
import QMP
import QMPClient

/// The start of a daemon, commands on its monitor, what comes of them, and its end.
///
/// Isolation: the main thread.
struct MonitorErrand {
  private let daemon: [String]
  private let socket: String
  private let requests: [(command: String, arguments: JSONObject)]
  /// The event that is waited for; nil: nothing but the answers.
  private let last: String?
  /// How often `RoundTrips` are asked for.
  private let questions: Int

  /// What `contender` does for `plan` with the files of `directory`.
  init(of plan: WorkloadPlan, for contender: Contender, in directory: WorkDirectory) {
    socket = directory.path(of: .socket)
    questions = plan.questions
    let ours = contender == .ours
    let monitor = ["--chardev", "socket,id=c,path=\(socket),server=on,wait=off", "--monitor", "c"]
    var words =
      ours
      ? ["qblockd", "--log-level", "warning", "--socket", socket]
      : ["qemu-storage-daemon"] + monitor
    if plan.files.isEmpty {
      (daemon, last) = (words, nil)
      requests = [("query-version", [:])]
      return
    }
    var chain: JSONValue = .null
    for file in plan.files {
      let source: JSONValue = ["driver": "file", "filename": .string(directory.path(of: file))]
      chain = [
        "driver": "qcow2", "node-name": .string(name(of: file)), "file": source,
        "backing": chain,
      ]
    }
    words += ["--blockdev", "\(chain)"]
    daemon = words
    var commit: JSONObject = ["job-id": "j", "device": "overlay", "base-node": "base"]
    if plan.workload == .intermediate {
      commit.append("top-node", "layer1")
      commit.append("backing-file", .string(WorkDirectory.File.base.name))
      last = "BLOCK_JOB_COMPLETED"
    } else {
      last = "BLOCK_JOB_READY"
    }
    requests = [("block-commit", commit)]
  }

  /// Does all of it, and tells what the daemon took.
  func run() throws(Failure) -> ErrandResult {
    var roundTrips: [RoundTrips] = []
    let process = try ChildProcess.start(daemon)
    defer { unsafe unlink(socket) }
    do throws(QMPClientError) {
      let client = try connect()
      for request in requests { try client.execute(request.command, request.arguments) }
      while let last, try client.nextEvent()?.name != last {}
      for command in ["query-version", "query-jobs"] where questions > 0 {
        roundTrips.append(try RoundTrips(of: command, count: questions, by: client))
      }
      do throws(QMPClientError) {
        try client.execute("quit")
      } catch .connectionLost {
        // QEMU's daemon may be gone before its answer is. How it ended is looked at below.
      }
    } catch {
      process.stop()
      throw .sentence("\(daemon[0]): \(error)")
    }
    return ErrandResult(usage: try process.end(), roundTrips: roundTrips)
  }

  /// A session with the daemon, as soon as it listens.
  private func connect() throws(QMPClientError) -> QMPClient {
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(10)
    while true {
      do throws(QMPClientError) {
        return try QMPClient(connectingTo: socket)
      } catch {
        if clock.now > deadline { throw error }
        usleep(500)
      }
    }
  }
}

/// The name of the node of `file`.
private func name(of file: WorkDirectory.File) -> String {
  String(file.name.prefix { $0 != "." })
}
