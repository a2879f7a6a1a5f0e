# SPDX-License-Identifier: Apache-2.0
"""The door as an HTTPS proxy: curl with a client certificate, CONNECT over HTTP/1.1."""
import json

import pytest

import peers
import tls
from peers import curl


@pytest.fixture(scope="module")
def web():
    with peers.Server(peers.web("plain")) as server:
        yield server


@pytest.fixture(scope="module")
def door(start_module_door, pki, nginx, web):
    return start_module_door({
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "proxy", "tunnel": {}, "alpn": ["cardea/1", "http/1.1"],
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [
            {"name": "not-the-secret", "effect": "deny", "who": {"any": True}, "targets": ["secret.test:*"]},
            {"name": "ops", "who": {"group": "ops"},
             "targets": [f"localhost:{web.port}", f"localhost:{nginx.ports['tls']}", "secret.test:*", "*:1",
                         "nosuch.invalid:*"]},
        ],
    })


def through(door, pki, url, *words, cert="alice"):
    """curl with the door as its proxy."""
    person = getattr(pki, cert) if cert else None
    shown = ["--proxy-cert", person.certificate, "--proxy-key", person.key] if person else []
    return curl("--noproxy", "", "--proxy", f"https://door.test:{door.port}", "--resolve",
                f"door.test:{door.port}:127.0.0.1", "--proxy-cacert", pki.ca.file, *shown, "--proxytunnel",
                "--suppress-connect-headers", *words, url)


def test_http_target(door, pki, web):
    """Plain HTTP inside the tunnel."""
    door.mark()
    done = through(door, pki, f"http://localhost:{web.port}/page")
    assert done.stdout == b"plain GET /page\n", done.stderr.decode()
    line = door.audited(route="proxy")
    assert (line["action"], line["identity"], line["target"]) == ("tunnel", "alice", f"localhost:{web.port}")
    assert line.get("alpn", "http/1.1") == "http/1.1"  # older curl sends no ALPN to a proxy


def test_https_target(door, pki, nginx):
    """TLS inside TLS; the inner certificate is the target's."""
    done = through(door, pki, f"https://localhost:{nginx.ports['tls']}/who", "--insecure")
    assert done.stdout.startswith(b"tls HTTP/2.0 localhost"), done.stderr.decode()


def test_curl_without_proxytunnel(door, pki, web):
    """curl asks a proxy for http:// URLs with GET: 405, and how to make it use CONNECT."""
    done = through(door, pki, f"http://localhost:{web.port}/page", "--no-proxytunnel")
    assert b"only CONNECT" in done.stdout and b"--proxytunnel" in done.stdout, done.stderr.decode()


def test_denied_names_the_rule(door, pki, web):
    """403; the rule stands in the body and in the audit line."""
    door.mark()
    done = through(door, pki, "http://secret.test:80/", "-v")
    assert done.returncode != 0 and b"CONNECT tunnel failed, response 403" in done.stderr
    assert b"not-the-secret" in done.stderr
    assert door.audited(route="proxy", target="secret.test:80")["reason"] == "denied"


def test_denied_by_no_rule(door, pki, web):
    """Bob is not of ops."""
    done = through(door, pki, f"http://localhost:{web.port}/", "-v", cert="bob")
    assert b"response 403" in done.stderr and b"no rule" in done.stderr


@pytest.mark.parametrize("cert", [None, "mallory"])
def test_without_a_certificate_we_trust(door, pki, web, cert):
    """No certificate, or one of another CA: no connection at all."""
    done = through(door, pki, f"http://localhost:{web.port}/", cert=cert)
    assert done.returncode != 0 and done.stdout == b""


def test_refused_and_unknown_targets(door, pki):
    """502 when nobody listens, and when there is no such host."""
    assert b"response 502" in through(door, pki, "http://localhost:1/").stderr
    assert b"response 502" in through(door, pki, "http://nosuch.invalid:80/").stderr


def answer(door, pki, request):
    """What the door says to these bytes after the handshake."""
    with tls.connect(door, "door.test", cert=pki.alice, alpn=["http/1.1"]) as sock:
        sock.sendall(request)
        return tls.read_all(sock).decode()


@pytest.mark.parametrize("request_bytes, status", [
    (b"CONNECT localhost HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"CONNECT localhost:99999 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"CONNECT localhost:80 HTTP/1.1\r\n\r\n", 400),
    (b"CONNECT localhost:80 HTTP/1.1\nHost: localhost\n\n", 400),
    (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"nonsense\r\n\r\n", 400),
    (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5000 + b"\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
], ids=["no port", "port too large", "no host", "bare line feeds", "transfer-encoding", "nonsense", "too many fields",
        "get", "get absolute"])
def test_bad_requests(door, pki, request_bytes, status):
    """What is not a CONNECT that has one reading only is refused, with a page that says so, and audited."""
    door.mark()
    said = answer(door, pki, request_bytes)
    assert said.startswith(f"HTTP/1.1 {status} "), said
    assert "\r\nProxy-Status: cardea;" in said
    assert door.audited(route="proxy")["reason"] == "bad_request"


def test_bytes_behind_the_request(door, pki, web):
    """What the client sends right behind its CONNECT is the target's."""
    request = f"CONNECT localhost:{web.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with tls.connect(door, "door.test", cert=pki.alice, alpn=["http/1.1"]) as sock:
        sock.sendall(request + b"GET /early HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        while b"plain GET /early\n" not in data:
            more = sock.recv(4096)
            assert more, data
            data += more
    assert data.startswith(b"HTTP/1.1 200 ")


def test_both_protocols_on_one_route(door, pki, echo, web):
    """cardea/1 on the same route; its answer is JSON."""
    sock, said = tls.tunnel(door, "door.test", "secret.test:80", pki.alice)
    sock.close()
    assert (said["ok"], said["code"], said["rule"]) == (False, "denied", "not-the-secret"), json.dumps(said)
    sock, said = tls.tunnel(door, "door.test", f"localhost:{web.port}", pki.alice)
    assert said["ok"] is True
    sock.close()
