import ArgumentParser
import QMPClient

/// A number of bytes on the command line, as it was written.
struct Size: ExpressibleByArgument {
  private let text: String

  init(argument: String) { text = argument }

  /// How many they are; `name` is what they are, for the error, which says what qemu-img says.
  func bytes(_ name: String) throws(Failure) -> Int {
    do throws(ByteCount.Fault) {
      return try ByteCount.parse(text)
    } catch {
      let rule =
        switch error {
        case .malformed:
          "You may use k, M, G, T, P or E suffixes for\n"
            + "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes."
        case .tooLarge: "Must be between 0 and \(Int.max)."
        }
      throw Failure("Invalid \(name) specified: '\(text)'. \(rule)")
    }
  }
}
