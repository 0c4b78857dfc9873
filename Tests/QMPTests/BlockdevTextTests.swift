import JSONValue
import QMP
import Testing

@Suite("nodes on the command line")
struct BlockdevTextTests {
  @Test("keys and values say what JSON says")
  func same() throws {
    let text = try BlockdevOptions(
      text: "qcow2,node-name=n,read-only=on,cache.direct=off,l2-cache-size=0x1000,"
        + "file.driver=file,file.filename=/a,,b,backing.driver=raw,backing.file=m,discard=unmap")
    let json = try BlockdevOptions(
      text: #"""
        {"driver": "qcow2", "node-name": "n", "read-only": true, "cache": {"direct": false},
         "l2-cache-size": 4096, "file": {"driver": "file", "filename": "/a,b"},
         "backing": {"driver": "raw", "file": "m"}, "discard": "unmap"}
        """#)
    #expect(text == json)
    let none = try BlockdevOptions(text: "qcow2,file=f,backing=")
    #expect(none == (try BlockdevOptions(text: #"{"driver":"qcow2","file":"f","backing":null}"#)))
  }

  @Test(
    "booleans are spelled as in QEMU",
    arguments: [
      ("on", true), ("yes", true), ("true", true), ("y", true),
      ("off", false), ("no", false), ("false", false), ("n", false),
    ])
  func booleans(word: String, value: Bool) throws {
    #expect(try BlockdevOptions(text: "raw,file=f,read-only=\(word)").readOnly == value)
  }

  @Test(
    "numbers are spelled as in C",
    arguments: [("0", 0), ("10", 10), ("010", 8), ("0x10", 16), ("0XfF", 255), ("+7", 7)])
  func numbers(text: String, value: Int) throws {
    let options = try BlockdevOptions(text: "qcow2,file=f,cache-size=\(text)")
    #expect(options.wire["cache-size"] == .integer(value))
  }

  /// What `qemu-storage-daemon --blockdev` says, where it has the option.
  @Test(
    "errors name the key, in QEMU's words",
    arguments: [
      ("", "Parameter 'driver' is missing"),
      ("node-name=a", "Parameter 'driver' is missing"),
      ("driver", "Parameter 'driver' does not accept value 'driver'"),
      ("driver=qcow2,,x", "Parameter 'driver' does not accept value 'qcow2,x'"),
      ("driver=file,driver=raw", "Parameter 'file' is missing"),
      ("driver=file,filename.0=1", "Parameters 'filename.*' are unexpected"),
      ("raw,file=f,read-only=maybe", "Parameter 'read-only' expects 'on' or 'off'"),
      ("raw,file=f,read-only=True", "Parameter 'read-only' expects 'on' or 'off'"),
      ("raw,file=f,read-only=", "Parameter 'read-only' expects 'on' or 'off'"),
      ("file,filename=f,cache.direct=1", "Parameter 'cache.direct' expects 'on' or 'off'"),
      ("file,filename=f,cache=1", "Invalid parameter type for 'cache', expected: object"),
      ("file,filename=f,discard=zz", "Parameter 'discard' does not accept value 'zz'"),
      ("qcow2,file=f,cache-size=abc", "Parameter 'cache-size' expects integer"),
      ("qcow2,file=f,cache-size=12k", "Parameter 'cache-size' expects integer"),
      ("qcow2,file=f,cache-size=0x", "Parameter 'cache-size' expects integer"),
      ("qcow2,file=f,cache-size=--1", "Parameter 'cache-size' expects integer"),
      ("qcow2,file=f,cache-size=9223372036854775808", "Parameter 'cache-size' expects integer"),
      ("qcow2,file=f,cache-size=-1", "Parameter 'cache-size' expects a non-negative value"),
      (
        "qcow2,file.driver=file,file.filename=f,file.bogus=1",
        "Parameter 'file.bogus' is unexpected"
      ),
      ("qcow2,file=x,file.driver=file", "Parameters 'file.*' used inconsistently"),
      (
        #"{"driver": "file", "filename": "f", "read-only": "on"}"#,
        "Invalid parameter type for 'read-only', expected: boolean"
      ),
      ("{", "JSON parse error, premature end of input"),
    ])
  func refused(text: String, sentence: String) {
    let error = #expect(throws: QMPError.self) { try BlockdevOptions(text: text) }
    #expect(error?.message == sentence)
  }

  @Test("image options need no driver for a file, and always one for the image")
  func imageOptions() throws {
    let image = try BlockdevOptions(imageOptions: "driver=qcow2,file.filename=a,backing=")
    #expect(
      image == (try BlockdevOptions(text: "qcow2,file.driver=file,file.filename=a,backing=")))
    #expect(image.fileName == "a")
    #expect(image.renamed { "/x/\($0)" }.fileName == "/x/a")
    let refusals = [
      ("file.filename=a", "Parameter 'driver' is missing"),
      ("a.qcow2", "Expected '=' after parameter 'a.qcow2'"),
    ]
    for (text, sentence) in refusals {
      let error = #expect(throws: QMPError.self) { try BlockdevOptions(imageOptions: text) }
      #expect(error?.message == sentence)
    }
  }
}
