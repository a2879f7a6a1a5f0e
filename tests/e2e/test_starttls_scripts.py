# SPDX-License-Identifier: Apache-2.0
"""STARTTLS in protocols of the user's own: the manual's examples, on the disk, in front of a server that speaks it."""
import re
from pathlib import Path

import pytest

import peers
from run import CARDEA, ms, run
from tls import connect, context, read_all, read_exactly, read_line

MANUAL = Path(__file__).parents[2] / "doc/man/cardea-starttls.5"


def examples():
    """The script and the chat script at the manual's end."""
    text = MANUAL.read_text().split(".Sh EXAMPLES")[1]
    return [each.replace("\\e", "\\") for each in re.findall(r"\.Bd -literal\n(.*?)\.Ed\n", text, re.S)]


def ready_server(ctx, offers=b"tls"):
    """Greets with READY, comes to TLS on UPGRADE, and echoes."""
    def handler(sock):
        lines = sock.makefile("rb")
        sock.sendall(b"READY server\r\n")
        if lines.readline() != b"OPTIONS\r\n":
            return
        sock.sendall(b"OPTIONS x " + offers + b"\r\n")
        if lines.readline() != b"UPGRADE tls\r\n":
            return
        sock.sendall(b"GO\r\n")
        with ctx.wrap_socket(sock, server_side=True) as tls:
            peers.echo(tls)
    return peers.Server(handler)


def door_in_front(start_door, pki, directory, server, key, script, **more):
    file = directory / "ready.script"
    file.write_text(script)
    return start_door({
        **more,
        "protocols": [{"name": "ready", key: str(file)}],
        "trust": [{"name": "test", "ca": pki.ca.file}],
        "routes": [{"name": "ready", "terminate": {
            "to": server.to, "tls": {"trust": "test", "name": "ready.test", "starttls": "ready"}}}],
        "certificates": [pki.server("door.test").row()],
    })


@pytest.mark.parametrize("key", ["file", "chat"])
def test_a_backend_is_asked(start_door, pki, tmp_path, key):
    script = examples()[0 if key == "file" else 1]
    with ready_server(peers.server_context(pki.server("ready.test"))) as server:
        door = door_in_front(start_door, pki, tmp_path, server, key, script)
        with connect(door, "door.test", ca=pki.ca.file) as tls:
            if key == "file":  # chat scripts do not say what to welcome a client with
                assert read_line(tls) == "READY server\r"
            tls.sendall(b"hello\n")
            assert read_line(tls) == "hello"


TURNED_AWAY = b"NO service not available now\r\n"


def test_a_missing_offer_is_named(start_door, pki, tmp_path):
    with ready_server(peers.server_context(pki.server("ready.test")), offers=b"none") as server:
        door = door_in_front(start_door, pki, tmp_path, server, "file", examples()[0])
        with connect(door, "door.test", ca=pki.ca.file) as tls:
            assert read_all(tls) == TURNED_AWAY
        assert "the server does not offer TLS" in door.audited()["detail"]


def fall_silent(sock):
    """A greeting, and no more."""
    sock.sendall(b"READY server\r\n")
    while sock.recv(64):
        pass


@pytest.mark.parametrize("key, named", [("file", "the state is 'options'"), ("chat", "'OPTIONS' did not come in time")])
def test_what_was_waited_for_is_named(start_door, pki, tmp_path, key, named):
    """The backend says nothing more: the line says what was to come, and what came last. A script of chat(8) has no words for
    the client."""
    script = examples()[0] if key == "file" else "READY OPTIONS\\r\\n\\c OPTIONS UPGRADE\\r\\n\\c GO"
    with peers.Server(fall_silent) as server:
        door = door_in_front(start_door, pki, tmp_path, server, key, script, limits={"dial_timeout": ms(500)})
        with connect(door, "door.test", ca=pki.ca.file) as tls:
            if key == "file":
                assert read_all(tls) == TURNED_AWAY
            else:
                with pytest.raises(OSError):
                    read_all(tls)
        line = door.audited()
        assert line["reason"] == "dial_timeout" and named in line["detail"] and "READY server" in line["detail"], line


def test_another_protocol_is_the_doors_judgement(start_door, pki, tmp_path):
    """A unit that no rule matches: it is the door that ends it."""
    with peers.Server(peers.says("* OK IMAP4rev1\r")) as server:
        door = door_in_front(start_door, pki, tmp_path, server, "file", examples()[0])
        with connect(door, "door.test", ca=pki.ca.file) as tls:
            assert read_all(tls) == TURNED_AWAY
        line = door.audited()
        assert line["reason"] == "backend_tls" and "* OK IMAP4rev1" in line["detail"], line


OWN_XMPP = 'unit tag\nsection answer\nstate begin\n  on "<?xml{...}": stay\n  on "<stream{...}": send "<mine/>"; switch\n'


def test_a_protocol_of_ones_own_under_a_name_that_is_built_in(start_door, pki, tmp_path):
    """It counts for clients who begin in it as well; and must be able to answer them."""
    file = tmp_path / "xmpp.script"
    file.write_text(OWN_XMPP)
    with peers.Server(peers.echo) as server:
        door = start_door({
            "protocols": [{"name": "xmpp", "file": str(file)}], "certificates": [pki.server("door.test").row()],
            "routes": [{"name": "chat", "first_bytes": "xmpp", "terminate": {"to": server.to}}]})
        sock = door.dial()
        sock.sendall(b"<?xml version='1.0'?><stream:stream to='door.test'>")
        assert read_exactly(sock, 7) == b"<mine/>"
        with context(ca=pki.ca.file).wrap_socket(sock, server_hostname="door.test") as tls:
            tls.sendall(b"hello\n")
            assert read_line(tls) == "hello"
    file.write_text(OWN_XMPP.replace("section answer", "section ask"))
    checked = run(CARDEA, "serve", "--check", "-c", door.config_file)
    assert "first_bytes: the script of 'xmpp' has no section 'answer'" in checked.stderr.decode()
