# SPDX-License-Identifier: Apache-2.0
"""Visitors who do not read what they have asked for: those beside them, at the same agent, do not notice."""
import socket
import time

import pytest

import peers
from agents import Agent
from run import SLOW, free_port

STALLED = 8


class Source:
    """Sends for as long as anybody takes it."""

    def __init__(self):
        self.sent = 0

    def __call__(self, sock):
        try:
            while True:
                self.sent += sock.send(bytes(65536))
        except OSError:
            pass

    def until_full(self):
        """Until nothing between the source and its visitors takes any more."""
        last = -1
        while self.sent != last:
            last = self.sent
            time.sleep(0.5 * SLOW)


def stalled_visitor(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(5 * SLOW)
    sock.connect(("127.0.0.1", port))
    assert sock.recv(1) == b"\0"
    return sock


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_downloads_that_nobody_reads(start_door, pki, echo, tmp_path, transport):
    ports = {"heavy": free_port(), "light": free_port()}
    staff = {"mode": "required", "trust": "staff"}
    door = start_door({
        "certificates": [pki.server("door.test").row(), pki.server("*.apps.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": staff},
                   {"name": "apps", "sni": "*.apps.test", "expose": {}, "clients": staff}],
        "policy": [{"name": "agents", "who": {"group": "ops"},
                    "targets": [f"public:*.apps.test:{min(ports.values())}-{max(ports.values())}"]}],
    })
    source, sockets = Source(), []
    with peers.Server(source) as server:
        rows = [f"  - {{name: {name}.apps.test, to: '{to}', kind: public, port: {ports[name]}}}\n"
                for name, to in (("heavy", server.to), ("light", echo.to))]
        (tmp_path / "services.yaml").write_text("services:\n" + "".join(rows))
        agent = Agent(tmp_path, door.address, pki, "-c", tmp_path / "services.yaml", "--transport", transport)
        for name in ports:
            agent.says(f"offering {name}.apps.test")
        sockets.append(socket.create_connection(("127.0.0.1", ports["light"]), timeout=5 * SLOW))
        sockets += [stalled_visitor(ports["heavy"]) for _ in range(STALLED)]
        source.until_full()
        sockets.insert(1, socket.create_connection(("127.0.0.1", ports["light"]), timeout=5 * SLOW))
        for visitor in sockets[:2]:  # one that was there before, and a new one
            visitor.sendall(b"still here")
            assert visitor.recv(100) == b"still here"
        for sock in sockets:
            sock.close()
        agent.end()
