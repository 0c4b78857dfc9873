import ImageFormats
import TestSupport
import Testing

/// The numbers of a check are those of `qemu-img check`.
@Suite("check: the numbers of qemu-img check")
struct CheckNumbersTests {
  static let geometries =
    ["compat=0.10", "compat=0.10,cluster_size=512", "compat=1.1", "cluster_size=2M"]
    + [1, 2, 4, 8, 16, 32, 64].map { "cluster_size=512,refcount_bits=\($0)" }
    + [1, 4, 64].map { "cluster_size=64k,refcount_bits=\($0)" }
    + ["cluster_size=4k,lazy_refcounts=on", "cluster_size=4k,preallocation=metadata"]

  @Test("clean images of every geometry", arguments: geometries)
  func clean(options: String) throws {
    let stage = try CheckStage()
    try stage.create(options, size: "9000448")
    try stage.expectSameNumbers("empty")
    try stage.io("write 0 1M", "write 3M 70000", "write -z 5M 1M", "write 4M 512", "discard 64k 1M")
    try stage.expectSameNumbers()
    try stage.io("write 8M 100k", "write 512 512", "write -z -u 200k 100k", "write 2M 300k")
    try stage.expectSameNumbers()
  }

  @Test("a disk that is no whole number of clusters, and one without a byte")
  func oddSizes() throws {
    for size in ["0", "512", "65536", "66048", "1099511628288"] {
      let stage = try CheckStage()
      try stage.create("cluster_size=64k", size: size)
      try stage.expectSameNumbers("\(size)")
    }
  }

  @Test("compressed clusters", arguments: ["zlib", "zstd"], ["512", "4k", "64k", "2M"])
  func compressed(type: String, clusterSize: String) throws {
    let stage = try CheckStage()
    var random = SeededGenerator(seed: 5)
    var source: [UInt8] = []
    while source.count < 2 << 20 {
      let filler = UInt8(source.count >> 12 & 0xff)
      source += random.bytes(700) + [UInt8](repeating: filler, count: 2000)
    }
    try stage.directory.write(source, to: "source.raw")
    try stage.img(
      "convert", "-c", "-f", "raw", "-O", "qcow2", "-o",
      "compression_type=\(type),cluster_size=\(clusterSize)",
      stage.directory.file("source.raw"), stage.path)
    try stage.expectSameNumbers()
    try stage.io("write 100k 50k", "write 1M 4096")
    try stage.expectSameNumbers()
    try stage.img("snapshot", "-c", "a", stage.path)
    try stage.io("write 300k 50k", "discard 1M 64k")
    try stage.expectSameNumbers()
  }

  @Test("snapshots that share tables and clusters", arguments: ["512", "4k", "64k"])
  func snapshots(clusterSize: String) throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=\(clusterSize)", size: "8M")
    for index in 0..<5 {
      try stage.io("write \(index * 300)k 400k", "write \(index)M 70000", "discard 100k 10k")
      try stage.img("snapshot", "-c", "s\(index)", stage.path)
      try stage.expectSameNumbers("after snapshot \(index)")
    }
    try stage.io("write 0 3M", "write -z 4M 1M")
    try stage.img("snapshot", "-d", "s2", stage.path)
    try stage.expectSameNumbers("after a deletion")
  }

  @Test("more than 255 references to a cluster")
  func manySnapshots() throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=512", size: "64k")
    try stage.io("write 0 64k")
    for index in 0..<300 { try stage.img("snapshot", "-c", "\(index)", stage.path) }
    try stage.expectSameNumbers()
    try stage.poke { $0.setRefcount(17, of: $0.cluster(3)) }
    try stage.expectSameNumbers()
  }

  @Test("persistent bitmaps, consistent and stale")
  func bitmaps() throws {
    let stage = try CheckStage()
    try stage.create("cluster_size=4k", size: "64M")
    for index in 0..<3 {
      try stage.img("bitmap", "--add", "-g", "512", stage.path, "bitmap\(index)")
      try stage.io("write \(index * 7)M 900k")
    }
    try stage.expectSameNumbers()
    try stage.poke { $0.set(0, at: 88) }
    let result = try stage.check()
    #expect(result.leaks > 0)
    try stage.expectSameNumbers("stale bitmaps are leaks")
  }
}
