import BlockCore
import QMP

extension QMPError {
  /// An error of the engine as a client sees it: the same sentence, and what stands behind it in
  /// `x-error`.
  init(_ error: BlockError) {
    self.init(error.message, detail: QMPErrorDetail(error))
  }
}

extension QMPErrorDetail {
  init(_ error: BlockError) {
    self.init()
    code = error.code.rawValue
    file = error.file
    offset = error.offset
    errno = error.errno.map(Int.init)
    node = error.node
    job = error.job
  }
}
