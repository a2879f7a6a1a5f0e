# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol: read from the peers that are trusted to send it and from nobody else; written to backends."""
import socket
import struct

import pytest

import peers
import tls
from peers import curl_door
from run import free_port, ms

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 443\r\n"
V1_V6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 2222 443\r\n"
V2 = SIGNATURE + struct.pack("!BBH4s4sHH", 0x21, 0x11, 12, bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]), 1111, 443)
V2_V6 = SIGNATURE + struct.pack("!BBH16s16sHH", 0x21, 0x21, 36, socket.inet_pton(socket.AF_INET6, "2001:db8::1"),
                                socket.inet_pton(socket.AF_INET6, "2001:db8::2"), 2222, 443)
V2_LOCAL = SIGNATURE + struct.pack("!BBH", 0x20, 0x00, 0)
HELLO = tls.client_hello("pass.test")


@pytest.fixture(scope="module")
def doors(tmp_path_factory, pki, nginx, echo):
    """A door that trusts 127.0.0.1 on its listener `behind`, and trusts nobody on `main`; (door, port of behind)."""
    from door import Door
    behind = free_port()
    door = Door(tmp_path_factory.mktemp("door"), {})
    door.configure({
        "listeners": [{"name": "main", "address": door.address},
                      {"name": "behind", "address": f"127.0.0.1:{behind}",
                       "proxy_protocol": {"from": ["127.0.0.1", "::1"]}}],
        "certificates": [pki.server("www.test", "h1.test", "h2.test").row()],
        "limits": {"hello_timeout": ms(500)},
        "routes": [
            {"name": "pass", "sni": "pass.test", "pass": {"to": echo.to}},
            {"name": "v1", "sni": "h1.test", "terminate": {"to": nginx.to("proxied")},
             "hand_on": {"proxy": "v1"}},
            {"name": "v2", "sni": "h2.test", "terminate": {"to": nginx.to("proxied")},
             "hand_on": {"proxy": "v2", "tlvs": "none"}},
        ],
    })
    door.start()
    yield door, behind
    door.stop()


@pytest.mark.parametrize("header, peer", [
    pytest.param(V1, "192.0.2.1:1111", id="v1"),
    pytest.param(V1_V6, "[2001:db8::1]:2222", id="v1 IPv6"),
    pytest.param(V2, "192.0.2.1:1111", id="v2"),
    pytest.param(V2_V6, "[2001:db8::1]:2222", id="v2 IPv6"),
])
@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "bytes"])
def test_read_from_a_trusted_peer(doors, header, peer, pieces):
    """The audit line has the address that the header tells; the header itself is not passed on."""
    door, behind = doors
    door.mark()
    with door.dial(behind) as sock:
        for part in [bytes([byte]) for byte in header] if pieces else [header]:
            sock.sendall(part)
        sock.sendall(HELLO)
        assert tls.read_exactly(sock, len(HELLO)) == HELLO
    assert door.audited(listener="behind")["peer"] == peer


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", V2_LOCAL], ids=["v1 UNKNOWN", "v2 LOCAL"])
def test_no_address_told(doors, header):
    """The proxy's own connection: the peer is the proxy."""
    door, behind = doors
    with door.dial(behind) as sock:
        sock.sendall(header + HELLO)
        assert tls.read_exactly(sock, len(HELLO)) == HELLO
        name = sock.getsockname()
    assert door.audited_of(name)["listener"] == "behind"


@pytest.mark.parametrize("data", [
    pytest.param(HELLO, id="none"),
    pytest.param(b"PROXY TCP4 192.0.2.1\r\n" + HELLO, id="v1 cut short"),
    pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 99999\r\n" + HELLO, id="v1 port"),
    pytest.param(b"PROXY TCP4 " + b"1" * 200 + b"\r\n" + HELLO, id="v1 too long"),
    pytest.param(SIGNATURE + b"\x31\x11\x00\x00" + HELLO, id="v2 version"),
    pytest.param(SIGNATURE + b"\x21\x11\x00\x04abcd" + HELLO, id="v2 too short for its address"),
])
def test_mandatory_and_well_formed(doors, data):
    """From a trusted peer the header must be there and be right."""
    door, behind = doors
    with door.dial(behind) as sock:
        sock.sendall(data)
        name = sock.getsockname()
        assert tls.ended(sock)
    assert door.audited_of(name)["reason"] == "proxy_bad"


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("where", ["another address", "another listener"])
def test_not_read_from_others(doors, header, where):
    """Whoever else sends one has not said TLS; his address is his own."""
    door, behind = doors
    sock = door.dial(behind, source="127.0.0.2") if where == "another address" else door.dial()
    with sock:
        sock.sendall(header + HELLO)
        name = sock.getsockname()
        assert tls.ended(sock)
    assert door.audited_of(name)["reason"] == "not_tls"


def test_others_without_header_are_served(doors):
    """On the same listener, peers that are not proxies connect as usual."""
    door, behind = doors
    with door.dial(behind, source="127.0.0.2") as sock:
        sock.sendall(HELLO)
        assert tls.read_exactly(sock, len(HELLO)) == HELLO


@pytest.mark.parametrize("host", ["h1.test", "h2.test"])
def test_sent_to_nginx(doors, pki, host):
    """A real backend that demands the header learns the client's address (v1 and v2)."""
    door, _ = doors
    done = curl_door(door, f"https://{host}:{{port}}/who", "-w", "%{local_ip}:%{local_port}\n", ca=pki.ca.file)
    told, own = done.stdout.decode().split()
    assert told == own, done.stderr.decode()


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("header, source", [(V1, "192.0.2.1:1111"), (V1_V6, "2001:db8::1:2222"), (b"", None)],
                         ids=["IPv4", "IPv6", "own"])
def test_chain_of_proxies(tmp_path, version, header, source):
    """What one proxy told is told on to the backend, before the ClientHello."""
    from door import Door
    seen = []

    def backend(sock):
        seen.append(peers.read_proxy_header(sock))
        peers.echo(sock)
    with peers.Server(backend) as server:
        door = Door(tmp_path, {})
        listener = {"name": "main", "address": door.address}
        door.configure({"listeners": [{**listener, "proxy_protocol": {"from": "127.0.0.0/8"}} if header else listener],
                        "routes": [{"name": "pass", "pass": {"to": server.to},
                                    "hand_on": {"proxy": version}}]})
        door.start()
        try:
            with door.dial() as sock:
                sock.sendall(header + HELLO)
                assert tls.read_exactly(sock, len(HELLO)) == HELLO
                own = "{}:{}".format(*sock.getsockname())
        finally:
            door.stop()
    assert seen[0][:2] == (version, source or own)
