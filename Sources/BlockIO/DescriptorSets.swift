package import BlockCore
import CLinux
import Glibc
import Synchronization

/// Descriptors that clients have passed, in numbered sets. A set stands for one file, which can be
/// opened by the name `/dev/fdset/N` also where the process itself could not open it.
///
/// As in QEMU a file is opened by the descriptor whose access mode is the wanted one: for writing
/// the set needs one that is open for reading and writing, for reading one that is open for reading
/// only. A descriptor stays until it is removed; what is open by then stays open. When the last
/// client has gone, sets by which nothing is open go, too.
///
/// Isolation: any thread; state behind `state`.
package final class DescriptorSets: Sendable {
  /// The most descriptors in all sets: a file for each of many disks, and half of what a process
  /// may usually have.
  package static let most = 512

  /// One set, as clients are told of it.
  ///
  /// Isolation: value.
  package struct Info: Hashable, Sendable {
    /// Its number.
    package var id: Int
    /// Its descriptors, the newest first, each with what its client said about it.
    package var members: [Member]

    /// One descriptor.
    package struct Member: Hashable, Sendable {
      /// The number that it has in this process.
      package var descriptor: Int32
      /// What its client said about it.
      package var opaque: String?
    }
  }

  private struct Member {
    let file: OpenFile
    let isWritable: Bool
    let opaque: String?
    /// Numbers of descriptors come again; this does not.
    let serial: Int
  }

  private struct DescriptorSet {
    let identity: FileIdentity
    var members: [Member] = []
    /// Files that are open by this set: it stays for them when its last member has gone.
    var loans = 0
  }

  private struct State {
    var sets: [Int: DescriptorSet] = [:]
    var lastSerial = 0
    /// Members whose own description is in use by an open file.
    var lent: Set<Int> = []

    var count: Int { sets.values.reduce(0) { $0 + $1.members.count } }
  }

  private let state = Mutex(State())

  /// No sets.
  package init() {}

  /// All sets, by their numbers.
  package var infos: [Info] {
    state.withLock { state in
      state.sets.sorted { $0.key < $1.key }.map { id, set in
        Info(
          id: id,
          members: set.members.map {
            Info.Member(descriptor: $0.file.descriptor, opaque: $0.opaque)
          })
      }
    }
  }

  /// Puts a duplicate of `descriptor` into the set `id`, which is not negative, or into a new one;
  /// returns its set and its number. Throws `invalidArgument` for what is no regular file or block
  /// device, can only be written or appended to, or is another file than the rest of its set, and
  /// `noSpace` where there are too many.
  package func add(
    copyOf descriptor: Int32, to id: Int?, opaque: String?
  ) throws(BlockError) -> (id: Int, descriptor: Int32) {
    let (file, identity, isWritable) = try DescriptorSets.vetted(descriptor)
    return try state.withLock { (state) throws(BlockError) in
      guard state.count < DescriptorSets.most else {
        throw BlockError(.noSpace, "There are \(state.count) descriptors in sets already")
      }
      let id = id ?? (0...state.sets.count).first { state.sets[$0] == nil } ?? state.sets.count
      var set = state.sets[id] ?? DescriptorSet(identity: identity)
      guard set.identity == identity else {
        throw BlockError(
          .invalidArgument,
          "The descriptors in '\(DescriptorSets.name(of: id))' are of another file")
      }
      state.lastSerial += 1
      let member = Member(
        file: file, isWritable: isWritable, opaque: opaque, serial: state.lastSerial)
      set.members.insert(member, at: 0)
      state.sets[id] = set
      return (id, file.descriptor)
    }
  }

  /// Closes the descriptors of sets by which nothing is open: nobody is left who could mean them.
  package func removeUnused() {
    state.withLock { state in state.sets = state.sets.filter { $0.value.loans > 0 } }
  }

  /// Closes the descriptor of this number in the set `id`, or all of the set's. Returns whether
  /// there was one. Files that are open by the set stay so.
  package func remove(_ descriptor: Int32?, from id: Int) -> Bool {
    state.withLock { state in
      guard var set = state.sets[id] else { return false }
      if let descriptor {
        guard let index = set.members.firstIndex(where: { $0.file.descriptor == descriptor })
        else { return false }
        set.members.remove(at: index)
      } else {
        set.members = []
      }
      state.sets[id] = set.members.isEmpty && set.loans == 0 ? nil : set
      return true
    }
  }

  /// A duplicate of `descriptor`, which file it is, and whether that can be written.
  private static func vetted(
    _ descriptor: Int32
  ) throws(BlockError) -> (OpenFile, FileIdentity, isWritable: Bool) {
    do {
      let file = try OpenFile.duplicate(of: descriptor, name: "passed descriptor")
      let status = try file.status()
      try FileKind(mode: status.st_mode).requireImage(name: file.name)
      return (file, FileIdentity(status), try file.isWritable())
    } catch {
      // It has no name.
      var nameless = error
      nameless.file = nil
      throw nameless
    }
  }

  // MARK: Files

  /// The set that a file's name stands for; nil for other names. Throws `invalidArgument` for a
  /// name that begins as one and is none.
  package static func id(named name: String) throws(BlockError) -> Int? {
    guard name.hasPrefix(prefix) else { return nil }
    let digits = name.utf8.dropFirst(prefix.utf8.count)
    guard digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }),
      let id = Int(String(decoding: digits, as: UTF8.self))
    else { throw BlockError(.invalidArgument, "Could not parse fdset \(name)", file: name) }
    return id
  }

  /// The file that the set `id` stands for. Throws `notFound` where it has no descriptor.
  package func identity(of id: Int) throws(BlockError) -> FileIdentity {
    FileIdentity(try find(id).status())
  }

  /// The file of the set `id`, to be opened by `reopened`. Throws `notFound`.
  func find(_ id: Int) throws(BlockError) -> OpenFile {
    let (member, loan) = try borrow(id) { _ in true }
    return try OpenFile.duplicate(of: member.file.descriptor, name: loan.name, loan: loan)
  }

  /// Opens the file of the set `id` by the descriptor with the right access mode. Throws
  /// `notFound`, `permission` where there is none, and `locked` where it is in use.
  fileprivate func open(
    _ id: Int, readOnly: Bool, direct: Bool
  ) throws(BlockError) -> OpenFile {
    let (member, loan) = try borrow(id) { $0.isWritable != readOnly }
    do {
      // A description of our own, where the system lets us: it has its own locks and flags.
      return try member.file.reopened(readOnly: readOnly, direct: direct, name: loan.name, loan)
    } catch {
      try loan.takeDescription(of: member.serial)
      let file = try OpenFile.duplicate(
        of: member.file.descriptor, name: loan.name, loan: loan)
      try file.setDirect(direct)
      return file
    }
  }

  /// The newest member of the set `id` that `fits`, and a loan that keeps the set.
  private func borrow(
    _ id: Int, where fits: (Member) -> Bool
  ) throws(BlockError) -> (Member, DescriptorLoan) {
    let name = DescriptorSets.name(of: id)
    return try state.withLock { (state) throws(BlockError) in
      guard let set = state.sets[id], !set.members.isEmpty else {
        throw BlockError(.notFound, "Failed to find fdset \(name)", file: name)
      }
      guard let member = set.members.first(where: fits) else {
        let isForWriting = !set.members.contains { $0.isWritable }
        throw BlockError(
          .permission,
          "Failed to find file descriptor with matching flags=0x\(isForWriting ? O_RDWR : O_RDONLY)"
            + ": the set needs one that is open \(isForWriting ? "O_RDWR" : "O_RDONLY")",
          file: name)
      }
      state.sets[id]?.loans += 1
      return (member, DescriptorLoan(self, id))
    }
  }

  /// Notes that an open file uses the description of a member itself.
  fileprivate func lend(_ serial: Int, of id: Int) throws(BlockError) {
    let isFree = state.withLock { $0.lent.insert(serial).inserted }
    guard isFree else {
      // Two users of one description have the same locks, so that neither would keep the other off.
      throw BlockError(
        .locked,
        "The descriptor in '\(DescriptorSets.name(of: id))' is in use: add another one, "
          + "opened anew", file: DescriptorSets.name(of: id))
    }
  }

  /// Ends a loan.
  fileprivate func giveBack(_ id: Int, _ serial: Int?) {
    state.withLock { state in
      if let serial { state.lent.remove(serial) }
      guard var set = state.sets[id] else { return }
      set.loans -= 1
      state.sets[id] = set.members.isEmpty && set.loans == 0 ? nil : set
    }
  }

  private static let prefix = "/dev/fdset/"

  fileprivate static func name(of id: Int) -> String { "\(prefix)\(id)" }
}

/// What an open file owes to the set that it came from; over when nobody holds on to it.
///
/// Isolation: any thread; state behind `serial`.
final class DescriptorLoan: Sendable {
  private let sets: DescriptorSets
  private let id: Int
  /// The member whose description is in use; nil where the file has one of its own.
  private let serial = Mutex<Int?>(nil)

  fileprivate init(_ sets: DescriptorSets, _ id: Int) {
    self.sets = sets
    self.id = id
  }

  /// The name of the set.
  var name: String { DescriptorSets.name(of: id) }

  /// The same file, opened anew from the set.
  func reopened(readOnly: Bool, direct: Bool) throws(BlockError) -> OpenFile {
    try sets.open(id, readOnly: readOnly, direct: direct)
  }

  /// Keeps others off the description of a member. Throws `locked` where somebody has it.
  fileprivate func takeDescription(of member: Int) throws(BlockError) {
    try sets.lend(member, of: id)
    serial.withLock { $0 = member }
  }

  deinit { sets.giveBack(id, serial.withLock { $0 }) }
}
