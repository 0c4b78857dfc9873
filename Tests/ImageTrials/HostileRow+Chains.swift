import BlockCore
import ImageFormats

// Rows 41 to 59: which files an image names, and what lies there.

extension HostileRow {
  static let chains: [HostileRow] =
    loops + outside + names + kinds + devices + dataFiles + formats

  /// An image over `name`.
  private static func overlay(
    _ number: Int, _ title: String, _ outcome: HostileOutcome, over name: String,
    format: String? = "qcow2", _ more: @escaping @Sendable (inout HostileFiles) -> Void = { _ in }
  ) -> HostileRow {
    // A check opens the image alone.
    HostileRow(
      number, title, outcome.checked([0]),
      files: {
        $0.image.setBacking(name, format: format)
        more(&$0)
      })
  }

  private static let loops: [HostileRow] = [
    overlay(41, "its own backing file", .refused(["loop"]), over: "image"),
    overlay(42, "A over B over A", .refused(["loop"]), over: "b") {
      var below = $0.image
      below.setBacking("image", format: "qcow2")
      $0.others["b"] = .bytes(below.bytes)
    },
    overlay(42, "itself by a symbolic link", .refused(["loop"]), over: "again") {
      $0.others["again"] = .link("image")
    },
    overlay(42, "itself by a hard link", .refused(["loop"]), over: "again") {
      $0.others["again"] = .sameFile
    },
    overlay(43, "a chain of 66", .refused(["64"]), over: "n0") { files in
      for index in 0..<65 {
        var below = files.image
        below.setBacking(index < 64 ? "n\(index + 1)" : "base.raw", format: "qcow2")
        files.others["n\(index)"] = .bytes(below.bytes)
      }
    },
  ]

  /// Names of the canary, which lies beside the root, and of what the kernel has for everybody.
  private static let outside: [HostileRow] =
    [
      overlay(44, "a file above the root", .refused(["canary"]), over: "../canary", format: "raw"),
      overlay(
        44, "a file above the root by a detour", .refused(["canary"]), over: "./x/../../canary",
        format: "raw"
      ) { $0.others["x"] = .directory },
      overlay(44, "a directory link that leads out", .refused(["way"]), over: "way/canary") {
        $0.others["way"] = .link("..")
      },
      HostileRow(
        44, "an absolute name inside the root", .opens.checked([0]),
        files: { $0.image.setBacking("\($0.directory)/base.raw", format: "raw") }),
    ]
    + absolute.map { (title: String, path: @escaping Place) in
      HostileRow(
        44, "the absolute name of \(title)", .refused(["is not inside"]).checked([0]),
        files: { $0.image.setBacking(path($0.directory), format: "raw") })
    }
    + (absolute + [relative]).map { (title: String, path: @escaping Place) in
      HostileRow(
        44, "a symbolic link to \(title)", .refused(["way"]).checked([0]),
        files: {
          $0.image.setBacking("way", format: "raw")
          $0.others["way"] = .link(path($0.directory))
        })
    }

  /// A path, from the directory in which the files lie.
  private typealias Place = @Sendable (_ directory: String) -> String

  private static let relative: (String, Place) = (
    "the canary by its relative name", { _ in "../canary" }
  )
  /// What no image has to name, by its absolute name.
  private static let absolute: [(String, Place)] = [
    ("the canary", { "\($0)/../canary" }), ("an open file", { _ in "/proc/self/fd/0" }),
    ("a directory's open files", { _ in "/proc/self/cwd" }), ("a device", { _ in "/dev/null" }),
    ("the terminal", { _ in "/dev/tty" }),
  ]

  private static let names: [HostileRow] =
    [
      overlay(
        45, "no backing format", .refused(["without a format"]), over: "base.raw", format: nil),
      overlay(
        46, "a json: name", .refused(["json:"]),
        over: "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"base.raw\"}}"),
    ]
    + ["nbd://localhost/x", "http://localhost/x", "file:base.raw"].map {
      overlay(47, "the backing name \($0)", .refused(["protocol"]), over: $0)
    } + [
      overlay(50, "a NUL inside the name", .refused(["\\x00"]), over: "base.raw\0.img"),
      HostileRow(
        51, "a name that is no UTF-8", .refused(["\\xff\\xfe."]).checked([0]),
        files: { $0.image.setBacking([0xff, 0xfe, 0x2e], format: "raw") }),
      HostileRow(
        51, "a name that is no UTF-8, of a file that is there", .opens.checked([0]),
        files: {
          $0.baseName = [0x62, 0xff, 0xe2, 0x82]
          $0.image.setBacking($0.baseName, format: "raw")
        }),
      overlay(
        52, "a name that is shown from right to left", .refused(["\\xe2\\x80\\xae"]),
        over: "a\u{202e}b"),
      overlay(52, "a C1 control in the name", .refused(["\\xc2\\x9b"]), over: "a\u{9b}2Jb"),
      overlay(52, "a newline in the name", .refused(["\\x0a"]), over: "base\n.raw"),
      overlay(52, "ESC in the name", .refused(["\\x1b"]), over: "\u{1b}[2Jbase"),
      overlay(58, "a backing file that is not there", .refused(["No such file"]), over: "gone"),
      overlay(59, "a shorter backing file", .opens, over: "base.raw", format: "raw") {
        $0.others["base.raw"] = .bytes([UInt8](repeating: 1, count: 70_001))
      },
      overlay(59, "a longer backing file", .opens, over: "base.raw", format: "raw") {
        $0.others["base.raw"] = .bytes([UInt8](repeating: 1, count: 3 << 20))
      },
    ]

  private static let kinds: [HostileRow] = ["raw", "qcow2"].flatMap { (format: String) in
    [
      overlay(48, "a FIFO as \(format)", .refused(["FIFO"]), over: "below", format: format) {
        $0.others["below"] = .fifo
      },
      overlay(49, "a socket as \(format)", .refused(["socket"]), over: "below", format: format) {
        $0.others["below"] = .socket
      },
      overlay(
        49, "a directory as \(format)", .refused(["directory"]), over: "below", format: format
      ) { $0.others["below"] = .directory },
    ]
  }

  /// Without roots a name may lead anywhere, but only a file or a disk is opened.
  private static let devices: [HostileRow] = ["raw", "qcow2"].flatMap { (format: String) in
    ["/dev/null", "/dev/tty", "/dev/ptmx"].map { (path: String) in
      HostileRow(
        49, "the character device \(path) as \(format)",
        .refused(["character device"]).checked([0]),
        files: {
          $0.isRooted = false
          $0.image.setBacking(path, format: format)
        })
    }
  }

  private static let dataFiles: [HostileRow] = [
    (54, "../canary"), (55, "json:{\"driver\":\"file\",\"filename\":\"base.raw\"}"),
  ].map { (number: Int, name: String) in
    HostileRow(
      number, "the data file \(name)", .refused(["external data file"]),
      files: {
        $0.image.replaceExtensions([
          HeaderExtension(type: HeaderExtension.externalData, data: Array(name.utf8))
        ])
        $0.image.put64(4, at: 72)
      })
  }

  private static let formats: [HostileRow] = [
    HostileRow(
      // A raw disk has nothing to check.
      56, "a raw disk on which a guest wrote a qcow2 header", .opens.checked([63]),
      files: { $0.format = "raw" }),
    HostileRow(
      57, "a VMDK descriptor", .refused(["qcow2 format"]),
      files: {
        let text = "# Disk DescriptorFile\nversion=1\nRW 2048 FLAT \"../canary\" 0\n"
        $0.image.bytes = Array(text.utf8) + [UInt8](repeating: 0, count: 1000)
      }),
  ]
}
