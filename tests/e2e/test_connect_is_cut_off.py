# SPDX-License-Identifier: Apache-2.0
"""What the user of `cardea connect` reads when the connection ends amid the bytes, or before there were any: who broke it
off, wherever the door can say so. The exit code is never 0 then."""
import contextlib
import socket
import struct
import subprocess
import threading

import pytest

import peers
from agents import Agent
from fixtures import clean_env, connect_words
from run import SLOW, free_port, ms, wait_until

PIECE = b"part of the whole\n"
FAR_END = "was cut off: the far end of it broke off, not the door nor the way to it; what came may not be all"
ANY = "was cut off: by what is at its end, or by the door (time was over, or it stopped), whose audit line says which"


def break_off(sock):
    """PIECE, then a reset once the client has said anything."""
    sock.sendall(PIECE)
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def stay(sock):
    """PIECE, then nothing for long."""
    sock.sendall(PIECE)
    with contextlib.suppress(OSError):
        sock.recv(1)
        threading.Event().wait(20 * SLOW)


@pytest.fixture(scope="module")
def breaker():
    with peers.Server(break_off) as server:
        yield server


@pytest.fixture(scope="module")
def stayer():
    with peers.Server(stay) as server:
        yield server


def configuration(pki, **limits):
    dead = f"127.0.0.1:{free_port()}"
    return {
        "certificates": [pki.server("door.test").row(), pki.server("dead.test", "www.test").row()], "trust": [pki.trust()],
        "limits": {"drain_timeout": ms(300), "idle_timeout": "20s", **limits},
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
                   {"name": "dead", "sni": "dead.test", "terminate": {"to": dead}},
                   {"name": "nowhere", "sni": "nowhere.test", "pass": {"to": dead}}],
        "policy": [{"name": "all", "who": {"any": True}, "targets": ["127.0.0.0/8:*", "offer:stay.test", "name:stay.test"]}],
    }


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return start_module_door(configuration(pki))


def call(door, pki, home, target, *words, meanwhile=lambda: None, shared=False):
    """Standard error of a call that says a byte once PIECE has come. It must end with exit code 1."""
    env = clean_env(home, XDG_RUNTIME_DIR=str(home), CARDEA_SHARE="2s" if shared else "0")
    child = subprocess.Popen([str(w) for w in [*connect_words(door, pki.alice, pki.ca.file), *words, target]],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    assert child.stdout.read(len(PIECE)) == PIECE, child.stderr.read()
    meanwhile()
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(b"x")
        child.stdin.flush()
    assert child.wait(20 * SLOW) == 1
    text = child.stderr.read().decode()
    for pipe in (child.stdin, child.stdout, child.stderr):
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
    return text


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("transport, text", [("quic", FAR_END), ("tcp", ANY)])
def test_the_target_breaks_off(door, pki, breaker, tmp_path, transport, text, shared):
    said = call(door, pki, tmp_path, breaker.to, "--transport", transport, shared=shared)
    assert f"the connection to {breaker.to} through the door {door.address} {text}" in said
    assert "the connection to the door" not in said


@pytest.mark.parametrize("transport", ["quic", "tcp"])
@pytest.mark.parametrize("limit, text", [
    ("idle_timeout", "no byte went either way for as long as the door allows (idle_timeout)"),
    ("total_timeout", "it had reached the greatest age that the door allows (total_timeout)")])
def test_its_time_is_over(start_door, pki, stayer, tmp_path, transport, limit, text):
    door = start_door(configuration(pki, **{limit: ms(500)}))
    said = call(door, pki, tmp_path, stayer.to, "--transport", transport)
    assert (text if transport == "quic" else ANY) in said, said


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_the_door_stops(start_door, pki, stayer, tmp_path, transport):
    door = start_door(configuration(pki))
    said = call(door, pki, tmp_path, stayer.to, "--transport", transport, meanwhile=door.stop)
    assert ("was cut off: the door stopped" if transport == "quic" else ANY) in said, said


@pytest.mark.parametrize("transport", ["quic", "tcp"])
@pytest.mark.parametrize("agents", ["quic", "tcp"])
def test_the_agent_stops(start_door, pki, stayer, tmp_path, transport, agents):
    """When its grace is over it is neither the service nor the door that broke off, whatever the agent came over and on
    whatever worker it is."""
    door = start_door(configuration(pki))
    agent = Agent(tmp_path, door.address, pki, "stay.test", "--to", stayer.to, "--grace", "300ms", "--transport", agents)
    agent.says("offering stay.test")
    said = call(door, pki, tmp_path, "stay.test", "--transport", transport, meanwhile=agent.end)
    assert ("was cut off: the agent that led to the service stopped" if transport == "quic" else ANY) in said, said
    agent.says("1 visitor was cut off")
    assert door.audited(action="tunnel", target="name:stay.test")["reason"] == "agent_stopped"


def test_the_door_is_killed(start_door, pki, stayer, tmp_path):
    """Then it is the way to it that broke, and nothing is said of the target. (Over QUIC it is only silent.)"""
    door = start_door(configuration(pki))

    def kill():
        door.process.child.kill()
        door.process.child.wait()
        door.start()
    said = call(door, pki, tmp_path, stayer.to, "--transport", "tcp", meanwhile=kill)
    assert "the way to the door broke" in said or f"the connection to the door {door.address} broke" in said, said


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\n\r\n", bytes(300000)], ids=["nothing", "a request", "much"])
def test_a_route_whose_backend_is_dead(door, connect, data):
    """However much the client says first: the alert is not overtaken by a reset."""
    for _ in range(3):
        done = connect(door, "--sni", "dead.test", input=data, timeout=20 * SLOW)
        assert (done.returncode, done.stdout) == (1, b"")
        said = f"the door {door.address} broke the connection for dead.test off before a byte came: most likely nothing answers"
        assert said in done.stderr.decode(), done.stderr.decode()


def test_a_route_that_passes_to_a_dead_backend(door, connect):
    done = connect(door, "--sni", "nowhere.test", input=b"x")
    text = done.stderr.decode()
    assert done.returncode == 1 and "no TLS with the door" in text and "may answer no more" in text, text


def test_a_route_on_a_local_port(door, start_connect, pki):
    """It is said, and the port stays open."""
    port = free_port()
    process = start_connect(door, "--sni", "dead.test", "-L", port, ports=[port])
    with contextlib.suppress(ConnectionResetError), socket.create_connection(("127.0.0.1", port), timeout=10 * SLOW) as sock:
        assert sock.recv(1) == b""
    wait_until(lambda: "before a byte came" in process.output(), process.output)
    assert process.poll() is None
