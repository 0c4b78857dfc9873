import CrashSimulation
import Foundation

let report = CrashReport(width: ProcessInfo.processInfo.activeProcessorCount) { line in
  FileHandle.standardOutput.write(Data("\(line)\n".utf8))
}
let isSound = try await report.run()
exit(isSound ? 0 : 1)
