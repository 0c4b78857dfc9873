import Testing

/// Who may import whom (`Sources/README.md`). The compiler checks declared dependencies; this
/// checks that nobody declares one upwards.
@Suite("layers")
struct LayerTests {
  static let layers: [String: Int] = [
    "CLinux": 0, "CJSON": 0, "CJsonC": 0, "CCompression": 0, "CUring": 0, "BlockCore": 1,
    "BlockRuntime": 2, "BlockIO": 2, "JSONValue": 2, "SocketIO": 3, "ImageFormats": 3, "QMP": 3,
    "BlockGraph": 4, "QMPClient": 4, "BlockJobs": 5, "BlockDaemon": 6, "qblockd": 7, "qblockctl": 7,
    "qblock-bench": 7,
  ]
  static let swiftTargets = layers.keys.filter { !$0.hasPrefix("C") }.sorted()

  @Test("a target imports only targets of lower layers", arguments: swiftTargets)
  func downwards(target: String) throws {
    let own = try #require(Self.layers[target])
    for module in try SourceTree.imports(of: target) {
      if let layer = Self.layers[module] { #expect(layer < own, "\(target) imports \(module)") }
    }
  }

  @Test("third-party packages stand in layers 6 and 7", arguments: swiftTargets)
  func packages(target: String) throws {
    guard try #require(Self.layers[target]) < 6 else { return }
    let imports = try SourceTree.imports(of: target)
    #expect(imports.isDisjoint(with: ["ArgumentParser", "Logging"]))
  }

  @Test("Foundation stands nowhere below layer 5", arguments: swiftTargets)
  func foundation(target: String) throws {
    guard try #require(Self.layers[target]) < 5 else { return }
    let imports = try SourceTree.imports(of: target)
    #expect(imports.isDisjoint(with: ["Foundation", "FoundationEssentials"]))
  }

  @Test("Dispatch is imported by the runtime and the programs only", arguments: swiftTargets)
  func dispatch(target: String) throws {
    if ["BlockRuntime", "qblockd", "qblock-bench"].contains(target) { return }
    #expect(try !SourceTree.imports(of: target).contains("Dispatch"))
  }

  @Test("messages do not know the engine, formats do not know the graph")
  func apart() throws {
    #expect(try SourceTree.imports(of: "QMP").isSubset(of: ["JSONValue"]))
    let formats = try SourceTree.imports(of: "ImageFormats")
    #expect(formats.isDisjoint(with: ["JSONValue", "BlockRuntime"]))
  }
}
