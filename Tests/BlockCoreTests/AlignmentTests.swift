import BlockCore
import Testing

@Suite("alignment")
struct AlignmentTests {
  @Test("rounding matches division", arguments: [1, 2, 8, 512])
  func rounding(unit: Int) {
    for number in [0, 1, 2, 7, 8, 9, 511, 512, 513, 1023, 1024, 1_000_003] {
      #expect(number.roundedDown(to: unit) == number / unit * unit)
      #expect(number.roundedUp(to: unit) == (number + unit - 1) / unit * unit)
      #expect(number.isAligned(to: unit) == (number % unit == 0))
      #expect(number.dividedRoundingUp(by: unit) == (number + unit - 1) / unit)
    }
  }

  @Test("rounding up division does not overflow at the largest number")
  func largest() {
    #expect(Int.max.dividedRoundingUp(by: 1) == Int.max)
    #expect(Int.max.dividedRoundingUp(by: 2) == Int.max / 2 + 1)
    #expect(Int.max.dividedRoundingUp(by: Int.max) == 1)
  }

  @Test("powers of two are known as such")
  func powers() {
    let powers = (0...20).filter(\.isPowerOfTwo)
    #expect(powers == [1, 2, 4, 8, 16])
    #expect(!(-4).isPowerOfTwo && !Int.min.isPowerOfTwo)
  }
}
