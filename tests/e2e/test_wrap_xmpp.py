# SPDX-License-Identifier: Apache-2.0
"""XMPP in each role, with Prosody; clients are openssl s_client, and by hand where there is to be no TLS."""
import base64
import socket

import pytest

import peers
import tls
from run import SLOW

HEADER = ("<?xml version='1.0'?><stream:stream to='door.test' version='1.0' xmlns='jabber:client' "
          "xmlns:stream='http://etherx.jabber.org/streams'>")
PLAIN = base64.b64encode(b"\0alice\0knock").decode()
AUTH = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{PLAIN}</auth>"


@pytest.fixture(scope="module")
def prosody(tmp_path_factory):
    server = peers.Prosody(tmp_path_factory.mktemp("prosody"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tls_prosody(tmp_path_factory, pki):
    server = peers.Prosody(tmp_path_factory.mktemp("prosody"), pki.server("door.test"))
    yield server
    server.stop()


def logs_in(sock):
    """The whole of a login with a password, as within TLS."""
    sock.settimeout(10 * SLOW)
    sock.sendall(HEADER.encode())
    offered = tls.read_until(sock, b"</stream:features>")
    assert b"PLAIN" in offered and b"starttls" not in offered.replace(b"xmpp-tls", b"")
    sock.sendall(AUTH.encode())
    return b"<success" in tls.read_until(sock, b">")


def features(door, pki):
    """What openssl s_client hears within TLS, at a door or a wrap."""
    return tls.s_client(door, "door.test", "-starttls", "xmpp", "-xmpphost", "door.test", "-CAfile", pki.ca.file,
                        "-verify_return_error", "-verify_hostname", "door.test", "-quiet",
                        then=HEADER.encode() + b"</stream:stream>")


@pytest.mark.proves("xmpp", "client", "Prosody")
def test_plain_client(start_wrap, tls_prosody, pki):
    wrap = start_wrap("client", tls_prosody.port, "--starttls", "xmpp", "--ca", pki.ca.file, "--expect", "door.test")
    with socket.create_connection(("127.0.0.1", wrap.port), 10) as sock:
        assert logs_in(sock)


@pytest.mark.proves("xmpp", "server", "openssl s_client", "Prosody")
def test_plain_server(start_wrap, prosody, pki):
    wrap = start_wrap.server("xmpp", prosody.port, pki.server("door.test"))
    assert "PLAIN" in features(wrap, pki).text
    assert wrap.audited(starttls="xmpp", version="1.3")


def test_nothing_goes_on_without_tls(start_wrap, prosody, pki):
    wrap = start_wrap.server("xmpp", prosody.port, pki.server("door.test"))
    with socket.create_connection(("127.0.0.1", wrap.port), 10) as sock:
        sock.sendall(HEADER.encode())
        assert b"<required/>" in tls.read_until(sock, b"</stream:features>")
        sock.sendall(AUTH.encode())
        assert b"policy-violation" in tls.read_until(sock, b"</stream:stream>")


@pytest.mark.proves("xmpp", "route", "openssl s_client", "Prosody")
@pytest.mark.parametrize("action", ["terminate", "pass"])
def test_at_a_shared_port(start_door, prosody, tls_prosody, pki, action):
    server = prosody if action == "terminate" else tls_prosody
    door = start_door({
        "certificates": [pki.server("door.test").row()],
        "routes": [{"name": "chat", "first_bytes": "xmpp", "sni": "door.test",
                    action: {"to": f"127.0.0.1:{server.port}"}}],
    })
    assert "PLAIN" in features(door, pki).text
    assert door.audited(action=action)["starttls"] == "xmpp"
