// swift-tools-version: 6.3
import PackageDescription

/// One strict set of settings for every Swift target, so that no target is quietly looser.
let base: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]
/// Sources also carry strict memory safety; the macros of the test library cannot (they expand to
/// unmarked unsafe expressions).
let strict = base + [.strictMemorySafety()]

let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}
func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}
func tests(
  _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []
) -> Target {
  .testTarget(
    name: name, dependencies: dependencies + ["TestSupport"], exclude: exclude,
    swiftSettings: base)
}

let package = Package(
  name: "qblockd",
  products: [
    .executable(name: "qblockd", targets: ["qblockd"]),
    .executable(name: "qblockctl", targets: ["qblockctl"]),
    .executable(name: "qblock-bench", targets: ["qblock-bench"]),
    // Loaded into programs under test, and linked into none.
    .library(name: "TraceRecorder", type: .dynamic, targets: ["TraceRecorder"]),
    .library(name: "AllocationCounter", type: .dynamic, targets: ["AllocationCounter"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    // Layer 0: C shims.
    .target(name: "CLinux", cSettings: [.define("_GNU_SOURCE")]),
    .systemLibrary(name: "CJsonC", providers: [.apt(["libjson-c-dev"])]),
    // A system library's own link line reaches only Swift; this C code names it again.
    .target(
      name: "CJSON", dependencies: ["CJsonC"], linkerSettings: [.linkedLibrary("json-c")]),
    .target(
      name: "CCompression",
      linkerSettings: [
        .linkedLibrary("deflate"), .linkedLibrary("zstd"), .linkedLibrary("z"),
      ]),
    .target(name: "CUring", linkerSettings: [.linkedLibrary("uring")]),

    // Layer 1: vocabulary.
    library("BlockCore", []),

    // Layer 2: threads, bytes, JSON.
    library("BlockRuntime", ["BlockCore", "CLinux"]),
    library("BlockIO", ["BlockCore", "CLinux", "CUring"]),
    library("JSONValue", ["BlockCore", "CJSON"]),

    // Layer 3: sockets, formats, messages.
    library("SocketIO", ["BlockCore", "BlockRuntime", "CLinux"]),
    library("ImageFormats", ["BlockCore", "BlockIO", "CCompression"]),
    library("QMP", ["JSONValue"]),

    // Layer 4: the graph; the client's side of the wire.
    library("BlockGraph", ["BlockCore", "BlockRuntime", "BlockIO", "ImageFormats"]),
    library("QMPClient", ["QMP", "JSONValue", "BlockCore", "CLinux"]),

    // Layer 5: jobs.
    library("BlockJobs", ["BlockCore", "BlockRuntime", "BlockIO", "ImageFormats", "BlockGraph"]),

    // Layer 6: the only place that knows both QMP and the engine.
    library(
      "BlockDaemon",
      [
        "BlockCore", "BlockRuntime", "BlockIO", "SocketIO", "ImageFormats", "BlockGraph",
        "BlockJobs", "QMP", "JSONValue", "CLinux", logging,
      ]),

    // Layer 7: programs.
    program(
      "qblockd",
      [
        "BlockDaemon", "BlockCore", "BlockRuntime", "QMP", "QMPClient", "JSONValue", argumentParser,
        logging,
      ]),
    program("qblockctl", ["QMPClient", "QMP", "JSONValue", "BlockCore", argumentParser]),
    program("qblock-bench", ["QMPClient", "QMP", "JSONValue", "CLinux", argumentParser]),

    // Tests.
    .target(name: "CSpawn", path: "Tests/CSpawn", cSettings: [.define("_GNU_SOURCE")]),
    .target(
      name: "TestSupport",
      dependencies: [
        "BlockCore", "BlockIO", "ImageFormats", "QMPClient", "QMP", "JSONValue", "CSpawn",
      ],
      path: "Tests/TestSupport", swiftSettings: base),
    .target(
      name: "CFaults", path: "Tests/CFaults", cSettings: [.define("_GNU_SOURCE")]),
    .target(
      name: "CrashSimulation",
      dependencies: [
        "TestSupport", "BlockCore", "BlockIO", "BlockRuntime", "ImageFormats", "BlockGraph",
        "BlockJobs", "QMPClient", "QMP", "CFaults",
      ],
      path: "Tests/CrashSimulation", swiftSettings: base),
    .target(
      name: "TraceRecorder", path: "Tests/TraceRecorder", cSettings: [.define("_GNU_SOURCE")]),
    .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
    .executableTarget(
      name: "qblock-crash", dependencies: ["CrashSimulation", "TestSupport", "ImageFormats"],
      path: "Tests/CrashReport", swiftSettings: base),
    .target(
      name: "ImageTrials",
      dependencies: [
        "TestSupport", "BlockCore", "BlockIO", "ImageFormats", "QMPClient", "QMP", "JSONValue",
      ],
      path: "Tests/ImageTrials", swiftSettings: base),
    .executableTarget(
      name: "qblock-trials", dependencies: ["ImageTrials", "TestSupport"],
      path: "Tests/TrialReport", swiftSettings: base),
    .target(
      name: "LoadTrials",
      dependencies: ["TestSupport", "QMPClient", "QMP", "JSONValue"],
      path: "Tests/LoadTrials", swiftSettings: base),
    .executableTarget(
      name: "qblock-load", dependencies: ["LoadTrials"], path: "Tests/LoadReport",
      swiftSettings: base),
    // libFuzzer's driver where `scripts/fuzz` links it; without it the program only replays inputs.
    .target(name: "CFuzzer", path: "Tests/CFuzzer"),
    .executableTarget(
      name: "qblock-fuzz",
      dependencies: [
        "CFuzzer", "ImageTrials", "TestSupport", "BlockCore", "BlockRuntime", "BlockGraph",
        "BlockDaemon", "ImageFormats", "JSONValue", "QMP",
      ],
      path: "Tests/Fuzz", swiftSettings: base),
    tests("BlockCoreTests", ["BlockCore"]),
    tests("BlockRuntimeTests", ["BlockRuntime", "BlockCore"]),
    tests("BlockIOTests", ["BlockIO", "BlockCore", "CLinux"]),
    tests("JSONValueTests", ["JSONValue"]),
    tests("SocketIOTests", ["SocketIO", "BlockRuntime", "BlockCore"]),
    tests(
      "ImageFormatsTests",
      ["ImageFormats", "BlockIO", "BlockCore", "CCompression", "ImageTrials"]),
    tests("QMPTests", ["QMP", "JSONValue"]),
    tests("QMPClientTests", ["QMPClient", "QMP", "JSONValue", "SocketIO", "BlockRuntime"]),
    tests(
      "BlockGraphTests",
      ["BlockGraph", "BlockRuntime", "ImageFormats", "BlockIO", "BlockCore"]),
    tests(
      "BlockJobsTests",
      ["BlockJobs", "BlockGraph", "BlockRuntime", "ImageFormats", "BlockIO", "BlockCore"]),
    tests(
      "DaemonTests",
      ["BlockDaemon", "SocketIO", "BlockRuntime", "QMPClient", "QMP", "JSONValue", "BlockCore"]
        + ["LoadTrials"],
      exclude: ["Scripts"]),
    tests("InteropTests", ["QMPClient", "QMP", "JSONValue"]),
    tests(
      "SimulationTests", ["CrashSimulation", "CFaults", "ImageFormats", "BlockIO", "BlockCore"]),
    tests("TidyTests", []),
  ]
)
