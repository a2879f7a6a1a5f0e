# SPDX-License-Identifier: Apache-2.0
"""The door as a proxy over HTTP/3: CONNECT and CONNECT-UDP by a client that shares no code with it, with the identities,
policy and audit lines of all tunnels; and clients that break the protocol."""
import hashlib
import os
import signal
import socket
import ssl
import struct
import time

import pytest

import h3
import peers
import quic
from h3 import DATA, HEADERS, SETTINGS, capsule, frame
from peers import UdpEcho
from quic import varint
from run import SLOW, wait_until


@pytest.fixture(scope="module")
def echo_udp():
    server = UdpEcho()
    yield server
    server.sock.close()


def config(pki, echo_udp, **more):
    return {
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "routes": [{"name": "proxy", "sni": "door.test", "alpn": ["cardea/1", "h3"], "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "keep-out", "effect": "deny", "who": {"any": True}, "targets": ["127.0.0.3:*"]},
                   {"name": "ops", "who": {"group": "ops"},
                    "targets": ["127.0.0.1:*", "nosuch.invalid:*", f"udp:127.0.0.1:{echo_udp.port}"]}],
        **more,
    }


@pytest.fixture(scope="module")
def door(start_module_door, pki, echo_udp):
    return start_module_door(config(pki, echo_udp))


@pytest.fixture
def client(door, pki):
    with h3.Client(door.port, pki.alice) as client:
        yield client


def serves(door, pki, echo):
    """A decent client gets its tunnel."""
    with h3.Client(door.port, pki.alice) as client:
        stream = client.ok(client.tcp(f"127.0.0.1:{echo.port}"))
        client.say(stream, b"hello")
        assert client.hears(stream, 5) == b"hello"


def closes(client, code):
    """The door closes the connection with that code."""
    with pytest.raises(quic.Closed) as closed:
        client.until(lambda: False, "the door to close the connection")
    assert closed.value.application and closed.value.code == code, closed.value


# CONNECT ----------------------------------------------------------------------------------------------------------

def test_settings(client):
    """What the door is able to do (RFC 9220, RFC 9297), and that it keeps no dynamic table."""
    settings = client.settings()
    assert (settings[h3.CONNECT_PROTOCOL], settings[h3.H3_DATAGRAM]) == (1, 1)
    assert settings.get(1, 0) == 0 and settings.get(7, 0) == 0 and settings[6] == 8192


def test_connect(door, pki, client, counter):
    """Bytes both ways, what came with the request first, half-close; the lines of the stream and of its carrier."""
    door.mark()
    stream = client.tcp(f"127.0.0.1:{counter.port}", more=frame(DATA, b"early "))
    assert client.ok(stream) == 0
    assert "content-length" not in client.answers[stream] and "capsule-protocol" not in client.answers[stream]
    client.say(stream, b"and late", fin=True)
    client.until(lambda: stream in client.ended, "the end of the stream")
    assert b"14" in client.parse(stream)
    line = door.audited(action="tunnel", transport="h3")
    assert (line["identity"], line["target"], line["alpn"]) == ("alice", f"127.0.0.1:{counter.port}", "h3")
    assert (line["reason"], line["in"], line["route"]) == ("done", 14, "proxy")
    client.send(quic.ONE_RTT, b"\x1d" + varint(0x100) + varint(0))
    carrier = door.audited(action="carrier", transport="h3")
    assert (carrier["id"], carrier["streams"], carrier["identity"], carrier["reason"]) == (
        line["carrier"], 1, "alice", "done")


def test_many_streams(client, echo):
    """Each has its own bytes; they end in any order."""
    streams = [client.tcp(f"127.0.0.1:{echo.port}") for _ in range(10)]
    for stream in streams:
        client.say(client.ok(stream), b"%d" % stream)
    for stream in reversed(streams):
        assert client.hears(stream, 1) == b"%d" % stream
        client.write(stream, b"", fin=True)
        client.until(lambda stream=stream: stream in client.ended, "the end")
    again = client.ok(client.tcp(f"127.0.0.1:{echo.port}"))
    client.say(again, b"again")
    assert client.hears(again, 5) == b"again"


def test_megabytes(client, echo):
    """2 MiB there and back, by their checksum; flow control is that of QUIC."""
    stream = client.ok(client.tcp(f"127.0.0.1:{echo.port}"))
    data = os.urandom(2 << 20)
    for at in range(0, len(data), 16000):
        client.say(stream, data[at:at + 16000])
        client.hears(stream, min(at + 16000, len(data)))
    client.write(stream, b"", fin=True)
    client.until(lambda: stream in client.ended, "the end")
    assert hashlib.sha256(client.parse(stream)).digest() == hashlib.sha256(data).digest()


def test_a_reader_that_stops(start_door, pki, echo, echo_udp):
    """Who gives no credit for a stream is sent no more than that; other streams go on."""
    door = start_door(config(pki, echo_udp, quic={"stream_window": "1MiB"}))  # ours looks at no credit
    with h3.Client(door.port, pki.alice) as client:
        client.give_credit = lambda *_: None
        slow = client.ok(client.tcp(f"127.0.0.1:{echo.port}"))
        for _ in range(4):
            client.say(slow, bytes(64000))
            client.until(lambda: True, "")
        other = client.ok(client.tcp(f"127.0.0.1:{echo.port}"))
        client.say(other, b"hello")
        assert client.hears(other, 5) == b"hello"
    assert len(client.streams[slow]) <= 1 << 18


def test_a_broken_target(door, client):
    """A target that resets is RESET_STREAM with H3_CONNECT_ERROR, so that no part is taken for the whole."""
    def breaks(sock):
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    door.mark()
    with peers.Server(breaks) as server:
        stream = client.ok(client.tcp(f"127.0.0.1:{server.port}"))
        client.say(stream, b"x")
        client.until(lambda: client.reset.get(stream) == 0x10f, "the stream to be reset")
    door.audited(action="tunnel", reason="backend_reset")


def test_a_client_that_cuts(door, client, banner):
    """A stream that its client cuts is a line `client_reset`, and costs the others nothing."""
    door.mark()
    stream = client.ok(client.tcp(f"127.0.0.1:{banner.port}"))
    client.cut(stream, 0x10c)
    assert door.audited(action="tunnel")["reason"] == "client_reset"
    client.ok(client.tcp(f"127.0.0.1:{banner.port}"))


@pytest.mark.parametrize("target, status, error, reason", [
    ("127.0.0.3:22", "403", "http_request_denied", "denied"),
    ("192.0.2.1:22", "403", "http_request_denied", "denied"),
    ("127.0.0.1:1", "502", "connection_refused", "refused"),
    ("nosuch.invalid:22", "502", "dns_error", "no_such_host"),
    ("127.0.0.1", "400", "http_request_error", "bad_request"),
    ("127.0.0.1:0", "400", "http_request_error", "bad_request"),
    ("127.0.0.1:port", "400", "http_request_error", "bad_request"),
])
def test_refusals(door, client, target, status, error, reason):
    """Status, Proxy-Status (RFC 9209) and a line for people; the stream ends and the connection goes on."""
    door.mark()
    stream = client.tcp(target)
    answer = client.answer(stream)
    assert answer[":status"] == status and answer["proxy-status"].startswith(f"cardea; error={error};")
    client.until(lambda: stream in client.ended, "the end")
    assert len(client.parse(stream)) == int(answer["content-length"])
    door.audited(action="tunnel", transport="h3", reason=reason)
    if status == "403":
        assert "keep-out" in answer["proxy-status"] or "no rule" in answer["proxy-status"]


def test_a_denied_identity(door, pki, echo):
    with h3.Client(door.port, pki.bob) as client:
        assert client.answer(client.tcp(f"127.0.0.1:{echo.port}"))[":status"] == "403"


@pytest.mark.parametrize("pairs, status", [
    ([(":method", "GET"), (":scheme", "https"), (":authority", "door.test"), (":path", "/")], "405"),
    ([(":method", "POST"), (":scheme", "https"), (":authority", "door.test"), (":path", "/")], "405"),
    ([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "door.test"),
      (":path", "/")], "501"),
])
def test_other_requests(client, pairs, status):
    answer = client.answer(client.request(pairs))
    assert answer[":status"] == status
    assert answer.get("allow") == ("CONNECT" if status == "405" else None)


def test_a_big_request(client, echo):
    """Fields beyond what SETTINGS allow: refused, and the connection goes on."""
    more = [(f"x-{n}", "y" * 1000) for n in range(20)]
    section = h3.fields([(":method", "CONNECT"), (":authority", f"127.0.0.1:{echo.port}"), *more])
    stream, data = client.stream(), frame(HEADERS, section)
    for at in range(0, len(data), 1000):
        client.write(stream, data[at:at + 1000])
    assert client.answer(stream)[":status"] == "400"
    client.ok(client.tcp(f"127.0.0.1:{echo.port}"))


# CONNECT-UDP ------------------------------------------------------------------------------------------------------

def test_datagrams(door, client, echo_udp):
    """HTTP datagrams both ways (RFC 9297, RFC 9298), an empty one and the longest too; the audit line."""
    door.mark()
    stream = client.ok(client.udp("127.0.0.1", echo_udp.port))
    assert client.answers[stream]["capsule-protocol"] == "?1"
    for payload in (b"one", b"", bytes(range(256)) * 4, os.urandom(1100)):
        before = len(client.payloads(stream))
        client.send_payload(stream, payload)
        client.until(lambda: len(client.payloads(stream)) > before, "the echo")
        assert client.payloads(stream)[-1] == payload
    client.write(stream, b"", fin=True)
    line = door.audited(action="tunnel", transport="h3")
    assert line["target"] == f"udp:127.0.0.1:{echo_udp.port}" and line["reason"] == "done"


def test_capsules(door, pki, echo_udp):
    """A client without datagrams: DATAGRAM capsules both ways, cut anywhere; long payloads, which no packet holds."""
    with h3.Client(door.port, pki.alice, settings=()) as client:
        stream = client.ok(client.udp("127.0.0.1", echo_udp.port))
        sent = [b"one", b"", b"x" * 1200, os.urandom(9000)]
        for number, payload in enumerate(sent, 1):
            data = capsule(payload)
            client.say(stream, data[:2])
            client.say(stream, data[2:])
            client.until(lambda number=number: len(client.body.get(stream, b"")) >= 0 and client.parse(stream)
                         is not None and whole(client, stream) >= number, "the echo")
        assert client.capsules(stream) == sent and client.flows == []


def whole(client, stream):
    try:
        return len(client.capsules(stream))
    except AssertionError:
        return 0


def test_both_ways_at_once(client, echo_udp):
    """A client that takes datagrams may send capsules; what is too long for a packet comes back as a capsule."""
    stream = client.ok(client.udp("127.0.0.1", echo_udp.port))
    client.say(stream, capsule(b"short"))
    client.until(lambda: client.payloads(stream) == [b"short"], "a datagram")
    long = os.urandom(3000)
    client.say(stream, capsule(long))
    client.until(lambda: whole(client, stream) == 1, "a capsule")
    assert client.capsules(stream) == [long]


def test_what_is_skipped(client, echo_udp):
    """Unknown contexts and capsules mean nothing, and do no harm (RFC 9298, 4; RFC 9297, 3.2)."""
    stream = client.ok(client.udp("127.0.0.1", echo_udp.port))
    client.send_payload(stream, b"what", context=2)
    client.say(stream, capsule(b"what", context=4) + frame(0x2f, b"grease") + capsule(b"capsule"))
    client.send_payload(stream, b"datagram")
    client.until(lambda: len(client.payloads(stream)) == 2, "two echoes")
    assert sorted(client.payloads(stream)) == [b"capsule", b"datagram"]


def test_udp_has_its_own_targets(client, echo_udp):
    """A target over TCP is none over UDP."""
    answer = client.answer(client.udp("127.0.0.1", echo_udp.port + 1))
    assert answer[":status"] == "403"


@pytest.mark.parametrize("change", [
    {"path": "/"}, {"path": "/.well-known/masque/udp/127.0.0.1/"}, {"path": "/.well-known/masque/udp/127.0.0.1/0/"},
    {"path": "/.well-known/masque/udp/127.0.0.1/53"}, {"path": "/.well-known/masque/udp/127.0.0.1/53/?x"},
    {"path": "/.well-known/masque/udp/%zz/53/"}, {":scheme": "http"},
])
def test_other_templates(client, change):
    assert client.answer(client.udp("127.0.0.1", 53, **change))[":status"] == "400"


def test_a_capsule_that_is_cut_off(door, client, echo_udp):
    stream = client.ok(client.udp("127.0.0.1", echo_udp.port))
    client.say(stream, capsule(b"whole")[:-1], fin=True)
    client.until(lambda: client.reset.get(stream) == 0x10e, "the stream to be reset")


# Clients that break it --------------------------------------------------------------------------------------------

H3_FRAME_UNEXPECTED, H3_FRAME_ERROR, H3_CLOSED_CRITICAL, H3_ID_ERROR = 0x105, 0x106, 0x104, 0x108
H3_SETTINGS_ERROR, H3_MISSING_SETTINGS, H3_STREAM_CREATION, H3_MESSAGE_ERROR = 0x109, 0x10a, 0x103, 0x10e
QPACK_DECOMPRESSION, QPACK_ENCODER, QPACK_DECODER = 0x200, 0x201, 0x202
DATAGRAM_ERROR, EXCESSIVE_LOAD = 0x33, 0x107


@pytest.mark.parametrize("stream, data, fin, code", [
    (0, frame(DATA, b"no request"), False, H3_FRAME_UNEXPECTED),
    (0, frame(SETTINGS), False, H3_FRAME_UNEXPECTED),
    (0, frame(0x2, b""), False, H3_FRAME_UNEXPECTED),
    (0, frame(HEADERS, b"\0\0\xff\xff\xff\xff"), False, QPACK_DECOMPRESSION),
    (0, frame(HEADERS, b"\x05\0\x80"), False, QPACK_DECOMPRESSION),
    (0, frame(HEADERS, b"\0\0" + b"\x80"), False, QPACK_DECOMPRESSION),
    (0, frame(HEADERS, h3.fields([(":method", "CONNECT"), (":method", "CONNECT")])), False, H3_MESSAGE_ERROR),
    (0, frame(HEADERS, h3.fields([(":authority", "x:1")])), False, H3_MESSAGE_ERROR),
    (0, frame(HEADERS, b"\0\0")[:3], True, H3_FRAME_ERROR),
    (2, frame(SETTINGS), False, H3_FRAME_UNEXPECTED),
    (2, frame(DATA, b"x"), False, H3_FRAME_UNEXPECTED),
    (2, frame(0x3, varint(400)), False, None),
    (2, b"", True, H3_CLOSED_CRITICAL),
    (6, b"", True, H3_CLOSED_CRITICAL),
    (10, b"", True, H3_CLOSED_CRITICAL),
    (6, b"\x3f\xe1\x1f", False, QPACK_ENCODER),
    (6, b"\xc0\x00", False, QPACK_ENCODER),
    (10, b"\x80", False, QPACK_DECODER),
    (10, b"\x01", False, QPACK_DECODER),
    (14, varint(0) + frame(SETTINGS), False, H3_STREAM_CREATION),
    (14, varint(1) + b"push", False, H3_STREAM_CREATION),
])
def test_broken_protocol(door, pki, client, echo, stream, data, fin, code):
    """The connection is closed with the code of RFC 9114 or RFC 9204; its line says bad_request, and why."""
    door.mark()
    client.write(stream, data, fin=fin)
    if code is None:
        serves(door, pki, echo)
        return
    closes(client, code)
    line = door.audited(action="carrier", transport="h3")
    assert line["reason"] == "bad_request" and line["detail"]
    serves(door, pki, echo)


@pytest.mark.parametrize("settings, code", [
    (((0x02, 0),), H3_SETTINGS_ERROR),
    (((0x33, 2),), H3_SETTINGS_ERROR),
])
def test_settings_that_are_none(door, pki, settings, code):
    with h3.Client(door.port, pki.alice, settings=settings) as client:
        closes(client, code)


def test_no_settings_first(door, pki):
    with h3.Client(door.port, pki.alice, settings=None) as client:
        client.write(2, varint(0) + frame(7, varint(0)))
        closes(client, H3_MISSING_SETTINGS)


def test_reset_of_a_critical_stream(client):
    client.cut(2, 0x100)
    closes(client, H3_CLOSED_CRITICAL)


def test_refused_control_stream(client):
    client.settings()
    client.send(quic.ONE_RTT, b"\x05" + varint(3) + varint(0x100))
    closes(client, H3_CLOSED_CRITICAL)


def test_frames_behind_the_request(client, echo):
    """Behind a CONNECT there is only DATA (RFC 9114, 4.4)."""
    stream = client.ok(client.tcp(f"127.0.0.1:{echo.port}"))
    client.write(stream, frame(HEADERS, h3.fields([("x", "y")])))
    closes(client, H3_FRAME_UNEXPECTED)


@pytest.mark.parametrize("at_once", [True, False])
def test_trailers_of_other_requests(door, client, echo, at_once):
    """A POST may have trailers (RFC 9114, 4.1): it is told no, and the connection goes on."""
    body = frame(DATA, b"hello") + frame(HEADERS, h3.fields([("x-sum", "y")]))
    pairs = [(":method", "POST"), (":scheme", "https"), (":authority", "door.test"), (":path", "/")]
    stream = client.request(pairs, more=body if at_once else b"", fin=at_once)
    if not at_once:
        client.write(stream, body, fin=True)
    assert client.answer(stream)[":status"] == "405"
    other = client.ok(client.tcp(f"127.0.0.1:{echo.port}"))
    client.say(other, b"hello")
    assert client.hears(other, 5) == b"hello"


def test_unknown_streams_and_frames(client, echo):
    """Grease is no error (RFC 9114, 7.2.8 and 6.2.3)."""
    client.write(14, varint(0x21) + b"what")
    client.write(2, frame(0x21, b"grease"))
    stream = client.request([(":method", "CONNECT"), (":authority", f"127.0.0.1:{echo.port}")],
                            more=frame(0x21 + 0x1f, b"grease") + frame(DATA, b"hello"))
    client.ok(stream)
    assert client.hears(stream, 5) == b"hello"


@pytest.mark.parametrize("data, closed", [
    (b"\xff", True), (b"", True), (varint(1 << 60), True), (varint(25) + b"\0x", False), (varint(0), False)])
def test_datagrams_of_no_stream(client, echo_udp, data, closed):
    """One without a stream's id ends the connection (RFC 9297, 2.1); one for a stream that is not there is dropped."""
    stream = client.ok(client.udp("127.0.0.1", echo_udp.port))
    client.write_datagram(data)
    if closed:
        closes(client, DATAGRAM_ERROR)
        return
    client.send_payload(stream, b"still here")
    client.until(lambda: client.payloads(stream) == [b"still here"], "the echo")


def test_half_requests(start_door, pki, echo_udp, echo):
    """Streams whose request never comes are cut after handshake_timeout; others are served meanwhile."""
    door = start_door(config(pki, echo_udp, limits={"handshake_timeout": "1500ms"}))
    with h3.Client(door.port, pki.alice) as client:
        streams = [client.stream() for _ in range(20)]
        for stream in streams:
            client.write(stream, frame(HEADERS, bytes(500))[:1])
        serves(door, pki, echo)
        client.until(lambda: all(stream in client.reset for stream in streams), "the streams to be cut")
        assert set(client.reset.values()) == {0x10b}
        client.ok(client.tcp(f"127.0.0.1:{echo.port}"))


def take_back(client, echo, count):
    """Requests that are taken back at once."""
    for _ in range(count // 20):
        streams = [client.tcp(f"127.0.0.1:{echo.port}") for _ in range(20)]
        for stream in streams:
            client.cut(stream, 0x10c)
        client.until(lambda streams=streams: set(streams) <= set(client.reset), "the door to let go of them")


def test_some_resets(door, pki, echo):
    """The door goes on, for this client and for others."""
    with h3.Client(door.port, pki.alice) as client:
        take_back(client, echo, 600)
        client.ok(client.tcp(f"127.0.0.1:{echo.port}"))
        serves(door, pki, echo)


def test_a_flood_of_resets(door, pki, echo):
    """CVE-2023-44487: whoever goes on with it is sent away, and others are served."""
    door.mark()
    with h3.Client(door.port, pki.alice) as client:
        with pytest.raises(quic.Closed) as closed:
            take_back(client, echo, 20000)
        assert closed.value.application and closed.value.code == EXCESSIVE_LOAD, closed.value
        serves(door, pki, echo)
    line = door.audited(action="carrier", reason="bad_request")
    assert line["streams"] <= 1500 and "too many resets" in line["detail"], line
    wait_until(lambda: line["id"] not in door.get("/sessions")[1], "the end of its sessions")


def test_a_flood_of_half_requests(door, pki, echo):
    """Taken back before they are whole: there is the same bound."""
    door.mark()
    with h3.Client(door.port, pki.alice) as client:
        with pytest.raises(quic.Closed) as closed:
            for _ in range(1000):
                streams = [client.stream() for _ in range(20)]
                for stream in streams:
                    client.write(stream, frame(HEADERS, bytes(500))[:2])
                    client.cut(stream, 0x10c)
                client.until(lambda streams=streams: set(streams) <= set(client.reset), "the door to let go of them")
        assert closed.value.application and closed.value.code == EXCESSIVE_LOAD, closed.value
        serves(door, pki, echo)
    assert door.audited(action="carrier", reason="bad_request").get("streams", 0) == 0


# Beside it --------------------------------------------------------------------------------------------------------

def test_the_same_route_speaks_cardea(door, connect, banner):
    """cardea/1 over QUIC and over TCP on the same name."""
    for transport in ("quic", "tcp"):
        done = connect(door, "--transport", transport, f"127.0.0.1:{banner.port}")
        assert (done.returncode, done.stdout) == (0, b"behind the door\n"), done.stderr.decode()


def test_h3_over_tcp_is_nothing(door, pki):
    """A client that negotiates h3 over TCP gets nowhere, and the door is well."""
    ctx = ssl.create_default_context(cafile=pki.ca.file)
    ctx.load_cert_chain(pki.alice.certificate, pki.alice.key)
    ctx.set_alpn_protocols(["h3"])
    door.mark()
    with door.dial() as raw, ctx.wrap_socket(raw, server_hostname="door.test") as sock:
        sock.sendall(b"x")
        try:
            assert sock.recv(100) == b""
        except OSError:
            pass
    assert door.audited()["reason"] == "bad_request"


def test_stop(start_door, pki, echo_udp, echo):
    """The door that stops says GOAWAY; streams go on to their end, new ones are not taken."""
    door = start_door(config(pki, echo_udp, limits={"drain_timeout": "10s"}))
    with h3.Client(door.port, pki.alice) as client:
        stream = client.ok(client.tcp(f"127.0.0.1:{echo.port}"))
        door.process.send(signal.SIGTERM)
        client.until(lambda: any(kind == h3.GOAWAY for kind, _ in client.control()), "GOAWAY")
        client.say(stream, b"still")
        assert client.hears(stream, 5) == b"still"
        late = client.tcp(f"127.0.0.1:{echo.port}")
        client.until(lambda: client.reset.get(late) == 0x10b or client.stopped.get(late) == 0x10b, "a refusal")
        client.write(stream, b"", fin=True)
        client.until(lambda: stream in client.ended, "the end")
