# SPDX-License-Identifier: Apache-2.0
"""The connections that agents keep ready over TCP: one that has died unnoticed costs its visitor a moment and nothing
more; they are probed, and count as connections do. The agents here are scripted where they have to misbehave."""
import ctypes
import select
import socket
import ssl
import struct
import subprocess
import time

import pytest
import yaml

import peers
from agents import Agent, Stream
from run import CARDEA, SLOW, Process, free_port, ms, run, wait_until
from fixtures import clean_env

SO_ATTACH_FILTER = 26


def config(pki, **more):
    clients = {"mode": "required", "trust": "staff"}
    return {
        "certificates": [pki.server("door.test").row(), pki.server("*.apps.test").row()],
        "trust": [pki.trust()],
        "agents": {"grace": "1s"},
        "limits": {"dial_timeout": ms(10000)},
        "routes": [
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": clients},
            {"name": "apps", "sni": "*.apps.test", "expose": {}, "clients": {"mode": "optional", "trust": "staff"}},
        ],
        "policy": [{"name": "agents", "who": {"group": "ops"}, "targets": ["offer:*.apps.test", "public:*.apps.test"]}],
        **more,
    }


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return start_module_door(config(pki))


class Scripted:
    """An agent in the test's own hands, over TCP."""

    def __init__(self, door, pki, name):
        self.door, self.socks = door, []
        self.ctx = ssl.create_default_context(cafile=pki.ca.file)
        self.ctx.load_cert_chain(pki.alice.certificate, pki.alice.key)
        self.ctx.set_alpn_protocols(["cardea/1"])
        self.control = self.connect(offer=name, kind="public")
        self.ids = []

    def connect(self, **hello):
        raw = socket.create_connection(("127.0.0.1", self.door.port), 10 * SLOW)
        stream = Stream(self.ctx.wrap_socket(raw, server_hostname="door.test"))
        self.socks.append(stream.sock)
        stream.say(**hello)
        assert stream.message()["ok"] is True
        return stream

    def spare(self):
        """A connection that is ready at the door."""
        while not self.ids:
            self.ids += self.control.message().get("spares", [])
        return self.connect(spare=self.ids.pop(0))

    def close(self):
        for sock in self.socks:
            sock.close()


@pytest.fixture
def scripted(door, pki):
    begun = []

    def start(name):
        begun.append(Scripted(door, pki, name))
        return begun[-1]
    yield start
    for agent in begun:
        agent.close()


def make_deaf(sock):
    """The kernel drops whatever comes for this socket, as a network does that has forgotten the connection: nothing is
    acknowledged, and nobody is told."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))     # BPF: return 0
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                    struct.pack("HL", 1, ctypes.addressof(drop_all)))


def visitor(door, pki, name):
    ctx = ssl.create_default_context(cafile=pki.ca.file)
    raw = socket.create_connection(("127.0.0.1", door.port), 10 * SLOW)
    sock = ctx.wrap_socket(raw, server_hostname=name)
    sock.settimeout(15 * SLOW)
    return sock


def serve(stream):
    """Say yes to the visitor who comes, and tell who he is."""
    about = stream.message()
    stream.say(ok=True, behind=b"hello")
    return about


def test_a_dead_connection_is_passed_over(door, pki, scripted):
    """The first has died without a word: the visitor gets the second, after two seconds, and has noticed nothing but
    them. What he has said meanwhile is not lost."""
    agent = scripted("dead.apps.test")
    dead, alive = agent.spare(), agent.spare()
    time.sleep(0.3)     # both wait at the offer's home
    make_deaf(dead.sock)
    begun = time.monotonic()
    with visitor(door, pki, "dead.apps.test") as sock:
        sock.sendall(b"early")
        about = serve(alive)
        assert about["visit"] == "dead.apps.test"
        assert sock.recv(100) == b"hello"
        assert alive.read(5) == b"early"
    assert time.monotonic() - begun < 6 * SLOW


def test_all_are_dead(door, pki, scripted):
    """Then the door asks for another one, and that serves."""
    agent = scripted("alldead.apps.test")
    for _ in range(2):
        make_deaf(agent.spare().sock)
    time.sleep(0.3)
    with visitor(door, pki, "alldead.apps.test") as sock:
        assert serve(agent.spare())["visit"] == "alldead.apps.test"
        assert sock.recv(100) == b"hello"


def test_reset_before_the_answer(door, pki, scripted):
    """The connection breaks when the visitor has been announced on it already."""
    agent = scripted("reset.apps.test")
    first, second = agent.spare(), agent.spare()
    time.sleep(0.3)
    with visitor(door, pki, "reset.apps.test") as sock:
        assert first.message()["visit"] == "reset.apps.test"
        first.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        first.sock.close()
        serve(second)
        assert sock.recv(100) == b"hello"


def test_who_never_serves_is_left(door, pki, scripted):
    """One whose connections all break costs so many tries and no more."""
    agent = scripted("never.apps.test")
    with visitor(door, pki, "never.apps.test") as sock:
        for _ in range(5):
            agent.spare().message()
            agent.socks[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            agent.socks[-1].close()
        with pytest.raises(ssl.SSLError, match="INTERNAL_ERROR"):   # it was not served: that is no end
            sock.recv(100)
    assert door.audited(sni="never.apps.test")["reason"] == "no_agent"


def keepalives(port):
    """{who: seconds until the next probe} of the connections to this port of the door that wait, from both sides."""
    text = subprocess.run(["ss", "-Htno", "state", "established", f"( sport = :{port} or dport = :{port} )"],
                          capture_output=True, check=True).stdout.decode()
    return [row.split("timer:(keepalive,")[1].split(",")[0] for row in text.splitlines() if "keepalive" in row]


def seconds(text):
    """Of "14sec", "1min2sec", "980ms" or "1.2sec"."""
    minutes, _, rest = text.rpartition("min")
    return 60 * float(minutes or 0) + (0.001 * float(rest[:-2]) if rest.endswith("ms") else float(rest[:-3] or 0))


def test_both_sides_probe(door, pki, tmp_path):
    """The kernel of either side asks after 15 s of silence."""
    with peers.Server(lambda sock: None) as service:
        agent = Agent(tmp_path, door.address, pki, "probed.apps.test", "--to", service.to, "--transport", "tcp",
                      "--grace", "0s", "--verbose")
        agent.says("over TCP")
        wait_until(lambda: sum(seconds(text) <= 15 for text in keepalives(door.port)) >= 4,
                   lambda: f"two connections, each probed from both sides; there are {keepalives(door.port)}")
        agent.end()


# What they cost the door ------------------------------------------------------------------------------------------

def expose_many(directory, door, pki, to, names):
    rows = [{"name": name, "to": to, "kind": "public"} for name in names]
    file = directory / "expose.yaml"
    file.write_text(yaml.safe_dump({"services": rows}))
    agent = Process([CARDEA, "expose", "--door", door.address, "--cert", pki.alice.certificate, "--key", pki.alice.key,
                     "--ca", pki.ca.file, "--name", "door.test", "-c", file, "--transport", "tcp", "--grace", "0s",
                     "--verbose"], directory, "expose", env=clean_env(directory))
    return agent


def fetch(door, pki, name):
    done = run("curl", "-sS", "--max-time", 10 * SLOW, "--cacert", pki.ca.file,
               "--connect-to", f"{name}:443:{door.address}", f"https://{name}/")
    return done.stdout


@pytest.fixture(scope="module")
def web():
    def serve_web(sock):
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                return
            data += more
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")
    with peers.Server(serve_web) as server:
        yield server


def test_a_crowded_door_keeps_none_waiting(start_door, pki, tmp_path, web):
    """Connections that wait count; where places become few no more are asked for, and visitors still get theirs."""
    door = start_door(config(pki, limits={"dial_timeout": ms(10000), "connections": 16}, workers=1))
    names = [f"n{number}.apps.test" for number in range(8)]
    agent = expose_many(tmp_path, door, pki, web.to, names)
    wait_until(lambda: agent.output().count("offering") == 8, agent.output)
    time.sleep(1)
    assert 8 <= door.status()["connections"] <= 12, "8 offers, and what waits until three quarters are taken"
    for name in names:
        assert fetch(door, pki, name) == b"hello\n", name
    agent.stop()


def has_ended(stream, within):
    """Does the door end it in that many seconds? An agent's connection that waits says nothing else."""
    stream.sock.settimeout(within)
    try:
        stream.message()
    except (EOFError, ConnectionError):
        return True
    except TimeoutError:
        return False
    raise AssertionError("a visitor")


def readable(streams):
    return set(select.select([stream.sock for stream in streams], [], [], 0)[0])


def test_one_that_comes_late_is_closed(door, pki, scripted):
    """Others were asked for since it did not come: beside the two that are kept it is one too many."""
    agent = scripted("late.apps.test")
    with visitor(door, pki, "late.apps.test") as sock:
        while len(agent.ids) < 4:   # two that are kept, the visitor's, and another for the one that does not come
            agent.ids += agent.control.message().get("spares", [])
        streams = [agent.spare() for _ in range(4)]
        wait_until(lambda: len(readable(streams)) == 2, "one for the visitor, and one that is closed")
        said = [stream for stream in streams if stream.sock in readable(streams)]
        kept = [stream for stream in streams if stream not in said]
        visits, closed = [], 0
        for stream in said:
            try:
                visits.append(serve(stream)["visit"])
            except EOFError:
                closed += 1
        assert (visits, closed) == (["late.apps.test"], 1)
        assert sock.recv(100) == b"hello"
    assert not readable(kept)
    with visitor(door, pki, "late.apps.test") as sock:
        wait_until(lambda: readable(kept), "one of those that were kept")
        assert serve(next(stream for stream in kept if stream.sock in readable(kept)))["visit"] == "late.apps.test"
        assert sock.recv(100) == b"hello"


def test_a_packed_door_keeps_none(start_door, pki):
    """Seven of eight places are taken: what waits is closed at once, and a new offer finds room."""
    limits = {"connections": 16, "hello_timeout": ms(30000)}
    door = start_door(config(pki, limits=limits, workers=1))
    agent = Scripted(door, pki, "first.apps.test")
    ready = [agent.spare() for _ in range(2)]
    wait_until(lambda: door.status()["connections"] == 3, "both to wait")
    others = [door.dial() for _ in range(11)]
    wait_until(lambda: door.status()["connections"] == 14, "seven of eight places taken")
    assert not readable(ready)
    others.append(door.dial())
    began = time.monotonic()
    assert all(has_ended(stream, 10 * SLOW) for stream in ready) and time.monotonic() - began < 2 * SLOW
    late = Scripted(door, pki, "second.apps.test")
    assert {row["name"] for row in door.status()["offers"]} == {"first.apps.test", "second.apps.test"}
    for end in (agent, late, *others):
        end.close()


def test_a_packed_door_and_a_worker_that_nobody_comes_to(start_door, pki):
    """All who come go to the other worker: what waits here is closed all the same, with the next sign of life."""
    door = start_door(config(pki, limits={"connections": 32, "hello_timeout": ms(60000)}, workers=2))
    agent = Scripted(door, pki, "app.apps.test")
    home = door.worker_of(agent.control.sock)
    ready = [agent.spare() for _ in range(2)]
    wait_until(lambda: door.status()["connections"] == 3, "both to wait")
    there = []

    def reset(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        wait_until(lambda: door.status()["connections"] == 3 + len(there), "it to be gone")

    def fill():
        while len(there) < 24:
            sock = door.dial()
            there.append(sock)
            if door.worker_of(sock) == home:
                reset(there.pop())
    fill()
    sources = [sock.getsockname() for sock in there[:2]]    # they lead there again
    for _ in sources:
        reset(there.pop(0))
    fill()
    for source in sources:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(source)
        sock.connect(("127.0.0.1", door.port))
        there.append(sock)
        assert door.worker_of(sock) != home
    assert all(has_ended(stream, 20 * SLOW) for stream in ready)
    for end in (agent, *there):
        end.close()


def test_descriptors_suffice(start_door, pki, tmp_path, web):
    """A door with few descriptors and more agents than it has room for: those that are too many are told why, in the
    audit line and nothing worse; the others are served, and the door goes on."""
    door = start_door(config(pki, limits={"dial_timeout": ms(10000), "reserved_fds": 16}, workers=1), nofile=110)
    names = [f"n{number}.apps.test" for number in range(60)]
    agent = expose_many(tmp_path, door, pki, web.to, names)
    wait_until(lambda: any(line["reason"] == "limit_connections" for line in door.audit()), "one too many")
    time.sleep(1)
    assert not [line for line in door.audit() if line["reason"] == "no_descriptor"]
    assert door.process.open_files() < 110 - 16
    agent.stop()
    wait_until(lambda: door.status()["connections"] == 0, "all have gone")
    agent = expose_many(tmp_path, door, pki, web.to, names[:5])
    wait_until(lambda: fetch(door, pki, "n1.apps.test") == b"hello\n", "the service")
    agent.stop()
