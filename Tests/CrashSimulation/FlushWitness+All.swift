import ImageFormats

extension FlushWitness {
  /// At least one for each place at which a named flush is asked for, and for each job that relies
  /// on it.
  package static let all: [FlushWitness] = writing + growing + emptying + headers + repairs + jobs

  private static func at(
    _ function: String, _ point: FlushPoint, _ operation: CrashOperation, _ layout: CrashLayout
  ) -> FlushWitness {
    FlushWitness(FlushPlace(point, in: function), operation, layout)
  }

  private static let writing: [FlushWitness] = [
    at("writeOutTables()", .dataAndRefcountsBeforeL2, .write, CrashLayout(512)),
    at("writeOutTables()", .refcountTableBeforeL2, .fill, CrashLayout(512, refcountBits: 64)),
    at("writeOutTables()", .l2TablesBeforeL1, .write, CrashLayout(512, .snapshot)),
    at("writeOutTables()", .entriesBeforeFree, .discard, CrashLayout(512)),
    at("flush()", .final, .write, CrashLayout(512)),
    at("reopen(readOnly:)", .final, .reopen, CrashLayout(512)),
    at("create(_:on:eliding:)", .creation, .create, CrashLayout(512)),
  ]

  private static let growing: [FlushWitness] = [
    at(
      "growRefcountTable(toHold:)", .newRefcountTableBeforeHeader, .fill,
      CrashLayout(512, refcountBits: 64, .fullRefcountTable)),
    at(
      "growRefcountTable(toHold:)", .headerBeforeOldRefcountTableFree, .fill,
      CrashLayout(512, refcountBits: 64, .fullRefcountTable)),
    at("resize(to:over:)", .grownAreaBeforeSize, .resize, CrashLayout(512, .longBase)),
    at("resize(to:over:)", .size, .resize, CrashLayout(512)),
  ]

  private static let emptying: [FlushWitness] = [
    at("switchToEmpty(_:)", .emptyTablesBeforeSwitch, .reset, CrashLayout(512)),
    at("switchToEmpty(_:)", .switchBeforeReuse, .reset, CrashLayout(512)),
    at("advance(_:)", .truncation, .reset, CrashLayout(512)),
    at("dropTables()", .final, .discard, CrashLayout(512)),
  ]

  private static let headers: [FlushWitness] = [
    at("prepareToWrite()", .autoclearBeforeWrite, .resize, CrashLayout(512, .autoclear)),
    at("markCorrupt(_:)", .corruptBit, .refuse, CrashLayout(512)),
    at("setBackingLink(_:)", .backingNameBeforeHeader, .link, CrashLayout(4096)),
    at("setBackingLink(_:)", .backingLink, .link, CrashLayout(512)),
  ]

  private static let repairs: [FlushWitness] = [
    at("prepareRepair()", .autoclearBeforeWrite, .repairLeaks, CrashLayout(512, .autoclear)),
    at("prepareRepair()", .bitmapsBeforeFree, .repairLeaks, CrashLayout(512, .bitmap)),
    at("advance(_:)", .repairedRefcountsBeforeFlags, .repairLeaks, CrashLayout(512)),
    at("switchRefcounts(to:)", .newRefcountTableBeforeHeader, .repairAll, CrashLayout(512)),
    at("switchRefcounts(to:)", .headerBeforeOldRefcountTableFree, .repairAll, CrashLayout(512)),
    at("advance(_:)", .repairBeforeClean, .repairAtOpen, CrashLayout(512)),
    at("checkZeroed()", .repairBeforeClean, .repairZeros, CrashLayout(4096)),
    at("markClean()", .clean, .repairAtOpen, CrashLayout(512)),
  ]

  private static let jobs: [FlushWitness] = [
    at("flush()", .final, .commitActive, CrashLayout(512)),
    at("flush()", .final, .commitActive, CrashLayout(512, .rawBase)),
    at("flush()", .final, .commitIntermediate, CrashLayout(512, depth: 3, .rawBase)),
    at("setBackingLink(_:)", .backingLink, .commitIntermediate, CrashLayout(512, depth: 3)),
    // From file to file.
    at("flush()", .final, .commitActive, CrashLayout(512, .fileCopy)),
    at("flush()", .final, .commitIntermediate, CrashLayout(512, depth: 3, .fileCopy, .rawBase)),
    at("writeOutTables()", .dataAndRefcountsBeforeL2, .commitActive, CrashLayout(512, .fileCopy)),
    at(
      "writeOutTables()", .refcountTableBeforeL2, .commitActive,
      CrashLayout(512, refcountBits: 64, .longRuns)),
    at(
      "writeOutTables()", .l2TablesBeforeL1, .commitActive,
      CrashLayout(512, .fileCopy, .baseSnapshot)),
    // Upwards.
    at("flush()", .final, .streamAll, CrashLayout(512)),
    at("flush()", .final, .stream, CrashLayout(512, depth: 3)),
    at("flush()", .final, .streamMiddle, CrashLayout(512, depth: 3)),
    at("setBackingLink(_:)", .backingLink, .streamAll, CrashLayout(512)),
    at("setBackingLink(_:)", .backingLink, .stream, CrashLayout(512, depth: 3)),
    at("setBackingLink(_:)", .backingLink, .streamNamed, CrashLayout(512, depth: 3)),
    at("setBackingLink(_:)", .backingNameBeforeHeader, .streamNamed, CrashLayout(4096, depth: 3)),
    at("writeOutTables()", .dataAndRefcountsBeforeL2, .streamAll, CrashLayout(512)),
    at(
      "writeOutTables()", .refcountTableBeforeL2, .stream,
      CrashLayout(512, refcountBits: 64, depth: 3, .longRuns)
    ),
    at("writeOutTables()", .l2TablesBeforeL1, .streamAll, CrashLayout(512, .snapshot)),
    at("prepareToWrite()", .autoclearBeforeWrite, .streamAll, CrashLayout(512, .autoclear)),
  ]
}
