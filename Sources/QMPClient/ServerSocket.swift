import CLinux
import Glibc

/// A blocking stream to the daemon whose waits end at a deadline or by a signal.
///
/// Isolation: one thread at a time.
final class ServerSocket {
  private var descriptor: Int32
  /// Each becomes readable when its signal has arrived.
  private let interrupts: [Int32]

  /// Connects to the Unix socket at `path`.
  init(path: String, interruptedBy signals: [Int32]) throws(QMPClientError) {
    descriptor = cl_unix_socket(0)
    guard descriptor >= 0 else { throw .cannotConnect(path: path, errno: errno) }
    interrupts = signals.map { signal in
      let interrupt = cl_signal_report(signal)
      precondition(interrupt >= 0, "signal \(signal) cannot be caught")
      return interrupt
    }
    var result: Int32
    repeat {
      result = unsafe cl_unix_connect(descriptor, path, path.utf8.count)
    } while result != 0 && errno == EINTR
    guard result == 0 else {
      let number = errno
      close()
      throw number == ENOENT || number == ECONNREFUSED
        ? .noDaemon(path: path) : .cannotConnect(path: path, errno: number)
    }
  }

  deinit { close() }

  /// Ends the connection. Later calls fail with `connectionLost`.
  func close() {
    guard descriptor >= 0 else { return }
    Glibc.close(descriptor)
    descriptor = -1
  }

  /// Sends all of `bytes`; hands what comes meanwhile to `received`, so that neither side waits for
  /// the other to read. A message that was cut off closes the connection: nothing could follow it.
  func send(
    _ bytes: [UInt8], until deadline: ContinuousClock.Instant?,
    _ received: ([UInt8]) -> Void
  ) throws(QMPClientError) {
    var sent = 0
    do throws(QMPClientError) {
      while sent < bytes.count {
        let ready = try wait(for: POLLIN | POLLOUT, until: deadline)
        if ready & POLLOUT != 0 {
          let count = unsafe bytes[sent...].withUnsafeBytes {
            unsafe cl_send(descriptor, $0.baseAddress, $0.count)
          }
          sent += try amount(of: count)
        }
        if ready & POLLIN != 0 { received(try read()) }
      }
    } catch {
      if sent > 0 { close() }
      throw error
    }
  }

  /// Waits for bytes; never returns none.
  func receive(until deadline: ContinuousClock.Instant?) throws(QMPClientError) -> [UInt8] {
    while true {
      _ = try wait(for: POLLIN, until: deadline)
      let bytes = try read()
      if !bytes.isEmpty { return bytes }
    }
  }

  /// What is there, at most 64 KiB; nothing when it was not ready after all.
  private func read() throws(QMPClientError) -> [UInt8] {
    var count: Int64 = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, initialized in
      count = unsafe cl_receive(descriptor, buffer.baseAddress, buffer.count, nil, 0)
      initialized = max(0, Int(count))
    }
    guard count != 0 else { throw .connectionLost(errno: nil) }
    _ = try amount(of: count)
    return bytes
  }

  /// The result of a system call as a number of bytes.
  private func amount(of result: Int64) throws(QMPClientError) -> Int {
    if result >= 0 { return Int(result) }
    guard errno == EAGAIN || errno == EINTR else { throw .connectionLost(errno: errno) }
    return 0
  }

  /// Waits until the socket is ready for one of `events`, or has failed, and returns what poll(2)
  /// says of it (a failure as all of `events`: the next call will find it).
  private func wait(
    for events: Int32, until deadline: ContinuousClock.Instant?
  ) throws(QMPClientError) -> Int32 {
    guard descriptor >= 0 else { throw .connectionLost(errno: nil) }
    while true {
      var polled = [pollfd(fd: descriptor, events: Int16(events), revents: 0)]
      polled += interrupts.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      let count = unsafe poll(
        &polled, nfds_t(polled.count), ServerSocket.milliseconds(to: deadline))
      for (interrupt, entry) in zip(interrupts, polled.dropFirst()) where entry.revents != 0 {
        var times: UInt64 = 0
        if unsafe Glibc.read(interrupt, &times, 8) == 8 { throw .interrupted }
      }
      let ready = Int32(polled[0].revents)
      if ready & events != 0 { return ready & events }
      if ready != 0 { return events }
      if count < 0 && errno != EINTR { throw .connectionLost(errno: errno) }
      if count == 0, let deadline, deadline <= .now { throw .timedOut }
    }
  }

  /// poll's timeout: rounded up, so that it never ends before the deadline.
  private static func milliseconds(to deadline: ContinuousClock.Instant?) -> Int32 {
    guard let deadline else { return -1 }
    let left = ContinuousClock.now.duration(to: deadline)
    guard left > .zero else { return 0 }
    return Int32(min((left / .milliseconds(1)).rounded(.up), Double(Int32.max)))
  }
}
