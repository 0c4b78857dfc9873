import BlockCore
import ImageFormats

/// Judges a state after a power loss: every image opens, its refcounts are right, guests see what
/// they may see, and internal snapshots hold what they held.
///
/// The images of a chain name each other by the names of their files. A file without a qcow2 header
/// is a raw image.
///
/// Isolation: one thread.
package struct CrashOracle {
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

  let names: [String]
  package let images: [CrashImage]
  let proof: CrashProof

  /// An oracle for the files `names` in this state. `proof` is what is known from other states of
  /// them.
  package init(_ names: [String], _ images: [CrashImage], _ proof: CrashProof = CrashProof()) {
    self.names = names
    self.images = images
    self.proof = proof
  }

  /// Throws what is wrong.
  package func judge(_ expected: CrashExpectation) throws(Fault) {
    // What guests lose counts more than what a repair mends.
    for (name, views) in expected.views.sorted(by: { $0.key < $1.key }) {
      try judge(name, views, without: expected.unneeded)
    }
    try judgeSnapshots(expected)
    try check(expected)
    for (name, image) in zip(names, images) {
      if let longest = expected.longest[name], image.size > longest {
        throw .view("\(name) has \(image.size) bytes, and is said to have \(longest)")
      }
      if let most = expected.mostLeaks[name] {
        let leaks = RefcountCheck(image).leaks
        if leaks > most { throw .check("\(name) has \(leaks) leaks, and is said to have \(most)") }
      }
    }
    for (name, image) in zip(names, images) where image.hasAutoclearBits {
      if let before = expected.untouched[name], before.hash != image.hash {
        throw .check("\(name) has changed, and still says that nobody has changed it")
      }
    }
    for (name, links) in expected.links {
      var link = try open(name, without: []).first?.driver.backingLink
      // Real files are named from the root.
      if let found = link, found.name.hasPrefix("/"),
        let plain = found.name.split(separator: "/").last
      {
        link = BackingLink(name: String(plain), format: found.format)
      }
      if !links.contains(where: { $0 == link }) {
        throw .view("\(name) names \(String(describing: link)) as its backing file")
      }
    }
    for name in expected.empty {
      guard let top = try open(name, without: []).first?.driver, top.virtualSize > 0 else {
        continue
      }
      let runs = try CrashOracle.seen { () throws(BlockError) in
        try top.mappings(in: ByteRange(at: 0, length: top.virtualSize), limit: 8)
      }
      if runs.contains(where: { $0.content != .unallocated }) {
        throw .view("\(name) is said to be empty, but holds \(runs)")
      }
    }
  }

  // MARK: Refcounts

  /// Checks the refcounts of every qcow2 image.
  private func check(_ expected: CrashExpectation) throws(Fault) {
    for (name, image) in zip(names, images)
    where !expected.unneeded.contains(name) && image.isQcow2 {
      if let repair = expected.repaired[name] {
        try check(name, RefcountCheck(image), repair, isTold: expected.marked.contains(name))
        continue
      }
      if proof.sound.contains(image.hash) { continue }
      if let error = RefcountCheck(image).errors.first { throw .check("\(name): \(error)") }
      proof.sound.insert(image.hash)
    }
  }

  /// An image with wrong refcounts may have errors, but not more than before; a header without a
  /// mark must not lie, and no flag may allow what would do harm.
  private func check(
    _ name: String, _ check: RefcountCheck, _ repair: CrashRepair, isTold: Bool
  ) throws(Fault) {
    if isTold, !check.isMarkedCorrupt {
      throw .check("\(name) is said to be marked corrupt, and is not")
    }
    let promisesSoundness = repair.hasMark && !check.isMarked
    if check.harmfulErrors > repair.errors || promisesSoundness && !check.errors.isEmpty {
      throw .check("\(name), under repair: \(check.errors.first ?? "")")
    }
    if check.excessFlags > 0 {
      throw .check("\(name), under repair: COPIED on a cluster that counts as shared")
    }
  }

  /// Repairs `name` as was begun: what a power loss leaves of a repair, a repair makes sound.
  package func repair(_ name: String, _ expected: CrashExpectation) throws(Fault) {
    guard let index = names.firstIndex(of: name), let repair = expected.repaired[name]?.kind
    else { return }
    let storage = CrashStorage(images[index], name: name)
    try CrashOracle.seen { () throws(BlockError) in
      let operation = try Qcow2Image.open(on: storage, readOnly: true).check(repair)
      while try !operation.step() {}
    }
    if let error = RefcountCheck(storage.image).errors.first {
      throw .check("\(name), repaired: \(error)")
    }
    var after = images
    after[index] = storage.image
    var sound = expected
    sound.repaired[name] = nil
    try CrashOracle(names, after).judge(sound)
  }

  /// Opens `name` for writing, uses and empties it: the image is as good as any.
  package func use(_ name: String, _ expected: CrashExpectation) throws(Fault) {
    let layers = try open(name, without: [], isWritable: true)
    guard let top = layers.first?.driver as? Qcow2Image, top.virtualSize >= 4096,
      let storage = top.dataStorage as? CrashStorage
    else { return }
    let chain = LayeredView(layers.map(\.driver)[...])
    var model = try disk(layers)
    try CrashOracle.seen { () throws(BlockError) in
      for offset in [0, model.size / 2 & ~511, model.size - 700] {
        let mark = [UInt8](repeating: 0xc3, count: 600)
        try mark.withBytes { (span) throws(BlockError) in
          try top.write(span, at: offset, over: chain.beneath)
        }
        model.write(mark[...], at: offset)
      }
      try top.flush()
    }
    var written = layers
    written[0].file = storage.image
    if try disk(written).hash != model.hash {
      throw .view("\(name) does not read what was just written")
    }
    try requireSound(storage, "\(name), written to", expected)
    try CrashOracle.seen { () throws(BlockError) in
      let operation = try top.makeEmpty(.auto)
      while try !operation.step() {}
    }
    try requireSound(storage, "\(name), emptied", expected)
  }

  private func requireSound(
    _ storage: CrashStorage, _ what: String, _ expected: CrashExpectation
  ) throws(Fault) {
    let image = storage.image
    if case .different(let sentence) = expected.snapshots[storage.name]?.finding(in: image) {
      throw .view("\(what): \(sentence)")
    }
    if let error = RefcountCheck(image).errors.first { throw .check("\(what): \(error)") }
  }

  // MARK: Opening

  /// An image of a chain, open, and the file that it is in.
  struct Layer {
    var driver: any ImageDriver
    var file: CrashImage
  }

  /// The image `name` and what lies under it, the top first.
  func open(
    _ name: String, without unneeded: Set<String>, isWritable: Bool = false
  ) throws(Fault) -> [Layer] {
    var layers: [Layer] = []
    var next: String? = name
    while let path = next, layers.count <= names.count {
      // All lie in one directory.
      let current = path.split(separator: "/").last ?? ""
      guard let index = names.firstIndex(where: { $0 == current }),
        !unneeded.contains(names[index])
      else { throw .view("\(name) leads to \(String(current).printable), which is gone") }
      let (file, isReadOnly) = (images[index], !(isWritable && layers.isEmpty))
      let driver =
        try isReadOnly
        ? proof.driver(CrashImage.mix(file.hash &+ UInt64(index))) { () throws(Fault) in
          try openDriver(names[index], file, readOnly: true)
        } : openDriver(names[index], file, readOnly: false)
      layers.append(Layer(driver: driver, file: file))
      next = driver.backingLink?.name
    }
    return layers
  }

  private func openDriver(
    _ name: String, _ file: CrashImage, readOnly: Bool
  ) throws(Fault) -> any ImageDriver {
    let storage = CrashStorage(file, name: name)
    return try CrashOracle.seen { () throws(BlockError) -> any ImageDriver in
      readOnly || !file.isQcow2
        ? try storage.openToRead(isQcow2: file.isQcow2)
        : try Qcow2Image.open(on: storage, readOnly: false, dropBitmaps: true)
    }
  }

  static func seen<R>(_ body: () throws(BlockError) -> R) throws(Fault) -> R {
    do {
      return try body()
    } catch {
      throw .view(error.message)
    }
  }
}

// MARK: - Views

extension CrashOracle {
  private func judge(
    _ name: String, _ views: [CrashView], without unneeded: Set<String>
  ) throws(Fault) {
    let layers = try open(name, without: unneeded)
    let size = layers[0].driver.virtualSize
    let image = names.firstIndex(of: name) ?? 0
    var differences: [Int] = []
    for (index, view) in views.enumerated() {
      guard size == view.size else {
        differences.append(-1)
        continue
      }
      var difference: Int?
      try forEachPart(layers) { (part) throws(Fault) in
        guard difference == nil else { return }
        let piece = CrashProof.Piece(
          image: image, view: index, guest: part.guest.lower,
          length: part.guest.length, page: part.page, start: part.start)
        if part.canBeNamed, proof.pieces.contains(piece) { return }
        difference = try firstDifference(view, part)
        if part.canBeNamed, difference == nil { proof.pieces.insert(piece) }
      }
      guard let difference else { return }
      differences.append(difference)
    }
    throw .view("\(name), \(size) bytes, differs in sectors \(differences)")
  }

  private func firstDifference(_ view: CrashView, _ part: Part) throws(Fault) -> Int? {
    if case .zero = part.source { return view.firstNonZero(in: part.guest) }
    let bytes = try bytes(part)
    return bytes.withBytes { view.firstDifference(in: part.guest, $0) }
  }

  private func bytes(_ part: Part) throws(Fault) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: part.guest.length)
    switch part.source {
    case .zero: break
    case .file(let file, let offset):
      bytes.withMutableBytes { _ = file.read(into: &$0, at: offset) }
    case .driver(let driver):
      try CrashOracle.seen { () throws(BlockError) in
        try bytes.withMutableBytes { (span) throws(BlockError) in
          try driver.read(into: &span, at: part.guest.lower)
        }
      }
    }
    return bytes
  }

  /// All that a guest sees through the image `name`.
  package func disk(_ name: String) throws(Fault) -> CrashImage {
    try disk(open(name, without: []))
  }

  func disk(_ layers: [Layer]) throws(Fault) -> CrashImage {
    var disk = CrashImage()
    try forEachPart(layers) { (part) throws(Fault) in
      if case .zero = part.source { return }
      disk.write(try bytes(part)[...], at: part.guest.lower)
    }
    disk.truncate(to: layers[0].driver.virtualSize)
    return disk
  }

  /// A run of guest bytes that lies in one place.
  private struct Part {
    enum Source {
      case zero
      case file(CrashImage, at: Int)
      case driver(any ImageDriver)
    }
    var guest: ByteRange
    var source: Source
    var page: UInt64 = 0
    var start = 0

    /// Whether `page` and `start` say what the bytes are.
    var canBeNamed: Bool { if case .driver = source { false } else { true } }
  }

  /// Calls `body` for all of the disk that these layers are, cut where pages of files end.
  private func forEachPart(
    _ layers: [Layer], _ body: (Part) throws(Fault) -> Void
  ) throws(Fault) {
    let whole = ByteRange(at: 0, length: layers[0].driver.virtualSize)
    try forEachPart(in: whole, layers[...], body)
  }

  private func forEachPart(
    in range: ByteRange, _ layers: ArraySlice<Layer>, _ body: (Part) throws(Fault) -> Void
  ) throws(Fault) {
    guard let top = layers.first else { return try body(Part(guest: range, source: .zero)) }
    var rest = range.intersection(ByteRange(at: 0, length: top.driver.virtualSize))
    let behind = range.dropping(rest.length)
    while !rest.isEmpty {
      let wanted = rest
      let runs = try CrashOracle.seen { () throws(BlockError) in
        try top.driver.mappings(in: wanted, limit: 256)
      }
      for run in runs {
        switch run.content {
        case .zero: try body(Part(guest: run.range, source: .zero))
        case .compressed: try body(Part(guest: run.range, source: .driver(top.driver)))
        case .unallocated: try forEachPart(in: run.range, layers.dropFirst(), body)
        case .data(let offset): try cut(run.range, top.file, at: offset, body)
        }
        rest = rest.dropping(run.range.length)
      }
    }
    if !behind.isEmpty { try body(Part(guest: behind, source: .zero)) }
  }

  private func cut(
    _ range: ByteRange, _ file: CrashImage, at offset: Int, _ body: (Part) throws(Fault) -> Void
  ) throws(Fault) {
    var (rest, offset) = (range, offset)
    while !rest.isEmpty {
      let start = offset % CrashImage.pageSize
      let guest = rest.prefix(min(rest.length, CrashImage.pageSize - start))
      try body(
        Part(
          guest: guest, source: .file(file, at: offset), page: file.pageHash(at: offset),
          start: start))
      offset += guest.length
      rest = rest.dropping(guest.length)
    }
  }
}
