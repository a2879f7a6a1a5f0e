# SPDX-License-Identifier: Apache-2.0
"""ssh, HTTP, PostgreSQL and TLS on one port, told apart by their first bytes."""
import pytest

import peers
import tls
from fixtures import clean_env
from peers import curl, curl_door
from run import free_port, ms, run


@pytest.fixture(scope="module")
def web():
    with peers.Server(peers.web("plain")) as server:
        yield server


@pytest.fixture(scope="module")
def door(start_module_door, pki, sshd, web, nginx, postgres):
    return start_module_door({
        "certificates": [pki.server("www.test").row(), pki.server("db.test").row()],
        "limits": {"hello_timeout": ms(1000)},
        "routes": [
            {"name": "shell", "first_bytes": "ssh", "pass": {"to": f"127.0.0.1:{sshd.port}"}},
            {"name": "plain", "first_bytes": ["http"], "pass": {"to": web.to}},
            {"name": "db", "first_bytes": "postgresql", "terminate": {"to": f"127.0.0.1:{postgres.port}"}},
            {"name": "www", "sni": "www.test", "terminate": {"to": nginx.to("h1")}},
        ],
    })


def test_ssh(door, sshd, tmp_path):
    """ssh straight to the door's port."""
    door.mark()
    done = run("ssh", *sshd.options(), "-p", door.port, f"{sshd.user}@127.0.0.1", "echo knock",
               env=clean_env(tmp_path))
    assert done.stdout == b"knock\n", done.stderr.decode()
    line = door.audited(route="shell")
    assert line["action"] == "pass" and "sni" not in line


def test_http(door):
    """Plain HTTP, such as a redirect to HTTPS needs."""
    assert curl("--noproxy", "*", f"http://127.0.0.1:{door.port}/x").stdout == b"plain GET /x\n"
    assert curl("--noproxy", "*", "-X", "OPTIONS", f"http://127.0.0.1:{door.port}/").stdout == b"plain OPTIONS /\n"


def test_https(door, pki):
    assert curl_door(door, "https://www.test:{port}/who", ca=pki.ca.file).stdout == b"h1 HTTP/1.1 www.test\n"


def test_postgres(door, postgres):
    done = postgres.psql("select 6 * 7", host="db.test", hostaddr="127.0.0.1", port=door.port, sslmode="require")
    assert done.stdout == b"42\n", done.stderr.decode()


@pytest.mark.parametrize("first, rest, answer", [
    (b"S", b"SH-2.0-x\r\n", b"SSH-2.0-"),
    (b"GE", b"T /y HTTP/1.1\r\n\r\n", b"HTTP/1.1 200"),
])
def test_in_pieces(door, first, rest, answer):
    """The first bytes come in several packets."""
    import time
    with door.dial() as sock:
        sock.sendall(first)
        time.sleep(0.05)
        sock.sendall(rest)
        assert tls.read_exactly(sock, len(answer)) == answer


def test_something_else(door):
    """What none of them is ends as not TLS."""
    with door.dial() as sock:
        sock.sendall(b"EHLO x\r\n")
        assert tls.ended(sock)
        assert door.audited_of(sock)["reason"] == "not_tls"


def test_on_the_listeners_that_take_them(start_door, pki):
    """A listener answers no protocol that only routes of another listener take."""
    ports = {"public": free_port(), "inside": free_port()}
    ssl_request = bytes.fromhex("0000000804d2162f")
    door = start_door({
        "certificates": [pki.server("db.test").row()],
        "listeners": [{"name": name, "address": f"127.0.0.1:{port}"} for name, port in ports.items()],
        "routes": [{"name": "db", "first_bytes": "postgresql", "listeners": ["inside"], "terminate": {"to": "127.0.0.1:1"}},
                   {"name": "www", "terminate": {"to": "127.0.0.1:1"}}],
    })
    with door.dial(ports["inside"]) as sock:
        sock.sendall(ssl_request)
        assert tls.read_exactly(sock, 1) == b"S"
    with door.dial(ports["public"]) as sock:
        sock.sendall(ssl_request)
        assert tls.ended(sock)
        assert door.audited_of(sock)["reason"] == "not_tls"
