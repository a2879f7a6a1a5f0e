# SPDX-License-Identifier: Apache-2.0
"""One name, one port: browsers get the web site, `cardea connect` gets a tunnel, ACME's validation goes elsewhere."""
import pytest

import tls
from peers import curl_door


@pytest.fixture(scope="module")
def door(start_module_door, pki, nginx, banner):
    return start_module_door({
        "certificates": [pki.server("one.test").row()],
        "trust": [pki.trust()],
        "routes": [
            {"name": "web2", "sni": "one.test", "alpn": "h2", "terminate": {"to": nginx.to("h2c")}},
            {"name": "web1", "sni": "one.test", "terminate": {"to": nginx.to("h1"), "alpn": "http/1.1"}},
            {"name": "acme", "sni": "one.test", "alpn": "acme-tls/1", "pass": {"to": banner.to}},
            {"name": "tunnel", "sni": "one.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
        ],
        "policy": [{"name": "staff", "who": {"issuer": "Staff CA"}, "targets": [f"127.0.0.0/8:{banner.port}"]}],
    })


def test_web(door, pki):
    """No client certificate is asked for."""
    url = "https://one.test:{port}/who"
    assert curl_door(door, url, "--http2", ca=pki.ca.file).stdout == b"h2c HTTP/2.0 one.test\n"
    assert curl_door(door, url, "--http1.1", ca=pki.ca.file).stdout == b"h1 HTTP/1.1 one.test\n"


def test_tunnel(door, pki, banner, connect):
    """The tunnel's ALPN takes the tunnel's route."""
    done = connect(door, f"127.0.0.1:{banner.port}", name="one.test", input=b"knock\n")
    assert (done.returncode, done.stdout) == (0, b"behind the door\nknock\n"), done.stderr.decode()


def test_acme(door):
    """The challenge's ALPN is passed to whoever answers challenges."""
    with door.dial() as sock:
        sock.sendall(tls.client_hello("one.test", ["acme-tls/1"]))
        assert tls.read_exactly(sock, 16) == b"behind the door\n"


def test_the_web_gets_no_tunnel(door, pki):
    """A tunnel hello under the web's ALPN is just bytes to the web server."""
    with tls.connect(door, "one.test", alpn=["http/1.1"]) as sock:
        sock.sendall(b"\0\x02{}\r\n\r\n")
        assert b"<html>" in tls.read_all(sock)
