import Glibc
import QMPClient

/// A chart of ratios, as SVG: a bar from 1 to each, on a scale of doublings.
///
/// Isolation: value.
struct BarChart {
  /// A ratio with the least and the greatest that were seen.
  ///
  /// Isolation: value.
  struct Bar {
    let label: String
    let value: Spread
  }

  private static let (left, width, height) = (190.0, 520.0, 24.0)

  private let bars: [Bar]

  /// Of these bars, from the top.
  init(_ bars: [Bar]) { self.bars = bars }

  /// The whole picture.
  var svg: String {
    let total = Double(bars.count + 2) * Self.height
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(Int(Self.left + Self.width + 60))" \
      height="\(Int(total))" font-family="sans-serif" font-size="12">
      <rect width="100%" height="100%" fill="white"/>

      """
    for exponent in exponents {
      let x = place(pow(2, Double(exponent)))
      let color = exponent == 0 ? "#333" : "#ddd"
      let name = exponent < 0 ? "1/\(1 << -exponent)" : "\(1 << exponent)"
      text += """
        <line x1="\(x)" x2="\(x)" y1="\(Self.height)" y2="\(total - 8)" stroke="\(color)"/>
        <text x="\(x)" y="16" text-anchor="middle">\(name)</text>

        """
    }
    for (index, bar) in bars.enumerated() {
      text += draw(bar, at: Double(index + 1) * Self.height)
    }
    return text + "</svg>\n"
  }

  /// The doublings that all bars lie between.
  private var exponents: ClosedRange<Int> {
    let all: [Double] = bars.map(\.value.minimum) + bars.map(\.value.maximum) + [1, 2]
    let lowest = all.map { floor(log2($0)) }.min() ?? 0
    let highest = all.map { ceil(log2($0)) }.max() ?? 1
    return Int(lowest)...Int(highest)
  }

  private func place(_ ratio: Double) -> Double {
    let (low, high) = (Double(exponents.lowerBound), Double(exponents.upperBound))
    return Self.left + (log2(ratio) - low) / (high - low) * Self.width
  }

  private func draw(_ bar: Bar, at y: Double) -> String {
    let (one, end) = (place(1), place(bar.value.median))
    let (least, most) = (place(bar.value.minimum), place(bar.value.maximum))
    let color = bar.value.median >= 1 ? "#2a7" : "#c63"
    let middle = y + Self.height / 2
    let number = ByteCount.fixed(bar.value.median, places: 2)
    return """
      <text x="\(Self.left - 8)" y="\(middle + 4)" text-anchor="end">\(bar.label)</text>
      <rect x="\(min(one, end))" y="\(y + 4)" width="\(max(1, abs(end - one)))" \
      height="\(Self.height - 8)" fill="\(color)"/>
      <line x1="\(least)" x2="\(most)" y1="\(middle)" y2="\(middle)" stroke="black"/>
      <text x="\(max(most, end) + 6)" y="\(middle + 4)">\(number)</text>

      """
  }
}
