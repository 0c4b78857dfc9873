package import BlockCore
package import BlockIO

/// The policy for names of files: what may be opened at all, from where, and for what.
///
/// An image is written by strangers, so a name inside one is a claim, not an order. Only plain
/// paths pass; no `json:`, no `protocol:`, no control byte. With roots, every file lies in one of
/// them, whoever names it: the directories are held open and no `..`, absolute link or magic link
/// leads out. Without roots, files that only an image named are never written.
///
/// A client may also name a set of descriptors that were passed (`/dev/fdset/N`): that is no path,
/// and no root binds it. For an image such a name is a path like any other.
///
/// What the name stands for is looked at before it is opened: regular files and block devices only.
///
/// Isolation: value; `open` blocks and belongs on lanes.
package struct OpenGate: Sendable {
  /// Who named a file.
  package enum Origin: Sendable {
    /// A client, in a command: it may have any path that the roots allow.
    case client
    /// The header of another image.
    case image
  }

  /// What clients have passed.
  package let descriptors = DescriptorSets()
  private let roots: [DirectoryRoot]
  private let rings: RingPool?

  /// A gate that lets through what lies in `roots`, absolute paths of directories; with none,
  /// everything. Files get `rings`. Opens the directories, so it blocks. Throws `notFound`,
  /// `permission`, `io`, and `invalidArgument` for what is no directory.
  package init(roots: [String], rings: RingPool? = nil) throws(BlockError) {
    self.rings = rings
    var opened: [DirectoryRoot] = []
    for root in roots { opened.append(try DirectoryRoot(FileName(root))) }
    self.roots = opened
  }

  /// Whether a file with this origin may be opened for writing at all.
  package func allowsWriting(_ origin: Origin) -> Bool {
    !roots.isEmpty || origin == .client
  }

  /// Opens the file `name`, by its absolute path where there are roots. Throws what `HostFile.open`
  /// throws, and `permission` for a name outside the roots or a file that may not be written.
  package func open(
    _ name: FileName, _ origin: Origin, _ options: HostFileOptions
  ) throws(BlockError) -> HostFile {
    guard options.isReadOnly || allowsWriting(origin) else {
      throw BlockError(
        .permission, "Only files that a client named may be opened for writing", file: name.string)
    }
    var options = options
    options.rings = rings
    if origin == .client, let set = try DescriptorSets.id(named: name.string) {
      return try HostFile.open(set: set, of: descriptors, options)
    }
    return try HostFile.open(name, beneath: try root(for: name), options)
  }

  /// The same for a name in text, as clients give it.
  package func open(
    _ name: String, _ origin: Origin, _ options: HostFileOptions
  ) throws(BlockError) -> HostFile {
    try open(try FileName(name), origin, options)
  }

  /// Opens the file `name`, which a client named, for writing, and makes an empty one where there
  /// is none. Throws what `open` throws.
  package func create(
    _ name: String, _ options: HostFileOptions = HostFileOptions()
  ) throws(BlockError) -> HostFile {
    if let set = try DescriptorSets.id(named: name) {
      return try HostFile.open(set: set, of: descriptors, options)
    }
    let file = try FileName(name)
    return try HostFile.create(file, beneath: try root(for: file), options)
  }

  /// Which file `name` stands for; what the roots do not let through has no answer but an error.
  package func identity(
    of name: FileName, _ origin: Origin = .client
  ) throws(BlockError) -> FileIdentity {
    if origin == .client, let set = try DescriptorSets.id(named: name.string) {
      return try descriptors.identity(of: set)
    }
    return try HostFile.identity(of: name, beneath: root(for: name))
  }

  /// The path of the backing file that `image`, itself a path, names as `name`: relative names
  /// start at the image's directory. Any bytes are a name, UTF-8 or not, but those that a person
  /// could not see. Throws `permission` for what is no plain path.
  package static func path(
    ofBacking name: [UInt8], namedBy image: FileName
  ) throws(BlockError) -> FileName {
    if let why = fault(inBacking: name) {
      throw BlockError(
        .permission,
        "Image '\(image.text)' names its backing file '\(PrintableText.of(name))': \(why)",
        file: image.string)
    }
    let slash = UInt8(ascii: "/")
    guard name.first != slash, let last = image.bytes.lastIndex(of: slash) else {
      return try FileName(bytes: name)
    }
    return try FileName(bytes: image.bytes[...last] + name)
  }

  /// Why `name`, in a header, would not be followed; nil for a plain path.
  package static func fault(inBacking name: [UInt8]) -> String? {
    if name.isEmpty { return "an empty name" }
    if let bad = name.first(where: { $0 < 0x20 || $0 == 0x7f }) {
      return "a name with the control byte \(PrintableText.escaped(bad))"
    }
    if name.starts(with: Array("json:".utf8)) { return "a 'json:' name is not a plain path" }
    let (colon, slash) = (UInt8(ascii: ":"), UInt8(ascii: "/"))
    if let stop = name.first(where: { $0 == colon || $0 == slash }), stop == colon {
      let shown = PrintableText.of(name)
      return "a protocol is not a plain path; a file of that name is './\(shown)'"
    }
    return nil
  }

  /// `name` as seen from the directory of the file `image`; an absolute one stays as it is.
  package static func join(_ name: String, to image: String) -> String {
    // Bytes, not characters: a slash with a combining mark is one character, and still a slash.
    let separator = UInt8(ascii: "/")
    guard name.utf8.first != separator, let slash = image.utf8.lastIndex(of: separator) else {
      return name
    }
    return String(image[..<image.utf8.index(after: slash)]) + name
  }

  /// The root that `file` lies in, the innermost where several hold it; nil where there are none.
  private func root(for file: FileName) throws(BlockError) -> DirectoryRoot? {
    guard !roots.isEmpty else { return nil }
    let holding = roots.filter { $0.holds(file) }
    guard let root = holding.max(by: { $0.name.bytes.count < $1.name.bytes.count }) else {
      throw BlockError(
        .permission, "'\(file.text)' is not inside an image root", file: file.text)
    }
    return root
  }
}
