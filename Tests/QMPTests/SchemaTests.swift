import JSONValue
import QMP
import Testing

/// The entity that `type` of the entity `name` refers to.
private func entity(_ type: String, of name: String) throws -> JSONValue {
  let schema = SchemaBuilder.schema.map(\.wire)
  let holder = try #require(schema.first { $0["name"] == .string(name) })
  return try #require(schema.first { $0["name"] == holder[type] })
}

@Test("A member that may be left out has the default null, one that must be there has none")
func optionalMembers() throws {
  let arguments = try entity("arg-type", of: BlockdevDel.name)
  #expect(arguments["members"] == [["name": "node-name", "type": "str"]])
  let flat = try entity("arg-type", of: QueryNamedBlockNodes.name)
  #expect(flat["members"] == [["name": "flat", "type": "bool", "default": nil]])
}

@Test("Members that are refused with any value are not in the schema")
func refusedMembers() throws {
  let names = SchemaBuilder.schema.flatMap { info in
    (info.wire["members"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
  }
  #expect(names.contains("x-drop-bitmaps") && !names.contains("data-file"))
}

@Test("A driver is the tag of the options that it brings")
func variants() throws {
  let options = try entity("arg-type", of: BlockdevAdd.name)
  #expect(options["tag"] == "driver")
  let cases = (options["variants"]?.arrayValue ?? []).compactMap { $0["case"]?.stringValue }
  #expect(cases == BlockDriver.allCases.map(\.rawValue))
}

@Test("Commands without arguments, and without answers, share one object without members")
func nothing() throws {
  #expect(try entity("arg-type", of: Quit.name) == entity("ret-type", of: JobCancel.name))
  #expect(try entity("arg-type", of: Quit.name)["members"] == [])
}
