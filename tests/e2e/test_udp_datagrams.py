# SPDX-License-Identifier: Apache-2.0
"""Flows over UDP inside QUIC's own datagrams (RFC 9221): what is lost is lost and holds up nothing, what is too long for
the path goes in the stream, both ends tell what became of it; and a client that sends nonsense harms nobody."""
import re
import signal
import socket
import time

import pytest

import quic
from fixtures import clean_env, connect_words
from peers import UdpEcho
from relay import Relay
from run import SLOW, Process, free_port, ms, wait_until

UDP_HEAD = 28           # IPv4 and UDP
WIREGUARD = 1350


@pytest.fixture(scope="module")
def echo_udp():
    server = UdpEcho()
    yield server
    server.sock.close()


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return start_module_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "limits": {"udp_idle_timeout": ms(1500)},
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["udp:127.0.0.1:*"]}]})


# Through a network of the usual kind ------------------------------------------------------------------------------

class Flow:
    """`cardea connect --udp` through a relay, and a socket that is connected to its local port."""

    def __init__(self, relay, pki, echo_udp, tmp_path):
        port = free_port()
        words = connect_words(f"127.0.0.1:{relay.port}", pki.alice, pki.ca.file)
        self.process = Process([*words, "--transport", "quic", "--udp", "--verbose", "-L",
                                f"{port}:127.0.0.1:{echo_udp.port}"], tmp_path, "connect", env=clean_env(tmp_path))
        wait_until(lambda: "listening on" in self.process.output(), "the local port")
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", port))

    def ask(self, data, timeout=0.5):
        """True when the datagram comes back."""
        self.sock.settimeout(timeout * SLOW)
        self.sock.send(data)
        try:
            return self.sock.recv(65536) == data
        except TimeoutError:
            return False

    def warm_up(self, size):
        """Until the path is known to carry what it does: its probes take a few round trips."""
        for _ in range(40):
            self.ask(bytes(size), 0.2)
            time.sleep(0.02)
        self.sock.settimeout(0.3 * SLOW)
        try:
            while self.sock.recv(65536):
                pass
        except TimeoutError:
            pass

    def end(self):
        self.sock.close()
        if self.process.poll() is None:
            assert self.process.stop(signal.SIGTERM, timeout=10) == 0

    def told(self):
        """End it: {word: number} of what it says about its datagrams."""
        self.end()
        line = next(line for line in self.process.output().splitlines() if "datagrams over QUIC" in line)
        numbers = [int(n) for n in re.findall(r"\d+", line)]
        return dict(zip(("flows", "sent", "received", "dropped", "lost", "largest"), numbers))


@pytest.fixture
def flow(door, pki, echo_udp, tmp_path):
    """flow(**relay): a Relay to the door, and a Flow through it."""
    begun = []

    def start(**how):
        door.mark()
        relay = Relay(door.port, **how)
        begun.append((relay, Flow(relay, pki, echo_udp, tmp_path)))
        return begun[-1]
    yield start
    for relay, there in begun:
        there.end()
        relay.stop()


def receive_numbers(sock, into):
    try:
        while True:
            into.append(int.from_bytes(sock.recv(65536)[:4], "big"))
    except (BlockingIOError, TimeoutError):
        pass


def test_what_is_lost_holds_up_nothing(flow, door):
    """Of a stream of 1,350-byte datagrams some never come, at five in a hundred lost each way, and later ones come all
    the same: nothing is sent again, and nothing waits. Both ends know about how many were lost. The sender is never
    further ahead of what has come than the queues there and back hold, however slow the machine is."""
    count, window = 1500, 64
    relay, there = flow()
    there.warm_up(WIREGUARD)
    relay.loss = 0.05
    got = []
    there.sock.setblocking(False)

    def has_room(number):
        receive_numbers(there.sock, got)
        return number <= max(got, default=0) + window
    for number in range(count):
        wait_until(lambda: has_room(number), "the newest to come")
        there.sock.send(number.to_bytes(4, "big") + bytes(WIREGUARD - 4))
        time.sleep(0.001)
    there.sock.settimeout(0.5 * SLOW)
    receive_numbers(there.sock, got)
    relay.loss = 0.0
    lost = set(range(count)) - set(got)
    assert len(got) == len(set(got)), "one came twice"
    assert max(got) > min(lost), "later ones came although earlier ones never did"
    told = there.told()
    line = door.audited(action="tunnel", datagram_largest=WIREGUARD, timeout=20)
    assert told["largest"] == WIREGUARD
    there_lost = told["sent"] - line["datagrams_in"]        # between the client and the target
    back_lost = line["datagrams_out"] - told["received"]
    dropped = told["dropped"] + line["datagrams_dropped"]
    assert 0.04 * count < len(lost) < 0.25 * count
    assert len(lost) <= there_lost + back_lost + 3 and dropped == 0
    # What the acknowledgements tell is late by a round trip and may count one for lost that came after all.
    known, real = told["lost"] + line["datagrams_lost"], there_lost + back_lost - dropped
    assert abs(known - real) < 10 + 0.3 * real, (told, line)


def test_order_is_that_of_arrival(flow):
    """Where packets overtake each other the flow is not put into order again: nothing waits for what is late."""
    relay, there = flow()
    there.warm_up(500)
    relay.overtaken, relay.late = 0.2, 0.05
    got = []
    there.sock.setblocking(False)
    for number in range(300):
        there.sock.send(number.to_bytes(4, "big") + bytes(496))
        time.sleep(0.002)
        receive_numbers(there.sock, got)
    there.sock.settimeout(0.5 * SLOW)
    receive_numbers(there.sock, got)
    assert len(set(got)) > 290 and got != sorted(got)


@pytest.mark.parametrize("mtu", [1280, 1500])
def test_what_does_not_fit_goes_in_the_stream(flow, door, mtu):
    """1,350 bytes are a datagram of QUIC on an Ethernet and a frame of the stream where no more than 1,280 pass; they
    arrive either way, and so do 60,000."""
    _, there = flow(most=mtu - UDP_HEAD)
    there.warm_up(WIREGUARD)
    for size in (WIREGUARD, 60000, 1, 0, 1000):
        assert there.ask(bytes(i % 251 for i in range(size)), 5), f"{size} bytes"
    told = there.told()
    assert told["largest"] == (WIREGUARD if mtu == 1500 else 1000)
    line = door.audited(action="tunnel", datagram_largest=60000, timeout=20)  # another test's flow may end late
    assert line["datagrams_in"] == line["datagrams_out"] > told["sent"]


# By hand ----------------------------------------------------------------------------------------------------------

def begin(client, echo_udp, stream=0, **more):
    client.write(stream, quic.ask(f"127.0.0.1:{echo_udp.port}", proto="udp", **more))
    answer, _ = quic.answered(client, stream)
    assert answer["ok"]
    return answer


def head(stream, context=0):
    return quic.varint(stream // 4) + quic.varint(context)


def test_an_independent_client(door, pki, echo_udp):
    """A datagram goes there and back as RFC 9297 and RFC 9298 write it; so does a frame of the stream."""
    with quic.Connection(door.port, "door.test", pki.alice) as client:
        assert begin(client, echo_udp, datagrams=True)["datagrams"] is True
        for data in (b"hello", b"", bytes(1000)):
            client.flows.clear()
            client.write_datagram(head(0) + data)
            client.until(lambda: client.flows, "the echo")
            assert client.flows == [head(0) + data]
        client.flows.clear()
        client.write(0, b"\0\3one\0\3tw")       # the second is not whole yet
        client.until(lambda: client.flows, "the echo of what came in the stream")
        client.write_datagram(head(0) + b"three")
        client.until(lambda: len(client.flows) == 2, "the echo")
        client.write(0, b"o")
        client.until(lambda: len(client.flows) == 3, "the echo of the rest")
        assert client.flows == [head(0) + b"one", head(0) + b"three", head(0) + b"two"]


def test_who_does_not_ask_gets_frames(door, pki, echo_udp):
    """As before there were datagrams: the answer does not name them, and everything stays in the stream."""
    with quic.Connection(door.port, "door.test", pki.alice) as client:
        assert "datagrams" not in begin(client, echo_udp)
        client.write_datagram(head(0) + b"not yet known")
        before = len(client.streams[0])
        client.write(0, b"\0\5hello")
        client.until(lambda: len(client.streams[0]) > before, "the echo")
        assert client.streams[0][before:] == b"\0\5hello" and client.flows == []


def test_frames_right_behind_the_hello(door, pki, echo_udp):
    """Sent before the answer, whole and cut: they go first."""
    with quic.Connection(door.port, "door.test", pki.alice) as client:
        hello = quic.ask(f"127.0.0.1:{echo_udp.port}", proto="udp", datagrams=True)
        client.write(0, hello + b"\0\5early\0\4la")
        client.until(lambda: client.flows, "the echo")
        client.write(0, b"te")
        client.until(lambda: len(client.flows) == 2, "the echo")
        assert client.flows == [head(0) + b"early", head(0) + b"late"]


NONSENSE = {
    "nothing": b"",
    "half a number": b"\x40",
    "no context": b"\x00",
    "half a context": b"\x00\x80\x00",
    "no such stream": head(400) + b"x",
    "one that cannot be": b"\xff" * 8 + b"\x00x",
    "another context": head(0, 2) + b"x",
    "the largest context": head(0, (1 << 62) - 1) + b"x",
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_dropped(door, pki, echo_udp, what):
    """The connection and its flows go on."""
    with quic.Connection(door.port, "door.test", pki.alice) as client:
        client.write_datagram(NONSENSE[what])
        begin(client, echo_udp, datagrams=True)
        for _ in range(50):
            client.write_datagram(NONSENSE[what])
        client.write_datagram(head(0) + b"hello")
        client.until(lambda: client.flows, "the echo")
        assert client.flows == [head(0) + b"hello"]


def test_a_flood_harms_nobody_else(door, pki, echo_udp, flow):
    """One client sends as fast as it can, to a flow, to streams that ask for nothing and to none; another one's flow
    answers all the while."""
    _, there = flow()
    assert there.ask(b"before", 5)
    with quic.Connection(door.port, "door.test", pki.alice) as client:
        begin(client, echo_udp, datagrams=True)
        for stream in (4, 8, 12):
            client.write(stream, b"\0")
        answered = 0
        for number in range(5000):
            client.write_datagram(head(number % 5 * 4) + bytes(1100))
            if number % 100 == 99:
                answered += there.ask(b"%d" % number, 2)
        assert answered > 45
    assert there.told()["received"] > 45
