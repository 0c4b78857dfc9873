/// A name that begins with `kind` and that no other command has.
func uniqueName(_ kind: String) -> String {
  let digits = String(UInt32.random(in: 0...UInt32.max), radix: 16)
  return "\(kind)-\(String(repeating: "0", count: 8 - digits.count))\(digits)"
}
