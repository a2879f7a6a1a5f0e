# SPDX-License-Identifier: Apache-2.0
"""Ten thousand idle connections, terminated and passed: all answer afterwards. Prints the memory of each.

CARDEA_IDLE sets how many; the default is 10,000 or what the descriptors of one process allow, fewer under sanitizers."""
import os
import resource
from concurrent.futures import ThreadPoolExecutor

import pytest

import peers
import tls
from run import SANITIZER, SLOW

# The door holds two descriptors a connection.
ROOM = resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 250
COUNT = int(os.environ.get("CARDEA_IDLE", min(10000 if SANITIZER is None else 500, ROOM)))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    server = peers.EchoProcess(tmp_path_factory.mktemp("echo"))
    yield server
    server.stop()


@pytest.fixture
def door(start_door, pki, many):
    return start_door({
        "certificates": [pki.server("www.test").row()],
        "limits": {"hello_timeout": "60s", "handshake_timeout": "60s", "per_source": 100000},
        "routes": [{"name": "pass", "sni": "pass.test", "pass": {"to": many.to}},
                   {"name": "www", "sni": "www.test", "terminate": {"to": many.to}}],
    })


def hold(door, open_one, least):
    """Open COUNT connections, print the door's memory for each, and have all answer."""
    with ThreadPoolExecutor(8) as pool:
        socks = list(pool.map(lambda _: open_one(), range(100)))
        before = door.process.rss()
        socks += pool.map(lambda _: open_one(), range(COUNT - 100))
    try:
        each = (door.process.rss() - before) / (COUNT - 100)
        print(f"\n{COUNT} idle connections, {each:.0f} bytes of memory each (to aim at: {least})")
        for number, sock in enumerate(socks):
            sock.sendall(number.to_bytes(4, "big"))
        for number, sock in enumerate(socks):
            assert tls.read_exactly(sock, 4) == number.to_bytes(4, "big")
    finally:
        for sock in socks:
            sock.close()
    door.audited(COUNT, timeout=20)


def test_passed(door):
    """Passed: what was peeked is forwarded, and nothing is held."""
    hello = tls.client_hello("pass.test")

    def open_one():
        sock = door.dial(timeout=30)
        sock.sendall(hello)
        tls.read_exactly(sock, len(hello))
        return sock
    hold(door, open_one, "1 kB")


def test_terminated(door):
    """Terminated: each holds its TLS state."""
    ctx = tls.context()

    def open_one():
        sock = tls.connect(door, "www.test", ctx=ctx)
        sock.settimeout(60 * SLOW)
        sock.sendall(b"x")
        assert tls.read_exactly(sock, 1) == b"x"
        return sock
    hold(door, open_one, "7 kB")
