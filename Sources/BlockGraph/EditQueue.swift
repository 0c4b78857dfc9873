import BlockRuntime

/// Lets one change of the graph at a time through, in the order of arrival: a change may be
/// suspended in its middle, and no other may then begin.
///
/// Isolation: control plane.
@ControlPlane
final class EditQueue {
  private var isBusy = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  /// Runs `body` when every earlier change is done.
  func run<R, E: Error>(_ body: () async throws(E) -> R) async throws(E) -> R {
    if isBusy {
      await withCheckedContinuation { waiting.append($0) }
    }
    isBusy = true
    defer {
      // Handed on directly: between a release and a resumption somebody else could get in.
      if waiting.isEmpty { isBusy = false } else { waiting.removeFirst().resume() }
    }
    return try await body()
  }
}
