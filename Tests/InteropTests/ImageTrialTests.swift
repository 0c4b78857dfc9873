import Foundation
import TestSupport
import Testing

/// A small part of `scripts/trials`. Strange images are nothing for root: the program refuses to
/// run as such, and is run as nobody where the tests are.
@Suite("image trials", .timeLimit(.minutes(15)))
struct ImageTrialTests {
  private func run(_ arguments: String...) throws -> QemuTools.Outcome {
    let program = [DaemonProcess.program("qblock-trials")] + arguments
    guard getuid() == 0 else { return try QemuTools.run("env", program) }
    return try QemuTools.run(
      "setpriv",
      ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"] + program)
  }

  @Test("real programs survive every malformed image of the list, and 20 that seed 1 begins")
  func malformed() throws {
    let outcome = try run("malformed", "20", "1", "--unmeasured")
    #expect(outcome.status == 0, "\(outcome.output)")
  }

  @Test(
    "a check of a damaged image finds what QEMU's finds, before and after a repair",
    arguments: [
      ("60", "1"),
      // Snapshots, and an autoclear bit that nobody knows.
      ("1", "256105588"),
    ])
  func checks(count: String, seed: String) throws {
    let outcome = try run("checks", count, seed)
    #expect(outcome.status == 0, "\(outcome.output)")
  }

  @Test("100 random images that seed 1 begins are the same to us and to QEMU")
  func differential() throws {
    let outcome = try run("differential", "100", "1")
    #expect(outcome.status == 0, "\(outcome.output)")
  }
}
