# SPDX-License-Identifier: Apache-2.0
"""Tunnels over QUIC where packets get lost, come twice and overtake each other: every byte arrives, once, in order."""
import hashlib
import os
import socket
import threading

import pytest

import tls
from relay import Relay
from run import SANITIZER, SLOW, free_port

SIZE = (20 if SANITIZER is None else 4) * 1024 * 1024


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return start_module_door({
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*"]}],
    })


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05])
def test_up_and_down(door, start_connect, echo, loss):
    """20 MB to an echo and back at the same time; the checksums are equal."""
    port = free_port()
    data = os.urandom(SIZE)
    with Relay(door.port, loss=loss, twice=0.01, overtaken=0.02) as relay:
        start_connect(f"127.0.0.1:{relay.port}", "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}",
                      ports=[port])
        with socket.create_connection(("127.0.0.1", port), 60 * SLOW) as sock:
            def send():
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            back = hashlib.sha256(tls.read_all(sock)).digest()
            sender.join()
    assert back == hashlib.sha256(data).digest()
    assert relay.passed > SIZE // 1500 and (relay.lost > 0) == (loss > 0)
