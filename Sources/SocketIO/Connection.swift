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
/// its half) is still sent what waits. One that is gone altogether is noticed at once, also while
/// nothing is read from it.
///
/// Of the descriptors that a peer passes along with its bytes (SCM_RIGHTS) the kernel closes all,
/// unless `takesDescriptors` is set: then the first of each message to the socket is kept, until
/// the owner takes it or lets go of it, or too many others have come.
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
    /// The peer did not read, or not enough, and all outboxes together held too much.
    case overBudget
    /// The peer is gone, and what it asked for last can be answered no more.
    case hungUp
    /// The connection broke, with the system's error number.
    case broken(errno: Int32)
    /// `close` was called.
    case closed
  }

  /// Bytes handed to `received` at once.
  package nonisolated static let readBytes = 64 << 10
  /// The usual bound of an outbox: thousands of events.
  package nonisolated static let outboxBytes = 1 << 20
  /// The most descriptors of a peer that wait to be taken; those that come then are closed.
  private nonisolated static let mostPassed = 16
  /// How long `finish` waits for a peer that does not read.
  package nonisolated static let patience = Duration.seconds(10)

  /// Who connected; nil where the system does not say.
  package let peer: PeerCredentials?
  /// Whether so much waits to be sent that the owner should not do what gives more: half of what
  /// may wait, or anything while all connections together hold too much.
  package var isCongested: Bool {
    outbox.count > outboxLimit / 2 || !outbox.isEmpty && budget?.isOver == true
  }
  /// Whether the owner wants to have what the peer passes.
  package var takesDescriptors = false

  private let descriptor: Int32
  private let outboxLimit: Int
  private let patience: Duration
  private let budget: OutboxBudget?
  private var outbox = Outbox()
  /// What may wait besides `outboxLimit`, while a long answer is sent.
  private var allowance = 0
  /// Bytes sent so far, and up to where the peer has to read, and since when it should.
  private var sent = 0
  private var toRead = (mark: 0, since: ContinuousClock.now)
  private var handlers: Handlers?
  private var reader: ReadinessSource?
  private var writer: ReadinessSource?
  private var deadline: ControlTimer?
  private var state = State.new
  /// The owner does not want bytes for now.
  private var isPaused = false
  /// The peer is gone; what it has sent may be read still.
  private var isHungUp = false
  /// Ends the look-out for that.
  private var hangUp: UInt64?
  /// What the peer has passed and nobody has taken, in its order, each with how many bytes had come
  /// by then. The last of them came in the same message to the socket, though perhaps not alone:
  /// the kernel gives bytes from before it along with it, but none from behind it, and whitespace
  /// that ends such a message counts only where it came by itself (`cl_receive`).
  private var passed: [(descriptor: OwnedDescriptor, end: Int)] = []
  /// Bytes that have come.
  private var received = 0

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

  /// Takes over a connected, non-blocking stream socket. What waits counts in `budget`.
  package init(
    adopting descriptor: Int32, outboxLimit: Int = Connection.outboxBytes,
    patience: Duration = Connection.patience, budget: OutboxBudget? = nil
  ) {
    precondition(outboxLimit > 0)
    self.descriptor = descriptor
    self.outboxLimit = outboxLimit
    self.patience = patience
    self.budget = budget
    peer = PeerCredentials(of: descriptor)
  }

  /// Begins to read. Called once, before anything else but `close`.
  package func start(_ handlers: Handlers) {
    precondition(state == .new, "started twice")
    state = .open
    self.handlers = handlers
    reader = ReadinessSource(descriptor, .read) { self.read() }
    writer = ReadinessSource(descriptor, .write) { self.write() }
    hangUp = HangUps.shared.watch(descriptor) {
      self.isHungUp = true
      self.readToEnd()
    }
    updateReading()
  }

  /// Sends `bytes` when the peer can take them. Does nothing on a connection that is finishing or
  /// closed. Closes the connection when they do not fit into the outbox.
  package func send(_ bytes: [UInt8]) {
    precondition(state != .new)
    guard state == .open || state == .ended else { return }
    put([bytes])
  }

  /// The same for what the peer has asked for, and what may be longer than the outbox: it has to
  /// fit in only where more than `outboxLimit` waits already.
  ///
  /// The answer may come in pieces; a long one is kept as it is, without a copy.
  package func send(answer pieces: [UInt8]...) {
    precondition(state != .new)
    guard state == .open || state == .ended else { return }
    let total = outbox.count + pieces.reduce(0) { $0 + $1.count }
    if outbox.count <= outboxLimit, total > outboxLimit {
      allowance = max(allowance, total - outboxLimit / 2)
    }
    put(pieces)
  }

  private func put(_ pieces: [[UInt8]]) {
    let count = pieces.reduce(0) { $0 + $1.count }
    guard outbox.count + count <= outboxLimit + allowance else { return close(.outboxFull) }
    let wasEmpty = outbox.isEmpty
    if wasEmpty { toRead = (sent + count, .now) }
    for piece in pieces { outbox.append(piece) }
    budget?.count(self, count)
    if wasEmpty { write() } else { updateReading() }
  }

  /// Bytes that wait.
  var held: Int { outbox.count }

  /// Whether the peer has not read within `time` what waited for it then.
  func isLate(by time: Duration) -> Bool {
    !outbox.isEmpty && toRead.since.duration(to: .now) >= time
  }

  /// All connections together hold little enough again.
  func ease() {
    updateReading()
    if state == .open || state == .ended, !isCongested { handlers?.eased() }
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
    if isHungUp { close(.hungUp) }
  }

  /// Takes `pauseReading` back.
  package func resumeReading() {
    isPaused = false
    updateReading()
  }

  /// Hands over a descriptor that is for `message`, which says which bytes of the peer that is: the
  /// first that came with some of these; where none did, the first that came with what stands
  /// before them and behind the one before it. To let go of the answer closes it.
  package func takeDescriptor(for message: Range<Int>) -> OwnedDescriptor? {
    let own = passed.firstIndex { $0.end > message.lowerBound && $0.end <= message.upperBound }
    guard let index = own ?? passed.firstIndex(where: { $0.end <= message.lowerBound })
    else { return nil }
    return passed.remove(at: index).descriptor
  }

  /// Closes the descriptors that came with the first `count` bytes of the peer, but not those that
  /// came with the first `kept` of these.
  package func dropDescriptors(ofFirst count: Int, but kept: Int = 0) {
    passed.removeAll { $0.end > kept && $0.end <= count }
  }

  // MARK: - Readiness

  private func updateReading() {
    if outbox.count <= outboxLimit / 2 { allowance = 0 }
    if state == .open && !isPaused && !isCongested { reader?.resume() } else { reader?.suspend() }
  }

  /// Reads what a peer has sent before it went: Dispatch calls once more at most where it is gone.
  /// But while the owner is at work on what the peer asked for, or the peer has not read, the
  /// connection ends: nobody will have the answers.
  private func readToEnd() {
    guard state != .closed else { return }
    guard state == .open, !isPaused, !isCongested else { return close(.hungUp) }
    read()
    ControlPlane.post { self.readToEnd() }
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
    received += bytes.count
    if passed >= 0 {
      let descriptor = OwnedDescriptor(owning: passed)
      if self.passed.count < Connection.mostPassed { self.passed.append((descriptor, received)) }
    }
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
    let (wasCongested, before) = (isCongested, outbox.count)
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
    sent += before - outbox.count
    if sent >= toRead.mark { toRead = (sent + outbox.count, .now) }
    budget?.count(self, outbox.count - before)
    guard failure == 0 || failure == EAGAIN else { return close(.broken(errno: failure)) }
    if outbox.isEmpty { writer?.suspend() } else { writer?.resume() }
    if outbox.isEmpty && state == .finishing { return close(.finished) }
    updateReading()
    if wasCongested && !isCongested { handlers?.eased() }
  }

  /// Closes the connection at once, and tells the owner why.
  func close(_ reason: CloseReason) {
    guard state != .closed else { return }
    state = .closed
    deadline = nil
    let held = outbox.count
    outbox.clear()
    budget?.count(self, -held)
    if let hangUp { HangUps.shared.forget(hangUp, descriptor) }
    passed = []
    let sources = [reader, writer].compactMap(\.self)
    (reader, writer) = (nil, nil)
    // The descriptor's number must not come back to life under a source that still knows it.
    let last = OwnedDescriptor(owning: descriptor)
    for source in sources { source.cancel { withExtendedLifetime(last) {} } }
    if let closed = handlers?.closed { ControlPlane.post { closed(reason) } }
    handlers = nil
  }
}
