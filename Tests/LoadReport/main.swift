import Foundation
import LoadTrials

// qblock-load [clients] [jobs] [mixed [SECONDS]]
//
// Ends with 1 where a figure is not as it should be.

func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

let words = CommandLine.arguments.dropFirst()
let seconds = words.compactMap(Double.init).first
let parts = words.filter { Double($0) == nil }
let known = ["clients", "jobs", "mixed"]
guard Set(parts).isSubset(of: known) else {
  say("Usage: qblock-load [clients] [jobs] [mixed [SECONDS]]")
  exit(2)
}

/// Runs one part.
func run(_ part: String) throws -> LoadFigures {
  switch part {
  case "clients": return try ClientLoad().run()
  case "jobs": return try JobLoad().run()
  default:
    var load = MixedLoad()
    if let seconds {
      load.leastJobs = Int(Double(load.leastJobs) * min(1, seconds / load.seconds))
      load.seconds = seconds
    }
    return try load.run()
  }
}

var isRight = true
for part in known where parts.isEmpty || parts.contains(part) {
  say("== \(part)")
  let figures = try run(part)
  figures.lines.forEach(say)
  figures.complaints.forEach { say("WRONG \($0)") }
  isRight = isRight && figures.complaints.isEmpty
}
exit(isRight ? 0 : 1)
