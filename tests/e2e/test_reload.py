# SPDX-License-Identifier: Apache-2.0
"""A new configuration under load: nothing is lost, the new one is in force, and a wrong one changes nothing."""
import re
import signal

import pytest

import peers
import tls
from chatter import Chatter
from run import SANITIZER, free_port, listening, wait_until

LIVE = 500 if SANITIZER is None else 100


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    server = peers.EchoProcess(tmp_path_factory.mktemp("echo"))
    yield server
    server.stop()


@pytest.fixture
def one():
    with peers.Server(peers.says("one")) as server:
        yield server


@pytest.fixture
def two():
    with peers.Server(peers.says("two")) as server:
        yield server


def config(pki, many, named):
    """Routes for the chatter, and one that leads to `named`."""
    return {"certificates": [pki.server("www.test").row()],
            "routes": [{"name": "passed", "sni": "pass.test", "pass": {"to": many.to}},
                       {"name": "terminated", "sni": "www.test", "terminate": {"to": many.to}},
                       {"name": "probe", "sni": "probe.test", "pass": {"to": named.to}}]}


def answers(door, sni="probe.test", port=None):
    """The first line behind a pass route; "" when there is none."""
    try:
        with door.dial(port) as sock:
            sock.sendall(tls.client_hello(sni))
            return sock.makefile("rb").readline().decode().strip()
    except OSError:
        return ""


@pytest.mark.parametrize("how", ["signal", "command"])
def test_under_live_connections(start_door, pki, many, one, two, how):
    """500 connections keep exchanging bytes through ten reloads. None is lost; new connections see the new routes."""
    door = start_door(config(pki, many, one))
    chatter = Chatter(door, passed=LIVE // 2, terminated=LIVE - LIVE // 2)
    chatter.wait_rounds(2)
    for turn in range(10):
        server = (two, one)[turn % 2]
        door.configure(config(pki, many, server))
        if how == "signal":
            door.process.send(signal.SIGHUP)
        else:
            door.reload()
        word = ("two", "one")[turn % 2]
        wait_until(lambda word=word: answers(door) == word, f"the probe to say {word}")
    chatter.wait_rounds(2)
    chatter.stop()


def test_command_returns_when_it_is_in_force(start_door, pki, many, one, two):
    """After `cardea reload` the very next connection sees the new configuration."""
    door = start_door(config(pki, many, one))
    for turn in range(20):
        door.reload(config(pki, many, (two, one)[turn % 2]))
        assert answers(door) == ("two", "one")[turn % 2]


WRONG = [
    ("routes:\n  - name: x\n    nonsense: 1\n", r":3:5: .*nonsense"),
    ("routes: [\n", r":\d+:\d+: "),
    ("listeners:\n  - address: nowhere\nroutes: []\n", r":2:14: .*nowhere"),
    ("certificates:\n  - certificate: missing.pem\n    key: missing.key\nlisteners:\n  - address: 127.0.0.1:1\nroutes:\n"
     "  - {name: a, terminate: {to: '127.0.0.1:1'}}\n", r":2:\d+: .*missing\.pem"),
]


@pytest.mark.parametrize("text, complaint", WRONG)
@pytest.mark.parametrize("how", ["signal", "command"])
def test_wrong_file_is_refused(start_door, pki, many, one, text, complaint, how):
    """File, line and column are named; the old configuration stays in force."""
    door = start_door(config(pki, many, one))
    door.configure(text)
    if how == "signal":
        door.process.send(signal.SIGHUP)
        wait_until(lambda: re.search(r"door\.yaml" + complaint, door.process.output()), door.process.output)
    else:
        done = door.cli("reload")
        assert done.returncode == 1
        assert re.search(r"door\.yaml" + complaint, done.stderr.decode()), done.stderr.decode()
    assert answers(door) == "one"


def test_listeners_come_and_go(start_door, pki, many, one):
    """A listener is added, then the first one taken away: its connections live on, new ones are refused."""
    base = config(pki, many, one)
    door = start_door(base)
    second = free_port()
    first = {"name": "main", "address": door.address}
    added = {"name": "second", "address": f"127.0.0.1:{second}"}
    chatter = Chatter(door, passed=20, terminated=20)
    chatter.wait_rounds(1)
    door.reload({**base, "listeners": [first, added]})
    assert answers(door) == answers(door, port=second) == "one"
    door.reload({**base, "listeners": [added]})
    assert answers(door, port=second) == "one"
    wait_until(lambda: not listening(door.port), "the first listener to close")
    assert answers(door) == ""
    chatter.wait_rounds(3)
    chatter.stop()


def test_port_that_is_taken(start_door, pki, many, one):
    """A new listener that cannot be opened refuses the whole reload."""
    base = config(pki, many, one)
    door = start_door(base)
    door.configure({**base, "listeners": [{"name": "main", "address": door.address},
                                          {"name": "taken", "address": one.to}]})
    done = door.cli("reload")
    assert done.returncode == 1 and one.to.encode() in done.stderr, done.stderr.decode()
    assert answers(door) == "one"


def test_new_certificate_in_the_same_file(start_door, pki, many, one, tmp_path):
    """A renewed certificate is picked up by a reload."""
    files = tmp_path / "c.pem", tmp_path / "c.key"

    def put(cert):
        for path, source in zip(files, (cert.certificate, cert.key)):
            path.write_bytes(open(source, "rb").read())
            path.chmod(0o600)
    base = {**config(pki, many, one), "certificates": [{"certificate": str(files[0]), "key": str(files[1])}]}
    put(pki.ca.issue("www.test", dns=["www.test"], label="reload-1"))
    door = start_door(base)

    def serial():
        return tls.s_client(door, "www.test").find(r"(?s)(-----BEGIN CERTIFICATE-----.*?-----END)")
    before = serial()
    put(pki.ca.issue("www.test", dns=["www.test"], label="reload-2"))
    assert serial() == before
    door.reload()
    assert serial() not in (before, None)


def test_limits_and_policy_change(start_door, pki, banner, connect):
    """What a rule forbids after the reload is forbidden."""
    base = {"certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
            "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}]}
    rule = {"name": "ops", "who": {"group": "ops"}, "targets": [f"127.0.0.1:{banner.port}"]}
    door = start_door({**base, "policy": [rule]})
    target = f"127.0.0.1:{banner.port}"
    assert connect(door, target).returncode == 0
    door.reload({**base, "policy": [{**rule, "effect": "deny", "name": "closed"}]})
    done = connect(door, target)
    assert done.returncode == 1 and b"closed" in done.stderr
