import JSONValue
import QMP
import Testing

/// A call that is refused, and the sentence that says why. Unless marked, qemu-storage-daemon 7.2
/// answers the same.
private let refusedCalls: [(command: any QMPCommand.Type, arguments: String, sentence: String)] = [
  (BlockCommit.self, "{}", "Parameter 'device' is missing"),
  (
    BlockCommit.self, #"{"device": 1}"#,
    "Invalid parameter type for 'device', expected: string"
  ),
  (
    BlockCommit.self, #"{"device": null}"#,
    "Invalid parameter type for 'device', expected: string"
  ),
  (
    BlockCommit.self, #"{"device": "a", "speed": "x"}"#,
    "Invalid parameter type for 'speed', expected: integer"
  ),
  (
    BlockCommit.self, #"{"device": "a", "speed": 1.5}"#,
    "Invalid parameter type for 'speed', expected: integer"
  ),
  (
    BlockCommit.self, #"{"device": "a", "speed": 9223372036854775808}"#,
    "Invalid parameter type for 'speed', expected: integer"
  ),
  (
    BlockCommit.self, #"{"device": "a", "speed": 18446744073709551615}"#,
    "Invalid parameter type for 'speed', expected: integer"
  ),
  // QEMU says so only when it has found the device.
  (
    BlockCommit.self, #"{"device": "a", "speed": -1}"#,
    "Parameter 'speed' expects a non-negative value"
  ),
  (
    BlockCommit.self, #"{"device": "a", "auto-finalize": 1}"#,
    "Invalid parameter type for 'auto-finalize', expected: boolean"
  ),
  (
    BlockCommit.self, #"{"device": "a", "on-error": "zzz"}"#,
    "Parameter 'on-error' does not accept value 'zzz'"
  ),
  (
    BlockCommit.self, #"{"device": "a", "on-error": 1}"#,
    "Invalid parameter type for 'on-error', expected: string"
  ),
  (BlockCommit.self, #"{"bogus": 1, "b": 1}"#, "Parameter 'device' is missing"),
  (BlockCommit.self, #"{"device": "a", "bogus": 1}"#, "Parameter 'bogus' is unexpected"),
  (QueryJobs.self, #"{"x": 1}"#, "Parameter 'x' is unexpected"),
  (Quit.self, #"{"a": 1}"#, "Parameter 'a' is unexpected"),
  (
    QMPCapabilities.self, #"{"enable": [1]}"#,
    "Invalid parameter type for 'enable[0]', expected: string"
  ),
  (
    QMPCapabilities.self, #"{"enable": "oob"}"#,
    "Invalid parameter type for 'enable', expected: array"
  ),
  (BlockJobFinalize.self, #"{"device": "x"}"#, "Parameter 'id' is missing"),
  (BlockJobSetSpeed.self, #"{"device": "x"}"#, "Parameter 'speed' is missing"),
  (BlockResize.self, #"{"size": -1}"#, "Parameter 'size' expects a >0 size"),

  // Nodes.
  (BlockdevAdd.self, "{}", "Parameter 'driver' is missing"),
  (BlockdevAdd.self, #"{"driver": "zzz"}"#, "Parameter 'driver' does not accept value 'zzz'"),
  (BlockdevAdd.self, #"{"driver": "qcow2"}"#, "Parameter 'file' is missing"),
  (
    BlockdevAdd.self, #"{"driver": "qcow2", "file": 1}"#,
    "Invalid parameter type for 'file', expected: BlockdevRef"
  ),
  (
    BlockdevAdd.self, #"{"driver": "qcow2", "file": "f", "backing": 1}"#,
    "Invalid parameter type for 'backing', expected: BlockdevRefOrNull"
  ),
  (
    BlockdevAdd.self, #"{"driver": "qcow2", "file": {"driver": "file"}}"#,
    "Parameter 'file.filename' is missing"
  ),
  (
    BlockdevAdd.self, #"{"driver": "qcow2", "file": {"driver": "file", "filename": 1}}"#,
    "Invalid parameter type for 'file.filename', expected: string"
  ),
  (
    BlockdevAdd.self,
    #"{"driver": "qcow2", "file": {"driver": "file", "filename": "a", "zz": 1}}"#,
    "Parameter 'file.zz' is unexpected"
  ),
  (
    BlockdevAdd.self, #"{"driver": "qcow2", "file": "f", "backing": {"driver": "raw"}}"#,
    "Parameter 'backing.file' is missing"
  ),
  (
    BlockdevAdd.self, #"{"driver": "file", "filename": "a", "zz": 1}"#,
    "Parameter 'zz' is unexpected"
  ),
  (
    BlockdevAdd.self, #"{"driver": "raw", "file": "f", "cache": {"direct": 1}}"#,
    "Invalid parameter type for 'cache.direct', expected: boolean"
  ),
  (
    BlockdevAdd.self, #"{"driver": "raw", "file": "f", "cache": {"zz": true}}"#,
    "Parameter 'cache.zz' is unexpected"
  ),
  (
    BlockdevAdd.self, #"{"driver": "raw", "file": "f", "read-only": "on"}"#,
    "Invalid parameter type for 'read-only', expected: boolean"
  ),
  (
    BlockdevAdd.self, #"{"driver": "file", "filename": "f", "locking": "zz"}"#,
    "Parameter 'locking' does not accept value 'zz'"
  ),
  // QEMU names the member without the way to it.
  (
    BlockdevAdd.self, #"{"driver": "qcow2", "file": {"driver": "zzz"}}"#,
    "Parameter 'file.driver' does not accept value 'zzz'"
  ),
  // Ours: what QEMU can do and we cannot.
  (
    BlockdevAdd.self, #"{"driver": "file", "filename": "f", "pr-manager": "x"}"#,
    "Parameter 'pr-manager' is not supported"
  ),
  (
    BlockdevAdd.self,
    #"{"driver": "raw", "file": {"driver": "qcow2", "file": "x", "encrypt": {}}}"#,
    "Parameter 'file.encrypt' is not supported"
  ),
  (BlockdevAdd.self, #"{"driver": "nbd"}"#, "Parameter 'driver' does not accept value 'nbd'"),

  // Images.
  (BlockdevCreate.self, #"{"job-id": "j"}"#, "Parameter 'options' is missing"),
  (
    BlockdevCreate.self, #"{"job-id": "j", "options": 1}"#,
    "Invalid parameter type for 'options', expected: object"
  ),
  (
    BlockdevCreate.self, #"{"job-id": "j", "options": {"driver": "qcow2", "file": "x"}}"#,
    "Parameter 'options.size' is missing"
  ),
  (
    BlockdevCreate.self,
    #"{"job-id": "j", "options": {"driver": "qcow2", "file": "x", "size": 1, "data-file": "d"}}"#,
    "Parameter 'options.data-file' is not supported"
  ),
  (
    BlockdevCreate.self,
    #"{"job-id": "j", "options": {"driver": "qcow2", "file": "", "size": 1, "extended-l2": true}}"#,
    "Parameter 'options.extended-l2' is not supported"
  ),
  (
    BlockdevCreate.self,
    #"{"job-id": "j", "options": {"driver": "file", "filename": "x", "size": 1, "nocow": true}}"#,
    "Parameter 'options.nocow' is not supported"
  ),
  (
    BlockdevCreate.self,
    #"{"job-id": "j", "options": {"driver": "file", "filename": "x", "size": -1}}"#,
    "Parameter 'options.size' expects a value from 0 to 2^63 - 1"
  ),
  (
    BlockdevCreate.self,
    #"{"job-id": "j", "options": {"driver": "qcow2", "file": "x", "size": 1, "version": "v4"}}"#,
    "Parameter 'options.version' does not accept value 'v4'"
  ),

  // Extensions.
  (BlockMakeEmpty.self, #"{"node": "n"}"#, "Parameter 'job-id' is missing"),
  (
    BlockMakeEmpty.self, #"{"node": "n", "job-id": "j", "mode": "x"}"#,
    "Parameter 'mode' does not accept value 'x'"
  ),
  (
    BlockWrite.self,
    #"{"node": "n", "job-id": "j", "offset": 0, "length": 1, "pattern": 256}"#,
    "Parameter 'pattern' expects a value from 0 to 255"
  ),
  (
    BlockWrite.self, #"{"node": "n", "job-id": "j", "offset": -1, "length": 1}"#,
    "Parameter 'offset' expects a non-negative value"
  ),
  (
    NodeMapQuery.self, #"{"node": "n", "limit": 10001}"#,
    "Parameter 'limit' expects a value from 1 to 10000"
  ),
  (
    JobWait.self, #"{"id": "j", "timeout-ms": -1}"#,
    "Parameter 'timeout-ms' expects a non-negative value"
  ),
]

@Test("Wrong arguments are refused in QEMU's words", arguments: refusedCalls.indices)
func refusesArguments(index: Int) throws {
  let (command, text, sentence) = refusedCalls[index]
  let arguments = try #require(try JSONValue.parse(text).objectValue)
  #expect(throws: QMPError(sentence)) { _ = try command.init(arguments: arguments) }
}

@Test(
  "A client's text is cut where an error quotes it, even one endless character",
  arguments: ["x", "e\u{301}", "\u{301}"])
func quotesLittle(piece: String) throws {
  let long = String(repeating: piece, count: 100_000)
  let errors = [
    QMPError.commandNotFound(long), .deviceNotFound(long), .blockJobNotFound(long),
    try #require(refusal(["device": "d", "on-error": .string(long)])),
    try #require(refusal(["device": "d", long: 1])),
  ]
  for error in errors { #expect(error.message.utf8.count < 256) }
}

/// Why `block-commit` refuses `arguments`.
private func refusal(_ arguments: JSONObject) -> QMPError? {
  do throws(QMPError) {
    _ = try BlockCommit(arguments: arguments)
    return nil
  } catch {
    return error
  }
}

@Test("A write takes its bytes from exactly one place")
func writeSource() throws {
  #expect(try BlockWrite { $0.pattern = 7 }.source() == .pattern(7))
  #expect(try BlockWrite { $0.from = "/f" }.source() == .file("/f"))
  #expect(throws: QMPError("Parameter 'pattern' or 'from' is missing")) {
    try BlockWrite().source()
  }
  #expect(throws: QMPError("'pattern' and 'from' are mutually exclusive")) {
    try BlockWrite {
      $0.from = "/f"
      $0.pattern = 0
    }.source()
  }
}
