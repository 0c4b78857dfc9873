import BlockRuntime

/// What a change of the graph touches.
///
/// Isolation: value.
enum EditScope {
  /// Every node there is.
  case everything
  /// These nodes.
  case nodes(Set<ObjectIdentifier>)

  /// Whether both touch some node.
  func overlaps(_ other: EditScope) -> Bool {
    guard case .nodes(let mine) = self, case .nodes(let theirs) = other else { return true }
    return !mine.isDisjoint(with: theirs)
  }
}

/// Lets changes of the graph through, one at a time for nodes that hang together, in the order of
/// arrival: a change may be suspended in its middle, and no other of the same nodes may then begin.
/// Changes of chains that have nothing in common do not wait for each other, so that a disk that
/// does not answer holds up its own.
///
/// Isolation: control plane.
@ControlPlane
final class EditQueue {
  private var running: [Int: EditScope] = [:]
  private var waiting: [Waiting] = []
  private var last = 0

  /// One whose turn has not come. What it touches is asked again each time: the changes before it
  /// may join chains, or part them.
  private struct Waiting {
    let number: Int
    let scope: @ControlPlane () -> EditScope
    let turn: CheckedContinuation<Void, Never>
  }

  /// Runs `body`, which touches `scope`, when every earlier change that touches some of it is done.
  func run<R, E: Error>(
    _ scope: @escaping @ControlPlane () -> EditScope, _ body: () async throws(E) -> R
  ) async throws(E) -> R {
    last += 1
    let number = last
    let wanted = scope()
    if isFree(wanted, behind: waiting.map { $0.scope() }) {
      running[number] = wanted
    } else {
      await withCheckedContinuation {
        waiting.append(Waiting(number: number, scope: scope, turn: $0))
      }
    }
    defer {
      running[number] = nil
      startWaiting()
    }
    return try await body()
  }

  /// Whether nothing that runs, and nothing that came before, touches some of `scope`.
  private func isFree(_ scope: EditScope, behind earlier: [EditScope]) -> Bool {
    !running.values.contains { $0.overlaps(scope) } && !earlier.contains { $0.overlaps(scope) }
  }

  /// Hands on to those whose turn has come: directly, because between a release and a resumption
  /// somebody else could get in.
  private func startWaiting() {
    var behind: [EditScope] = []
    var left: [Waiting] = []
    for next in waiting {
      let scope = next.scope()
      if isFree(scope, behind: behind) {
        running[next.number] = scope
        next.turn.resume()
      } else {
        behind.append(scope)
        left.append(next)
      }
    }
    waiting = left
  }
}

extension BlockGraph {
  /// What a change of `nodes` touches: all that hangs together with one of them, over it and under
  /// it, files and backing nodes.
  func scope(_ nodes: [BlockNode?]) -> EditScope {
    var found: Set<ObjectIdentifier> = []
    var rest = nodes.compactMap { $0 }
    while let node = rest.popLast() {
      guard found.insert(ObjectIdentifier(node)).inserted else { continue }
      rest += [node.file, backing(of: node)].compactMap { $0 }
      rest += parents(of: node).map(\.node)
    }
    return .nodes(found)
  }

  /// The same for nodes by their names; one that is not there is left out.
  func scope(named names: [String]) -> EditScope { scope(names.map { node(named: $0) }) }
}
