package import BlockCore
import Glibc

extension HostFile {
  /// The space that the file takes on its disk, in bytes; for a block device its length.
  package func allocatedBytes() throws(BlockError) -> Int {
    let file = openFile()
    guard !isDevice else { return try size(of: file) }
    return Int(try file.status().st_blocks) * 512
  }
}
