# SPDX-License-Identifier: Apache-2.0
"""Files of a folder that a process cannot open until the test lets it: a disk that is slow (fanotify(7), needs root)."""
import ctypes
import os
import select
import struct
import threading

import pytest

CLASS_CONTENT, CLOEXEC, NONBLOCK = 4, 1, 2
MARK_ADD, OPEN_PERM, ON_CHILD, AT_FDCWD = 1, 0x10000, 0x08000000, -100
ALLOW = 1
EVENT = struct.Struct("=IBBHQii")
ANSWER = struct.Struct("=iI")


class SlowFiles:
    """From hold() to let_go() the process `pid` waits in open() of any file of the folder; `opened` counts."""

    def __init__(self, folder):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.fanotify_init(CLASS_CONTENT | CLOEXEC | NONBLOCK, os.O_RDONLY | os.O_CLOEXEC)
        mask = ctypes.c_uint64(OPEN_PERM | ON_CHILD)
        if self.fd < 0 or self.libc.fanotify_mark(self.fd, MARK_ADD, mask, AT_FDCWD, os.fsencode(folder)) < 0:
            pytest.skip("no fanotify(7) with permission events here")
        self.pid, self.held, self.opened, self.over = 0, [], 0, False
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.over:
            if not select.select([self.fd], [], [], 0.05)[0]:
                continue
            data = os.read(self.fd, 65536)
            with self.lock:
                while data:
                    length, _, _, _, _, fd, pid = EVENT.unpack_from(data)
                    self.take(fd, pid)
                    data = data[length:]

    def take(self, fd, pid):
        if pid == self.pid:
            self.opened += 1
            self.held.append(fd)
        else:
            self.answer(fd)

    def answer(self, fd):
        os.write(self.fd, ANSWER.pack(fd, ALLOW))
        os.close(fd)

    def hold(self, pid):
        with self.lock:
            self.pid = pid

    def let_go(self):
        with self.lock:
            self.pid = 0
            while self.held:
                self.answer(self.held.pop())

    def close(self):
        self.let_go()
        self.over = True
        self.thread.join()
        os.close(self.fd)
