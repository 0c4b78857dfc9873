import QMP
import Testing

@Suite("where the socket is when nobody says")
struct DefaultSocketTests {
  @Test(
    "the service's directory comes first, then the system's for root, then the user's",
    arguments: [
      (["RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/u"], true, "/run/a/qmp.sock"),
      (["XDG_RUNTIME_DIR": "/u"], true, "/run/qblockd/qmp.sock"),
      (["RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": "/u"], false, "/u/qblockd.sock"),
      (["XDG_RUNTIME_DIR": ""], false, nil), ([:], false, nil),
    ] as [([String: String], Bool, String?)])
  func path(environment: [String: String], isRoot: Bool, path: String?) {
    #expect(DefaultSocket.path(isRoot: isRoot) { environment[$0] } == path)
  }
}
