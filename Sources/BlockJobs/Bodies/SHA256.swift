import BlockCore

/// The hash function SHA-256 (FIPS 180-4), fed piece by piece.
///
/// Isolation: value.
struct SHA256 {
  private static let blockBytes = 64

  private var state: SIMD8<UInt32> = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
    0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
  ]
  /// Bytes that do not fill a block yet.
  private var pending: [UInt8] = []
  private var count: UInt64 = 0

  /// Takes the next bytes.
  mutating func update(_ bytes: RawSpan) {
    count += UInt64(bytes.byteCount)
    var offset = 0
    if !pending.isEmpty {
      offset = min(SHA256.blockBytes - pending.count, bytes.byteCount)
      pending += bytes.extracting(0..<offset).copied()
      guard pending.count == SHA256.blockBytes else { return }
      let block = pending
      block.withBytes { process($0, at: 0) }
      pending = []
    }
    while offset + SHA256.blockBytes <= bytes.byteCount {
      process(bytes, at: offset)
      offset += SHA256.blockBytes
    }
    pending = bytes.extracting(offset..<bytes.byteCount).copied()
  }

  /// The hash of everything taken, in hexadecimal.
  func hexDigest() -> String {
    var copy = self
    let zeroes = (SHA256.blockBytes + 55 - Int(count % 64)) % 64
    var tail: [UInt8] = [0x80] + Array(repeating: 0, count: zeroes)
    let bits = count * 8
    for shift in stride(from: 56, through: 0, by: -8) {
      tail.append(UInt8(truncatingIfNeeded: bits >> UInt64(shift)))
    }
    tail.withBytes { copy.update($0) }
    let digits = Array("0123456789abcdef")
    return (0..<32).reduce(into: "") { text, index in
      let byte = copy.state[index / 4] >> UInt32(24 - index % 4 * 8) & 0xff
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
  }

  private mutating func process(_ bytes: RawSpan, at offset: Int) {
    var w: InlineArray<64, UInt32> = .init(repeating: 0)
    for index in 0..<16 { w[index] = bytes.bigEndian(at: offset + index * 4) }
    for index in 16..<64 {
      let (a, b) = (w[index - 15], w[index - 2])
      let s0 = a.rotatedRight(7) ^ a.rotatedRight(18) ^ (a >> 3)
      let s1 = b.rotatedRight(17) ^ b.rotatedRight(19) ^ (b >> 10)
      w[index] = w[index - 16] &+ s0 &+ w[index - 7] &+ s1
    }
    var (a, b, c, d) = (state[0], state[1], state[2], state[3])
    var (e, f, g, h) = (state[4], state[5], state[6], state[7])
    for index in 0..<64 {
      let s1 = e.rotatedRight(6) ^ e.rotatedRight(11) ^ e.rotatedRight(25)
      let t1 = h &+ s1 &+ ((e & f) ^ (~e & g)) &+ SHA256.constants[index] &+ w[index]
      let s0 = a.rotatedRight(2) ^ a.rotatedRight(13) ^ a.rotatedRight(22)
      let t2 = s0 &+ ((a & b) ^ (a & c) ^ (b & c))
      (h, g, f, e, d, c, b, a) = (g, f, e, d &+ t1, c, b, a, t1 &+ t2)
    }
    state = state &+ [a, b, c, d, e, f, g, h]
  }

  /// The first 32 bits of the fractions of the cube roots of the first 64 primes.
  private static let constants: InlineArray<64, UInt32> = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
  ]
}

extension UInt32 {
  fileprivate func rotatedRight(_ count: UInt32) -> UInt32 { self >> count | self << (32 - count) }
}
