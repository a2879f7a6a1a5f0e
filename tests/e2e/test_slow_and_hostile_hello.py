# SPDX-License-Identifier: Apache-2.0
"""ClientHellos that are slow, cut, too long or none at all: each ends soon, with a reason in the audit line, and the
door goes on serving."""
import struct
import time

import pytest

import peers
import tls
from run import SLOW, ms

HELLO_MS = 500


@pytest.fixture(scope="module")
def server():
    with peers.Server(peers.echo) as server:
        yield server


@pytest.fixture(scope="module")
def door(start_module_door, pki, server):
    return start_module_door({
        "certificates": [pki.server("www.test").row()],
        "limits": {"hello_timeout": ms(HELLO_MS), "handshake_timeout": ms(HELLO_MS), "hello_size": "16KiB"},
        "routes": [{"name": "pass", "sni": "pass.test", "pass": {"to": server.to}},
                   {"name": "www", "sni": "www.test", "terminate": {"to": server.to}},
                   {"name": "away", "sni": "away.test", "reject": "access_denied"}],
    })


HELLO = tls.client_hello("pass.test")


def message(body, kind=1):
    """A handshake message."""
    return struct.pack("!B", kind) + struct.pack("!I", len(body))[1:] + body


def record(data, kind=22, version=0x0301):
    return struct.pack("!BHH", kind, version, len(data)) + data


def large_hello(size):
    """A well-formed ClientHello with an unknown extension of `size` bytes, in records of 8 kB."""
    body = HELLO[9:]
    fixed = 34 + 1 + body[34]
    suites = fixed + 2 + struct.unpack("!H", body[fixed:fixed + 2])[0]
    start = suites + 1 + body[suites]
    extensions = body[start + 2:] + struct.pack("!HH", 0xff77, size) + bytes(size)
    whole = message(body[:start] + struct.pack("!H", len(extensions)) + extensions)
    return b"".join(record(whole[i:i + 8192]) for i in range(0, len(whole), 8192))


# These work -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("hello", [
    pytest.param(HELLO, id="one record"),
    pytest.param(tls.refragment(HELLO, 1), id="records of one byte"),
    pytest.param(tls.refragment(HELLO, 3), id="records of three bytes"),
    pytest.param(tls.split_hello(HELLO), id="two records"),
    pytest.param(large_hello(10000), id="10 kB"),
])
def test_fragments(door, hello):
    """However the message is cut into records; what reaches the backend is what was sent."""
    with door.dial() as sock:
        sock.sendall(hello)
        assert tls.read_exactly(sock, len(hello)) == hello


def test_one_byte_at_a_time(door):
    """Each byte in a packet of its own."""
    with door.dial() as sock:
        for byte in HELLO:
            sock.sendall(bytes([byte]))
        assert tls.read_exactly(sock, len(HELLO)) == HELLO


def test_fragments_are_terminated_too(door):
    """A real client's handshake whose first message comes in records of one byte, in small packets."""
    import ssl
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = tls.context().wrap_bio(incoming, outgoing, server_hostname="www.test")
    with door.dial() as sock:
        first = True
        while True:
            try:
                side.do_handshake()
                break
            except ssl.SSLWantReadError:
                data = outgoing.read()
                data = tls.refragment(data, 1) if first else data
                first = False
                for at in range(0, len(data), 100):
                    sock.sendall(data[at:at + 100])
                incoming.write(sock.recv(65536))
        side.write(b"through")
        sock.sendall(outgoing.read())
        assert side.version() == "TLSv1.3"
        # All the way: the backend's count must not rise in a later test.
        while True:
            try:
                assert side.read(100) == b"through"
                break
            except ssl.SSLWantReadError:
                data = sock.recv(65536)
                assert data
                incoming.write(data)


# These end --------------------------------------------------------------------------------------------------------

SSLV2_HELLO = b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(35)
BAD_BODY = HELLO[9:43] + b"\x21" + HELLO[44:]

# name, bytes, whether the client ends its side then, the reason, the alert (None: any or none)
HOSTILE = [
    ("nothing", b"", False, "hello_timeout", None),
    ("nothing and gone", b"", True, "client_left", None),
    ("half and silence", HELLO[:100], False, "hello_timeout", None),
    ("half and gone", HELLO[:100], True, "client_left", None),
    ("a record header", HELLO[:5], False, "hello_timeout", None),
    ("one byte", b"\x16", False, "hello_timeout", None),
    ("garbage", b"\xde\xad\xbe\xef" * 64, False, "not_tls", None),
    ("zeros", bytes(1000), False, "not_tls", None),
    ("http", b"GET / HTTP/1.1\r\nHost: www.test\r\n\r\n", False, "not_tls", None),
    ("h2c", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", False, "not_tls", None),
    ("ssh", b"SSH-2.0-OpenSSH_9.2p1\r\n", False, "not_tls", None),
    ("smtp", b"EHLO www.test\r\n", False, "not_tls", None),
    ("postgres", struct.pack("!II", 8, 80877103), False, "not_tls", None),
    ("sslv2", SSLV2_HELLO, False, "not_tls", None),
    ("alert first", record(b"\x02\x28", kind=21), False, "not_tls", None),
    ("record of another version", b"\x16\x02\x00" + HELLO[3:], False, "not_tls", None),
    ("too long", large_hello(20000), False, "hello_bad", None),
    ("too long, said at once", record(struct.pack("!I", 0x01f00000)), False, "hello_bad", 47),
    ("record too long", b"\x16\x03\x01\xff\xff" + bytes(100), False, "hello_bad", 22),
    ("empty record", b"\x16\x03\x01\x00\x00", False, "hello_bad", 10),
    ("another message", record(message(b"x" * 40, kind=2)), False, "hello_bad", 10),
    ("alert in between", HELLO[:3] + b"\0\x0a" + HELLO[5:15] + record(b"\x01\x00", kind=21), False, "hello_bad", 10),
    ("second record of another version", HELLO[:3] + b"\0\x0a" + HELLO[5:15] + record(b"x", version=0x0201), False,
     "hello_bad", 70),
    ("empty hello", record(message(b"")), False, "hello_bad", 50),
    ("session id too long", record(message(BAD_BODY)), False, "hello_bad", 50),
    ("trailing bytes", record(message(HELLO[9:] + b"x")), False, "hello_bad", 50),
    ("no DNS name", record(message(HELLO[9:].replace(b"pass.test", b"pass\0test"))), False, "hello_bad", 112),
    ("no route", tls.client_hello("unknown.test"), False, "no_route", 112),
    ("no name, no route", tls.client_hello(None), False, "no_route", 112),
    ("rejected", tls.client_hello("away.test"), False, "rejected", 49),
]


@pytest.mark.parametrize("data, ends, reason, alert", [pytest.param(*row[1:], id=row[0]) for row in HOSTILE])
def test_ends_with_a_reason(door, server, data, ends, reason, alert):
    """The door ends the connection, the backend never hears of it, and the audit line says why."""
    before = server.count
    with door.dial() as sock:
        name = sock.getsockname()
        if data:
            sock.sendall(data)
        if ends:
            tls.end_writing(sock)
        got = tls.alert_of(sock)
    line = door.audited_of(name)
    assert line["reason"] == reason, line
    assert reason != "hello_bad" or line["detail"]
    assert alert is None or got == alert
    assert server.count == before


def test_slow_hello_is_cut_off(door):
    """A byte every 50 ms keeps nobody's connection open: hello_timeout is for the whole of it."""
    start = time.monotonic()
    with door.dial() as sock:
        name = sock.getsockname()
        try:
            for byte in HELLO:
                sock.sendall(bytes([byte]))
                time.sleep(0.05 * SLOW)
        except (ConnectionResetError, BrokenPipeError):
            pass
    assert time.monotonic() - start < 4 * HELLO_MS / 1000 * SLOW
    assert door.audited_of(name)["reason"] == "hello_timeout"


def test_handshake_that_stops(door):
    """A good ClientHello and then nothing: handshake_timeout."""
    with door.dial() as sock:
        sock.sendall(tls.client_hello("www.test"))
        assert tls.ended(sock)
        assert door.audited_of(sock)["reason"] == "handshake_timeout"


def test_handshake_that_goes_wrong(door, server):
    """Garbage after a good ClientHello: the handshake fails, the backend sees no connection's bytes."""
    with door.dial() as sock:
        sock.sendall(tls.client_hello("www.test"))
        sock.recv(65536)
        sock.sendall(record(b"garbage garbage garbage", kind=23))
        assert tls.ended(sock)
        assert door.audited_of(sock)["reason"] == "handshake_failed"


def test_all_prefixes(door):
    """Every prefix of a good ClientHello, then the end: no crash, no hang, one audit line each."""
    door.mark()
    for size in range(1, len(HELLO), 7):
        with door.dial() as sock:
            sock.sendall(HELLO[:size])
            tls.end_writing(sock)
            assert tls.ended(sock)
    assert len(door.audited(len(range(1, len(HELLO), 7)))) > 10


def test_mutations(door):
    """Single bytes changed all over the message: each ends or is served; the door lives."""
    socks = []
    for at in range(0, len(HELLO), 3):
        sock = door.dial()
        sock.sendall(HELLO[:at] + bytes([HELLO[at] ^ 0xff]) + HELLO[at + 1:])
        tls.end_writing(sock)
        socks.append(sock)
    for sock in socks:
        with sock:
            assert tls.ended(sock)
    test_one_byte_at_a_time(door)
