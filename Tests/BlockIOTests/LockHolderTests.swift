import Testing

@testable import BlockIO

/// Reading `/proc/<pid>/fdinfo`.
@Suite struct LockHolderTests {
  @Test(
    "a lock's line is understood when it covers the byte, and everything else is passed over",
    arguments: [
      ("lock:\t1: OFDLCK  ADVISORY  READ -1 fe:00:1234 100 100", true),
      ("lock:\t2: OFDLCK  ADVISORY  WRITE -1 fe:00:1234 0 EOF", true),
      ("lock:\t1: OFDLCK  ADVISORY  READ -1 fe:00:1234 99 101", true),
      ("lock:\t1: OFDLCK  ADVISORY  READ -1 fe:00:1235 100 100", false),
      ("lock:\t1: OFDLCK  ADVISORY  READ -1 fe:00:1234 101 103", false),
      ("lock:\t1: OFDLCK  ADVISORY  READ -1 fe:00:1234 98 99", false),
      ("lock:\t1: POSIX  ADVISORY  READ 77 fe:00:1234 100 100", false),
      ("lock:\t1: OFDLCK  ADVISORY  READ -1 fe:00:1234 100", false),
      ("lock:\t1: OFDLCK  ADVISORY  READ -1 :: x y", false),
      ("pos:\t0", false), ("", false),
    ])
  func line(text: String, covers: Bool) {
    #expect(LockHolder.line(text, locks: 100, inode: 1234) == covers)
  }
}
