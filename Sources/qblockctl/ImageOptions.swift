import ArgumentParser
import QMP

/// How a command opens the image that its user names.
struct ImageOptions: ParsableArguments {
  @Option(
    name: [.customShort("f", allowingJoined: true), .customLong("format")],
    help: "The image's format, qcow2 or raw. Without it the image must be qcow2.")
  var format: String?

  @Option(
    help: ArgumentHelp(
      "The backing file's format, where the image names the file without one.",
      valueName: "format"))
  var backingFormat: String?

  @Option(
    name: [.customShort("t", allowingJoined: true), .customLong("cache")],
    help: "none, directsync, writeback, writethrough or unsafe.")
  var cache = "writeback"

  @Flag(
    help: ArgumentHelp(
      "The image is given as key=value,... with dots: driver=qcow2,file.filename=FILE."))
  var imageOpts = false

  /// The format that `word` names.
  static func parse(_ word: String, of file: String) throws -> ImageFormat {
    guard let format = ImageFormat(rawValue: word) else {
      throw Failure("Could not open '\(file)': Unknown driver '\(word)'")
    }
    return format
  }

  /// How the host's page cache is used. Every command flushes before it says that it is done, so
  /// that writing through has nothing to add.
  func cacheOptions() throws -> CacheOptions? {
    switch cache {
    case "none", "off", "directsync": CacheOptions { $0.direct = true }
    case "unsafe": CacheOptions { $0.noFlush = true }
    case "writeback", "writethrough": nil
    default: throw Failure("Invalid cache option: \(cache)")
    }
  }
}
