# SPDX-License-Identifier: Apache-2.0
"""Every protocol that openssl s_client can ask for TLS in, in front of a server that only greets; and two doors, one that
asks and one that answers, between a client and a server that speak no TLS."""
import socket

import pytest

import peers
from tls import read_line, s_client

# What it is called by s_client, and the greeting of the plain server, which the client must not see a second time.
PROTOCOLS = {
    "smtp": ("smtp", b"220-server\r\n220 server\r\n"),
    "lmtp": ("lmtp", b"220 server\r\n"),
    "imap": ("imap", b"* OK server\r\n"),
    "pop3": ("pop3", b"+OK server\r\n"),
    "ftp": ("ftp", b"220-server\r\nserver\r\n220 server\r\n"),
    "nntp": ("nntp", b"200 server\r\n"),
    "managesieve": ("sieve", b""),
    "irc": ("irc", b""),
    "ldap": ("ldap", b""),
    "xmpp": ("xmpp", b""),
    "xmpp-server": ("xmpp-server", b""),
    "postgresql": ("postgres", b""),
}


CANCEL_REQUEST = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02"

# Of these nothing but s_client and ourselves is here to speak STARTTLS.
ALONE = ("irc", "xmpp-server")


@pytest.mark.parametrize("protocol", [
    pytest.param(p, marks=[pytest.mark.proves(p, "server", "openssl s_client")] if p in ALONE else []) for p in PROTOCOLS])
def test_clients_come_to_tls(start_wrap, pki, protocol):
    word, greeting = PROTOCOLS[protocol]
    cert = pki.server("door.test")

    def greets(sock):
        sock.sendall(greeting + b"behind the door\r\n")
        peers.echo(sock)
    with peers.Server(greets) as server:
        wrap = start_wrap.server(protocol, server.port, cert)
        name = ["-name", "door.test"] if word in ("smtp", "lmtp", "xmpp", "xmpp-server") else []
        said = s_client(wrap, "door.test", "-starttls", word, *name, "-CAfile", pki.ca.file, "-verify_return_error",
                        until=b"behind the door")
        assert "behind the door" in said.text and "server\r\n" not in said.text, said.text
        assert wrap.audited(starttls=protocol, version="1.3")


@pytest.mark.parametrize("protocol", [*PROTOCOLS, "telnet"])
def test_a_door_asks_and_a_door_answers(start_wrap, pki, protocol):
    cert = pki.server("door.test")
    greeting = PROTOCOLS.get(protocol, (None, b""))[1]

    def greets(sock):
        sock.sendall(greeting)
        if protocol == "ftp":  # no server says more before it is asked, and what is asked about TLS it does not hear
            assert sock.recv(100) == b"HELP\r\n"
        # PostgreSQL's client speaks first
        if protocol == "postgresql":
            assert sock.recv(len(CANCEL_REQUEST)) == CANCEL_REQUEST
        sock.sendall(b"behind the door\n")
        peers.echo(sock)
    with peers.Server(greets) as server:
        near = start_wrap.server(protocol, server.port, cert)
        far = start_wrap("client", near.port, "--starttls", protocol, "--ca", pki.ca.file, "--expect", "door.test")
        with socket.create_connection(("127.0.0.1", far.port), timeout=20) as sock:
            if protocol == "postgresql":
                sock.sendall(CANCEL_REQUEST)
            lines = [read_line(sock)]
            if protocol == "ftp":
                sock.sendall(b"HELP\r\n")
            while lines[-1] != "behind the door":
                lines.append(read_line(sock))
                assert lines[-1] != "", far.audit()
            assert len(lines) - 1 == (protocol in ("smtp", "lmtp", "imap", "pop3", "ftp", "nntp")), lines
            sock.sendall(b"hello\n")
            assert read_line(sock) == "hello"
        assert near.audited(starttls=protocol, version="1.3")
