# SPDX-License-Identifier: Apache-2.0
"""The listener '-': a door that inetd starts, or a pipeline, serves the one connection at its standard input and output and
ends with it."""
import json
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

import tls
from door import to_yaml
from run import CARDEA, SLOW, Process, free_port, wait_listening

HELLO = tls.client_hello("pass.test")


@pytest.fixture
def one(tmp_path, pki, echo):
    """one(more) writes the configuration and gives the command line."""
    def write(**more):
        file = tmp_path / "one.yaml"
        file.write_text(to_yaml({
            "listeners": [{"name": "inetd", "address": "-"}],
            "certificates": [pki.server("www.test").row()],
            "routes": [{"name": "pass", "sni": "pass.test", "pass": {"to": echo.to}},
                       {"name": "cat", "sni": "www.test", "terminate": {"to": "exec:/bin/cat"}}], **more}))
        return [CARDEA, "serve", "-c", str(file)]
    return write


def connection():
    """Both ends of a TCP connection: the client's, and inetd's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), 10 * SLOW)
        server, _ = listener.accept()
    client.settimeout(10 * SLOW)
    return client, server


def start(words, at, err=subprocess.PIPE):
    return subprocess.Popen(words, stdin=at, stdout=at, stderr=err)


def ended(process, expect=0):
    """What it has said in the end."""
    text = process.communicate(timeout=20 * SLOW)[1]
    assert process.returncode == expect, text
    return (text or b"").decode()


def greet(client):
    secure = tls.context().wrap_socket(client, server_hostname="www.test")
    secure.sendall(b"hello")
    assert tls.read_exactly(secure, 5) == b"hello"
    return secure


def test_inetd(one):
    """A socket: its addresses are real, and the audit line goes to standard error."""
    client, server = connection()
    process = start(one(), server)
    server.close()
    secure = greet(client)
    name = secure.getsockname()
    tls.finish(secure)
    secure.close()
    [line] = [json.loads(text) for text in ended(process).splitlines()]
    assert (line["peer"], line["listener"], line["reason"]) == ("%s:%d" % name, "inetd", "done")


def test_what_is_told_does_not_reach_the_client(one):
    """Of inetd standard error is the connection too: nobody hears, and the bytes are as they should be."""
    client, server = connection()
    process = start(one(), server, server)
    server.close()
    with client:
        client.sendall(HELLO)
        assert tls.read_exactly(client, len(HELLO)) == HELLO
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    assert process.wait(20 * SLOW) == 0


def test_audit_file_is_used(one, tmp_path):
    client, server = connection()
    process = start(one(audit={"file": str(tmp_path / "audit.jsonl")}), server)
    server.close()
    client.close()
    assert ended(process, 1) == ""
    assert json.loads((tmp_path / "audit.jsonl").read_text())["reason"] == "client_left"


def test_pipes(one):
    """TLS through two pipes, as a pipeline has it."""
    process = subprocess.Popen(one(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.context().wrap_bio(incoming, outgoing, server_hostname="www.test")

    def until(call, *words):
        while True:
            try:
                return call(*words)
            except ssl.SSLWantReadError:
                process.stdin.write(outgoing.read())
                more = process.stdout.read(65536)
                assert more, process.stderr.read()
                incoming.write(more)

    until(client.do_handshake)
    client.write(b"through pipes")
    assert until(client.read, 13) == b"through pipes"
    until(client.unwrap)
    process.stdin.close()
    assert process.stdout.read() == b""
    line = json.loads(process.stderr.read())
    assert (line["peer"], line["reason"]) == ("unknown", "done")
    assert process.wait(20 * SLOW) == 0


def test_many_side_by_side(one):
    """They have no admin socket to quarrel about."""
    words, running = one(), []
    for _ in range(5):
        client, server = connection()
        running.append((start(words, server), client))
        server.close()
    for process, client in running:
        secure = greet(client)
        tls.finish(secure)
        secure.close()
        ended(process)


def test_systemd_inetd(one, tmp_path):
    """systemd-socket-activate, as systemd with Accept=yes and StandardInput=socket, starts one for each client."""
    tool = shutil.which("systemd-socket-activate")
    assert tool, "systemd-socket-activate is missing (package systemd)"
    port = free_port()
    process = Process([tool, "-l", f"127.0.0.1:{port}", "--accept", "--inetd", *one()], tmp_path, "activated")
    wait_listening(port, process)
    for _ in range(3):
        secure = greet(socket.create_connection(("127.0.0.1", port), 10 * SLOW))
        tls.finish(secure)
        secure.close()
    process.stop()


def test_status_of_a_client_that_breaks_off(one):
    client, server = connection()
    process = start(one(), server)
    server.close()
    secure = greet(client)
    secure.close()
    assert '"truncated"' in ended(process, 1)


def test_who_keeps_the_connection_open_beside_it(one):
    """The socket of another process, which it gives away and keeps: the door still sees its own end."""
    client, server = connection()
    process = start(one(), server)
    secure = greet(client)
    tls.finish(secure)
    secure.close()
    ended(process)
    server.close()


def test_wrap(pki):
    """In one line: a server of inetd's that knows no TLS gets it."""
    cert = pki.server("www.test")
    client, server = connection()
    process = start([CARDEA, "wrap", "server", "--listen", "-", "--to", "exec:/bin/cat", "--cert", cert.certificate,
                     "--key", cert.key, "--audit", "-"], server)
    server.close()
    secure = greet(client)
    tls.finish(secure)
    secure.close()
    assert json.loads(ended(process))["backend"] == "exec:/bin/cat"


def test_wrap_tells_a_person(pki):
    """Without an audit nothing is said of what went well, and a line of what did not."""
    cert = pki.server("www.test")
    words = [CARDEA, "wrap", "server", "--listen", "-", "--to", "exec:/bin/cat", "--cert", cert.certificate, "--key", cert.key]
    for finish, said in ((True, ""), (False, ": truncated: ended without close_notify\n")):
        client, server = connection()
        process = start(words, server)
        server.close()
        secure = greet(client)
        name = secure.getsockname()
        if finish:
            tls.finish(secure)
        secure.close()
        told = ended(process, 0 if finish else 1)
        assert told == (said and "cardea wrap: %s:%d -> exec:/bin/cat" % name + said)


def test_stop_while_it_serves(one):
    client, server = connection()
    process = start(one(limits={"drain_timeout": "1s"}), server)
    server.close()
    secure = greet(client)
    process.send_signal(signal.SIGTERM)
    assert '"shutdown"' in ended(process, 1)
    secure.close()


def test_reload_while_it_serves(one):
    client, server = connection()
    process = start(one(), server)
    server.close()
    secure = greet(client)
    one(limits={"idle_timeout": "5m"})
    process.send_signal(signal.SIGHUP)
    assert process.stderr.readline() == b"cardea: configuration reloaded\n"
    secure.sendall(b"still here")
    assert tls.read_exactly(secure, 10) == b"still here"
    tls.finish(secure)
    secure.close()
    ended(process)


def test_what_it_cannot_serve(one):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert "a socket that listens, expected a connection: 'nowait' of inetd" in ended(start(one(), listener), 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        assert "a socket of datagrams" in ended(start(one(), datagrams), 1)


def test_reload_cannot_begin_with_it(start_door, echo):
    """A door that serves others does not become one for a single connection."""
    door = start_door({"routes": [{"name": "pass", "pass": {"to": echo.to}}]})
    door.configure({**door.config, "listeners": [{"name": "main", "address": "-"}]})
    done = door.cli("reload")
    assert done.returncode == 1
    assert "are taken when the door starts, not by a reload" in (done.stdout + done.stderr).decode()
