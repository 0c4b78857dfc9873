import QMP
import QMPClient
import Testing

@Suite("a map as qemu-img prints it")
struct MapTextTests {
  private func data(_ start: Int, _ length: Int, at offset: Int?, depth: Int = 0) -> MapExtent {
    MapExtent {
      ($0.start, $0.length, $0.depth, $0.offset) = (start, length, depth, offset)
      ($0.present, $0.data) = (true, true)
    }
  }
  private func hole(_ start: Int, _ length: Int) -> MapExtent {
    MapExtent {
      ($0.start, $0.length, $0.zero) = (start, length, true)
    }
  }

  @Test("an extent that goes on in the next page is one extent")
  func pages() throws {
    var map = MapText(.json, files: [])
    var text = map.head
    text += try map.lines([hole(0, 512), data(512, 512, at: 4096)])
    text += try map.lines([data(1024, 1024, at: 4608), data(2048, 512, at: 512)])
    text += try map.end()
    #expect(
      text == """
        [{ "start": 0, "length": 512, "depth": 0, "present": false, "zero": true, "data": false},
        { "start": 512, "length": 1536, "depth": 0, "present": true, "zero": false, \
        "data": true, "offset": 4096},
        { "start": 2048, "length": 512, "depth": 0, "present": true, "zero": false, \
        "data": true, "offset": 512}]

        """)
  }

  @Test("the table holds data only, and the file of its layer")
  func table() throws {
    var map = MapText(.human, files: ["top", "base"])
    var text = map.head
    text += try map.lines([hole(0, 512), data(512, 512, at: 0), data(1024, 512, at: 9, depth: 1)])
    text += try map.end()
    #expect(
      text == """
        Offset          Length          Mapped to       File
        0x200           0x200           0               top
        0x400           0x200           0x9             base

        """)
  }

  @Test("a disk without bytes is one extent without bytes")
  func empty() throws {
    var map = MapText(.json, files: [])
    let text = try map.head + map.lines([]) + map.end()
    #expect(
      text == """
        [{ "start": 0, "length": 0, "depth": 0, "present": false, "zero": false, "data": false}]

        """)
  }

  @Test("data that stands nowhere as it is has no place in a table")
  func compressed() throws {
    var map = MapText(.human, files: ["top"])
    #expect(throws: MapText.Refusal.notInARow) {
      try map.lines([data(0, 512, at: nil)]) + map.end()
    }
  }
}
