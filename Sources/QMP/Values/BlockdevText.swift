import JSONValue

extension BlockdevOptions {
  /// The node that `text` describes on a command line: JSON where it begins with a brace, else keys
  /// and values with dots (`qcow2,node-name=n,file.driver=file,file.filename=f`), of which the
  /// first may be the driver alone. The errors name the key.
  package init(text: String) throws(QMPError) {
    if text.hasPrefix("{") {
      try self.init(wire: BlockdevOptions.json(text), at: .arguments)
    } else {
      try self.init(wire: BlockdevOptions.keyValues(text, implied: "driver"), at: .keyValues)
    }
  }

  /// The image that `text` describes as `--image-opts` does: keys and values, and a file below it
  /// needs no driver. The format is never guessed.
  package init(imageOptions text: String) throws(QMPError) {
    let value = try BlockdevOptions.keyValues(text)
    let members = value.objectValue?.members.map { member in
      (member.name, BlockdevOptions.completed(member.value))
    }
    try self.init(wire: .object(JSONObject(members: members ?? [])), at: .keyValues)
  }

  /// The same with every file's name replaced by what `change` makes of it.
  package func renamed(_ change: (String) -> String) -> BlockdevOptions {
    var copy = self
    switch driver {
    case .file(var file):
      file.filename = change(file.filename)
      copy.driver = .file(file)
    case .hostDevice(var file):
      file.filename = change(file.filename)
      copy.driver = .hostDevice(file)
    case .raw(var raw):
      raw.file = raw.file.renamed(change)
      copy.driver = .raw(raw)
    case .qcow2(var qcow2):
      qcow2.file = qcow2.file.renamed(change)
      if case .reference(let below)? = qcow2.backing {
        qcow2.backing = .reference(below.renamed(change))
      }
      copy.driver = .qcow2(qcow2)
    }
    return copy
  }

  /// The name of the file at the bottom; nil where that is an existing node.
  package var fileName: String? {
    switch driver {
    case .file(let file), .hostDevice(let file): file.filename
    case .raw(let raw): raw.file.fileName
    case .qcow2(let qcow2): qcow2.file.fileName
    }
  }

  private static func json(_ text: String) throws(QMPError) -> JSONValue {
    do throws(JSONSyntaxError) { return try JSONValue.parse(text) } catch {
      throw QMPError("\(error)")
    }
  }

  private static func keyValues(
    _ text: String, implied: String? = nil
  ) throws(QMPError) -> JSONValue {
    do throws(KeyValueError) {
      return try JSONValue.parse(keyValues: text, implied: implied)
    } catch {
      throw QMPError("\(error)")
    }
  }

  /// `value` with driver `file` in every object that has a file name and no driver.
  private static func completed(_ value: JSONValue) -> JSONValue {
    guard let object = value.objectValue else { return value }
    var members = object.members.map { ($0.name, completed($0.value)) }
    if object["driver"] == nil, object["filename"] != nil { members.append(("driver", "file")) }
    return .object(JSONObject(members: members))
  }
}

extension BlockdevReference {
  fileprivate func renamed(_ change: (String) -> String) -> BlockdevReference {
    if case .options(let options) = self { .options(options.renamed(change)) } else { self }
  }

  fileprivate var fileName: String? {
    if case .options(let options) = self { options.fileName } else { nil }
  }
}
