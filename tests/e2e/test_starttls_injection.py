# SPDX-License-Identifier: Apache-2.0
"""What is injected in the clear around a request for TLS, by either side and in every protocol, must not pass for what was
said within."""
import socket

import pytest

import peers
from run import SLOW, wait_until
from tls import client_hello, connect, context, heard_by, read_line, read_until

EVIL = b"injected\r\n"
LDAP_SUCCESS = bytes.fromhex("300c02010178070a010004000400")
XMPP_STREAM = (b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'><stream:features>"
               b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>")

# How a client asks for TLS, and what the answer that grants it ends with.
REQUESTS = {
    "smtp": (b"EHLO x\r\nSTARTTLS\r\n", b"220 2.0.0 Ready to start TLS\r\n"),
    "imap": (b"a STARTTLS\r\n", b"a OK begin TLS now\r\n"),
    "pop3": (b"STLS\r\n", b"+OK begin TLS now\r\n"),
    "ftp": (b"AUTH TLS\r\n", b"234 Begin TLS now\r\n"),
    "nntp": (b"STARTTLS\r\n", b"382 Begin TLS now\r\n"),
    "irc": (b"STARTTLS\r\n", b"proceed with TLS handshake\r\n"),
    "managesieve": (b"STARTTLS\r\n", b"\r\nOK\r\nOK\r\n"),
    "ldap": (bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037", bytes.fromhex("78070a010004000400")),
    "xmpp": (b"<stream:stream to='door.test' xmlns='jabber:client'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
             b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
    "postgresql": (bytes.fromhex("0000000804d2162f"), b"S"),
    "telnet": (bytes.fromhex("fffb2efffa2e01fff0"), bytes.fromhex("fffa2e01fff0")),
}


def asks(wrap, request, granted=b""):
    """A client that has asked for TLS, and has read up to this answer."""
    sock = socket.create_connection(("127.0.0.1", wrap.port), timeout=10 * SLOW)
    sock.sendall(request)
    read_until(sock, granted)
    return sock


@pytest.mark.parametrize("protocol", REQUESTS)
def test_a_client_injects(start_wrap, pki, protocol):
    """What stands in the clear behind a request for TLS must not reach the server as if its client had said it within
    (CVE-2011-0411): at once or once the answer is there, it ends the connection."""
    (request, granted), cert, got = REQUESTS[protocol], pki.server("door.test"), bytearray()

    def hears(sock):
        while data := sock.recv(1000):
            got.extend(data)

    def secured(sock):
        return context(ca=pki.ca.file).wrap_socket(sock, server_hostname="door.test")
    with peers.Server(hears) as server:
        wrap = start_wrap.server(protocol, server.port, cert)
        with secured(asks(wrap, request, granted)):
            wait_until(lambda: server.count == 1, "a client that injects nothing")
        for sock in (asks(wrap, request + EVIL), asks(wrap, request, granted)):
            with sock, pytest.raises(OSError):
                sock.sendall(EVIL)
                secured(sock)
        assert server.count == 1 and EVIL.strip() not in got


# What a server says up to TLS: first of all, and each time that it has been asked for something.
ANSWERS = {
    "smtp": (b"220 a\r\n", b"250-x\r\n250 STARTTLS\r\n", b"220 go\r\n"),
    "lmtp": (b"220 a\r\n", b"250-x\r\n250 STARTTLS\r\n", b"220 go\r\n"),
    "imap": (b"* OK a\r\n", b"* CAPABILITY IMAP4rev1 STARTTLS\r\nc OK\r\n", b"s OK\r\n"),
    "pop3": (b"+OK a\r\n", b"+OK\r\nSTLS\r\n.\r\n", b"+OK\r\n"),
    "ftp": (b"220 a\r\n", b"234 go\r\n"),
    "nntp": (b"200 a\r\n", b"101 x\r\nSTARTTLS\r\n.\r\n", b"382 go\r\n"),
    "irc": (b"", b":s 670 * :go\r\n"),
    "managesieve": (b"\"STARTTLS\"\r\nOK\r\n", b"OK go\r\n"),
    "ldap": (b"", LDAP_SUCCESS),
    "xmpp": (b"", XMPP_STREAM, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
    "postgresql": (b"", b"S"),
    "telnet": (b"\xff\xfd\x2e", b"\xff\xfa\x2e\x01\xff\xf0"),
    "rdp": (b"", bytes.fromhex("030000130ed000001234000200080001000000")),
}


@pytest.mark.parametrize("protocol", ANSWERS)
def test_a_server_injects(start_door, pki, protocol):
    """What stands in the clear behind a server's leave to begin TLS must not reach the client as if it had come within, and
    the client's bytes must not follow (CVE-2021-38084 and its kin)."""
    ctx, injected, asked, came = peers.server_context(pki.server("behind.test")), [b""], bytearray(), []

    def handler(sock):
        *turns, last = ANSWERS[protocol]
        for turn in turns:
            sock.sendall(turn)
            asked.extend(sock.recv(2000))
        sock.sendall(last + injected[0])
        with ctx.wrap_socket(sock, server_side=True) as tls:
            came.append(tls)
            peers.echo(tls)
    with peers.Server(handler) as server:
        door = start_door({
            "trust": [{"name": "inside", "ca": [pki.ca.file]}], "certificates": [pki.server("door.test").row()],
            "routes": [{"name": "one", "terminate": {"to": server.to, "tls": {
                "trust": "inside", "name": "behind.test", "starttls": protocol}}}]})
        with connect(door, "door.test", ca=pki.ca.file):
            wait_until(lambda: came, "TLS with a server that injects nothing")
        injected[0] = EVIL
        with connect(door, "door.test", ca=pki.ca.file) as tls:
            tls.sendall(b"secret\r\n")
            assert EVIL.strip() not in heard_by(tls)
        assert door.audited(reason="backend_tls")
        assert len(came) == 1 and b"secret" not in asked


def test_a_pop3_server_cannot_choose_what_apop_signs(start_door, pki):
    """The time stamp in a POP3 server's greeting came in the clear, so anybody may have chosen it: a client must not be made
    to answer it with its password's digest (APOP). The greeting within TLS is the door's own."""
    ctx = peers.server_context(pki.server("behind.test"))

    def handler(sock):
        for number, turn in enumerate(ANSWERS["pop3"]):
            if number > 0:
                sock.recv(2000)
            sock.sendall(b"+OK <chosen@example.com>\r\n" if number == 0 else turn)
        with ctx.wrap_socket(sock, server_side=True) as tls:
            peers.echo(tls)
    with peers.Server(handler) as server:
        door = start_door({
            "trust": [{"name": "inside", "ca": [pki.ca.file]}], "certificates": [pki.server("door.test").row()],
            "routes": [{"name": "one", "terminate": {"to": server.to, "tls": {
                "trust": "inside", "name": "behind.test", "starttls": "pop3"}}}]})
        with connect(door, "door.test", ca=pki.ca.file) as tls:
            welcome = read_line(tls)
            assert welcome.startswith("+OK ") and welcome.endswith(" ready\r") and "<" not in welcome


@pytest.mark.parametrize("length", [4094, 4095, 4096, 4097, 8192])
def test_tls_without_asking_behind_words_in_the_clear(start_wrap, pki, length):
    """Where clients speak first they may begin with TLS at once, and only there: a ClientHello that was put behind somebody's
    words is none, however they are cut."""
    with peers.Server(peers.says("behind")) as server:
        wrap = start_wrap.server("irc", server.port, pki.server("door.test"))
        with socket.create_connection(("127.0.0.1", wrap.port), timeout=10 * SLOW) as sock:
            sock.sendall(b"CAP " + b"x" * (length - 6) + b"\r\n" + client_hello("door.test"))
            sock.shutdown(socket.SHUT_WR)
            assert b"\x16\x03" not in heard_by(sock)
        assert server.count == 0
