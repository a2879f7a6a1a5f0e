# SPDX-License-Identifier: Apache-2.0
"""`cardea connect -L`: local ports that lead through the door; `--sni` chooses a route instead of a target."""
import functools
import socket

import pytest

import tls
from fixtures import clean_env, connect_words
from run import CARDEA, SLOW, free_port, run, wait_until


@pytest.fixture(scope="module")
def door(start_module_door, pki, banner, echo, counter, nginx):
    required = {"mode": "required", "trust": "staff"}
    return start_module_door({
        "certificates": [pki.server("door.test").row(), pki.server("app.test").row()],
        "trust": [pki.trust()],
        "routes": [
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": required},
            {"name": "app", "sni": "app.test", "alpn": "app/1", "terminate": {"to": counter.to}, "clients": required},
            {"name": "app-default", "sni": "app.test", "terminate": {"to": banner.to}, "clients": required},
        ],
        "policy": [{"name": "alice", "who": {"name": "alice"}},
                   {"name": "local", "who": {"name": "alice"}, "targets": ["127.0.0.0/8:*"]}],
    })


@pytest.fixture
def listen(door, start_connect):
    """listen("-L", ..., ports=) starts `cardea connect` (the port is the last number before HOST:PORT)."""
    return functools.partial(start_connect, door)


def dial(port, host="127.0.0.1"):
    return socket.create_connection((host, port), 10 * SLOW)


def test_several(listen, banner, echo):
    """Two -L in one process, with and without an address of their own."""
    one, two = free_port(), free_port()
    listen("-L", f"{one}:127.0.0.1:{banner.port}", "-L", f"127.0.0.2:{two}:127.0.0.1:{echo.port}", ports=[one, two])
    with dial(one) as sock:
        assert tls.read_exactly(sock, 16) == b"behind the door\n"
    with dial(two, "127.0.0.2") as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    with pytest.raises(ConnectionRefusedError):
        dial(two)


def test_it_is_told(listen):
    """Standard error has a line for each port, and where it leads."""
    ports = [free_port() for _ in range(3)]
    process = listen("-L", f"{ports[0]}:db.test:5432", "-L", f"*:{ports[1]}:[::1]:22", ports=ports[:2])
    wait_until(lambda: process.err.read_text() == f"cardea: listening on 127.0.0.1:{ports[0]} for db.test:5432\n"
               f"cardea: listening on *:{ports[1]} for [::1]:22\n", process.output)
    process = listen("--sni", "app.test", "-L", str(ports[2]), ports=ports[2:])
    wait_until(lambda: process.err.read_text() == f"cardea: listening on 127.0.0.1:{ports[2]} for app.test\n",
               process.output)


def test_only_this_machine_by_default(listen, banner):
    """Without an address -L listens on the loopback only."""
    port = free_port()
    listen("-L", f"{port}:127.0.0.1:{banner.port}", ports=[port])
    own = [info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    for address in own:
        if not address.startswith("127."):
            with pytest.raises(OSError):
                dial(port, address)


def test_half_close(listen, counter):
    """The local client's end reaches the target; the target's answer still comes back."""
    port = free_port()
    listen("-L", f"{port}:127.0.0.1:{counter.port}", ports=[port])
    with dial(port) as sock:
        sock.sendall(b"x" * 300000)
        sock.shutdown(socket.SHUT_WR)
        assert tls.read_all(sock) == b"300000 bytes\n"


def test_half_close_on_standard_input(door, connect, counter):
    """The end of standard input is an end for the target, not of the tunnel."""
    done = connect(door, f"127.0.0.1:{counter.port}", input=b"y" * 300000)
    assert (done.returncode, done.stdout) == (0, b"300000 bytes\n")


def test_many_at_once(listen, echo):
    """A hundred connections through one listening port."""
    port = free_port()
    listen("-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    socks = [dial(port) for _ in range(100)]
    for number, sock in enumerate(socks):
        sock.sendall(f"{number}\n".encode())
    for number, sock in enumerate(socks):
        with sock:
            assert tls.read_exactly(sock, len(str(number)) + 1) == f"{number}\n".encode()


def test_a_failed_tunnel_does_not_end_the_others(listen, echo):
    """A target that refuses: that connection ends and is told on standard error; the port goes on listening."""
    good, bad = free_port(), free_port()
    closed = free_port()
    process = listen("-L", f"{good}:127.0.0.1:{echo.port}", "-L", f"{bad}:127.0.0.1:{closed}", ports=[good, bad])
    with dial(good) as sock:
        with dial(bad) as other:
            assert tls.read_all(other) == b""
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    wait_until(lambda: "refused" in process.output(), "the message on standard error")


def test_port_in_use(door, pki, echo, tmp_path):
    """A local port that is taken: exit code 1 and the address is named."""
    done = run(*connect_words(door, pki.alice, pki.ca.file), "-L", f"{echo.port}:127.0.0.1:1", env=clean_env(tmp_path))
    assert done.returncode == 1 and str(echo.port).encode() in done.stderr


def test_route_by_sni(door, pki, connect):
    """--sni: no target, but the route of that name; standard input and output."""
    done = connect(door, "--sni", "app.test", name=None, input=b"x\n")
    assert (done.returncode, done.stdout) == (0, b"behind the door\nx\n"), done.stderr.decode()


def test_route_by_alpn(door, connect):
    """--alpn with it."""
    done = connect(door, "--sni", "app.test", "--alpn", "app/1", name=None, input=b"12345")
    assert (done.returncode, done.stdout) == (0, b"5 bytes\n"), done.stderr.decode()


def test_listen_to_a_route(listen):
    """-L PORT alone, with --sni."""
    port = free_port()
    listen("--sni", "app.test", "-L", str(port), ports=[port])
    with dial(port) as sock:
        assert tls.read_exactly(sock, 16) == b"behind the door\n"


def test_version_and_help():
    """The small verbs."""
    assert run(CARDEA, "version").stdout.startswith(b"cardea ")
    for words in (["help"], ["help", "connect"], ["help", "serve"]):
        done = run(CARDEA, *words)
        assert done.returncode == 0 and b"cardea" in done.stdout
    assert run(CARDEA).returncode == 2
    assert run(CARDEA, "nonsense").returncode == 2
