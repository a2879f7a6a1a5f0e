# SPDX-License-Identifier: Apache-2.0
"""Much at once through a pass route: moved inside the kernel where both ends are sockets."""
import hashlib
import os
import random
import socket
import struct
import threading
import time

import pytest

import tls
from peers import Server
from run import SLOW, wait_until

HELLO = tls.client_hello("bulk.test")
SIZE = 200_000_000
CHUNK = os.urandom(1_000_003)  # its length is no multiple of a page or a segment


def send(sock, size):
    """Sends so many bytes and ends. Returns their checksum."""
    digest = hashlib.sha256()
    for at in range(0, size, len(CHUNK)):
        piece = CHUNK[:size - at]
        digest.update(piece)
        sock.sendall(piece)
    sock.shutdown(socket.SHUT_WR)
    return digest.hexdigest()


def receive(sock, pauses=0):
    """Reads to the end. With `pauses`, stops as many times within the first megabytes, so that every buffer fills up.
    Returns how much came and its checksum."""
    digest, size = hashlib.sha256(), 0
    while data := sock.recv(random.randint(1, 1 << 20)):
        digest.update(data)
        size += len(data)
        if pauses:
            pauses -= 1
            time.sleep(0.1)
    return size, digest.hexdigest()


class Both:
    """A backend that sends `size` bytes while it reads; what it read and sent is in `seen`."""

    def __init__(self, size, pauses):
        self.size, self.pauses, self.seen = size, pauses, []

    def __call__(self, sock):
        assert tls.read_exactly(sock, len(HELLO)) == HELLO
        sent = []
        sender = threading.Thread(target=lambda: sent.append(send(sock, self.size)))
        sender.start()
        got = receive(sock, self.pauses)
        sender.join()
        self.seen.append((*got, *sent))


def door_to(start_door, backend):
    return start_door({"routes": [{"name": "bulk", "sni": "bulk.test", "pass": {"to": backend.to}}], "workers": 1})


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_both_ways_at_once(start_door, tmp_path, transport):
    """200 MB each way at the same time, while each side now and then reads nothing: nothing is lost, doubled or out of
    order, and the audit line has every byte."""
    handler = Both(SIZE, pauses=10)
    with Server(handler, path=tmp_path / "bulk.sock" if transport == "unix" else None) as backend:
        door = door_to(start_door, backend)
        with door.dial(timeout=60) as sock:
            sock.sendall(HELLO)
            sent = []
            sender = threading.Thread(target=lambda: sent.append(send(sock, SIZE)))
            sender.start()
            size, digest = receive(sock, pauses=20)
            sender.join()
            line = door.audited_of(sock)
        wait_until(lambda: handler.seen, "the backend is through")
    assert handler.seen == [(SIZE, *sent, digest)]
    assert size == SIZE
    assert (line["in"], line["out"], line["reason"]) == (SIZE + len(HELLO), SIZE, "done")


def test_cut_off_amid_bulk(start_door):
    """Clients that reset the connection while bytes flow and while none can: the backend learns of it, no descriptor is
    lost, and the next connection gets bytes of its own."""
    ends = []

    def source(sock):
        assert tls.read_exactly(sock, len(HELLO)) == HELLO
        try:
            ends.append(send(sock, SIZE))
        except OSError:
            ends.append("cut")

    with Server(source) as backend:
        door = door_to(start_door, backend)
        before = door.process.open_files()
        for pause in (0, 0.3 * SLOW) * 4:
            sock = door.dial()
            sock.sendall(HELLO)
            tls.read_exactly(sock, 5_000_000)
            time.sleep(pause)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            name = sock.getsockname()
            sock.close()
            assert door.audited_of(name)["reason"] == "client_reset"
        wait_until(lambda: ends == ["cut"] * 8, lambda: f"8 that were cut off, of {ends}")
        wait_until(lambda: door.process.open_files() <= before, lambda: f"{door.process.open_files()} > {before}")
        with door.dial(timeout=60) as sock:
            sock.sendall(HELLO)
            assert receive(sock) == (SIZE, wait_until(lambda: ends[8:], "the backend is through")[0])
