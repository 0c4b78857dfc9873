import Glibc

/// `path` from the root on.
package func absolutePath(_ path: String) -> String {
  guard !path.hasPrefix("/") else { return path }
  var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
  guard unsafe getcwd(&buffer, buffer.count) != nil else { return path }
  let directory = String(
    decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  return directory == "/" ? "/\(path)" : "\(directory)/\(path)"
}
