import BlockCore
import QMP

extension QMPError {
  /// An error of the engine as a client sees it: the same sentence, and what stands behind it in
  /// `x-error`.
  init(_ error: BlockError) {
    self.init(
      error.message,
      detail: QMPErrorDetail {
        $0.code = error.code.rawValue
        $0.file = error.file
        $0.offset = error.offset
        $0.errno = error.errno.map(Int.init)
      })
  }
}
