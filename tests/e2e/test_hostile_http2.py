# SPDX-License-Identifier: Apache-2.0
"""What no client of HTTP/2 sends: the connection ends, the door does not, and others are served meanwhile."""
import struct

import pytest

from http2 import (CONTINUATION, DATA, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE,
                   Client, Raw, frame, literal)

PROTOCOL_ERROR, ENHANCE_YOUR_CALM = 1, 11
END_STREAM, END_HEADERS = 1, 4


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return start_module_door({
        "workers": 1,  # the one that is attacked serves the others too
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "routes": [{"name": "proxy", "tunnel": {}, "alpn": ["h2"], "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.1:*"]}]})


@pytest.fixture(autouse=True)
def others_are_served(door, pki, echo):
    """Before, meanwhile, after."""
    with Client(door, pki.alice) as before:
        number = before.connect(f"127.0.0.1:{echo.port}")
        assert before.answered(number).status == 200
        yield
        before.send(number, b"still here", end=True)
        before.until(lambda: before.streams[number].ended)
        assert before.streams[number].data == b"still here"
    with Client(door, pki.alice) as after:
        assert after.answered(after.connect(f"127.0.0.1:{echo.port}")).status == 200


def request(target):
    return literal(b":method", b"CONNECT") + literal(b":authority", target.encode())


def test_rapid_reset(door, pki, echo):
    """CVE-2023-44487: requests that are taken back at once."""
    block = request(f"127.0.0.1:{echo.port}")
    door.mark()
    with Raw(door, pki.alice) as raw:
        for first in range(1, 20001, 200):
            frames = [frame(HEADERS, END_HEADERS, number, block) + frame(RST_STREAM, 0, number, struct.pack("!I", 8))
                      for number in range(first, first + 200, 2)]
            if not raw.send(*frames):
                break
        assert raw.goaway() in (None, ENHANCE_YOUR_CALM)
    line = door.audited(action="carrier")
    assert line["reason"] == "bad_request" and line["streams"] <= 1100


def test_continuation_flood(door, pki):
    """CVE-2024-28182: a header block without an end."""
    door.mark()
    with Raw(door, pki.alice) as raw:
        raw.send(frame(HEADERS, 0, 1, request("127.0.0.1:1")))
        for _ in range(2000):
            if not raw.send(frame(CONTINUATION, 0, 1, literal(b"x", b"y"))):
                break
        raw.goaway()
    assert door.audited(action="carrier")["reason"] == "bad_request"


def test_fields_that_unpack(door, pki):
    """A large field in HPACK's table, named again and again by a byte each."""
    large = b"\x40" + literal(b"x", b"y" * 4000)[1:]
    door.mark()
    with Raw(door, pki.alice) as raw:
        raw.send(frame(HEADERS, END_HEADERS, 1, request("127.0.0.1:1") + large + b"\xbe" * 16000))
        raw.goaway()
    line = door.audited(action="carrier")
    assert (line["reason"], line["streams"]) == ("bad_request", 0)


@pytest.mark.parametrize("flood", [
    frame(PING, 0, 0, bytes(8)), frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 65535)),
], ids=["ping", "settings"])
def test_floods_that_want_an_answer(door, pki, flood):
    """From a client that does not read: the answers may not pile up."""
    door.mark()
    with Raw(door, pki.alice) as raw:
        raw.sock.settimeout(5)
        for _ in range(4000):
            if not raw.send(flood * 200):
                break
        else:
            pytest.fail("the door took all of it")
    assert door.audited(action="carrier")["reason"] in ("bad_request", "client_reset", "truncated")


def test_empty_data(door, pki, echo):
    door.mark()
    with Raw(door, pki.alice) as raw:
        raw.send(frame(HEADERS, END_HEADERS, 1, request(f"127.0.0.1:{echo.port}")))
        for _ in range(100):
            if not raw.send(frame(DATA, 0, 1) * 100):
                break
        raw.goaway()
    assert door.audited(action="carrier")["reason"] == "bad_request"


def test_more_streams_than_allowed(door, pki, echo):
    """Those beyond SETTINGS_MAX_CONCURRENT_STREAMS are refused."""
    block = request(f"127.0.0.1:{echo.port}")
    door.mark()
    with Raw(door, pki.alice) as raw:
        raw.send(*[frame(HEADERS, END_HEADERS, number, block) for number in range(1, 801, 2)])
        raw.send(frame(GOAWAY, 0, 0, bytes(8)))
        raw.sock.settimeout(2)
        try:
            refused = [f for f in raw.frames() if f[0] == RST_STREAM]
        except TimeoutError:
            refused = None
    assert refused is None or len(refused) >= 100
    assert door.audited(action="carrier")["streams"] <= 256


@pytest.mark.parametrize("bytes_sent", [
    b"GET / HTTP/1.1\r\nHost: door.test\r\n\r\n",
    PREFACE + frame(DATA, 0, 0, b"x"),
    PREFACE + frame(SETTINGS, 0, 1),
    PREFACE + frame(SETTINGS, 0, 0, b"12345"),
    PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 2, request("127.0.0.1:1")),
    PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
    PREFACE + frame(SETTINGS) + frame(HEADERS, 0, 1, request("127.0.0.1:1")) + frame(PING, 0, 0, bytes(8)),
    PREFACE + frame(SETTINGS) + frame(CONTINUATION, END_HEADERS, 1, request("127.0.0.1:1")),
    PREFACE + frame(SETTINGS) + frame(WINDOW_UPDATE, 0, 0, bytes(4)),
    PREFACE + frame(SETTINGS) + frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"),
    PREFACE + frame(SETTINGS) + frame(RST_STREAM, 0, 1, bytes(4)),
    PREFACE + frame(SETTINGS) + frame(PING, 0, 0, b"x"),
    PREFACE + frame(SETTINGS) + frame(5, END_HEADERS, 1, bytes(4)),
    PREFACE + frame(SETTINGS) + frame(DATA, 0, 1, bytes(16384)) * 4,
    PREFACE + frame(SETTINGS) + b"\xff\xff\xff" + bytes([DATA, 0]) + bytes(4),
], ids=["http/1.1", "data on 0", "settings on 1", "settings cut", "even stream", "hpack", "interleaved", "lone continuation",
        "no increment", "overflow", "reset of an idle stream", "ping cut", "push promise", "data on an idle stream",
        "frame too long"])
def test_bad_frames(door, pki, bytes_sent):
    """The connection ends, with GOAWAY where there was HTTP/2."""
    door.mark()
    with Raw(door, pki.alice, preface=bytes_sent) as raw:
        assert raw.goaway() not in (0, ENHANCE_YOUR_CALM)
    assert door.audited(action="carrier")["reason"] == "bad_request"


@pytest.mark.parametrize("block", [
    literal(b":method", b"CONNECT"),
    request("127.0.0.1:1") + literal(b"X-Upper", b"y"),
    request("127.0.0.1:1") + literal(b"connection", b"close"),
    request("127.0.0.1:1") + literal(b"x", b"a\r\nb"),
    request("127.0.0.1:1") + literal(b"x", b"a\0b"),
    literal(b"x", b"y") + request("127.0.0.1:1"),
    request("127.0.0.1:1") + request("127.0.0.1:1"),
    request("127.0.0.1:1") + literal(b":status", b"200"),
    request("127.0.0.1:1") + literal(b":path", b"/"),
    request("127.0.0.1:1") + literal(b":protocol", b"connect-udp"),
    request("127.0.0.1:1") + literal(b"content-length", b"5"),
], ids=["no authority", "upper case", "connection", "line feed", "nul", "behind", "twice", "status", "path", "half a udp",
        "content"])
def test_malformed_requests(door, pki, block):
    """The stream is refused (RFC 9113, 8.1.1); the connection goes on."""
    with Raw(door, pki.alice) as raw:
        raw.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block), frame(PING, 0, 0, b"marker!!"),
                 frame(GOAWAY, 0, 0, bytes(8)))
        raw.sock.settimeout(4)
        try:
            frames = raw.frames()
        except TimeoutError:
            pytest.fail("the door did not end after GOAWAY")
    kinds = {kind for kind, stream, _ in frames if stream == 1}
    assert kinds & {RST_STREAM, HEADERS}
    assert any(kind == PING and payload == b"marker!!" for kind, _, payload in frames)
    assert PRIORITY not in kinds
