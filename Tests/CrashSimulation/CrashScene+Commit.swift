import TestSupport

/// What must hold once a commit has been said to be done. To be asked before it begins.
extension CrashScene {
  /// The name of the event that says so.
  static let completed = Answer.completed.rawValue

  /// From which position of the log on somebody knows that the job has completed.
  var completion: Int? {
    log.entries.firstIndex { $0.event == .note(CrashScene.completed) }.map { $0 + 1 }
  }

  /// After the top has been committed into the image under it, and emptied. `view` is what it shows
  /// then; what it shows now unless told otherwise.
  func afterActiveCommit(of view: CrashView? = nil) throws -> CrashExpectation {
    let view = try view ?? self.view(top)
    let below = names[names.count - 2]
    let committed = view.over(try self.view(below))
    var after = CrashExpectation(views: [top: [view], below: [committed]])
    after.empty = [top]
    return after
  }

  /// After all between the top and the base has been committed into the base.
  func afterIntermediateCommit() throws -> CrashExpectation {
    var after = CrashExpectation(views: [top: [try view(top)]])
    after.unneeded = Set(names.dropFirst().dropLast())
    return after
  }

  /// After all that lies under the top has been copied up into it.
  func afterStreamOfAll() throws -> CrashExpectation {
    var after = CrashExpectation(views: [top: [try view(top)]])
    after.unneeded = Set(names.dropLast())
    return after
  }
}
