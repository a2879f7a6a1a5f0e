# SPDX-License-Identifier: Apache-2.0
"""Mail and news in each role, between real clients and real servers: smtp, submission, lmtp, imap, pop3, managesieve, nntp."""
import re
import socket

import pytest

import mail_clients
import tls
from mail_servers import ADDRESS
from mail_attacks import TLS, greet_with, inject, refuse, strip
from mail_work import CLIENT, PROTOCOLS, SERVER, Work, script, subjects
from middle import Middle
from run import SLOW, wait_until

STARTTLS = re.compile(rb"^(\S+ )?(STARTTLS|STLS)\r$", re.MULTILINE | re.IGNORECASE)


def claims(role, protocols=PROTOCOLS, *, plain_client=False):
    """A case for each protocol, and what it shows."""
    def peers(protocol):
        client = "getlist" if plain_client else "openssl s_client"
        return SERVER[protocol], CLIENT.get(protocol, client)
    return [pytest.param(protocol, marks=pytest.mark.proves(protocol, role, *peers(protocol))) for protocol in protocols]


@pytest.fixture(scope="module")
def work(request, pki):
    return Work(request, pki.ca.file)


@pytest.mark.parametrize("protocol", claims("client", plain_client=True))
def test_plain_client(work, start_wrap, pki, protocol):
    """A client that knows no TLS, and a server that demands it."""
    middle = Middle(work.server(protocol, "starttls"))
    wrap = start_wrap("client", middle.to, "--starttls", protocol, "--ca", pki.ca.file, "--expect", "mail.example.com")
    done, text = work.do(protocol, wrap.port, None)
    assert done, f"{text}\n{wrap.audit()}\n{middle.heard}\n{middle.answered}"
    assert STARTTLS.search(middle.heard[:middle.heard.index(TLS)])


def server_words(protocol, cert, *more):
    return ["--starttls", protocol, "--cert", cert.certificate, "--key", cert.key, *more]


@pytest.mark.parametrize("protocol", claims("server"))
def test_plain_server(work, start_wrap, mail_cert, protocol):
    """A client that demands STARTTLS, and a server that knows none and never hears of it. A client without is turned away."""
    middle = Middle(work.server(protocol, None))
    wrap = start_wrap("server", middle.to, *server_words(protocol, mail_cert))
    done, text = work.do(protocol, wrap.port, "starttls")
    assert done, f"{text}\n{wrap.audit()}\n{middle.heard}\n{middle.answered}"
    assert not STARTTLS.search(middle.heard)
    assert wrap.audited(starttls=script(protocol), version="1.3")
    middle.heard = b""
    if protocol != "managesieve":  # sieve-connect takes STARTTLS where it is offered, whatever it is told
        assert not work.do(protocol, wrap.port, None)[0]
    assert middle.heard == b""


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plaintext_where_it_is_allowed(work, start_wrap, mail_cert, protocol):
    """With --plaintext both come through. But submission's clients send no password where none is asked for in the clear."""
    middle = Middle(work.server(protocol, None))
    wrap = start_wrap("server", middle.to, *server_words(protocol, mail_cert, "--plaintext"))
    for how in (None, "starttls") if protocol != "submission" else ("starttls",):
        done, text = work.do(protocol, wrap.port, how)
        assert done, f"{how}: {text}\n{wrap.audit()}\n{middle.heard}\n{middle.answered}"
    assert not STARTTLS.search(middle.heard)


@pytest.mark.parametrize("protocol", [
    pytest.param("smtp", marks=pytest.mark.proves("smtp", "server", "Postfix")),
    pytest.param("lmtp", marks=pytest.mark.proves("lmtp", "server", "Dovecot", "Postfix"))])
def test_postfix_sends_with_starttls_only(work, start_wrap, mail_cert, postfix, protocol):
    """Postfix as the client, which sends nothing without TLS (smtp_tls_security_level = encrypt)."""
    middle = Middle(work.server(protocol, None))
    wrap = start_wrap("server", middle.to, *server_words(protocol, mail_cert), port=postfix.onward[protocol])
    subject, to = next(subjects), f"alice@{protocol}.example.com"
    assert mail_clients.swaks(postfix.ports["out"], None, None, None, subject, to=to, host=ADDRESS).returncode == 0
    server = postfix if protocol == "smtp" else work.dovecot
    wait_until(lambda: server.delivered(subject, to), lambda: f"{to}: {postfix.log()}", 20)
    assert wrap.audited(starttls=protocol, version="1.3")
    assert b"8BITMIME" in middle.answered  # the server's own abilities, which its client has seen within TLS
    assert not STARTTLS.search(middle.heard)


# What the door says in the clear and within TLS ----------------------------------------------------------------------

# The question what can be done; with what the answer ends; a command that needs TLS; how that is turned away.
QUESTIONS = {
    "smtp": (b"EHLO client.example.com\r\n", b"250 ", b"MAIL FROM:<bob@example.com>\r\n", b"530 5.7.0 "),
    "lmtp": (b"LHLO client.example.com\r\n", b"250 ", b"MAIL FROM:<bob@example.com>\r\n", b"530 5.7.0 "),
    "imap": (b"a CAPABILITY\r\n", b"a OK", b"b LOGIN alice knock\r\n", b"b NO [PRIVACYREQUIRED]"),
    "pop3": (b"CAPA\r\n", b".", b"USER alice\r\n", b"-ERR "),
    "managesieve": (b"CAPABILITY\r\n", b"OK", b"LISTSCRIPTS\r\n", b"NO (ENCRYPT-NEEDED)"),
    "nntp": (b"CAPABILITIES\r\n", b".", b"GROUP example.test\r\n", b"483 "),
}
ASK = {"imap": b"s STARTTLS\r\n", "pop3": b"STLS\r\n"}


def until(sock, mark=b""):
    """What comes, up to the line that begins so."""
    text, line = b"", None
    while line is None or not line.startswith(mark):
        line = tls.read_line(sock).encode()
        assert line, f"ended after {text}, before {mark}"
        text += line + b"\n"
    return text


def greeting(sock, protocol):
    return until(sock, b"OK" if protocol == "managesieve" else b"")


def begin_tls(sock, protocol, ca):
    sock.sendall(ASK.get(protocol, b"STARTTLS\r\n"))
    until(sock)
    return tls.context(ca).wrap_socket(sock, server_hostname="mail.example.com")


@pytest.mark.parametrize("protocol", QUESTIONS)
def test_capabilities_before_and_after(work, start_wrap, mail_cert, pki, protocol):
    """Before TLS: STARTTLS, and what needs TLS is turned away in the protocol's own words. Within: what the server itself
    says, word by word, but for STARTTLS, which INN offers whatever it has."""
    question, end, command, refusal = QUESTIONS[protocol]
    host, port = work.server(protocol, None).rsplit(":", 1)
    with socket.create_connection((host, int(port)), 10 * SLOW) as sock:
        greeting(sock, protocol)
        sock.sendall(question)
        itself = until(sock, end).replace(b"STARTTLS\r\n", b"")
    wrap = start_wrap("server", work.server(protocol, None), *server_words(protocol, mail_cert))
    with socket.create_connection(("127.0.0.1", wrap.port), 10 * SLOW) as sock:
        greeting(sock, protocol)
        sock.sendall(question)
        before = until(sock, end)
        assert (b"STLS" if protocol == "pop3" else b"STARTTLS") in before
        assert not re.search(rb"AUTH|PIPELINING|LOGIN(?!DISABLED)|\"SASL\" \"P", before), before
        sock.sendall(command)
        assert until(sock).startswith(refusal)
        with begin_tls(sock, protocol, pki.ca.file) as secure:
            if protocol == "managesieve":
                greeting(secure, protocol)
            secure.sendall(question)
            assert until(secure, end) == itself


# Whoever is in the middle ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("protocol", QUESTIONS)
def test_commands_before_tls_are_none_within(work, start_wrap, mail_cert, protocol):
    """CVE-2011-0411: what is sent together with STARTTLS, in the clear, must not be taken for the client's own in TLS."""
    middle = Middle(work.server(protocol, None))
    wrap = start_wrap("server", middle.to, *server_words(protocol, mail_cert))
    with socket.create_connection(("127.0.0.1", wrap.port), 10 * SLOW) as sock:
        greeting(sock, protocol)
        sock.sendall(ASK.get(protocol, b"STARTTLS\r\n") + QUESTIONS[protocol][2])
        wrap.audited(reason="starttls")
    assert "in the clear where TLS was to begin" in wrap.audited(reason="starttls")["detail"]
    assert middle.heard == b""
    assert "knock" not in wrap.audit_file.read_text()  # it may be a password


def answer(wrap, words):
    """All that a plain client hears; the reset may come at any time."""
    try:
        with socket.create_connection(("127.0.0.1", wrap.port), 10 * SLOW) as sock:
            sock.sendall(words)
            return tls.read_all(sock)
    except (ConnectionResetError, BrokenPipeError):
        return b""


ATTACKS = [
    *[(protocol, "the offer is taken out", strip, "taken out on the way") for protocol in QUESTIONS],
    *[(protocol, "an answer is put in", inject(protocol), "in the clear where TLS was to begin") for protocol in QUESTIONS],
    *[(protocol, "TLS is refused", refuse(protocol), "does not begin TLS") for protocol in QUESTIONS],
    ("imap", "the client is logged in", greet_with(b"* PREAUTH [CAPABILITY IMAP4rev1] Welcome\r\n"), "PREAUTH"),
    ("imap", "the server says goodbye", greet_with(b"* BYE too busy\r\n"), "does not take connections now"),
    ("smtp", "the server takes nobody", greet_with(b"554 no\r\n"), "does not take connections now"),
    ("pop3", "the server takes nobody", greet_with(b"-ERR no\r\n"), "does not take connections now"),
    ("nntp", "the server takes nobody", greet_with(b"400 no\r\n"), "does not take connections now"),
    ("smtp", "another protocol", greet_with(b"SSH-2.0-x\r\n"), "a greeting of SMTP (220) is expected"),
]


@pytest.mark.parametrize("protocol, attack, edit, named", [
    pytest.param(*row, id=f"{row[0]}: {row[1]}") for row in ATTACKS])
def test_the_client_says_nothing(work, start_wrap, pki, protocol, attack, edit, named):
    """Somebody between cardea and the real server: the plain client is turned away, and the audit line names what was done."""
    middle = Middle(work.server(protocol, "starttls"), edit)
    wrap = start_wrap("client", middle.to, "--starttls", protocol, "--ca", pki.ca.file, "--expect", "mail.example.com")
    heard = answer(wrap, QUESTIONS[protocol][2])
    assert heard.count(b"\n") == 1 and b"not available now: the server does not begin TLS" in heard, f"{attack}: {heard}"
    line = wrap.audited()
    assert line["reason"] == "backend_tls" and named in line["detail"], line
    assert QUESTIONS[protocol][2] not in middle.heard
