import Foundation
package import ImageFormats

/// The places of the engine's source text at which a named flush is asked for, so that none of them
/// can be without a witness.
///
/// Isolation: value.
package enum FlushSource {
  /// For each name the functions that ask for such a flush, without their arguments.
  package static func functions() throws -> [FlushPoint: Set<String>] {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Sources/ImageFormats")
    var found: [FlushPoint: Set<String>] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: root.path)
    where name.hasSuffix(".swift") {
      let text = try String(contentsOf: root.appending(path: name), encoding: .utf8)
      for (function, point) in places(in: text) { found[point, default: []].insert(function) }
    }
    return found
  }

  /// Where one call only passes another's wish on, it is not the place.
  private static let passedOn = ["in: function)", "data.flush()", "storage.flush()"]

  private static func places(in text: String) -> [(function: String, point: FlushPoint)] {
    var places: [(String, FlushPoint)] = []
    var function = ""
    for line in text.split(separator: "\n") where !line.contains("///") {
      if let name = line.firstRange(of: "func ") {
        function = String(line[name.upperBound...].prefix { $0 != "(" && $0 != "<" })
      }
      guard let call = line.firstRange(of: /\.flush(Written)?\(/),
        !passedOn.contains(where: { line.contains($0) })
      else { continue }
      let point = line[call.upperBound...].prefix { $0 != ")" && $0 != "," }
      places.append((function, FlushSource.point(point)))
    }
    return places
  }

  /// The flush of this name, as it stands in a call; `final` where there is none.
  private static func point(_ text: Substring) -> FlushPoint {
    FlushPoint.allCases.first { ".\($0)" == text } ?? .final
  }
}

extension FlushWitness {
  /// The functions with a witness for the flush `point`, without their arguments.
  package static func functions(of point: FlushPoint) -> Set<String> {
    Set(places.filter { $0.point == point }.map { String($0.function.prefix { $0 != "(" }) })
  }
}
