# SPDX-License-Identifier: Apache-2.0
"""Backends that break, lie or flood: the client gets what there was to get, and the next backend its chance."""
import signal
import socket
import ssl
import struct
import threading
import time

import pytest

import peers
import tls
from run import SANITIZER, SLOW, ms, wait_until

ANSWER = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n"


def reset(sock):
    """Close so that the other side sees a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# An early answer --------------------------------------------------------------------------------------------------

def refuses_upload(sock):
    """Read a little, answer, and go with the rest unread, as web servers do: the kernel makes a reset of that."""
    sock.recv(1000)
    sock.sendall(ANSWER)


def early_answer(door, sni):
    """What a client that is busy uploading gets to read."""
    with door.dial() as raw:
        # Python's ssl stops at the first failed write; here what has come can be read afterwards.
        half = tls.HalfTls(raw, tls.context(), sni) if sni == "www.test" else None
        send = half.send if half else raw.sendall
        try:
            if half is None:
                raw.sendall(tls.client_hello(sni))
            for _ in range(200):
                send(b"x" * 65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            pass
        got = b""
        try:
            while more := half.recv() if half else raw.recv(65536):
                got += more
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            pass
        return got


@pytest.mark.parametrize("sni", ["pass.test", "www.test"])
def test_answer_in_the_middle_of_an_upload(start_door, pki, sni):
    """The refusal of an upload arrives, although the reset is right behind it."""
    with peers.Server(refuses_upload) as server:
        door = start_door({"certificates": [pki.server("www.test").row()],
                           "routes": [{"name": "pass", "sni": "pass.test", "pass": {"to": server.to}},
                                      {"name": "www", "sni": "www.test", "terminate": {"to": server.to}}]})
        assert [early_answer(door, sni) for _ in range(20)] == [ANSWER] * 20


@pytest.mark.parametrize("client_first", [True, False])
@pytest.mark.parametrize("sni", ["pass.test", "www.test", "secure.test"])
def test_answer_and_reset_at_once(start_door, pki, sni, client_first):
    """The same where the door hears of the answer, the reset and the client's next bytes in one round: it is stopped
    while they come."""
    go, gone = threading.Event(), threading.Event()

    def handler(sock):
        sock.recv(1000)
        go.wait(10 * SLOW)
        sock.sendall(ANSWER)
        reset(sock)
        gone.set()
    ctx = peers.server_context(pki.server("backend.test")) if sni == "secure.test" else None
    inside = {"name": "backend.test", "trust": "inside"}
    with peers.Server(handler, ctx=ctx) as server:
        door = start_door({"certificates": [pki.server("*.test").row()], "workers": 1,
                           "trust": [{"name": "inside", "ca": [pki.ca.file]}],
                           "routes": [{"name": "pass", "sni": "pass.test", "pass": {"to": server.to}},
                                      {"name": "www", "sni": "www.test", "terminate": {"to": server.to}},
                                      {"name": "secure", "sni": "secure.test",
                                       "terminate": {"to": server.to, "tls": inside}}]})
        with door.dial() as sock:
            half = None if sni == "pass.test" else tls.HalfTls(sock, tls.context(), sni)
            if half:
                half.send(b"x")
            else:
                sock.sendall(tls.client_hello(sni))
            wait_until(lambda: server.open, "the backend's connection")
            time.sleep(0.1 * SLOW)
            door.process.pause()
            send = half.send if half else sock.sendall
            try:
                if client_first:
                    send(b"x" * 10000)
                go.set()
                assert gone.wait(10 * SLOW)
                if not client_first:
                    send(b"x" * 10000)
            finally:
                door.process.send(signal.SIGCONT)
            got = b""
            try:
                while more := half.recv() if half else sock.recv(65536):
                    got += more
            except (ConnectionResetError, ssl.SSLError):
                pass
            assert got == ANSWER
            assert door.audited_of(sock)["reason"] == "backend_reset"


# Backends that are no good ----------------------------------------------------------------------------------------

def says_nothing(sock):
    while sock.recv(65536):
        pass


def hangs_up(sock):
    sock.recv(1)


def resets(sock):
    sock.recv(1)
    reset(sock)


def not_tls(sock):
    sock.recv(1)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    time.sleep(0.1)


def half_a_record(sock):
    sock.recv(1)
    sock.sendall(b"\x16\x03\x03\x40\x00" + bytes(100))
    sock.recv(100000)


def good_words(sock):
    """Say `good`, echo, end as TLS should."""
    peers.says("good")(sock)
    sock.unwrap()


def start_with(start_door, pki, bad, good, **limits):
    return start_door({
        "certificates": [pki.server("a.test").row()],
        "workers": 1,  # one worker, one turn: every second connection begins with the bad one
        "trust": [{"name": "inside", "ca": [pki.ca.file]}],
        "limits": limits,
        "routes": [{"name": "a", "terminate": {"to": [bad.to, good.to],
                                               "tls": {"name": "backend.test", "trust": "inside"}}}]})


@pytest.mark.parametrize("handler", [hangs_up, resets, not_tls, half_a_record])
def test_tls_backend_that_breaks_is_passed_over(start_door, pki, handler):
    """What goes wrong before the backend has proven itself is not the client's trouble."""
    ctx = peers.server_context(pki.server("backend.test"))
    with peers.Server(handler) as bad, peers.Server(good_words, ctx=ctx) as good:
        door = start_with(start_door, pki, bad, good, dial_timeout=ms(500))
        for _ in range(4):
            with tls.connect(door, "a.test") as sock:
                assert tls.read_line(sock) == "good"
                tls.finish(sock)
                name = sock.getsockname()
            line = door.audited_of(name)
            assert (line["backend"], line["reason"]) == (good.to, "done") and "detail" not in line, line
        assert bad.count >= 1


@pytest.mark.parametrize("names", [["other.test"], None])
def test_tls_backend_that_proves_wrong_is_passed_over(start_door, pki, names):
    """A certificate for another name, or of another CA: it never sees a byte of the client's."""
    cert = pki.server(*names) if names else pki.stranger.issue("backend.test", dns=["backend.test"])
    heard = []

    def handler(sock):
        heard.append(sock.recv(1))
    ctx = peers.server_context(pki.server("backend.test"))
    with peers.Server(handler, ctx=peers.server_context(cert)) as bad, \
            peers.Server(good_words, ctx=ctx) as good:
        door = start_with(start_door, pki, bad, good)
        for _ in range(4):
            with tls.connect(door, "a.test") as sock:
                sock.sendall(b"secret\n")
                assert tls.read_line(sock) == "good"
        assert bad.count >= 1 and b"".join(heard) == b""


def test_tls_backend_that_says_nothing(start_door, pki):
    """It takes the connection and is silent: the next one has its turn after dial_timeout."""
    ctx = peers.server_context(pki.server("backend.test"))
    with peers.Server(says_nothing) as bad, peers.Server(good_words, ctx=ctx) as good:
        door = start_with(start_door, pki, bad, good, dial_timeout=ms(500))
        start = time.monotonic()
        for _ in range(2):
            with tls.connect(door, "a.test") as sock:
                assert tls.read_line(sock) == "good"
        assert time.monotonic() - start < 1.5 * SLOW
        assert bad.count == 1  # and is left alone for a while after that


def test_no_good_backend_at_all(start_door, pki):
    """All are silent: the client is let go, and the line says why."""
    with peers.Server(says_nothing) as one, peers.Server(says_nothing) as two:
        door = start_with(start_door, pki, one, two, dial_timeout=ms(300))
        with door.dial() as sock:
            tls.HalfTls(sock, tls.context(), "a.test")
            assert tls.ended(sock)
            line = door.audited_of(sock)
        assert line["reason"] == "dial_timeout" and line["detail"]
        assert (one.count, two.count) == (1, 1)


# Floods -----------------------------------------------------------------------------------------------------------

COUNT = 50


@pytest.mark.skipif(SANITIZER is not None, reason="memory is not what it is without a sanitizer")
@pytest.mark.parametrize("sni", ["pass.test", "www.test"])
def test_flood_to_clients_that_never_read(start_door, pki, sni):
    """Back-pressure: what the client does not take, the door does not read. It holds some kilobytes for each."""
    stop = threading.Event()

    def handler(sock):
        sock.settimeout(0.2)
        sock.recv(1)
        while not stop.is_set():
            try:
                sock.send(b"x" * 65536)
            except TimeoutError:
                pass
    with peers.Server(handler) as server:
        door = start_door({"certificates": [pki.server("www.test").row()], "limits": {"per_source": 100000},
                           "routes": [{"name": "pass", "sni": "pass.test", "pass": {"to": server.to}},
                                      {"name": "www", "sni": "www.test", "terminate": {"to": server.to}}]})
        hello = tls.client_hello(sni)

        def one():
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.settimeout(10)
            sock.connect(("127.0.0.1", door.port))
            if sni == "www.test":
                tls.HalfTls(sock, tls.context(), sni).send(b"x")
            else:
                sock.sendall(hello)
            return sock
        socks = [one() for _ in range(4)]
        time.sleep(0.3)
        before = door.process.rss()
        socks += [one() for _ in range(COUNT)]
        time.sleep(1)
        grown = door.process.rss() - before
        cpu = door.process.cpu_seconds()
        time.sleep(0.3)
        assert door.process.cpu_seconds() - cpu < 0.1
        stop.set()
        for sock in socks:
            sock.close()
        print(f"\n{grown / COUNT:.0f} bytes of memory for each client that never reads")
        assert grown < 4 << 20
