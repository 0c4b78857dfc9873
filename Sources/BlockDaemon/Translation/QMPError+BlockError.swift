import BlockCore
import QMP

extension QMPError {
  /// An error of the engine as a client sees it: the same sentence, where a job is in the way also
  /// what to do about it, and what stands behind it in `x-error`.
  init(_ error: BlockError) {
    var sentence = error.message
    if error.code == .busy, let job = error.job {
      sentence +=
        "; wait for job '\(QMPError.quoted(job))' (job-wait), or end it (job-complete, job-cancel)"
    }
    self.init(sentence, detail: QMPErrorDetail(error))
  }
}

extension QMPErrorDetail {
  init(_ error: BlockError) {
    self.init()
    code = error.code.rawValue
    file = error.file
    offset = error.offset
    guestOffset = error.guestOffset
    errno = error.errno.map(Int.init)
    node = error.node
    job = error.job
  }
}
