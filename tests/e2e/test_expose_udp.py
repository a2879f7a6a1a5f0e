# SPDX-License-Identifier: Apache-2.0
"""UDP ports of offers, over QUIC and over TCP: what a network loses is lost and holds up nothing, what is too long goes
in the stream, both directions; and the audit line tells what became of it."""
import socket
import time

import pytest

from agents import Agent
from peers import UdpEcho
from relay import Relay
from run import SLOW, free_port, ms, wait_until
from test_udp_datagrams import receive_numbers

WIREGUARD = 1350
UDP_HEAD = 28           # IPv4 and UDP


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return start_module_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "limits": {"udp_idle_timeout": ms(1500), "per_source": 40},
        "agents": {"flows": 50},
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
    """At five in a hundred lost each way some datagrams never come and later ones come all the same: nothing is sent
    again, and nothing waits. The sender is never further ahead than the queues there and back hold."""
    count, window = 1500, 64
    with UdpEcho() as echo:
        relay, sock = expose(echo.port)
        warm_up(sock, WIREGUARD)
        relay.loss = 0.05
        got = []
        sock.setblocking(False)

        def has_room(number):
            receive_numbers(sock, got)
            return number <= max(got, default=0) + window
        for number in range(count):
            wait_until(lambda: has_room(number), "the newest to come")
            sock.send(number.to_bytes(4, "big") + bytes(WIREGUARD - 4))
            time.sleep(0.001)
        sock.settimeout(0.5 * SLOW)
        receive_numbers(sock, got)
        relay.loss = 0.0
        lost = set(range(count)) - set(got)
        line = line_of(door, sock)
    assert len(got) == len(set(got)), "one came twice"
    assert max(got) > min(lost), "later ones came although earlier ones never did"
    assert 0.04 * count < len(lost) < 0.25 * count and line["datagrams_dropped"] == 0
    assert line["datagram_largest"] == WIREGUARD and line["offer"] == "public"
    assert count < line["datagrams_in"] <= count + 60
    # The door's side knows of those that it sent; half of the loss is the other way.
    assert 0.01 * count < line["datagrams_lost"] < 0.12 * count


@pytest.mark.parametrize("transport, mtu", [("quic", 1280), ("quic", 1500), ("tcp", None)])
def test_every_size(door, expose, transport, mtu):
    """1,350 bytes are a datagram of QUIC on an Ethernet and a frame of the stream where no more than 1,280 pass, or over
    TCP; they arrive either way, and so do 60,000."""
    with UdpEcho() as echo:
        _, sock = expose(echo.port, transport, **({"most": mtu - UDP_HEAD} if mtu else {}))
        warm_up(sock, WIREGUARD)
        for size in (WIREGUARD, 60000, 1, 0, 1000):
            assert ask(sock, bytes(i % 251 for i in range(size)), 5), f"{size} bytes"
        line = line_of(door, sock)
    assert line["datagram_largest"] == 60000 and line["datagrams_dropped"] == 0
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

        def has_room(number):
            receive_numbers(sock, got)
            return number <= max(got, default=0) + 64
        for number in range(1000):
            wait_until(lambda: has_room(number), "the newest to come")
            service.sendto(number.to_bytes(4, "big") + bytes(996), visitor)
            time.sleep(0.001 * SLOW)
        sock.settimeout(0.5 * SLOW)
        receive_numbers(sock, got)
        relay.loss = 0.0
    lost = set(range(1000)) - set(got)
    assert 0.02 * 1000 < len(lost) < 0.2 * 1000 and max(got) > min(lost)


# Addresses that nobody has proven -------------------------------------------------------------------------------------

def senders(port, count, data=b"hello"):
    """So many sockets, each of which has sent once."""
    socks = []
    for _ in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(2 * SLOW)
        sock.connect(("127.0.0.1", port))
        sock.send(data)
        socks.append(sock)
    return socks


def close_all(socks):
    for sock in socks:
        sock.close()


def test_made_up_senders_take_no_place_of_others(door, expose):
    """Flows are counted at the port and not under the address that they seem to come from: the other connections of
    that address go on. Those that have sent only once make room, those that are answered stay."""
    with UdpEcho() as echo:
        _, sock = expose(echo.port)
        port = sock.getpeername()[1]
        assert ask(sock, b"one", 5) and ask(sock, b"two", 5)
        crowd = senders(port, 60)                   # of this address no more than 40 may connect over TCP
        with socket.create_connection(("127.0.0.1", door.port), 5 * SLOW) as tcp:
            tcp.settimeout(0.5)
            with pytest.raises(TimeoutError):       # it is not turned away
                tcp.recv(1)
        time.sleep(1.1)
        crowd += senders(port, 20)
        assert crowd[-1].recv(100) == b"hello", "a new one gets a place"
        assert ask(sock, b"four", 5), "one that is used keeps it"
        close_all(crowd)


def test_no_more_than_the_agent_takes(door, expose):
    """Where the agent has fewer places than the door the oldest unproven gives up its place all the same."""
    with UdpEcho() as service:
        _, sock = expose(service.port, "quic", "--connections", "16")
        assert ask(sock, b"a") and ask(sock, b"b"), "one who is proven"
        for burst in range(3):
            for i in range(14):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                    stranger.bind((f"127.9.{burst}.{i + 1}", 0))
                    stranger.sendto(b"x", sock.getpeername())
            time.sleep(1.2)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as fresh:
                fresh.connect(sock.getpeername())
                assert any(ask(fresh, b"hello") for _ in range(3)), "one who is new"
        assert ask(sock, b"c")


def test_made_up_senders_cost_no_handshake_each(start_door, pki, tmp_path):
    """Over TCP a visitor has a connection brought; a crowd of senders to whom nobody answers does not, nor does it
    leave a line each."""
    door = start_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "limits": {"udp_idle_timeout": ms(1000)}, "agents": {"flows": 2000},
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "agents", "who": {"group": "ops"}, "targets": ["public:*.apps.test:1-65535"]}]})
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        agent = Agent(tmp_path, door.address, pki, "mute.apps.test", "--to", f"127.0.0.1:{silent.getsockname()[1]}",
                      "--public", "--udp", "--port", port, "--transport", "tcp", "--grace", "0s", "--connections", "1000")
        agent.says("over TCP")
        begun = time.monotonic()
        for i in range(600):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind((f"127.8.{i // 250}.{1 + i % 250}", 0))
                stranger.sendto(b"x", ("127.0.0.1", port))
            time.sleep(0.002)
        time.sleep(2)  # more would let more of them have one
        took = time.monotonic() - begun
        agent.end()
    lines = door.audit()
    assert len([line for line in lines if line.get("action") == "spare"]) < 128 + 32 * took + 10 < 600
    assert not [line for line in lines if line.get("peer", "").startswith("127.8.")]


def test_no_flood_for_who_has_not_asked(door, expose):
    """A service whose answer is a hundred times the question: nothing of it goes to an address that has sent once.
    The question may be asked again until the answers fit."""
    service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    service.bind(("127.0.0.1", 0))
    with service:
        service.settimeout(5 * SLOW)
        _, sock = expose(service.getsockname()[1])
        sock.settimeout(0.5 * SLOW)
        sock.send(bytes(20))
        _, visitor = service.recvfrom(100)
        service.sendto(bytes(2000), visitor)
        with pytest.raises(TimeoutError):
            sock.recv(65536)
        service.sendto(bytes(60), visitor)
        assert len(sock.recv(65536)) == 60
        sock.send(b"more")
        assert service.recvfrom(100)[0] == b"more"
        service.sendto(bytes(2000), visitor)
        assert len(sock.recv(65536)) == 2000
        line = line_of(door, sock)
    assert (line["datagrams_in"], line["datagrams_out"], line["datagrams_dropped"]) == (2, 2, 1)


def test_several_agents(start_door, pki, tmp_path):
    """Agents on other workers of the door than the one that the port belongs to are reached too, whatever the size."""
    door = start_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()], "workers": 4,
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "agents", "who": {"group": "ops"}, "targets": ["public:*.apps.test:1-65535"]}]})
    port = free_port()
    with UdpEcho() as echo:
        agents = [Agent(tmp_path, door.address, pki, "game.apps.test", "--to", f"127.0.0.1:{echo.port}", "--public",
                        "--udp", "--port", port, "--transport", "quic", "--grace", "0s", "--verbose",
                        name=f"expose-{number}") for number in range(5)]
        for agent in agents:
            agent.says("over QUIC")
        crowd = senders(port, 20, bytes(WIREGUARD))
        for sock in crowd:
            assert sock.recv(65536) == bytes(WIREGUARD)
            for size in (0, 1000, 20000):
                assert ask(sock, bytes(size), 5), f"{size} bytes"
        close_all(crowd)
        for agent in agents:
            agent.end()
            assert "visit of" in agent.output(), "each has had visitors"
    lines = door.audited(20, offer="public", timeout=20)
    assert {line["datagrams_in"] for line in lines} == {4} == {line["datagrams_out"] for line in lines}
