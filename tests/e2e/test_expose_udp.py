# SPDX-License-Identifier: Apache-2.0
"""UDP ports of offers, over QUIC and over TCP: what a network loses is lost and holds up nothing, what is too long goes
in the stream, both directions; and the audit line tells what became of it."""
import socket
import threading
import time

import pytest

from agents import Agent
from peers import UdpEcho
from relay import Relay
from run import SLOW, free_port, ms
from test_udp_datagrams import receive_numbers

WIREGUARD = 1350
UDP_HEAD = 28           # IPv4 and UDP


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return start_module_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "limits": {"udp_idle_timeout": ms(1500)},
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "agents", "who": {"group": "ops"}, "targets": ["public:*.apps.test:1-65535"]}]})


@pytest.fixture
def expose(door, pki, tmp_path):
    """expose(service, transport, **relay): an agent for the UDP port of a service, through a Relay where it is QUIC.
    (the relay or None, a socket that is connected to the door's port)."""
    begun = []

    def start(to, transport="quic", *words, **how):
        door.mark()
        port = free_port()
        relay = Relay(door.port, **how) if transport == "quic" else None
        address = f"127.0.0.1:{relay.port}" if relay else door.address
        agent = Agent(tmp_path, address, pki, f"game-{port}.apps.test", "--to", f"127.0.0.1:{to}", "--public", "--udp",
                      "--port", port, "--transport", transport, "--grace", "0s", "--verbose", *words,
                      name=f"expose-{len(begun)}")
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        begun.append((agent, relay, sock))
        agent.says(f"over {transport.upper()}")
        sock.connect(("127.0.0.1", port))
        return relay, sock
    yield start
    for agent, relay, sock in begun:
        sock.close()
        if agent.poll() is None:
            agent.end()
        if relay:
            relay.stop()


def ask(sock, data, timeout=0.5):
    """True when the datagram comes back."""
    sock.settimeout(timeout * SLOW)
    sock.send(data)
    try:
        return sock.recv(65536) == data
    except TimeoutError:
        return False


def warm_up(sock, size):
    """Until the path is known to carry what it does: its probes take a few round trips."""
    for _ in range(40):
        ask(sock, bytes(size), 0.2)
        time.sleep(0.02)
    sock.settimeout(0.3 * SLOW)
    try:
        while sock.recv(65536):
            pass
    except TimeoutError:
        pass


def line_of(door, sock):
    return door.audited_of(sock, timeout=10)


def test_what_is_lost_holds_up_nothing(door, expose):
    """At five in a hundred lost each way some datagrams never come and later ones come all the same."""
    count = 1500
    with UdpEcho() as echo:
        relay, sock = expose(echo.port)
        warm_up(sock, WIREGUARD)
        relay.loss = 0.05
        got = []
        sock.setblocking(False)
        for number in range(count):
            sock.send(number.to_bytes(4, "big") + bytes(WIREGUARD - 4))
            time.sleep(0.001 * SLOW)
            receive_numbers(sock, got)
        sock.settimeout(0.5 * SLOW)
        receive_numbers(sock, got)
        relay.loss = 0.0
        lost = set(range(count)) - set(got)
        line = line_of(door, sock)
    assert len(got) == len(set(got)), "one came twice"
    assert max(got) > min(lost), "later ones came although earlier ones never did"
    assert 0.04 * count < len(lost) < 0.25 * count + line["datagrams_dropped"]
    assert line["datagram_largest"] == WIREGUARD and line["offer"] == "public"
    assert count < line["datagrams_in"] <= count + 60
    # The door's side knows of those that it sent; half of the loss is the other way.
    assert 0.01 * count < line["datagrams_lost"] < 0.12 * count


def test_nothing_waits_for_what_is_lost(door, expose):
    """How long a datagram takes: with frames in a stream each loss would hold up all that follow for a round trip and
    more; here the slowest of those that arrive is about as fast as the others."""
    with UdpEcho() as echo:
        relay, sock = expose(echo.port)
        warm_up(sock, 200)
        relay.loss, relay.overtaken, relay.late = 0.05, 1.0, 0.04   # a path of 80 ms
        took, sent = [], {}

        def receive():
            sock.settimeout(1 * SLOW)
            try:
                while True:
                    number = int.from_bytes(sock.recv(65536)[:4], "big")
                    took.append(time.monotonic() - sent[number])
            except TimeoutError:
                pass
        reader = threading.Thread(target=receive)
        reader.start()
        for number in range(250):
            sent[number] = time.monotonic()
            sock.send(number.to_bytes(4, "big") + bytes(196))
            time.sleep(0.02)
        reader.join()
    took.sort()
    assert 190 < len(took) < 248
    assert took[int(len(took) * 0.97)] < took[len(took) // 2] + 0.04 * SLOW, took[-20:]


@pytest.mark.parametrize("transport, mtu", [("quic", 1280), ("quic", 1500), ("tcp", None)])
def test_every_size(door, expose, transport, mtu):
    """1,350 bytes are a datagram of QUIC on an Ethernet and a frame of the stream where no more than 1,280 pass, or over
    TCP; they arrive either way, and so do 16,000."""
    with UdpEcho() as echo:
        _, sock = expose(echo.port, transport, **({"most": mtu - UDP_HEAD} if mtu else {}))
        warm_up(sock, WIREGUARD)
        for size in (WIREGUARD, 16000, 1, 0, 1000):
            assert ask(sock, bytes(i % 251 for i in range(size)), 5), f"{size} bytes"
        line = line_of(door, sock)
    assert line["datagram_largest"] == 16000 and line["datagrams_dropped"] == 0
    assert line["datagrams_in"] == line["datagrams_out"] == 45
    assert ("datagrams_lost" in line) == (transport == "quic")


def test_the_service_speaks_at_length(door, expose):
    """A service that answers one datagram with many: the way back carries them as datagrams as well."""
    service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    service.bind(("127.0.0.1", 0))
    with service:
        relay, sock = expose(service.getsockname()[1])
        sock.settimeout(5 * SLOW)
        service.settimeout(5 * SLOW)
        sock.send(b"first")
        _, visitor = service.recvfrom(100)
        service.sendto(b"hi", visitor)
        assert sock.recv(100) == b"hi"
        sock.send(b"second")
        assert service.recvfrom(100)[0] == b"second"
        relay.loss = 0.05
        got = []
        sock.setblocking(False)
        for number in range(1000):
            service.sendto(number.to_bytes(4, "big") + bytes(996), visitor)
            time.sleep(0.001 * SLOW)
            receive_numbers(sock, got)
        sock.settimeout(0.5 * SLOW)
        receive_numbers(sock, got)
        relay.loss = 0.0
    lost = set(range(1000)) - set(got)
    assert 0.02 * 1000 < len(lost) < 0.2 * 1000 and max(got) > min(lost)
