import ArgumentParser
import QMPClient

/// A number of bytes on the command line.
struct Size: ExpressibleByArgument {
  let bytes: Int

  init(bytes: Int) { self.bytes = bytes }

  init?(argument: String) {
    guard let bytes = ByteCount.parse(argument) else { return nil }
    self.bytes = bytes
  }

  var defaultValueDescription: String { "\(bytes)" }
}
