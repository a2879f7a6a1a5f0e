# SPDX-License-Identifier: Apache-2.0
"""TLS that goes through untouched, chosen by SNI and ALPN; the door's precedence of routes."""
import pytest

import peers
import tls
from peers import curl_door
from run import free_port


@pytest.fixture(scope="module")
def door(start_module_door, nginx):
    return start_module_door({
        "routes": [
            {"name": "web", "sni": "*.pass.test", "pass": {"to": nginx.to("tls")}},
            {"name": "mtls", "sni": "m.pass.test", "pass": {"to": nginx.to("mtls")}},
        ],
    })


def test_the_backend_holds_the_certificate(door, pki):
    """curl verifies nginx's own certificate; nginx sees the name."""
    done = curl_door(door, "https://a.pass.test:{port}/who", ca=pki.ca.file)
    assert done.stdout == b"tls HTTP/2.0 a.pass.test a.pass.test\n", done.stderr.decode()


def test_client_certificate_passes_through(door, pki):
    """mTLS between curl and nginx; the exact name wins over the wildcard."""
    done = curl_door(door, "https://m.pass.test:{port}/who", "--cert", pki.alice.certificate, "--key", pki.alice.key,
                     ca=pki.ca.file)
    assert b"CN=alice" in done.stdout, done.stderr.decode()


def test_audit_line(door, pki):
    """The line has the SNI, the first offer of ALPN, the bytes; and no version that only the ends know."""
    door.mark()
    curl_door(door, "https://a.pass.test:{port}/who", ca=pki.ca.file)
    line = door.audited(sni="a.pass.test")
    assert (line["route"], line["action"], line["alpn"], line["reason"]) == ("web", "pass", "h2", "done")
    assert line["in"] > 300 and line["out"] > 500 and "cipher" not in line


# What the route says first is its name; the client sends a ClientHello of bytes only, as nobody finishes a handshake.
ROUTES = [
    {"name": "exact", "sni": "a.b.c.test"},
    {"name": "exact-h2", "sni": "a.b.c.test", "alpn": "h2"},
    {"name": "exact-acme", "sni": "a.b.c.test", "alpn": "acme*"},
    {"name": "exact-acme-tls", "sni": "a.b.c.test", "alpn": "acme-tls*"},
    {"name": "one-label", "sni": "*.b.c.test"},
    {"name": "many-labels", "sni": "**.c.test"},
    {"name": "fewer-labels", "sni": "**.test"},
    {"name": "no-name", "sni": "none"},
    {"name": "any"},
    {"name": "any-second", "listeners": ["second"]},
    {"name": "from-file", "sni_file": "names.txt"},
]

CASES = [
    ("a.b.c.test", [], "exact"),
    ("A.B.C.TEST", [], "exact"),
    ("a.b.c.test", ["h2"], "exact-h2"),
    ("a.b.c.test", ["http/1.1", "h2"], "exact-h2"),
    ("a.b.c.test", ["http/1.1"], "exact"),
    ("a.b.c.test", ["acme-x"], "exact-acme"),
    ("a.b.c.test", ["acme-tls/1"], "exact-acme-tls"),
    ("x.b.c.test", ["h2"], "one-label"),
    ("x.y.b.c.test", [], "many-labels"),
    ("b.c.test", [], "many-labels"),
    ("c.test", [], "fewer-labels"),
    ("test", [], "any"),
    ("other.example", [], "any"),
    (None, [], "no-name"),
    ("listed.example", [], "from-file"),
    ("also.listed.example", [], "from-file"),
]


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A door where each route leads to a server that says the route's name."""
    from door import Door
    servers = [peers.Server(peers.says(route["name"])) for route in ROUTES]
    second = free_port()
    directory = tmp_path_factory.mktemp("door")
    (directory / "names.txt").write_text("# names\nlisted.example\n\nalso.listed.example  # and a comment\n")
    door = Door(directory, {})
    door.configure({
        "listeners": [{"name": "main", "address": door.address}, {"name": "second", "address": f"127.0.0.1:{second}"}],
        "routes": [{**route, "pass": {"to": server.to}} for route, server in zip(ROUTES, servers)],
    })
    door.start()
    door.second = second
    yield door
    door.stop()
    for server in servers:
        server.stop()


def taken(door, sni, alpn, port=None):
    with door.dial(port) as sock:
        sock.sendall(tls.client_hello(sni, alpn))
        return sock.makefile("rb").readline().decode().strip()


@pytest.mark.parametrize("sni, alpn, route", CASES)
def test_precedence(named, sni, alpn, route):
    """The most specific name, then the most specific ALPN."""
    assert taken(named, sni, alpn) == route


def test_listener_breaks_the_tie(named):
    """A route that names the listener wins over one that does not."""
    assert taken(named, "other.example", [], named.second) == "any-second"
    assert taken(named, "a.b.c.test", [], named.second) == "exact"


def test_the_backend_gets_the_very_bytes(start_door):
    """Everything the client sent reaches the backend, the ClientHello first and unchanged."""
    hello = tls.client_hello("a.test", ["h2"])
    with peers.Server(peers.echo) as server:
        door = start_door({"routes": [{"name": "a", "pass": {"to": server.to}}]})
        with door.dial() as sock:
            sock.sendall(hello + b"")
            assert tls.read_exactly(sock, len(hello)) == hello
            sock.sendall(b"more")
            assert tls.read_exactly(sock, 4) == b"more"


def test_early_data_behind_the_hello(start_door):
    """Records that follow the ClientHello at once (0-RTT) are passed on too."""
    hello = tls.client_hello("a.test") + b"\x14\x03\x03\x00\x01\x01" + b"\x17\x03\x03\x00\x04abcd"
    with peers.Server(peers.echo) as server:
        door = start_door({"routes": [{"name": "a", "pass": {"to": server.to}}]})
        with door.dial() as sock:
            sock.sendall(hello)
            assert tls.read_exactly(sock, len(hello)) == hello


def test_half_close(start_door, counter):
    """The client ends its side; the answer still arrives."""
    import socket
    door = start_door({"routes": [{"name": "a", "pass": {"to": counter.to}}]})
    hello = tls.client_hello("a.test")
    with door.dial() as sock:
        sock.sendall(hello + b"x" * 100000)
        sock.shutdown(socket.SHUT_WR)
        assert tls.read_all(sock) == f"{len(hello) + 100000} bytes\n".encode()
    assert door.audited(route="a")["reason"] == "done"
