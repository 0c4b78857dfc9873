import Glibc

/// Images that may be anything, and may name any file.
package enum MalformedImages {
  /// That root was about to open some.
  package struct OpenedByRoot: Error, CustomStringConvertible {
    package var description: String {
      "Malformed images are no business of root's: scripts/test runs this test as nobody"
    }
  }

  /// Called by tests that make some, before. Throws `OpenedByRoot` where root runs them.
  package static func refuseRoot() throws(OpenedByRoot) {
    if getuid() == 0 { throw OpenedByRoot() }
  }
}
