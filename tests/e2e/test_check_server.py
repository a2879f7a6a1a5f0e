# SPDX-License-Identifier: Apache-2.0
"""`cardea check`: what it finds at real servers, and what it says of those that are broken, hostile or silent."""
import datetime
import json
import re
import ssl
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization

import path_cases
import peers
from mail_work import PROTOCOLS, SERVER, Work
from middle import Middle
from pki import Cert
from run import CARDEA, Process, free_port, ms, run, wait_listening

ANSWERING = ["ftp", "imap", "irc", "ldap", "lmtp", "managesieve", "nntp", "pop3", "postgresql", "smtp", "telnet", "xmpp",
             "xmpp-server"]
NAME = "check.test"
HYBRID = "X25519MLKEM768"
# What a plain server behind a wrap says first
GREETINGS = {"imap": "* OK hi", "pop3": "+OK hi", "nntp": "200 hi"}


def check(*words, status=None, **options):
    """What is said of each server by one handshake; the exit status has to be 0 exactly where all of them are good."""
    done = run(CARDEA, "check", "--quick", "--json", *words, **options)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    good = all(each["result"] == "good" for each in told)
    assert done.returncode == (status if status is not None else 0 if good else 1), done.stderr.decode()
    assert all((each["detail"] is None) == (each["result"] == "good") for each in told), told
    return told


@pytest.fixture
def look(pki):
    """look(server, *words): what is said of a server, ADDRESS:PORT or a port of 127.0.0.1, which is to be NAME."""
    def call(server, *words, ca=pki.ca.file, name=NAME):
        [told] = check("--ca", ca, "--name", name, *words, f"127.0.0.1:{server}" if isinstance(server, int) else server)
        return told
    return call


@pytest.fixture(scope="module")
def cert(pki):
    return pki.server(NAME)


@pytest.fixture
def s_server(tmp_path, cert):
    """s_server(*words) starts OpenSSL's TLS server and answers its port."""
    started = []

    def start(*words, cert=cert):
        port = free_port()
        process = Process(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert.certificate, "-key",
                           cert.key, "-quiet", *words], tmp_path, f"s_server{port}", stdin=subprocess.PIPE)
        started.append(process)
        wait_listening(port, process)
        return port
    yield start
    for process in started:
        process.stop()
        process.child.stdin.close()


def says(*lines):
    """A handler that says each line when it is its turn: the first at once, the others when the client has spoken. A line
    may have several, separated by LF; None ends the connection."""
    def handler(sock):
        for number, line in enumerate(lines):
            if number > 0 and not sock.recv(4096):
                return
            if line is None:
                return
            sock.sendall(line.replace("\n", "\r\n").encode() + b"\r\n")
        while sock.recv(4096):
            pass
    return handler


# Servers that are as they should be -------------------------------------------------------------------------------

@pytest.mark.parametrize("protocol", [pytest.param(p, marks=pytest.mark.proves(p, "probe", "cardea wrap server"))
                                      for p in ANSWERING])
def test_every_protocol_that_a_wrap_answers(start_wrap, cert, look, protocol):
    with peers.Server(says(GREETINGS.get(protocol, "220 hi"))) as server:
        wrap = start_wrap.server(protocol, server.port, cert)
        told = look(wrap.port, "--starttls", protocol)
    assert told["result"] == "good", told
    assert told["starttls"] == protocol and told["name"] == NAME and told["address"] == f"127.0.0.1:{wrap.port}"
    assert told["tls"] == {"version": "1.3", "group": HYBRID, "cipher": told["tls"]["cipher"], "alpn": None}
    assert all(told["ms"][step] >= 0 for step in ("lookup", "connect", "starttls", "tls"))


@pytest.mark.proves("postgresql", "probe", "PostgreSQL")
def test_postgresql(tls_postgres, look):
    told = look(tls_postgres.port, "--starttls", "postgresql", name="db.test")
    assert told["result"] == "good", told


@pytest.mark.proves("ldap", "probe", "OpenLDAP")
def test_openldap(tmp_path, pki, look):
    server = peers.Slapd(tmp_path, pki.server("ldap.test"))
    try:
        told = look(server.port, "--starttls", "ldap", name="ldap.test")
    finally:
        server.stop()
    assert told["result"] == "good", told


@pytest.mark.proves("xmpp", "probe", "Prosody")
def test_prosody(tmp_path, pki, look):
    server = peers.Prosody(tmp_path, pki.server("door.test"))
    try:
        told = look(server.port, "--starttls", "xmpp", name="door.test")
    finally:
        server.stop()
    assert told["result"] == "good", told


@pytest.fixture(scope="module")
def work(request, pki):
    return Work(request, pki.ca.file)


MAIL = [pytest.param(p, marks=pytest.mark.proves(p, "probe", SERVER[p])) for p in PROTOCOLS]


@pytest.mark.parametrize("protocol", MAIL)
def test_mail_and_news(work, look, protocol):
    """At servers that demand STARTTLS; and the offer is missing at those that know none, but for INN's: it answers that it
    cannot."""
    told = look(work.server(protocol, "starttls"), "--starttls", protocol, name="mail.example.com")
    assert told["result"] == "good" and told["starttls"] == protocol, told
    told = look(work.server(protocol, None), "--starttls", protocol, name="mail.example.com")
    assert told["result"] == ("not_begun" if protocol == "nntp" else "not_offered"), told


def test_mail_where_tls_begins_at_once(work, look):
    for server in (work.dovecot_tls.to("imaps"), work.dovecot_tls.to("pop3s"), work.postfix.to("implicit")):
        assert look(server, "--starttls", "none", name="mail.example.com")["result"] == "good"


@pytest.mark.parametrize("protocol", MAIL)
def test_somebody_in_the_middle_takes_the_offer_out(work, look, protocol):
    with Middle(work.server(protocol, "starttls"), lambda data: re.sub(rb"STARTTLS|STLS", b"XXXXXXXX", data)) as middle:
        told = look(middle.port, "--starttls", protocol, name="mail.example.com")
    assert told["result"] == "not_offered" and "taken out on the way" in told["detail"], told
    assert b"\x16\x03" not in middle.heard


def test_what_is_told_of_a_certificate(s_server, look, pki):
    cert = pki.ca.issue("facts.test", dns=["facts.test", "*.facts.test"], ip=["192.0.2.7"], uri=["https://facts.test/"], key="rsa",
                        end=10 * 86400 + 600)
    told = look(s_server(cert=cert), name="www.facts.test")
    assert told["result"] == "good" and told["starttls"] is None and told["ms"]["starttls"] is None
    facts = told["certificate"]
    assert facts["subject"] == "facts.test" and facts["issuer"] == "Door CA" and facts["days_left"] == 10
    assert facts["names"] == ["facts.test", "*.facts.test", "192.0.2.7", "https://facts.test/"]
    assert facts["key"] == "RSA-2048" and facts["signature"] == "ecdsa-with-SHA256" and facts["chain_length"] == 1


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_version_cipher_and_alpn(s_server, look, version):
    port = s_server(f"-tls{version.replace('.', '_')}", "-alpn", "imap")
    told = look(port, "--alpn", "http/1.1", "--alpn", "imap")
    assert told["result"] == "good" and told["tls"]["version"] == version and told["tls"]["alpn"] == "imap"
    assert told["tls"]["cipher"].startswith("TLS_") and told["tls"]["group"]
    assert look(port)["tls"]["alpn"] is None


def test_the_port_says_the_protocol():
    """Nobody listens there; what would have been asked is told."""
    ports = {25: "smtp", 587: "smtp", 143: "imap", 110: "pop3", 389: "ldap", 5432: "postgresql", 3306: "mysql", 993: None,
             995: None, 465: None, 636: None, 443: None}
    told = check("--timeout", ms(2000), *(f"127.0.0.77:{port}" for port in ports))
    assert [each["starttls"] for each in told] == list(ports.values())
    [told] = check("--timeout", ms(2000), "--starttls", "none", "127.0.0.77:25")
    assert told["starttls"] is None


def test_a_script_of_ones_own(tmp_path, look, cert):
    script = tmp_path / "shout.starttls"
    script.write_text('unit line\nsection ask\nbegin send "TLS!"\nstate answer\n  on "YES": switch\n'
                      '  on {...}: refused "it says no"\n')

    def handler(sock):
        yes = sock.recv(100) == b"TLS!\r\n"
        sock.sendall(b"YES\r\n" if yes else b"NO\r\n")
        peers.server_context(cert).wrap_socket(sock, server_side=True).recv(1)
    with peers.Server(handler) as server:
        assert look(server.port, "--starttls", script)["result"] == "good"
    script.write_text('unit line\nsection answer\nstate request\n  on "TLS!": switch\n')
    assert b"no section `ask`" in run(CARDEA, "check", "--starttls", script, "127.0.0.1:1").stderr


def test_a_chat_script(tmp_path, look, cert):
    script = tmp_path / "mail.chat"
    script.write_text("220 'EHLO me' 250 STARTTLS 220\n")

    def handler(sock):
        for line in (b"220 hi\r\n", b"250 STARTTLS\r\n"):
            sock.sendall(line)
            sock.recv(100)
        sock.sendall(b"220 go\r\n")
        peers.server_context(cert).wrap_socket(sock, server_side=True).recv(1)
    with peers.Server(handler) as server:
        told = look(server.port, "--chat", script)
    assert told["result"] == "good" and told["starttls"] == str(script), told


# Client certificates ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_server_that_demands_a_certificate(s_server, look, pki, version):
    port = s_server("-Verify", "1", "-verify_return_error", "-CAfile", pki.staff.file, f"-tls{version.replace('.', '_')}")
    told = look(port)
    assert told["result"] == ("turned_away" if version == "1.3" else "tls_failed"), told
    if version == "1.3":
        assert look(port, name="other.test")["result"] == "not_proven"
    told = look(port, "--cert", pki.alice.certificate, "--key", pki.alice.key)
    assert told["result"] == "good", told


# Certificates that do not prove good ------------------------------------------------------------------------------

def test_expired(s_server, look, pki):
    told = look(s_server(cert=pki.ca.issue("expired", dns=[NAME], start=-10 * 86400, end=-2 * 86400 + 600)))
    assert told["result"] == "not_proven" and "expired" in told["detail"]
    assert told["certificate"]["days_left"] == -2 and told["certificate"]["names"] == [NAME]
    assert told["tls"]["version"] == "1.3"


@pytest.mark.parametrize(["bad", "result"], [(["T>A", "C>B"], "good"), (["A>B", "C>B"], "not_proven")])
def test_cross_signed_intermediates(s_server, look, tmp_path, monkeypatch, bad, result):
    """A server sends all the certificates that its CAs have of each other, some of them expired."""
    monkeypatch.setattr(path_cases, "NOW", datetime.datetime.utcnow())
    graph = path_cases.Graph(path_cases.MESH, bad, "expired")
    key = graph.key("L").private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption())
    for name, parts in (("leaf", graph.leaves), ("chain", graph.others), ("roots", graph.roots), ("key", [key])):
        (tmp_path / f"{name}.pem").write_bytes(b"".join(parts))
    port = s_server("-cert_chain", tmp_path / "chain.pem", cert=Cert(tmp_path / "leaf.pem", tmp_path / "key.pem"))
    told = look(port, ca=tmp_path / "roots.pem", name=path_cases.HOST)
    assert told["result"] == result and told["certificate"]["chain_length"] == 7
    assert result == "good" or "certificate 'B' has expired" in told["detail"]


def test_unknown_issuer(s_server, look, pki):
    told = look(s_server(), ca=pki.staff.file)
    assert told["result"] == "not_proven" and "'Door CA'" in told["detail"] and told["certificate"]["issuer"] == "Door CA"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_another_name(s_server, look, version):
    told = look(s_server(f"-tls{version.replace('.', '_')}"), name="other.test")
    assert told["result"] == "not_proven" and "is not for other.test" in told["detail"]
    assert NAME in told["certificate"]["names"] and told["tls"]["group"]


# Servers without TLS, and hostile ones ----------------------------------------------------------------------------

@pytest.mark.parametrize(("protocol", "lines", "result", "word"), [
    ("smtp", ["220 hi", "250-me\n250 SIZE"], "not_offered", "taken out on the way"),
    ("smtp", ["220 hi", "250-me\n250 STARTTLS", "454 not now"], "not_begun", "does not begin TLS"),
    ("smtp", ["220 hi", "250-me\n250 STARTTLS", "220 go\n250 injected"], "injected", "clear"),
    ("smtp", ["220 hi", None], "closed", "closed"),
    ("smtp", ["SSH-2.0-OpenSSH"], "other_protocol", "'SSH-2.0-OpenSSH'"),
    ("ldap", ["0\x05hello"], "other_protocol", "expected"),
    ("smtp", ["220 " + "x" * 20000], "other_protocol", ""),
    ("imap", ["* OK hi", "* CAPABILITY IMAP4rev1\n* ID nil"], "timed_out", "the state is 'capability'); the server said last '* ID nil'"),
    ("pop3", ["+OK hi", "+OK\nUSER\n."], "not_offered", "taken out on the way"),
    ("pop3", ["+OK hi", "+OK\nSTLS\n.", "+OK\n+OK injected"], "injected", "clear"),
    ("none", ["220 mx ESMTP hi"], "other_protocol", "expected TLS, found '220 mx ESMTP hi' in the clear; perhaps --starttls smtp"),
    ("none", ["* OK hi"], "other_protocol", "perhaps --starttls imap"),
    ("none", ["\x1b[2J"], "other_protocol", "found '\\x1b[2J' in the clear"),
])
def test_without_tls(look, protocol, lines, result, word):
    with peers.Server(says(*lines)) as server:
        told = look(server.port, "--starttls", protocol, "--timeout", ms(1500))
    assert told["result"] == result and word in told["detail"], told
    assert told["tls"] is None and told["certificate"] is None and told["ms"]["connect"] is not None


def test_bytes_in_the_clear_that_come_later(look):
    """The switch has been made by then: they are what is found in the place of TLS."""
    def handler(sock):
        says("220 hi", "250-me\n250 STARTTLS", "220 go", "250 injected")(sock)
    with peers.Server(handler) as server:
        told = look(server.port, "--starttls", "smtp")
    assert told["result"] == "injected" and "found '250 injected' in the clear, behind the word" in told["detail"]
    assert told["ms"]["starttls"] is not None


@pytest.mark.proves("postgresql", "probe", "PostgreSQL")
def test_postgresql_without_tls(postgres, look):
    assert look(postgres.port, "--starttls", "postgresql")["result"] == "not_offered"


@pytest.mark.parametrize("protocol", ["smtp", "postgresql", "none"])
def test_a_silent_server(look, protocol):
    with peers.Server(says_nothing) as server:
        told = look(server.port, "--starttls", protocol, "--timeout", ms(300))
    assert told["result"] == "timed_out" and f"within {ms(300)}" in told["detail"], told
    assert ("perhaps TLS begins at once there: --starttls none" in told["detail"]) == (protocol != "none")


@pytest.mark.parametrize("protocol", ["smtp", "ldap", "postgresql", "xmpp"])
def test_starttls_where_tls_begins_at_once(s_server, look, protocol):
    """At words that are no ClientHello a server in TLS answers with an alert, or closes, as OpenSSL's does."""
    def alert(sock):
        if protocol == "smtp" or sock.recv(4096):  # its client waits to be greeted
            sock.sendall(b"\x15\3\1\0\2\2\x32")
    with peers.Server(alert) as server:
        told = look(server.port, "--starttls", protocol)
    assert told["result"] == "other_protocol", told
    assert told["detail"] == "the server answers with a TLS alert: TLS begins at once there, so --starttls none"
    if protocol != "smtp":
        told = look(s_server(), "--starttls", protocol)
        assert told["result"] == "closed" and "perhaps TLS begins at once there: --starttls none" in told["detail"], told


def says_nothing(sock):
    while sock.recv(4096):
        pass


def test_nobody_there(look):
    assert look(free_port())["result"] == "connection_refused"
    with peers.FullBacklog() as full:
        told = look(full.port, "--timeout", ms(300))
    assert told["result"] == "timed_out" and "no connection" in told["detail"]
    [told] = check("--timeout", ms(2000), "nobody.invalid:993")
    assert told["result"] in ("no_such_host", "unresolved", "timed_out") and told["address"] is None


def test_a_handshake_that_fails(look, cert):
    ctx = peers.server_context(cert)
    ctx.maximum_version = ssl.TLSVersion.TLSv1_2
    ctx.set_ciphers("AES128-SHA")
    with peers.Server(peers.echo, ctx=ctx) as server:
        assert look(server.port)["result"] == "tls_failed"


# The command line -------------------------------------------------------------------------------------------------

def test_several_servers_in_their_order(s_server, pki):
    """A slow one in front holds up what is said of the others, not the looking; more than are looked at at once."""
    good = s_server()
    with peers.Server(says_nothing) as silent:
        servers = [f"127.0.0.1:{silent.port}"] + [f"127.0.0.1:{free_port()}" for _ in range(20)] + [f"127.0.0.1:{good}"]
        told = check("--ca", pki.ca.file, "--name", NAME, "--timeout", ms(1000), *servers)
    assert [each["server"] for each in told] == servers
    assert [each["result"] for each in told] == ["timed_out"] + 20 * ["connection_refused"] + ["good"]


def test_for_people(s_server, pki):
    port = s_server()
    done = run(CARDEA, "check", "--quick", "--ca", pki.ca.file, "--name", NAME, f"127.0.0.1:{port}")
    text = done.stdout.decode()
    assert done.returncode == 0 and text.startswith(f"127.0.0.1:{port}: good\n"), text
    for word in ("TLS          1.3", f"'{NAME}'", "'Door CA'", "in 6 days", " ms"):
        assert word in text, text
    assert "ALPN" not in text
    done = run(CARDEA, "check", "--quick", "--ca", pki.ca.file, "--name", NAME, "--alpn", "h2", f"127.0.0.1:{port}")
    assert ", no ALPN: the server has chosen none of what was offered\n" in done.stdout.decode()
    done = run(CARDEA, "check", "--quick", "--ca", pki.ca.file, "--name", "other.test", f"127.0.0.1:{port}")
    text = done.stdout.decode()
    assert done.returncode == 1 and "NOT PROVEN" in text and "TLS          1.3" in text and f"'{NAME}'" in text, text


def test_expectations_are_in_the_first_line(s_server, pki):
    words = ["--quick", "--ca", pki.ca.file, "--name", NAME, f"127.0.0.1:{s_server()}"]
    done = run(CARDEA, "check", "--expect", "days=1", "--expect", "cipher=RC4*", *words)
    text = done.stdout.decode()
    assert done.returncode == 1 and re.match(r"127\.0\.0\.1:\d+: good; NOT AS EXPECTED\n", text), text
    assert "  EXPECTED     cipher=RC4*, found TLS_" in text and not done.stderr
    done = run(CARDEA, "check", "--expect", "days=1", *words)
    assert done.returncode == 0 and "EXPECTED" not in done.stdout.decode()


@pytest.mark.parametrize("alpn", [(), ("http/1.1",), ("cardea/1",)])
def test_a_tunnel_route(start_door, pki, cert, alpn):
    """Who says nothing and ends in order is not told that the door has failed."""
    door = start_door({"certificates": [cert.row()], "trust": [pki.trust()], "workers": 1,
                       "routes": [{"name": "tunnel", "sni": NAME, "alpn": ["cardea/1", "http/1.1"], "tunnel": {},
                                   "clients": {"mode": "required", "trust": "staff"}}],
                       "policy": [{"name": "alice", "who": {"name": "alice"}, "targets": ["127.0.0.1:*"]}]})
    words = ["--ca", pki.ca.file, "--name", NAME, "--cert", pki.alice.certificate, "--key", pki.alice.key,
             *(word for each in alpn for word in ("--alpn", each)), f"127.0.0.1:{door.port}"]
    [told] = check(*words)
    assert (told["detail"], told["result"], told["tls"]["alpn"]) == (None, "good", alpn[0] if alpn else None)
    assert door.audited(route="tunnel")["reason"] in ("client_left", "unused")
    done = run(CARDEA, "check", "--json", *words)
    told = json.loads(done.stdout)
    assert done.returncode == 0 and told["result"] == "good" and told["survey"]["answers"]["tls_1_3"] is True, told


@pytest.mark.parametrize(("words", "found"), [
    ([], "HOST:PORT is missing"),
    (["8080"], "did you mean"),
    (["--starttls", "imp", "a.example.com:1"], "did you mean 'imap'?"),
    (["--starttls", "nix", "a.example.com:1"], "expected none, one of ftp, imap, irc, "),
    (["--starttls", "imaps", "a.example.com:1"], "in imaps TLS begins at once, which is --starttls none"),
    (["--startls", "imap", "a.example.com:1"], "cardea check: did you mean '--starttls'?"),
    (["--starttls", "./nowhere.starttls", "a.example.com:1"], "nowhere.starttls"),
    (["--starttls", "smtp", "--chat", "mail.chat", "a.example.com:1"], "leave one out"),
    (["--chat", "./nowhere.chat", "a.example.com:1"], "--chat"),
    (["--timeout", "soon", "a.example.com:1"], "500ms"),
    (["--cert", "cert.pem", "a.example.com:1"], "--key"),
    (["--name", "a b", "a.example.com:1"], "--name"),
])
def test_misuse(words, found):
    done = run(CARDEA, "check", *words)
    assert done.returncode == 2 and found in done.stderr.decode() and not done.stdout, done


def test_files_that_are_not_there(tmp_path):
    done = run(CARDEA, "check", "--ca", tmp_path / "nowhere.pem", "127.0.0.1:1")
    assert done.returncode == 1 and f"cardea: --ca: {tmp_path}/nowhere.pem: No such file" in done.stderr.decode()
