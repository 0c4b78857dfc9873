import BlockRuntime
import Glibc
import SocketIO
import TestSupport
import Testing

@Suite struct ConnectionTests {
  @Test("bytes come in and go out, and the peer's credentials are known")
  @ControlPlane func exchange() async {
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near))
    far.write([1, 2, 3])
    await owner.wait { $0.bytes.count == 3 }
    owner.connection.send([4, 5])
    #expect(await onThread { far.read(exactly: 2) } == [4, 5])
    #expect(owner.bytes == [1, 2, 3])
    let me = PeerCredentials(processID: getpid(), userID: geteuid(), groupID: getegid())
    #expect(owner.connection.peer == me)
    owner.connection.close()
    await owner.wait { $0.reason != nil }
    #expect(owner.reason == .closed)
    #expect(await onThread { far.read() } == [])
  }

  @Test("a message far larger than the system's buffers arrives whole and in order")
  @ControlPlane func largeMessage() async {
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near))
    var random = SeededGenerator(seed: 1)
    let large = random.bytes(4 << 20)
    owner.connection.send(answer: large)
    owner.connection.finish()
    let seen = await onThread { far.read(exactly: large.count + 1) }
    #expect(seen == large)
    await owner.wait { $0.reason != nil }
    #expect(owner.reason == .finished)
  }

  @Test("106: a peer that never reads is closed when its outbox is full")
  @ControlPlane func outboxBound() async {
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near, outboxLimit: 64 << 10))
    let event = [UInt8](repeating: 7, count: 4096)
    // The system's own buffers hold a few hundred KiB; 16 MiB are far above both bounds.
    for _ in 0..<4096 { owner.connection.send(event) }
    await owner.wait { $0.reason != nil }
    #expect(owner.reason == .outboxFull)
    // What the system took before may still be read; then the stream ends.
    let left = await onThread { far.read(exactly: 16 << 20) }
    #expect(left.count < 4 << 20)
  }

  @Test("106: what does not fit into the outbox closes it, but an answer is taken whole")
  @ControlPlane func longAnswer() async {
    let limit = 64 << 10
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near, outboxLimit: limit))
    let answer = [UInt8](repeating: 1, count: 4 << 20)
    owner.connection.send(answer: answer)
    #expect(owner.connection.isCongested)
    // There is still room for half of the usual, and when the answer is sent for all of it.
    let event = [UInt8](repeating: 7, count: limit / 2)
    owner.connection.send(event)
    let wanted = answer.count + event.count
    #expect(await onThread { far.read(exactly: wanted).count } == wanted)
    await owner.wait { $0.hasEased }
    #expect(!owner.connection.isCongested && owner.reason == nil)
    owner.connection.send([UInt8](repeating: 1, count: limit + 1))
    await owner.wait { $0.reason != nil }
    #expect(owner.reason == .outboxFull)
  }

  @Test("106: a second answer has to fit in behind a long one that nobody reads")
  @ControlPlane func secondAnswer() async {
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near, outboxLimit: 64 << 10))
    for _ in 0..<2 { owner.connection.send(answer: [UInt8](repeating: 1, count: 4 << 20)) }
    await owner.wait { $0.reason != nil }
    #expect(owner.reason == .outboxFull)
    withExtendedLifetime(far) {}
  }

  @Test("a peer that closed its half still gets the answers that were on their way")
  @ControlPlane func halfClose() async {
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near))
    far.write([1])
    far.endSending()
    await owner.wait { $0.hasEnded }
    #expect(owner.bytes == [1])
    #expect(owner.reason == nil)
    let answer = [UInt8](repeating: 9, count: 1 << 20)
    owner.connection.send(answer: answer)
    owner.connection.finish()
    #expect(await onThread { far.read(exactly: answer.count + 1) } == answer)
    await owner.wait { $0.reason != nil }
    #expect(owner.reason == .finished)
  }

  @Test("finishing does not wait for ever for a peer that does not read")
  @ControlPlane func impatience() async {
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near, patience: .milliseconds(1)))
    owner.connection.send(answer: [UInt8](repeating: 0, count: 4 << 20))
    owner.connection.finish()
    await owner.wait { $0.reason != nil }
    #expect(owner.reason == .notRead)
    withExtendedLifetime(far) {}
  }

  @Test("writing to a peer that is gone ends the connection, not the process")
  @ControlPlane func brokenPipe() async {
    signal(SIGPIPE, SIG_DFL)
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near))
    far.endSending()
    await owner.wait { $0.hasEnded }
    shutdown(far.descriptor, Int32(SHUT_RD))
    owner.connection.send([1])
    await owner.wait { $0.reason != nil }
    #expect(owner.reason == .broken(errno: EPIPE))
    owner.connection.send([2])
    owner.connection.finish()
    owner.connection.close()
  }

  @Test("descriptors that a peer passes unasked are closed, and its bytes are read as usual")
  @ControlPlane func passedDescriptors() async {
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near))
    let (passed, watched) = PeerSocket.pair()
    far.write(5, passing: passed)
    close(passed)
    await owner.wait { $0.bytes == [5] }
    // The stream ends only when no copy of its far end is left.
    #expect(await onThread { watched.read() } == [])
    owner.connection.close()
  }

  @Test("a paused connection delivers nothing; what came meanwhile follows in order")
  @ControlPlane func pause() async {
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near))
    far.write([1])
    await owner.wait { $0.bytes == [1] }
    owner.connection.pauseReading()
    far.write([2, 3])
    far.endSending()
    await turns(100)
    #expect(owner.bytes == [1])
    #expect(!owner.hasEnded)
    owner.connection.resumeReading()
    await owner.wait { $0.hasEnded }
    #expect(owner.bytes == [1, 2, 3])
    owner.connection.close()
  }

  @Test("a peer that does not read its answers is not read either, until it does")
  @ControlPlane func congestion() async {
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near))
    let answer = [UInt8](repeating: 1, count: 2 << 20)
    owner.connection.send(answer: answer)
    far.write([1])
    await turns(100)
    #expect(owner.bytes.isEmpty)
    #expect(await onThread { far.read(exactly: answer.count) } == answer)
    await owner.wait { $0.bytes == [1] }
    owner.connection.close()
  }

  @Test("a peer that is gone is noticed while nothing is read; one that may still read is kept")
  @ControlPlane func hangUp() async {
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near))
    owner.connection.pauseReading()
    far.write([1])
    far.endSending()
    await turns(100)
    #expect(owner.reason == nil)
    shutdown(far.descriptor, Int32(SHUT_RD))
    await owner.wait { $0.reason != nil }
    #expect(owner.reason == .hungUp && owner.bytes.isEmpty)
  }

  @Test("what a peer has sent before it went is read")
  @ControlPlane func lastWords() async {
    let (near, far) = PeerSocket.pair()
    // More than is read at once.
    let words = [UInt8](repeating: 1, count: 2 * Connection.readBytes + 1)
    far.write(words)
    shutdown(far.descriptor, Int32(SHUT_RDWR))
    let owner = ConnectionOwner(Connection(adopting: near))
    await owner.wait { $0.reason != nil }
    #expect(owner.bytes == words && owner.hasEnded)
  }

  @Test("of peers that do not read, those are closed that hold most, until the budget fits")
  @ControlPlane func budget() async {
    let budget = OutboxBudget(limit: 3 << 20, patience: .milliseconds(1))
    let peers = [2 << 20, 4 << 20, 1 << 20].map { bytes in
      let (near, far) = PeerSocket.pair()
      let owner = ConnectionOwner(Connection(adopting: near, budget: budget))
      owner.connection.send(answer: [UInt8](repeating: 1, count: bytes))
      return (owner: owner, far: far)
    }
    #expect(budget.isOver && peers.allSatisfy { $0.owner.connection.isCongested })
    await peers[1].owner.wait { $0.reason != nil }
    #expect(peers[1].owner.reason == .overBudget)
    #expect(!budget.isOver && budget.held > 0)
    #expect(peers[0].owner.reason == nil && peers[2].owner.reason == nil)
    for peer in peers { peer.owner.connection.close() }
    #expect(budget.held == 0)
  }

  @Test("a connection that waits for the budget goes on when others have read")
  @ControlPlane func budgetEased() async {
    let budget = OutboxBudget(limit: 1 << 20, patience: .seconds(1000))
    let (near, far) = PeerSocket.pair()
    let owner = ConnectionOwner(Connection(adopting: near, budget: budget))
    let (otherNear, otherFar) = PeerSocket.pair()
    let other = ConnectionOwner(Connection(adopting: otherNear, budget: budget))
    // Less than half of what it may hold.
    owner.connection.send(answer: [UInt8](repeating: 1, count: 500_000))
    #expect(!owner.connection.isCongested)
    let answer = [UInt8](repeating: 1, count: 4 << 20)
    other.connection.send(answer: answer)
    #expect(owner.connection.isCongested)
    #expect(await onThread { otherFar.read(exactly: answer.count) } == answer)
    await owner.wait { $0.hasEased }
    #expect(!owner.connection.isCongested)
    owner.connection.close()
    other.connection.close()
    withExtendedLifetime(far) {}
  }

  @Test("a connection that was never started can be closed")
  @ControlPlane func unstarted() async {
    let (near, far) = PeerSocket.pair()
    Connection(adopting: near).close()
    #expect(await onThread { far.read() } == [])
  }

  /// Lets other work of the control plane, and of Dispatch's poller, run.
  @ControlPlane private func turns(_ count: Int) async {
    for _ in 0..<count { await onThread {} }
  }
}
