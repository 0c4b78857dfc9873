/// The server's version, as `query-version` and the greeting give it.
///
/// Isolation: value.
package struct VersionInfo: WireRecord {
  /// The three numbers of a version.
  package struct Triple: WireRecord {
    package var major = 0
    package var minor = 0
    package var micro = 0

    package init() {}

    /// Version `major`.`minor`.`micro`.
    package init(_ major: Int, _ minor: Int, _ micro: Int) {
      self.major = major
      self.minor = minor
      self.micro = micro
    }

    package static let members: [WireMember<Self>] = [
      .required("major", \.major, "The first number"),
      .required("minor", \.minor, "The second number"),
      .required("micro", \.micro, "The third number"),
    ]
  }

  package var qemu = Triple()
  package var package = ""

  package init() {}

  /// The version of a program that behaves as QEMU `qemu` does.
  package init(qemu: Triple, package: String) {
    self.qemu = qemu
    self.package = package
  }

  package static let members: [WireMember<Self>] = [
    .required("qemu", \.qemu, "The QEMU version whose protocol the server speaks"),
    .required("package", \.package, "The server's own name and version"),
  ]
}

extension VersionInfo {
  /// The version of this project's programs.
  package static let text = "0.1.0"
  /// The QEMU whose commands, events and sentences the daemon follows, and its own name.
  package static let ours = VersionInfo(qemu: Triple(10, 0, 0), package: "qblockd \(text)")
}
