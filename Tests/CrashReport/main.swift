import CrashSimulation
import Foundation

// `states` and `flushes` ask for one of the two tables.
let wanted = CommandLine.arguments.dropFirst()
let report = CrashReport(width: ProcessInfo.processInfo.activeProcessorCount) { line in
  FileHandle.standardOutput.write(Data("\(line)\n".utf8))
}
var isSound = true
if wanted.isEmpty || wanted.contains("states") {
  isSound = try await report.runTrials()
}
if wanted.isEmpty || wanted.contains("flushes") {
  let isMissed = try await report.runMutants()
  isSound = isSound && isMissed
}
exit(isSound ? 0 : 1)
