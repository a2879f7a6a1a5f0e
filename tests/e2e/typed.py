# SPDX-License-Identifier: Apache-2.0
"""Programs that ask at the terminal."""
import os
import pty
import select
import time

from run import SLOW


def typed(argv, cwd, *lines):
    """What a program at a terminal says, and its exit status; each line is typed when it asks."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execv(argv[0], [str(word) for word in argv])
    said, lines = b"", list(lines)
    try:
        while select.select([fd], [], [], 20 * SLOW)[0] and (chunk := os.read(fd, 1000)):
            said += chunk
            if lines and said.endswith(b": "):
                os.write(fd, lines.pop(0).encode() + b"\n")
    except OSError:
        pass  # it has ended, and the terminal with it
    os.close(fd)
    return said.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
