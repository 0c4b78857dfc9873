package import BlockCore
package import BlockRuntime

/// Makes an image: one call on a lane.
///
/// Crash: no image or half of one before the flush at its end, and the whole one after it
/// (`Qcow2Create`); nobody has heard of it before. Tests: `CrashSmokeTests` (create).
///
/// Isolation: control plane.
@ControlPlane
package final class CreateJob: JobBody {
  package let type = JobType.create
  package let canComplete = false
  package let device: DeviceKey
  package let files: [String]
  private let create: @Sendable () throws(BlockError) -> Void

  /// `create` makes the image in `file`, which lies on `device`; nothing is left where it fails.
  package init(
    file: String, device: DeviceKey,
    _ create: @escaping @Sendable () throws(BlockError) -> Void
  ) {
    files = [file]
    self.device = device
    self.create = create
  }

  package func run(_ job: JobContext) async throws(BlockError) {
    job.progress.expect(1)
    // Tried is done, as QEMU counts it.
    defer { job.progress.advance(by: 1) }
    try await job.enter(.create)
    try await job.perform(.write, create)
  }
}
