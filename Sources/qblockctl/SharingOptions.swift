import ArgumentParser

/// Whether a command that only looks at an image puts up with others who write to it.
struct SharingOptions: ParsableArguments {
  @Flag(
    name: [.customShort("U"), .customLong("force-share")],
    help: "Read the image although somebody else may be writing to it.")
  var forceShare = false
}
