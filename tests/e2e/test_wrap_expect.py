# SPDX-License-Identifier: Apache-2.0
"""`cardea wrap client --expect`: what the server must prove."""
import base64
import hashlib
import socket

import pytest

import peers
from pki import openssl
from run import CARDEA, SLOW, run

SPIFFE = "spiffe://example.test/app/web"


@pytest.fixture(scope="module")
def server(pki):
    """Somebody whose certificate has a SPIFFE ID and no name, and (ca, pin) of his."""
    cert = pki.stranger.issue("web", uri=[SPIFFE], label="wrap-web")
    key = openssl("pkey", "-in", cert.key, "-pubout", "-outform", "DER")
    with peers.Server(peers.says("hello"), ctx=peers.server_context(cert)) as started:
        started.pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
        yield started


def told(wrap):
    """What the client hears; nothing where he is cut off, which may be as soon as he has connected."""
    try:
        with socket.create_connection(("127.0.0.1", wrap.port), timeout=10 * SLOW) as sock:
            return sock.recv(64)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("expected", [
    ["any"], ["pin={pin}"], ["pin=" + "A" * 43 + "=", "pin=sha256//{pin}"], ["uri=" + SPIFFE, "--ca"],
    ["uri=spiffe://example.test/*", "issuer=Stranger CA", "pin={pin}", "--ca"]])
def test_it_is_what_is_expected(start_wrap, pki, server, expected):
    """Each alone, and all together."""
    words = [word for e in expected if e != "--ca" for word in ("--expect", e.format(pin=server.pin))]
    wrap = start_wrap("client", server.port, *words, *(["--ca", pki.stranger.file] if "--ca" in expected else []))
    assert told(wrap) == b"hello\n"
    assert ("anyone can be this backend" in wrap.process.output()) == (expected == ["any"])


@pytest.mark.parametrize("expected, found", [
    ("pin=" + "A" * 43 + "=", "has the pin sha256//"), ("uri=spiffe://example.test/app", "has the URI " + SPIFFE),
    ("issuer=Door CA", "none of its subject alternative names"), ("web.test", "is not for web.test")])
def test_it_is_not(start_wrap, pki, server, expected, found):
    """The client gets nothing, and the audit line says why."""
    trusted = [] if expected.startswith("pin=") else ["--ca", pki.stranger.file]
    wrap = start_wrap("client", server.port, "--expect", expected, *trusted)
    assert told(wrap) == b""
    assert found in wrap.audited(reason="backend_tls")["detail"]


@pytest.mark.parametrize("beside", ["wrong.test", "uri=" + SPIFFE, "issuer=Stranger CA"])
def test_nothing_is_expected_in_vain(start_wrap, server, beside):
    """Beside a pin a name counts as well, which the system's CAs have to vouch for where no others are given."""
    wrap = start_wrap("client", server.port, "--expect", f"pin={server.pin}", "--expect", beside)
    assert told(wrap) == b""
    assert "not in trust bundle system" in wrap.audited(reason="backend_tls")["detail"]


def test_name_beside_a_pin(start_wrap, pki, server):
    wrap = start_wrap("client", server.port, "--expect", f"pin={server.pin}", "--expect", "wrong.test", "--ca",
                      pki.stranger.file)
    assert told(wrap) == b""
    assert "is not for wrong.test" in wrap.audited(reason="backend_tls")["detail"]


@pytest.mark.parametrize("words, said", [
    (["--expect", "a", "--expect", "b"], "found a second name with --expect, 'b'"),
    (["--expect", "any", "--expect", "uri=urn:a"], "'--expect any' asks nothing of the server, 'uri=urn:a' does"),
    (["--expect", "b.test", "--expect", "any"], "'--expect any' asks nothing of the server, 'b.test' does"),
    (["--expect", "any", "--ca", "ca.pem"], "'--expect any' asks nothing of the server, '--ca' does"),
    (["--expect", "cn=b"], "found 'cn=b' with --expect: expected a DNS name or IP address, uri=URI, pin=SHA256, issuer="),
    (["--expect", "pin=x"], "found 'x', expected the base64 of a SHA-256")])
def test_misused(words, said):
    """Nothing is started."""
    done = run(CARDEA, "wrap", "client", "--listen", "127.0.0.1:1", "--to", "a.test:443", *words)
    assert done.returncode != 0 and said in done.stderr.decode()


def test_lowest_version(start_wrap, pki, server):
    """--min-version is the lowest that is spoken to the server."""
    wrap = start_wrap("client", server.port, "--expect", "any", "--min-version", "1.3")
    assert told(wrap) == b"hello\n"
    done = run(CARDEA, "wrap", "client", "--listen", "127.0.0.1:1", "--to", "a.test:443", "--min-version", "1.3", "--print")
    assert b'min_version: "1.3"' in done.stdout


def test_a_long_program():
    """A line of the configuration may be longer than 8 KiB: nothing of it is lost."""
    to = "exec:/bin/echo " + "x" * 9000
    done = run(CARDEA, "wrap", "client", "--listen", "127.0.0.1:1", "--to", to, "--expect", "any", "--print")
    assert f'"{to}"'.encode() in done.stdout, done.stderr
