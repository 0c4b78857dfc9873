import Foundation
import ImageTrials
import Synchronization

// qblock-trials malformed [MUTANTS [SEED]] [--unmeasured]
// qblock-trials differential [COUNT [SEED]]
// qblock-trials checks [MUTANTS [SEED]]
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

// What a trial keeps on disk goes when it is let go of, so none outlives its function.

/// Runs the malformed images; returns what is wrong. Where nothing is measured, several at once.
func malformed() throws -> [String] {
  let measures = !CommandLine.arguments.contains("--unmeasured")
  let mutants = Int(numbers.first ?? 400)
  let width = measures ? 1 : ProcessInfo.processInfo.activeProcessorCount
  let results = Mutex<[Result<MalformedTrial.Figures, any Error>]>([])
  DispatchQueue.concurrentPerform(iterations: width) { part in
    let result = Result {
      let trial = try MalformedTrial(measures: measures)
      try trial.run(mutants: mutants, from: seed, part: part, of: width)
      try trial.finish()
      return trial.figures
    }
    results.withLock { $0.append(result) }
  }
  var figures = MalformedTrial.Figures()
  for result in results.withLock({ $0 }) { figures.add(try result.get()) }
  say(
    "\(figures.images) images (\(HostileRow.all.count) of the list, \(mutants) mutants), "
      + "\(figures.runs) runs, \(figures.refused) of them refused, "
      + "\(figures.judged) held against their row")
  say("slowest: \(figures.slowest.seconds) s (\(figures.slowest.name))")
  say("largest: \(figures.largest.kibibytes) KiB (\(figures.largest.name))")
  return figures.complaints
}

/// Runs the random valid images; returns what is wrong.
func differential() -> [String] {
  let count = Int(numbers.first ?? 5000)
  let trial = DifferentialTrial(count, from: seed)
  trial.run(width: ProcessInfo.processInfo.activeProcessorCount)
  say("\(count) images: map, check and content by qblockd and by QEMU")
  return trial.complaints
}

/// Runs the damaged images; returns what is checked differently.
func checks() throws -> [String] {
  let trial = try CheckTrial()
  try trial.runRows()
  try trial.runMutants(Int(numbers.first ?? 400), from: seed)
  say(
    "\(trial.images) damaged images, \(trial.compared) opened by both, \(trial.same) "
      + "checks the same as QEMU's, \(trial.listed) otherwise for a listed reason; "
      + "\(trial.repairs) repairs by both, \(trial.sameRepairs) of them with the same numbers")
  return trial.complaints
}

let trials: [String: () throws -> [String]] = [
  "malformed": malformed, "differential": differential, "checks": checks,
]
guard let name = words.first, let trial = trials[name] else {
  say("Usage: qblock-trials malformed|differential|checks [COUNT [SEED]]")
  exit(2)
}
say("Seed \(seed)")
let complaints = try trial()
for complaint in complaints { say("WRONG \(complaint)") }
say(complaints.isEmpty ? "Nothing wrong." : "\(complaints.count) wrong.")
exit(complaints.isEmpty ? 0 : 1)
