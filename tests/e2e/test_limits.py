# SPDX-License-Identifier: Apache-2.0
"""Limits: connections in all, by source and by route; idle and total time; descriptors."""
import json
import socket
import time

import pytest

import forms
import tls
from run import SLOW, ms, wait_until

HELLO = tls.client_hello("pass.test")


def config(echo, limits=None, route_limits=None):
    routes = [{"name": "pass", "sni": "pass.test", "pass": {"to": echo.to}},
              {"name": "other", "sni": "other.test", "pass": {"to": echo.to}}]
    if route_limits:
        routes[0]["limits"] = route_limits
    return {"routes": routes, "limits": limits or {}}


def served(door, hello=HELLO, source=None):
    """A socket that is served, or None when the door closes it."""
    sock = door.dial(source=source)
    try:
        sock.sendall(hello)
        tls.read_exactly(sock, len(hello))
        return sock
    except (AssertionError, OSError):
        sock.close()
        return None


def hold(door, count, **more):
    socks = [served(door, **more) for _ in range(count)]
    assert all(socks)
    return socks


def close(socks):
    for sock in socks:
        sock.close()


def test_connections_in_all(start_door, echo):
    """The one too many is refused with a reason; when another ends there is room again."""
    door = start_door({**config(echo, {"connections": 5}), "workers": 2})
    socks = hold(door, 5)
    assert served(door) is None
    assert door.audited(reason="limit_connections")
    socks.pop().close()
    socks.append(wait_until(lambda: served(door), "room for one more"))
    close(socks)


def test_connections_per_source(start_door, echo):
    """One source may hold so many; another source is not concerned."""
    door = start_door(config(echo, {"per_source": 3}))
    socks = hold(door, 3)
    assert served(door) is None
    assert door.audited(reason="limit_per_source")["peer"].startswith("127.0.0.1:")
    socks += hold(door, 3, source="127.0.0.2")
    assert served(door, source="127.0.0.2") is None
    close(socks)
    wait_until(lambda: (sock := served(door)) and (sock.close() or True), "room again")


def test_connections_per_route(start_door, echo):
    """A full route does not concern the others."""
    door = start_door(config(echo, route_limits={"connections": 4}))
    socks = hold(door, 4)
    assert served(door) is None
    assert door.audited(reason="limit_route")["route"] == "pass"
    socks += hold(door, 4, hello=tls.client_hello("other.test"))
    close(socks)


def test_connections_that_say_nothing_count(start_door, echo):
    """Holding connections without a ClientHello does not get round the limit, and hello_timeout frees them."""
    door = start_door(config(echo, {"per_source": 5, "hello_timeout": ms(1000)}))
    silent = [door.dial() for _ in range(5)]
    # A worker may take the next one before another has taken these.
    wait_until(lambda: forms.live(json.loads(door.get("/status")[1])) == 5, "the silent ones to be counted")
    assert served(door) is None
    wait_until(lambda: (sock := served(door)) and (sock.close() or True), "room again")
    close(silent)


@pytest.mark.parametrize("where", ["door", "route"])
def test_idle_timeout(start_door, echo, where):
    """No byte either way for so long: ended. Bytes keep it alive."""
    limit = {"idle_timeout": ms(400)}
    door = start_door(config(echo, limit) if where == "door" else config(echo, route_limits=limit))
    idle, busy = hold(door, 2)
    end = time.monotonic() + 1.2 * SLOW
    while time.monotonic() < end:
        busy.sendall(b"x")
        assert busy.recv(1) == b"x"
        time.sleep(0.05)
    assert tls.ended(idle)
    assert door.audited_of(idle)["reason"] == "idle_timeout"
    assert not [line for line in door.audit() if line["peer"].endswith(f":{busy.getsockname()[1]}")]
    close([idle, busy])


@pytest.mark.parametrize("where", ["door", "route"])
def test_total_timeout(start_door, echo, where):
    """However busy, the whole connection may take so long."""
    limit = {"total_timeout": ms(600)}
    door = start_door(config(echo, limit) if where == "door" else config(echo, route_limits=limit))
    sock, = hold(door, 1)
    start = time.monotonic()
    try:
        while time.monotonic() < start + 5 * SLOW:
            sock.sendall(b"x")
            if not sock.recv(1):
                break
            time.sleep(0.02)
    except OSError:
        pass
    assert 0.4 * SLOW < time.monotonic() - start < 3 * SLOW
    assert door.audited_of(sock)["reason"] == "total_timeout"
    sock.close()


def test_half_closed_connections_do_not_stay(start_door, banner):
    """One side has ended and the other says nothing more: drain_timeout ends it."""
    door = start_door({"routes": [{"name": "a", "pass": {"to": banner.to}}],
                       "limits": {"drain_timeout": ms(300)}})
    with door.dial() as sock:
        sock.sendall(HELLO)
        assert tls.read_line(sock) == "behind the door"
        start = time.monotonic()
        sock.shutdown(socket.SHUT_WR)
        assert tls.ended(sock)
        assert time.monotonic() - start < 3 * SLOW


@pytest.mark.parametrize("reserved", [0, 32])
def test_descriptors_run_out(start_door, echo, reserved):
    """More clients than descriptors: one that is held is served, the door does not spin, and there is room afterwards.
    With descriptors in reserve the door still says how it is."""
    door = start_door({**config(echo, {"reserved_fds": reserved, "hello_timeout": "60s"})}, nofile=128)
    held, = hold(door, 1)
    socks = []
    for _ in range(200):
        sock = door.dial()
        try:
            sock.sendall(HELLO)
        except OSError:
            pass
        socks.append(sock)
    time.sleep(0.5 * SLOW)
    before = door.process.cpu_seconds()
    time.sleep(2)
    used = door.process.cpu_seconds() - before
    assert used < 0.4 * SLOW, f"{used:.2f} s of CPU time in 2 s"
    held.sendall(b"x")
    assert tls.read_exactly(held, 1) == b"x"
    if reserved:
        assert 10 < forms.live(door.status()) < 64
    close([held, *socks])
    wait_until(lambda: (sock := served(door)) and (sock.close() or True), "room again", 20)


def test_no_descriptor_is_lost(start_door, pki, echo):
    """After many connections of every kind, good and bad, the door holds what it held before."""
    base = config(echo)
    base["certificates"] = [pki.server("www.test").row()]
    base["routes"] += [{"name": "www", "sni": "www.test", "terminate": {"to": echo.to}},
                       {"name": "dead", "sni": "dead.test", "terminate": {"to": "127.0.0.1:1"}}]
    door = start_door(base)

    def some():
        for _ in range(10):
            close(hold(door, 1))
            tls.connect(door, "www.test").close()
            for hello in (tls.client_hello("dead.test"), tls.client_hello("none.test"), b"garbage", HELLO[:40]):
                with door.dial() as sock:
                    sock.sendall(hello)
    some()
    wait_until(lambda: door.status() and True, "status")
    time.sleep(0.5 * SLOW)
    before = door.process.open_files()
    some()
    wait_until(lambda: door.process.open_files() <= before, lambda: f"{door.process.open_files()} > {before}")
