import Glibc

/// `path` from the root on.
func absolutePath(_ path: String) -> String {
  guard !path.hasPrefix("/") else { return path }
  var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
  guard unsafe getcwd(&buffer, buffer.count) != nil else { return path }
  let directory = String(
    decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  return directory == "/" ? "/\(path)" : "\(directory)/\(path)"
}

/// The path of the backing file that `image` calls `name`.
func pathOfBacking(_ name: String, of image: String) -> String {
  guard !name.hasPrefix("/"), let slash = image.lastIndex(of: "/") else { return name }
  return image[...slash] + name
}
