# SPDX-License-Identifier: Apache-2.0
"""What somebody tries who means harm, around what is said before TLS and whoever goes on without it. Each test says what
must not happen."""
import socket
import stat

import pytest

import peers
from fixtures import connect_words
from run import CARDEA, SLOW, free_port, ms, run, wait_until
from tls import alert_of, client_hello, connect, context, end_writing, ended, heard_by, read_exactly, read_line

NO_APPLICATION_PROTOCOL = 120
EVIL = b"injected\r\n"
SSL_REQUEST = bytes.fromhex("0000000804d2162f")

OWN = """unit line
section ask
state ready
  on "READY": send "UPGRADE"; go told
state told
  on "GO": switch
section answer
begin send "READY"
state request
  on "UPGRADE": send "GO"; switch
"""


@pytest.fixture
def own(tmp_path):
    """A protocol of the user's own that has only what it cannot do without: its row of `protocols`."""
    file = tmp_path / "own.script"
    file.write_text(OWN)
    return {"name": "own", "file": str(file)}


def smtp_greets(sock):
    sock.sendall(b"220 behind\r\n")
    peers.echo(sock)


def listening_for(speaks, port, **more):
    return {"name": "main", "address": f"127.0.0.1:{port}", "speaks": speaks, **more}


def at_smtp(pki, server, *, plaintext=True, policy=None, **route):
    """A port, and a configuration with a listener there that speaks SMTP."""
    port = free_port()
    return port, {
        **({"policy": policy} if policy else {}),
        "listeners": [listening_for("smtp", port, plaintext=plaintext)],
        "trust": [pki.trust(), {"name": "inside", "ca": [pki.ca.file]}],
        "certificates": [pki.server("door.test").row()],
        "routes": [{"name": "mail", "terminate": {"to": server.to}, **route, "listeners": ["main"]}],
    }


def began(sock, *turns):
    """Greeted, and then each of `turns` said and answered, up to where TLS begins."""
    read_line(sock)
    for turn in turns:
        sock.sendall(turn)
        while read_line(sock)[3:4] == "-":
            pass
    return sock


def secured(sock, pki, **more):
    return context(ca=pki.ca.file, **more).wrap_socket(sock, server_hostname="door.test")


# Who goes on in the clear ---------------------------------------------------------------------------------------------

STAFF_ONLY = [{"name": "staff", "effect": "allow", "who": {"group": ["ops"]}, "routes": ["mail"]}]


def test_policy_is_asked_about_clients_in_the_clear(start_door, pki):
    """Where a certificate is optional but the policy wants one, leaving out TLS must not get anybody further than leaving
    out the certificate does: the backend hears of neither."""
    with peers.Server(smtp_greets) as server:
        port, config = at_smtp(pki, server, policy=STAFF_ONLY, clients={"mode": "optional", "trust": "staff"})
        door = start_door(config)
        with door.dial(port=port) as plain:
            began(plain)
            plain.sendall(b"MAIL FROM:<a@example.com>\r\n")
            assert ended(plain)
            assert door.audited_of(plain)["reason"] == "denied"
        with door.dial(port=port) as sock:
            with secured(began(sock, b"EHLO x\r\n", b"STARTTLS\r\n"), pki) as anonymous:
                assert ended(anonymous)
            assert door.audited(reason="denied", starttls="smtp", version="1.3")
        assert server.count == 0
        with door.dial(port=port) as sock:
            began(sock, b"EHLO x\r\n", b"STARTTLS\r\n")
            with secured(sock, pki, cert=pki.alice) as alice:
                alice.sendall(b"MAIL FROM:<a@example.com>\r\n")
                assert read_line(alice) == "MAIL FROM:<a@example.com>\r"


def test_policy_lets_in_who_is_nobody(start_door, pki):
    """The same question has another answer where a row holds for everybody: then clients in the clear are let in."""
    everybody = [{"name": "all", "effect": "allow", "who": {"any": True}, "routes": ["mail"]}]
    with peers.Server(smtp_greets) as server:
        port, config = at_smtp(pki, server, policy=everybody, clients={"mode": "optional", "trust": "staff"})
        door = start_door(config)
        with door.dial(port=port) as plain:
            began(plain)
            plain.sendall(b"MAIL FROM:<a@example.com>\r\n")
            assert read_line(plain) == "MAIL FROM:<a@example.com>\r"


@pytest.mark.parametrize("protocol", ["smtp", "own"])
def test_nothing_in_the_clear_where_the_backend_is_asked_for_tls(start_door, pki, own, protocol):
    """What a client has said in the clear must not be lost, nor said to the backend before its TLS: so the two together are
    an error, at the start and at a reload, and what ran before goes on."""
    asked = {"name": "door.test", "trust": "inside", "starttls": protocol}
    with peers.Server(smtp_greets) as server:
        port, config = at_smtp(pki, server)
        door = start_door(config)
        door.configure({**config, "protocols": [own], "routes": [
            {**config["routes"][0], "terminate": {"to": server.to, "tls": asked}}]})
        for done in (run(CARDEA, "serve", "--check", "-c", door.config_file, cwd=door.directory), door.cli("reload")):
            assert done.returncode == 1
            assert b"route 'mail': starttls: clients of listener 'main' may go on without TLS ('plaintext')" in done.stderr
        with door.dial(port=port) as plain:
            began(plain)
            plain.sendall(b"MAIL FROM:<a@example.com>\r\n")
            assert read_line(plain) == "MAIL FROM:<a@example.com>\r"


@pytest.mark.parametrize("more", [
    {"sni": "door.test"}, {"sni": ["*.test"]}, {"alpn": ["smtp"]}, {"alpn": ["http/1.1"]},
    {"clients": {"mode": "required", "trust": "staff"}}])
def test_clients_in_the_clear_have_nothing_to_show(start_door, pki, more):
    """Whoever has said neither a name nor a protocol nor who he is must not be taken by a route that asks for that."""
    everybody = [{"name": "all", "effect": "allow", "who": {"any": True}}] if "clients" in more else None
    with peers.Server(smtp_greets) as server:
        port, config = at_smtp(pki, server, policy=everybody, **more)
        door = start_door(config)
        with door.dial(port=port) as plain:
            began(plain)
            plain.sendall(b"MAIL FROM:<a@example.com>\r\n")
            assert ended(plain)
            assert door.audited_of(plain)["reason"] != "done"
        assert server.count == 0


# Too much, too slowly -------------------------------------------------------------------------------------------------

def test_a_client_that_never_comes_to_tls(start_door, pki):
    """Words that are answered must not prolong the time that a client has for its ClientHello."""
    with peers.Server(smtp_greets) as server:
        port, config = at_smtp(pki, server, plaintext=False)
        door = start_door({**config, "limits": {"hello_timeout": ms(1000)}})
        with door.dial(port=port) as sock:
            began(sock)

            def is_cut_off():
                try:
                    sock.sendall(b"NOOP\r\n")
                    return not sock.recv(100)
                except OSError:
                    return True
            wait_until(is_cut_off, "the end of its time", 10, 0.05 * SLOW)
            assert door.audited_of(sock)["reason"] == "hello_timeout"


def test_a_client_that_says_too_much(start_door, pki):
    """Nor must there be more words than a dialogue needs, however fast, or however long one is."""
    with peers.Server(smtp_greets) as server:
        port, config = at_smtp(pki, server, plaintext=False)
        door = start_door(config)
        for said in (b"NOOP\r\n" * 300, b"EHLO " + b"x" * 20000):
            with door.dial(port=port) as sock:
                began(sock)
                sock.sendall(said)
                assert ended(sock)
                assert "more" in door.audited_of(sock)["detail"]
        assert server.count == 0


def test_descriptors_sent_along(start_door, pki, tmp_path):
    """Descriptors that a client of a unix socket sends with its bytes must not stay open in the door."""
    path = tmp_path / "door.sock"
    with peers.Server(smtp_greets) as server:
        _, config = at_smtp(pki, server)
        config["listeners"][0]["address"] = f"unix:{path}"
        door = start_door(config)
        with socket.socket(socket.AF_UNIX) as sock, open("/dev/null", encoding="ascii") as sent:
            sock.settimeout(10 * SLOW)
            sock.connect(str(path))
            began(sock)
            before = door.process.open_files()
            for _ in range(20):
                socket.send_fds(sock, [b"NOOP\r\n"], [sent.fileno()] * 10)
                assert read_line(sock).startswith("250")
            assert door.process.open_files() < before + 20


# Other protocols within TLS (ALPACA) ----------------------------------------------------------------------------------

BEGINNINGS = {
    "smtp": (b"EHLO x\r\n", b"STARTTLS\r\n"),
    "postgresql": (SSL_REQUEST,),
    "postgresql, direct": (),
}


def up_to_tls(door, port, protocol):
    """A connection whose next bytes are the ClientHello."""
    sock = door.dial(port=port)
    if protocol == "smtp":
        return began(sock, *BEGINNINGS[protocol])
    for turn in BEGINNINGS[protocol]:
        sock.sendall(turn)
        assert read_exactly(sock, 1) == b"S"
    return sock


def refused_with(sock, offers):
    """The alert with which a ClientHello that offers these protocols is answered."""
    sock.sendall(client_hello("door.test", offers))
    end_writing(sock)
    return alert_of(sock)


@pytest.mark.parametrize("protocol", BEGINNINGS)
def test_a_browser_is_not_served_what_it_did_not_ask_for(start_door, pki, protocol):
    """A browser that somebody's page leads to a mail server or a database must not get through: what it says would come back
    in the server's errors, under the certificate of a web server (ALPACA). Who offers the protocol itself, among others,
    gets that, and who offers nothing goes on."""
    speaks = protocol.split(",")[0]
    port = free_port()
    with peers.Server(peers.says("220 behind")) as server:
        door = start_door({
            "listeners": [listening_for(speaks, port)],
            "certificates": [pki.server("door.test").row()],
            "routes": [{"name": "one", "listeners": ["main"], "terminate": {"to": server.to}}]})
        for offers in (["h2", "http/1.1"], ["http/1.1"], ["postgresql2", "http/1.1"]):
            with up_to_tls(door, port, protocol) as sock:
                assert refused_with(sock, offers) == NO_APPLICATION_PROTOCOL, offers
                line = door.audited_of(sock)
                assert line["reason"] == "no_route" and "other protocols (ALPN)" in line["detail"]
        assert server.count == 0
        named = ["http/1.1", "postgresql"] if speaks == "postgresql" else []
        for offers, gets in ((named, named[-1] if named else None), ([], None)):
            sock = up_to_tls(door, port, protocol)
            with secured(sock, pki, alpn=offers) as tls:
                assert tls.selected_alpn_protocol() == gets
                tls.sendall(b"hello\n")
                assert read_line(tls).endswith("hello" if speaks == "smtp" else "220 behind")


def test_a_route_may_name_protocols(start_door, pki):
    """What the route itself names counts, so nobody is locked out who was meant."""
    with peers.Server(smtp_greets) as server:
        port, config = at_smtp(pki, server, alpn=["smtp"])
        door = start_door(config)
        with secured(began(door.dial(port=port), b"EHLO x\r\n", b"STARTTLS\r\n"), pki, alpn=["h2", "smtp"]) as tls:
            assert tls.selected_alpn_protocol() == "smtp"
        with began(door.dial(port=port), b"EHLO x\r\n", b"STARTTLS\r\n") as sock:
            assert refused_with(sock, ["h2"]) == NO_APPLICATION_PROTOCOL


def test_browsers_are_turned_away_where_tls_comes_first(start_door, pki):
    """As THREAT-MODEL.md has it: a browser must not get to a mail server behind a listener that knows nothing of mail, where
    a route rejects what browsers speak; mail clients, who offer no protocols, come through."""
    with peers.Server(peers.says("* OK behind")) as server:
        door = start_door({
            "certificates": [pki.server("door.test").row()],
            "routes": [{"name": "browsers", "sni": "door.test", "alpn": ["h2", "http/1.1"],
                        "reject": "no_application_protocol"},
                       {"name": "mail", "sni": "door.test", "terminate": {"to": server.to}}]})
        with door.dial() as sock:
            assert refused_with(sock, ["h2", "http/1.1"]) == NO_APPLICATION_PROTOCOL
        assert server.count == 0
        for offers in ([], ["imap"]):
            with connect(door, "door.test", ca=pki.ca.file, alpn=offers) as tls:
                assert read_line(tls) == "* OK behind"


# Scripts of the user's own --------------------------------------------------------------------------------------------

def own_server(pki, injected=b""):
    ctx = peers.server_context(pki.server("behind.test"))

    def handler(sock):
        sock.sendall(b"READY\r\n")
        assert sock.makefile("rb").readline() == b"UPGRADE\r\n"
        sock.sendall(b"GO\r\n" + injected)
        with ctx.wrap_socket(sock, server_side=True) as tls:
            peers.echo(tls)
    return peers.Server(handler)


def test_a_listener_and_its_backend_speak_different_protocols(start_door, pki, own):
    """A section of the client's protocol must not be looked for in the backend's script, which may have none of it."""
    with own_server(pki) as server:
        port, config = at_smtp(pki, server, plaintext=False, terminate={"to": server.to, "tls": {
            "name": "behind.test", "trust": "inside", "starttls": "own"}})
        door = start_door({**config, "protocols": [own]})
        for _ in range(2):
            sock = began(door.dial(port=port), b"EHLO x\r\n", b"STARTTLS\r\n")
            with secured(sock, pki) as tls:
                tls.sendall(b"hello\n")
                assert read_line(tls) == "hello"


def test_asking_ends_with_tls(start_door, pki, tmp_path):
    """A script whose `ask` ends without TLS must not have what came in the clear pass for what came within TLS, nor the
    client's bytes go out in the clear."""
    file = tmp_path / "own.script"
    file.write_text(OWN.replace('on "GO": switch', 'on "GO": done\n  on "NEVER": switch'))
    with own_server(pki, EVIL) as server:
        door = start_door({"routes": [{"name": "none", "reject": "unrecognized_name"}]})
        door.configure({
            "protocols": [{"name": "own", "file": str(file)}],
            "trust": [{"name": "inside", "ca": [pki.ca.file]}],
            "certificates": [pki.server("door.test").row()],
            "routes": [{"name": "one", "terminate": {"to": server.to, "tls": {
                "name": "behind.test", "trust": "inside", "starttls": "own"}}}]})
        loaded = door.cli("reload")
        if loaded.returncode != 0:  # then it has to be for that
            assert b"done" in loaded.stderr
            return
        with connect(door, "door.test", ca=pki.ca.file) as tls:
            assert EVIL.strip() not in heard_by(tls)
        assert "'done'" in door.audited(reason="backend_tls")["detail"]


def tunnel_config(port, pki, own, **route):
    return {
        "protocols": [own],
        "listeners": [listening_for("own", port)],
        "trust": [pki.trust()],
        "certificates": [pki.server("door.test").row()],
        "routes": [{"name": "tunnel", "listeners": ["main"], "alpn": ["http/1.1"],
                    "clients": {"mode": "required", "trust": "staff"}, "tunnel": {}, **route}],
        "policy": [{"name": "all", "effect": "allow", "who": {"any": True}, "targets": ["*:*"]}]}


def asking(door, port, pki):
    """A tunnel's client that has come to TLS in OWN, and has asked for nothing yet."""
    sock = door.dial(port=port)
    name = "%s:%d" % sock.getsockname()
    assert read_line(sock) == "READY\r"
    sock.sendall(b"UPGRADE\r\n")
    assert read_line(sock) == "GO\r"
    tls = secured(sock, pki, cert=pki.alice, alpn=["http/1.1"])
    wait_until(lambda: {"ask"} == {each["state"] for each in door.get_json("/sessions")["sessions"] if each["peer"] == name},
               "the door to wait for the tunnel's request")
    return tls


def connects_to(tls, target):
    """The status code that a CONNECT is answered with."""
    tls.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    return int(read_line(tls).split()[1])


def test_a_tunnel_outlives_its_script(start_door, pki, own):
    """A tunnel's request is judged by the configuration that is in force then: the script in which its client came to TLS
    must not go with the one before."""
    port = free_port()
    with peers.Server(peers.echo) as server:
        door = start_door(tunnel_config(port, pki, own))
        with asking(door, port, pki) as tls:
            for _ in range(3):
                door.reload()
            assert connects_to(tls, server.to) == 200


def test_a_reload_changes_nobody_to_another_route(start_door, pki, own):
    """A tunnel's client that came by STARTTLS must be judged as one after a reload too, and not get to what is open to those
    who begin with TLS."""
    port = free_port()
    with peers.Server(peers.echo) as server:
        config = tunnel_config(port, pki, own)
        weak = {**config["routes"][0], "name": "weak"}
        strong = {**{key: value for key, value in weak.items() if key != "listeners"}, "name": "strong", "sni": "door.test"}
        config["listeners"].append({"name": "other", "address": f"127.0.0.1:{free_port()}"})
        config["routes"] = [weak, strong]
        config["policy"] = [{"name": "s", "effect": "allow", "who": {"any": True}, "routes": ["strong"], "targets": ["*:*"]},
                            {"name": "w", "effect": "allow", "who": {"any": True}, "routes": ["weak"],
                             "targets": ["nothing.test:1"]}]
        door = start_door(config)
        for reloads in (False, True):
            door.mark()
            with asking(door, port, pki) as tls:
                if reloads:
                    door.reload()
                assert connects_to(tls, server.to) == 403, reloads
            assert door.audited(reason="denied")["route"] == "weak"
        assert server.count == 0


# Ports ----------------------------------------------------------------------------------------------------------------

def udp_ports(door):
    """The UDP ports that a socket of this machine is bound to."""
    with open(f"/proc/{door.process.pid}/net/udp", encoding="ascii") as table:
        return {int(row.split()[1].rsplit(":", 1)[1], 16) for row in list(table)[1:]}


def test_no_quic_where_something_else_is_spoken(start_door, pki):
    """QUIC must not lead past what a port speaks, to the routes of those who begin with TLS."""
    irc, plain = free_port(), free_port()
    with peers.Server(peers.echo) as server:
        door = start_door({
            "listeners": [{"name": "web", "address": f"127.0.0.1:{(web := free_port())}"},
                          {"name": "irc", "address": f"127.0.0.1:{irc}", "speaks": "irc"},
                          {"name": "plain", "address": f"127.0.0.1:{plain}", "speaks": "plain"}],
            "trust": [pki.trust()],
            "certificates": [pki.server("door.test").row()],
            "routes": [{"name": "chat", "listeners": ["irc"], "terminate": {"to": server.to}},
                       {"name": "clear", "listeners": ["plain"], "forward": {"to": server.to}},
                       {"name": "tunnel", "sni": "door.test", "clients": {"mode": "required", "trust": "staff"},
                        "tunnel": {}}],
            "policy": [{"name": "all", "effect": "allow", "who": {"any": True}, "targets": ["*:*"]}]})
        assert udp_ports(door) & {web, irc, plain} == {web}
        done = run(*connect_words(f"127.0.0.1:{irc}", pki.alice, pki.ca.file), "--transport", "quic", server.to)
        assert done.returncode == 1 and server.count == 0


def test_a_reload_closes_a_unix_socket_to_others(start_door, tmp_path):
    """A socket whose mode the configuration makes narrower must not stay open to those whom it shuts out."""
    path = tmp_path / "door.sock"

    def config(**mode):
        return {"listeners": [{"name": "local", "address": f"unix:{path}", **mode}],
                "routes": [{"name": "one", "sni": "pass.test", "pass": {"to": "127.0.0.1:9"}}]}

    def mode():
        return stat.S_IMODE(path.stat().st_mode)
    door = start_door(config(mode="0666"))
    assert mode() == 0o666
    before = path.stat().st_ino
    door.reload(config(mode="0600"))
    assert (mode(), path.stat().st_ino) == (0o600, before)
    door.reload(config())
    assert mode() == 0o660
