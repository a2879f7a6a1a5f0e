# SPDX-License-Identifier: Apache-2.0
"""Hybrid key exchange (draft-ietf-tls-ecdhe-mlkem) with the clients and servers of others: OpenSSL 4 knows it, the
distribution's OpenSSL, GnuTLS, NSS and curl as far as they are new enough."""
import re
import socket
import subprocess

import pytest

import ech
import peers
import tls
from agents import Agent
from fixtures import clean_env, connect_words
from run import SLOW, run

BANNER = b"behind the door"
HYBRIDS = ["X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"]
NO_HYBRID = "the client offers no post-quantum key exchange that is taken here, and that is required (pq: require)"
NO_TLS_13 = "the client does not speak TLS 1.3, which post-quantum key exchange needs, and that is required here (pq: require)"


@pytest.fixture(scope="module")
def brief():
    """Says it and goes."""
    with peers.Server(lambda sock: sock.sendall(BANNER + b"\n")) as server:
        yield server


@pytest.fixture(scope="module")
def config(pki, brief):
    """Two routes of each kind: TCP, and HTTP/3."""
    to, staff = {"to": brief.to}, {"mode": "required", "trust": "staff"}
    kinds = {"prefer": {}, "require": {"pq": "require"}, "off": {"pq": "off"},
             "second": {"groups": ["SecP256r1MLKEM768", "X25519MLKEM768", "P-256", "X25519"]}}
    return {
        "certificates": [pki.server("*.pq.test").row()], "trust": [pki.trust()],
        "policy": [{"name": "nobody", "who": {"any": True}, "targets": ["127.0.0.1:1"]}],
        "quic": {"idle_timeout": "2s"},  # OpenSSL may go without a word
        "routes": [{"name": name, "sni": f"{name}.pq.test", "terminate": to, "tls": settings} for name, settings in kinds.items()] +
                  [{"name": f"{name}-h3", "sni": f"{name}-h3.pq.test", "alpn": "h3", "tunnel": {}, "clients": staff, "tls": settings}
                   for name, settings in kinds.items()]}


@pytest.fixture(scope="module")
def door(start_module_door, config):
    return start_module_door(config)


def visit(door, name, *flags, program=None):
    """s_client of OpenSSL 4: what it says, with the audit line."""
    door.mark()
    said = tls.s_client(door, f"{name}.pq.test", "-msg", *flags, until=BANNER, program=program or ech.openssl4())
    return said, door.audited(route=name)


def visit_h3(door, pki, name, *flags):
    door.mark()
    text = ech.client(door.port, f"{name}-h3.pq.test", pki.ca.file, "-quic", "-alpn", "h3", "-cert", pki.alice.certificate,
                      "-key", pki.alice.key, "-msg", *flags)
    return tls.Said(text, 0), door.audited(route=f"{name}-h3", action="carrier")


def hellos(said):
    return len(re.findall(r">>> .*ClientHello", said.text))


def agreed(said, line, group, retry=False):
    """Both ends say so."""
    assert said.done and (said.group or group).split(",")[0] == group, said.text  # over QUIC it does not say
    assert (line["group"], line["hello_retry"], hellos(said)) == (group, retry, 2 if retry else 1), line


# Which group ------------------------------------------------------------------------------------------------------

def test_hybrid_by_default(door, pki):
    agreed(*visit(door, "prefer"), "X25519MLKEM768")
    agreed(*visit_h3(door, pki, "prefer"), "X25519MLKEM768")


@pytest.mark.parametrize("group", HYBRIDS)
@pytest.mark.parametrize("name", ["prefer", "require"])
def test_each_hybrid(door, name, group):
    agreed(*visit(door, name, "-groups", group), group)


def test_the_door_s_order(door):
    """Of those that the client has sent a share for."""
    shares = "*X25519MLKEM768:*SecP256r1MLKEM768:*X25519"
    agreed(*visit(door, "second", "-groups", shares), "SecP256r1MLKEM768")
    agreed(*visit(door, "prefer", "-groups", shares), "X25519MLKEM768")


def test_no_round_trip_for_another_group(door, pki):
    """A share that will do is taken, though the client knows what the door likes better."""
    agreed(*visit(door, "prefer", "-groups", "X25519:X25519MLKEM768"), "X25519")
    agreed(*visit_h3(door, pki, "prefer", "-groups", "X25519:X25519MLKEM768"), "X25519")
    agreed(*visit(door, "second", "-groups", "*X25519:X25519MLKEM768:*P-256"), "P-256")


def test_a_round_trip_where_no_share_will_do(door, pki):
    """No share at all that is spoken here; and with `require` none that is hybrid."""
    agreed(*visit(door, "prefer", "-groups", "X448:X25519MLKEM768"), "X25519MLKEM768", retry=True)
    agreed(*visit(door, "require", "-groups", "X25519:X25519MLKEM768"), "X25519MLKEM768", retry=True)
    agreed(*visit_h3(door, pki, "require", "-groups", "X25519:X25519MLKEM768"), "X25519MLKEM768", retry=True)
    metrics = door.get("/metrics")[1]
    assert 'cardea_hello_retries_total{route="prefer"} 1\n' in metrics and 'cardea_tls_pq_total{route="require",pq="no"} 0\n' in metrics


def test_off(door, pki):
    agreed(*visit(door, "off", "-groups", "X25519MLKEM768:X25519"), "X25519", retry=True)
    agreed(*visit(door, "off"), "X25519")
    agreed(*visit_h3(door, pki, "off"), "X25519")


def test_tls_1_2_has_none(door):
    said, line = visit(door, "prefer", "-tls1_2")
    assert said.done and said.version == "TLSv1.2" and line["group"] == "X25519", said.text


def test_bytes(door, pki):
    """A share of ML-KEM-768 is 1,184 bytes, its answer 1,088."""
    _, hybrid = visit(door, "prefer", "-groups", "X25519MLKEM768")
    _, plain = visit(door, "prefer", "-groups", "X25519")
    assert 1184 - 8 <= hybrid["handshake_bytes_in"] - plain["handshake_bytes_in"] <= 1184 + 16, (hybrid, plain)
    assert 1088 - 8 <= hybrid["handshake_bytes_out"] - plain["handshake_bytes_out"] <= 1088 + 8, (hybrid, plain)


def test_bytes_over_quic(door, pki):
    """Those of the messages that OpenSSL shows."""
    said, line = visit_h3(door, pki, "prefer")
    shown = re.findall(r"(>>>|<<<) TLS 1.3, Handshake \[length ([0-9a-f]{4})\], (?!NewSessionTicket)", said.text)
    sums = [sum(int(size, 16) for way, size in shown if way == which) for which in (">>>", "<<<")]
    assert sums == [line["handshake_bytes_in"], line["handshake_bytes_out"]], said.text


# Who is refused ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("flags, detail", [(["-groups", "X25519:P-256"], NO_HYBRID), (["-tls1_2"], NO_TLS_13)])
def test_refused(door, flags, detail):
    """insufficient_security, and the line says why."""
    said, line = visit(door, "require", *flags)
    assert not said.done and said.alert == "71", said.text
    assert (line["reason"], line["detail"]) == ("handshake_failed", detail)


def test_refused_over_quic(door, pki):
    said, line = visit_h3(door, pki, "require", "-groups", "X25519")
    assert not said.done, said.text
    assert (line["reason"], line["detail"]) == ("handshake_failed", NO_HYBRID)


# Clients of the distribution --------------------------------------------------------------------------------------

def knows(*argv, word):
    done = run(*argv)
    return word in (done.stdout + done.stderr).decode().lower()


def openssl(door, name, ca):
    said = tls.s_client(door, name, "-CAfile", ca, "-verify_return_error", "-tls1_3")
    return said.done, said.text, knows("openssl", "list", "-kem-algorithms", word="x25519mlkem768")


def gnutls(door, name, ca):
    done = run("gnutls-cli", "--x509cafile", ca, "--port", door.port, "--sni-hostname", name, "--verify-hostname", name,
               "127.0.0.1", input=b"", timeout=20)
    text = (done.stdout + done.stderr).decode(errors="replace")
    return "Handshake was completed" in text, text, knows("gnutls-cli", "--list", word="mlkem768")


def nss(door, name, ca):
    """Without a database of trust: -o takes any certificate."""
    argv = ["tstclnt", "-D", "-o", "-Q", "-V", "tls1.3:tls1.3", "-h", "127.0.0.1", "-p", str(door.port), "-a", name]
    done = subprocess.run([*argv, "-v"], input=b"", capture_output=True, timeout=20 * SLOW)
    text = (done.stdout + done.stderr).decode(errors="replace")
    hybrid = subprocess.run([*argv, "-I", "x25519mlkem768"], input=b"", capture_output=True, timeout=20 * SLOW)
    return done.returncode == 0, text, hybrid.returncode == 0


def curl(door, name, ca):
    done = run("curl", "-sv", "--http1.1", "--tlsv1.3", "--cacert", ca, "--resolve", f"{name}:{door.port}:127.0.0.1", "--http0.9",
               "--max-time", str(int(10 * SLOW)), f"https://{name}:{door.port}/", input=b"")
    text = (done.stdout + done.stderr).decode(errors="replace")
    return "SSL connection using TLSv1.3" in text, text, knows("openssl", "list", "-kem-algorithms", word="x25519mlkem768")


@pytest.mark.parametrize("client", [openssl, gnutls, nss, curl])
def test_clients(door, pki, client):
    """Hybrid where the client has it, else X25519; and where it has not, `require` refuses it with a line that says so."""
    door.mark()
    done, text, hybrid = client(door, "prefer.pq.test", pki.ca.file)
    assert done, text
    line = door.audited(route="prefer")
    assert (line["group"], line["hello_retry"]) == ("X25519MLKEM768" if hybrid else "X25519", False), line
    door.mark()
    done, text, _ = client(door, "require.pq.test", pki.ca.file)
    line = door.audited(route="require")
    assert done is hybrid, text
    if not hybrid:
        assert (line["reason"], line["detail"]) == ("handshake_failed", NO_HYBRID)


# Clients of ours --------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tunnels(start_module_door, pki):
    """A door for each kind of route."""
    return {pq: start_module_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()], "tls": {"pq": pq},
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": "127.0.0.0/8:*"}]}) for pq in ("prefer", "require", "off")}


@pytest.mark.parametrize("transport", ["tcp", "quic"])
@pytest.mark.parametrize("ours, theirs, group", [
    ("prefer", "prefer", "X25519MLKEM768"), ("require", "require", "X25519MLKEM768"), ("require", "prefer", "X25519MLKEM768"),
    ("prefer", "require", "X25519MLKEM768"), ("off", "prefer", "X25519"), ("prefer", "off", "X25519"), ("off", "off", "X25519")])
def test_connect(tunnels, connect, banner, transport, ours, theirs, group):
    """Shares of both kinds are sent: never a round trip more."""
    door = tunnels[theirs]
    door.mark()
    done = connect(door, "--transport", transport, "--pq", ours, f"127.0.0.1:{banner.port}", input=b"")
    assert done.returncode == 0 and done.stdout.startswith(BANNER), done.stderr
    line = door.audited(group=group)
    assert line["hello_retry"] is False


@pytest.mark.parametrize("transport", ["tcp", "quic"])
@pytest.mark.parametrize("ours, theirs, words, detail", [
    ("off", "require", "may demand post-quantum key exchange, which 'pq: off' leaves out", NO_HYBRID),
    ("require", "off", "may have no post-quantum key exchange, and nothing else is offered ('pq: require')",
     "no key exchange group in common")])
def test_connect_is_refused(tunnels, connect, transport, ours, theirs, words, detail):
    door = tunnels[theirs]
    door.mark()
    done = connect(door, "--transport", transport, "--pq", ours, "127.0.0.1:1")
    assert done.returncode == 1 and words in done.stderr.decode(), done.stderr
    assert door.audited(reason="handshake_failed")["detail"] == detail


def test_words(tunnels, connect):
    done = connect(tunnels["prefer"], "--pq", "yes", "127.0.0.1:1")
    assert done.returncode == 2 and b"--pq yes: expected prefer, require or off" in done.stderr


@pytest.mark.parametrize("variable, line, words, group", [
    ("off", "", [], "X25519"), ("", "pq: off\n", [], "X25519"), ("off", "pq: off\n", ["--pq", "prefer"], "X25519MLKEM768"),
    ("require", "pq: off\n", [], "X25519MLKEM768")])
def test_who_says_so(tunnels, pki, banner, tmp_path, variable, line, words, group):
    """Flags win over the environment, and that over the file."""
    door = tunnels["prefer"]
    door.mark()
    (tmp_path / ".config/cardea").mkdir(parents=True)
    (tmp_path / ".config/cardea/config.yaml").write_text(line or "share: true\n")
    done = run(*connect_words(door, pki.alice, pki.ca.file), "--transport", "tcp", *words, f"127.0.0.1:{banner.port}", input=b"",
               env=clean_env(tmp_path, CARDEA_PQ=variable))
    assert done.returncode == 0, done.stderr
    assert door.audited(action="tunnel")["group"] == group


def test_carriers_are_apart(tunnels, pki, banner, tmp_path):
    """Who insists does not go through the connection of who does not."""
    door = tunnels["prefer"]
    for pq, group in (("off", "X25519"), ("require", "X25519MLKEM768")):
        done = run(*connect_words(door, pki.alice, pki.ca.file), "--transport", "quic", "--pq", pq, f"127.0.0.1:{banner.port}",
                   input=b"", env=clean_env(tmp_path, CARDEA_SHARE="1s"))
        assert done.returncode == 0, done.stderr
        door.audited(group=group, action="carrier", timeout=20)


def told(wrap):
    """What a plain client hears; it may be gone before he is there."""
    try:
        with socket.create_connection(("127.0.0.1", wrap.port), 10 * SLOW) as sock:
            return tls.read_line(sock)
    except ConnectionResetError:
        return ""


def test_wrap(start_wrap, pki, banner):
    """Both ends have --pq; what cannot be agreed on is told by both."""
    cert = pki.server("backend.test")
    server = start_wrap("server", banner.port, "--cert", cert.certificate, "--key", cert.key, "--pq", "require")
    for pq, served in (("require", True), ("off", False)):
        client = start_wrap("client", server.port, "--ca", pki.ca.file, "--expect", "backend.test", "--pq", pq)
        assert told(client) == ("behind the door" if served else "")
        if served:
            assert server.audited(group="X25519MLKEM768")
        else:
            assert server.audited(reason="handshake_failed")["detail"] == NO_HYBRID
            assert "insufficient_security" in client.audited(reason="backend_tls")["detail"]


def test_expose(start_door, pki, tmp_path, echo):
    """An agent's --pq holds towards the door, and towards visitors whose TLS it ends."""
    name = "a.apps.test"
    door = start_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
                   {"name": "apps", "sni": "*.apps.test", "expose": {}}],
        "policy": [{"name": "all", "who": {"any": True}, "targets": ["offer:*.apps.test"]}]})
    cert = pki.server(name)
    agent = Agent(tmp_path, door.address, pki, name, "--to", echo.to, "--transport", "tcp", "--pq", "require", "--end-to-end",
                  "--service-cert", cert.certificate, "--service-key", cert.key, "--anyone")
    try:
        agent.says("over TCP")
        said = tls.s_client(door, name, program=ech.openssl4())
        assert said.done and said.group == "X25519MLKEM768", said.text
        assert tls.s_client(door, name, "-groups", "X25519", program=ech.openssl4()).alert == "71"
    finally:
        agent.end()
    assert door.audited(action="offer")["group"] == "X25519MLKEM768"


# Backends ---------------------------------------------------------------------------------------------------------

def backend(pki, to, pq):
    return {"certificates": [pki.server("a.test").row()], "trust": [{"name": "inside", "ca": [pki.ca.file]}],
            "routes": [{"name": "a", "terminate": {"to": to, "tls": {"trust": "inside", "name": "backend.test", "pq": pq}}}]}


def test_backend_with_hybrids(start_door, pki, tmp_path):
    server = ech.Server(tmp_path, pki.server("backend.test"))
    try:
        for pq, group in (("require", "X25519MLKEM768"), ("off", "X25519")):
            door = start_door(backend(pki, server.to, pq))
            with tls.connect(door, "a.test") as sock:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                page = tls.read_all(sock).decode()
            assert re.search(r"Shared groups: (\w+)", page).group(1).lower() == group.lower(), page
            assert ("MLKEM" in re.search(r"Supported groups: (.*)", page).group(1)) is (pq == "require"), page
    finally:
        server.stop()


def test_backend_without(start_door, pki):
    """One that speaks TLS 1.2, and one of TLS 1.3 that has no hybrids: the line says what was asked of it."""
    for most in (tls.ssl.TLSVersion.TLSv1_2, tls.ssl.TLSVersion.TLSv1_3):
        ctx = peers.server_context(pki.server("backend.test"))
        ctx.maximum_version = most
        ctx.set_ecdh_curve("prime256v1")
        with peers.Server(peers.says("hello"), ctx=ctx) as server:
            door = start_door(backend(pki, server.to, "require"))
            with tls.connect(door, "a.test") as sock:
                assert tls.read_line(sock) == ""
            line = door.audited(route="a")
            assert line["reason"] == "backend_tls" and "may have no post-quantum key exchange" in line["detail"], line
