# SPDX-License-Identifier: Apache-2.0
"""What backends are told before the client's bytes flow, when they do not take it, break off or are slow: and what the
audit line has of it."""
import contextlib
import socket
import ssl
import time

import pytest

import peers
from run import CARDEA, SLOW, free_port, run, wait_until
from tls import connect, converse


def smtp_server(sock, said, answer=b"220 told\r\n"):
    """Takes XCLIENT, or with another answer does not; keeps the commands."""
    lines = sock.makefile("rb")
    for words in (b"220 plain\r\n", b"250-plain\r\n250 XCLIENT ADDR PORT LOGIN\r\n", answer):
        sock.sendall(words)
        said.append(lines.readline())


def smtp_door(start_door, pki, to, address=None, **route):
    return start_door({
        "certificates": [pki.server("door.test").row()],
        "listeners": [{"name": "in", "address": address or f"127.0.0.1:{free_port()}", "speaks": "smtp"}],
        "routes": [{"name": "mail", "listeners": ["in"], "terminate": {"to": to}, "hand_on": {"protocol": "smtp"}, **route}]})


def start_tls(sock, pki):
    """Through SMTP's STARTTLS."""
    sock.settimeout(10 * SLOW)
    sock.connect(sock.to)
    converse(sock, [(None, b"220 "), (b"EHLO client.test", b"250 "), (b"STARTTLS", b"220 ")])
    return ssl.create_default_context(cafile=pki.ca.file).wrap_socket(sock, server_hostname="door.test")


class Client(socket.socket):
    """Of a listener in the configuration, at a port or a path."""

    def __init__(self, address):
        unix = address.startswith("unix:")
        super().__init__(socket.AF_UNIX if unix else socket.AF_INET)
        host, _, port = address.rpartition(":")
        self.to = address[len("unix:"):] if unix else (host, int(port))


def greeted(door, pki):
    """A client that goes as far as the door lets it."""
    with Client(door.config["listeners"][0]["address"]) as sock, contextlib.suppress(OSError), start_tls(sock, pki) as tls:
        tls.recv(1)


def test_clear_and_told_do_not_go_together(tmp_path, pki):
    """A server that trusts the door must not take a client in the clear for it."""
    cert = pki.server("door.test")
    file = tmp_path / "cardea.yaml"
    file.write_text(f"""
listeners: [{{name: in, address: 127.0.0.1:1, speaks: smtp, plaintext: true}}]
certificates: [{{certificate: {cert.certificate}, key: {cert.key}}}]
routes: [{{name: mail, listeners: [in], terminate: {{to: 127.0.0.1:25}}, hand_on: {{protocol: smtp}}}}]
""")
    done = run(CARDEA, "serve", "-c", file)
    assert done.returncode != 0 and b"hand_on.protocol: found 'smtp', and clients of listener 'in'" in done.stderr, done.stderr
    done = run(CARDEA, "wrap", "server", "--listen", "127.0.0.1:1", "--to", "127.0.0.1:25", "--cert", cert.certificate,
               "--key", cert.key, "--starttls", "smtp", "--plaintext", "--tell", "smtp")
    assert done.returncode == 2 and b"--tell has it trust what it is told" in done.stderr, done.stderr


def test_the_detail_is_that_of_the_backend_named(start_door, pki):
    """The first does not take XCLIENT, the second breaks off: the line is about the second."""
    with peers.Server(lambda sock: smtp_server(sock, [], b"550 no\r\n")) as first, \
            peers.Server(lambda sock: None) as second:
        door = smtp_door(start_door, pki, [first.to, second.to])
        wait_until(lambda: greeted(door, pki) or first.count > 0, "the first to be tried", 20)
        line = door.audited(route="mail", backend=second.to)
        assert (line["reason"], line["detail"]) == ("backend_reset", "the backend closed before it had been told of the client")


def test_a_refused_xclient_is_no_failure_of_tls(start_door, pki):
    with peers.Server(lambda sock: smtp_server(sock, [], b"550 no\r\n")) as server:
        door = smtp_door(start_door, pki, server.to)
        greeted(door, pki)
        line = door.audited(route="mail")
        assert line["reason"] == "backend_reset" and "does not take XCLIENT" in line["detail"]


def test_a_client_without_an_address(start_door, pki, tmp_path):
    """Postfix reads [UNAVAILABLE]; 'unix' is no address."""
    said = []
    with peers.Server(lambda sock: smtp_server(sock, said)) as server:
        door = smtp_door(start_door, pki, server.to, f"unix:{tmp_path / 'in.sock'}")
        greeted(door, pki)
        wait_until(lambda: len(said) > 1, "XCLIENT", 10)
    assert said[1] == b"XCLIENT ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] LOGIN=[UNAVAILABLE]\r\n"


@pytest.mark.parametrize("script, reason, told", [
    ("exit 3", "backend_reset", "the program exited with status 3"),
    ("exit 0", "backend_reset", "the backend closed before it had been told of the client"),
    ("exec >&- <&-; sleep 1000", "backend_reset", "the program has closed its output, and goes on")])
def test_a_program_that_ends_too_early(start_door, pki, script, reason, told):
    door = smtp_door(start_door, pki, f'exec:/bin/sh -c "{script}"')
    greeted(door, pki)
    line = door.audited(route="mail")
    assert (line["reason"], line["detail"]) == (reason, told)


SCRIPT = """port 7000
unit line
section identify
state told
  on "GO {x}":  send "{x}{x}{x}{x}{x}{x}{x}"; stay
  on "END":     send "END"; done
"""


def test_last_words_to_a_slow_reader(start_door, pki, tmp_path):
    """What the door says last is more than the backend's socket holds: all of it comes before the client's bytes."""
    (tmp_path / "slow.script").write_text(SCRIPT)
    times, piece = 48, b"x" * 1000
    whole = (piece * 7 + b"\r\n") * times + b"END\r\n" + b"hello"
    got = []

    def handler(sock):
        sock.sendall((b"GO " + piece + b"\r\n") * times + b"END\r\n")
        time.sleep(0.5)  # nothing may get lost meanwhile
        got.append(sock.makefile("rb").read(len(whole)))
        sock.sendall(b"done\n")
    with peers.Server(handler, path=tmp_path / "slow.sock") as server:
        door = start_door({
            "protocols": [{"name": "slow", "file": str(tmp_path / "slow.script")}],
            "certificates": [pki.server("door.test").row()],
            "routes": [{"name": "slow", "terminate": {"to": server.to}, "hand_on": {"protocol": "slow"}}]})
        with connect(door, "door.test", ca=pki.ca.file) as tls:
            tls.sendall(b"hello")
            assert tls.recv(100) == b"done\n"
    assert got == [whole]
