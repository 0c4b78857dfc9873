import CFuzzer
import ImageTrials
import TestSupport

/// libFuzzer's hook for changing an input: images are changed by what stands where as often as by
/// chance, everything else by chance alone. The input is in `bytes`, which have room for `limit`.
@_cdecl("LLVMFuzzerCustomMutator")
func mutateInput(
  _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ limit: Int, _ seed: UInt32
) -> Int {
  let magic: [UInt8] = [0x51, 0x46, 0x49, 0xfb]
  var input = Array(UnsafeBufferPointer(start: bytes, count: count))
  guard input.starts(with: magic), seed % 4 != 0 else { return cfuzzer_mutate(bytes, count, limit) }
  var random = SeededGenerator(seed: UInt64(seed))
  ImageMutator.mutate(&input, using: &random)
  let changed = input.prefix(limit)
  bytes.update(from: Array(changed), count: changed.count)
  return changed.count
}
