# SPDX-License-Identifier: Apache-2.0
"""Spare connections to a TLS backend: made ready in the background, taken by the next client, replaced, and given up when
nobody comes, the backend closes, or the door stops."""
import contextlib
import signal
import socket
import threading
import time

import pytest

import peers
import tls
from peers import curl_door
from run import SLOW, free_port, wait_until

SPARES = 2


def config(pki, to, **backend):
    return {"certificates": [pki.server("a.test").row()], "workers": 1,
            "trust": [{"name": "inside", "ca": [pki.ca.file]}],
            "routes": [{"name": "a", "terminate": {"to": to, "tls": {
                "trust": "inside", "name": "backend.test", "spares": SPARES, **backend}}}]}


class Backend(peers.Server):
    """A web server over TLS that can end what is open."""

    def __init__(self, pki):
        self.sockets = set()
        answer = peers.web("hello")

        def handler(sock):
            self.sockets.add(sock)
            answer(sock)
        super().__init__(handler, ctx=peers.server_context(pki.server("backend.test")))

    def end_all(self):
        for sock in list(self.sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: not self.open, "the backend to have closed")


@pytest.fixture
def server(pki):
    with Backend(pki) as started:
        yield started


def ask(door, sock):
    sock.sendall(b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n")
    return tls.read_exactly(sock, len(peers.http_answer("hello GET /x\n")))


def visit(door):
    """One request; how its TLS connection to the backend came to be."""
    with tls.connect(door, "a.test") as sock:
        name = sock.getsockname()
        assert ask(door, sock) == peers.http_answer("hello GET /x\n")
        tls.finish(sock)
    return door.audited_of(name)["backend_tls"]


def counts(door):
    row = door.status()["routes"][0]
    return row["backend_handshakes_total"], row["spares_used_total"]


def stand_ready(door, used):
    """Wait until all spares are there after so many visits, of which `used` took one."""
    def ready():
        handshakes, taken = counts(door)
        return taken == used and handshakes >= SPARES + used + 1
    wait_until(ready, lambda: f"the spares to be ready; {counts(door)}")


def test_the_next_client_takes_one(start_door, pki, server):
    """There is none before the first client; each of the next takes one, and it is replaced."""
    door = start_door(config(pki, server.to))
    assert server.count == 0
    assert visit(door) in ("full", "resumed")
    for used in range(4):
        stand_ready(door, used)
        assert visit(door) == "spare"
    stand_ready(door, 4)
    assert server.count == 1 + SPARES + 4 and server.failures == []
    assert door.status()["routes"][0]["backends"][0]["connections"] == 0


def test_one_that_the_backend_closes_is_not_used(start_door, pki, server):
    """The client that comes then notices nothing."""
    door = start_door(config(pki, server.to))
    visit(door)
    stand_ready(door, 0)
    server.end_all()
    count = server.count
    time.sleep(0.3 * SLOW)
    assert server.count == count  # nobody asks for more while nobody comes
    assert visit(door) != "spare"
    stand_ready(door, 0)
    assert visit(door) == "spare"


def test_age(start_door, pki, server):
    """One that has waited for spare_idle is closed and replaced."""
    door = start_door(config(pki, server.to, spare_idle="1s"))
    visit(door)
    stand_ready(door, 0)
    wait_until(lambda: server.count >= 1 + 3 * SPARES, "spares to be replaced twice")
    assert len(server.open) <= 2 * SPARES
    stand_ready(door, 0)
    wait_until(lambda: visit(door) == "spare", "a spare to be taken")


def test_reload_and_stop_close_them(start_door, pki, server):
    """What another configuration has no use for is closed at once, and so is everything at a stop."""
    door = start_door(config(pki, server.to))
    visit(door)
    stand_ready(door, 0)
    door.reload(config(pki, server.to, spares=0))
    wait_until(lambda: not server.open, "the spares to be closed")
    assert visit(door) == "full"
    door.reload(config(pki, server.to))
    visit(door)
    wait_until(lambda: len(server.open) == SPARES, "new spares")
    with tls.connect(door, "a.test") as sock:
        assert ask(door, sock)
        wait_until(lambda: len(server.open) == SPARES + 1, "the one that was taken to be replaced")
        door.process.send(signal.SIGTERM)
        wait_until(lambda: len(server.open) == 1, "the spares to be closed")
        assert ask(door, sock)  # whoever is there stays
    door.stop()


def test_backend_that_is_down(start_door, pki, server):
    """None is made towards it, and when it is back all is as before."""
    door = start_door(config(pki, server.to))
    visit(door)
    stand_ready(door, 0)
    server.stop()
    server.end_all()
    with tls.connect(door, "a.test") as sock:
        assert tls.read_line(sock) == ""
    server.start()
    used = counts(door)[1]
    visit(door)
    wait_until(lambda: visit(door) == "spare", "a spare to be taken")
    assert counts(door)[1] > used


def test_backend_that_greets(start_door, pki):
    """What a backend says first is the client's who gets the connection."""
    with peers.Server(peers.says("220 hello"), ctx=peers.server_context(pki.server("backend.test"))) as server:
        door = start_door(config(pki, server.to))
        for used in range(3):
            with tls.connect(door, "a.test") as sock:
                name = sock.getsockname()
                assert tls.read_line(sock) == "220 hello"
                sock.sendall(b"EHLO\n")
                assert tls.read_line(sock) == "EHLO"
                tls.finish(sock)
            assert (door.audited_of(name)["backend_tls"] == "spare") == (used > 0)
            stand_ready(door, used)


def test_backend_that_does_not_stop_talking(start_door, pki):
    """It gets no spare connections, and the operator is told once."""
    with peers.Server(peers.says("x" * 9999), ctx=peers.server_context(pki.server("backend.test"))) as server:
        door = start_door(config(pki, server.to))
        for _ in range(3):
            with tls.connect(door, "a.test") as sock:
                assert tls.read_line(sock) == "x" * 9999
                tls.finish(sock)
            wait_until(lambda: not server.open, "all connections to be closed")
        assert door.process.output().count("there will be no spare connections to it") == 1
        assert counts(door)[1] == 0


def test_spares_count_as_descriptors(start_door, pki, server):
    """A door that is short of them has none in advance, and serves as many clients as without."""
    base = config(pki, server.to, spares=64)
    base["limits"] = {"reserved_fds": 16}
    door = start_door(base, nofile=128)
    visit(door)
    wait_until(lambda: counts(door)[0] > 10, "some spares")
    held = [tls.connect(door, "a.test") for _ in range(30)]
    for sock in held:
        assert ask(door, sock)
        sock.close()


def test_nginx(start_door, pki, nginx):
    """With nginx, over HTTP/1.1, and over HTTP/2, where it speaks first."""
    for protocol, flag in (("http/1.1", "--http1.1"), ("h2", "--http2")):
        base = config(pki, nginx.to("tls"), alpn=[protocol])
        base["routes"][0]["alpn"] = protocol
        door = start_door(base)

        def who():
            door.mark()
            done = curl_door(door, "https://a.test:{port}/who", flag, ca=pki.ca.file)
            assert done.stdout.startswith(b"tls HTTP/"), done.stderr.decode()
            return door.audited(route="a")["backend_tls"]
        assert who() != "spare"
        stand_ready(door, 0)
        assert [who() for _ in range(2)] == ["spare"] * 2, protocol


def test_several_workers_and_backends(start_door, pki):
    """Each worker has its own, for each backend; everybody gets an answer, and nothing is left open at the end."""
    with Backend(pki) as one, Backend(pki) as two:
        door = start_door({**config(pki, [one.to, two.to]), "workers": 2})
        answers = []

        def visits():
            for _ in range(10):
                with tls.connect(door, "a.test") as sock:
                    answers.append(ask(door, sock))
                    tls.finish(sock)
        clients = [threading.Thread(target=visits) for _ in range(8)]
        for client in clients:
            client.start()
        for _ in range(3):
            door.reload()
        for client in clients:
            client.join()
        assert answers == [peers.http_answer("hello GET /x\n")] * 80
        hows = {line["backend_tls"] for line in door.audited(count=80, route="a")}
        assert "spare" in hows, hows
        door.reload(config(pki, [one.to, two.to], spares=0))
        wait_until(lambda: not one.open and not two.open, "all spares to be closed")


def test_forward(start_door, pki, server):
    """A plain client gets a spare connection too, and TLS on it is the door's."""
    base = config(pki, server.to)
    tls_of = base["routes"][0]["terminate"]["tls"]
    port = free_port()
    door = start_door({"workers": 1, "trust": base["trust"],
                       "listeners": [{"name": "main", "address": f"127.0.0.1:{port}", "speaks": "plain"}],
                       "routes": [{"name": "a", "listeners": ["main"], "forward": {"to": server.to, "tls": tls_of}}]})
    hows = []
    for used in range(2):
        with socket.create_connection(("127.0.0.1", port), timeout=10 * SLOW) as sock:
            name = sock.getsockname()
            assert ask(door, sock) == peers.http_answer("hello GET /x\n")
        hows.append(door.audited_of(name)["backend_tls"])
        stand_ready(door, used)
    assert hows == ["full", "spare"]


def test_client_who_was_greeted_by_the_door(start_door, pki):
    """On a listener that speaks SMTP a spare's greeting is not for the client, which has had ours, and is made up for."""
    def handler(sock):
        lines = sock.makefile("rb")
        sock.sendall(b"220 backend ESMTP\r\n")
        for line in lines:
            sock.sendall(b"250 " + line)

    def visit(port):
        with socket.create_connection(("127.0.0.1", port), 10 * SLOW) as raw:
            lines = raw.makefile("rb")
            assert lines.readline().startswith(b"220 ")
            raw.sendall(b"STARTTLS\r\n")
            assert lines.readline().startswith(b"220 ")
            with tls.context().wrap_socket(raw, server_hostname="a.test") as sock:
                name = sock.getsockname()
                sock.sendall(b"EHLO me\r\n")
                assert tls.read_line(sock) == "250 EHLO me\r"
                tls.finish(sock)
        return door.audited_of(name)["backend_tls"]
    with peers.Server(handler, ctx=peers.server_context(pki.server("backend.test"))) as server:
        port = free_port()
        base = config(pki, server.to)
        base["listeners"] = [{"name": "smtp", "address": f"127.0.0.1:{port}", "speaks": "smtp"}]
        base["routes"][0]["listeners"] = ["smtp"]
        door = start_door(base)
        assert visit(port) in ("full", "resumed")
        for used in range(3):
            stand_ready(door, used)
            assert visit(port) == "spare"
