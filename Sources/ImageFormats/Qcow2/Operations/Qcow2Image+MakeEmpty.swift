package import BlockCore

extension Qcow2Image {
  /// `reset` needs an image of which nothing must stay; `discard` works on every image.
  package func makeEmpty(_ mode: EmptyMode) throws(BlockError) -> any ImageOperation {
    let obstacle = try change { (state) throws(BlockError) in state.resetObstacle }
    switch mode {
    case .discard:
      return Qcow2DiscardOperation(self)
    case .auto:
      return obstacle == nil ? Qcow2ResetOperation(self) : Qcow2DiscardOperation(self)
    case .reset:
      if let obstacle {
        throw BlockError(
          .unsupported,
          "The image cannot be emptied by 'reset', because \(obstacle); use 'discard'", file: name)
      }
      return Qcow2ResetOperation(self)
    }
  }
}
