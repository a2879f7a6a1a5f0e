# SPDX-License-Identifier: Apache-2.0
"""Minutes of connections that come and go in every way at once, with reloads in between: descriptors and memory of
the door stay where they were, no live connection is lost, and every connection has its audit line."""
import collections
import os
import random
import socket
import ssl
import struct
import threading
import time

import pytest

import peers
import tls
from chatter import Chatter
from run import SANITIZER, free_port, wait_until

SECONDS = float(os.environ.get("CARDEA_SOAK", "150"))
THREADS = 6
# A sanitizer keeps freed memory back, and so grows for a while.
GROWTH = {None: 6 << 20, "address": 400 << 20, "thread": 400 << 20}[SANITIZER]


@pytest.fixture
def many(tmp_path):
    server = peers.EchoProcess(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def world(start_door, pki, many):
    """A door with every kind of route, and what the traffic needs to know of it."""
    config = {
        "certificates": [pki.server("www.test").row(), pki.server("www.test", key="rsa").row(),
                         pki.server("door.test").row()],
        "trust": [pki.trust()],
        "limits": {"hello_timeout": "300ms", "handshake_timeout": "500ms", "idle_timeout": "0", "dial_timeout": "300ms",
                   "per_source": 20000},
        "routes": [
            {"name": "pass", "sni": "pass.test", "pass": {"to": many.to}},
            {"name": "www", "sni": "www.test", "terminate": {"to": many.to}},
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "dead", "sni": "dead.test", "pass": {"to": f"127.0.0.1:{free_port()}"}},
            {"name": "away", "sni": "away.test", "reject": "access_denied"},
        ],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*"]}],
    }
    return start_door(config), config, pki, many


class Traffic:
    """Each method is one connection that a stranger or a friend might make."""

    def __init__(self, door, pki, target):
        self.door, self.pki, self.target = door, pki, target
        self.hello = tls.client_hello("pass.test")
        self.sessions = {}

    def passed(self):
        with self.door.dial() as sock:
            data = self.hello + os.urandom(random.randrange(50000))
            threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)), daemon=True).start()
            assert tls.read_all(sock) == data

    def terminated(self):
        version = random.choice([ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
        with tls.connect(self.door, "www.test", ctx=tls.context(most=version)) as sock:
            data = os.urandom(random.randrange(1, 30000))
            sock.sendall(data)
            assert tls.read_exactly(sock, len(data)) == data
            tls.finish(sock)

    def resumed(self):
        ctx, session = self.sessions.pop("kept", None) or (tls.context(), None)
        with tls.connect(self.door, "www.test", ctx=ctx, session=session) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
            self.sessions["kept"] = (ctx, sock.session)

    def tunnelled(self):
        sock, said = tls.tunnel(self.door, "door.test", self.target, self.pki.alice)
        with sock:
            assert said["ok"]
            sock.sendall(b"y" * 10000)
            assert tls.read_exactly(sock, 10000) == b"y" * 10000

    def denied(self):
        sock, said = tls.tunnel(self.door, "door.test", self.target, self.pki.bob)
        sock.close()
        assert said["code"] == "denied"

    def without_certificate(self):
        try:
            with tls.connect(self.door, "door.test", alpn=["cardea/1"]) as sock:
                assert sock.recv(1) == b""
        except (ssl.SSLError, OSError):
            pass

    def rejected(self):
        self.ends(tls.client_hello(random.choice(["away.test", "unknown.test", "dead.test"])))

    def garbage(self):
        self.ends(os.urandom(random.randrange(1, 2000)))

    def cut(self):
        self.ends(self.hello[:random.randrange(len(self.hello))], shut=True)

    def stalled(self):
        self.ends(self.hello[:random.randrange(len(self.hello))])

    def half_handshake(self):
        self.ends(tls.client_hello("www.test"))

    def reset(self):
        with self.door.dial() as sock:
            sock.sendall(self.hello)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def reset_in_tls(self):
        with tls.connect(self.door, "www.test") as sock:
            sock.sendall(b"x" * 100000)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def ends(self, data, shut=False):
        with self.door.dial() as sock:
            try:
                sock.sendall(data)
                if shut:
                    sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            assert tls.ended(sock)

    KINDS = ["passed"] * 4 + ["terminated"] * 4 + ["resumed"] * 2 + ["tunnelled"] * 2 + [
        "denied", "without_certificate", "rejected", "garbage", "cut", "stalled", "half_handshake", "reset",
        "reset_in_tls"]


class Churn:
    """THREADS threads of random traffic; what went wrong is kept."""

    def __init__(self, door, pki, target):
        self.done = collections.Counter()
        self.wrong = []
        self.stopping = False
        self.threads = [threading.Thread(target=self.loop, args=(Traffic(door, pki, target),), daemon=True)
                        for _ in range(THREADS)]
        for thread in self.threads:
            thread.start()

    def loop(self, traffic):
        while not self.stopping:
            kind = random.choice(Traffic.KINDS)
            try:
                getattr(traffic, kind)()
                self.done[kind] += 1
            except Exception as error:  # kept and told at the end
                self.wrong.append(f"{kind}: {error!r}")

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(60)
        assert not self.wrong, f"{len(self.wrong)} went wrong: {self.wrong[:10]}"


def calm(door, live):
    """Until only the `live` connections that are to stay are open; (descriptors, memory) then."""
    def only_live():
        from forms import live as count
        return count(door.status()) == live
    wait_until(only_live, "the churn's connections to end", 30, 0.2)
    return door.process.open_files(), door.process.rss()


def test_churn(world):
    """Two minutes and more: nothing leaks, nothing that should live is lost."""
    door, config, pki, many = world
    stay = Chatter(door, passed=50, terminated=50, pause=0.2)
    stay.wait_rounds(1)
    marks = []
    end = time.monotonic() + SECONDS
    total = collections.Counter()
    while time.monotonic() < end:
        churn = Churn(door, pki, many.to)
        time.sleep(min(SECONDS / 6, 30) / 2)
        door.reload(config)
        time.sleep(min(SECONDS / 6, 30) / 2)
        churn.stop()
        total += churn.done
        stay.wait_rounds(1)
        marks.append(calm(door, 100))
        print(f"\n{sum(total.values())} connections, {marks[-1][0]} descriptors, {marks[-1][1] >> 10} kB")
    stay.stop()
    # The first stretch warms up (arenas, tables); after it nothing may grow.
    files, memory = marks[0]
    assert marks[-1][0] <= files + 2, marks
    assert marks[-1][1] - memory < GROWTH, marks
    assert set(Traffic.KINDS) <= total.keys()
    wait_until(lambda: len(door.audit()) >= sum(total.values()) + 100, "an audit line for each connection")
    ids = [line["id"] for line in door.audit()]
    assert len(ids) == len(set(ids))


def test_reloads(world):
    """Five hundred reloads in a row: old configurations are let go."""
    door, config, _, _ = world
    for _ in range(50):
        door.get("/reload", "POST")
    files, memory = door.process.open_files(), door.process.rss()
    for _ in range(500):
        assert door.get("/reload", "POST")[0] == 200
    wait_until(lambda: door.process.open_files() <= files, "old listeners and files to be closed")
    assert door.process.rss() - memory < GROWTH
