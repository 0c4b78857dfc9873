/// QEMU's permissions on an image, as far as its file locks know them. A permission's bit number is
/// also the number of its two lock bytes.
///
/// Isolation: value.
package struct LockPermissions: OptionSet, Hashable, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Reads that may count on the data making sense.
  package static let consistentRead = LockPermissions(rawValue: 1 << 0)
  /// Writes that change what the image reads.
  package static let write = LockPermissions(rawValue: 1 << 1)
  /// Writes that do not.
  package static let writeUnchanged = LockPermissions(rawValue: 1 << 2)
  /// Changes of its length.
  package static let resize = LockPermissions(rawValue: 1 << 3)
  /// All of them.
  package static let all: LockPermissions = [.consistentRead, .write, .writeUnchanged, .resize]

  /// Bit number and name, as errors spell it, of each permission of the set.
  package var members: [(bit: Int, name: String)] {
    LockPermissions.names.enumerated()
      .filter { contains(LockPermissions(rawValue: 1 << $0.offset)) }
      .map { (bit: $0.offset, name: $0.element) }
  }
  private static let names = ["consistent read", "write", "write unchanged", "resize"]
}

/// What one user of an image does with it, and what it lets the others do at the same time.
///
/// Isolation: value.
package struct LockClaim: Hashable, Sendable {
  /// What this user does.
  package var uses: LockPermissions
  /// What the others may do.
  package var shares: LockPermissions

  package init(uses: LockPermissions, shares: LockPermissions) {
    self.uses = uses
    self.shares = shares
  }

  private static let sharedByUsers = LockPermissions.all.subtracting([.write, .resize])
  /// The only one who writes or resizes; readers who put up with that are welcome.
  package static let writer = LockClaim(
    uses: [.consistentRead, .write, .resize], shares: sharedByUsers)
  /// A reader beside other readers, such as a user of a backing file.
  package static let reader = LockClaim(uses: .consistentRead, shares: sharedByUsers)
  /// A reader who puts up with a writer.
  package static let forceShare = LockClaim(uses: .consistentRead, shares: .all)
  /// No lock at all.
  package static let nothing = LockClaim(uses: [], shares: .all)

  /// What it takes to stand by both claims at once.
  func joined(_ other: LockClaim) -> LockClaim {
    LockClaim(uses: uses.union(other.uses), shares: shares.intersection(other.shares))
  }

  private static let usedBase = 100
  private static let unsharedBase = 200

  /// The bytes whose lock tells the others about this claim.
  var lockedBytes: Set<Int> {
    let used = uses.members.map { LockClaim.usedBase + $0.bit }
    let unshared = LockPermissions.all.subtracting(shares).members
      .map { LockClaim.unsharedBase + $0.bit }
    return Set(used + unshared)
  }

  /// The bytes that nobody else may hold, in the order of testing, each with what its being held
  /// means.
  var testedBytes: [(byte: Int, complaint: String)] {
    let used = uses.members.map {
      (byte: LockClaim.unsharedBase + $0.bit, complaint: "Failed to get \"\($0.name)\" lock")
    }
    let unshared = LockPermissions.all.subtracting(shares).members.map {
      (byte: LockClaim.usedBase + $0.bit, complaint: "Failed to get shared \"\($0.name)\" lock")
    }
    return used + unshared
  }
}
