# SPDX-License-Identifier: Apache-2.0
"""QUIC where no more than 1,280 bytes pass, from the start or all of a sudden, without a word from the network: what is
sent arrives, to targets of the door and to services behind agents."""
import contextlib
import hashlib
import os
import socket
import sys
import threading
import time

import pytest

from agents import Agent
from fixtures import clean_env, connect_words
from namespaces import Namespaces, listens
from peers import HERE, UdpEcho
from relay import Relay
from run import SLOW, Process, free_port, run, wait_listening, wait_until

NAME = "host.apps.test"
SMALL = 1280
UDP_HEAD = 28           # IPv4 and UDP
SIZE = 4 * 1024 * 1024
WIREGUARD = 1350


def config(pki, **more):
    return {
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"},
                    "targets": ["offer:*.apps.test", "public:*.apps.test:*", "name:*.apps.test", "127.0.0.0/8:*",
                                "udp:127.0.0.0/8:*"]}],
        **more,
    }


# A path that shrinks ----------------------------------------------------------------------------------------------

@pytest.fixture
def started():
    """Processes to be stopped."""
    processes = []
    yield processes
    for process in reversed(processes):
        process.stop()


def local_port(pki, tmp_path, started, address, target, *words):
    """A port that leads to the target over QUIC."""
    port = free_port()
    client = Process([*connect_words(address, pki.alice, pki.ca.file), "--transport", "quic", *words, "-L",
                      f"{port}:{target}"], tmp_path, "connect", env=clean_env(tmp_path))
    started.append(client)
    return port, client


@pytest.mark.parametrize("where", ["to the target", "to the agent", "from the visitor"])
def test_it_shrinks_in_the_middle(start_door, pki, tmp_path, started, echo, where):
    """Longer packets are swallowed from a moment on: the transfer goes on, both ways, in shorter ones."""
    door = start_door(config(pki))
    data = os.urandom(SIZE)
    with Relay(door.port) as near, Relay(door.port) as far:
        target = f"127.0.0.1:{echo.port}"
        if where != "to the target":
            agent = Agent(tmp_path, f"127.0.0.1:{far.port}", pki, NAME, "--to", echo.to, "--transport", "quic", "--grace", "0s")
            started.append(agent)
            agent.says("over QUIC")
            target = NAME
        narrow = far if where == "to the agent" else near
        port, client = local_port(pki, tmp_path, started, f"127.0.0.1:{near.port}", target)
        wait_listening(port, client)
        with socket.create_connection(("127.0.0.1", port), 20 * SLOW) as sock:
            def send():
                for at in range(0, SIZE, SIZE // 64):
                    if at == SIZE // 4:
                        narrow.most = SMALL - UDP_HEAD
                    sock.sendall(data[at:at + SIZE // 64])
                    time.sleep(0.02)
                sock.shutdown(socket.SHUT_WR)
            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            got = b""
            while more := sock.recv(65536):
                got += more
            sender.join()
        assert got == data and narrow.lost > 0
        while started:
            started.pop().stop()


def test_it_shrinks_under_datagrams(start_door, pki, tmp_path, started):
    """Datagrams that do not fit any more are lost for a moment, and then go in the stream."""
    door = start_door(config(pki))
    with Relay(door.port) as near, UdpEcho() as echo:
        port, client = local_port(pki, tmp_path, started, f"127.0.0.1:{near.port}", f"127.0.0.1:{echo.port}", "--udp",
                                  "--verbose")
        wait_until(lambda: "listening on" in client.output(), "the local port")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            sock.settimeout(0.05 * SLOW)

            def comes_back(size):
                data = os.urandom(size)
                sock.send(data)
                try:
                    while sock.recv(65536) != data:
                        pass
                except TimeoutError:
                    return False
                return True

            def all_come_back(size):
                return all(comes_back(size) for _ in range(10))
            wait_until(lambda: all_come_back(WIREGUARD), "the path to be known")
            near.most = SMALL - UDP_HEAD
            wait_until(lambda: all_come_back(WIREGUARD), "datagrams in the stream", 15)
            assert near.lost > 0


# A short path from the start --------------------------------------------------------------------------------------

@pytest.fixture
def narrow(start_door, pki, tmp_path):
    """A door, and a client and an agent whose cables carry no more than 1,280 bytes, each in a namespace of its own; with
    an echo over TCP beside the door and beside the agent."""
    with contextlib.ExitStack() as stack:
        net = Namespaces(stack)
        far = net.place("agent", 3)
        net.client.arrive(1)
        far.arrive(3)
        for place in (net.client, far):
            place.mtu(SMALL)
        address = f"{net.DOOR}:{free_port()}"
        door = start_door(config(pki, listeners=[{"name": "main", "address": address}]), prefix=net.door.within)
        echo = free_port()
        for place in (net.door, far):
            process = Process([*place.within, sys.executable, HERE / "echo_process.py", echo], tmp_path, "echo")
            stack.callback(process.stop)
            wait_until(lambda place=place: listens(place.within, echo), "the echo to listen")
        yield door, net, far, address, echo


def test_small_from_the_start(narrow, pki, tmp_path, started):
    """There and back, to the door's target and to the agent's service; checksums are equal."""
    door, net, far, address, echo = narrow
    agent = Agent(tmp_path, address, pki, NAME, "--to", f"127.0.0.1:{echo}", "--transport", "quic", "--grace", "0s",
                  within=far.within)
    started.append(agent)
    agent.says("over QUIC")
    data = os.urandom(SIZE)
    for target in (f"127.0.0.1:{echo}", NAME):
        done = run(*net.client.within, *connect_words(address, pki.alice, pki.ca.file), "--transport", "quic", target,
                   input=data, env=clean_env(tmp_path))
        assert done.returncode == 0, done.stderr.decode()
        assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert door.audited(action="tunnel", target=f"name:{NAME}")["transport"] == "quic"


ASK = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.connect((sys.argv[1], int(sys.argv[2])))
    sock.settimeout(float(sys.argv[3]))
    for size in map(int, sys.argv[4:]):
        data = bytes(i % 251 for i in range(size))
        for attempt in range(5):
            try:
                sock.send(data)
                assert sock.recv(65536) == data, size
                break
            except TimeoutError:
                assert attempt < 4, size
"""

ECHO = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", int(sys.argv[1])))
while True:
    data, source = sock.recvfrom(65536)
    sock.sendto(data, source)
"""


def test_datagrams_that_are_too_long(narrow, pki, tmp_path, started):
    """1,350 bytes and more arrive all the same, at the door's target and at a service behind an agent; who sent them is
    told how long the longest was that went as a datagram of QUIC."""
    door, net, far, address, _ = narrow
    service, public = free_port(), free_port()
    for place in (net.door, far):
        started.append(Process([*place.within, sys.executable, "-c", ECHO, service], tmp_path, "udp-echo"))
    agent = Agent(tmp_path, address, pki, NAME, "--to", f"127.0.0.1:{service}", "--public", "--port", public, "--udp",
                  "--transport", "quic", "--grace", "0s", within=far.within)
    started.append(agent)
    agent.says("over QUIC")
    port = free_port()
    client = Process([*net.client.within, *connect_words(address, pki.alice, pki.ca.file), "--transport", "quic", "--udp",
                      "--verbose", "-L", f"{port}:127.0.0.1:{service}"], tmp_path, "connect", env=clean_env(tmp_path))
    started.append(client)
    wait_until(lambda: "listening on" in client.output(), "the local port")
    sizes = (WIREGUARD, 1000, 9000, 1, WIREGUARD)
    for place, words in ((net.client, ("127.0.0.1", port)), (net.door, (net.DOOR, public))):
        done = run(*place.within, sys.executable, "-c", ASK, *words, 1 * SLOW, *sizes)
        assert done.returncode == 0, done.stderr.decode()
    client.stop()
    told = next(line for line in client.output().splitlines() if "datagrams over QUIC" in line)
    assert "1000" in told and str(WIREGUARD) not in told, told
    assert door.audited(action="tunnel", datagram_largest=9000)["target"] == f"udp:127.0.0.1:{service}"
