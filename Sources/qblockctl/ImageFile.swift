import Glibc
import QMP
import QMPClient

/// An image that a command opens in the daemon.
///
/// Isolation: value.
struct ImageFile {
  /// What the command does with the image.
  enum Use: Hashable {
    /// Changes it.
    case write
    /// Reads it, and nobody may write to it meanwhile.
    case read
    /// Looks at it. Where the daemon itself has it open, the command looks through that node; where
    /// somebody else writes to it, only if the user has said so (`-U`).
    case look(forceShare: Bool)
  }

  /// The image as its user names it.
  let file: String
  /// The path of its file, which is the same unless the user gave options.
  let path: String
  /// The node: one of its own, whose name nobody else uses, unless it is borrowed.
  private(set) var nodeName: String
  /// Whether the node was there before, and stays.
  private(set) var isBorrowed = false
  private let use: Use
  let format: ImageFormat
  /// How to open it.
  private var options: BlockdevOptions

  /// `file` in the format that `image` says, else that it shows. `flag` is what its user would say
  /// the format with.
  init(
    _ file: String, _ image: ImageOptions, for use: Use, dropBitmaps: Bool = false,
    nodeName: String? = nil, flag: String = "-f"
  ) throws {
    let cache = try image.cacheOptions()
    let below = try image.backingFormat.map { word in try ImageOptions.parse(word, of: file) }
    if image.imageOpts {
      guard image.format == nil else {
        throw Failure("--image-opts and --format are mutually exclusive")
      }
      try self.init(
        options: file, over: below, for: use, dropBitmaps: dropBitmaps, nodeName: nodeName)
      if let cache { options.cache = cache }
      return
    }
    let format = try image.format.map { word in try ImageOptions.parse(word, of: file) }
    self.init(
      file, as: try format ?? ImageFile.declaredFormat(of: file, flag), over: below, for: use,
      dropBitmaps: dropBitmaps, nodeName: nodeName)
    options.cache = cache
  }

  /// `file` in `format`, over a file that has the format `below` unless the image says another.
  init(
    _ file: String, as format: ImageFormat, over below: ImageFormat? = nil, for use: Use,
    dropBitmaps: Bool = false, nodeName: String? = nil
  ) {
    self.file = file
    path = file
    self.use = use
    self.format = format
    self.nodeName = nodeName ?? uniqueName("qblockctl")
    let host = BlockdevReference.options(ImageFile.host(file))
    switch format {
    case .qcow2:
      var qcow2 = Qcow2Options(file: host)
      qcow2.backingFormat = below
      qcow2.dropBitmaps = dropBitmaps
      options = BlockdevOptions(.qcow2(qcow2))
    case .raw: options = BlockdevOptions(.raw(RawOptions(file: host)))
    }
    options.nodeName = self.nodeName
    options.readOnly = use == .write ? nil : true
    options.forceShare = use == .look(forceShare: true) ? true : nil
    options.discard = .unmap
  }

  /// The image that `text` describes in the manner of `--image-opts`.
  private init(
    options text: String, over below: ImageFormat?, for use: Use, dropBitmaps: Bool,
    nodeName: String?
  ) throws {
    var given: BlockdevOptions
    do throws(QMPError) {
      given = try BlockdevOptions(imageOptions: text)
    } catch {
      throw Failure("Could not open '\(text)': \(error)")
    }
    guard let format = ImageFormat(rawValue: given.driver.driver.rawValue) else {
      throw Failure(
        "Could not open '\(text)': '\(given.driver.driver.rawValue)' is no format: say what the "
          + "file holds, as driver=raw,file.filename=FILE")
    }
    file = text
    path = given.fileName ?? text
    self.use = use
    self.format = format
    self.nodeName = nodeName ?? given.nodeName ?? uniqueName("qblockctl")
    given.nodeName = self.nodeName
    if use != .write { given.readOnly = true }
    if use == .look(forceShare: true) { given.forceShare = true }
    given.discard = given.discard ?? .unmap
    if case .qcow2(var qcow2) = given.driver {
      qcow2.backingFormat = below ?? qcow2.backingFormat
      qcow2.dropBitmaps = dropBitmaps || qcow2.dropBitmaps
      given.driver = .qcow2(qcow2)
    }
    options = given.renamed(absolutePath)
  }

  /// The same image without what lies below it, for a look at its metadata; `forCheck` also one
  /// that only a repair can make whole.
  func alone(forCheck isForCheck: Bool = false) -> ImageFile {
    guard case .qcow2(var qcow2) = options.driver else { return self }
    var image = self
    qcow2.backing = .some(.none)
    qcow2.isForCheck = isForCheck
    image.options.driver = .qcow2(qcow2)
    return image
  }

  /// The command that opens it.
  fileprivate var request: QMPRequest { QMPRequest(BlockdevAdd(options)) }
  /// The command that closes it.
  fileprivate var closing: QMPRequest { QMPRequest(BlockdevDel { $0.nodeName = nodeName }) }

  /// Uses the node by which the daemon has the image open already, where `refusal` says that there
  /// is one and a look through it shows what a look at the file would. Returns whether it does.
  mutating func borrow(_ refusal: QMPError, in session: Session) throws -> Bool {
    guard case .look = use, let node = refusal.detail?.node,
      refusal.detail?.file == absolutePath(path)
    else { return false }
    do throws(QMPClientError) {
      let info = try session.client.execute(NodeInfoQuery { $0.node = node })
      guard info.driver.rawValue == format.rawValue else { return false }
    } catch {
      // It may have been closed meanwhile.
      guard case .refused = error else { throw error }
      return false
    }
    nodeName = node
    isBorrowed = true
    return true
  }

  /// The refusal of `request`, as people know it from QEMU's tools, and what to do about it.
  func failure(_ error: QMPError) -> Failure {
    let known = "Could not open '\(absolutePath(path))': "
    let sentence =
      error.message.hasPrefix(known)
      ? String(error.message.dropFirst(known.count)) : error.sentence
    let hint =
      switch (error.detail?.code, error.detail?.node, use) {
      case ("locked", .some, _):
        "\n'qblockctl nodes' and 'qblockctl jobs' show what is open, 'qblockctl close NODE' ends it"
      case ("locked", nil, .look(forceShare: false)):
        "\nWith -U (--force-share) it is read although somebody may be writing to it"
      default: ""
      }
    return Failure("Could not open '\(file)': \(sentence)\(hint)")
  }

  /// `sentence` with the files of `images` in place of their nodes, which people do not know.
  static func naming(_ images: [ImageFile], in sentence: String) -> String {
    images.reduce(sentence) { $0.replacing("'\($1.nodeName)'", with: "'\($1.file)'") }
  }

  /// Opens it as a node that stays.
  func open(in session: Session) throws {
    do throws(QMPClientError) {
      try session.client.execute(BlockdevAdd(options))
    } catch {
      guard case .refused(let refusal) = error else { throw error }
      throw failure(refusal)
    }
  }

  /// Opens it, runs `body` with its node, and closes it again.
  func whileOpen<Result>(
    in session: Session, _ body: (_ node: String) throws -> Result
  ) throws -> Result {
    do throws(QMPClientError) {
      try session.client.execute(BlockdevAdd(options))
    } catch {
      guard case .refused(let refusal) = error else { throw error }
      var image = self
      guard try image.borrow(refusal, in: session) else { throw failure(refusal) }
      return try body(image.nodeName)
    }
    defer { _ = try? session.client.execute(together: [closing]) }
    return try body(nodeName)
  }

  /// The node of the file or device itself.
  static func host(_ file: String) -> BlockdevOptions {
    var status = stat()
    let isDevice = unsafe stat(file, &status) == 0 && status.st_mode & S_IFMT == S_IFBLK
    let place = FileOptions(filename: absolutePath(file))
    var options = BlockdevOptions(isDevice ? .hostDevice(place) : .file(place))
    options.discard = .unmap
    return options
  }

  /// qcow2, if the file begins like one. A raw disk's first bytes are its guest's to write, so raw
  /// is never guessed.
  private static func declaredFormat(of file: String, _ flag: String) throws -> ImageFormat {
    let descriptor = unsafe Glibc.open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let hint =
        errno == EACCES ? "; give the format with \(flag) where only qblockd may read it" : ""
      throw Failure("Could not open '\(file)': \(systemSentence(errno))\(hint)")
    }
    defer { close(descriptor) }
    // What is read from a pipe is gone.
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0,
      [S_IFREG, S_IFBLK].contains(status.st_mode & S_IFMT)
    else { throw Failure("'\(file)' is not a regular file or block device") }
    var magic: [UInt8] = [0, 0, 0, 0]
    let count = unsafe read(descriptor, &magic, magic.count)
    guard count >= 0 else {
      throw Failure("Could not read from '\(file)': \(systemSentence(errno))")
    }
    guard count == 4, magic == Array("QFI".utf8) + [0xfb] else {
      var failure = Failure(
        "Image '\(file)' is not in qcow2 format, and other formats are never guessed: "
          + "give \(flag) raw if it is a raw disk")
      failure.isFormatMissing = true
      throw failure
    }
    return .qcow2
  }
}

extension [ImageFile] {
  /// The names of the nodes that the command opens.
  var ownNodes: [String] { own.map(\.nodeName) }
  /// What opens these nodes.
  var opening: [QMPRequest] { own.map(\.request) }
  /// What closes them.
  var closing: [QMPRequest] { own.map(\.closing) }

  private var own: [ImageFile] { filter { !$0.isBorrowed } }
}
