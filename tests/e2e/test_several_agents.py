# SPDX-License-Identifier: Apache-2.0
"""Several agents that offer one name: visitors are spread, one that stops lets its visitors finish, one that is killed or
whose service is down gets no more; and visitors who come while there is none wait for a while."""
import itertools
import queue
import signal
import ssl
import threading
import time

import pytest

import peers
import tls
from agents import Agent, Stream
from run import SLOW, ms, wait_until

numbers = itertools.count()
GRACE = 1500            # milliseconds
MOST = 6                # visitors at once under a name of the limited door
RATE = 256 * 1024       # its bytes per second


def config(pki, **agents):
    return {
        "certificates": [pki.server("door.test").row(), pki.server("*.apps.test").row()],
        "trust": [pki.trust()],
        "agents": agents,
        "limits": {"dial_timeout": ms(5000)},
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}},
                   {"name": "apps", "sni": "*.apps.test", "expose": {}}],
        "policy": [{"name": "agents", "who": {"any": True}, "targets": ["public:*.apps.test"]}],
    }


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return start_module_door(config(pki, grace=ms(GRACE)))


class Agents:
    """Starts agents for one name, over one transport; each has a service that greets with a word, and echoes."""

    def __init__(self, transport, pki, directory):
        self.transport, self.pki, self.directory = transport, pki, directory
        self.name = f"app{next(numbers)}.apps.test"
        self.started = []

    def start(self, door, word, *words, **more):
        service = peers.Server(peers.says(word))
        agent = Agent(self.directory, door.address, self.pki, self.name, "--to", service.to, "--transport",
                      self.transport, "--public", "--grace", "0s", *words, name=f"{word}-{len(self.started)}", **more)
        agent.service = service
        self.started.append(agent)
        agent.says(f"over {self.transport.upper()}")
        return agent

    def visit(self, door):
        """A visitor, and who serves him."""
        sock = tls.connect(door, self.name)
        return sock, tls.read_line(sock)

    def stop(self):
        for agent in self.started:
            if agent.poll() is None:
                agent.end()
            agent.service.stop()


@pytest.fixture(params=["quic", "tcp"])
def agents(request, pki, tmp_path):
    agents = Agents(request.param, pki, tmp_path)
    yield agents
    agents.stop()


def still_there(sock):
    sock.sendall(b"still here")
    return tls.read_exactly(sock, 10) == b"still here"


def close_all(visitors):
    for sock, _ in visitors:
        tls.finish(sock)
        sock.close()


# Who serves -------------------------------------------------------------------------------------------------------

def test_spread(door, agents):
    """The one with the fewest visitors gets the next: a third each of those who stay, whatever those did who have gone."""
    for word in ("one", "two", "three"):
        agents.start(door, word)
    visitors = [agents.visit(door) for _ in range(12)]
    served = [word for _, word in visitors]
    assert {word: served.count(word) for word in set(served)} == {"one": 4, "two": 4, "three": 4}
    gone = [each for each in visitors if each[1] == "two"]
    door.mark()
    close_all(gone)
    door.audited(4, action="expose")
    new = [agents.visit(door) for _ in range(4)]
    assert [word for _, word in new] == ["two"] * 4
    assert all(still_there(sock) for sock, word in visitors if word != "two")
    close_all([*(each for each in visitors if each[1] != "two"), *new])


def test_one_after_the_other(start_door, pki, agents):
    """Where none has a visitor they take turns. (On one worker: each knows of its own visitors only.)"""
    door = start_door({**config(pki), "workers": 1})
    for word in ("one", "two", "three"):
        agents.start(door, word)
    served = []
    for _ in range(12):
        sock, word = agents.visit(door)
        sock.close()
        served.append(word)
        door.audited(len(served), action="expose")
    assert sorted(served[:3]) == ["one", "three", "two"] and served == served[:3] * 4


def test_agents_hear_of_each_other(start_door, pki, agents):
    """Whoever offers a name is told when another offers it too, on whatever worker, and when that one has gone; and of
    nobody where it only offers its own anew."""
    door = start_door(config(pki))
    first = agents.start(door, "first", "--json")
    second = agents.start(door, "second", "--json")
    text = f"{agents.name}: another agent (alice) offers it too and takes a part of the visitors"
    first.says(text)
    second.says(text)
    second.end()
    first.says(f"{agents.name}: no other agent offers it any more")
    door.stop()
    door.start()
    wait_until(lambda: len(first.events("offering")) == 2, first.output, 30)
    time.sleep(1.5)
    assert [event["fellows"] for event in first.events("fellows")] == [1, 0]


def test_another_takes_a_fellows_place(door, pki, agents):
    """One comes as another goes, before either was told: they are as many as before, and it is told who it is now."""
    first = agents.start(door, "first", "--json")
    second = agents.start(door, "second", who=pki.bob)
    first.says(f"{agents.name}: another agent (bob) offers it too")
    agents.start(door, "third")
    second.end()
    first.says(f"{agents.name}: another agent (alice) offers it too")
    assert first.events("fellows")[-1]["identity"] == "alice"


def offers(door, cert, name):
    """An agent's control stream."""
    stream = Stream(tls.connect(door, "door.test", cert=cert, alpn=["cardea/1"]))
    stream.say(offer=name, kind="public")
    assert stream.message()["ok"]
    return stream


def test_nobody_joins_unseen(door, pki):
    """Whoever offers a name for less than the second after which others are told is told of all the same, each by name,
    one a second; then, that they are gone."""
    name = f"app{next(numbers)}.apps.test"
    first, told = offers(door, pki.alice, name), []
    carol = pki.staff.client("carol", label="carol")
    for cert in (pki.bob, carol, pki.bob):
        offers(door, cert, name).sock.close()
    began = time.monotonic()
    while len(told) < 3:
        message = first.message()
        if "fellows" in message:
            told.append((message["fellows"], message.get("fellow")))
    assert told == [(1, "bob"), (1, "carol"), (0, None)]
    assert time.monotonic() - began > 2.5
    first.sock.close()


def test_drain_of_an_agent(door, agents):
    """SIGTERM: its visitors finish, new ones go to the other, and it ends with the last of them."""
    stays, goes = agents.start(door, "stays"), agents.start(door, "goes", "--grace", "20s")
    visitors = [agents.visit(door) for _ in range(4)]
    assert sorted(word for _, word in visitors) == ["goes"] * 2 + ["stays"] * 2
    goes.send(signal.SIGTERM)
    # Who was on the way when it was told may still have come; who was turned away is led to the other.
    new = [agents.visit(door) for _ in range(6)]
    assert [word for _, word in new[2:]] == ["stays"] * 4
    assert all(still_there(sock) for sock, _ in visitors)
    assert goes.poll() is None
    close_all(visitors)
    close_all(new)
    assert goes.wait(10) == 0
    assert stays.poll() is None


@pytest.mark.alone
def test_killed_under_load(door, agents):
    """Visitors come without a pause while one of two agents is killed: each who comes from then on is served by the other,
    over TCP at once. Over QUIC nothing tells of its end: who finds out, or later whether it is back, waits for a second."""
    agents.start(door, "stays")
    goes = agents.start(door, "goes")
    blind = 2 * SLOW if agents.transport == "quic" else 0.3 * SLOW
    stopping, served, failed = threading.Event(), [], []

    def knock():
        while not stopping.is_set():
            began = time.monotonic()
            try:
                sock, word = agents.visit(door)
                assert word and still_there(sock)
                sock.close()
                served.append((began, word, time.monotonic() - began))
            except (OSError, ssl.SSLError, AssertionError) as error:
                failed.append((began, repr(error), time.monotonic() - began))
            time.sleep(0.02)
    threads = [threading.Thread(target=knock, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: {word for _, word, _ in served} == {"stays", "goes"} and len(served) > 40, "both to serve")
    staying = [agents.visit(door) for _ in range(4)]
    goes.stop(signal.SIGKILL)
    killed = time.monotonic()
    wait_until(lambda: sum(began > killed + blind for began, *_ in served) > 40, "many more to be served", 20)
    stopping.set()
    for thread in threads:
        thread.join(10 * SLOW)
    assert not [each for each in failed if each[0] > killed], failed
    late = [(word, took) for began, word, took in served if began > killed + blind]
    assert {word for word, _ in late} == {"stays"}
    times = sorted(took for _, took in late)
    assert times[-1] < (2 if agents.transport == "quic" else 1) * SLOW
    assert times[len(times) * 3 // 4] < 0.5 * SLOW, times
    for sock, word in staying:
        if word == "stays":
            assert still_there(sock)
        elif agents.transport == "tcp":
            assert tls.ended(sock), "cut off, not left hanging"
        sock.close()


@pytest.mark.parametrize("agents", ["quic"], indirect=True)
def test_falls_silent(door, agents):
    """An agent over QUIC whose packets do not come for a while: who was sent there waits for it or is led to another, and
    it gets visitors again when it is heard again."""
    agent = agents.start(door, "first")
    served = queue.Queue()

    def knock():
        sock, word = agents.visit(door)
        close_all([(sock, word)])
        served.put(word)

    def knock_twice():
        """One who finds out that it is silent, and one who comes when that is known."""
        for _ in range(2):
            threading.Thread(target=knock, daemon=True).start()
            time.sleep(1.3)
    agent.send(signal.SIGSTOP)
    knock_twice()
    assert served.empty()
    agent.send(signal.SIGCONT)
    assert [served.get(timeout=10 * SLOW) for _ in range(2)] == ["first"] * 2
    other = agents.start(door, "second")
    agent.send(signal.SIGSTOP)
    knock_twice()
    assert [served.get(timeout=10 * SLOW) for _ in range(2)] == ["second"] * 2
    agent.send(signal.SIGCONT)
    other.send(signal.SIGTERM)
    wait_until(lambda: knock() or served.get() == "first", "the first to be back")


def test_health(door, agents):
    """Nobody is sent to an agent whose service is down; when it is up again it is."""
    good, bad = agents.start(door, "good"), agents.start(door, "bad", "--health", "100ms")
    first = [agents.visit(door) for _ in range(2)]
    assert sorted(word for _, word in first) == ["bad", "good"]
    close_all(first)
    bad.service.stop()

    def who(count=4):
        visitors = [agents.visit(door) for _ in range(count)]
        close_all(visitors)
        return {word for _, word in visitors}
    assert who() == {"good"}, "one that cannot serve costs the visitor nothing"
    time.sleep(0.5 * SLOW)
    assert who() == {"good"}
    bad.service.start()
    # Without visitors the first of the two would always do: hold some of its.
    held = []

    def both():
        held.append(agents.visit(door))
        return held[-1][1] == "bad"
    wait_until(both, "the one that was down to serve again", step=0.1)
    close_all(held)
    assert good.poll() is None


# When there is none -----------------------------------------------------------------------------------------------

def leave(door, agents, agent):
    """The agent goes, over TCP without a word."""
    door.mark()
    agent.stop(signal.SIGKILL if agents.transport == "tcp" else signal.SIGTERM)
    door.audited(action="offer", target=f"public:{agents.name}")


def test_visitors_wait_for_an_agent_that_was_there(door, agents):
    """Another comes within the grace: it serves those who have come in between."""
    leave(door, agents, agents.start(door, "first"))
    served = queue.Queue()

    def wait():
        sock, word = agents.visit(door)
        close_all([(sock, word)])
        served.put(word)
    for _ in range(5):
        threading.Thread(target=wait, daemon=True).start()
    time.sleep(0.3)
    assert served.empty()
    agents.start(door, "second")
    assert [served.get(timeout=10 * SLOW) for _ in range(5)] == ["second"] * 5


def test_the_grace_ends(door, agents):
    """Nobody comes back: an alert that says that nobody is known by that name, and a line that says why."""
    leave(door, agents, agents.start(door, "only"))
    with pytest.raises((ssl.SSLError, OSError)) as error:
        agents.visit(door)
    line = door.audited(sni=agents.name)
    assert line["reason"] == "no_agent" and "none came back in time" in line.get("detail", ""), line
    assert "unrecognized" in str(error.value).lower(), error.value
    assert line["total_ms"] < GRACE * SLOW + 1000
    # From now on nobody has to wait.
    with door.dial() as sock:
        began = time.monotonic()
        sock.sendall(tls.client_hello(agents.name))
        assert tls.alert_of(sock) == 112 and time.monotonic() - began < GRACE / 1000 * SLOW


# Bounds under a name ----------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def limited(start_module_door, pki):
    return start_module_door(config(pki, grace="0s", connections=MOST, bandwidth=RATE))


def test_connections(limited, agents):
    """So many visitors at once, of all agents together; the next is told nothing but the end, and the line says why."""
    agents.start(limited, "one")
    agents.start(limited, "two")
    visitors = [agents.visit(limited) for _ in range(MOST)]
    assert sorted(word for _, word in visitors) == ["one"] * (MOST // 2) + ["two"] * (MOST // 2)
    for _ in range(3):
        limited.mark()
        sock, word = agents.visit(limited)
        assert word == ""
        sock.close()
        line = limited.audited(action="expose")
        assert line["reason"] == "no_agent" and "as many visitors as it may" in line["detail"], line
    assert all(still_there(sock) for sock, _ in visitors)
    close_all(visitors[:1])

    def let_in():
        sock, word = agents.visit(limited)
        close_all([(sock, word)])
        return word
    wait_until(let_in, "room for another", step=0.1)
    close_all(visitors[1:])


def test_bandwidth(limited, agents):
    """Two visitors at two agents: what both have in two seconds, there and back, is about what the name may use."""
    agents.start(limited, "one")
    agents.start(limited, "two")
    stop, moved = time.monotonic() + 2, []

    def pump():
        sock, _ = agents.visit(limited)
        sock.settimeout(2)
        reader = threading.Thread(target=read, args=(sock,), daemon=True)
        reader.start()
        try:
            while time.monotonic() < stop:
                sock.sendall(bytes(16384))
        except OSError:
            pass
        reader.join(10 * SLOW)
        sock.close()

    def read(sock):
        try:
            while time.monotonic() < stop and (data := sock.recv(65536)):
                moved.append(len(data))
        except OSError:
            pass
    threads = [threading.Thread(target=pump, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20 * SLOW)
    back = sum(moved)   # as much went there, so half of what may pass comes back
    assert RATE / 4 < back < 2 * RATE * 2, back
