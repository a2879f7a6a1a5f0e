# SPDX-License-Identifier: Apache-2.0
"""Several backends behind one route: where connections go, what happens when some or all are down, and how the door
speaks to them (plain, TLS, mTLS, unix socket)."""
import collections
import time

import pytest

import forms
import peers
import tls
from peers import curl_door
from run import SLOW, free_port, ms, wait_until


@pytest.fixture
def three():
    servers = [peers.Server(peers.says(name)) for name in ("one", "two", "three")]
    yield servers
    for server in servers:
        server.stop()


def config(pki, to, **more):
    return {"certificates": [pki.server("a.test").row()],
            "routes": [{"name": "a", "terminate": {"to": to, **more}}]}


def word(door):
    """(socket, what the backend says first); (None, "") when the door closes instead."""
    sock = tls.connect(door, "a.test")
    said = tls.read_line(sock)
    if not said:
        sock.close()
        return None, ""
    return sock, said


def words(door, count):
    """What `count` connections in a row are told; each is closed again."""
    told = []
    for _ in range(count):
        sock, said = word(door)
        told.append(said)
        if sock:
            sock.close()
    return told


def test_least_connections(start_door, pki, three):
    """Each new connection goes where the fewest are: 30 held open are 10 each, and a place that empties fills up."""
    door = start_door({**config(pki, [server.to for server in three]), "workers": 1})
    held = [word(door) for _ in range(30)]
    assert collections.Counter(said for _, said in held) == {"one": 10, "two": 10, "three": 10}
    for sock, said in held:
        if said == "two":
            tls.finish(sock)
            sock.close()
    wait_until(lambda: forms.backend(door.status(), "a", three[1].to)["connections"] == 0, "backend two to be empty")
    more = [word(door) for _ in range(9)]
    assert [said for _, said in more] == ["two"] * 9
    for sock, _ in held + more:
        sock.close()


def test_least_connections_over_workers(start_door, pki, three):
    """Two workers do not share a count of connections; still no backend is left out."""
    door = start_door(config(pki, [server.to for server in three]))
    held = [word(door) for _ in range(60)]
    counts = collections.Counter(said for _, said in held)
    assert min(counts.values()) >= 10 and len(counts) == 3, counts
    for sock, _ in held:
        sock.close()


def test_one_is_down_without_health_checks(start_door, pki, three):
    """Passive: a backend that refuses is passed over, no client notices."""
    door = start_door(config(pki, [server.to for server in three]))
    three[0].stop()
    assert set(words(door, 20)) == {"two", "three"}


def test_health_checks(start_door, pki, three):
    """Down after `fall` failures, up after `rise` successes; status tells which."""
    health = {"interval": ms(100), "timeout": ms(100), "rise": 2, "fall": 2}
    door = start_door(config(pki, [server.to for server in three], health=health))

    def up():
        return [forms.backend(door.status(), "a", server.to)["up"] for server in three]
    wait_until(lambda: up() == [True, True, True], up)
    three[1].stop()
    wait_until(lambda: up() == [True, False, True], up)
    assert set(words(door, 12)) == {"one", "three"}
    three[1].start()
    wait_until(lambda: up() == [True, True, True], up)
    assert set(words(door, 12)) == {"one", "two", "three"}


@pytest.fixture
def clocks():
    """Ten backends that note when somebody comes."""
    came = [[] for _ in range(10)]
    servers = [peers.Server(lambda sock, times=times: times.append(time.monotonic())) for times in came]
    yield [server.to for server in servers], came
    for server in servers:
        server.stop()


def test_health_checks_are_spread(start_door, pki, clocks):
    """Not all at once after a start: the first ones over a second, the next ones over the interval."""
    to, came = clocks
    start_door(config(pki, to, health={"interval": ms(3000), "timeout": ms(100)}))
    wait_until(lambda: all(len(times) >= 2 for times in came), lambda: came, 15)
    # The first spread is a second however slow the machine is, and those that are overdue once the door is up come
    # together; the interval is longer where everything is slower.
    for which, least, most in ((0, 0.0, 1.5 * SLOW), (1, 2.2 * SLOW, 4.0 * SLOW)):
        times = sorted(each[which] for each in came)
        assert least < times[-1] - times[0] < most
        assert max(b - a for a, b in zip(times, times[1:])) < most / 2


def test_health_checks_go_on_through_reloads(start_door, pki, three, clocks):
    """A reload neither begins them anew nor forgets what has been counted."""
    to, came = clocks
    more = {"certificates": [pki.server("a.test").row()], "routes": [
        {"name": "a", "terminate": {"to": [server.to for server in three],
                                    "health": {"interval": ms(200), "timeout": ms(100), "fall": 5}}},
        {"name": "b", "sni": "b.test", "terminate": {"to": to, "health": {"interval": ms(60000)}}}]}
    door = start_door(more)
    wait_until(lambda: all(came), "the first checks")
    three[1].stop()
    end = time.monotonic() + 10 * SLOW
    while forms.backend(door.status(), "a", three[1].to)["up"]:
        assert time.monotonic() < end, "five failures in a row are never counted"
        door.reload()
    for _ in range(3):
        door.reload()
        assert not forms.backend(door.status(), "a", three[1].to)["up"]
    assert [len(times) for times in came] == [1] * 10
    more["routes"][0]["terminate"].pop("health")
    door.reload(more)
    assert forms.backend(door.status(), "a", three[1].to)["up"]


def test_all_down(start_door, pki, three):
    """Nobody is there: the client's connection ends, the audit line says why; back again, it works again."""
    health = {"interval": ms(100), "timeout": ms(100), "rise": 1, "fall": 1}
    door = start_door(config(pki, [server.to for server in three], health=health))
    for server in three:
        server.stop()
    status = door.status
    wait_until(lambda: not any(forms.backend(status(), "a", server.to)["up"] for server in three), status)
    door.mark()
    assert words(door, 1) == [""]
    assert door.audited(route="a")["reason"] == "no_backend"
    three[2].start()
    wait_until(lambda: words(door, 1) == ["three"], "the third backend to serve again")


def test_refused_without_health_checks(start_door, pki):
    """One backend, not there: refused (or, once that is known, no backend)."""
    door = start_door(config(pki, f"127.0.0.1:{free_port()}"))
    door.mark()
    assert words(door, 1) == [""]
    assert door.audited(route="a")["reason"] in ("refused", "no_backend")


def test_backend_that_does_not_answer(start_door, pki, three):
    """A dial that takes too long is given up for the next backend."""
    with peers.FullBacklog() as silent:
        door = start_door({**config(pki, [f"127.0.0.1:{silent.port}", three[0].to]),
                           "limits": {"dial_timeout": ms(300)}})
        assert set(words(door, 4)) == {"one"}
        door.reload({**config(pki, f"127.0.0.1:{silent.port}"), "limits": {"dial_timeout": ms(300)}})
        door.mark()
        assert words(door, 1) == [""]
        assert door.audited(route="a")["reason"] in ("dial_timeout", "no_backend")


def test_unix_socket(start_door, pki, tmp_path):
    """A relative path is taken from the configuration's directory."""
    with peers.Server(peers.says("unix"), path=tmp_path / "s.sock") as server:
        door = start_door(config(pki, server.to))
        assert words(door, 2) == ["unix", "unix"]
    with peers.Server(peers.says("relative"), path=door.directory / "r.sock"):
        door.reload(config(pki, "unix:r.sock"))
        assert words(door, 1) == ["relative"]


def test_pass_has_several_backends_too(start_door, three):
    """Passed connections are spread as well."""
    door = start_door({"workers": 1, "routes": [{"name": "a", "pass": {"to": [server.to for server in three]}}]})
    socks = []
    for _ in range(9):
        sock = door.dial()
        sock.sendall(tls.client_hello("a.test"))
        socks.append(sock)
    assert collections.Counter(tls.read_line(sock) for sock in socks) == {"one": 3, "two": 3, "three": 3}
    for sock in socks:
        sock.close()


# TLS to the backend -----------------------------------------------------------------------------------------------

def tls_config(pki, to, bundle="door-ca", **backend):
    return {**config(pki, to, tls={"trust": bundle, **backend}),
            "trust": [{"name": "door-ca", "ca": [pki.ca.file]}, {"name": "strangers", "ca": [pki.stranger.file]}]}


def test_tls_to_nginx(start_door, pki, nginx):
    """The backend's certificate is verified and its name sent as SNI."""
    door = start_door(tls_config(pki, nginx.to("tls"), name="backend.test"))
    done = curl_door(door, "https://a.test:{port}/who", "--http1.1", ca=pki.ca.file)
    assert done.stdout == b"tls HTTP/1.1 a.test backend.test\n", done.stderr.decode()


def test_alpn_to_nginx(start_door, pki, nginx):
    """HTTP/2 on both sides."""
    base = tls_config(pki, nginx.to("tls"), name="backend.test", alpn=["h2"])
    base["routes"][0]["alpn"] = "h2"
    door = start_door(base)
    done = curl_door(door, "https://a.test:{port}/who", "--http2", ca=pki.ca.file)
    assert done.stdout == b"tls HTTP/2.0 a.test backend.test\n", done.stderr.decode()


@pytest.mark.parametrize("bundle, name", [("strangers", "backend.test"), ("door-ca", "elsewhere.test")])
def test_backend_that_is_not_who_it_should_be(start_door, pki, nginx, bundle, name):
    """Another CA, another name: the client gets nothing, and the audit line says that it was the backend."""
    door = start_door(tls_config(pki, nginx.to("tls"), bundle, name=name))
    door.mark()
    assert curl_door(door, "https://a.test:{port}/who", "--http1.1", ca=pki.ca.file).stdout == b""
    line = door.audited(route="a")
    assert line["reason"] == "backend_tls" and line["detail"], line


def test_mtls_to_nginx(start_door, pki, nginx):
    """The door shows its own certificate; without one nginx refuses."""
    alice = pki.alice
    door = start_door(tls_config(pki, nginx.to("mtls"), name="backend.test", certificate=alice.certificate,
                                 key=alice.key))
    url = "https://a.test:{port}/who"
    assert b"CN=alice" in curl_door(door, url, ca=pki.ca.file).stdout
    door.reload(tls_config(pki, nginx.to("mtls"), name="backend.test"))
    assert b"No required SSL certificate" in curl_door(door, url, ca=pki.ca.file).stdout


def test_half_close_over_two_tls_connections(start_door, pki):
    """close_notify goes through on both sides."""
    def at_end(sock):
        peers.answer_at_end(sock)
        tls.finish(sock)
    ctx = peers.server_context(pki.server("backend.test"))
    with peers.Server(at_end, ctx=ctx) as server:
        door = start_door(tls_config(pki, server.to, name="backend.test"))
        with door.dial() as sock:
            half = tls.HalfTls(sock, tls.context(), "a.test")
            half.send(b"x" * 70000)
            half.close_notify()
            assert half.recv() == b"70000 bytes\n" and half.recv() == b""
