import Glibc
import QMPClient

/// How `qblockctl make-empty` gets to the moment at which the overlay shows nothing more, as strace
/// sees it: what it writes and flushes until the header names the image's own first tables again
/// (the second switch), after which only space is given back.
///
/// Isolation: value.
struct SwitchTrace {
  /// Flushes of the overlay up to the switch, and all of them.
  private(set) var flushes = (switched: 0, all: 0)
  /// Bytes written into the overlay up to the switch: tables and header.
  private(set) var metadataBytes = 0
  /// Calls that cut the overlay or take holes out of it, after the switch.
  private(set) var cuts = 0
  /// Seconds to the end of the switch's flush: from the start of the process, and from the first
  /// change of the overlay.
  private(set) var seconds = (all: 0.0, changing: 0.0)

  /// Calls that tell it, and the start of a program.
  private static let calls = "execve,fdatasync,pwrite64,pwritev,fallocate,ftruncate"
  /// The end of the header's fields of fixed length; who writes before it switches.
  private static let headerBytes = 104

  /// Empties the overlay in `directory` and looks on. Nil where there is no strace, or where it may
  /// not look.
  static func ofEmptying(in directory: WorkDirectory) throws(Failure) -> SwitchTrace? {
    guard PrivateDaemon.find("strace") != nil else { return nil }
    let overlay = directory.path(of: .overlay)
    let errand = ["qblockctl", "make-empty", "--private", "--force", "-q", overlay]
    let path = directory.path(of: .trace)
    defer { directory.remove([.trace]) }
    do throws(Failure) {
      try ChildProcess.run(
        ["strace", "-f", "-q", "-ttt", "-T", "-y", "-s", "0", "--seccomp-bpf"]
          + ["-e", "signal=none", "-e", "trace=\(calls)", "-o", path]
          + [PrivateDaemon.find(errand[0]) ?? errand[0]] + errand.dropFirst())
    } catch .sentence { return nil }
    return SwitchTrace(ProcessFile.text(path), of: overlay)
  }

  /// What `text`, by strace, says of the file `name`; nil where no switch is in it.
  private init?(_ text: String, of name: String) {
    var start: Double?
    var change: Double?
    var headerWrites = 0
    var isSwitched = false
    // A call that another thread's line has interrupted, by thread.
    var open: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true)
      guard words.count == 3, let time = Double(words[1]) else { continue }
      if start == nil { start = time }
      var call = words[2]
      var end = time
      if call.hasSuffix("<unfinished ...>") {
        open[words[0]] = call
        continue
      }
      if call.hasPrefix("<...") {
        guard let begun = open.removeValue(forKey: words[0]) else { continue }
        call = begun.dropLast("<unfinished ...>".count) + call.drop { $0 != ">" }.dropFirst()
      } else if let lasted = call.split(separator: "<").last?.dropLast() {
        end += Double(lasted) ?? 0
      }
      guard call.contains("<\(name)>") else { continue }
      if change == nil { change = time }
      switch call.prefix(while: { $0 != "(" }) {
      case "fdatasync":
        flushes.all += 1
        if isSwitched { continue }
        flushes.switched += 1
        isSwitched = headerWrites == 2
        if isSwitched { seconds = (end - (start ?? end), end - (change ?? end)) }
      case "pwrite64", "pwritev":
        guard !isSwitched, let equals = call.lastIndex(of: "=") else { continue }
        let result = call[call.index(after: equals)...].split(separator: " ").first
        metadataBytes += result.flatMap { Int($0) } ?? 0
        let offset = call[..<equals].split(separator: " ").last?.prefix { $0.isNumber }
        if let offset = offset.flatMap({ Int($0) }), offset < Self.headerBytes {
          headerWrites += 1
        }
      default: if isSwitched { cuts += 1 }
      }
    }
    if !isSwitched { return nil }
  }
}

extension SwitchTrace: CustomStringConvertible {
  var description: String {
    "the second switch \(milliseconds(seconds.all)) ms after the start, "
      + "\(milliseconds(seconds.changing)) ms after the first change, with \(flushes.switched) "
      + "flushes and \(ByteCount.text(metadataBytes)) of metadata; then \(cuts) cuts; "
      + "\(flushes.all) flushes in all"
  }

  private func milliseconds(_ seconds: Double) -> String {
    ByteCount.fixed(seconds * 1000, places: 1)
  }
}
