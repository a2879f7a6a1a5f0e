# SPDX-License-Identifier: Apache-2.0
"""UDP over HTTP/1.1: an upgrade to connect-udp (RFC 9298, 3.2), then capsules."""
import time

import pytest

import tls
from capsules import Reader, capsule, datagram
from peers import UdpEcho
from run import SLOW, ms

UPGRADE = "Connection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n"


@pytest.fixture(scope="module")
def echo_udp():
    server = UdpEcho()
    yield server
    server.sock.close()


@pytest.fixture(scope="module")
def door(start_module_door, pki, echo_udp):
    return start_module_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "limits": {"udp_idle_timeout": ms(1500)},
        "routes": [{"name": "proxy", "tunnel": {}, "alpn": ["cardea/1", "http/1.1"],
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"},
                    "targets": [f"127.0.0.1:{echo_udp.port}", f"udp:127.0.0.1:{echo_udp.port}", "udp:[::1]:9"]}]})


def request(target, fields=UPGRADE, version="1.1"):
    return (f"GET /.well-known/masque/udp/{target}/ HTTP/{version}\r\nHost: door.test\r\n{fields}\r\n").encode()


def head_of(sock):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += tls.read_exactly(sock, 1)
    return data.decode()


class Flow:
    """A flow to the echo server."""

    def __init__(self, door, cert, target, early=b""):
        self.sock = tls.connect(door, "door.test", cert=cert, alpn=["http/1.1"])
        self.sock.sendall(request(target) + early)
        self.head = head_of(self.sock)
        self.reader = Reader()

    def receive(self, count):
        got = []
        while len(got) < count:
            data = self.sock.recv(65536)
            assert data, got
            got += self.reader.feed(data)
        return got


@pytest.fixture
def flow(door, pki, echo_udp):
    flow = Flow(door, pki.alice, f"127.0.0.1/{echo_udp.port}")
    yield flow
    flow.sock.close()


def test_the_answer(flow):
    status, *fields = flow.head.split("\r\n")
    assert status == "HTTP/1.1 101 Switching Protocols"
    assert {"Connection: Upgrade", "Upgrade: connect-udp", "Capsule-Protocol: ?1"} <= set(fields)


def test_datagrams_stay_whole(flow, door, echo_udp):
    """Sizes at which lengths change their form; an empty one too."""
    door.mark()
    for size in (0, 1, 62, 63, 1200, 16382, 16383, 60000, 65507):
        payload = bytes(size % 251 for _ in range(size))
        flow.sock.sendall(datagram(payload))
        assert flow.receive(1) == [payload]
    tls.finish(flow.sock)
    line = door.audited(route="proxy")
    assert (line["target"], line["reason"], line["identity"]) == (f"udp:127.0.0.1:{echo_udp.port}", "done", "alice")
    assert line["in"] == line["out"] > 60000


def test_cut_to_pieces(flow):
    """Capsules a few bytes at a time."""
    data = datagram(b"one") + capsule(0x1717, b"unknown") + datagram(b"other context", 2) + datagram(b"two")
    for at in range(0, len(data), 3):
        flow.sock.sendall(data[at:at + 3])
        time.sleep(0.002)
    assert flow.receive(2) == [b"one", b"two"]


def test_early_datagrams(door, pki, echo_udp):
    """Those right behind the request are delivered, also when the request comes in pieces."""
    flow = Flow(door, pki.alice, f"127.0.0.1/{echo_udp.port}", datagram(b"early") + datagram(b"bird")[:4])
    flow.sock.sendall(datagram(b"bird")[4:])
    assert flow.receive(2) == [b"early", b"bird"]
    flow.sock.close()
    with tls.connect(door, "door.test", cert=pki.alice, alpn=["http/1.1"]) as sock:
        whole = request(f"127.0.0.1/{echo_udp.port}")
        for at in range(0, len(whole), 40):
            sock.sendall(whole[at:at + 40])
            time.sleep(0.02)
        assert head_of(sock).startswith("HTTP/1.1 101 ")


def test_connect_in_pieces(door, pki, echo_udp):
    """A CONNECT whose line comes before its fields is answered once, when it is whole."""
    with tls.connect(door, "door.test", cert=pki.alice, alpn=["http/1.1"]) as sock:
        sock.sendall(f"CONNECT 127.0.0.1:{echo_udp.port} HTTP/1.1\r\n".encode())
        time.sleep(0.2 * SLOW)
        sock.sendall(b"Content-Length: 5\r\nHost: x\r\n\r\n")
        assert head_of(sock).startswith("HTTP/1.1 400 ")


@pytest.mark.parametrize("broken", [datagram(b"x")[:-1], b"\0\0", b"\0\x80\x01\0\0\0"],
                         ids=["within a capsule", "no context", "too long"])
def test_broken_capsules(flow, door, broken):
    """The flow ends as broken; the door goes on."""
    door.mark()
    flow.sock.sendall(datagram(b"first"))
    assert flow.receive(1) == [b"first"]
    flow.sock.sendall(broken)
    tls.finish(flow.sock)
    assert door.audited(route="proxy")["reason"] == "client_reset"


@pytest.mark.parametrize("target, fields, status", [
    ("127.0.0.1/9", UPGRADE, 403),
    ("%3A%3A1/10", UPGRADE, 403),
    ("::1/9", UPGRADE, 400),
    ("127.0.0.1/0", UPGRADE, 400),
    ("127.0.0.1/9", "", 400),
    ("127.0.0.1/9", "Upgrade: connect-udp\r\n", 400),
], ids=["denied", "denied v6", "colons", "port", "no upgrade", "not named by Connection"])
def test_refused(door, pki, target, fields, status):
    door.mark()
    with tls.connect(door, "door.test", cert=pki.alice, alpn=["http/1.1"]) as sock:
        sock.sendall(request(target, fields))
        said = tls.read_all(sock).decode()
    assert said.startswith(f"HTTP/1.1 {status} ") and "\r\nProxy-Status: cardea; error=" in said, said
    assert door.audited(route="proxy")["reason"] == ("denied" if status == 403 else "bad_request")


def test_silence_ends_a_flow(flow, door):
    door.mark()
    assert tls.ended(flow.sock)
    assert door.audited(route="proxy")["reason"] == "idle_timeout"
