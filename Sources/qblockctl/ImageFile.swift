import Glibc
import QMP
import QMPClient

/// An image that a command opens in the daemon.
///
/// Isolation: value.
struct ImageFile {
  /// The file as its user names it.
  let file: String
  /// The node, whose name nobody else uses.
  let nodeName: String
  /// How to open it.
  private var options: BlockdevOptions

  /// `file` in the format that `image` says, else that it shows.
  init(
    _ file: String, _ image: ImageOptions, readOnly: Bool, dropBitmaps: Bool = false,
    nodeName: String? = nil
  ) throws {
    let format = try image.format.map { word in try ImageOptions.parse(word, of: file) }
    self.init(
      file, as: try format ?? ImageFile.declaredFormat(of: file),
      over: try image.backingFormat.map { word in try ImageOptions.parse(word, of: file) },
      readOnly: readOnly, dropBitmaps: dropBitmaps, nodeName: nodeName)
    options.cache = try image.cacheOptions()
  }

  /// `file` in `format`, over a file that has the format `below` unless the image says another.
  init(
    _ file: String, as format: ImageFormat, over below: ImageFormat? = nil, readOnly: Bool,
    dropBitmaps: Bool = false, nodeName: String? = nil
  ) {
    self.file = file
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
    options.readOnly = readOnly ? true : nil
    options.discard = .unmap
  }

  /// `file` alone, without what lies below it, for a look at its metadata. Where they are to be
  /// repaired the job opens the file for writing itself.
  init(checking file: String, _ format: String?) throws {
    let known = try format.map { word in try ImageOptions.parse(word, of: file) }
    self.init(file, as: try known ?? ImageFile.declaredFormat(of: file), readOnly: true)
    guard case .qcow2(var qcow2) = options.driver else { return }
    qcow2.backing = .some(.none)
    options.driver = .qcow2(qcow2)
  }

  /// The command that opens it.
  var request: QMPRequest { QMPRequest(BlockdevAdd(options)) }
  /// The command that closes it.
  var closing: QMPRequest { QMPRequest(BlockdevDel { $0.nodeName = nodeName }) }

  /// The refusal of `request`, as people know it from QEMU's tools.
  func failure(_ error: QMPError) -> Failure {
    Failure("Could not open '\(file)': \(error.message)")
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

  /// Opens it, runs `body`, and closes it again.
  func whileOpen<Result>(
    in session: Session, _ body: () throws -> Result
  ) throws -> Result {
    try open(in: session)
    defer { _ = try? session.client.execute(together: [closing]) }
    return try body()
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
  private static func declaredFormat(of file: String) throws -> ImageFormat {
    let descriptor = unsafe Glibc.open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let hint = errno == EACCES ? "; give the format with -f where only qblockd may read it" : ""
      throw Failure("Could not open '\(file)': \(systemSentence(errno))\(hint)")
    }
    defer { close(descriptor) }
    var magic: [UInt8] = [0, 0, 0, 0]
    let count = unsafe read(descriptor, &magic, magic.count)
    guard count >= 0 else {
      throw Failure("Could not read from '\(file)': \(systemSentence(errno))")
    }
    guard count == 4, magic == Array("QFI".utf8) + [0xfb] else {
      throw Failure(
        "Image '\(file)' is not in qcow2 format, and other formats are never guessed: "
          + "give -f raw if it is a raw disk")
    }
    return .qcow2
  }
}
