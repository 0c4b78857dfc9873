import Dispatch

/// The Sendable class behind a source. The factory functions of Dispatch return protocols that do
/// not say that they are Sendable, although on this platform all are this one class, which does.
func sendable(_ source: any DispatchSourceProtocol) -> DispatchSource {
  guard let source = source as? DispatchSource else {
    preconditionFailure("Dispatch made a source that is not a DispatchSource")
  }
  return source
}
