import CFuzzer
import Foundation

// qblock-fuzz seeds DIRECTORY          writes the inputs to begin with, a directory for each target
// qblock-fuzz TARGET [OPTION|INPUT…]   runs libFuzzer; linked without it, takes each INPUT once

extension FuzzTarget {
  /// `take` as libFuzzer calls it, which passes nothing along.
  fileprivate var callback: cfuzzer_input {
    switch self {
    case .header: { FuzzTarget.header.take($0, $1) }
    case .tables: { FuzzTarget.tables.take($0, $1) }
    case .compressed: { FuzzTarget.compressed.take($0, $1) }
    case .json: { FuzzTarget.json.take($0, $1) }
    case .framing: { FuzzTarget.framing.take($0, $1) }
    case .dispatch: { FuzzTarget.dispatch.take($0, $1) }
    case .options: { FuzzTarget.options.take($0, $1) }
    }
  }

  private func take(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    take(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
  }

  fileprivate func writeSeeds(to directory: String) throws {
    let place = URL(fileURLWithPath: "\(directory)/\(rawValue)")
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
    for (index, seed) in try seeds().enumerated() {
      try Data(seed).write(to: place.appending(path: "seed\(index)"))
    }
  }
}

let words = CommandLine.arguments
if words.count == 3, words[1] == "seeds" {
  for target in FuzzTarget.allCases { try target.writeSeeds(to: words[2]) }
  exit(0)
}
guard words.count > 1, let target = FuzzTarget(rawValue: words[1]) else {
  let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: "|")
  FileHandle.standardError.write(Data("Usage: qblock-fuzz seeds DIR | \(names) …\n".utf8))
  exit(2)
}
// libFuzzer sees its own arguments only.
let status = cfuzzer_run(
  CommandLine.argc - 1, CommandLine.unsafeArgv.advanced(by: 1), target.callback)
if status >= 0 { exit(status) }
for input in words.dropFirst(2) {
  target.take([UInt8](try Data(contentsOf: URL(fileURLWithPath: input))))
}
