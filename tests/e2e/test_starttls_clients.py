# SPDX-License-Identifier: Apache-2.0
"""Every protocol that openssl s_client can ask for TLS in, in front of a server that only greets."""
import pytest

import peers
from tls import s_client

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


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_clients_come_to_tls(start_wrap, pki, protocol):
    word, greeting = PROTOCOLS[protocol]
    cert = pki.server("door.test")

    def greets(sock):
        sock.sendall(greeting + b"behind the door\r\n")
        peers.echo(sock)
    with peers.Server(greets) as server:
        wrap = start_wrap("server", server.port, "--starttls", protocol, "--cert", cert.certificate, "--key", cert.key)
        name = ["-name", "door.test"] if word in ("smtp", "lmtp", "xmpp", "xmpp-server") else []
        said = s_client(wrap, "door.test", "-starttls", word, *name, "-CAfile", pki.ca.file, "-verify_return_error",
                        until=b"behind the door")
        assert "behind the door" in said.text and "server\r\n" not in said.text, said.text
        assert wrap.audited(starttls=protocol, version="1.3")
