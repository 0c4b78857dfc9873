// Words about nodes and images, as QAPI spells them.

/// What a node is made of.
///
/// Isolation: value.
package enum BlockDriver: String, WireEnum {
  /// An image in qcow2 format.
  case qcow2
  /// An image whose bytes are the guest's bytes.
  case raw
  /// A regular file.
  case file
  /// A block device.
  case hostDevice = "host_device"
}

/// A format that an image can have.
///
/// Isolation: value.
package enum ImageFormat: String, WireEnum {
  case qcow2, raw
}

/// What becomes of a guest's discard.
///
/// Isolation: value.
package enum DiscardMode: String, WireEnum {
  /// Nothing.
  case ignore
  /// The space goes back to the file system.
  case unmap
}

/// What becomes of a write of zeros.
///
/// Isolation: value.
package enum DetectZeroes: String, WireEnum {
  /// It is written as it is.
  case off
  /// It becomes a zero write, which may cost no space.
  case on
  /// It becomes a discard that reads as zeros.
  case unmap
}

/// How QEMU asks the system for I/O.
///
/// Isolation: value.
package enum AIOMode: String, WireEnum {
  /// By threads that wait.
  case threads
  /// By Linux AIO, which needs direct I/O.
  case native
  /// By io_uring.
  case ioUring = "io_uring"
}

/// How compressed clusters of an image are packed.
///
/// Isolation: value.
package enum Qcow2Compression: String, WireEnum {
  case zlib, zstd
}

/// Yes, no, or whatever fits.
///
/// Isolation: value.
package enum OnOffAuto: String, WireEnum {
  case auto, on, off
}

/// What a job does when its I/O fails.
///
/// Isolation: value.
package enum OnError: String, WireEnum {
  /// The job fails.
  case report
  /// The job tries the same request again, for ever.
  case ignore
  /// As `stop` when there is no space left, as `report` otherwise.
  case enospc
  /// The job pauses, and tries again when it is resumed.
  case stop
  /// What fits the device; for our jobs `enospc`.
  case auto
}

/// The version of a qcow2 header.
///
/// Isolation: value.
package enum Qcow2Version: String, WireEnum {
  /// Version 2, which QEMU calls compat 0.10.
  case v2
  /// Version 3, which QEMU calls compat 1.1.
  case v3
}
