import Foundation
import JSONValue
import QMP
import TestSupport

/// A bare connection to a monitor, ours or QEMU's: what is sent is sent as it is, and nothing is
/// negotiated unless asked for.
///
/// Isolation: one thread at a time.
final class MonitorSocket {
  /// Why a message did not come.
  enum Failure: Error, Equatable {
    case closed
    case timedOut
    case malformed(String)
  }

  private let descriptor: Int32
  private var framer = MessageFramer(limits: .answer)
  private var events: [JSONObject] = []
  private var answers: [JSONObject] = []

  /// Connects to the socket at `path`.
  convenience init(_ path: String) throws {
    self.init(adopting: try openUnixSocket(path) { connect($0, $1, $2) })
  }

  /// The session on a socket that is connected already.
  init(adopting descriptor: Int32) { self.descriptor = descriptor }

  /// The connection that has come to `listener`.
  static func accept(_ listener: Int32) throws -> Int32 {
    let descriptor = Glibc.accept(listener, nil, nil)
    guard descriptor >= 0, fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else {
      throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
    }
    return descriptor
  }

  deinit { close(descriptor) }

  /// A connection that has read the greeting and negotiated.
  static func negotiated(_ path: String) throws -> MonitorSocket {
    let monitor = try MonitorSocket(path)
    try monitor.negotiate()
    return monitor
  }

  /// Negotiates, and before that reads the greeting unless it was `greeted`.
  func negotiate(greeted: Bool = false) throws {
    if !greeted { _ = try next() }
    _ = try answer(to: #"{"execute": "qmp_capabilities"}"#)
  }

  /// Sends `text` and nothing after it.
  func send(_ text: String) throws { try send(Array(text.utf8)) }

  /// Sends these bytes.
  func send(_ bytes: [UInt8]) throws {
    var bytes = bytes[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw Failure.closed }
      bytes = bytes.dropFirst(count)
    }
  }

  /// Sends `text` with duplicates of these descriptors beside it.
  func send(_ text: String, passing passed: [Int32]) throws {
    let headerBytes = MemoryLayout<cmsghdr>.stride
    let length = headerBytes + 4 * passed.count
    var control = [UInt8](repeating: 0, count: (length + 7) / 8 * 8)
    var header = cmsghdr()
    header.cmsg_len = length
    header.cmsg_level = SOL_SOCKET
    header.cmsg_type = Int32(SCM_RIGHTS)
    control.withUnsafeMutableBytes {
      $0.storeBytes(of: header, as: cmsghdr.self)
      for (index, number) in passed.enumerated() {
        $0.storeBytes(of: number, toByteOffset: headerBytes + 4 * index, as: Int32.self)
      }
    }
    var payload = Array(text.utf8)
    let sent = control.withUnsafeMutableBytes { control in
      payload.withUnsafeMutableBytes { payload in
        var vector = iovec(iov_base: payload.baseAddress, iov_len: payload.count)
        return withUnsafeMutablePointer(to: &vector) { vector in
          var message = msghdr()
          message.msg_iov = vector
          message.msg_iovlen = 1
          message.msg_control = control.baseAddress
          message.msg_controllen = control.count
          return sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
        }
      }
    }
    guard sent == payload.count else { throw Failure.closed }
  }

  /// Sends `text` with these descriptors and returns the answer to it.
  func answer(to text: String, passing passed: [Int32]) throws -> JSONObject {
    try send(text, passing: passed)
    return try nextAnswer()
  }

  /// Sends no more; what the server still has to say can be read.
  func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// The next message of any kind that was not taken yet.
  func next(within seconds: Double = 20) throws -> JSONObject {
    let deadline = Date(timeIntervalSinceNow: seconds)
    while true {
      switch framer.next() {
      case .message(let message): return message
      case .error(let error): throw Failure.malformed(error.message)
      case nil: try receive(until: deadline)
      }
    }
  }

  /// The next answer; events that come before it wait for `event`.
  func nextAnswer(within seconds: Double = 20) throws -> JSONObject {
    while answers.isEmpty { try sort(try next(within: seconds)) }
    return answers.removeFirst()
  }

  /// Sends `text` and returns the answer to it.
  func answer(to text: String) throws -> JSONObject {
    try send(text)
    return try nextAnswer()
  }

  /// The next event that `matches`; those before it are dropped.
  func event(
    within seconds: Double = 20, where matches: (JSONObject) -> Bool
  ) throws -> JSONObject {
    while true {
      while !events.isEmpty {
        let event = events.removeFirst()
        if matches(event) { return event }
      }
      try sort(try next(within: seconds))
    }
  }

  private func sort(_ message: JSONObject) throws {
    if message["event"] != nil { events.append(message) } else { answers.append(message) }
  }

  private func receive(until deadline: Date) throws {
    var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    let milliseconds = max(0, deadline.timeIntervalSinceNow * 1000)
    guard poll(&polled, 1, Int32(milliseconds.rounded(.up))) > 0 else { throw Failure.timedOut }
    let bytes = [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, count in
      count = max(0, recv(descriptor, buffer.baseAddress, buffer.count, 0))
    }
    guard !bytes.isEmpty else { throw Failure.closed }
    framer.receive(bytes)
  }
}

extension JSONObject {
  /// The class of the error that this answer holds.
  var errorClass: String? { self["error"]?["class"]?.stringValue }
  /// The sentence of the error that this answer holds.
  var errorSentence: String? { self["error"]?["desc"]?.stringValue }
}
