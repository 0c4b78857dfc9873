import BlockCore
import ImageFormats

/// Judges a state after a power loss: every image opens, its refcounts are right, and guests see
/// what they may see.
///
/// The images of a chain name each other by the names of their files. A file without a qcow2 header
/// is a raw image.
///
/// Isolation: value; any thread.
package struct CrashOracle: Sendable {
  /// What is wrong with a state.
  package enum Fault: Error, Hashable, Sendable, CustomStringConvertible {
    /// A guest sees what it must not see, or nothing.
    case view(String)
    /// Refcounts or flags are wrong.
    case check(String)

    package var description: String {
      switch self {
      case .view(let sentence): "bad view: \(sentence)"
      case .check(let sentence): "check error: \(sentence)"
      }
    }
  }

  private let names: [String]
  private let images: [CrashImage]

  /// An oracle for the files `names` in this state.
  package init(_ names: [String], _ images: [CrashImage]) {
    self.names = names
    self.images = images
  }

  /// Throws what is wrong. `sound` are the hashes of images whose refcounts are known to be right.
  package func judge(
    _ expected: CrashExpectation, sound: inout Set<UInt64>
  ) throws(Fault) {
    // What guests lose counts more than what a repair mends.
    for (name, views) in expected.views.sorted(by: { $0.key < $1.key }) {
      try judge(name, views, without: expected.unneeded)
    }
    try check(except: expected.unneeded, &sound)
    for (name, image) in zip(names, images) {
      if let longest = expected.longest[name], image.size > longest {
        throw .view("\(name) has \(image.size) bytes, and is said to have \(longest)")
      }
    }
    for (name, view) in expected.unchanged where hasAutoclearBits(name) {
      try judge(name, [view], without: [])
    }
    for (name, links) in expected.links {
      let link = try open(name, without: []).first?.backingLink
      if !links.contains(where: { $0 == link }) {
        throw .view("\(name) names \(String(describing: link)) as its backing file")
      }
    }
    for name in expected.empty {
      let layers = try open(name, without: [])
      guard let top = layers.first else { continue }
      let runs = try CrashOracle.seen { () throws(BlockError) in
        try top.mappings(in: ByteRange(at: 0, length: top.virtualSize), limit: 8)
      }
      if runs.contains(where: { $0.content != .unallocated }) {
        throw .view("\(name) is said to be empty, but holds \(runs)")
      }
    }
  }

  /// Checks the refcounts of every qcow2 image.
  private func check(
    except unneeded: Set<String>, _ sound: inout Set<UInt64>
  ) throws(Fault) {
    for (name, image) in zip(names, images)
    where !unneeded.contains(name) && isQcow2(image) && !sound.contains(image.hash) {
      let check = RefcountCheck(image)
      if let error = check.errors.first { throw .check("\(name): \(error)") }
      sound.insert(image.hash)
    }
  }

  private func judge(
    _ name: String, _ views: [CrashView], without unneeded: Set<String>
  ) throws(Fault) {
    let (size, bytes) = try view(name, without: unneeded)
    var differences: [Int] = []
    for view in views {
      guard let difference = view.firstDifference(size: size, bytes) else { return }
      differences.append(difference)
    }
    throw .view("\(name), \(size) bytes, differs in sectors \(differences)")
  }

  /// The length of the disk `name`.
  package func size(of name: String) throws(Fault) -> Int {
    try open(name, without: []).first?.virtualSize ?? 0
  }

  /// What a guest sees through the image `name`.
  package func view(
    _ name: String, without unneeded: Set<String> = []
  ) throws(Fault) -> (size: Int, bytes: [UInt8]) {
    let layers = try open(name, without: unneeded)
    let bytes = try CrashOracle.seen { () throws(BlockError) in
      try LayeredView(layers[...]).bytes(upTo: CrashView.looksAt)
    }
    return (layers.first?.virtualSize ?? 0, bytes)
  }

  /// Opens `name` for writing, uses and empties it: the image is as good as any.
  package func use(_ name: String) throws(Fault) {
    let layers = try open(name, without: [], isWritable: true)
    guard let top = layers.first as? Qcow2Image, top.virtualSize >= 4096 else { return }
    let storage = top.dataStorage as? CrashStorage
    let chain = LayeredView(layers[...])
    try CrashOracle.seen { () throws(BlockError) in
      var model = try chain.bytes(upTo: CrashView.looksAt)
      for offset in [0, model.count / 2 & ~511, model.count - 700] {
        let mark = [UInt8](repeating: 0xc3, count: 600)
        try mark.withBytes { (span) throws(BlockError) in
          try top.write(span, at: offset, over: chain.beneath)
        }
        model.replaceSubrange(offset..<offset + 600, with: mark)
      }
      try top.flush()
      guard try chain.bytes(upTo: CrashView.looksAt) == model else {
        throw BlockError(.corrupt, "\(name) does not read what was just written")
      }
    }
    if let error = storage.flatMap({ RefcountCheck($0.image).errors.first }) {
      throw .check("\(name), written to: \(error)")
    }
    try CrashOracle.seen { () throws(BlockError) in
      let operation = try top.makeEmpty(.auto)
      while try !operation.step() {}
    }
    if let error = storage.flatMap({ RefcountCheck($0.image).errors.first }) {
      throw .check("\(name), emptied: \(error)")
    }
  }

  private func open(
    _ name: String, without unneeded: Set<String>, isWritable: Bool = false
  ) throws(Fault) -> [any ImageDriver] {
    var layers: [any ImageDriver] = []
    var next: String? = name
    while let path = next, layers.count <= names.count {
      var current = path
      while current.hasPrefix("./") { current.removeFirst(2) }
      guard let index = names.firstIndex(of: current), !unneeded.contains(current) else {
        throw .view("\(name) leads to \(current), which is gone")
      }
      let storage = CrashStorage(images[index], name: current)
      let image = try CrashOracle.seen { () throws(BlockError) -> any ImageDriver in
        isQcow2(images[index])
          ? try Qcow2Image.open(
            on: storage, readOnly: !(isWritable && layers.isEmpty),
            dropBitmaps: true)
          : try RawImage.open(on: storage, readOnly: true)
      }
      layers.append(image)
      next = image.backingLink?.name
    }
    return layers
  }

  private func hasAutoclearBits(_ name: String) -> Bool {
    guard let index = names.firstIndex(of: name) else { return false }
    var bits = [UInt8](repeating: 0, count: 8)
    bits.withMutableBytes { _ = images[index].read(into: &$0, at: 88) }
    return bits != [UInt8](repeating: 0, count: 8)
  }

  private func isQcow2(_ image: CrashImage) -> Bool {
    var magic: [UInt8] = [0, 0, 0, 0]
    magic.withMutableBytes { _ = image.read(into: &$0, at: 0) }
    return magic == [0x51, 0x46, 0x49, 0xfb]
  }

  private static func seen<R>(_ body: () throws(BlockError) -> R) throws(Fault) -> R {
    do {
      return try body()
    } catch {
      throw .view(error.message)
    }
  }
}
