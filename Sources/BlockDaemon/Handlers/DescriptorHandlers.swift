import BlockCore
import BlockIO
import BlockRuntime
import QMP
import SocketIO

extension CommandDispatcher {
  /// The commands about descriptors that clients pass.
  func addDescriptorHandlers(_ sets: DescriptorSets) {
    onClient(GetFD.self) { (call, client) async throws(QMPError) in
      try client.keep(as: call.name)
      return EmptyReply()
    }
    onClient(CloseFD.self) { (call, client) async throws(QMPError) in
      try client.close(call.name)
      return EmptyReply()
    }
    onClient(AddFD.self) { (call, client) async throws(QMPError) in
      let descriptor = try client.take()
      try ClientDescriptors.check(call.opaque ?? "", "opaque")
      do throws(BlockError) {
        let added = try sets.add(
          copyOf: descriptor.number, to: call.set, opaque: call.opaque)
        return AddedFD {
          $0.set = added.id
          $0.descriptor = Int(added.descriptor)
        }
      } catch {
        throw QMPError(error)
      }
    }
    on(RemoveFD.self) { (call) async throws(QMPError) in
      let number = call.descriptor.map { Int32(exactly: $0) ?? -1 }
      guard sets.remove(number, from: call.set) else {
        let which = call.descriptor.map { ", fd:\($0)" } ?? ""
        throw QMPError("File descriptor named 'fdset-id:\(call.set)\(which)' not found")
      }
      return EmptyReply()
    }
    on(QueryFDSets.self) { (_) async throws(QMPError) in sets.infos.map(FDSetInfo.init) }
  }
}

extension FDSetInfo {
  fileprivate init(_ info: DescriptorSets.Info) {
    self.init()
    set = info.id
    members = info.members.map { member in
      FDSetMemberInfo {
        $0.descriptor = Int(member.descriptor)
        $0.opaque = member.opaque
      }
    }
  }
}
