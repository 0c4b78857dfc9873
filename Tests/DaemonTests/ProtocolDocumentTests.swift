import Foundation
import JSONValue
import QMP
import TestSupport
import Testing

/// Commands that QEMU does not have, besides those whose names begin with `x-`.
private let extensions: Set = [
  "block-make-empty", "block-check", "job-wait", "job-complete-sync",
]

/// Commands that QEMU does have, although their names begin with `x-`.
private let experiments: Set = ["x-debug-query-block-graph"]

/// Commands whose section says that their arguments are described in another's.
private let describedElsewhere = ["blockdev-reopen": "blockdev-add"]

/// Names in the examples that are not commands, for the error they get.
private let unknownOnPurpose: Set = ["nope"]

@Test("The examples of protocol.md run, from top to bottom, as they stand there")
func examplesRun() throws {
  let document = try ProtocolDocument()
  let images = try ExampleImages()
  let daemon = try DaemonProcess.start(launcher: ["prlimit", "--fsize=8388608"])
  let monitor = try MonitorSocket(daemon.socket)
  var greeting: JSONObject? = try monitor.next()
  for step in document.steps {
    switch step {
    case .send(let text, passing: nil): try monitor.send(images.inPlace(text))
    case .send(let text, let file?):
      let descriptor = open(images.inPlace(file), O_RDWR | O_CLOEXEC)
      try #require(descriptor >= 0)
      try monitor.send(images.inPlace(text), passing: [descriptor])
      close(descriptor)
    case .expect(let example):
      let expected = try JSONValue.parse(images.inPlace(example.description))
      if expected["event"] != nil {
        // Events that an example leaves out may come before.
        var seen: [String] = []
        do {
          _ = try monitor.event { event in
            seen.append(JSONValue.object(event).description)
            return expected.difference(from: .object(event)) == nil
          }
        } catch {
          Issue.record("\(error): no event as in \(expected); seen: \(seen)")
          return
        }
      } else {
        let message = try greeting.take() ?? monitor.nextAnswer()
        if let difference = expected.difference(from: .object(message)) {
          Issue.record("\(difference): \(JSONValue.object(message)) is not as in \(expected)")
          return
        }
      }
    }
  }
  #expect(daemon.waitForExit() == 0)
}

@Test("Every command and event has a section and an example in protocol.md, and nothing else has")
func everythingIsDocumented() throws {
  let document = try ProtocolDocument()
  let commands = Set(CommandCatalog.all.map { $0.name })
  let names = commands.union(EventCatalog.all.map { $0.name })
  #expect(Set(document.sections.keys) == names)
  #expect(try document.examples.subtracting(unknownOnPurpose) == names)
  for (name, section) in document.sections {
    let isExtension = name.hasPrefix("x-") && !experiments.contains(name)
    #expect(section.isExtension == (isExtension || extensions.contains(name)), "\(name)")
  }
}

@Test("The tables of protocol.md name a command's arguments, and which are required")
func argumentsAreDocumented() throws {
  let document = try ProtocolDocument()
  for command in CommandCatalog.all {
    let section = try #require(document.sections[command.name])
    let members = command.reachableMembers
    let other = describedElsewhere[command.name].flatMap { document.sections[$0] }
    let names = section.names.union(other?.names ?? [])
    for member in members {
      #expect(names.contains(member.name), "\(command.name): \(member.name)")
      #expect(names.isSuperset(of: member.words), "\(command.name): \(member.name)")
    }
    for row in section.rows where row.head == "Argument" && !row.names.isEmpty {
      for name in row.names {
        let known = members.filter { $0.name == name }
        #expect(!known.isEmpty, "\(command.name) has no argument \(name)")
        let isRequired = row.cells[2] == "required"
        #expect(
          known.contains { $0.isOptional != isRequired }, "\(command.name): \(name) is required?")
        #expect(
          !name.hasPrefix("x-") || command.name.hasPrefix("x-")
            || extensions.contains(command.name) || row.cells[3].contains("*extension*"),
          "\(command.name): \(name) is an extension")
      }
    }
  }
}

@Test("protocol.md names every member of every answer, event, error and result, and no others")
func answersAreDocumented() throws {
  let document = try ProtocolDocument()
  for command in CommandCatalog.all {
    try document.check(members: command.replyMembers, in: command.name)
  }
  for event in EventCatalog.all {
    try document.check(members: event.reachableMembers, in: event.name)
  }
  try document.check(members: CommitResult.reachableMembers, in: BlockCommit.name)
  try document.check(members: StreamResult.reachableMembers, in: BlockStream.name)
  let results =
    ChecksumResult.reachableMembers + CompareResult.reachableMembers + ImageCheck.reachableMembers
  for name in results.map(\.name) {
    #expect(document.names.contains(name), "\(name)")
  }
  for member in QMPErrorDetail.reachableMembers {
    #expect(document.names.contains(member.name), "\(member.name)")
  }
  for errorClass in QMPError.Class.allCases where errorClass != .kvmMissingCap {
    #expect(document.names.contains(errorClass.rawValue))
  }
}

extension ProtocolDocument {
  /// Every one of `members` stands in the section `name`, and its tables of members name no others.
  fileprivate func check(members: [MemberFacts], in name: String) throws {
    let section = try #require(sections[name])
    for member in members {
      #expect(section.names.contains(member.name), "\(name): \(member.name)")
    }
    // What a commit leaves stands beside its answer, and it is checked on its own.
    let known = Set(members.map(\.name)).union(CommitResult.members.map(\.name))
    for row in section.rows where row.head == "Member" {
      #expect(Set(row.names).isSubset(of: known), "\(name): \(row.names)")
    }
  }
}
