// Answers that wait for a job; extensions of ours. A waiting client blocks nobody.

/// Completes a ready job and waits until it has concluded.
///
/// Isolation: value.
package struct JobCompleteSync: QMPCommand {
  package typealias Reply = JobOutcome

  package var id = ""
  package var timeoutMilliseconds: Int?

  package init() {}

  package static let name = "job-complete-sync"
  package static let summary =
    "Completes a ready job and answers when it has concluded, or with its error"
  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job"),
    .optional(
      "timeout-ms", \.timeoutMilliseconds, "Answer with an error after this long; the job goes on"
    ).nonNegative,
  ]
}

/// Waits until a job has come as far as it is asked.
///
/// Isolation: value.
package struct JobWait: QMPCommand {
  /// How far a job must have come.
  package enum Goal: String, WireEnum {
    /// Ready to complete, or over.
    case ready
    /// Over.
    case concluded
  }

  package typealias Reply = JobOutcome

  package var id = ""
  package var until = Goal.concluded
  package var timeoutMilliseconds: Int?

  package init() {}

  package static let name = "job-wait"
  package static let summary = "Answers when a job is ready, or has concluded"
  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job"),
    .defaulted("until", \.until, "How far the job must have come"),
    .optional(
      "timeout-ms", \.timeoutMilliseconds, "Answer with an error after this long; the job goes on"
    ).nonNegative,
  ]
}
