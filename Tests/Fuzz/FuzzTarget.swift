import BlockCore
import ImageFormats
import ImageTrials
import JSONValue
import QMP
import TestSupport

/// What is fuzzed. An input is right when it gives an answer or a typed error; what is wrong ends
/// the process.
///
/// Isolation: value; everything happens in memory.
enum FuzzTarget: String, CaseIterable {
  /// A file is opened as a qcow2 image, for reading and for writing.
  case header
  /// A file is opened as an image, and one of the things that can be wanted of it is done.
  case tables
  /// Bytes are read as a compressed cluster.
  case compressed
  /// A text is read as JSON.
  case json
  /// A stream is cut into messages, and these read as commands.
  case framing
  /// A stream is cut into messages, and these are carried out on images in memory.
  case dispatch
  /// A text is read as a node of the command line.
  case options

  /// Takes one input.
  func take(_ bytes: [UInt8]) {
    switch self {
    case .header: header(bytes)
    case .tables:
      attempt { () throws(BlockError) in try FuzzTarget.verb(for: bytes).run(on: bytes) }
    case .compressed: compressed(bytes)
    case .json: json(bytes)
    case .framing: framing(bytes)
    case .dispatch: dispatch(bytes)
    case .options: options(bytes)
    }
  }

  /// Inputs to begin with.
  func seeds() throws -> [[UInt8]] {
    switch self {
    case .header: try FuzzTarget.images()
    case .tables:
      try FuzzTarget.images().flatMap { image in
        ImageVerb.allCases.indices.map { verb in
          var image = image
          image[FuzzTarget.verbByte] = UInt8(verb)
          return image
        }
      }
    case .compressed:
      [
        [0] + PackedBytes.deflate(9, count: 512), [1] + PackedBytes.zstd(9, count: 512),
        [1] + PackedBytes.zstd(9, count: 512, window: 0x10),
      ]
    case .json: FuzzTarget.texts.map { Array($0.utf8) }
    case .framing: FuzzTarget.texts.map { [3] + Array("\($0)\n{\"execute\": \"quit\"}".utf8) }
    case .dispatch: FuzzTarget.messages.map { [0] + Array($0.utf8) }
    case .options: FuzzTarget.nodes.map { Array($0.utf8) }
    }
  }

  /// Each command without arguments, and some that find what they name.
  private static let messages =
    CommandCatalog.all.map { #"{"execute": "\#($0.name)", "arguments": {}}"# }
    + [
      #""block-commit", "arguments": {"job-id": "j", "device": "top", "auto-complete": true}"#,
      #""block-commit", "arguments": {"device": "top", "base-node": "base", "speed": 1}"#,
      #""block-stream", "arguments": {"job-id": "s", "device": "top", "on-error": "stop"}"#,
      #""block-make-empty", "arguments": {"node": "top", "mode": "discard"}"#,
      #""block-check", "arguments": {"job-id": "c", "node": "base", "fix": "all"}"#,
      #""x-block-write", "arguments": {"node": "top", "offset": 1, "length": 5, "pattern": 2}"#,
      #""x-node-map", "arguments": {"node": "top"}"#,
      #""x-node-info", "arguments": {"node": "top"}"#,
      #""block_resize", "arguments": {"node-name": "base", "size": 131072}"#,
      #""change-backing-file", "arguments": {"device": "top", "image-node-name": "top", "#
        + #""backing-file": "b"}"#,
      #""transaction", "arguments": {"actions": [{"type": "block-commit", "data": "#
        + #"{"device": "top", "job-id": "t"}}], "properties": {"completion-mode": "grouped"}}"#,
      #""blockdev-reopen", "arguments": {"options": [{"driver": "qcow2", "node-name": "top"}]}"#,
      #""blockdev-add", "arguments": {"driver": "raw", "node-name": "n", "file": {"driver": "#
        + #""file", "filename": "/x"}}"#,
      #""job-wait", "arguments": {"id": "j", "until": "ready"}}{"execute": "job-cancel", "#
        + #""arguments": {"id": "j"}"#,
    ].map { #"{"execute": \#($0), "id": 1}"# }

  private static let nodes = [
    "qcow2,node-name=n,file.driver=file,file.filename=/a,,b,backing=,cache.direct=on",
    "driver=qcow2,file.filename=x,cache-size=0x10,backing.driver=raw,backing.file=m,a.0.b=1,a.1=",
    #"{"driver": "raw", "file": {"driver": "file", "filename": "/x"}, "read-only": true}"#,
  ]

  /// The small ones: what a long file adds costs more than it finds.
  private static func images() throws -> [[UInt8]] {
    try SeedImages.all().map(\.bytes).filter { $0.count <= 16_384 }
  }

  /// A byte of the header's padding says what is wanted, so that one input does one thing.
  private static let verbByte = 105

  private static func verb(for bytes: [UInt8]) -> ImageVerb {
    let verbs = ImageVerb.allCases
    return verbs[bytes.count > verbByte ? Int(bytes[verbByte]) % verbs.count : 0]
  }

  private static let texts = [
    #"{"execute": "block-commit", "arguments": {"device": "d", "speed": 5}, "id": [null, -0.5]}"#,
    #"{"execute": "blockdev-add", "arguments": {"driver": "qcow2", "node-name": "n", "#
      + #""file": {"driver": "file", "filename": "/x"}, "backing": null}}"#,
    #"[[], {}, [{"\ud83d\ude00\n": true, "b": false}], 18446744073709551615]"#,
    "-9223372036854775808",
    #"{"a": [18446744073709551616, "\ud800"], "b": -9223372036854775809, "c": 01, "d": [1e400]}"#,
    #"{"execute": "job-wait", "arguments": {"id": "é😀", "until": "ready"}}"#,
  ]

  private func attempt(_ body: () throws(BlockError) -> Void) {
    do throws(BlockError) {
      try body()
    } catch {
      precondition(!error.message.isEmpty, "an error says something")
    }
  }

  private func header(_ bytes: [UInt8]) {
    for readOnly in [true, false] {
      attempt { () throws(BlockError) in
        let storage = try MemoryStorage(bytes, name: "image")
        let image = try Qcow2Image.open(on: storage, readOnly: readOnly, dropBitmaps: true)
        precondition(image.virtualSize >= 0 && image.virtualSize <= Limits.diskBytes)
        _ = try image.info()
      }
    }
  }

  /// The images whose cluster 0 the input becomes.
  private static let packed = [false, true].map { zstd in try? SeedImages.packed(zstd: zstd) }

  private func compressed(_ bytes: [UInt8]) {
    guard bytes.count > 1, var image = FuzzTarget.packed[Int(bytes[0]) % 2] else { return }
    // The sector count of clusters of 512 bytes says two sectors at most.
    image.compress(0, as: Array(bytes.dropFirst().prefix(1024)))
    attempt { () throws(BlockError) in
      let storage = try MemoryStorage(image.bytes, name: "image")
      let opened = try Qcow2Image.open(on: storage, readOnly: true)
      var cluster = [UInt8](repeating: 0, count: 512)
      try cluster.withMutableBytes { (target) throws(BlockError) in
        try opened.read(into: &target, at: 0)
      }
    }
  }

  private func json(_ bytes: [UInt8]) {
    do throws(JSONSyntaxError) {
      let value = try JSONValue.parse(bytes)
      let again = try JSONValue.parse(value.utf8)
      precondition(again == value.asWritten, "a value survives writing")
    } catch {
      precondition(error != .refused, "json-c takes what the scanner takes")
    }
  }

  /// What is understood means the same as JSON.
  private func options(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    for node in [try? BlockdevOptions(text: text), try? BlockdevOptions(imageOptions: text)] {
      guard let node else { continue }
      let again = try? BlockdevOptions(wire: node.wire, at: .arguments)
      precondition(again == node, "options survive writing")
    }
  }

  /// The first byte says into which pieces the stream is cut: that must not matter.
  private func framing(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let stream = bytes.dropFirst()
    let whole = frames(stream, pieces: max(stream.count, 1))
    let cut = frames(stream, pieces: Int(first % 16) + 1)
    precondition(whole == cut, "where a stream is cut does not matter")
    for case .message(let message) in whole {
      guard let request = try? QMPRequest(message),
        let command = CommandCatalog.all.first(where: { $0.name == request.execute })
      else { continue }
      decode(command, request.arguments)
    }
  }

  /// The schema is the same each time, and long.
  private func dispatch(_ bytes: [UInt8]) {
    var requests: [QMPRequest] = []
    for case .message(let message) in frames(bytes.dropFirst(), pieces: max(bytes.count, 1)) {
      if let request = try? QMPRequest(message, outOfBand: true),
        request.execute != QueryQMPSchema.name
      {
        requests.append(request)
      }
    }
    if !requests.isEmpty { DispatchStage.perform(requests) }
  }

  private func frames(_ stream: ArraySlice<UInt8>, pieces: Int) -> [MessageFramer.Frame] {
    var framer = MessageFramer()
    var frames: [MessageFramer.Frame] = []
    var rest = stream
    while !rest.isEmpty {
      framer.receive(rest.prefix(pieces))
      rest = rest.dropFirst(pieces)
      while let frame = framer.next() { frames.append(frame) }
    }
    return frames
  }

  /// What is understood means the same when it is written and read again.
  private func decode<Command: QMPCommand>(_ type: Command.Type, _ arguments: JSONObject) {
    guard let command = try? Command(arguments: arguments) else { return }
    let again = try? Command(arguments: command.object)
    precondition(again?.object == command.object, "a command survives writing")
  }
}
