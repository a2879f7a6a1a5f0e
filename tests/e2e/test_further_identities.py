# SPDX-License-Identifier: Apache-2.0
"""An agent offers, on one connection to the door, names that the policy gives to different people: who is not whom the
connection was opened as is proven on it, by an authenticator (RFC 9261). The door takes what is genuine on that connection,
and nothing else."""
import base64
import shutil
import time

import pytest

import tls
from agents import Agent
from authenticators import Client
from run import SLOW, wait_until

LASTS = 6 * SLOW


@pytest.fixture
def door(start_door, pki):
    clients = {"mode": "required", "trust": "staff"}
    return start_door({
        "certificates": [pki.server("door.test").row(), pki.server("*.apps.test").row()],
        "trust": [pki.trust()],
        "agents": {"grace": "0s"},
        "limits": {"handshake_timeout": "2s"},
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": clients},
                   {"name": "apps", "sni": "*.apps.test", "expose": {}, "clients": {**clients, "mode": "optional"}}],
        "policy": [{"name": "alices", "who": {"name": ["alice"]}, "targets": ["public:a.apps.test"]},
                   {"name": "carols", "who": {"name": ["carol"]}, "targets": ["public:c.apps.test", "public:d.apps.test"]}]})


@pytest.fixture
def carol(pki):
    def make(lasts=3600):
        return pki.staff.client("carol", end=lasts, label=f"carol-{time.monotonic_ns()}")
    return make


def works(sock, size=100):
    sock.sendall(b"x" * size)
    return tls.read_exactly(sock, size) == b"x" * size


def offers(door):
    return {o["name"]: o["agent"] for o in door.status()["offers"]}


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_one_connection_for_two(door, pki, carol, echo, tmp_path, transport):
    """Each offer is its own identity's. A newer certificate is taken up, and visitors stay; where there is none the offer
    is withdrawn when it runs out, and the other goes on."""
    first = carol(LASTS)
    for suffix in "pem", "key":
        shutil.copy(first.certificate if suffix == "pem" else first.key, tmp_path / f"carol.{suffix}")
    (tmp_path / "carol.key").chmod(0o600)
    config = tmp_path / "agent.yaml"
    config.write_text(f"""
services:
  - {{name: a.apps.test, to: "{echo.to}", kind: public}}
  - {{name: c.apps.test, to: "{echo.to}", kind: public, also_cert: carol.pem, also_key: carol.key}}
""")
    agent = Agent(tmp_path, door.address, pki, "-c", config, "--transport", transport, "--retry")
    wait_until(lambda: offers(door) == {"a.apps.test": "alice", "c.apps.test": "carol"},
               lambda: f"{offers(door)}\n{agent.output()}")
    with tls.connect(door, "c.apps.test", ca=pki.ca.file) as visitor, tls.connect(door, "a.apps.test", ca=pki.ca.file) as other:
        assert works(visitor) and works(other)
        second = carol(2 * LASTS)
        for suffix, path in (("key", second.key), ("pem", second.certificate)):
            shutil.copy(path, tmp_path / f"carol.{suffix}")
        wait_until(lambda: agent.output().count("offering c.apps.test") == 2, agent.output, LASTS)
        assert works(visitor) and works(tls.connect(door, "c.apps.test", ca=pki.ca.file))
        agent.says("has withdrawn the offer of c.apps.test", 3 * LASTS)
        assert works(visitor) and works(other) and offers(door) == {"a.apps.test": "alice"}
    agent.end()
    lines = [line for line in door.audit() if line["action"] == "offer" and line["reason"] != "denied"]
    assert {line["target"]: line["identity"] for line in lines} == {"public:a.apps.test": "alice", "public:c.apps.test": "carol"}
    assert transport == "tcp" or len({line["carrier"] for line in lines}) == 1


def test_whose_name_it_is(door, pki, carol, echo, tmp_path):
    """Nobody's rights are added up: neither are alice's carol's, nor are hers on the names that are alice's."""
    one = carol()
    for name, also, said in (("c.apps.test", [], "no rule lets alice offer c.apps.test"),
                             ("a.apps.test", ["--also-cert", one.certificate, "--also-key", one.key],
                              "no rule lets carol offer a.apps.test")):
        agent = Agent(tmp_path, door.address, pki, name, "--to", echo.to, "--public", *also, name=name)
        assert agent.wait(timeout=20 * SLOW) == 1 and said in agent.output(), agent.output()


def prove(door, directory, cert, make):
    """An offer by hand: what the door says to what `make` (of the connection and the request) has made."""
    client = Client(door, cert, directory)
    asked = client.ask(offer="c.apps.test", kind="public", proves=True)
    assert asked["ok"], asked
    made = make(client, base64.b64decode(asked["request"]))
    client.say({"v": 1, "authenticator": len(made)}, made)
    return client.hear(), client


def test_what_is_not_taken(door, pki, carol, tmp_path):
    one, heard = carol(), []

    def good(client, asked):
        heard.append(client.authenticate(asked, one))
        return heard[-1]
    said, first = prove(door, tmp_path, pki.alice, good)
    assert said == {"v": 1, "ok": True}
    elsewhere = Client(door, pki.alice, tmp_path)
    for why, make in (
            ("answers another request", lambda client, asked: heard[0]),  # a replay
            ("", lambda client, asked: elsewhere.authenticate(asked, one)),  # of another connection of the same agent
            ("", lambda client, asked: first.authenticate(asked, one)),  # of that of an offer that stands
            ("has proven nobody", lambda client, asked: client.authenticate(asked, one, empty=True)),
            ("not in trust bundle", lambda client, asked: client.authenticate(asked, pki.mallory)),
            ("expired", lambda client, asked: client.authenticate(asked, carol(-60))),
            ("", lambda client, asked: b"\0" * 100)):
        said, _ = prove(door, tmp_path, pki.alice, make)
        assert said["ok"] is False and said["code"] == "denied" and why in said["text"], said
    said, _ = prove(door, tmp_path, pki.alice, lambda client, asked: client.authenticate(asked, pki.bob))
    assert said["ok"] is False and "no rule lets bob offer c.apps.test" in said["text"], said
    assert "public:c.apps.test" in {line["target"] for line in door.audit() if line["reason"] == "denied"}
    for message in ({"offer": "c.apps.test", "proves": 1}, {"target": "c.apps.test:1", "proves": True}):
        assert Client(door, pki.alice, tmp_path).ask(**message)["code"] == "bad_hello"
    door.mark()
    silent = Client(door, pki.alice, tmp_path)
    assert silent.ask(offer="d.apps.test", kind="public", proves=True)["ok"]
    silent.sock.sendall(b"\0")
    assert door.audited(reason="handshake_timeout")["target"] == "public:d.apps.test"
