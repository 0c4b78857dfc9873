/// Text of words in random order, which compresses about 3 to 1; the same each time.
///
/// Isolation: value.
struct TextFile {
  /// Written again and again: no compressor looks back further than a cluster.
  private static let block = 1 << 20
  private static let vocabulary = 4096

  let bytes: Int

  /// Writes it into the file `text` of `directory`.
  func write(to directory: WorkDirectory) throws(Failure) {
    var generator = SplitMixGenerator(seed: 2)
    let words = (0..<Self.vocabulary).map { _ in Self.word(&generator) }
    var block = ""
    while block.utf8.count < min(Self.block, bytes) {
      // Some words are frequent, as in a language.
      let rank = Int(generator.next() % UInt64(Self.vocabulary))
      block += words[rank * rank / Self.vocabulary]
      block += generator.next() % 12 == 0 ? "\n" : " "
    }
    try directory.write(
      repeatElement(block, count: bytes / block.utf8.count + 1), cutAt: bytes, to: .text)
  }

  private static func word(_ generator: inout SplitMixGenerator) -> String {
    let letters = Array("etaoinshrdlcumwfgypb")
    return String(
      (0..<2 + Int(generator.next() % 8)).map { _ in
        letters[Int(generator.next() % UInt64(letters.count))]
      })
  }
}
