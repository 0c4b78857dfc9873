import BlockCore
import BlockGraph
import BlockJobs
import ImageFormats
import TestSupport

extension CommitRun {
  /// Copies what lies between the image at `place`, the base being 0, and the one at `base` up
  /// into it; with no base, all that lies under it. `backingFile` is what its header is to call the
  /// base.
  ///
  /// The image, and the top where that is another, show the same at every moment. What was copied
  /// up may be gone in the end.
  func stream(into place: Int, downTo base: Int?, backingFile: String? = nil) async throws {
    let names = scene.names
    let views = Dictionary(
      uniqueKeysWithValues: try Set([names[place], scene.top]).map { ($0, [try scene.view($0)]) })
    var (before, after) = (CrashExpectation(views: views), CrashExpectation(views: views))
    after.unneeded = Set(names[((base ?? -1) + 1)..<place])
    if let base {
      let format = scene.initial[base].isQcow2 ? "qcow2" : "raw"
      let link = BackingLink(name: backingFile ?? names[base], format: format)
      let old = try scene.openReadOnly(place).backingLink
      before.links[names[place]] = [old, link].compactMap(\.self)
      after.links[names[place]] = [link]
    }
    try await run(top: place, before: before) { _ in
      after
    } _: { graph, nodes, _ throws(BlockError) in
      var request = StreamJob.Request(
        chain: graph.chain(from: nodes[place]), base: place - (base ?? -1))
      request.backingFile = backingFile
      return try StreamJob(request, id: "j0", graph: graph)
    }
  }
}
