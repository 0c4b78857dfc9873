import BlockRuntime

/// A warning that strangers can give cause for as often as they like: the first is told at once,
/// those of each second after it are told together.
///
/// Isolation: control plane.
@ControlPlane
final class RepeatedWarning {
  private let pace: Duration
  private let tell: @ControlPlane (String) -> Void
  private var timer: ControlTimer?
  private var untold = 0
  private var latest = ""

  /// A warning that goes to `tell`, once in each `pace`.
  init(pace: Duration = .seconds(1), _ tell: @escaping @ControlPlane (String) -> Void) {
    self.pace = pace
    self.tell = tell
  }

  /// There is cause for it: `text`.
  func note(_ text: String) {
    if timer == nil {
      tell(text)
      rest()
    } else {
      untold += 1
      latest = text
    }
  }

  /// Tells what was not told yet.
  func flush() {
    if untold == 1 { tell(latest) }
    if untold > 1 { tell("\(latest) (and \(untold - 1) like it before)") }
    untold = 0
  }

  private func rest() {
    timer = ControlTimer(after: pace) {
      self.timer = nil
      guard self.untold > 0 else { return }
      self.flush()
      self.rest()
    }
  }
}
