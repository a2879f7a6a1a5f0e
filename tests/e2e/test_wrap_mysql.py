# SPDX-License-Identifier: Apache-2.0
"""MySQL's protocol in each role: MariaDB's client without TLS before a server that takes nothing else, and with TLS before a
server that knows none. The client proves its password by the server's own greeting, so that is what it must see."""
import contextlib
import hashlib
import json
import socket

import pytest

import peers
import tls
from mariadb import mariadb, tls_mariadb  # noqa: F401  (fixtures)
from middle import Middle
from run import CARDEA, SLOW, free_port, run, wait_until
from tls import alert_of, client_hello, read_exactly

NAME = "db.example.com"
PLAIN = ["--skip-ssl"]
SIZE = 8_000_000
BIG = f"select repeat('0123456789abcdef', {SIZE // 16})"
PREPARED = "prepare s from 'select ? + 1'; set @a = 41; execute s using @a; execute s using @a; deallocate prepare s"
GREETING = bytes.fromhex("4a0000000a") + b"8.0.36\0" + b"\1\0\0\0" + b"abcdefgh\0" + b"\xff%b" + b"\x2d\2\0\xff\xc7\x15" + \
    bytes(10) + b"ijklmnopqrst\0" + b"mysql_native_password\0"


def with_tls(pki):
    return ["--ssl", f"--ssl-ca={pki.ca.file}", "--ssl-verify-server-cert"]


@pytest.fixture
def client_wrap(start_wrap, pki, tls_mariadb):
    return start_wrap("client", tls_mariadb.port, "--starttls", "mysql", "--ca", pki.ca.file, "--expect", NAME)


@pytest.fixture
def server_wrap(start_wrap, pki, mariadb):
    return start_wrap.server("mysql", mariadb.port, pki.server(NAME))


@pytest.fixture(params=["client", "server"])
def wrapped(request, pki):
    """Through either wrap: query(statement, *words, **who)."""
    server = request.getfixturevalue("tls_mariadb" if request.param == "client" else "mariadb")
    wrap = request.getfixturevalue(f"{request.param}_wrap")
    flags = PLAIN if request.param == "client" else with_tls(pki)
    return lambda statement, *words, **who: server.query(wrap.port, statement, *flags, *words, **who)


@pytest.mark.proves("mysql", "client", "mariadb", "MariaDB")
def test_plain_client(client_wrap, tls_mariadb):
    """The server speaks TLS with the door, and with nobody who speaks none."""
    assert tls_mariadb.query(tls_mariadb.port, "select 1", *PLAIN)[0] != 0
    code, out, err = tls_mariadb.query(client_wrap.port, "show status like 'ssl_version'; select 6 * 7", *PLAIN)
    assert (code, out) == (0, "Ssl_version\tTLSv1.3\n42\n"), f"{err}\n{client_wrap.audit()}"
    assert client_wrap.audited(reason="done")


@pytest.mark.proves("mysql", "server", "mariadb", "MariaDB")
def test_plain_server(server_wrap, mariadb, pki):
    """The client demands TLS and a certificate that is good for the name; the server hears nothing of it."""
    assert mariadb.query(mariadb.port, "select 1", *with_tls(pki))[0] != 0
    code, out, err = mariadb.query(server_wrap.port, "show status like 'ssl_version'; select 6 * 7", *with_tls(pki))
    assert (code, out) == (0, "Ssl_version\t\n42\n"), f"{err}\n{server_wrap.audit()}"
    assert server_wrap.audited(starttls="mysql", version="1.3", reason="done")


@pytest.mark.proves("mysql", "server", "openssl s_client", "MariaDB")
def test_openssl(server_wrap, pki):
    said = tls.s_client(server_wrap, NAME, "-starttls", "mysql", "-CAfile", pki.ca.file, "-verify_return_error",
                        "-verify_hostname", NAME)
    assert said.code == 0 and "Verification: OK" in said.text, said.text


@pytest.mark.proves("mysql", "route", "mariadb", "MariaDB")
def test_route_of_a_door(start_door, mariadb, pki):
    port = free_port()
    door = start_door({
        "listeners": [{"name": "db", "address": f"127.0.0.1:{port}", "speaks": "mysql"}],
        "certificates": [pki.server(NAME).row()],
        "routes": [{"name": "db", "listeners": ["db"], "terminate": {"to": f"127.0.0.1:{mariadb.port}"}}],
    })
    assert mariadb.query(port, "select 6 * 7", *with_tls(pki))[:2] == (0, "42\n")
    assert door.audited(route="db", version="1.3")["backend"] == f"127.0.0.1:{mariadb.port}"


def test_tls_on_both_sides(start_door, tls_mariadb, pki):
    """A server that takes nothing but TLS behind a door that ends its clients' TLS. The server hears nothing before the client
    is let in but that it wants TLS."""
    port = free_port()
    middle = Middle(f"127.0.0.1:{tls_mariadb.port}")
    door = start_door({
        "listeners": [{"name": "db", "address": f"127.0.0.1:{port}", "speaks": "mysql"}],
        "certificates": [pki.server(NAME).row()], "trust": [pki.trust(), {"name": "servers", "ca": [pki.ca.file]}],
        "routes": [{"name": "db", "listeners": ["db"], "clients": {"mode": "required", "trust": "staff"}, "terminate": {
            "to": middle.to, "tls": {"starttls": "mysql", "name": NAME, "trust": "servers"}}}],
        "policy": [{"name": "staff", "who": {"any": True}}],
    })
    alice = [f"--ssl-cert={pki.alice.certificate}", f"--ssl-key={pki.alice.key}"]
    assert tls_mariadb.query(port, "select 1", *with_tls(pki))[0] != 0
    assert len(middle.heard) == 36
    for user in ("door", "edward"):
        code, out, err = tls_mariadb.query(port, "show status like 'ssl_version'; select 6 * 7", *with_tls(pki), *alice, user=user)
        assert (code, out) == (0, "Ssl_version\tTLSv1.3\n42\n"), f"{err}\n{door.audit()}"
    assert "1045" in tls_mariadb.query(port, "select 1", *with_tls(pki), *alice, password="wrong")[2]
    assert "3159" in tls_mariadb.query(port, "select 1", *PLAIN)[2]


def test_sessions_end_in_order(request, wrapped):
    """Neither client nor server says close_notify, and the server may reset what it has closed."""
    wrap = request.getfixturevalue(f"{request.node.callspec.params['wrapped']}_wrap")
    for _ in range(10):
        assert wrapped("select 1")[0] == 0
    wait_until(lambda: len(wrap.audit()) == 10, wrap.audit)
    assert {line["reason"] for line in wrap.audit()} == {"done"}


@pytest.mark.parametrize("user", ["door", "edward"])
def test_ways_to_prove_a_password(wrapped, user):
    """mysql_native_password, and a switch to ed25519: packets to and fro within TLS before the first command."""
    assert wrapped("select substring_index(current_user(), '@', 1)", user=user)[:2] == (0, f"{user}\n")


@pytest.mark.parametrize("user", ["door", "edward"])
def test_wrong_password(wrapped, user):
    """The server's own words arrive."""
    code, _, err = wrapped("select 1", user=user, password="wrong")
    assert code != 0 and "1045" in err and f"Access denied for user '{user}'" in err, err


def test_big_results(wrapped):
    """Packets of up to 16 MiB both ways, untouched."""
    text = "0123456789abcdef" * (SIZE // 16)
    code, out, err = wrapped(BIG, "--max-allowed-packet=64M")
    assert code == 0 and out == text + "\n", err
    digest = hashlib.md5(text[:500_000].encode()).hexdigest()
    assert len(text[:500_000]) == 500_000
    assert wrapped(f"select md5(repeat('0123456789abcdef', {500_000 // 16}))", "--max-allowed-packet=64M")[:2] == (0, digest + "\n")


def test_prepared_statements(wrapped):
    assert wrapped(PREPARED)[:2] == (0, "42\n42\n")


def test_database_and_compression(wrapped):
    """What the server takes the client to be able to is what the client said."""
    assert wrapped("select database()", "-D", "door")[:2] == (0, "door\n")
    assert wrapped("select repeat('a', 50)", "--compress")[:2] == (0, "a" * 50 + "\n")


def test_no_such_database(wrapped):
    code, _, err = wrapped("select 1", "-D", "nowhere")
    assert code != 0 and "1049" in err, err


def test_tls_is_demanded(server_wrap, mariadb):
    """A client that asks for none is told by an error of the protocol. Its proof of the password goes no further."""
    code, _, err = mariadb.query(server_wrap.port, "select 1", *PLAIN)
    assert code != 0 and "3159" in err and "TLS is required" in err, err
    assert "the client was turned away" in server_wrap.audited(reason="starttls")["detail"]


def test_a_browser_gets_no_tls(server_wrap):
    """Nor does one that somebody's page leads here, with the request for TLS said in its place (ALPACA)."""
    ssl_request = bytes.fromhex("20000001" "05aa0a00" "00000001" "21") + bytes(23)
    with socket.create_connection(("127.0.0.1", server_wrap.port), timeout=10 * SLOW) as sock:
        read_exactly(sock, read_exactly(sock, 4)[0])
        sock.sendall(ssl_request + client_hello(NAME, ["h2", "http/1.1"]))
        assert alert_of(sock) == 120  # no_application_protocol
    assert "other protocols (ALPN)" in server_wrap.audited(reason="no_route")["detail"]


def test_plaintext_where_it_is_allowed(start_wrap, mariadb, pki):
    wrap = start_wrap.server("mysql", mariadb.port, pki.server(NAME), "--plaintext")
    assert mariadb.query(wrap.port, "select 6 * 7", *PLAIN)[:2] == (0, "42\n")
    assert mariadb.query(wrap.port, "select 6 * 7", *with_tls(pki))[:2] == (0, "42\n")


def test_client_certificates(start_wrap, mariadb, pki):
    """They are asked for as anywhere: after the greeting, before the server hears anything."""
    middle = Middle(f"127.0.0.1:{mariadb.port}")
    wrap = start_wrap.server("mysql", middle.to, pki.server(NAME), "--clients", pki.staff.file)
    alice = [f"--ssl-cert={pki.alice.certificate}", f"--ssl-key={pki.alice.key}"]
    assert mariadb.query(wrap.port, "select 1", *with_tls(pki))[0] != 0
    assert middle.heard == b""
    assert mariadb.query(wrap.port, "select 6 * 7", *with_tls(pki), *alice)[:2] == (0, "42\n")
    assert wrap.audited(reason="no_certificate")


@pytest.mark.proves("mysql", "probe", "MariaDB")
def test_server_without_tls_is_named(start_wrap, mariadb, pki):
    """The client wrap goes no further without TLS, be it the server or somebody on the way that has none."""
    middle = Middle(f"127.0.0.1:{mariadb.port}")
    wrap = start_wrap("client", middle.to, "--starttls", "mysql", "--ca", pki.ca.file)
    assert mariadb.query(wrap.port, "select 1", *PLAIN)[0] != 0
    assert "does not offer TLS" in wrap.audited(reason="backend_tls")["detail"]
    assert middle.heard == b""


def test_wrong_server_is_not_believed(start_wrap, tls_mariadb, pki):
    wrap = start_wrap("client", tls_mariadb.port, "--starttls", "mysql", "--ca", pki.ca.file, "--expect", "other.example.com")
    assert tls_mariadb.query(wrap.port, "select 1", *PLAIN)[0] != 0
    assert "other.example.com" in wrap.audited(reason="backend_tls")["detail"]


def greets(rest, bit):
    """A server that greets and says something behind it at once."""
    def serve(sock):
        sock.sendall(GREETING % bytes([bit]) + rest)
        peers.echo(sock)
    return serve


def all_that_comes(port, words=b""):
    """What is heard until the end, in order or not, of who says `words` once greeted."""
    heard = b""
    with contextlib.suppress(ConnectionResetError), socket.create_connection(("127.0.0.1", port), timeout=10 * SLOW) as sock:
        while data := sock.recv(4096):
            heard += data
            sock.sendall(words)
            words = b""
    return heard


def test_words_in_the_clear_behind_the_greeting(start_wrap, pki):
    """What somebody puts there is not taken for said within TLS: neither by the client nor by a server."""
    with peers.Server(greets(b"\7\0\0\2\0\0\0\2\0\0\0", 0xff)) as server:
        wrap = start_wrap("client", server.port, "--starttls", "mysql", "--ca", pki.ca.file)
        heard = all_that_comes(wrap.port)
        assert "the server speaks where" in wrap.audited(reason="backend_tls")["detail"]
        assert b"\7\0\0\2" not in heard


@pytest.fixture
def forwarding(start_door, tls_mariadb, pki):
    """A plain port of a door, to a server in TLS."""
    port = free_port()
    return port, start_door({
        "listeners": [{"name": "db", "address": f"127.0.0.1:{port}", "speaks": "plain"}],
        "certificates": [pki.server(NAME).row()], "trust": [{"name": "servers", "ca": [pki.ca.file]}],
        "routes": [{"name": "db", "listeners": ["db"], "limits": {"dial_timeout": "1s"}, "forward": {
            "to": f"127.0.0.1:{tls_mariadb.port}", "tls": {"starttls": "mysql", "name": NAME, "trust": "servers"}}}],
    })


def test_silent_client(forwarding, tls_mariadb):
    """Who does not answer the greeting is ended as silent, and the backend is not to blame: the next one is served."""
    port, door = forwarding
    assert len(all_that_comes(port)) > 4
    assert "greeting in time" in door.audited(reason="hello_timeout")["detail"]
    assert tls_mariadb.query(port, "select 6 * 7", *PLAIN)[:2] == (0, "42\n")


def test_client_of_another_protocol(forwarding):
    port, door = forwarding
    all_that_comes(port, b"\5\0\0\1hello")
    assert "the client's answer to the greeting" in door.audited(reason="starttls")["detail"]


def test_clients_in_the_clear_behind_the_request(server_wrap):
    """SSLRequest and then something else than TLS."""
    heard = all_that_comes(server_wrap.port, bytes.fromhex("20000001 85aa0f00 00000001 2d") + bytes(23) + b"\1\0\0\0\1")
    assert len(heard) == 4 + int.from_bytes(heard[:3], "little") and heard[4] == 10
    assert server_wrap.audited(reason="not_tls")


@pytest.mark.parametrize("extra, says", [
    ([{"name": "other", "listeners": ["db"], "terminate": {"to": "127.0.0.1:1"}}], "a second route"),
    ([], "pass"), ([], "a choice by what comes within TLS"),
    ([], "a program, which would be started for whoever connects")])
def test_which_routes_a_listener_may_have(tmp_path, pki, extra, says):
    route = {"name": "db", "listeners": ["db"], "terminate": {"to": "127.0.0.1:1"}}
    if says == "pass":
        route["pass"] = route.pop("terminate")
    if says.startswith("a program"):
        route["terminate"] = {"to": "exec:/bin/cat"}
    if says.startswith("a choice"):
        route["sni"] = NAME
    file = tmp_path / "door.yaml"
    file.write_text(json.dumps({"listeners": [{"name": "db", "address": f"127.0.0.1:{free_port()}", "speaks": "mysql"}],
                                "certificates": [pki.server(NAME).row()], "routes": [route, *extra]}))
    done = run(CARDEA, "serve", "--check", "-c", file)
    assert done.returncode != 0 and f"found {says}, expected one route" in done.stderr.decode(), done.stderr
