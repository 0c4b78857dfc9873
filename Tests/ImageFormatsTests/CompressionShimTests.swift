import CCompression
import Foundation
import ImageTrials
import TestSupport
import Testing

/// The C shim that decompresses one cluster, on streams of zlib and of zstd and on hand-made ones.
@Suite struct CompressionShimTests {
  static let clusterSize = 4096
  /// What `deflateStream` and `zstdFrame` hold.
  static let cluster = (0..<clusterSize).map {
    UInt8(truncatingIfNeeded: ($0 >> 9) * 37 + ($0 % 8) * ($0 % 3))
  }
  /// zlib, level 9, a window of 4 KiB as QEMU has it, one block, which is the final one.
  static let deflateStream = decoded(
    """
    7chhSgJBFADgV2/dXc2KDjGZmUR0i6euFhHeYkwzkfAWU5mFiLd4mZqEeItJzSSiQzj3mPn1wQdbHngJCAC2fYglDYAh\
    +Hvg3ooXIpURx2cGcZQVmXNxmBbpU3Hi3o6nPBUuqVSmXETRFV0Q5UtUvCb3drys1GStKe+kvKnL23uDrDZkveXejlfq\
    saOeewb19Ko6ffXQVu2uenFvx/OA3yc8nvHbkIef/ME8GPNoyu7teP211Mtf/aP1fKW//wx6sdarf/d2PGIsjuG+Af0d\
    jB+gF2Cwiwn3dvwG
    """)
  /// zstd, level 19.
  static let zstdFrame = decoded(
    """
    KLUv/WAAD60GAOQKAAEEAAQKAAcAAAIGAAUMAAMIAAYOJSUnKyUqMSUoLSUrMyUmKSUpLyUsSkxKTVJKUFhKS05KTlRK\
    UUpKTFBKT1ZKb3Bzb3N5b3Zvb3F1b3R7b3J3b3V9lJSWmpSZoJSXnJSaopSVmJSYnpSbubu5vMG5v8e5ur25vcO5wLm5\
    u7+5vsW53t/i3uLo3uXe3uDk3uPq3uHm3uTsAwMFCQMIDwMGCwMJEQMEBwMHDQMKDihgdmzw4v////nlKJlyC1cpx8ut\
    NOUuuFIOXq7yTPmmQp3UAQ==
    """)

  static func decoded(_ text: String) -> [UInt8] {
    Data(base64Encoded: text).map { [UInt8]($0) } ?? []
  }

  typealias Decode = (
    OpaquePointer?, UnsafeRawPointer?, Int, UnsafeMutableRawPointer?, Int
  ) -> cc_result

  /// What a decoder says to `input`, and the cluster it made. A write past the cluster fails the
  /// test. Every call of one decoder comes after others, as in use.
  final class Decoder {
    private let decoder = cc_decoder_create()
    deinit { cc_decoder_destroy(decoder) }

    func run(_ decode: Decode, _ input: [UInt8], size: Int = clusterSize) -> (cc_result, [UInt8]) {
      var output = [UInt8](repeating: 0x5a, count: size + 64)
      let result = decode(decoder, input, input.count, &output, size)
      #expect(output[size...].allSatisfy { $0 == 0x5a })
      return (result, Array(output[..<size]))
    }
    func deflate(_ input: [UInt8]) -> (cc_result, [UInt8]) { run(cc_decode_deflate, input) }
    func zstd(_ input: [UInt8]) -> (cc_result, [UInt8]) { run(cc_decode_zstd, input) }
  }
  let decoder = Decoder()

  /// A deflate block that is not compressed.
  static func stored(_ count: Int, of byte: UInt8, isFinal: Bool = true) -> [UInt8] {
    let length = [UInt8(count & 0xff), UInt8(count >> 8)]
    return [isFinal ? 1 : 0] + length + length.map { ~$0 } + [UInt8](repeating: byte, count: count)
  }

  /// A zstd frame of unknown length that repeats `byte`, with a window of `1 << windowLog`.
  static func frame(_ count: Int, of byte: UInt8, windowLog: Int = 20, isEnded: Bool = true)
    -> [UInt8]
  {
    let block = (isEnded ? 1 : 0) | 1 << 1 | count << 3
    return [0x28, 0xb5, 0x2f, 0xfd, 0, UInt8((windowLog - 10) << 3)]
      + [UInt8(block & 0xff), UInt8(block >> 8 & 0xff), UInt8(block >> 16), byte]
  }

  // MARK: - deflate

  @Test("a deflate stream of one cluster decodes, whatever follows it in its last sector")
  func deflate() {
    for rest in [[], [0], [UInt8](repeating: 0xff, count: 300), CompressionShimTests.deflateStream]
    {
      let (result, bytes) = decoder.deflate(CompressionShimTests.deflateStream + rest)
      #expect(result == cc_ok && bytes == CompressionShimTests.cluster)
    }
  }

  @Test("a deflate stream without a final block decodes, whatever follows it in its last sector")
  func deflateWithoutFinalBlock() {
    var open = CompressionShimTests.deflateStream
    open[0] &= ~1
    for rest in [[], [0], [UInt8](repeating: 0, count: 300), [UInt8](repeating: 0xff, count: 300)] {
      let (result, bytes) = decoder.deflate(open + rest)
      #expect(result == cc_ok && bytes == CompressionShimTests.cluster)
    }
    let halves = (0..<2).flatMap { _ in CompressionShimTests.stored(2048, of: 7, isFinal: false) }
    #expect(decoder.deflate(halves).1 == [UInt8](repeating: 7, count: 4096))
  }

  @Test("a deflate block that goes on past the cluster is corrupt, and stops there")
  func deflateBomb() {
    for count in [4097, 65_535] {
      #expect(decoder.deflate(CompressionShimTests.stored(count, of: 9)).0 == cc_corrupt)
      #expect(
        decoder.deflate(CompressionShimTests.stored(count, of: 9, isFinal: false)).0 == cc_corrupt)
    }
    #expect(decoder.deflate(PackedBytes.deflate(9, count: 156_000)).0 == cc_corrupt)
    #expect(decoder.deflate(PackedBytes.deflate(9, count: 4097)).0 == cc_corrupt)
  }

  @Test("a deflate stream that ends too early is corrupt: it is short, cut off, or nothing at all")
  func deflateTooShort() {
    #expect(decoder.deflate(CompressionShimTests.stored(4095, of: 9)).0 == cc_corrupt)
    for length in [0, 1, 10, CompressionShimTests.deflateStream.count / 2] {
      #expect(
        decoder.deflate(Array(CompressionShimTests.deflateStream.prefix(length))).0 == cc_corrupt)
    }
  }

  // MARK: - zstd

  @Test("a zstd frame of one cluster decodes, whatever follows it in its last sector")
  func zstd() {
    for rest in [[], [0], [UInt8](repeating: 0xff, count: 300), CompressionShimTests.zstdFrame] {
      let (result, bytes) = decoder.zstd(CompressionShimTests.zstdFrame + rest)
      #expect(result == cc_ok && bytes == CompressionShimTests.cluster)
    }
  }

  @Test("zstd decodes until the cluster is full: over several frames, and without an end")
  func zstdUntilFull() {
    let frames = CompressionShimTests.frame(1000, of: 1) + CompressionShimTests.frame(3096, of: 2)
    let (result, bytes) = decoder.zstd(frames)
    #expect(result == cc_ok)
    #expect(bytes == [UInt8](repeating: 1, count: 1000) + [UInt8](repeating: 2, count: 3096))
    let open = CompressionShimTests.frame(4096, of: 3, isEnded: false)
    #expect(decoder.zstd(open).0 == cc_ok)
    #expect(decoder.zstd(open).1 == [UInt8](repeating: 3, count: 4096))
  }

  @Test("a zstd frame of more than a cluster is corrupt, and so is one of less")
  func zstdWrongLength() {
    #expect(decoder.zstd(CompressionShimTests.frame(4097, of: 1)).0 == cc_corrupt)
    #expect(decoder.zstd(CompressionShimTests.frame(100_000, of: 1)).0 == cc_corrupt)
    #expect(decoder.zstd(CompressionShimTests.frame(4095, of: 1)).0 == cc_corrupt)
    for length in [0, 1, 10, CompressionShimTests.zstdFrame.count / 2] {
      #expect(decoder.zstd(Array(CompressionShimTests.zstdFrame.prefix(length))).0 == cc_corrupt)
    }
  }

  @Test("a zstd frame may not make us hold a window of more than 8 MiB")
  func zstdWindow() {
    #expect(decoder.zstd(CompressionShimTests.frame(4096, of: 1, windowLog: 23)).0 == cc_ok)
    for windowLog in [24, 27, 31, 41] {
      let frame = CompressionShimTests.frame(4096, of: 1, windowLog: windowLog)
      #expect(decoder.zstd(frame).0 == cc_window_too_large)
    }
  }

  // MARK: - Both

  @Test("damaged input never writes past the cluster, and the next good one decodes as ever")
  func damaged() {
    var random = SeededGenerator(seed: 3)
    for turn in 0..<2000 {
      var deflate = CompressionShimTests.deflateStream
      var zstd = CompressionShimTests.zstdFrame
      for _ in 0...turn % 3 {
        deflate[Int.random(in: deflate.indices, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
        zstd[Int.random(in: zstd.indices, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      _ = decoder.deflate(deflate)
      _ = decoder.zstd(zstd)
    }
    #expect(decoder.deflate(CompressionShimTests.deflateStream).1 == CompressionShimTests.cluster)
    #expect(decoder.zstd(CompressionShimTests.zstdFrame).1 == CompressionShimTests.cluster)
  }
}
