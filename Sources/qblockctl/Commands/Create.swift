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

  @Option(name: [.customShort("f"), .customLong("format")], help: "qcow2 or raw.")
  var format = ImageFormat.qcow2

  @Option(
    name: [.customShort("o"), .customLong("options")],
    help: ArgumentHelp("What the format can be told.", valueName: "name=value,…"))
  var options: [String] = []

  @Option(
    name: [.customShort("b"), .customLong("backing")],
    help: "The backing file; a relative name begins at the new image's directory.")
  var backing: String?

  @Option(
    name: [.customShort("F"), .customLong("backing-format")], help: "The backing file's format.")
  var backingFormat: ImageFormat?

  @Flag(name: [.customShort("q"), .customLong("quiet")], help: "Say nothing but errors.")
  var quiet = false

  @Argument(help: "The file.")
  var file: String

  @Argument(help: "The size of the guest's disk; without it, the backing file's.")
  var size: Size?

  func run() throws {
    let settings = try CreateSettings(options, format)
    guard format == .qcow2 || backing == nil else {
      throw Failure("\(file): Backing file not supported for file format 'raw'")
    }
    guard backing == nil || backingFormat != nil else {
      throw Failure(
        "\(file): Backing file specified without backing format: give it with -F")
    }
    guard backing != nil || backingFormat == nil else {
      throw Failure("\(file): Backing format cannot be used without backing file")
    }
    try connection.withSession { session in
      let size = try size(in: session)
      switch format {
      case .raw: try makeFile(size, settings.filePreallocation, in: session)
      case .qcow2: try makeImage(size, settings, in: session)
      }
      guard !quiet, !session.isJSON else { return }
      let over = backing.map { " backing_file=\($0)" } ?? ""
      StandardStream.output.line(
        "Formatting '\(file)', fmt=\(format.rawValue) size=\(size)\(over)")
    }
  }

  /// The size to make, in whole sectors.
  private func size(in session: Session) throws -> Int {
    var bytes = size?.bytes
    if let backing, let backingFormat {
      // Opened in any case: a backing file that is not there is found now and not by the guest.
      let disk = ImageFile(
        pathOfBacking(backing, of: file), as: backingFormat, readOnly: true)
      let below = try disk.whileOpen(in: session) {
        try session.client.execute(NodeInfoQuery { $0.node = disk.nodeName }).virtualSize
      }
      bytes = bytes ?? below
    }
    guard let bytes else { throw Failure("Image creation needs a size parameter") }
    let (rounded, overflow) = bytes.addingReportingOverflow(-bytes & 511)
    guard !overflow else { throw Failure("Image size must be less than 8 EiB!") }
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

  private func makeImage(_ size: Int, _ settings: CreateSettings, in session: Session) throws {
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
    image.backingFormat = backingFormat.flatMap { BlockDriver(rawValue: $0.rawValue) }
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
    let outcome = try run.run([], starting)
    try session.client.execute(JobDismiss { $0.id = id })
    if let error = outcome.error { throw Failure("\(file): \(error)") }
  }
}

extension ImageFormat: ExpressibleByArgument {}
