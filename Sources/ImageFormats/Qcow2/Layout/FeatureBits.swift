/// "Bit 0 - 63" of the header's `incompatible_features`.
///
/// Isolation: value.
package struct IncompatibleFeatures: OptionSet, Hashable, Sendable {
  package let rawValue: UInt64
  package init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Refcounts may be inconsistent.
  package static let dirty = Self(rawValue: 1 << 0)
  /// Data structures may be corrupt: read-only until repaired.
  package static let corrupt = Self(rawValue: 1 << 1)
  /// Guest data lie in another file.
  package static let externalDataFile = Self(rawValue: 1 << 2)
  /// The header's compression type is not deflate.
  package static let compressionType = Self(rawValue: 1 << 3)
  /// 128-bit L2 entries with subclusters.
  package static let extendedL2 = Self(rawValue: 1 << 4)
  /// All bits that the specification names.
  package static let known: Self = [
    .dirty, .corrupt, .externalDataFile, .compressionType, .extendedL2,
  ]
}

/// The header's `compatible_features`.
///
/// Isolation: value.
package struct CompatibleFeatures: OptionSet, Hashable, Sendable {
  package let rawValue: UInt64
  package init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Refcount updates may be postponed.
  package static let lazyRefcounts = Self(rawValue: 1 << 0)
}

/// The header's `autoclear_features`: bits that a writer who does not know them must clear.
///
/// Isolation: value.
package struct AutoclearFeatures: OptionSet, Hashable, Sendable {
  package let rawValue: UInt64
  package init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The bitmaps extension is consistent with the image.
  package static let bitmaps = Self(rawValue: 1 << 0)
  /// The external data file is a valid raw image by itself.
  package static let rawExternalData = Self(rawValue: 1 << 1)
}
