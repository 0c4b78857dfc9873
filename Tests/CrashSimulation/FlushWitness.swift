package import ImageFormats

/// A trial that finds a bad state when a flush is left out.
///
/// Isolation: value.
package struct FlushWitness: Sendable, CustomStringConvertible {
  package var flush: FlushPoint
  package var operation: CrashOperation
  package var layout: CrashLayout

  private init(_ flush: FlushPoint, _ operation: CrashOperation, _ layout: CrashLayout) {
    self.flush = flush
    self.operation = operation
    self.layout = layout
  }

  package var description: String { "\(flush.rawValue) | \(operation.rawValue), \(layout)" }

  /// The trial, with the flush left out, until its first bad state.
  package var trial: CrashTrial {
    var trial = CrashTrial(layout, operation)
    trial.elided = flush
    trial.stopsEarly = true
    trial.qemuShare = 0
    return trial
  }

  /// At least one for each flush, and one for each place where a flush of that name is made.
  package static let all: [FlushWitness] = [
    FlushWitness(.dataAndRefcountsBeforeL2, .write, CrashLayout(512)),
    FlushWitness(.refcountTableBeforeL2, .fill, CrashLayout(512, refcountBits: 64)),
    FlushWitness(.l2TablesBeforeL1, .write, CrashLayout(512, .snapshot)),
    FlushWitness(.entriesBeforeFree, .discard, CrashLayout(512)),
    FlushWitness(
      .newRefcountTableBeforeHeader, .fill,
      CrashLayout(512, refcountBits: 64, .fullRefcountTable)),
    FlushWitness(.newRefcountTableBeforeHeader, .repairAll, CrashLayout(512)),
    FlushWitness(
      .headerBeforeOldRefcountTableFree, .fill,
      CrashLayout(512, refcountBits: 64, .fullRefcountTable)),
    FlushWitness(.headerBeforeOldRefcountTableFree, .repairAll, CrashLayout(512)),
    FlushWitness(.grownAreaBeforeSize, .resize, CrashLayout(512, .longBase)),
    FlushWitness(.size, .resize, CrashLayout(512)),
    FlushWitness(.autoclearBeforeWrite, .resize, CrashLayout(512, .autoclear)),
    FlushWitness(.corruptBit, .refuse, CrashLayout(512)),
    FlushWitness(.backingNameBeforeHeader, .link, CrashLayout(4096)),
    FlushWitness(.backingLink, .link, CrashLayout(512)),
    FlushWitness(.backingLink, .commitIntermediate, CrashLayout(512, depth: 3)),
    FlushWitness(.emptyTablesBeforeSwitch, .reset, CrashLayout(512)),
    FlushWitness(.switchBeforeReuse, .reset, CrashLayout(512)),
    FlushWitness(.truncation, .reset, CrashLayout(512)),
    FlushWitness(.bitmapsBeforeFree, .repairLeaks, CrashLayout(512, .bitmap)),
    FlushWitness(.repairedRefcountsBeforeFlags, .repairLeaks, CrashLayout(512)),
    FlushWitness(.repairBeforeClean, .repairAtOpen, CrashLayout(512)),
    FlushWitness(.clean, .repairAtOpen, CrashLayout(512)),
    FlushWitness(.creation, .create, CrashLayout(512)),
    FlushWitness(.final, .write, CrashLayout(512)),
    FlushWitness(.final, .commitActive, CrashLayout(512)),
    FlushWitness(.final, .commitActive, CrashLayout(512, .rawBase)),
    FlushWitness(.final, .commitIntermediate, CrashLayout(512, depth: 3, .rawBase)),
  ]
}
