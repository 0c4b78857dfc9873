import BlockCore
import BlockGraph
import BlockIO
import BlockJobs
import BlockRuntime
import ImageFormats
import QMP

extension CommandDispatcher {
  /// `blockdev-create`: a job that stays until it is dismissed, as in QEMU.
  func addCreateHandlers(_ services: DaemonServices) {
    on(BlockdevCreate.self) { (call) async throws(QMPError) in
      var options = JobOptions(id: call.jobID)
      options.autoDismiss = false
      do throws(BlockError) {
        try services.jobs.checkIsFree(call.jobID)
      } catch {
        throw QMPError(error)
      }
      switch call.options.format {
      case .file(let file): try services.createFile(file, options)
      case .qcow2(let image): try await services.createImage(image, options)
      }
      return EmptyReply()
    }
  }
}

extension DaemonServices {
  fileprivate func createFile(
    _ file: FileCreateOptions, _ options: JobOptions
  ) throws(QMPError) {
    let gate = graph.gate
    try start(options) { (_) throws(BlockError) in
      let device = DeviceKey(opening: file.filename)
      return CreateJob(file: file.filename, device: device) { () throws(BlockError) in
        let target = try gate.create(file.filename)
        do throws(BlockError) {
          try target.truncate(to: 0)
          try target.truncate(to: file.size)
          if file.preallocation != .off {
            try target.writeZeroes(ByteRange(at: 0, length: file.size), deallocate: false)
          }
          try target.flush()
        } catch {
          try? target.close()
          throw error
        }
        try target.close()
      }
    }
  }

  /// The node that is to hold the image is held, for writing, by a raw node that belongs to the
  /// job, so that nobody else can use it meanwhile.
  fileprivate func createImage(
    _ image: QMP.Qcow2CreateOptions, _ options: JobOptions
  ) async throws(QMPError) {
    let create = try ImageFormats.Qcow2CreateOptions(image)
    lastCreation += 1
    let name = "x-create-\(lastCreation)"
    let holder: BlockNode
    do throws(BlockError) {
      holder = try await graph.add(
        NodeSpecification(
          name: name, .format(FormatSpecification(.raw, file: .init(image.file)))))
    } catch {
      throw QMPError(error)
    }
    var options = options
    options.ownNodes = [name]
    do throws(QMPError) {
      try start(options) { (_) throws(BlockError) in
        CreateJob(file: holder.fileName, device: holder.device) { () throws(BlockError) in
          try holder.withWholeImage { (raw) throws(BlockError) in
            try Qcow2Create.create(create, on: raw.dataStorage)
          }
        }
      }
    } catch {
      await graph.closeNodes([name])
      throw error
    }
  }
}

extension ImageFormats.Qcow2CreateOptions {
  fileprivate init(_ image: QMP.Qcow2CreateOptions) throws(QMPError) {
    guard image.size.isMultiple(of: 512) else {
      throw QMPError("Image size must be a multiple of 512 bytes")
    }
    self.init(size: image.size)
    version = image.version == .v2 ? 2 : 3
    clusterSize = image.clusterSize
    refcountBits = image.refcountBits
    lazyRefcounts = image.lazyRefcounts
    preallocation =
      switch image.preallocation {
      case .off: .off
      case .metadata: .metadata
      case .falloc, .full: .space
      }
    compression = image.compression == .zstd ? .zstd : .zlib
    guard image.backingFile == nil || preallocation == .off else {
      throw QMPError("Preallocated clusters would hide the backing file: use one without the other")
    }
    switch (image.backingFile, image.backingFormat) {
    case (let name?, let format?):
      if let why = OpenGate.fault(inBacking: Array(name.utf8)) {
        throw QMPError("No image can name '\(QMPError.quoted(name))' as its backing file: \(why)")
      }
      backing = BackingLink(name: name, format: format == .qcow2 ? "qcow2" : "raw")
    case (_?, nil):
      throw QMPError("Parameter 'options.backing-fmt' is missing: formats are never guessed")
    case (nil, _?):
      throw QMPError("Backing format cannot be used without backing file")
    case (nil, nil): break
    }
  }
}
