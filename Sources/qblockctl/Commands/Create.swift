import ArgumentParser
import QMP
import QMPClient

/// `create`: a new image.
struct Create: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Makes an image.",
    discussion: """
      Options of -o, with commas between them: cluster_size, compat (0.10 or 1.1), refcount_bits, \
      lazy_refcounts (on or off), preallocation (off or metadata; raw: off, falloc or full).
      """)

  @OptionGroup var connection: ConnectionOptions

  @Option(
    name: [.customShort("f", allowingJoined: true), .customLong("format")], help: "qcow2 or raw.")
  var format = ImageFormat.qcow2.rawValue

  @Option(
    name: [.customShort("o", allowingJoined: true), .customLong("options")],
    help: ArgumentHelp("What the format can be told.", valueName: "name=value,…"))
  var options: [String] = []

  @Option(
    name: [.customShort("b", allowingJoined: true), .customLong("backing")],
    help: ArgumentHelp(
      "The backing file; a relative name begins at the new image's directory.", valueName: "file"))
  var backing: String?

  @Option(
    name: [.customShort("F", allowingJoined: true), .customLong("backing-format")],
    help: ArgumentHelp("The backing file's format.", valueName: "format"))
  var backingFormat: String?

  @Flag(name: [.customShort("q"), .customLong("quiet")], help: "Say nothing but errors.")
  var quiet = false

  @Argument(help: "The file.")
  var file: String

  @Argument(help: "The size of the guest's disk; without it, the backing file's.")
  var size: Size?

  func run() throws {
    guard let format = ImageFormat(rawValue: format) else {
      throw failure("Unknown file format '\(format)'")
    }
    let settings = try CreateSettings(options, format, of: file)
    let below = try backingFile(of: format)
    let wanted = try size?.bytes("image size")
    try connection.withSession { session in
      // Opened in any case: a backing file that is not there is found now and not by the guest.
      let length = try below.map { try self.length(of: $0, in: session) }
      let size = try wholeSectors(wanted ?? length)
      switch format {
      case .raw: try makeFile(size, settings.filePreallocation, in: session)
      case .qcow2: try makeImage(size, settings, over: below?.format, in: session)
      }
      guard !quiet, !session.isJSON else { return }
      let over = backing.map { " backing_file=\($0)" } ?? ""
      StandardStream.output.line(
        "Formatting '\(file)', fmt=\(format.rawValue) size=\(size)\(over)")
    }
  }

  private func failure(_ sentence: String) -> Failure { Failure("\(file): \(sentence)") }

  /// The backing file, which the command line must name together with its format.
  private func backingFile(of format: ImageFormat) throws -> ImageFile? {
    guard let backing else {
      guard backingFormat == nil else {
        throw failure("Backing format cannot be used without backing file")
      }
      return nil
    }
    guard format == .qcow2 else {
      throw failure("Backing file not supported for file format '\(format.rawValue)'")
    }
    guard let backingFormat else {
      throw failure("Backing file specified without backing format: give it with -F")
    }
    guard let below = ImageFormat(rawValue: backingFormat) else {
      throw failure("Unknown driver '\(backingFormat)'")
    }
    return ImageFile(
      pathOfBacking(backing, of: file), as: below, for: .look(forceShare: false))
  }

  private func length(of disk: ImageFile, in session: Session) throws -> Int {
    try disk.whileOpen(in: session) { node in
      try session.client.execute(NodeInfoQuery { $0.node = node }).virtualSize
    }
  }

  private func wholeSectors(_ bytes: Int?) throws -> Int {
    guard let bytes else { throw failure("Image creation needs a size parameter") }
    let (rounded, overflow) = bytes.addingReportingOverflow(-bytes & 511)
    guard !overflow else { throw failure("Image size must be less than 8 EiB!") }
    return rounded
  }

  private func makeFile(
    _ size: Int, _ preallocation: FileCreateOptions.Preallocation, in session: Session
  ) throws {
    try make(
      .file(
        FileCreateOptions {
          $0.filename = absolutePath(file)
          $0.size = size
          $0.preallocation = preallocation
        }), in: session)
  }

  private func makeImage(
    _ size: Int, _ settings: CreateSettings, over below: ImageFormat?, in session: Session
  ) throws {
    try makeFile(0, .off, in: session)
    var host = ImageFile.host(file)
    host.nodeName = uniqueName("qblockctl")
    try session.client.execute(BlockdevAdd(host))
    defer {
      _ = try? session.client.execute(BlockdevDel { $0.nodeName = host.nodeName ?? "" })
    }
    var image = settings.image
    image.file = .node(host.nodeName ?? "")
    image.size = size
    image.backingFile = backing
    image.backingFormat = below.flatMap { BlockDriver(rawValue: $0.rawValue) }
    try make(.qcow2(image), in: session)
  }

  /// Runs one job, which the daemon keeps until it is dismissed.
  private func make(_ format: CreateFormat, in session: Session) throws {
    let id = uniqueName("create")
    let starting = QMPRequest(
      BlockdevCreate {
        $0.jobID = id
        $0.options = BlockdevCreateOptions(format)
      })
    let display = ProgressDisplay(isJSON: session.isJSON, progress: false, quiet: true)
    var run = JobRun(session: session, id: id, display: display)
    let outcome = try run.run([]) { _ in [starting] }
    try session.client.execute(JobDismiss { $0.id = id })
    guard let error = outcome.error else { return }
    throw error.contains(absolutePath(file)) ? Failure(error) : failure(error)
  }
}
