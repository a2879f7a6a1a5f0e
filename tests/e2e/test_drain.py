# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: nobody new is let in, who is in may finish for drain_timeout, and the door ends with 0."""
import signal
import socket
import time

import pytest

import tls
from run import SLOW, ms, wait_until

HELLO = tls.client_hello("pass.test")


@pytest.fixture
def door(start_door, pki, echo):
    return start_door({
        "certificates": [pki.server("www.test").row()],
        "limits": {"drain_timeout": ms(2000)},
        "routes": [{"name": "pass", "sni": "pass.test", "pass": {"to": echo.to}},
                   {"name": "www", "sni": "www.test", "terminate": {"to": echo.to}}],
    })


def refused(door):
    try:
        with door.dial(timeout=1) as sock:
            sock.sendall(HELLO)
            return sock.recv(1) == b""
    except OSError:
        return True


def test_live_connections_finish(door):
    """Passed and terminated connections go on; nobody new; the door ends as soon as they have."""
    passed = door.dial()
    passed.sendall(HELLO)
    tls.read_exactly(passed, len(HELLO))
    secure = tls.connect(door, "www.test")
    start = time.monotonic()
    door.process.send(signal.SIGTERM)
    wait_until(lambda: refused(door), "new connections to be refused")
    for sock in (passed, secure):
        sock.sendall(b"still here")
        assert tls.read_exactly(sock, 10) == b"still here"
    assert door.process.poll() is None
    names = [sock.getsockname() for sock in (passed, secure)]
    passed.close()
    tls.finish(secure)
    secure.close()
    assert door.process.wait() == 0
    assert time.monotonic() - start < 1.9 * SLOW, "it waited for drain_timeout though nobody was left"
    # by their addresses: what refused() tried may have a line as well, if it came before the signal was heard
    assert [door.audited_of(name)["reason"] for name in names] == ["done", "done"]


def test_the_drain_has_an_end(door):
    """Who does not finish is cut off after drain_timeout, with a reason."""
    sock = door.dial()
    sock.sendall(HELLO)
    tls.read_exactly(sock, len(HELLO))
    start = time.monotonic()
    door.process.send(signal.SIGTERM)
    assert door.process.wait() == 0
    assert 1.5 * SLOW < time.monotonic() - start < 10 * SLOW
    assert tls.ended(sock)
    assert door.audited_of(sock)["reason"] == "shutdown"
    sock.close()


def test_half_done_handshakes_do_not_hold_it_up(door):
    """Who has not been routed yet is let go."""
    socks = [door.dial() for _ in range(5)]
    socks[0].sendall(HELLO[:50])
    start = time.monotonic()
    door.process.send(signal.SIGTERM)
    assert door.process.wait() == 0
    assert time.monotonic() - start < 5 * SLOW
    for sock in socks:
        sock.close()


def test_a_second_signal_ends_it_at_once(door):
    """SIGTERM again: no more waiting; still a clean end."""
    sock = door.dial()
    sock.sendall(HELLO)
    tls.read_exactly(sock, len(HELLO))
    start = time.monotonic()
    door.process.send(signal.SIGTERM)
    wait_until(lambda: refused(door), "new connections to be refused")
    door.process.send(signal.SIGTERM)
    assert door.process.wait() == 0
    assert time.monotonic() - start < 1.9 * SLOW
    sock.close()


def test_interrupt_key(door):
    """SIGINT, as from a terminal, is the same."""
    door.process.send(signal.SIGINT)
    assert door.process.wait() == 0


def test_nothing_is_left_behind(door):
    """The admin socket is taken away, so that the next door starts without complaint."""
    door.stop()
    assert not door.socket.exists()
    door.start()


def test_a_stale_socket_is_no_obstacle(door):
    """After a crash the socket is still there; the next start takes it over."""
    door.process.send(signal.SIGKILL)
    door.process.wait()
    assert door.socket.exists()
    door.start()
    assert door.status()


@pytest.mark.parametrize("wait", [0, 1, 3, 6, 10])
def test_reloads_in_the_queue_are_refused(door, wait):
    """Forty are asked for and the door is told to stop amid them: it stops cleanly, whoever is answered hears that it
    was done or that the door is stopping."""
    asking = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    for sock in asking:
        sock.settimeout(10 * SLOW)
        sock.connect(str(door.socket))
    for sock in asking:
        sock.sendall(b"POST /reload HTTP/1.1\r\nHost: door\r\n\r\n")
    time.sleep(wait / 1000)
    door.stop()
    for sock in asking:
        with sock:
            try:
                answer = sock.recv(4096)
            except ConnectionResetError:
                continue
            assert not answer or b'"ok":true' in answer or b"the door is stopping" in answer, answer
