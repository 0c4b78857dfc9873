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

  /// The settings in `lists`, each `name=value` with commas between them, for the image `file` in
  /// `format`.
  init(_ lists: [String], _ format: ImageFormat, of file: String) throws {
    for item in lists.flatMap({ $0.split(separator: ",") }) {
      let parts = item.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2 else { throw Failure("Expected name=value in -o: '\(item)'") }
      do throws(Refusal) {
        switch format {
        case .qcow2: try set(parts[0], parts[1])
        case .raw: try setRaw(parts[0], parts[1])
        }
      } catch {
        throw Failure("\(file): \(error.sentence(parts[0], parts[1]))")
      }
    }
  }

  private mutating func set(_ name: String, _ value: String) throws(Refusal) {
    switch name {
    case "cluster_size":
      guard let bytes = try? ByteCount.parse(value) else {
        throw .expects("a non-negative number below 2^64, perhaps with a suffix k, M or G")
      }
      image.clusterSize = bytes
    case "refcount_bits":
      guard let bits = Int(value) else { throw .expects("a number") }
      image.refcountBits = bits
    case "compat":
      switch value {
      case "0.10", "v2": image.version = .v2
      case "1.1", "v3": image.version = .v3
      default: throw .value
      }
    case "lazy_refcounts":
      guard value == "on" || value == "off" else { throw .expects("'on' or 'off'") }
      image.lazyRefcounts = value == "on"
    case "preallocation":
      guard let word = Qcow2CreateOptions.Preallocation(rawValue: value) else { throw .value }
      image.preallocation = word
    default: throw .name
    }
  }

  private mutating func setRaw(_ name: String, _ value: String) throws(Refusal) {
    guard name == "preallocation" else { throw .name }
    guard let word = FileCreateOptions.Preallocation(rawValue: value) else { throw .value }
    filePreallocation = word
  }
}

/// Why a setting is refused.
///
/// Isolation: value.
private enum Refusal: Error {
  /// There is none of this name.
  case name
  /// It has no such value.
  case value
  /// It takes values of another kind.
  case expects(String)

  /// What is wrong with `name=value`, as qemu-img says it.
  func sentence(_ name: String, _ value: String) -> String {
    switch self {
    case .name: "Invalid parameter '\(name)'"
    case .value: "Parameter '\(name)' does not accept value '\(value)'"
    case .expects(let what): "Parameter '\(name)' expects \(what)"
    }
  }
}
