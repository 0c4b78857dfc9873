package import ImageFormats

/// A trial that finds a bad state when a flush is left out.
///
/// Isolation: value.
package struct FlushWitness: Sendable, CustomStringConvertible {
  package var place: FlushPlace
  package var operation: CrashOperation
  package var layout: CrashLayout

  init(_ place: FlushPlace, _ operation: CrashOperation, _ layout: CrashLayout) {
    self.place = place
    self.operation = operation
    self.layout = layout
  }

  package var description: String { "\(place) | \(operation.rawValue), \(layout)" }

  /// The trial, with the flush left out, until its first bad state.
  package var trial: CrashTrial {
    var trial = CrashTrial(layout, operation)
    trial.elided = place
    trial.stopsEarly = true
    trial.qemuShare = 0
    return trial
  }

  /// The places that have a witness: all at which this engine asks for a flush.
  package static let places: Set<FlushPlace> = Set(all.map(\.place))
}
