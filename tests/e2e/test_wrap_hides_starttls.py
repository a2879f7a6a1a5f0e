# SPDX-License-Identifier: Apache-2.0
"""Behind a server wrap: what a plain server offers to begin TLS with does not reach a client that has it, and all else does.
The last words of each come after the first command that is not of the preamble, and pass as they are."""
import socket
import ssl

import pytest

import peers
import tls
from run import SLOW

# protocol: the server's greeting, what it answers to commands; how a client begins TLS; what it says and hears within
CASES = {
    "smtp": (b"220 plain ESMTP\r\n",
             {b"EHLO c": b"250-plain\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 STARTTLS\r\n",
              b"MAIL FROM:<a@example.com>": b"250-STARTTLS\r\n250 ok\r\n"},
             [(None, b"220 "), (b"EHLO c", b"250 STARTTLS"), (b"STARTTLS", b"220 ")],
             [(b"EHLO c", b"250-plain\r\n250-SIZE 1000\r\n250 PIPELINING\r\n"),
              (b"STARTTLS", b"503 5.5.1 TLS has begun already\r\n"),
              (b"MAIL FROM:<a@example.com>", b"250-STARTTLS\r\n250 ok\r\n")]),
    "lmtp": (b"220 plain LMTP\r\n",
             {b"LHLO c": b"250-plain\r\n250-STARTTLS\r\n250 8BITMIME\r\n"},
             [(None, b"220 "), (b"LHLO c", b"250 STARTTLS"), (b"STARTTLS", b"220 ")],
             [(b"LHLO c", b"250-plain\r\n250 8BITMIME\r\n")]),
    "imap": (b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] plain\r\n",
             {b"a CAPABILITY": b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN LOGINDISABLED IDLE\r\na OK done\r\n",
              b"b LOGIN c d": b"* CAPABILITY STARTTLS\r\nb OK in\r\n"},
             [(None, b"* OK"), (b"a STARTTLS", b"a OK")],
             [(b"a CAPABILITY", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN IDLE\r\na OK done\r\n"),
              (b"x STARTTLS", b"x BAD TLS has begun already\r\n"),
              (b"b LOGIN c d", b"* CAPABILITY STARTTLS\r\nb OK in\r\n")]),
    "pop3": (b"+OK plain\r\n",
             {b"CAPA": b"+OK\r\nUSER\r\nSTLS\r\nUIDL\r\n.\r\n", b"USER c": b"+OK\r\nSTLS\r\n"},
             [(None, b"+OK"), (b"STLS", b"+OK")],
             [(b"CAPA", b"+OK\r\nUSER\r\nUIDL\r\n.\r\n"), (b"STLS", b"-ERR TLS has begun already\r\n"),
              (b"USER c", b"+OK\r\nSTLS\r\n")]),
    "nntp": (b"200 plain\r\n",
             {b"CAPABILITIES": b"101 l\r\nVERSION 2\r\nSTARTTLS\r\nREADER\r\n.\r\n", b"HELP": b"100 l\r\nSTARTTLS\r\n.\r\n"},
             [(None, b"200"), (b"STARTTLS", b"382")],
             [(b"CAPABILITIES", b"101 l\r\nVERSION 2\r\nREADER\r\n.\r\n"), (b"STARTTLS", b"502 TLS has begun already\r\n"),
              (b"HELP", b"100 l\r\nSTARTTLS\r\n.\r\n")]),
    "managesieve": (b'"SIEVE" "x"\r\n"STARTTLS"\r\n"VERSION" "1.0"\r\nOK\r\n',
                    {b"CAPABILITY": b'"SIEVE" "x"\r\n"STARTTLS"\r\nOK\r\n', b"LISTSCRIPTS": b'"STARTTLS"\r\nOK\r\n'},
                    [(None, b"OK"), (b"STARTTLS", b"OK")],
                    [(None, b'"SIEVE" "x"\r\n"VERSION" "1.0"\r\nOK\r\n'), (b"CAPABILITY", b'"SIEVE" "x"\r\nOK\r\n'),
                     (b"STARTTLS", b'NO "TLS has begun already"\r\n'), (b"LISTSCRIPTS", b'"STARTTLS"\r\nOK\r\n')]),
}


def plain_server(greeting, answers, heard):
    def serve(sock):
        sock.sendall(greeting)
        with sock.makefile("rb") as lines:
            for line in lines:
                heard.append(line.strip())
                sock.sendall(answers[line.strip()])
    return serve


@pytest.mark.parametrize("protocol", CASES)
def test_hidden_within_tls(start_wrap, pki, protocol):
    greeting, answers, steps, within = CASES[protocol]
    cert, heard = pki.server("mail.example.com"), []
    with peers.Server(plain_server(greeting, answers, heard)) as server:
        wrap = start_wrap.server(protocol, server.port, cert)
        with socket.create_connection(("127.0.0.1", wrap.port), timeout=10 * SLOW) as sock:
            tls.converse(sock, steps)
            with tls.context(pki.ca.file).wrap_socket(sock, server_hostname="mail.example.com") as secure:
                for words, answer in within:
                    if words is not None:
                        secure.sendall(words + b"\r\n")
                    assert tls.read_exactly(secure, len(answer)) == answer
                with pytest.raises((ssl.SSLError, TimeoutError)):
                    secure.settimeout(0.05)
                    secure.recv(1)
    assert heard == [words for words, _ in within if words in answers]


@pytest.mark.parametrize("protocol, ask, keeps", [("smtp", b"EHLO c\r\n", b"PIPELINING"), ("imap", b"a CAPABILITY\r\n", b"IMAP4rev1"),
                                                  ("pop3", b"CAPA\r\n", b"UIDL"), ("managesieve", b"CAPABILITY\r\n", b"IMPLEMENTATION")])
def test_hidden_of_real_servers(start_wrap, mail_cert, pki, postfix, dovecot_tls, protocol, ask, keeps):
    """Postfix and Dovecot, who demand STARTTLS themselves: it cannot come about, and is not offered."""
    server = postfix if protocol == "smtp" else dovecot_tls
    wrap = start_wrap.server(protocol, server.to("submission" if protocol == "smtp" else protocol), mail_cert)
    with socket.create_connection(("127.0.0.1", wrap.port), timeout=10 * SLOW) as sock:
        tls.converse(sock, CASES[protocol][2])
        with tls.context(pki.ca.file).wrap_socket(sock, server_hostname="mail.example.com") as secure:
            secure.sendall(ask)
            secure.settimeout(1 * SLOW)
            said = b""
            with pytest.raises((ssl.SSLError, TimeoutError)):
                while data := secure.recv(4096):
                    said += data
    assert keeps in said and not any(word in said for word in (b"STARTTLS", b"STLS", b"LOGINDISABLED")), said
