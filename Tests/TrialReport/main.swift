import Foundation
import ImageTrials

// qblock-trials malformed [MUTANTS [SEED]] [--unmeasured]
// qblock-trials differential [COUNT [SEED]]
//
// Ends with 1 where something is wrong.

func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

let words = CommandLine.arguments.dropFirst().filter { !$0.hasPrefix("--") }
let numbers = words.dropFirst().compactMap { UInt64($0) }
let seed = numbers.count > 1 ? numbers[1] : UInt64.random(in: 0..<1 << 32)
guard getuid() != 0 else {
  say("Not as root: strange images are opened here.")
  exit(2)
}
let complaints: [String]
switch words.first {
case "malformed":
  let trial = try MalformedTrial(measures: !CommandLine.arguments.contains("--unmeasured"))
  let mutants = Int(numbers.first ?? 400)
  say("Seed \(seed)")
  try trial.runRows()
  try trial.runMutants(mutants, from: seed)
  try trial.finish()
  let figures = trial.figures
  say(
    "\(figures.images) images (\(HostileRow.all.count) of the list, \(mutants) mutants), "
      + "\(figures.runs) runs, \(figures.refused) of them refused")
  say("slowest: \(figures.slowest.seconds) s (\(figures.slowest.name))")
  say("largest: \(figures.largest.kibibytes) KiB (\(figures.largest.name))")
  complaints = figures.complaints
case "differential":
  let count = Int(numbers.first ?? 5000)
  say("Seed \(seed)")
  let trial = DifferentialTrial(count, from: seed)
  trial.run(width: ProcessInfo.processInfo.activeProcessorCount)
  complaints = trial.complaints
  say("\(count) images: map, check and content by qblockd and by QEMU")
default:
  say("Usage: qblock-trials malformed|differential [COUNT [SEED]]")
  exit(2)
}
for complaint in complaints { say("WRONG \(complaint)") }
say(complaints.isEmpty ? "Nothing wrong." : "\(complaints.count) wrong.")
exit(complaints.isEmpty ? 0 : 1)
