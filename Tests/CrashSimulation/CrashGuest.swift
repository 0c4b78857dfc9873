import BlockCore
import ImageFormats
import TestSupport

/// Uses the top of a scene as a guest does, and tells the scene what may be seen.
///
/// Isolation: one thread.
final class CrashGuest {
  let scene: CrashScene
  let image: Qcow2Image
  let beneath: LayeredView?
  private(set) var view: CrashView
  /// What is known of refcounts that are wrong.
  private let damage: CrashRepair?

  /// A guest of the scene's top.
  init(_ scene: CrashScene, damage: CrashRepair? = nil) throws {
    self.scene = scene
    self.damage = damage
    image = try scene.open(scene.names.count - 1)
    var layers: [any ImageDriver] = []
    for index in scene.names.indices.dropLast().reversed() {
      layers.append(try scene.openDriver(index, readOnly: true))
    }
    beneath = layers.isEmpty ? nil : LayeredView(layers[...])
    view = try scene.view(scene.top)
    expect([view])
  }

  /// The part of the disk that the guest writes to again and again.
  var busyBytes: Int { min(view.size, CrashLayout.busyBytes) }

  /// Whole disks of which one must be seen.
  func expect(_ views: [CrashView]) { scene.expect(expectation(views)) }

  private func expectation(_ views: [CrashView]) -> CrashExpectation {
    var expected = CrashExpectation(views: [scene.top: views])
    expected.repaired[scene.top] = damage
    return expected
  }

  func write(_ bytes: [UInt8], at offset: Int) throws {
    view.write(bytes, at: offset)
    expect([view])
    try bytes.withBytes { (span) throws(BlockError) in
      try image.write(span, at: offset, over: beneath)
    }
  }

  func writeZeroes(_ range: ByteRange, deallocate: Bool) throws {
    view.writeZeroes(range)
    expect([view])
    try image.writeZeroes(range, deallocate: deallocate, over: beneath)
  }

  /// Whole clusters read zero afterwards, where the image can say so.
  func discard(_ range: ByteRange) throws {
    let end = range.upper == view.size ? range.upper.roundedUp(to: image.clusterSize) : range.upper
    let lower = range.lower.roundedUp(to: image.clusterSize)
    let upper = min(end.roundedDown(to: image.clusterSize), view.size)
    if lower < upper, image.hasZeroFlag || image.backingLink == nil {
      view.writeZeroes(ByteRange(from: lower, to: upper))
      expect([view])
    }
    try image.discard(range, .readsZero)
  }

  func flush() throws {
    try image.flush()
    view.settle()
    expect([view])
    scene.tell(.flushed)
  }

  /// An image that is only read is not flushed any more: it keeps all there was.
  func reopen(readOnly: Bool) throws {
    try image.reopen(readOnly: readOnly)
    guard readOnly else { return }
    view.settle()
    expect([view])
    scene.tell(.reopened)
  }

  func resize(to size: Int) throws {
    let grown = view.resized(to: size)
    expect([view, grown])
    try image.resize(to: size, over: beneath)
    view = grown
    expect([view])
    scene.tell(.resized)
  }

  /// Empties the top. With `atOnce` it is full or empty, nothing between.
  func makeEmpty(_ mode: EmptyMode, atOnce: Bool) throws {
    let names = scene.names
    var after = CrashView(CrashImage())
    if names.count > 1 { after = try scene.view(names[names.count - 2]) }
    after = after.resized(to: view.size)
    if atOnce {
      expect([view, after])
    } else {
      view.mayBecome(after)
      expect([view])
    }
    let operation = try image.makeEmpty(mode)
    while try !operation.step() {}
    view = after
    var expected = expectation([view])
    expected.empty = [scene.top]
    expected.longest[scene.top] = try scene.length(names.count - 1)
    expected.mostLeaks[scene.top] = try RefcountCheck(scene.oracle.images[names.count - 1]).leaks
    scene.expect(expected)
    scene.tell(.emptied)
  }

  /// Writes until the image finds that its refcounts lie, and refuses.
  func writeUntilRefused(_ bytes: (Int) -> [UInt8]) throws {
    for offset in stride(from: 0, to: busyBytes - image.clusterSize, by: image.clusterSize) {
      do {
        try write(bytes(image.clusterSize), at: offset)
      } catch let error as BlockError where error.code == .corrupt {
        var expected = expectation([view])
        expected.marked = [scene.top]
        scene.expect(expected)
        scene.tell(.refused)
        return
      }
    }
    throw CrashLayoutError.tool("nothing is wrong with the refcounts")
  }
}
