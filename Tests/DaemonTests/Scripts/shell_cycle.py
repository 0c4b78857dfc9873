"""The whole cycle of a commit, typed into QEMU's shell at a terminal.

Arguments: the shell, the socket, the overlay, its backing file, a directory for the shell's history.
Prints the answers to what was typed.
"""

import json
import os
import pty
import sys

PROMPT = b"(QEMU) "


class Shell:
    def __init__(self, program, socket, home):
        child, self.terminal = pty.fork()
        if child == 0:
            os.environ.update(HOME=home, TERM="dumb")
            os.execv(sys.executable, [sys.executable, program, socket])
        self.child = child
        self.read()

    def read(self):
        seen = b""
        while not seen.endswith(PROMPT):
            more = os.read(self.terminal, 4096)
            assert more, seen
            seen += more
        return seen.decode()

    def ask(self, line):
        """What the shell prints for `line`: the last of it that is an answer."""
        os.write(self.terminal, line.encode() + b"\n")
        answers = [text for text in self.read().splitlines() if text.startswith("{")]
        return json.loads(answers[-1]) if answers else None

    def end(self):
        os.write(self.terminal, b"\x04")
        try:
            while os.read(self.terminal, 4096):
                pass
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])


def main(program, socket, overlay, base, home):
    shell = Shell(program, socket, home)

    def file(name):
        return json.dumps({"driver": "file", "filename": name}, separators=(",", ":"))

    def status():
        return [job["status"] for job in shell.ask("query-jobs")["return"]]

    print(shell.ask(f"blockdev-add driver=qcow2 node-name=base file={file(base)}"))
    print(shell.ask(f"blockdev-add driver=qcow2 node-name=overlay backing=base file={file(overlay)}"))
    print(shell.ask("block-commit job-id=j device=nope"))
    print(shell.ask("block-commit job-id=j device=overlay base-node=base auto-dismiss=false"))
    while status() != ["ready"]:
        pass
    print(shell.ask("job-complete id=j"))
    while status() != ["concluded"]:
        pass
    print(shell.ask("job-dismiss id=j"), status())
    print(shell.ask("blockdev-del node-name=overlay"), shell.ask("blockdev-del node-name=base"))
    print(shell.end())


main(*sys.argv[1:])
