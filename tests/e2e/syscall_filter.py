# SPDX-License-Identifier: Apache-2.0
"""The SystemCallFilter= of a unit, as systemd would put it in force: a program of the kernel's seccomp(2).

As a script: syscall_filter.py FILE COMMAND... runs COMMAND under the program in FILE, and without memory that is both
written and run (MemoryDenyWriteExecute=) where the kernel can see to that by itself."""
import ctypes
import os
import re
import struct
import subprocess
import sys

LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EPERM = 1
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1


def names_of(group):
    """The system calls of a group such as @system-service."""
    rows = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True).stdout
    names = set()
    for row in map(str.strip, rows.splitlines()[1:]):
        if row.startswith("@"):
            names |= names_of(row)
        elif row and not row.startswith("#"):
            names.add(row)
    return names


def allowed(settings):
    """The names that the settings leave: those of the first, less those of what follows a ~."""
    names = set()
    for setting in settings:
        groups = [names_of(group) for group in setting.removeprefix("~").split()]
        names = names.difference(*groups) if setting.startswith("~") else names.union(*groups)
    return names


def program(settings):
    """What seccomp(2) takes; calls that are not allowed fail with EPERM."""
    defined = subprocess.run(["cc", "-E", "-dM", "-xc", "-"], input="#include <sys/syscall.h>\n", capture_output=True, text=True,
                             check=True).stdout
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", defined, re.M)}
    code = [(LOAD, 0, 0, 0)]
    for name in sorted(allowed(settings) & numbers.keys()):
        code += [(JUMP_EQUAL, 0, 1, numbers[name]), (RETURN, 0, 0, ALLOW)]
    code.append((RETURN, 0, 0, ERRNO | EPERM))
    return b"".join(struct.pack("HBBI", *row) for row in code)


def main():
    with open(sys.argv[1], "rb") as file:
        code = file.read()
    libc = ctypes.CDLL(None, use_errno=True)
    space = ctypes.create_string_buffer(code, len(code))
    libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
    head = ctypes.create_string_buffer(struct.pack("HP", len(code) // 8, ctypes.addressof(space)))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0) != 0:
        sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
