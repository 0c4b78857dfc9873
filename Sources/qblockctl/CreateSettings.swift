import QMP
import QMPClient

/// What `-o` says of an image to make.
///
/// Isolation: value.
struct CreateSettings {
  /// The qcow2 image; its file, size and backing file are the caller's.
  private(set) var image = Qcow2CreateOptions()
  /// How much of a raw file gets space at once.
  private(set) var filePreallocation = FileCreateOptions.Preallocation.off

  /// The settings in `lists`, each `name=value` with commas between them, for `format`.
  init(_ lists: [String], _ format: ImageFormat) throws {
    for item in lists.flatMap({ $0.split(separator: ",") }) {
      let parts = item.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2 else { throw Failure("Expected name=value in -o: '\(item)'") }
      let isKnown =
        switch format {
        case .qcow2: try set(parts[0], parts[1])
        case .raw: try setRaw(parts[0], parts[1])
        }
      guard isKnown else {
        throw Failure("Format '\(format.rawValue)' has no option '\(parts[0])' here")
      }
    }
  }

  private mutating func set(_ name: String, _ value: String) throws -> Bool {
    func wrong() -> Failure { Failure("Parameter '\(name)' does not accept value '\(value)'") }
    switch name {
    case "cluster_size":
      guard let bytes = ByteCount.parse(value) else { throw wrong() }
      image.clusterSize = bytes
    case "refcount_bits":
      guard let bits = Int(value) else { throw wrong() }
      image.refcountBits = bits
    case "compat":
      switch value {
      case "0.10", "v2": image.version = .v2
      case "1.1", "v3": image.version = .v3
      default: throw wrong()
      }
    case "lazy_refcounts":
      guard value == "on" || value == "off" else { throw wrong() }
      image.lazyRefcounts = value == "on"
    case "preallocation":
      guard let word = Qcow2CreateOptions.Preallocation(rawValue: value) else { throw wrong() }
      image.preallocation = word
    default: return false
    }
    return true
  }

  private mutating func setRaw(_ name: String, _ value: String) throws -> Bool {
    guard name == "preallocation" else { return false }
    guard let word = FileCreateOptions.Preallocation(rawValue: value) else {
      throw Failure("Parameter '\(name)' does not accept value '\(value)'")
    }
    filePreallocation = word
    return true
  }
}
