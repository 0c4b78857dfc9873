import CrashSimulation
import Foundation

// `states`, `flushes`, `traces` and `kills [POINTS] [SEED]` ask for one of the tables.
let wanted = CommandLine.arguments.dropFirst()
let width = ProcessInfo.processInfo.activeProcessorCount
let tell: @Sendable (String) -> Void = { line in
  FileHandle.standardOutput.write(Data("\(line)\n".utf8))
}
let report = CrashReport(width: width, tell: tell)
var isSound = true
if wanted.isEmpty || wanted.first == "states" {
  isSound = try await report.runTrials()
}
if wanted.isEmpty || wanted.first == "flushes" {
  let isMissed = try await report.runMutants()
  isSound = isSound && isMissed
}
if wanted.isEmpty || wanted.first == "traces" {
  let isFound = try await RecordedReport(width: width, tell: tell).run()
  isSound = isSound && isFound
}
if wanted.isEmpty || wanted.first == "kills" {
  let numbers = wanted.dropFirst().map { UInt64($0) }
  let points = Int(numbers.first.flatMap(\.self) ?? 500)
  let seed = numbers.dropFirst().first.flatMap(\.self) ?? UInt64.random(in: 1...UInt64.max)
  let isDone = try await KillReport(width: width, tell: tell).run(points: points, seed: seed)
  isSound = isSound && isDone
}
exit(isSound ? 0 : 1)
