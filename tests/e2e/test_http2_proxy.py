# SPDX-License-Identifier: Apache-2.0
"""The door as a proxy over HTTP/2: CONNECT and CONNECT-UDP, many on one connection."""
import hashlib
import os
import signal
import time

import h2.connection
import h2.errors
import pytest

import peers
from capsules import Reader, capsule, datagram
from http2 import Client
from peers import UdpEcho
from run import SLOW, ms, wait_until


@pytest.fixture(scope="module")
def echo_udp():
    server = UdpEcho()
    yield server
    server.sock.close()


def silent(sock):
    """Reads nothing until the other side is gone."""
    time.sleep(60)
    sock.close()


@pytest.fixture(scope="module")
def mute():
    with peers.Server(silent) as server:
        yield server


def config(pki, targets, **more):
    return {"certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
            "routes": [{"name": "proxy", "tunnel": {}, "alpn": ["cardea/1", "http/1.1", "h2"],
                        "clients": {"mode": "required", "trust": "staff"}}],
            "policy": [{"name": "not-the-secret", "effect": "deny", "who": {"any": True}, "targets": ["secret.test:*"]},
                       {"name": "ops", "who": {"group": "ops"}, "targets": targets}], **more}


@pytest.fixture(scope="module")
def door(start_module_door, pki, echo_udp):
    return start_module_door(config(pki, ["127.0.0.1:*", "localhost:*", "nosuch.invalid:*",
                                          f"udp:127.0.0.1:{echo_udp.port}"],
                                    limits={"udp_idle_timeout": ms(1500)}))


@pytest.fixture
def client(door, pki):
    with Client(door, pki.alice) as client:
        yield client


def test_both_ways(client, door, echo):
    """Bytes there and back, half-close both ways; a line for the stream and, later, one for its connection."""
    door.mark()
    number = client.connect(f"127.0.0.1:{echo.port}")
    stream = client.answered(number)
    assert stream.status == 200 and "content-length" not in stream.headers
    client.send(number, b"hello", end=True)
    client.until(lambda: stream.ended)
    assert stream.data == b"hello"
    line = door.audited(route="proxy", action="tunnel")
    assert (line["transport"], line["identity"], line["target"]) == ("h2", "alice", f"127.0.0.1:{echo.port}")
    assert (line["reason"], line["in"], line["out"]) == ("done", 5, 5)
    client.sock.close()
    carrier = door.audited(route="proxy", action="carrier")
    assert (carrier["streams"], carrier["id"], carrier["identity"]) == (1, line["carrier"], "alice")


def test_early_bytes(client, banner):
    """Those behind the request, before its answer."""
    number = client.connect(f"127.0.0.1:{banner.port}")
    client.send(number, b"early", end=True)
    stream = client.streams[number]
    client.until(lambda: stream.over)
    assert stream.status == 200 and b"behind the door" in stream.data and stream.data.endswith(b"early")


def test_bulk(client, echo):
    """16 MiB there and back at once, through every window there is."""
    number = client.connect(f"127.0.0.1:{echo.port}")
    data = os.urandom(1 << 20) * 16
    client.send(number, data, end=True)
    stream = client.streams[number]
    client.until(lambda: stream.over)
    assert stream.ended and hashlib.sha256(stream.data).digest() == hashlib.sha256(data).digest()


def test_many_streams(client, echo, door):
    """200 at once; the limit is told in SETTINGS."""
    client.until(lambda: client.h2.remote_settings.enable_connect_protocol == 1)
    assert client.h2.remote_settings.max_concurrent_streams == 256
    numbers = [client.connect(f"127.0.0.1:{echo.port}") for _ in range(200)]
    for number in numbers:
        client.send(number, f"stream {number}".encode())
    client.until(lambda: all(client.streams[n].data == f"stream {n}".encode() for n in numbers))
    for number in numbers:
        client.h2.end_stream(number)
    client.flush()
    client.until(lambda: all(client.streams[n].ended for n in numbers))


def fill(client, stuck):
    """All that the door and the target's kernel take of a stream; how much that is."""
    sent, idle = 0, 0
    while idle < 3:
        room = min(client.h2.local_flow_control_window(stuck), client.h2.max_outbound_frame_size)
        if room:
            client.h2.send_data(stuck, bytes(room))
            client.flush()
            sent, idle = sent + room, 0
        else:
            idle += 1
            client.sock.settimeout(0.3 * SLOW)
            try:
                client.pump()
            except TimeoutError:
                pass
            client.sock.settimeout(10 * SLOW)
    return sent


def test_slow_readers_stop_their_writers(client, echo, mute):
    """Targets that do not read: the streams' windows fill up and stay so; another stream goes on."""
    for _ in range(8):
        stuck = client.connect(f"127.0.0.1:{mute.port}")
        client.answered(stuck)
        assert 1 << 16 <= fill(client, stuck) < 32 << 20
    number = client.connect(f"127.0.0.1:{echo.port}")
    client.send(number, b"x" * 100000, end=True)
    client.until(lambda: client.streams[number].over)
    assert len(client.streams[number].data) == 100000


def test_a_client_that_does_not_read(door, pki, echo):
    """The door holds no more than its bound for it, and serves others."""
    with Client(door, pki.alice, credit=False) as lazy:
        number = lazy.connect(f"127.0.0.1:{echo.port}")
        lazy.send(number, bytes(64000))
        lazy.send(number, bytes(300000))
        with Client(door, pki.alice) as other:
            n = other.connect(f"127.0.0.1:{echo.port}")
            other.send(n, b"x", end=True)
            other.until(lambda: other.streams[n].ended)
        time.sleep(0.2 * SLOW)
        assert len(lazy.streams[number].data) <= 65535


@pytest.mark.parametrize("target, status, word, reason", [
    ("secret.test:80", 403, "rule not-the-secret", "denied"),
    ("192.0.2.3:80", 403, "no rule", "denied"),
    ("nosuch.invalid:80", 502, "dns_error", "no_such_host"),
    ("127.0.0.1:1", 502, "connection_refused", "refused"),
    ("127.0.0.1", 400, "HOST:PORT", "bad_request"),
    ("127.0.0.1:0", 400, "HOST:PORT", "bad_request"),
])
def test_refused(client, door, echo, target, status, word, reason):
    """A status, Proxy-Status and a line for people; the connection goes on."""
    door.mark()
    number = client.connect(target)
    stream = client.answered(number)
    client.until(lambda: stream.over)
    assert stream.status == status and word in stream.headers["proxy-status"] + stream.data.decode()
    assert stream.headers["proxy-status"].startswith("cardea; error=")
    assert len(stream.data) == int(stream.headers["content-length"])
    assert door.audited(route="proxy", action="tunnel", reason=reason)
    number = client.connect(f"127.0.0.1:{echo.port}")
    assert client.answered(number).status == 200


def test_other_requests(client):
    """GET is told 405, another protocol 501, a field twice 400."""
    got = client.ask([(":method", "GET"), (":scheme", "https"), (":authority", "door.test"), (":path", "/")], end=True)
    assert client.answered(got).status == 405
    assert client.streams[got].headers["allow"] == "CONNECT"
    assert client.answered(client.connect_udp("127.0.0.1/1", protocol="websocket")).status == 501
    assert client.answered(client.connect_udp("127.0.0.1/0")).status == 400
    assert client.answered(client.connect("127.0.0.1:1", ("host", "other:1"))).status == 400
    many = client.connect("127.0.0.1:1", *[("x", "y" * 1000)] * 12)
    assert client.answered(many).status == 400


@pytest.mark.skipif(b"--proxy-http2" not in peers.curl("--help", "all").stdout, reason="this curl has no --proxy-http2")
def test_curl(door, pki, nginx):
    """curl 8.1 and newer: HTTPS through CONNECT on HTTP/2."""
    done = peers.curl("--noproxy", "", "--proxy-http2", "--proxy", f"https://door.test:{door.port}", "--resolve",
                      f"door.test:{door.port}:127.0.0.1", "--proxy-cacert", pki.ca.file, "--proxy-cert",
                      pki.alice.certificate, "--proxy-key", pki.alice.key, "--insecure",
                      f"https://localhost:{nginx.ports['tls']}/who")
    assert done.stdout.startswith(b"tls HTTP/2.0 localhost"), done.stderr.decode()


def test_no_certificate(door, pki):
    with pytest.raises((OSError, AssertionError)):
        with Client(door, None) as client:
            client.until(lambda: client.h2.remote_settings.enable_connect_protocol == 1)


def test_bob_is_denied(door, pki, echo):
    with Client(door, pki.bob) as client:
        assert client.answered(client.connect(f"127.0.0.1:{echo.port}")).status == 403


def test_a_reset_breaks_the_target(client, door, echo):
    """And the line says so."""
    door.mark()
    number = client.connect(f"127.0.0.1:{echo.port}")
    client.answered(number)
    client.h2.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
    client.flush()
    assert door.audited(route="proxy", action="tunnel")["reason"] == "client_reset"


def test_a_broken_target_resets(client, pki):
    def breaks(sock):
        sock.recv(1)
        sock.setsockopt(peers.socket.SOL_SOCKET, peers.socket.SO_LINGER, peers.struct.pack("ii", 1, 0))
        sock.close()
    with peers.Server(breaks) as server:
        number = client.connect(f"127.0.0.1:{server.port}")
        client.answered(number)
        client.send(number, b"xy")
        stream = client.streams[number]
        client.until(lambda: stream.over)
        assert stream.reset == h2.errors.ErrorCodes.CONNECT_ERROR


def test_a_lost_connection_ends_its_streams(door, pki, echo, mute):
    with Client(door, pki.alice) as client:
        for port in (echo.port, mute.port):
            assert client.answered(client.connect(f"127.0.0.1:{port}")).status == 200
        door.mark()
    wait_until(lambda: len([line for line in door.audit() if line.get("reason") == "client_reset"
                            and line.get("transport") == "h2"]) >= 2, "both lines")


def test_datagrams(client, door, echo_udp):
    """connect-udp: capsules in DATA; other capsules are skipped."""
    number = client.connect_udp(f"127.0.0.1/{echo_udp.port}")
    stream = client.answered(number)
    assert stream.status == 200 and stream.headers["capsule-protocol"] == "?1"
    door.mark()
    reader, got = Reader(), []
    sizes = (0, 1, 1200, 16383, 65507)
    for size in sizes:
        client.send(number, capsule(0x1717, b"skip") + datagram(bytes(size)))

        def arrived():
            got.extend(reader.feed(bytes(stream.data)))
            stream.data.clear()
            return [len(g) for g in got] == list(sizes[:sizes.index(size) + 1])
        client.until(arrived)
    client.h2.end_stream(number)
    client.flush()
    client.until(lambda: stream.over)
    line = door.audited(route="proxy", action="tunnel", target=f"udp:127.0.0.1:{echo_udp.port}")
    assert (line["reason"], line["transport"]) == ("done", "h2")


def test_datagrams_are_asked_about(client, echo, echo_udp):
    """The policy of TCP says nothing of UDP; a broken capsule resets the stream."""
    assert client.answered(client.connect_udp(f"127.0.0.1/{echo.port}")).status == 403
    number = client.connect_udp(f"127.0.0.1/{echo_udp.port}")
    assert client.answered(number).status == 200
    client.send(number, b"\0\0")
    stream = client.streams[number]
    client.until(lambda: stream.over)
    assert stream.reset is not None


def test_an_idle_connection_is_closed(start_door, pki, echo):
    """Not while there is a stream."""
    door = start_door(config(pki, ["127.0.0.1:*"], http2={"idle_timeout": "1s", "streams": 2}))
    with Client(door, pki.alice) as client:
        number = client.connect(f"127.0.0.1:{echo.port}")
        assert client.answered(number).status == 200
        time.sleep(1.5)
        client.send(number, b"x", end=True)
        client.until(lambda: client.streams[number].ended)
        door.mark()
        client.until(lambda: client.gone is not None)
        assert client.gone == 0
        while not client.closed:
            client.pump()
    assert door.audited(action="carrier")["reason"] == "idle_timeout"


def test_drain(start_door, pki, echo):
    """GOAWAY at once; the streams that are open may end."""
    door = start_door(config(pki, ["127.0.0.1:*"], limits={"drain_timeout": "10s"}))
    with Client(door, pki.alice) as client:
        number = client.connect(f"127.0.0.1:{echo.port}")
        assert client.answered(number).status == 200
        door.process.send(signal.SIGTERM)
        client.until(lambda: client.gone is not None)
        assert client.gone == 0
        client.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN  # it would refuse to go on
        client.send(number, b"after all", end=True)
        client.until(lambda: client.streams[number].ended)
        assert client.streams[number].data == b"after all"
        started = time.monotonic()
        door.stop()
        assert time.monotonic() - started < 5 * SLOW
