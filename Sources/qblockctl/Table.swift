import BlockCore

/// Rows whose columns stand under each other.
///
/// Isolation: value.
struct Table {
  private var rows: [[String]]

  /// A table whose columns are called `titles`.
  init(_ titles: String...) { rows = [titles] }

  /// Adds a row with one cell for each column; what no cell can show is escaped.
  mutating func add(_ cells: String...) { rows.append(cells.map(\.printable)) }

  /// The table; two spaces between the columns, none at the ends of lines.
  var text: String {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (cell, width) in zip(row, widths) {
        line += cell + String(repeating: " ", count: width - cell.count + 2)
      }
      while line.last == " " { line.removeLast() }
      return line + "\n"
    }.joined()
  }
}
