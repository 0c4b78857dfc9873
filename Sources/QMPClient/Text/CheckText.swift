import JSONValue
package import QMP

/// What a check found, in the forms of `qemu-img check`.
///
/// Isolation: value.
package enum CheckText {
  /// The text for people.
  package static func human(_ check: ImageCheck) -> String {
    var text = repaired(check)
    if check.corruptions == 0 && check.leaks == 0 && check.checkErrors == 0 {
      text += "No errors were found on the image.\n"
    }
    if check.corruptions > 0 {
      text += """

        \(check.corruptions) errors were found on the image.
        Data may be corrupted, or further writes to the image may corrupt it.

        """
    }
    if check.leaks > 0 {
      text += """

        \(check.leaks) leaked clusters were found on the image.
        This means waste of disk space, but no harm to data.

        """
    }
    if check.checkErrors > 0 {
      text += "\n\(check.checkErrors) internal errors have occurred during the check.\n"
    }
    return text + allocation(check)
  }

  private static func repaired(_ check: ImageCheck) -> String {
    guard check.corruptionsFixed > 0 || check.leaksFixed > 0 else { return "" }
    return """
      The following inconsistencies were found and repaired:

          \(check.leaksFixed) leaked clusters
          \(check.corruptionsFixed) corruptions

      Double checking the fixed image now...

      """
  }

  private static func allocation(_ check: ImageCheck) -> String {
    var text = ""
    if check.totalClusters > 0 && check.allocatedClusters > 0 {
      let allocated = percent(check.allocatedClusters, of: check.totalClusters)
      let fragmented = percent(check.fragmentedClusters, of: check.allocatedClusters)
      let compressed = percent(check.compressedClusters, of: check.allocatedClusters)
      text +=
        "\(check.allocatedClusters)/\(check.totalClusters) = \(allocated)% allocated, "
        + "\(fragmented)% fragmented, \(compressed)% compressed clusters\n"
    }
    if check.imageEndOffset > 0 { text += "Image end offset: \(check.imageEndOffset)\n" }
    return text
  }

  /// `part` of `whole` in percent, with two decimals.
  private static func percent(_ part: Int, of whole: Int) -> String {
    let hundredths = Int((Double(part) * 10_000 / Double(whole)).rounded(.toNearestOrEven))
    let decimals = hundredths % 100
    return "\(hundredths / 100).\(decimals < 10 ? "0" : "")\(decimals)"
  }

  /// The JSON text. Numbers that say nothing are left out, and the members stand in QEMU's order.
  package static func json(_ check: ImageCheck, file: String, format: String) -> String {
    var members: [(String, String)] = []
    func add(_ name: String, _ number: Int, always: Bool = false) {
      if number != 0 || always { members.append((name, "\(number)")) }
    }
    add("image-end-offset", check.imageEndOffset)
    add("compressed-clusters", check.compressedClusters)
    add("total-clusters", check.totalClusters)
    add("corruptions", check.corruptions)
    add("corruptions-fixed", check.corruptionsFixed)
    add("check-errors", check.checkErrors, always: true)
    add("leaks", check.leaks)
    add("leaks-fixed", check.leaksFixed)
    add("allocated-clusters", check.allocatedClusters)
    members.append(("filename", JSONValue.string(file).description))
    members.append(("format", JSONValue.string(format).description))
    add("fragmented-clusters", check.fragmentedClusters)
    let lines = members.map { name, value in "    \"\(name)\": \(value)" }
    return "{\n\(lines.joined(separator: ",\n"))\n}\n"
  }
}
