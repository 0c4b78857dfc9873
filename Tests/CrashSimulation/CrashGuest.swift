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
  /// What a bitmap in the image tells of, until its mark is gone.
  private let marked: CrashView?

  /// A guest of the scene's top.
  init(_ scene: CrashScene) throws {
    self.scene = scene
    image = try scene.open(scene.names.count - 1)
    var layers: [any ImageDriver] = []
    for index in scene.names.indices.dropLast().reversed() {
      layers.append(try scene.openQuietly(index))
    }
    beneath = layers.isEmpty ? nil : LayeredView(layers[...])
    view = try scene.view(scene.top)
    marked = scene.isVersion3 ? view : nil
    expect([view])
  }

  /// Whole disks of which one must be seen.
  func expect(_ views: [CrashView]) {
    var expected = CrashExpectation(views: [scene.top: views])
    expected.unchanged[scene.top] = marked
    scene.expect(expected)
  }

  func write(_ bytes: [UInt8], at offset: Int) throws {
    view.write(bytes, at: offset)
    expect([view])
    try bytes.withBytes { (span) throws(BlockError) in
      try image.write(span, at: offset, over: beneath)
    }
  }

  func writeZeroes(_ range: ByteRange, deallocate: Bool) throws {
    view.write([UInt8](repeating: 0, count: range.length), at: range.lower)
    expect([view])
    try image.writeZeroes(range, deallocate: deallocate, over: beneath)
  }

  func flush() throws {
    try image.flush()
    view.settle()
    expect([view])
  }

  func resize(to size: Int) throws {
    let grown = view.resized(to: size)
    expect([view, grown])
    try image.resize(to: size, over: beneath)
    view = grown
    expect([view])
  }

  /// Empties the top. With `atOnce` it is full or empty, nothing between.
  func makeEmpty(_ mode: EmptyMode, atOnce: Bool) throws {
    let bytes = try beneath?.bytes(upTo: min(view.size, CrashView.looksAt)) ?? []
    let padding = [UInt8](repeating: 0, count: view.bytes.count - bytes.count)
    let after = CrashView(size: view.size, bytes + padding)
    if atOnce {
      expect([view, after])
    } else {
      view.mayBecome(after)
      expect([view])
    }
    let operation = try image.makeEmpty(mode)
    while try !operation.step() {}
    view = after
    var expected = CrashExpectation(views: [scene.top: [view]])
    expected.empty = [scene.top]
    expected.longest[scene.top] = scene.length(scene.top)
    scene.expect(expected)
  }
}
