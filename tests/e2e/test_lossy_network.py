# SPDX-License-Identifier: Apache-2.0
"""Tunnels over QUIC where packets get lost, come twice and overtake each other: every byte arrives, once, in order."""
import hashlib
import os
import socket
import threading

import pytest

from relay import Relay
from run import SANITIZER, SLOW, free_port

SIZE = (20 if SANITIZER is None else 4) * 1024 * 1024


def config(pki):
    return {
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*"]}],
    }


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return start_module_door(config(pki))


def pieces(size):
    """Random bytes, no two pieces the same."""
    block = os.urandom(1 << 20)
    for number in range(size >> 20):
        yield number.to_bytes(8, "big") + block[8:]


def up_and_down(door, start_connect, echo, size, loss):
    """So many bytes to an echo and back at the same time, over a bad network; the checksums must be equal."""
    port, there, back = free_port(), hashlib.sha256(), hashlib.sha256()
    with Relay(door.port, loss=loss, twice=0.01, overtaken=0.02) as relay:
        start_connect(f"127.0.0.1:{relay.port}", "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}",
                      ports=[port])
        with socket.create_connection(("127.0.0.1", port), 60 * SLOW) as sock:
            def send():
                for piece in pieces(size):
                    there.update(piece)
                    sock.sendall(piece)
                sock.shutdown(socket.SHUT_WR)
            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            received = 0
            while data := sock.recv(1 << 18):
                back.update(data)
                received += len(data)
            sender.join()
    assert received == size and back.digest() == there.digest()
    assert relay.passed > size // 1500 and (relay.lost > 0) == (loss > 0)


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05])
def test_up_and_down(door, start_connect, echo, loss):
    """20 MB each way; tests/soak does the same with a gigabyte."""
    up_and_down(door, start_connect, echo, SIZE, loss)
