# SPDX-License-Identifier: Apache-2.0
"""No server can be had: a client whose protocol is known hears so in that protocol, where its people look. Those of this side
(wrap client) hear what is wrong, strangers do not. The audit line says what it says of every other connection."""
import socket

import pytest

import peers
import tls
from mail_clients import curl, swaks
from mariadb import tls_mariadb  # noqa: F401  (fixture)
from run import SLOW, free_port, run
from test_wrap_ldap import search

NOW = "service not available now"
REFUSED = f"{NOW}: the server refuses the connection"
CERTIFICATE = f"{NOW}: the server's certificate is not accepted"
MAIL = "mail.test"


def psql(port, **words):
    """What it complains of; it needs no server of PostgreSQL."""
    string = " ".join(f"{k}={v}" for k, v in {"host": MAIL, "hostaddr": "127.0.0.1", "port": port, "user": "door",
                                              "dbname": "postgres", **words}.items())
    done = run("psql", "-X", string, "-c", "select 1")
    assert done.returncode == 2, done.stdout.decode()
    return done.stderr.decode()


def mysql(port, *words):
    done = run("mariadb", "--no-defaults", "--protocol=tcp", "-h127.0.0.1", f"-P{port}", "-udoor", *words, "-e", "select 1")
    assert done.returncode == 1, done.stdout.decode()
    return done.stderr.decode()


def hear(port, *said):
    """All that a server says to who says this, up to its end, which comes in order."""
    with socket.create_connection(("127.0.0.1", port), timeout=20 * SLOW) as sock:
        for words in said:
            sock.sendall(words)
        return b"".join(iter(lambda: sock.recv(4096), b"")).decode("latin-1")


@pytest.fixture
def wrap_before(start_wrap, pki):
    """wrap_before(role, protocol): a wrap before a port where nobody listens."""
    def start(role, protocol, *words):
        cert = pki.server(MAIL)
        its = ["--ca", pki.ca.file, "--expect", MAIL] if role == "client" else ["--cert", cert.certificate, "--key", cert.key]
        return start_wrap(role, free_port(), "--starttls", protocol, *its, *words)
    return start


@pytest.fixture
def wrap_of_another(start_wrap, pki):
    """wrap_of_another(protocol): a client wrap before a server that shows somebody else's certificate."""
    def start(protocol):
        cert = pki.server("other.test")
        server = start_wrap("server", free_port(), "--starttls", protocol, "--cert", cert.certificate, "--key", cert.key)
        return start_wrap("client", server.port, "--starttls", protocol, "--ca", pki.ca.file, "--expect", MAIL)
    return start


# ---- plain clients, whose server is down ----

HEARD = [
    ("smtp", b"", "421 4.3.2 {me} {why}\r\n"),
    ("lmtp", b"", "421 4.3.2 {me} {why}\r\n"),
    ("imap", b"", "* BYE [UNAVAILABLE] {why}\r\n"),
    ("pop3", b"", "-ERR [SYS/TEMP] {why}\r\n"),
    ("nntp", b"", "400 {why}\r\n"),
    ("ftp", b"", "421 {why}\r\n"),
    ("managesieve", b"", "BYE (TRYLATER) \"{why}\"\r\n"),
    ("irc", b"NICK a\r\n", "ERROR :{why}\r\n"),
    ("xmpp", b"<stream:stream to='a.test'>", "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>{xml}</text>"),
    ("xmpp-server", b"<stream:stream to='a.test'>", "<remote-connection-failed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"),
]


@pytest.mark.parametrize("protocol, said, heard", HEARD, ids=[row[0] for row in HEARD])
def test_words(wrap_before, wrap_of_another, protocol, said, heard):
    down, another = wrap_before("client", protocol), wrap_of_another(protocol)
    for wrap, why, reason, detail in (down, REFUSED, "refused", "nobody listens at"), \
                                     (another, CERTIFICATE, "backend_tls", "other.test"):
        words = heard.format(me=socket.gethostname(), why=why, xml=why.replace("'", "&apos;"))
        assert words in hear(wrap.port, said)
        line = wrap.audited(reason=reason)
        assert detail in line["detail"], line


def test_psql(wrap_before, wrap_of_another):
    """Asking for TLS first (which is its default) or not."""
    down, another = wrap_before("client", "postgresql"), wrap_of_another("postgresql")
    for mode in "disable", "prefer":
        assert f"FATAL:  {REFUSED}" in psql(down.port, sslmode=mode)
        assert f"FATAL:  {CERTIFICATE}" in psql(another.port, sslmode=mode)
    assert down.audited(reason="refused") and another.audited(reason="backend_tls")


def test_swaks(wrap_before, wrap_of_another):
    for wrap, why in (wrap_before("client", "smtp"), REFUSED), (wrap_of_another("smtp"), CERTIFICATE):
        done = swaks(wrap.port, None, None, MAIL, "none")
        assert done.returncode != 0 and f"421 4.3.2 {socket.gethostname()} {why}" in done.stdout.decode()


def test_curl(wrap_before):
    done = curl("imap", wrap_before("client", "imap").port, None, None, MAIL)
    assert done.returncode != 0 and f"< * BYE [UNAVAILABLE] {REFUSED}" in done.stderr.decode()


def test_ldapsearch(wrap_before, wrap_of_another):
    for wrap, why in (wrap_before("client", "ldap"), REFUSED), (wrap_of_another("ldap"), CERTIFICATE):
        said = search(wrap.port).stderr.decode()
        assert "Server is unavailable (52)" in said and f"additional info: {why}" in said


def test_mysql(wrap_before, start_wrap, tls_mariadb, pki):
    """Before the server's greeting, and behind it, when the client has answered that."""
    assert f"ERROR 1053 (HY000): {REFUSED}" in mysql(wrap_before("client", "mysql").port, "--skip-ssl")
    another = start_wrap("client", tls_mariadb.port, "--starttls", "mysql", "--ca", pki.ca.file, "--expect", "third.test")
    assert f"ERROR 1053 (08S01): {CERTIFICATE}" in mysql(another.port, "--skip-ssl")
    assert another.audited(reason="backend_tls")


# ---- clients in TLS, whose server is down: they hear no more than that ----

def test_psql_in_tls(wrap_before, pki):
    wrap = wrap_before("server", "postgresql")
    said = psql(wrap.port, sslmode="verify-full", sslrootcert=pki.ca.file)
    assert f"FATAL:  {NOW}\n" in said and "refuse" not in said
    assert "nobody listens" in wrap.audited(reason="refused")["detail"]


def test_swaks_in_tls(wrap_before, pki):
    done = swaks(wrap_before("server", "smtp").port, "starttls", pki.ca.file, MAIL, "none")
    assert done.returncode != 0 and f"421 4.3.2 {socket.gethostname()} {NOW}\n" in done.stdout.decode()


def test_curl_in_tls(wrap_before, pki):
    wrap = wrap_before("server", "imap")
    done = curl("imap", wrap.port, "starttls", pki.ca.file, MAIL)
    assert done.returncode != 0 and f"< * BYE [UNAVAILABLE] {NOW}" in done.stderr.decode()
    assert wrap.audited(reason="refused")["starttls"] == "imap"


def test_ldapsearch_in_tls(wrap_before, pki):
    said = search(wrap_before("server", "ldap").port, "-ZZ", ca=pki.ca.file).stderr.decode()
    assert "Server is unavailable (52)" in said and f"additional info: {NOW}\n" in said


def test_mysql_where_the_server_would_greet_first(wrap_before):
    """A client that wants TLS says that nobody can vouch for what it has heard before."""
    said = mysql(wrap_before("server", "mysql").port, "--ssl")
    assert said.endswith(f": 1053 - {NOW}\n")


def test_swaks_without_tls_where_it_may(wrap_before):
    done = swaks(wrap_before("server", "smtp", "--plaintext").port, None, None, MAIL, "none")
    assert done.returncode != 0 and f"421 4.3.2 {socket.gethostname()} {NOW}\n" in done.stdout.decode()


def test_mysql_before_a_server_of_something_else(start_wrap, pki):
    cert = pki.server(MAIL)
    with peers.Server(peers.says("* OK IMAP4rev1\r")) as server:
        wrap = start_wrap("server", server.port, "--starttls", "mysql", "--cert", cert.certificate, "--key", cert.key)
        assert hear(wrap.port) == f"\x1c\0\0\0\xff\x1d\4{NOW}"
        assert wrap.audited(reason="starttls")["detail"].startswith("mysql: ")


def test_a_client_that_says_nothing(wrap_before):
    """Where nothing can be said before the client has asked for something, its time is short."""
    wrap = wrap_before("client", "postgresql")
    with pytest.raises(ConnectionError):
        hear(wrap.port)
    assert wrap.audited(reason="refused")


# ---- doors ----

def test_a_server_that_says_nothing(start_door):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = free_port()
        door = start_door({
            "listeners": [{"name": "in", "address": f"127.0.0.1:{port}", "speaks": "plain"}],
            "routes": [{"name": "out", "listeners": ["in"], "limits": {"dial_timeout": "1s"},
                        "forward": {"to": "127.0.0.1:%d" % silent.getsockname()[1], "tls": {"starttls": "smtp"}}}]})
        assert hear(port).endswith(f" {NOW}: the server does not answer in time\r\n")
        assert door.audited(reason="dial_timeout")


def test_in_tls_from_the_first_byte(start_door, pki):
    """What the backend is asked for TLS in is what the client speaks."""
    door = start_door({
        "certificates": [pki.server(MAIL).row()],
        "routes": [{"name": "imaps", "sni": MAIL,
                    "terminate": {"to": f"127.0.0.1:{free_port()}", "tls": {"starttls": "imap", "verify": "any"}}}]})
    done = curl("imap", door.port, "implicit", pki.ca.file, MAIL)
    assert done.returncode != 0 and f"< * BYE [UNAVAILABLE] {NOW}\r" in done.stderr.decode()
    assert door.audited(route="imaps")["reason"] == "refused"


def test_mysql_within_tls(start_door, tls_mariadb, pki):
    """The server is reached before the client comes to TLS, and comes to TLS itself after that."""
    port = free_port()
    start_door({
        "certificates": [pki.server(MAIL).row()],
        "trust": [pki.trust()],
        "listeners": [{"name": "in", "address": f"127.0.0.1:{port}", "speaks": "mysql"}],
        "routes": [{"name": "db", "listeners": ["in"], "terminate": {
            "to": f"127.0.0.1:{tls_mariadb.port}",
            "tls": {"starttls": "mysql", "trust": "staff", "name": "third.test"}}}]})
    assert f"ERROR 1053 (08S01): {NOW}\n" in mysql(port, "--ssl", f"--ssl-ca={pki.ca.file}")


def test_nobody_is_told_where_the_protocol_is_not_known(start_door, pki):
    """Plain bytes go to a server in TLS, of which nobody knows what they are; and TLS goes through, of which nobody knows."""
    plain, names = free_port(), free_port()
    door = start_door({
        "listeners": [{"name": "plain", "address": f"127.0.0.1:{plain}", "speaks": "plain"},
                      {"name": "names", "address": f"127.0.0.1:{names}", "speaks": "smtp"}],
        "routes": [{"name": "a", "listeners": ["plain"], "forward": {"to": f"127.0.0.1:{free_port()}", "tls": {"verify": "any"}}},
                   {"name": "b", "listeners": ["names"], "pass": {"to": f"127.0.0.1:{free_port()}"}}]})
    with pytest.raises(ConnectionError):  # not an end in order, as if that were all there is
        hear(plain)
    done = tls.s_client(None, MAIL, "-starttls", "smtp", port=names)
    assert NOW not in done.text
    door.audited(action="pass", reason="refused")
