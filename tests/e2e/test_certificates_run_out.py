# SPDX-License-Identifier: Apache-2.0
"""A client's certificate runs out while it is connected: with `expired: close` the connection ends when it does, whatever
carries it, and the client is told why; by default, and on another route, it goes on."""
import socket
import ssl
import time

import h3
import pytest
import tls
from agents import Agent
from fixtures import clean_env, connect_words
from http2 import Client as H2
from run import PACE, SLOW, Process, free_port, wait_listening, wait_until

LASTS = 5  # seconds; it has to do for the beginning of a test


def config(pki, echo, **clients):
    def route(name, **more):
        return {"name": name, "sni": f"{name}.test", "clients": {"mode": "required", "trust": "staff", **clients}, **more}
    return {"certificates": [pki.server("door.test", "web.test").row()], "trust": [pki.trust()],
            "routes": [route("door", tunnel={}, alpn=["cardea/1", "h2", "h3"]),
                       route("web", terminate={"to": [f"127.0.0.1:{echo.port}"]})],
            "policy": [{"name": "web", "who": {"group": "ops"}, "routes": ["web"]},
                       {"name": "ops", "who": {"group": "ops"}, "routes": ["door"],
                        "targets": [f"127.0.0.1:{echo.port}", "offer:*"]}]}


@pytest.fixture
def closing(start_door, pki, echo):
    return start_door(config(pki, echo, expired="close"))


@pytest.fixture
def brief(pki):
    """Makes certificates that run out soon; `ends` is when."""
    made = []

    def make(lasts=LASTS * PACE):
        name = f"brief{len(made)}{time.monotonic_ns()}"
        cert = pki.staff.client(name, ou=["ops"], end=lasts)
        cert.name, cert.ends = name, int(time.time() + lasts)
        made.append(cert)
        return cert
    return make


class Connect:
    """`cardea connect -L` over one transport, and a connection through it."""

    def __init__(self, door, pki, cert, echo, directory, transport):
        port = free_port()
        self.process = Process([*connect_words(door, cert, pki.ca.file), "--transport", transport,
                                "-L", f"{port}:127.0.0.1:{echo.port}"], directory, "connect", env=clean_env(directory))
        wait_listening(port, self.process)
        self.sock = socket.create_connection(("127.0.0.1", port), 20 * SLOW)

    def says(self, word=b"on!"):
        self.sock.sendall(word)
        return tls.read_exactly(self.sock, len(word)) == word

    def close(self):
        self.sock.close()
        self.process.stop()


@pytest.fixture
def hold(pki, echo, tmp_path):
    held = []

    def make(door, cert, transport):
        held.append(Connect(door, pki, cert, echo, tmp_path, transport))
        return held[-1]
    yield make
    for client in held:
        client.close()


def lasts_until(cert, works):
    """It works up to the end of the certificate's time, or nearly."""
    while time.time() < cert.ends - 1:
        assert works()
        time.sleep(0.2)


@pytest.mark.parametrize("transport", ["tcp", "quic"])
def test_a_tunnel_ends(closing, hold, brief, transport):
    """At its deadline, not before; the user reads why."""
    cert = brief()
    client = hold(closing, cert, transport)
    assert client.says()
    lasts_until(cert, client.says)
    with pytest.raises((OSError, AssertionError)):
        client.sock.settimeout(10 * SLOW)
        while client.says():
            time.sleep(0.1)
    assert time.time() >= cert.ends - 0.1
    line = closing.audited(action="tunnel", identity=cert.name)
    assert line["reason"] == "expired"
    wait_until(lambda: "your certificate has run out" in client.process.output(), lambda: client.process.output())
    if transport == "quic":
        line = closing.audited(action="carrier", identity=cert.name)
        assert line["reason"] == "expired" and "no newer one" in line["detail"]


def test_http2_ends(closing, brief, echo):
    """GOAWAY, each stream reset, then the connection."""
    cert = brief()
    client = H2(closing, cert)
    number = client.connect(f"127.0.0.1:{echo.port}")
    stream = client.answered(number)
    assert stream.status == 200
    client.sock.settimeout((LASTS + 10) * SLOW)
    client.until(lambda: stream.over)
    assert time.time() >= cert.ends - 0.1
    assert closing.audited(action="tunnel", identity=cert.name, transport="h2")["reason"] == "expired"
    assert closing.audited(action="carrier", identity=cert.name)["reason"] == "expired"


def test_http3_ends(closing, brief, echo):
    cert = brief(min(LASTS * PACE, 20))  # the client says nothing meanwhile, and is given up after 30 s of that
    client = h3.Client(closing.port, cert)
    stream = client.tcp(f"127.0.0.1:{echo.port}")
    assert client.answer(stream)[":status"] == "200"
    assert closing.audited(action="tunnel", identity=cert.name, transport="h3", timeout=(LASTS + 10) * SLOW)["reason"] == "expired"
    assert closing.audited(action="carrier", identity=cert.name)["reason"] == "expired"
    assert time.time() >= cert.ends - 0.1
    client.close()


def test_terminated_tls_ends(closing, brief):
    """With the alert that says so."""
    cert = brief()
    sock = tls.connect(closing, "web.test", cert=cert)
    lasts_until(cert, lambda: sock.sendall(b"on!") is None and tls.read_exactly(sock, 3) == b"on!")
    sock.settimeout((LASTS + 10) * SLOW)
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_EXPIRED"):
        sock.recv(1)
    assert closing.audited(route="web", identity=cert.name)["reason"] == "expired"


@pytest.mark.parametrize("transport", ["tcp", "quic"])
def test_an_offer_ends(closing, brief, pki, tmp_path, echo, transport):
    """Withdrawn when the certificate runs out; and its connection does not stay, either."""
    cert = brief()
    agent = Agent(tmp_path, closing.address, pki, "app.test", "--to", f"127.0.0.1:{echo.port}", "--transport", transport,
                  who=cert)
    try:
        line = closing.audited(action="offer", identity=cert.name, timeout=(LASTS + 10) * SLOW)
        assert line["reason"] in ("expired", "bad_certificate", "done"), line
        assert time.time() >= cert.ends - 0.1
        if transport == "quic":
            line = closing.audited(action="carrier", identity=cert.name)
            assert line["reason"] in ("expired", "bad_certificate")
    finally:
        agent.stop()


@pytest.mark.parametrize("clients", [{}, {"expired": "keep"}, {"expired": "close", "grace": "1h"}], ids=["default", "keep", "grace"])
@pytest.mark.parametrize("transport", ["tcp", "quic"])
def test_others_stay(start_door, pki, echo, hold, brief, transport, clients):
    """By default nobody who is connected is lost; and the grace is a time like any."""
    door = start_door(config(pki, echo, **clients))
    cert = brief()
    client = hold(door, cert, transport)
    while time.time() < cert.ends + 2:
        assert client.says()
        time.sleep(0.2)


def test_the_grace_passes(start_door, pki, echo, hold, brief):
    door = start_door(config(pki, echo, expired="close", grace="2s"))
    cert = brief()
    client = hold(door, cert, "tcp")
    assert client.says()
    line = door.audited(action="tunnel", identity=cert.name, timeout=(LASTS + 10) * SLOW)
    assert line["reason"] == "expired" and time.time() >= cert.ends + 1.9
