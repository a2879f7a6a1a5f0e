# SPDX-License-Identifier: Apache-2.0
"""A door that stops while agents offer services at it: visitors finish, on whatever worker they are, and nobody waits
for an agent that cannot come back."""
import json
import signal
import socket
import subprocess
import time

import pytest

import tls
from agents import Agent, Stream
from fixtures import clean_env, connect_words
from relay import Relay
from run import SLOW, listening, ms, wait_until

VISITORS = 8


def config(pki):
    return {
        "certificates": [pki.server("door.test").row(), pki.server("*.apps.test").row()],
        "trust": [pki.trust()],
        "agents": {"grace": "60s"},
        "limits": {"drain_timeout": ms(20000), "dial_timeout": ms(20000)},
        "routes": [
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "apps", "sni": "*.apps.test", "expose": {}, "clients": {"mode": "optional", "trust": "staff"}},
        ],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["public:*.apps.test", "name:*.apps.test"]}],
    }


@pytest.fixture
def door(start_door, pki):
    return start_door(config(pki))


def sessions(door):
    return json.loads(door.get("/sessions")[1])["sessions"]


def worker_of(session):
    """Ids are in base32; each worker gives every second one."""
    return "abcdefghijklmnopqrstuvwxyz234567".index(session["id"][-1]) % 2


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_visitors_finish_on_every_worker(door, pki, echo, tmp_path, transport):
    """Also where the agent's worker has nobody else: it goes on for those of the other one."""
    agent = Agent(tmp_path, door.address, pki, "echo.apps.test", "--to", echo.to, "--public", "--transport", transport,
                  "--verbose")
    agent.says("over " + transport.upper())
    home = worker_of(next(s for s in sessions(door) if s["state"] == "reside"))
    visitors = []
    while len(visitors) < VISITORS:
        sock = tls.connect(door, "echo.apps.test")
        sock.sendall(b"hello")
        assert tls.read_exactly(sock, 5) == b"hello"
        own = "%s:%d" % sock.getsockname()
        if worker_of(next(s for s in sessions(door) if s["peer"] == own)) != home:
            visitors.append(sock)
        else:
            tls.finish(sock)
            sock.close()
    door.process.send(signal.SIGTERM)
    for _ in range(10):
        time.sleep(0.1)
        for sock in visitors:
            sock.sendall(b"still here")
            assert tls.read_exactly(sock, 10) == b"still here"
    start = time.monotonic()
    for sock in visitors:
        tls.finish(sock)
        sock.close()
    assert door.process.wait() == 0
    assert time.monotonic() - start < 10 * SLOW, "it waited for drain_timeout though nobody was left"
    lines = [line for line in door.audit() if line.get("sni") == "echo.apps.test"]
    assert {line["reason"] for line in lines} == {"done"}
    agent.end()


def test_the_drain_of_visitors_has_an_end(door, pki, echo, tmp_path):
    """Told twice, the door ends them all, on every worker, with a reason."""
    agent = Agent(tmp_path, door.address, pki, "echo.apps.test", "--to", echo.to, "--public", "--transport", "quic",
                  "--verbose")
    agent.says("over QUIC")
    visitors = [tls.connect(door, "echo.apps.test") for _ in range(VISITORS)]
    for sock in visitors:
        sock.sendall(b"hello")
        assert tls.read_exactly(sock, 5) == b"hello"
    start = time.monotonic()
    door.process.send(signal.SIGTERM)
    wait_until(lambda: not listening(door.port), "the door to have heard it")   # two signals at once are one
    door.process.send(signal.SIGTERM)
    assert door.process.wait() == 0
    assert time.monotonic() - start < 10 * SLOW
    lines = [line for line in door.audit() if line.get("sni") == "echo.apps.test"]
    assert [line["reason"] for line in lines] == ["shutdown"] * VISITORS
    agent.end()


def test_nobody_waits_for_a_connection_of_an_agent(door, pki):
    """An agent over TCP that brings none, and a door that takes none any more: the visitor hears so at once."""
    with tls.connect(door, "door.test", cert=pki.alice, alpn=["cardea/1"]) as sock:
        control = Stream(sock)
        control.say(offer="echo.apps.test", kind="public")
        assert control.message()["ok"]
        visitor = tls.connect(door, "echo.apps.test")
        wait_until(lambda: "dial" in {s["state"] for s in sessions(door)}, "the visitor to wait")
        start = time.monotonic()
        door.process.send(signal.SIGTERM)
        assert tls.ended(visitor)
        visitor.close()
    assert door.process.wait() == 0
    assert time.monotonic() - start < 5 * SLOW
    line = door.audited(sni="echo.apps.test")
    assert (line["reason"], line["detail"]) == ("no_agent", "the agent could not be reached")


def test_nobody_waits_for_an_agent(door, pki, tmp_path):
    """Who waits for an agent when the door stops is told so at once: by server name an alert, by `connect` a text."""
    waiting = socket.create_connection(("127.0.0.1", door.port), timeout=10 * SLOW)
    waiting.sendall(tls.client_hello("late.apps.test"))
    connect = subprocess.Popen([*connect_words(door, pki.alice, pki.ca.file), "--transport", "quic", "late.apps.test"],
                               env=clean_env(tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    wait_until(lambda: {"meet", "dial"} <= {s["state"] for s in sessions(door)}, "both to wait")
    start = time.monotonic()
    door.process.send(signal.SIGTERM)
    assert tls.alert_of(waiting) == 112
    assert b"the door stops" in connect.communicate(timeout=10 * SLOW)[1]
    assert connect.returncode == 1
    waiting.close()
    assert door.process.wait() == 0
    assert time.monotonic() - start < 10 * SLOW
    for line in door.audit():
        if line["action"] != "carrier":
            assert line["reason"] == "shutdown" and line["detail"] == "the door stops", line


def test_what_was_left_takes_nothing_down(door, start_door, pki, echo, tmp_path):
    """An agent's offers have moved to the door that took the first one's place; a visitor has stayed on the connection
    to the first one. That one is killed: what has moved is not touched by it."""
    with Relay(door.port) as relay:
        agent = Agent(tmp_path, f"127.0.0.1:{relay.port}", pki, "echo.apps.test", "--to", echo.to, "--public",
                      "--transport", "quic", "--json", "--grace", "1s")
        agent.says("over QUIC")
        with tls.connect(door, "echo.apps.test") as stays:
            stays.sendall(b"hello")
            assert tls.read_exactly(stays, 5) == b"hello"
            other = start_door(config(pki))
            relay.lead(other.port)
            door.process.send(signal.SIGTERM)
            wait_until(lambda: len(agent.events("offering")) == 2, agent.output)
            stays.sendall(b"still here")
            assert tls.read_exactly(stays, 10) == b"still here"
            door.process.send(signal.SIGKILL)
            door.process.wait()
            door.process = None
        time.sleep(10)  # its keep-alive is not answered, and that has been looked at
        assert not [line for line in other.audit() if line["action"] == "offer"]
        with tls.connect(other, "echo.apps.test") as visitor:
            visitor.sendall(b"hello")
            assert tls.read_exactly(visitor, 5) == b"hello"
        assert len(agent.events("offering")) == 2 and not agent.events("lost"), agent.output()
        agent.end()
