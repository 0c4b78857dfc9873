import BlockCore
package import BlockRuntime
import CLinux
import Glibc

/// One connected stream socket: bytes in to a handler, bytes out through a bounded outbox. No call
/// ever waits for the peer.
///
/// A peer that does not read what it is sent is read no further while half the outbox is full
/// (`isCongested`), and is closed when something does not fit in: what waits is at most
/// `outboxLimit` bytes. Only an answer may be longer: one that comes while no more than that waits
/// is taken whole, with room for half as much behind it. A peer that sends no more (it has closed
/// its half) is still sent what waits.
///
/// Of the descriptors that a peer passes along with its bytes (SCM_RIGHTS) the kernel closes all,
/// unless `takesDescriptors` is set: then the first of each message to the socket is kept, until
/// the owner takes it or the next one comes.
///
/// Isolation: control plane. It keeps itself alive until it is closed.
@ControlPlane
package final class Connection {
  /// What a connection tells its owner, always on the control plane. None is called after `closed`.
  package struct Handlers: Sendable {
    /// Bytes have come, at most `Connection.readBytes` of them, never none.
    package var received: @Sendable @ControlPlane ([UInt8]) -> Void
    /// The peer sends no more. The owner calls `finish` when it has sent its last answer.
    package var ended: @Sendable @ControlPlane () -> Void
    /// The connection is congested no more; never called from inside a call to it.
    package var eased: @Sendable @ControlPlane () -> Void
    /// It is over; called once, and never from inside a call to the connection.
    package var closed: @Sendable @ControlPlane (CloseReason) -> Void

    package init(
      received: @escaping @Sendable @ControlPlane ([UInt8]) -> Void,
      ended: @escaping @Sendable @ControlPlane () -> Void,
      eased: @escaping @Sendable @ControlPlane () -> Void = {},
      closed: @escaping @Sendable @ControlPlane (CloseReason) -> Void
    ) {
      self.received = received
      self.ended = ended
      self.eased = eased
      self.closed = closed
    }
  }

  /// Why a connection is over.
  package enum CloseReason: Hashable, Sendable {
    /// `finish` was called, and everything was handed to the system.
    case finished
    /// `finish` was called, but the peer did not read the rest in time.
    case notRead
    /// The peer did not read, and what it was to be sent did not fit in any more.
    case outboxFull
    /// The connection broke, with the system's error number.
    case broken(errno: Int32)
    /// `close` was called.
    case closed
  }

  /// Bytes handed to `received` at once.
  package nonisolated static let readBytes = 64 << 10
  /// The usual bound of an outbox: thousands of events.
  package nonisolated static let outboxBytes = 1 << 20
  /// How long `finish` waits for a peer that does not read.
  package nonisolated static let patience = Duration.seconds(10)

  /// Who connected; nil where the system does not say.
  package let peer: PeerCredentials?
  /// Whether so much waits to be sent that the owner should not do what gives more: half of what
  /// may wait.
  package private(set) var isCongested = false
  /// Whether the owner wants to have what the peer passes.
  package var takesDescriptors = false

  private let descriptor: Int32
  private let outboxLimit: Int
  private let patience: Duration
  private var outbox = Outbox()
  /// What may wait besides `outboxLimit`, while a long answer is sent.
  private var allowance = 0
  private var handlers: Handlers?
  private var reader: ReadinessSource?
  private var writer: ReadinessSource?
  private var deadline: ControlTimer?
  private var state = State.new
  /// The owner does not want bytes for now.
  private var isPaused = false
  /// What the peer has passed, and nobody has taken.
  private var passed: OwnedDescriptor?

  private enum State {
    /// Not started.
    case new
    /// Both directions are open.
    case open
    /// The peer sends no more.
    case ended
    /// The owner sends no more, and nothing more is read.
    case finishing
    case closed
  }

  /// Takes over a connected, non-blocking stream socket.
  package init(
    adopting descriptor: Int32, outboxLimit: Int = Connection.outboxBytes,
    patience: Duration = Connection.patience
  ) {
    precondition(outboxLimit > 0)
    self.descriptor = descriptor
    self.outboxLimit = outboxLimit
    self.patience = patience
    peer = PeerCredentials(of: descriptor)
  }

  /// Begins to read. Called once, before anything else but `close`.
  package func start(_ handlers: Handlers) {
    precondition(state == .new, "started twice")
    state = .open
    self.handlers = handlers
    reader = ReadinessSource(descriptor, .read) { self.read() }
    writer = ReadinessSource(descriptor, .write) { self.write() }
    updateReading()
  }

  /// Sends `bytes` when the peer can take them. Does nothing on a connection that is finishing or
  /// closed. Closes the connection when they do not fit into the outbox.
  package func send(_ bytes: [UInt8]) {
    precondition(state != .new)
    guard state == .open || state == .ended else { return }
    guard outbox.count + bytes.count <= outboxLimit + allowance else { return close(.outboxFull) }
    let wasEmpty = outbox.isEmpty
    outbox.append(bytes)
    if wasEmpty { write() } else { updateReading() }
  }

  /// The same for what the peer has asked for, and what may be longer than the outbox: it has to
  /// fit in only where more than `outboxLimit` waits already.
  package func send(answer bytes: [UInt8]) {
    if outbox.count <= outboxLimit, outbox.count + bytes.count > outboxLimit {
      allowance = max(allowance, outbox.count + bytes.count - outboxLimit / 2)
    }
    send(bytes)
  }

  /// Closes the connection when all that waits has been sent. Reads no more.
  package func finish() {
    precondition(state != .new)
    guard state == .open || state == .ended else { return }
    state = .finishing
    updateReading()
    guard !outbox.isEmpty else { return close(.finished) }
    deadline = ControlTimer(after: patience) { self.close(.notRead) }
  }

  /// Closes the connection at once; what waits is not sent. Does nothing on a closed one.
  package func close() { close(.closed) }

  /// Stops the calls of `received` until `resumeReading`; the peer waits once the system's buffers
  /// are full. For an owner that has to think before it takes the next message.
  package func pauseReading() {
    isPaused = true
    updateReading()
  }

  /// Takes `pauseReading` back.
  package func resumeReading() {
    isPaused = false
    updateReading()
  }

  /// Whether the peer has passed a descriptor that nobody has taken.
  package var hasDescriptor: Bool { passed != nil }

  /// Hands over the descriptor that the peer passed last, if nobody has taken it. To let go of the
  /// answer closes it.
  package func takeDescriptor() -> OwnedDescriptor? { passed.take() }

  // MARK: - Readiness

  private func updateReading() {
    isCongested = outbox.count > outboxLimit / 2
    if !isCongested { allowance = 0 }
    if state == .open && !isPaused && !isCongested { reader?.resume() } else { reader?.suspend() }
  }

  private func read() {
    guard state == .open, !isPaused else { return }
    var failure: Int32 = 0
    var passed: Int32 = -1
    let most = takesDescriptors ? 1 : 0 as Int32
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: Connection.readBytes) { buffer, count in
      let received = unsafe cl_receive(
        descriptor, buffer.baseAddress, buffer.count, &passed, most)
      failure = received < 0 ? errno : 0
      count = max(0, Int(received))
    }
    if passed >= 0 { self.passed = OwnedDescriptor(owning: passed) }
    switch failure {
    case 0 where bytes.isEmpty:
      state = .ended
      updateReading()
      handlers?.ended()
    case 0: handlers?.received(bytes)
    case EAGAIN, EINTR: break
    default: close(.broken(errno: failure))
    }
  }

  /// Sends what the system takes, and waits for the rest to be wanted.
  private func write() {
    var failure: Int32 = 0
    outbox.take { bytes in
      var sent = 0
      while sent < bytes.byteCount {
        let count = unsafe bytes.extracting(sent...).withUnsafeBytes {
          unsafe cl_send(descriptor, $0.baseAddress, $0.count)
        }
        if count >= 0 {
          sent += Int(count)
        } else if errno != EINTR {
          failure = errno
          break
        }
      }
      return sent
    }
    guard failure == 0 || failure == EAGAIN else { return close(.broken(errno: failure)) }
    if outbox.isEmpty { writer?.suspend() } else { writer?.resume() }
    if outbox.isEmpty && state == .finishing { return close(.finished) }
    let wasCongested = isCongested
    updateReading()
    if wasCongested && !isCongested { handlers?.eased() }
  }

  private func close(_ reason: CloseReason) {
    guard state != .closed else { return }
    state = .closed
    deadline = nil
    outbox.clear()
    passed = nil
    let sources = [reader, writer].compactMap(\.self)
    (reader, writer) = (nil, nil)
    // The descriptor's number must not come back to life under a source that still knows it.
    let last = OwnedDescriptor(owning: descriptor)
    for source in sources { source.cancel { withExtendedLifetime(last) {} } }
    if let closed = handlers?.closed { ControlPlane.post { closed(reason) } }
    handlers = nil
  }
}
