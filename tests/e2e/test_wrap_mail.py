# SPDX-License-Identifier: Apache-2.0
"""Mail and news in each role, between real clients and real servers: smtp, submission, lmtp, imap, pop3, managesieve, nntp."""
import re

import pytest

from mail_work import CLIENT, PROTOCOLS, SERVER, Work, script
from middle import Middle

STARTTLS = re.compile(rb"^(\S+ )?(STARTTLS|STLS)\r$", re.MULTILINE | re.IGNORECASE)
TLS = b"\x16\x03"


def claims(role, protocols=PROTOCOLS, *, plain_client=False):
    """A case for each protocol, and what it shows."""
    def peers(protocol):
        client = "getlist" if plain_client else "openssl s_client"
        return SERVER[protocol], CLIENT.get(protocol, client)
    return [pytest.param(protocol, marks=pytest.mark.proves(protocol, role, *peers(protocol))) for protocol in protocols]


@pytest.fixture(scope="module")
def work(postfix, dovecot, dovecot_tls, inn, inn_tls, pki):
    return Work(postfix, dovecot, dovecot_tls, inn, inn_tls, pki.ca.file)


@pytest.mark.parametrize("protocol", claims("client", plain_client=True))
def test_plain_client(work, start_wrap, pki, protocol):
    """A client that knows no TLS, and a server that demands it."""
    middle = Middle(work.server(protocol, "starttls"))
    wrap = start_wrap("client", middle.to, "--starttls", script(protocol), "--ca", pki.ca.file, "--expect", "mail.example.com")
    done, text = work.do(protocol, wrap.port, None)
    assert done, f"{text}\n{wrap.audit()}\n{middle.heard}\n{middle.answered}"
    assert STARTTLS.search(middle.heard[:middle.heard.index(TLS)])


def server_words(protocol, cert, *more):
    return ["--starttls", script(protocol), "--cert", cert.certificate, "--key", cert.key, *more]


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
    for tls in (None, "starttls") if protocol != "submission" else ("starttls",):
        done, text = work.do(protocol, wrap.port, tls)
        assert done, f"{tls}: {text}\n{wrap.audit()}\n{middle.heard}\n{middle.answered}"
    assert not STARTTLS.search(middle.heard)
