import Foundation
import QMP
import QMPClient
import TestSupport

/// A chain of images as real files, for programs to work on.
///
/// Isolation: one thread.
final class SceneFiles {
  /// What else a trial needs on disk, away from the images.
  let aside: TemporaryDirectory
  let directory: TemporaryDirectory
  /// The files, the base first.
  let names: [String]
  let hasRawBase: Bool

  /// Directories with the files of `chain`, inside `parent`.
  init(_ chain: [(name: String, image: CrashImage)], in parent: String? = nil) throws {
    aside = try TemporaryDirectory(in: parent)
    directory = try TemporaryDirectory(in: parent)
    names = chain.map(\.name)
    hasRawBase = chain.first?.image.isQcow2 == false
    try write(chain.map(\.image))
  }

  /// Makes the files what they are in `images`.
  func write(_ images: [CrashImage]) throws {
    for (name, image) in zip(names, images) { try directory.write(image.bytes, to: name) }
  }

  /// The files as they are now.
  var chain: [(name: String, image: CrashImage)] {
    get throws { try names.map { ($0, CrashImage(try directory.read($0))) } }
  }

  /// The path of the image at `index`; from the end where it is negative.
  func path(_ index: Int) -> String {
    directory.file(names[index < 0 ? names.count + index : index])
  }
}

/// Why a program did not do what it was told.
struct ErrandFailure: Error, CustomStringConvertible {
  let description: String
}

/// What a daemon is told to do with a chain of images.
///
/// Isolation: value.
package enum Errand: String, CaseIterable, Sendable {
  case commitActive = "commit (active), empty"
  case commitIntermediate = "commit (intermediate)"
  case stream = "stream (to the base)"
  case streamAll = "stream (all)"
  case makeEmpty = "make-empty"
  case write

  /// Has `client`'s daemon open the chain of `files`, do this, and close it.
  ///
  /// `writes` are what is written, at which offsets; each is told before it begins and when it has
  /// ended.
  func run(
    _ client: QMPClient, on files: SceneFiles, writes: [Write] = [],
    tell: (Write, _ hasEnded: Bool) -> Void = { _, _ in }
  ) throws {
    try client.add("top", files.path(-1), dropBitmaps: true)
    switch self {
    case .commitActive:
      try succeed(
        client.commit("top") {
          $0.base = files.path(-2)
          $0.makeEmpty = true
        })
    case .commitIntermediate:
      try succeed(
        client.commit("top") {
          $0.top = files.path(-2)
          $0.base = files.path(0)
          $0.backingFile = files.names[0]
        })
    case .stream:
      try succeed(
        client.stream("top") {
          $0.base = files.path(0)
          $0.backingFile = files.names[0]
        })
    case .streamAll: try succeed(client.stream("top"))
    case .makeEmpty: try succeed(client.makeEmpty("top"))
    case .write:
      for write in writes {
        let source = try files.aside.write(write.bytes, to: "bytes")
        tell(write, false)
        try succeed(
          client.write("top", at: write.offset, length: write.bytes.count, from: source))
        tell(write, true)
      }
    }
    try client.remove("top")
  }

  /// Bytes for a place on the top's disk.
  struct Write: Sendable {
    var offset: Int
    var bytes: [UInt8]
  }

  private func succeed(_ outcome: JobOutcome) throws {
    if let error = outcome.error { throw ErrandFailure(description: "\(rawValue): \(error)") }
  }
}
