/// The path of the backing file that `image` calls `name`.
func pathOfBacking(_ name: String, of image: String) -> String {
  guard !name.hasPrefix("/"), let slash = image.lastIndex(of: "/") else { return name }
  return image[...slash] + name
}
