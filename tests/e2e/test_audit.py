# SPDX-License-Identifier: Apache-2.0
"""One JSON line for each connection, whatever became of it: the fields are there, and they are right."""
import json
import re
import signal
import socket
import ssl
import struct
import time
from datetime import datetime, timezone

import pytest

import peers
import tls
from run import SLOW, ms, wait_until


@pytest.fixture(scope="module")
def door(start_module_door, pki, banner, echo):
    return start_module_door({
        "certificates": [pki.server("www.test").row(), pki.server("door.test").row()],
        "trust": [pki.trust()],
        "limits": {"hello_timeout": ms(500), "dial_timeout": ms(500)},
        "routes": [
            {"name": "pass", "sni": "pass.test", "pass": {"to": echo.to}},
            {"name": "www", "sni": "www.test", "terminate": {"to": banner.to, "alpn": ["h2", "http/1.1"]}},
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "away", "sni": "away.test", "reject": "access_denied"},
            {"name": "dead", "sni": "dead.test", "pass": {"to": "127.0.0.1:1"}},
        ],
        "policy": [{"name": "no-smtp", "effect": "deny", "who": {"any": True}, "targets": ["*:25"]},
                   {"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*", "*.invalid:*"]}],
    })


COMMON = {"time", "id", "listener", "peer", "in", "out", "total_ms", "reason"}
HELLO = {"sni", "ja4", "offers_groups", "offers_ciphers"}
TLS = {"version", "group", "signature", "cipher", "resumed", "hello_retry", "verifies", "handshake_bytes_in", "handshake_bytes_out",
       "handshake_ms"}


def check(line, name, fields, **facts):
    """Exactly these fields (`detail` is free), and these facts."""
    assert line.keys() - {"detail"} == COMMON | fields, line
    assert {key: line[key] for key in facts} == facts
    assert line["peer"] == f"{name[0]}:{name[1]}" and line["listener"] == "main"
    when = datetime.strptime(line["time"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    assert abs(when.timestamp() - time.time()) < 60
    assert line["total_ms"] >= line.get("handshake_ms", 0) >= 0
    if "ja4" in line:
        assert re.fullmatch(r"t[0-9a-z]{2}[di]\d{4}[0-9a-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}", line["ja4"])


def test_pass(door):
    """The first ALPN that the client offered; what passed is counted both ways."""
    hello = tls.client_hello("pass.test", ["h2", "http/1.1"])
    with door.dial() as sock:
        sock.sendall(hello)
        tls.read_exactly(sock, len(hello))
        name = sock.getsockname()
    check(door.audited_of(name), name, HELLO | {"alpn", "route", "action", "backend"}, sni="pass.test", alpn="h2", route="pass",
          action="pass", reason="done", **{"in": len(hello), "out": len(hello)})


@pytest.mark.parametrize("version, named", [(ssl.TLSVersion.TLSv1_2, "1.2"), (ssl.TLSVersion.TLSv1_3, "1.3")])
def test_terminate(door, version, named):
    """What was negotiated."""
    ctx = tls.context(alpn=["http/1.1"], most=version)
    with tls.connect(door, "www.test", ctx=ctx) as sock:
        assert tls.read_line(sock) == "behind the door"
        name, cipher = sock.getsockname(), sock.cipher()[0]
        tls.finish(sock)
    line = door.audited_of(name)
    check(line, name, HELLO | TLS | {"alpn", "route", "action", "backend"}, sni="www.test", alpn="http/1.1", route="www",
          action="terminate", version=named, group="X25519", resumed=False, reason="done", out=16)
    if named == "1.3":
        assert line["cipher"] == cipher
    else:
        assert line["cipher"].startswith("TLS_ECDHE_ECDSA_WITH_")
    assert "X25519" in line["offers_groups"].split(",") and "c02b" in line["offers_ciphers"].split(",")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_bytes_of_the_handshake(door, version):
    """As many as openssl counts at its end."""
    door.mark()
    out = tls.s_client(door, "www.test", version, until=b"behind the door")
    read, written = map(int, re.search(r"SSL handshake has read (\d+) bytes and written (\d+) bytes", out.text).groups())
    line = door.audited(route="www")
    assert (line["handshake_bytes_out"], line["handshake_bytes_in"]) == (read, written), out.text
    assert line["signature"] == "ecdsa_secp256r1_sha256"
    if version == "-tls1_3":
        assert line["hello_retry"] is False


def test_tunnel(door, pki, banner):
    """Who, and where to."""
    sock, said = tls.tunnel(door, "door.test", f"127.0.0.1:{banner.port}", pki.alice)
    assert said["ok"] and tls.read_line(sock) == "behind the door"
    name = sock.getsockname()
    tls.finish(sock)
    sock.close()
    check(door.audited_of(name), name, HELLO | TLS | {"alpn", "route", "action", "identity", "target"},
          alpn="cardea/1", route="tunnel", action="tunnel", identity="alice", target=f"127.0.0.1:{banner.port}",
          reason="done")


def test_denied(door, pki):
    """The rule that denied."""
    sock, said = tls.tunnel(door, "door.test", "127.0.0.1:25", pki.alice)
    name = sock.getsockname()
    sock.close()
    assert (said["code"], said["rule"]) == ("denied", "no-smtp")
    check(door.audited_of(name), name, HELLO | TLS | {"alpn", "route", "action", "identity", "target", "rule"},
          identity="alice", target="127.0.0.1:25", rule="no-smtp", reason="denied")


@pytest.mark.parametrize("target, code, reason", [
    ("127.0.0.1:1", "refused", "refused"),
    ("nosuch.invalid:80", "no_such_host", "no_such_host"),
])
def test_tunnel_that_fails(door, pki, target, code, reason):
    """The answer's code and the line's reason agree; a name that nobody may reach is not even looked up."""
    sock, said = tls.tunnel(door, "door.test", target, pki.alice)
    name = sock.getsockname()
    sock.close()
    assert (said["ok"], said["code"]) == (False, code) and said["text"]
    assert door.audited_of(name)["reason"] == reason


@pytest.mark.parametrize("hello", [b"\0\0", b"\xff\xff", b"\0\x02{}", b"\0\x05nojso",
                                   b"\0\x2e" + b'{"v":9,"target":"127.0.0.1:80","proto":"tcp"} '])
def test_bad_tunnel_hello(door, pki, hello):
    """What is no hello of cardea/1."""
    sock, said = tls.tunnel(door, "door.test", "", pki.alice, hello=hello)
    name = sock.getsockname()
    sock.close()
    assert (said["ok"], said["code"]) == (False, "bad_hello")
    assert door.audited_of(name)["reason"] == "bad_request"


def test_reject(door):
    with door.dial() as sock:
        sock.sendall(tls.client_hello("away.test"))
        assert tls.alert_of(sock) == 49
        name = sock.getsockname()
    check(door.audited_of(name), name, HELLO | {"route", "action"}, route="away", action="reject", reason="rejected")


def test_no_route(door):
    with door.dial() as sock:
        sock.sendall(tls.client_hello("unknown.test"))
        tls.ended(sock)
        name = sock.getsockname()
    check(door.audited_of(name), name, HELLO, sni="unknown.test", reason="no_route")


def test_backend_refuses(door):
    with door.dial() as sock:
        sock.sendall(tls.client_hello("dead.test"))
        tls.ended(sock)
        name = sock.getsockname()
    line = door.audited_of(name)
    assert line["route"] == "dead" and line["reason"] in ("refused", "no_backend"), line
    assert "127.0.0.1:1" in line["detail"], line


@pytest.mark.parametrize("said, hint", [
    (b"EHLO client.example.com\r\n", "'speaks: smtp'"), (b"lhlo client.example.com\r\n", "'speaks: lmtp'"),
    (b"NICK somebody\r\n", "'speaks: irc'"), (b"a1 LOGIN user secret\r\n", "'speaks:'"),
    (struct.pack("!II", 8, 80877103), "'speaks: postgresql'")], ids=["smtp", "lmtp", "irc", "text", "postgresql"])
def test_a_client_in_the_clear(door, said, hint):
    """Where TLS begins at once, who begins with a command is told of STARTTLS in the line, and never of what was said."""
    with door.dial() as sock:
        sock.sendall(said)
        assert tls.ended(sock)
        line = door.audited_of(sock.getsockname())
    assert line["reason"] == "not_tls" and hint in line["detail"] and "secret" not in line["detail"], line


def test_a_client_that_waits_to_be_greeted(door):
    """The same for one that says nothing."""
    with door.dial() as sock:
        assert tls.ended(sock)
        line = door.audited_of(sock.getsockname())
    assert line["reason"] == "hello_timeout" and "'speaks:'" in line["detail"], line


def test_nothing_was_said(door):
    """A connection that never said anything has a line too."""
    with door.dial() as sock:
        name = sock.getsockname()
    check(door.audited_of(name), name, set(), reason="client_left", **{"in": 0, "out": 0})


def test_hostile_names_are_escaped(door):
    """An SNI or ALPN of odd bytes breaks no line: each is still JSON."""
    door.mark()
    for protocol in ('"', "\\", "a\nb", "\x01", "\x7f"):
        with door.dial() as sock:
            sock.sendall(tls.client_hello("pass.test", [protocol]))
            tls.read_exactly(sock, 10)
    lines = door.audited(5, route="pass")
    assert {line["alpn"] for line in lines} == {'"', "\\", "a\nb", "\x01", "\x7f"}


def test_reset(start_door, pki, banner, echo):
    """Who broke the connection: the client, or TLS that ended without close_notify."""
    door = start_door({"certificates": [pki.server("www.test").row()],
                       "routes": [{"name": "pass", "sni": "pass.test", "pass": {"to": echo.to}},
                                  {"name": "www", "sni": "www.test", "terminate": {"to": banner.to}}]})
    sock = door.dial()
    sock.sendall(tls.client_hello("pass.test"))
    tls.read_exactly(sock, 10)
    name = sock.getsockname()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    assert door.audited_of(name)["reason"] == "client_reset"
    with tls.connect(door, "www.test") as sock:
        assert tls.read_line(sock)
        name = sock.getsockname()
        socket.socket.shutdown(sock, socket.SHUT_WR)
    assert door.audited_of(name)["reason"] in ("truncated", "client_reset")


def say_goodbye(sock):
    """As a mail server does: its last words, and the end."""
    if sock.recv(64):
        sock.sendall(b"221 bye\r\n")


def test_a_client_that_has_all_and_just_goes(start_door, pki):
    """The server ended first, in order, and the client has had that: one that goes without close_notify has lost nothing."""
    with peers.Server(say_goodbye) as server:
        door = start_door({"certificates": [pki.server("www.test").row()],
                           "routes": [{"name": "www", "sni": "www.test", "terminate": {"to": server.to}}]})
        for how in (socket.SHUT_WR, "reset"):
            with tls.connect(door, "www.test") as sock:
                name = sock.getsockname()
                sock.sendall(b"QUIT\r\n")
                assert tls.read_all(sock) == b"221 bye\r\n"
                if how == "reset":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    socket.socket.shutdown(sock, how)
            assert door.audited_of(name)["reason"] == "done", how


def test_a_client_that_breaks_off_what_is_on_its_way(start_door, pki):
    """The server has ended, and the client goes before it has read all of it."""
    with peers.Server(lambda sock: sock.sendall(bytes(200_000))) as server:
        door = start_door({"certificates": [pki.server("www.test").row()],
                           "routes": [{"name": "www", "sni": "www.test", "terminate": {"to": server.to}}]})
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        raw.settimeout(10 * SLOW)
        raw.connect(("127.0.0.1", door.port))
        with tls.context().wrap_socket(raw, server_hostname="www.test") as sock:
            name = sock.getsockname()
            tls.read_exactly(sock, 1000)
            wait_until(lambda: not server.open, "the server to have ended")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert door.audited_of(name)["reason"] == "client_reset"


def test_what_a_client_breaks_off_is_no_end_to_a_server_that_listens(start_door, pki):
    """The server has ended its own direction only: the line says done, but it hears that there may have been more."""
    heard = []

    def half_close(sock):
        sock.sendall(b"upload\n")
        sock.shutdown(socket.SHUT_WR)
        try:
            while more := sock.recv(64):
                heard.append(more)
            heard.append("in order")
        except ConnectionResetError:
            heard.append("reset")
    with peers.Server(half_close) as server:
        door = start_door({"certificates": [pki.server("www.test").row()],
                           "routes": [{"name": "www", "sni": "www.test", "terminate": {"to": server.to}}]})
        with tls.connect(door, "www.test") as sock:
            assert tls.read_all(sock) == b"upload\n"
            sock.sendall(b"part")
            wait_until(lambda: heard, "the server to have heard it")
            socket.socket.shutdown(sock, socket.SHUT_WR)
        wait_until(lambda: len(heard) > 1, lambda: f"the end among {heard}")
    assert heard == [b"part", "reset"]


def test_ids_are_unique(door):
    """Every line has its own id."""
    ids = [line["id"] for line in door.audit()]
    assert len(set(ids)) == len(ids) > 5


def test_rotation(start_door, echo):
    """The file is moved away and SIGHUP sent: new lines go to a new file, none is lost."""
    door = start_door({"routes": [{"name": "pass", "pass": {"to": echo.to}}]})

    def one():
        with door.dial() as sock:
            sock.sendall(tls.client_hello("a.test"))
            tls.read_exactly(sock, 10)
    one()
    door.audited()
    old = door.audit_file.with_suffix(".1")
    door.audit_file.rename(old)
    door.process.send(signal.SIGHUP)
    wait_until(door.audit_file.exists, "the new file")
    one()
    door.audited()
    assert len(old.read_text().splitlines()) == len(door.audit_file.read_text().splitlines()) == 1


def test_standard_output(start_door, echo):
    """file: "-"."""
    door = start_door({"routes": [{"name": "pass", "pass": {"to": echo.to}}], "audit": {"file": "-"}})
    with door.dial() as sock:
        sock.sendall(tls.client_hello("a.test"))
        tls.read_exactly(sock, 10)
    text = wait_until(lambda: door.process.out.read_text(), "the line")
    assert json.loads(text)["route"] == "pass"


def test_a_broken_stream_says_how(door):
    """After bytes have flowed too: a record that does not open, and a reset, are told apart."""
    for broken, detail in ((b"\x17\x03\x03\x00\x20" + b"x" * 32, "damaged"), (None, "reset")):
        sock = door.dial()
        half = tls.HalfTls(sock, tls.context(), "www.test")
        assert half.recv()
        if broken:
            sock.sendall(broken)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        name = sock.getsockname()
        sock.close()
        line = door.audited_of(name)
        assert line["reason"] == "client_reset"
        assert detail in line["detail"].lower().replace("_", " ").replace("-", " ")
