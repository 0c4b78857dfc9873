"""Becomes the program of the arguments, which the kernel refuses io_uring as a container may."""
import ctypes
import os
import struct
import sys

SECCOMP_SET, NO_NEW_PRIVILEGES, FILTER = 22, 38, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
IO_URING_SETUP, EPERM = 425, 1

rules = b"".join(
    struct.pack("=HBBI", *rule)
    for rule in [
        (LOAD, 0, 0, 0),
        (JUMP_IF_EQUAL, 0, 1, IO_URING_SETUP),
        (RETURN, 0, 0, FAIL | EPERM),
        (RETURN, 0, 0, ALLOW),
    ]
)
memory = ctypes.create_string_buffer(rules)
program = struct.pack("@HP", len(rules) // 8, ctypes.addressof(memory))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(SECCOMP_SET, FILTER, program, 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
