# SPDX-License-Identifier: Apache-2.0
"""A connection that was not served, or was cut off in the middle, never looks like one that has ended in order: an alert
within TLS, a reset of a plain connection or of a stream, by whatever the visitor comes and whatever breaks."""
import contextlib
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

import h3
import http2
import peers
import tls
from agents import Agent
from fixtures import clean_env, connect_words
from run import SLOW, free_port, ms, wait_until

PIECE = b"part of the whole\n"


def break_off(sock):
    """PIECE, then a reset once the client has said anything."""
    sock.sendall(PIECE)
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def pour(sock):
    """Bytes without end."""
    while True:
        sock.sendall(bytes(65536))


@pytest.fixture(scope="module")
def breaker():
    with peers.Server(break_off) as server:
        yield server


@pytest.fixture(scope="module")
def pourer():
    with peers.Server(pour) as server:
        yield server


@pytest.fixture(scope="module")
def ports():
    return {"quic": free_port(), "tcp": free_port()}


@pytest.fixture(scope="module")
def door(start_module_door, pki, breaker, ports):
    staff = {"mode": "required", "trust": "staff"}
    return start_module_door({
        "certificates": [pki.server("door.test").row(), pki.server("*.apps.test").row(),
                         pki.server("www.test", "dead.test").row()],
        "trust": [pki.trust()],
        "agents": {"grace": "1s"},
        "quic": {"idle_timeout": ms(1000)},
        "limits": {"drain_timeout": ms(500)},
        "routes": [
            {"name": "tunnel", "sni": "door.test", "alpn": ["cardea/1", "h2", "h3"], "tunnel": {}, "clients": staff},
            {"name": "apps", "sni": "*.apps.test", "expose": {}, "clients": {"mode": "optional", "trust": "staff"}},
            {"name": "www", "sni": "www.test", "terminate": {"to": breaker.to}},
            {"name": "dead", "sni": "dead.test", "terminate": {"to": "127.0.0.1:1"}},
            {"name": "pass", "sni": "pass.test", "pass": {"to": breaker.to}},
            {"name": "nowhere", "sni": "nowhere.test", "pass": {"to": "127.0.0.1:1"}},
        ],
        "policy": [{"name": "ops", "who": {"group": "ops"},
                    "targets": ["127.0.0.0/8:*", "name:*.apps.test", "offer:*.apps.test", "public:*.apps.test",
                                f"public:*.apps.test:{min(ports.values())}-{max(ports.values())}"]}],
    })


@pytest.fixture(params=["quic", "tcp"])
def expose(request, door, pki, tmp_path):
    """Start an agent and wait until its offer stands."""
    started = []

    def begin(name, to, *words):
        agent = Agent(tmp_path, door.address, pki, name, "--to", to, "--transport", request.param, "--grace", "0s",
                      *words, name=f"expose-{len(started)}")
        started.append(agent)
        agent.says("offering")
        return agent
    begin.transport = request.param
    yield begin
    for agent in started:
        if agent.poll() is None:
            agent.end()


def visit(door, pki, name, cert=None):
    """A visitor by server name, to whom an end without close_notify is none."""
    ctx = tls.context(pki.ca.file, cert)
    ctx.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return ctx.wrap_socket(door.dial(), server_hostname=name, suppress_ragged_eofs=False)


def end_of(sock):
    """(what came, how it ended)."""
    data = b""
    with sock:
        try:
            while more := sock.recv(65536):
                data += more
        except ssl.SSLError as error:
            return data, error.reason
        except ConnectionResetError:
            return data, "reset"
    return data, "in order"


# Not served -------------------------------------------------------------------------------------------------------

def test_a_backend_that_is_not_there(door, pki):
    sock = visit(door, pki, "dead.test")
    assert end_of(sock) == (b"", "TLSV1_ALERT_INTERNAL_ERROR")
    door.audited(route="dead", reason="refused")


def test_a_backend_that_is_not_there_passed(door):
    sock = door.dial()
    sock.sendall(tls.client_hello("nowhere.test"))
    assert end_of(sock) == (b"", "reset")


def test_a_service_that_is_not_there(door, pki, expose, ports):
    """By server name, in public and in private, at a port of the door, and end-to-end before TLS."""
    cert = pki.server("sealed.apps.test")
    expose("open.apps.test", "127.0.0.1:1", "--public")
    expose("priv.apps.test", "127.0.0.1:1")
    expose("port.apps.test", "127.0.0.1:1", "--public", "--port", ports[expose.transport])
    expose("sealed.apps.test", "127.0.0.1:1", "--end-to-end", "--service-cert", cert.certificate, "--service-key", cert.key,
           "--anyone")
    assert end_of(visit(door, pki, "open.apps.test")) == (b"", "TLSV1_ALERT_INTERNAL_ERROR")
    assert end_of(visit(door, pki, "priv.apps.test", pki.alice)) == (b"", "TLSV1_ALERT_INTERNAL_ERROR")
    assert end_of(visit(door, pki, "sealed.apps.test")) == (b"", "TLSV1_ALERT_INTERNAL_ERROR")
    with contextlib.suppress(ConnectionResetError):     # it may come before connect() has returned
        assert end_of(door.dial(port=ports[expose.transport])) == (b"", "reset")


def test_a_visitor_whom_the_policy_denies(door, pki, expose, breaker):
    expose("priv.apps.test", breaker.to)
    assert end_of(visit(door, pki, "priv.apps.test", pki.bob)) == (b"", "TLSV1_ALERT_ACCESS_DENIED")


# Cut off ----------------------------------------------------------------------------------------------------------

def cut(sock):
    """The first part has come; what does the other side's break look like?"""
    assert tls.read_exactly(sock, len(PIECE)) == PIECE
    sock.sendall(b"x")
    return end_of(sock)[1]


def test_a_backend_that_breaks(door, pki):
    assert cut(visit(door, pki, "www.test")) == "TLSV1_ALERT_INTERNAL_ERROR"


def test_a_backend_that_breaks_behind_a_plain_port(door, pki, expose, breaker, ports):
    port = ports[expose.transport]
    expose("port.apps.test", breaker.to, "--public", "--port", port)
    assert cut(door.dial(port=port)) == "reset"


def test_a_service_that_breaks(door, pki, expose, breaker):
    cert = pki.server("sealed.apps.test")
    expose("open.apps.test", breaker.to, "--public")
    expose("sealed.apps.test", breaker.to, "--end-to-end", "--service-cert", cert.certificate, "--service-key", cert.key,
           "--anyone")
    assert cut(visit(door, pki, "open.apps.test")) == "TLSV1_ALERT_INTERNAL_ERROR"
    assert cut(visit(door, pki, "sealed.apps.test")) == "TLSV1_ALERT_INTERNAL_ERROR"


def kill(agent):
    """Without a word. Over QUIC the door gives it up after quic.idle_timeout."""
    agent.child.kill()
    agent.child.wait()


def test_an_agent_is_killed(door, pki, expose, pourer, ports):
    """Amid a transfer: a visitor within TLS, and at a port of the door."""
    port = ports[expose.transport]
    agent = expose("pour.apps.test", pourer.to, "--public", "--port", port)
    by_name, by_port = visit(door, pki, "pour.apps.test"), door.dial(port=port)
    tls.read_exactly(by_name, 100000)
    tls.read_exactly(by_port, 100000)
    kill(agent)
    ends = {}
    threads = [threading.Thread(target=lambda what=what, sock=sock: ends.update({what: end_of(sock)[1]}))
               for what, sock in (("name", by_name), ("port", by_port))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == {"name": "TLSV1_ALERT_INTERNAL_ERROR", "port": "reset"}


def test_what_was_sent_before_comes_first(door, pki, expose, ports):
    """A slow visitor at a port of the door gets all that the service said, and then the reset."""
    port, size, breaks = ports[expose.transport], 60000, threading.Event()
    with peers.Server(lambda sock: (sock.sendall(bytes(size)), breaks.wait(10 * SLOW), break_off(sock))) as service:
        expose("slow.apps.test", service.to, "--public", "--port", port)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10 * SLOW)
        sock.connect(("127.0.0.1", port))
        sock.sendall(b"x")
        time.sleep(0.3 * SLOW)
        breaks.set()
        time.sleep(0.3)  # the door waits for him for two seconds
        data, end = end_of(sock)
    assert len(data) >= size and end == "reset"


def test_a_visitor_who_takes_nothing_is_not_waited_for(door, pki, expose, ports):
    """What the agent had sent fits into the door, so that it hears of the end; the visitor leaves it there."""
    port = ports[expose.transport]
    with peers.Server(lambda sock: (sock.sendall(bytes(60000)), sock.recv(1))) as service:
        agent = expose("pour.apps.test", service.to, "--public", "--port", port)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(10 * SLOW)
            sock.connect(("127.0.0.1", port))
            tls.read_exactly(sock, 1000)
            time.sleep(0.3 * SLOW)
            kill(agent)
            line = door.audited_of(sock, timeout=10)
            assert line["reason"] == "backend_reset"
            wait_until(lambda: not any(s["state"] == "linger" for s in door.get_json("/sessions")["sessions"]), "the end")
            assert end_of(sock)[1] == "reset"


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_an_agent_is_killed_amid_a_call(door, pki, expose, pourer, tmp_path, transport):
    agent = expose("pour.apps.test", pourer.to)
    call = subprocess.Popen([str(w) for w in [*connect_words(door, pki.alice, pki.ca.file), "--transport", transport,
                                              "pour.apps.test"]],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=clean_env(tmp_path, CARDEA_SHARE="0"))
    assert len(call.stdout.read(100000)) == 100000
    kill(agent)
    _, text = call.communicate(timeout=20 * SLOW)
    assert call.returncode == 1 and (b"broke" in text or b"cut off" in text), text


def test_an_agent_is_killed_amid_a_stream_of_http2(door, pki, expose, pourer):
    """RST_STREAM with CONNECT_ERROR."""
    agent = expose("pour.apps.test", pourer.to)
    with http2.Client(door, pki.alice) as client:
        number = client.connect("pour.apps.test:80")
        assert client.answered(number).status == 200
        stream = client.streams[number]
        client.until(lambda: len(stream.data) > 100000)
        kill(agent)
        client.until(lambda: stream.over)
        assert stream.reset == 10 and not stream.ended


def test_an_agent_is_killed_amid_a_stream_of_http3(door, pki, expose, echo):
    """RESET_STREAM with H3_CONNECT_ERROR."""
    agent = expose("echo.apps.test", echo.to)
    with h3.Client(door.port, pki.alice) as client:
        stream = client.ok(client.tcp("echo.apps.test:80"))
        client.say(stream, b"x")
        client.hears(stream, 1)
        kill(agent)
        client.timeout, end = 0.1, time.monotonic() + 10 * SLOW
        while stream not in client.reset and time.monotonic() < end:    # a client who says nothing is given up too
            client.say(stream, b"x")
            with contextlib.suppress(AssertionError):
                client.until(lambda: stream in client.reset, "a reset")
        assert client.reset.get(stream) == 0x10f


# A service that does not hear the end ------------------------------------------------------------------------------

def test_visits_of_a_service_that_ignores_the_end(door, pki, expose, ports):
    """The visitors have gone, the service says nothing and closes nothing: the door gives them up after drain_timeout,
    and then so does the agent."""
    port, held, over = ports[expose.transport], [], threading.Event()
    with peers.Server(lambda sock: (held.append(sock), over.wait(60 * SLOW))) as service:
        expose("deaf.apps.test", service.to, "--public", "--port", port, "--connections", 4)
        for _ in range(3):
            for _ in range(2):
                ctx = tls.context(pki.ca.file)
                ctx.wrap_socket(door.dial(), server_hostname="deaf.apps.test").close()
                door.dial(port=port).close()
            wait_until(lambda: len(held) == 4 and all(gone(sock) for sock in held), "the agent to close", 15)
            held.clear()
        over.set()


def gone(sock):
    """Has the agent closed its connection, not only ended its direction?"""
    with open("/proc/net/tcp") as table:
        ends = "%s:%04X" % ("0100007F", sock.getpeername()[1]) if still(sock) else None
        return ends is None or not any(row.split()[1] == ends and row.split()[3] in ("01", "04", "05", "08")
                                       for row in table.readlines()[1:])


def still(sock):
    try:
        sock.getpeername()
        return True
    except OSError:
        return False
