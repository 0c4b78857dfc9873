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
