import CrashSimulation
import Foundation

// Words name parts of the report, numbers are the points of `kills` and the seed, or the seed.
let words = CommandLine.arguments.dropFirst()
let parts = words.compactMap(CrashReport.Part.init)
let numbers = words.compactMap { UInt64($0) }
guard parts.count + numbers.count == words.count, numbers.count <= 2 else {
  let parts = CrashReport.Part.allCases.map(\.rawValue).joined(separator: "|")
  FileHandle.standardError.write(Data("usage: qblock-crash [\(parts)]... [[POINTS] SEED]\n".utf8))
  exit(2)
}
let report = CrashReport(
  seed: numbers.last ?? 1, width: ProcessInfo.processInfo.activeProcessorCount
) { line in
  FileHandle.standardOutput.write(Data("\(line)\n".utf8))
}
let points = numbers.count == 2 ? Int(numbers[0]) : 500
let isGood = try await report.run(parts.isEmpty ? CrashReport.Part.allCases : parts, kills: points)
exit(isGood ? 0 : 1)
