import BlockCore

/// What the trial asks of qblockctl.
enum TrialVerb: String, CaseIterable {
  case open, check, map, read, write, fill, commit

  /// The byte that is written.
  static let pattern: UInt8 = 7

  /// The same, as the rows call it; they say apart what a check gives.
  var request: HostileRequest? {
    switch self {
    case .open: .open
    case .check: nil
    case .map: .map
    case .read: .read
    case .write: .write
    case .fill: .fill
    case .commit: .commit
    }
  }

  /// The file with the bytes that the guest must see.
  static func viewFile(in root: String) -> String { "\(root)/view" }

  /// A comparison of the image with that file.
  static func comparison(_ files: HostileFiles, in root: String) -> [String] {
    ["compare", "-f", files.format, "-F", "raw", "\(root)/image", viewFile(in: root)]
  }

  /// The checksums of the image and of that file.
  static func checksums(_ files: HostileFiles, in root: String) -> [[String]] {
    [
      ["checksum", "-f", files.format, "\(root)/image"],
      ["checksum", "-f", "raw", viewFile(in: root)],
    ]
  }

  /// Where a request writes the pattern.
  static func written(_ request: HostileRequest, _ files: HostileFiles) -> ByteRange? {
    let size = files.view?.count ?? 1 << 20
    let hole = 20 * files.clusterSize
    switch request {
    case .write:
      let count = min(size, 3000)
      return count == 0 ? nil : ByteRange(at: min(100, size - count), length: count)
    case .fill: return hole + 3000 <= size ? ByteRange(at: hole, length: 3000) : nil
    default: return nil
    }
  }

  /// The words for qblockctl; nil where the disk is too small for it. A disk too large to be read
  /// whole is compared with an empty one: that reads what it holds.
  func words(_ files: HostileFiles, in root: String) -> [String]? {
    let named = ["-f", files.format, "\(root)/image"]
    switch self {
    case .open: return ["info", "--backing-chain"] + named
    case .check: return ["check"] + named
    case .map: return ["map", "--output", "json"] + named
    case .read:
      return files.isComparable
        ? TrialVerb.comparison(files, in: root) : TrialVerb.checksums(files, in: root)[0]
    case .write, .fill:
      guard let range = TrialVerb.written(self == .write ? .write : .fill, files) else {
        return nil
      }
      return ["write", "--pattern", "\(TrialVerb.pattern)"] + named
        + ["\(range.lower)", "\(range.length)"]
    case .commit: return ["commit"] + named
    }
  }
}
