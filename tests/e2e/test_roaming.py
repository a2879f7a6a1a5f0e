# SPDX-License-Identifier: Apache-2.0
"""A client that changes its address in the middle of a transfer: by itself, in network namespaces of the test's own,
or without its knowledge, behind a NAT. No byte is lost, and it stays one QUIC connection."""
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

import tls
from fixtures import clean_env, connect_words
from namespaces import Namespaces, listens
from peers import HERE
from relay import Relay
from run import SLOW, Process, assert_no_sanitizer_output, free_port, run, wait_until

SIZE = 8 * 1024 * 1024


def config(pki, **more):
    return {
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*"]}],
        **more,
    }


def in_two_parts(write, close, read, between):
    """Write SIZE bytes through an echo, in pieces with pauses, with `between()` in the middle of them; everything must
    come back."""
    data = os.urandom(SIZE)
    pieces = [data[at:at + SIZE // 64] for at in range(0, SIZE, SIZE // 64)]
    moved = threading.Event()

    def move():
        between()
        moved.set()
    moving = threading.Thread(target=move, daemon=True)

    def send():
        for number, piece in enumerate(pieces):
            write(piece)
            if number == len(pieces) // 4:
                moving.start()
            time.sleep(0.02)
        moved.wait(60 * SLOW)   # something is always left to say from the new address
        write(pieces[0])
        close()
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    back = hashlib.sha256()
    while piece := read():
        back.update(piece)
    sender.join(60 * SLOW)
    assert back.digest() == hashlib.sha256(data + pieces[0]).digest()


# Behind a NAT -----------------------------------------------------------------------------------------------------

def test_nat_gives_another_port(start_door, pki, start_connect, echo):
    """The relay comes to the door from other ports, three times in the middle of a transfer."""
    door = start_door(config(pki))
    port = free_port()
    with Relay(door.port) as relay:
        process = start_connect(f"127.0.0.1:{relay.port}", "--transport", "quic", "-L",
                                f"{port}:127.0.0.1:{echo.port}", ports=[port])

        def rebind():
            for _ in range(3):
                relay.rebind()
                time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", port), 60 * SLOW) as sock:
            in_two_parts(sock.sendall, lambda: sock.shutdown(socket.SHUT_WR), lambda: sock.recv(65536), rebind)
        process.stop()
    assert relay.rebinds == 3
    assert door.audited(action="carrier")["streams"] == 1


def test_silent_tunnel_behind_a_nat(start_door, pki, start_connect, echo):
    """Nothing was on the way when the port changed: the next word of the client still gets its answer."""
    door = start_door(config(pki))
    port = free_port()
    with Relay(door.port) as relay:
        start_connect(f"127.0.0.1:{relay.port}", "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}",
                      ports=[port])
        with socket.create_connection(("127.0.0.1", port), 20 * SLOW) as sock:
            for word in (b"one", b"two", b"three"):
                sock.sendall(word)
                assert tls.read_exactly(sock, len(word)) == word
                time.sleep(0.2)
                relay.rebind()
    assert door.audited(action="tunnel")["in"] == 11


# Another address --------------------------------------------------------------------------------------------------

@pytest.fixture
def namespaces():
    with contextlib.ExitStack() as stack:
        yield Namespaces(stack)


@pytest.fixture
def roaming(namespaces, start_door, pki, tmp_path):
    """(door, start): a door and an echo in the door's namespace; start() runs `cardea connect` to it in the client's,
    with pipes for standard input and output."""
    port, echo_port = free_port(), free_port()
    there = namespaces.door.within
    door = start_door(config(pki, listeners=[{"name": "main", "address": f"{namespaces.DOOR}:{port}"}]), prefix=there)
    echo = Process([*there, sys.executable, HERE / "echo_process.py", echo_port], tmp_path, "echo")
    wait_until(lambda: listens(there, echo_port), "the echo to listen")
    door.echo_port = echo_port
    started = []

    def start():
        words = connect_words(f"{namespaces.DOOR}:{port}", pki.alice, pki.ca.file)
        started.append(subprocess.Popen(
            [*namespaces.client.within, *map(str, words), "--transport", "quic", f"127.0.0.1:{echo_port}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env=clean_env(tmp_path)))
        return started[-1]
    yield door, start
    for child in started:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            stream.close()
    echo.stop()


def write_all(stream, data):
    at = 0
    while at < len(data):
        at += stream.write(data[at:])


def transfer(roaming, between):
    door, start = roaming
    child = start()
    in_two_parts(lambda data: write_all(child.stdin, data), child.stdin.close, lambda: child.stdout.read(65536),
                 between)
    said = child.stderr.read().decode()
    assert_no_sanitizer_output(said)
    assert child.wait(10 * SLOW) == 0 and said == "", said
    assert door.audited(action="tunnel")["in"] == SIZE + SIZE // 64
    assert door.audited(action="carrier")["streams"] == 1


def test_new_address_before_the_old_one_goes(namespaces, roaming):
    """As when a cable is plugged in: both networks for a moment, then only the new one."""
    namespaces.client.arrive(1)

    def move():
        namespaces.client.arrive(2)
        time.sleep(0.3)
        namespaces.client.leave(1)
    transfer(roaming, move)


def test_old_address_goes_first(namespaces, roaming):
    """As when one leaves a wireless network: for a while there is none."""
    namespaces.client.arrive(1)

    def move():
        namespaces.client.leave(1)
        time.sleep(0.5)
        namespaces.client.arrive(2)
    transfer(roaming, move)


def test_there_and_back(namespaces, roaming):
    """Twice: away and home again."""
    namespaces.client.arrive(1)

    def move():
        for here, there in ((1, 2), (2, 1)):
            namespaces.client.leave(here)
            namespaces.client.arrive(there)
            time.sleep(0.7)
    transfer(roaming, move)


def test_quic_is_tried_again_on_another_network(namespaces, roaming, pki, tmp_path):
    """Where UDP is not allowed TCP stands in; on another network the same `cardea connect` goes back to QUIC."""
    door, _ = roaming
    there = namespaces.client.within
    port = free_port()
    namespaces.client.arrive(1)
    try:
        namespaces.client.ip("rule", "add", "pref", 1, "ipproto", "udp", "prohibit")
    except AssertionError as error:
        pytest.skip(f"no routing rules by protocol here: {error}")
    words = connect_words(door.config["listeners"][0]["address"], pki.alice, pki.ca.file)
    process = Process([*there, *words, "-L", f"{port}:127.0.0.1:{door.echo_port}"], tmp_path, "connect",
                      env=clean_env(tmp_path))

    def transport():
        door.mark()
        done = run(*there, "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo x >&3 && head -n 1 <&3")
        return done.returncode == 0 and done.stdout == b"x\n" and door.audited(action="tunnel").get("transport", "tcp")
    try:
        wait_until(lambda: transport() == "tcp", "a tunnel over TCP")
        namespaces.client.ip("rule", "del", "pref", 1)
        assert transport() == "tcp", "what has failed a moment ago is not tried each time"
        namespaces.client.leave(1)
        namespaces.client.arrive(2)
        wait_until(lambda: transport() == "quic", "a tunnel over QUIC")
    finally:
        process.stop()
    assert_no_sanitizer_output(process.output())
