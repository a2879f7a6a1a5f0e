# SPDX-License-Identifier: Apache-2.0
"""Listeners that have no address of their own: unix sockets, and sockets that systemd hands over."""
import os
import shutil
import socket
import stat
import sys

import pytest

import tls
from door import Door
from run import CARDEA, ROOT, SLOW, Process, free_port, run, wait_listening, wait_until

HANDOVER = [sys.executable, ROOT / "tests" / "e2e" / "handover.py"]
HELLO = tls.client_hello("pass.test")


def routes(echo):
    return [{"name": "pass", "sni": "pass.test", "pass": {"to": echo.to}}]


def tunnel(pki):
    """A door that leads to anything on this machine."""
    return {
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "sni": "door.test", "alpn": ["cardea/1", "http/1.1"], "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "all", "effect": "allow", "who": {"any": True}, "targets": ["127.0.0.1:*"]}]}


def dial_unix(path, timeout=10.0):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(timeout * SLOW)
    sock.connect(str(path))
    return sock


def dial_tcp(port):
    return socket.create_connection(("127.0.0.1", port), 10 * SLOW)


def echoes(sock, hello=HELLO):
    """A passed ClientHello comes back."""
    with sock:
        sock.sendall(hello)
        return tls.read_exactly(sock, len(hello)) == hello


def serve_fails(directory, config, *prefix):
    """What a door says that does not start."""
    door = Door(directory, config)
    done = run(*prefix, CARDEA, "serve", "-c", door.config_file, cwd=directory)
    assert done.returncode == 1
    return done.stderr.decode()


# Unix sockets ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def unix_door(start_door, pki, echo, tmp_path):
    path = tmp_path / "door.sock"
    door = start_door({"listeners": [{"name": "local", "address": f"unix:{path}"}],
                       "certificates": [pki.server("www.test").row()],
                       "routes": routes(echo) + [{"name": "www", "sni": "www.test", "terminate": {"to": echo.to}}]})
    door.unix = path
    return door


def test_unix_socket_serves(unix_door):
    """Passed and terminated; the line tells which process it was. Nobody but owner and group may connect."""
    assert stat.S_IMODE(unix_door.unix.stat().st_mode) == 0o660
    assert echoes(dial_unix(unix_door.unix))
    line = unix_door.audited(route="pass")
    assert line["peer"] == f"unix:pid={os.getpid()},uid={os.getuid()}"
    assert line["listener"] == "local"
    secure = tls.context().wrap_socket(dial_unix(unix_door.unix), server_hostname="www.test")
    secure.sendall(b"hello")
    assert tls.read_exactly(secure, 5) == b"hello"
    assert unix_door.status()
    tls.finish(secure)
    secure.close()
    assert unix_door.audited(route="www")["reason"] == "done"


def test_curl_over_a_unix_socket(start_door, pki, nginx, tmp_path):
    path = tmp_path / "http.sock"
    start_door({"listeners": [{"address": f"unix:{path}"}], "certificates": [pki.server("h1.test").row()],
                "routes": [{"name": "h1", "sni": "h1.test", "terminate": {"to": nginx.to("h1")}}]})
    done = run("curl", "-sS", "--unix-socket", path, "--cacert", pki.ca.file, "https://h1.test/")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout


def test_many_at_once_on_all_workers(unix_door):
    """Workers share the one socket, and each takes some of what comes at once."""
    socks = [dial_unix(unix_door.unix) for _ in range(200)]
    for sock in socks:
        sock.sendall(HELLO)
    for sock in socks:
        assert tls.read_exactly(sock, len(HELLO)) == HELLO
        sock.close()
    assert len(unix_door.audited(200, route="pass")) == 200


def test_no_source_is_counted(start_door, echo, tmp_path):
    """limits.per_source is for addresses: here only the file's rights, and limits.connections, say who may come."""
    path = tmp_path / "door.sock"
    door = start_door({"listeners": [{"address": f"unix:{path}"}], "limits": {"per_source": 1, "connections": 3},
                       "routes": routes(echo)})
    socks = [dial_unix(path) for _ in range(3)]
    for sock in socks:
        sock.sendall(HELLO)
        tls.read_exactly(sock, len(HELLO))
    with dial_unix(path) as late:
        assert late.recv(1) == b""
    assert door.audited(reason="limit_connections")["peer"].startswith("unix:pid=")
    for sock in socks:
        sock.close()


def test_mode_is_kept(start_door, echo, tmp_path):
    path = tmp_path / "open.sock"
    start_door({"listeners": [{"address": f"unix:{path}", "mode": "0606"}], "routes": routes(echo)})
    assert stat.S_IMODE(path.stat().st_mode) == 0o606


def test_proxy_header_of_a_local_proxy(start_door, echo, tmp_path):
    """`from: [unix]`: who connects there must say whom he speaks for, and is counted as that."""
    path = tmp_path / "door.sock"
    door = start_door({"listeners": [{"address": f"unix:{path}", "proxy_protocol": {"from": ["unix"]}}],
                       "routes": routes(echo)})
    with dial_unix(path) as sock:
        sock.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 443\r\n" + HELLO)
        assert tls.read_exactly(sock, len(HELLO)) == HELLO
    assert door.audited(peer="192.0.2.1:1111")["route"] == "pass"
    with dial_unix(path) as sock:
        sock.sendall(HELLO)
        assert sock.recv(1) == b""
    assert door.audited(reason="proxy_bad")["peer"].startswith("unix:")


def test_stale_socket_is_replaced_and_a_live_one_is_not(start_door, echo, tmp_path):
    path = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    config = {"listeners": [{"address": f"unix:{path}"}], "routes": routes(echo)}
    start_door(config)
    assert echoes(dial_unix(path))
    (tmp_path / "second").mkdir()
    assert "another program is listening there" in serve_fails(tmp_path / "second", config)
    assert echoes(dial_unix(path)), "the second one has taken the socket from the first"


def test_another_file_in_its_place_is_an_error(echo, tmp_path):
    path = tmp_path / "door.sock"
    path.write_text("mine")
    text = serve_fails(tmp_path, {"listeners": [{"address": f"unix:{path}"}], "routes": routes(echo)})
    assert "Address already in use" in text and str(path) in text
    assert path.read_text() == "mine"


def test_socket_goes_with_the_door(unix_door):
    unix_door.stop()
    assert not unix_door.unix.exists()


def test_what_took_its_place_is_left(unix_door):
    """Whoever has put a socket of his own there since keeps it."""
    unix_door.unix.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(unix_door.unix))
        unix_door.stop()
        assert unix_door.unix.exists()


def test_reload_of_unix_sockets(unix_door, tmp_path):
    """One that stays goes on undisturbed, a new one begins, one that is dropped goes with its file."""
    before, held = unix_door.unix.stat().st_ino, dial_unix(unix_door.unix)
    held.sendall(HELLO)
    tls.read_exactly(held, len(HELLO))
    second = tmp_path / "second.sock"
    listeners = unix_door.config["listeners"]
    unix_door.reload({**unix_door.config, "listeners": listeners + [{"address": f"unix:{second}"}]})
    assert unix_door.unix.stat().st_ino == before
    assert echoes(dial_unix(second)) and echoes(dial_unix(unix_door.unix))
    unix_door.reload({**unix_door.config, "listeners": [{"address": f"unix:{second}"}]})
    wait_until(lambda: not unix_door.unix.exists(), "the dropped socket to be removed")
    assert echoes(dial_unix(second))
    held.sendall(b"still here")
    assert tls.read_exactly(held, 10) == b"still here"
    held.close()


def test_tunnels_over_a_unix_socket_are_tls_only(start_door, pki, banner, tmp_path):
    """There is no QUIC on a unix socket: it is off by itself."""
    path = tmp_path / "door.sock"
    door = start_door({"listeners": [{"address": f"unix:{path}"}], **tunnel(pki)})
    assert "(unix)" in door.process.output()
    ctx = tls.context(pki.ca.file, pki.alice, ["http/1.1"])
    with ctx.wrap_socket(dial_unix(path), server_hostname="door.test") as sock:
        sock.sendall(f"CONNECT {banner.to} HTTP/1.1\r\nHost: {banner.to}\r\n\r\n".encode())
        assert tls.read_line(sock).startswith("HTTP/1.1 200")


# Sockets of systemd ---------------------------------------------------------------------------------------------------

def handed(*sockets):
    """The beginning of a command line that gets these sockets."""
    return [*HANDOVER, *sockets, "--"]


def config_of(echo, name="web", **more):
    return {"listeners": [{"name": "main", "address": f"systemd:{name}"}], "routes": routes(echo), **more}


def test_sockets_that_are_handed_over(start_door, echo, tmp_path):
    """All of the name, whatever their family; those of other names are left alone."""
    port, second, other, path = free_port(), free_port(), free_port(), tmp_path / "web.sock"
    door = start_door(config_of(echo), prefix=handed(f"web=tcp:{port}", f"else=tcp:{other}", f"web=tcp:{second}",
                                                     f"web=unix:{path}"))
    for sock in (dial_tcp(port), dial_tcp(second), dial_unix(path)):
        assert echoes(sock)
    assert len(door.audited(3, listener="main", route="pass")) == 3
    with dial_tcp(other) as sock:
        sock.settimeout(0.2 * SLOW)
        sock.sendall(HELLO)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    door.stop()
    assert path.exists(), "the socket's file is systemd's"


def test_handed_sockets_survive_reloads(start_door, echo):
    """Dropped, and taken up again, by one process: they were never closed."""
    port, own = free_port(), free_port()
    door = start_door(config_of(echo), prefix=handed(f"web=tcp:{port}"))
    assert echoes(dial_tcp(port))
    door.reload(config_of(echo, limits={"idle_timeout": "5m"}))
    assert echoes(dial_tcp(port))
    door.reload({"listeners": [{"address": f"127.0.0.1:{own}"}], "routes": routes(echo)})
    assert echoes(dial_tcp(own))
    waits = dial_tcp(port)  # in the kernel's queue: nobody accepts
    waits.sendall(HELLO)
    door.reload(config_of(echo))
    assert tls.read_exactly(waits, len(HELLO)) == HELLO
    waits.close()


@pytest.mark.parametrize("sockets, text", [
    (["db=tcp", "x=tcp"], "found sockets named db, x, expected one named web"),
    (["web=idle"], "a stream socket that does not listen"),
    (["web=udp"], "only a datagram socket web; expected a stream socket beside it"),
    (["web=tcp", "web=udp", "web=udp"], "a second datagram socket"),
    (["web=file"], "no socket; expected ListenStream="),
])
def test_what_cannot_be_served_is_told(sockets, text, echo, tmp_path):
    words = [f"{word}:{tmp_path / 'file' if word.endswith('file') else free_port()}" for word in sockets]
    assert text in serve_fails(tmp_path, config_of(echo), *handed(*words))


def test_nothing_handed_over(echo, tmp_path):
    assert "systemd has handed no sockets to this process" in serve_fails(tmp_path, config_of(echo))


def test_sockets_for_another_process_are_not_ours(echo, tmp_path):
    script = 'LISTEN_PID=1 LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$@"'
    text = serve_fails(tmp_path, config_of(echo), "sh", "-c", script, "sh")
    assert "systemd has handed no sockets" in text


def test_systemd_socket_activate(pki, echo, tmp_path):
    """The real thing starts the door when the first client comes, who is served; at the end the socket is still there."""
    tool = shutil.which("systemd-socket-activate")
    assert tool, "systemd-socket-activate is missing (package systemd)"
    door = Door(tmp_path, config_of(echo))
    port = free_port()
    process = Process([tool, "-l", f"127.0.0.1:{port}", "--fdname=web", "-E", "PATH", CARDEA, "serve", "-c", door.config_file],
                      tmp_path, "activated", cwd=tmp_path)
    wait_listening(port, process)
    assert echoes(dial_tcp(port))
    assert echoes(dial_tcp(port))
    assert process.stop() == 0


def test_quic_at_a_datagram_socket(start_door, pki, banner, connect):
    """The datagram socket of the same name carries QUIC, shared by all workers."""
    port = free_port()
    door = start_door({"listeners": [{"address": "systemd:web"}], **tunnel(pki)},
                      prefix=handed(f"web=tcp:{port}", f"web=udp:{port}"))
    assert "(TCP, UDP)" in door.process.output()
    for _ in range(4):
        done = connect(f"127.0.0.1:{port}", "--transport", "quic", banner.to)
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.startswith(b"behind the door")
    assert len(door.audited(4, transport="quic", reason="done")) == 4
