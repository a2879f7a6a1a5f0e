# SPDX-License-Identifier: Apache-2.0
"""A session on a carrier that is there opens in one round trip, over QUIC and TCP, whoever speaks first: connections
over TCP are kept ready, and what the client has to say goes right behind the hello. What that must not change."""
import json
import select
import socket
import ssl
import statistics
import sys
import time

import pytest

import peers
import tls
from agents import Stream, pack
from fixtures import clean_env
from run import (CARDEA, ROOT, SLOW, Process, assert_no_sanitizer_output, free_port, ms, wait_listening,
                 wait_until)

sys.path.append(str(ROOT / "bench"))
from delay import Delay  # noqa: E402

TRIP = 0.2 * SLOW  # seconds


def config(pki, policy=None, **more):
    return {
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": policy or [{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*", "localhost:*"]}],
        **more,
    }


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return start_module_door(config(pki))


def ready(door):
    """Connections at the door whose client has not said a hello yet."""
    return sum(each["state"] == "ask" for each in door.get_json("/sessions")["sessions"])


def call(port, words=b""):
    """What a local client hears: as much as it says, or a byte; less when the connection ends."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), 20 * SLOW) as sock:
        try:
            if words:
                sock.sendall(words)
            while len(heard) < max(len(words), 1) and (more := sock.recv(max(len(words), 1) - len(heard))):
                heard += more
        except ConnectionError:
            pass
    return heard


def seconds(port, words):
    begun = time.monotonic()
    assert call(port, words) == (words or b"b")
    return time.monotonic() - begun


# One round trip -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("first", ["server", "client"])
@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_opens_in_one(door, start_connect, banner, echo, transport, first, host):
    port, target = free_port(), banner.port if first == "server" else echo.port
    relay = Delay(door.port, TRIP / 2)
    try:
        start_connect(f"127.0.0.1:{relay.port}", "--transport", transport, "-L", f"{port}:{host}:{target}", ports=[port])
        words = b"" if first == "server" else b"hello"
        seconds(port, words)  # there is no carrier before the first
        times = []
        while len(times) < 10 and (len(times) < 3 or min(times) >= 1.7 * TRIP):  # a machine that is starved has more of them
            time.sleep(3 * TRIP)  # what was used is replaced
            times.append(seconds(port, words))
        assert TRIP <= min(times) < 1.7 * TRIP, times
    finally:
        relay.stop()


def test_none_before_the_first(start_door, pki, start_connect, echo):
    """Nothing is kept ready for who has asked for nothing; then two connections, and they resume."""
    door = start_door(config(pki))
    port = free_port()
    start_connect(door, "--transport", "tcp", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    time.sleep(0.3)
    assert ready(door) == 0 and door.audit() == []
    for _ in range(5):
        assert call(port, b"x") == b"x"
        wait_until(lambda: ready(door) == 2, "two connections to be ready")
    lines = door.audited(5, action="tunnel", reason="done")
    assert 3 <= sum(line["resumed"] for line in lines) < 5  # the first cannot, one of the next two has no ticket


def test_a_burst(door, start_connect, echo):
    """More calls at once than there are connections ready: the others make their own, and no more than two are kept."""
    port = free_port()
    start_connect(door, "--transport", "tcp", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    for _ in range(3):
        socks = [socket.create_connection(("127.0.0.1", port), 20 * SLOW) for _ in range(20)]
        for number, sock in enumerate(socks):
            sock.sendall(b"%02d" % number)
        assert [tls.read_exactly(sock, 2) for sock in socks] == [b"%02d" % number for number in range(20)]
        for sock in socks:
            sock.close()
    wait_until(lambda: ready(door) == 2, "two connections to be ready")


# Connections that die while they wait -----------------------------------------------------------------------------------

@pytest.mark.parametrize("words", [b"", b"words"], ids=["server", "client"])
def test_the_door_restarts(start_door, pki, start_connect, banner, echo, words):
    door = start_door(config(pki))
    port = free_port()
    target = echo.port if words else banner.port
    start_connect(door, "--transport", "tcp", "-L", f"{port}:127.0.0.1:{target}", ports=[port])
    for _ in range(3):
        assert call(port, words) == (words or b"b")
        wait_until(lambda: ready(door) == 2, "two connections to be ready")
        door.process.send(9)
        door.process.wait()
        door.start()
    assert call(port, words) == (words or b"b")


def test_the_door_closes_them(start_door, pki, start_connect, echo):
    """They end after limits.ready_timeout, are said to have been unused, and are not made again before the next call."""
    door = start_door(config(pki, limits={"ready_timeout": ms(400)}))
    port = free_port()
    start_connect(door, "--transport", "tcp", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    for count in (1, 2):
        assert call(port, b"x") == b"x"
        wait_until(lambda: ready(door) == 2, "two connections to be ready")
        door.audited(2 * count, reason="unused", action="tunnel", identity="alice")
        time.sleep(0.6 * SLOW)
        assert ready(door) == 0
    assert len([line for line in door.audit() if line["reason"] == "unused"]) == 4


def test_the_client_closes_them(start_door, pki, start_connect, echo):
    door = start_door(config(pki))
    port = free_port()
    process = start_connect(door, "--transport", "tcp", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    assert call(port, b"x") == b"x"
    wait_until(lambda: ready(door) == 2, "two connections to be ready")
    process.send(15)
    door.audited(2, reason="unused")


def test_a_stop_does_not_wait_for_them(start_door, pki, start_connect, echo):
    door = start_door(config(pki, limits={"drain_timeout": "60s"}))
    port = free_port()
    start_connect(door, "--transport", "tcp", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    assert call(port, b"x") == b"x"
    wait_until(lambda: ready(door) == 2, "two connections to be ready")
    begun = time.monotonic()
    door.stop()
    assert time.monotonic() - begun < 5 * SLOW


# What is in force -------------------------------------------------------------------------------------------------------

def test_a_reload_holds_for_them(start_door, pki, start_connect, echo):
    """A connection from before a reload is not asked on after it: the new policy decides."""
    door = start_door(config(pki))
    port = free_port()
    process = start_connect(door, "--transport", "tcp", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    assert call(port, b"x") == b"x"
    wait_until(lambda: ready(door) == 2, "two connections to be ready")
    door.configure(config(pki, policy=[{"name": "nobody", "effect": "deny", "who": {"any": True}},
                                       {"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*"]}]))
    assert json.loads(door.cli("reload", "--json").stdout)["unused"] == 2
    door.audited(2, reason="unused")
    assert call(port, b"x") == b""
    wait_until(lambda: "denied" in process.err.read_text(), "the denial to be told")


def test_a_revocation_holds_for_them(start_door, pki, start_connect, echo, tmp_path):
    """A new list of revocations ends what is ready; who is on it gets no session."""
    crl = pki.staff.crl(tmp_path / "staff.crl")
    door = start_door(config(pki, trust=[pki.trust(crl=[str(crl)])]))
    port = free_port()
    process = start_connect(door, "--transport", "tcp", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    assert call(port, b"x") == b"x"
    wait_until(lambda: ready(door) == 2, "two connections to be ready")
    time.sleep(1.1)  # another time of the file
    pki.staff.crl(crl)
    door.audited(2, timeout=15, reason="unused")
    assert call(port, b"x") == b"x"  # not revoked: all goes on
    assert process.poll() is None


# Who may ------------------------------------------------------------------------------------------------------------------

def lingering(door, pki, cert=None):
    """A client that completes its handshake and says nothing; returns how its connection ends, and after how long."""
    begun = time.monotonic()
    with tls.connect(door, "door.test", ca=pki.ca.file, cert=cert, alpn=["cardea/1"]) as sock:
        sock.settimeout(20 * SLOW)
        try:
            assert sock.recv(1) == b""
        except (ssl.SSLError, ConnectionError):
            pass
    return time.monotonic() - begun


@pytest.mark.parametrize("timeout, reason", [(1500, "unused"), (0, "handshake_timeout")])
def test_how_long_one_may_wait(start_door, pki, timeout, reason):
    """0: as long as for any hello."""
    door = start_door(config(pki, limits={"handshake_timeout": ms(500), "ready_timeout": ms(timeout)}))
    took = lingering(door, pki, pki.alice)
    assert door.audited(action="tunnel")["reason"] == reason
    assert took >= (1.4 if timeout else 0.4) * SLOW


def test_half_a_hello_is_not_ready(start_door, pki):
    """Once a byte of a hello is there, the rest has handshake_timeout."""
    door = start_door(config(pki, limits={"handshake_timeout": ms(500), "ready_timeout": "60s"}))
    with tls.connect(door, "door.test", ca=pki.ca.file, cert=pki.alice, alpn=["cardea/1"]) as sock:
        time.sleep(0.7 * SLOW)
        sock.sendall(b"\0")
        sock.settimeout(20 * SLOW)
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            assert sock.recv(1)
    assert door.audited(action="tunnel")["reason"] == "handshake_timeout"


def test_none_are_kept_in_a_crowd(start_door, pki):
    """Where three of four places are taken nobody keeps any."""
    door = start_door(config(pki, limits={"connections": 4, "handshake_timeout": ms(500), "ready_timeout": "60s"}))
    held = [tls.connect(door, "door.test", ca=pki.ca.file, cert=pki.alice, alpn=["cardea/1"]) for _ in range(3)]
    wait_until(lambda: ready(door) == 3, "three to be ready")
    lingering(door, pki, pki.alice)
    assert door.audited(action="tunnel")["reason"] == "handshake_timeout"
    for sock in held:
        sock.close()


# The first bytes --------------------------------------------------------------------------------------------------------

class FakeDoor:
    """Answers each hello with what `answers` has next, once it has waited for `wait` seconds; `seen`: for each
    connection that said a hello its target, and what came behind it before the answer."""

    def __init__(self, pki, answers, wait=0.3):
        self.answers, self.wait, self.seen = list(answers), wait * SLOW, []
        self.server = peers.Server(self.serve, ctx=peers.server_context(pki.server("door.test"), pki.staff.file, ["cardea/1"]))
        self.address = f"127.0.0.1:{self.server.port}"

    def serve(self, sock):
        head = sock.recv(2)
        if len(head) < 2:
            return
        hello = json.loads(tls.read_exactly(sock, int.from_bytes(head, "big")))
        sock.settimeout(self.wait)
        behind = b""
        try:
            while data := sock.recv(65536):
                behind += data
        except TimeoutError:
            pass
        self.seen.append((hello["target"], behind))
        answer = self.answers.pop(0)
        if answer is None:
            sock.unwrap()
            return
        if answer == "break":
            return
        text = json.dumps(answer).encode()
        sock.settimeout(20 * SLOW)
        sock.sendall(len(text).to_bytes(2, "big") + text)
        sock.sendall(behind or sock.recv(65536))
        while data := sock.recv(65536):
            sock.sendall(data)


YES, NO = {"v": 1, "ok": True}, {"v": 1, "ok": False, "code": "refused", "text": "nobody there"}


@pytest.fixture
def fake(pki):
    doors = []

    def start(*answers):
        doors.append(FakeDoor(pki, answers))
        return doors[-1]
    yield start
    for door in doors:
        door.server.stop()


def test_a_name_is_asked_for_in_silence_first(fake, start_connect):
    """A name may lead to a service end-to-end, of which the door must not see a byte: so nothing is said early before a
    name has once been answered for as one that is none. An address cannot be offered."""
    door = fake(YES, YES, YES)
    ports = [free_port(), free_port()]
    start_connect(door.address, "--transport", "tcp", "-L", f"{ports[0]}:db.test:1", "-L", f"{ports[1]}:192.0.2.1:1",
                  ports=ports)
    for port, words in ((ports[0], b"one"), (ports[0], b"two"), (ports[1], b"three")):
        assert call(port, words) == words
    assert door.seen == [("db.test:1", b""), ("db.test:1", b"two"), ("192.0.2.1:1", b"three")]


def test_a_name_becomes_a_service_end_to_end(fake, start_connect):
    """The door turns out to lead to one after all: it is asked again, and nothing more is said to it."""
    door = fake(YES, {"v": 1, "ok": True, "tls": True}, {"v": 1, "ok": True, "tls": True})
    port = free_port()
    start_connect(door.address, "--transport", "tcp", "-L", f"{port}:db.test:1", ports=[port])
    assert call(port, b"one") == b"one"
    call(port, b"two")  # no TLS is there in truth
    assert door.seen[:2] == [("db.test:1", b""), ("db.test:1", b"two")]
    wait_until(lambda: len(door.seen) == 3, "the second try")
    assert door.seen[2][1] == b""


def test_a_no_after_first_bytes(fake, start_connect):
    """What was said early changes nothing about a refusal."""
    door = fake(NO)
    port = free_port()
    process = start_connect(door.address, "--transport", "tcp", "-L", f"{port}:192.0.2.1:1", ports=[port])
    assert call(port, b"words") == b""
    assert door.seen == [("192.0.2.1:1", b"words")]
    wait_until(lambda: "nobody there: 192.0.2.1:1" in process.err.read_text(), "the reason to be told")


def test_the_first_bytes_are_bounded(fake, start_connect):
    """16 KiB at most go before the answer; the rest follows it, and nothing is lost or comes twice."""
    door = fake(YES)
    port = free_port()
    start_connect(door.address, "--transport", "tcp", "-L", f"{port}:192.0.2.1:1", ports=[port])
    words = bytes(range(256)) * 1024
    assert call(port, words) == words
    assert len(door.seen[0][1]) == 16 * 1024


def test_ended_without_an_answer(fake, start_connect):
    """The door ends a connection that was ready just as it is used: it has read nothing, so all goes on another one."""
    door = fake(YES, None, YES)
    port = free_port()
    start_connect(door.address, "--transport", "tcp", "-L", f"{port}:192.0.2.1:1", ports=[port])
    assert call(port, b"one") == b"one"
    wait_until(lambda: door.server.count == 3, "two connections to be ready")
    time.sleep(0.2 * SLOW)
    assert call(port, b"two") == b"two"
    assert [target for target, _ in door.seen] == ["192.0.2.1:1"] * 3


def test_broken_without_an_answer(fake, start_connect):
    """The same, but it breaks, and the door has had the bytes: the target must not get them twice."""
    door = fake(YES, "break", YES)
    port = free_port()
    process = start_connect(door.address, "--transport", "tcp", "-L", f"{port}:192.0.2.1:1", ports=[port])
    assert call(port, b"one") == b"one"
    wait_until(lambda: door.server.count == 3, "two connections to be ready")
    time.sleep(0.2 * SLOW)
    assert call(port, b"two") == b""
    assert len(door.seen) == 2
    wait_until(lambda: "broke" in process.err.read_text(), "the reason to be told")


# Towards agents ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def agents_door(start_door, pki):
    targets = ["offer:*.apps.test", "public:*.apps.test", "public:*.apps.test:1-65535"]
    return start_door(config(pki, workers=1, policy=[{"name": "agents", "who": {"group": "ops"}, "targets": targets}]))


@pytest.fixture
def expose(pki, tmp_path):
    """expose(address, *words) starts an agent as alice; killed after the test."""
    started = []

    def start(address, *words):
        started.append(Process([CARDEA, "expose", *words, "--door", address, "--name", "door.test", "--ca", pki.ca.file,
                                "--cert", pki.alice.certificate, "--key", pki.alice.key], tmp_path,
                               f"expose{len(started)}", env=clean_env(tmp_path)))
        return started[-1]
    yield start
    for process in started:
        process.stop(9)
        assert_no_sanitizer_output(process.output())


@pytest.mark.parametrize("first", ["server", "client"])
@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_a_visit_opens_in_one(agents_door, expose, banner, echo, transport, first):
    """Between door and agent: what the visitor says first goes right behind the message about him."""
    port, target = free_port(), banner.port if first == "server" else echo.port
    relay = Delay(agents_door.port, TRIP / 2)
    try:
        expose(f"127.0.0.1:{relay.port}", "app.apps.test", "--to", f"127.0.0.1:{target}", "--public", "--port", port,
               "--transport", transport)
        wait_listening(port)
        words = b"" if first == "server" else b"hello"
        times = []
        for _ in range(4):
            time.sleep(4 * TRIP)  # connections that were used are replaced
            times.append(seconds(port, words))
        assert TRIP <= statistics.median(times[1:]) < 1.7 * TRIP, times
    finally:
        relay.stop()


def test_a_visitor_is_heard_once(agents_door, pki):
    """The agent breaks off after it has had the first bytes, without an answer: no other connection gets them."""
    port = free_port()
    offer = {"v": 1, "offer": "app.apps.test", "kind": "public", "port": port}

    def offered():
        stream = Stream(tls.connect(agents_door, "door.test", ca=pki.ca.file, cert=pki.alice, alpn=["cardea/1"]))
        stream.sock.sendall(pack(offer))
        assert stream.message()["ok"]
        return stream

    def bring(control):
        """The connections that the door asks for."""
        brought = []
        for spare in control.message()["spares"]:
            brought.append(Stream(tls.connect(agents_door, "door.test", ca=pki.ca.file, cert=pki.alice, alpn=["cardea/1"])))
            brought[-1].say(spare=spare)
            assert brought[-1].message()["ok"]
        return brought

    control = offered()
    spares = bring(control)
    assert len(spares) >= 2
    with socket.create_connection(("127.0.0.1", port), 20 * SLOW) as visitor:
        visitor.sendall(b"words")
        visited = next_visit(spares)
        assert visited.read(5) == b"words"
        visited.sock.close()
        try:
            assert visitor.recv(1) == b""
        except ConnectionResetError:
            pass
    assert "went away" in agents_door.audited(reason="no_agent")["detail"]
    assert not any(select.select([each.sock for each in spares if each is not visited], [], [], 0.5 * SLOW)[0])


def next_visit(spares):
    """The one of them that gets a visitor."""
    [sock, *_] = select.select([each.sock for each in spares], [], [], 20 * SLOW)[0]
    stream = next(each for each in spares if each.sock is sock)
    assert stream.message()["visit"] == "app.apps.test"
    return stream
