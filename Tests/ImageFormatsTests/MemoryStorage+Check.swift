import BlockCore
import TestSupport
import Testing

extension MemoryStorage {
  /// Lets `qemu-img` check the image as it is.
  func check(
    _ directory: TemporaryDirectory, allowLeaks: Bool = false, _ comment: Comment? = nil,
    at location: SourceLocation = #_sourceLocation
  ) throws {
    try save(to: directory.file("image.qcow2"))
    let check = try QemuTools.img("check", "-f", "qcow2", directory.file("image.qcow2"))
    #expect(
      check.status == 0 || (allowLeaks && check.status == 3),
      "\(comment?.description ?? "") \(check.output)", sourceLocation: location)
  }
}
