# SPDX-License-Identifier: Apache-2.0
"""What others can see: the packets of some ports on the loopback, and the memory of a process."""
import ctypes
import socket
import struct
import threading

import pytest

ETH_P_ALL = 3
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
SOL_PACKET, PACKET_STATISTICS = 263, 6
BUFFER = 256 * 1024 * 1024
PAGE = 4096
PIECE = 4 * 1024 * 1024
SHADOW = 1 << 36        # mappings beyond that are a sanitizer's own notes about memory


def filter_for(ports):
    """A program for the kernel (classic BPF) that takes IPv4 packets of TCP and UDP from or to these ports: others use the
    loopback too, and more than we could look at."""
    wanted = [(0x15, 2 * len(ports) - i + (i < len(ports)), 0, port) for i, port in enumerate([*ports, *ports])]
    rows = [(0x28, 0, 0, 12), (0x15, 0, 2 * len(ports) + 6, 0x0800),    # the protocol is IPv4, else the end
            (0x30, 0, 0, 23), (0x15, 1, 0, socket.IPPROTO_TCP), (0x15, 0, 2 * len(ports) + 3, socket.IPPROTO_UDP),
            (0xb1, 0, 0, 14),                                           # X: the size of its head
            (0x48, 0, 0, 14), *wanted[:len(ports)],
            (0x48, 0, 0, 16), *wanted[len(ports):],
            (0x06, 0, 0, 0), (0x06, 0, 0, 1 << 18)]
    return b"".join(struct.pack("HBBI", *row) for row in rows), len(rows)


class Capture:
    """Every packet to or from one of the ports of 127.0.0.1, from the moment it is made until end(). A packet socket may
    be for root only: the test is skipped then."""

    def __init__(self, *ports):
        self.packets = []
        program, rows = filter_for(ports)
        space = ctypes.create_string_buffer(program)
        try:
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # hears nothing yet
            self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
            self.sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", rows, ctypes.addressof(space)))
        except PermissionError as error:
            pytest.skip(f"no packet socket for us: {error}")
        self.sock.bind(("lo", ETH_P_ALL))   # now that there is a filter, and room
        self.sock.settimeout(0.2)
        self.stopping = False
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while True:
            try:
                packet = self.sock.recv(1 << 18)
            except TimeoutError:
                if self.stopping:
                    return
                continue
            self.packets.append(packet)

    def end(self):
        """All packets behind each other, once there is silence; fails when the kernel had to drop some."""
        if self.thread is not None:
            self.stopping = True
            self.thread.join()
            self.thread = None
            _, dropped = struct.unpack("II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            self.sock.close()
            assert dropped == 0, f"{dropped} packets are missing from the capture"
        return b"".join(self.packets)


def in_memory(pid, secret):
    """Is that anywhere in what the process can write to?"""
    with (open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory,
          open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pages):
        for row in maps:
            words = row.split()
            first, last = (int(word, 16) for word in words[0].split("-"))
            if words[1][:2] != "rw" or words[-1].startswith("[v") or last - first > SHADOW:
                continue
            data = b""
            for at in range(first, last, PIECE):
                size = min(PIECE, last - at)
                pages.seek(at // PAGE * 8)
                if not any(pages.read(size // PAGE * 8)):   # never touched, as most of what a sanitizer sets aside
                    data = b""
                    continue
                memory.seek(at)
                data = data[-len(secret):] + read_all(memory, size)
                if secret in data:
                    return True
    return False


def read_all(file, size):
    """So many bytes, or fewer where they end."""
    data = b""
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data
