/// Where a job is in its life.
///
/// Isolation: value.
package enum JobStatus: String, WireEnum {
  /// Being made; never seen from outside.
  case undefined
  /// Made and not yet begun.
  case created
  /// At work.
  case running
  /// Halted while at work.
  case paused
  /// All is copied and kept in step; the user may complete it.
  case ready
  /// Halted while ready.
  case standby
  /// Waiting for the other jobs of its transaction.
  case waiting
  /// Done but for the last step, which `job-finalize` asks for.
  case pending
  /// Undoing what it can after an error or a cancel.
  case aborting
  /// Over; `job-dismiss` removes it.
  case concluded
  /// Gone; seen in the last event only.
  case null
}
