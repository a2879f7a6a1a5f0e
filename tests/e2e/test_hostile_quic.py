# SPDX-License-Identifier: Apache-2.0
"""Clients of the UDP port that do not mean well, or do not do well: no answer is a weapon, little is remembered of
strangers, and everybody else is served."""
import os
import random
import select
import signal
import socket
import struct
import time

import pytest

import peers
import quic
from run import SANITIZER, SLOW, free_port, ms, wait_until

MiB = 1024 * 1024


def config(pki, **more):
    return {
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*"]}],
        **more,
    }


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return start_module_door(config(pki))


@pytest.fixture
def udp(door):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", door.port))
        yield sock


def answers(sock, wait=0.3):
    """What comes until there is silence for that long."""
    got = []
    sock.settimeout(wait * SLOW)
    try:
        while True:
            got.append(sock.recv(65536))
    except TimeoutError:
        return got


def serves(door, connect, banner, name="door.test"):
    """A decent client gets its tunnel, over QUIC."""
    done = connect(door, "--transport", "quic", f"127.0.0.1:{banner.port}", name=name)
    assert (done.returncode, done.stdout) == (0, b"behind the door\n"), done.stderr.decode()


def closed_with(packet, dcid):
    """The code of CONNECTION_CLOSE in an Initial that answers one for `dcid`."""
    r = quic.Reader(packet)
    r.take(5)
    r.take(r.number(1))
    r.take(r.number(1))
    r.take(r.varint())
    r.varint()
    r = quic.Reader(quic.initial_keys(dcid)[1].open(packet, r.at)[1])
    assert r.varint() == 0x1c
    return r.varint()


def endless(sock):
    try:
        while True:
            sock.sendall(bytes(65536))
    except OSError:
        pass


def a_hello(sni="door.test", share=bytes(range(1, 33)), scid=b"12345678"):
    return quic.crypto_frame(quic.hello(sni, share, scid))


# A client of our own ----------------------------------------------------------------------------------------------

def test_an_independent_client(door, pki, banner):
    """One that shares no code with the door: handshake, certificate, hello, bytes both ways, half-close; a refusal."""
    door.mark()
    with quic.Connection(door.port, "door.test", pki.alice) as client:
        client.write(0, quic.ask(f"127.0.0.1:{banner.port}") + b"early\n")
        answer, _ = quic.answered(client, 0)
        assert answer == {"v": 1, "ok": True}
        client.until(lambda: client.streams[0].endswith(b"early\n"), "the echo")
        client.write(0, b"late\n", fin=True)
        client.until(lambda: 0 in client.ended, "the end of the stream")
        assert client.streams[0].endswith(b"behind the door\nearly\nlate\n")
        client.write(4, quic.ask("192.0.2.1:22"))
        answer, _ = quic.answered(client, 4)
        assert (answer["ok"], answer["code"]) == (False, "denied")
    line = door.audited(action="tunnel", transport="quic", reason="done")
    assert "alice" in line["identity"] and line["out"] == len("behind the door\nearly\nlate\n")


@pytest.mark.parametrize("who", [None, "mallory"])
def test_no_good_certificate(door, pki, who):
    """The alert comes as a CRYPTO_ERROR (RFC 9001, 4.8), and no stream is heard."""
    with pytest.raises(quic.Closed) as closed:
        with quic.Connection(door.port, "door.test", getattr(pki, who) if who else None) as client:
            client.until(lambda: False, "the door to close the connection")
    assert not closed.value.application
    assert closed.value.code - 0x100 == (116 if who is None else 48)


def test_unknown_name(door, pki):
    with pytest.raises(quic.Closed) as closed:
        quic.Connection(door.port, "elsewhere.test", pki.alice)
    assert closed.value.code - 0x100 == 112


# Packets that make no sense ---------------------------------------------------------------------------------------

def garbage(dice):
    """Noise of all lengths; noise that begins like a packet; Initials cut short; Initials of which bytes are wrong."""
    good = quic.initial(a_hello(), os.urandom(8), b"12345678")
    for size in [0, 1, 2, 5, 20, 21, 22, 41, 43, 100, 1199, 1200, 1452, 9000, 60000]:
        yield dice.randbytes(size)
    for _ in range(200):
        yield bytes([dice.choice((0xc0, 0xd0, 0xe0, 0xf0, 0x40, 0x80))]) + b"\0\0\0\1" + dice.randbytes(dice.randrange(1300))
    for size in (1, 6, 7, 15, 16, 25, 27, 50, 600, 1199):
        yield good[:size]
    for _ in range(200):
        bad = bytearray(good)
        for _ in range(dice.choice((1, 3))):
            bad[dice.randrange(40)] ^= 1 << dice.randrange(8)
        yield bytes(bad)


def test_garbage(door, udp, connect, banner):
    """Never more bytes back than came; the door goes on."""
    dice = random.Random(1)
    for data in garbage(dice):
        udp.send(data)
        udp.settimeout(0.001)
        try:
            assert len(udp.recv(65536)) <= 3 * max(1, len(data))
        except TimeoutError:
            pass
    answers(udp)
    serves(door, connect, banner)


def test_first_packet_is_cut_short(start_door, pki):
    """An Initial that announces more bytes than there are makes no connection; nor does the next one to the same id
    find anything of it, and the door ends in good order."""
    door = start_door(config(pki))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", door.port))
        for _ in range(20):
            dcid = os.urandom(8)
            whole = quic.initial(a_hello(), dcid, b"12345678", size=1400)
            sock.send(whole[:1200])
            time.sleep(0.01)
            sock.send(whole[:1200])
            sock.send(quic.initial(a_hello(), dcid, b"12345678"))
        assert answers(sock), "the good ones were not answered"
    door.stop()


def frames(dice):
    """Payloads of well protected Initials that break the rules within."""
    yield b"\x01"                                                       # PING alone, and never a word more
    yield quic.crypto_frame(b"\x01\0\x40\0" + bytes(100))               # a ClientHello of nothing
    yield quic.crypto_frame(b"\x02\0\0\x04abcd")                        # another message
    yield quic.crypto_frame(b"x" * 50, 1 << 40)                         # far out
    yield quic.crypto_frame(b"\x01\xff\xff\xff" + bytes(900))           # 16 MB announced
    yield b"\x08\0" + b"early"                                          # a STREAM frame, too early
    yield b"\x1e"                                                       # HANDSHAKE_DONE, from a client
    yield b"\x06\x40"                                                   # cut off
    yield b"\x02\xff"                                                   # an ACK of nothing
    yield b"\x3f" * 50                                                  # no such frame
    yield b"\x1c\0\0\0"                                                 # CONNECTION_CLOSE at once
    for _ in range(50):
        yield dice.randbytes(dice.randrange(1, 1100))


def test_frames_that_break_the_rules(door, connect, banner):
    """Each from a port of its own: at most three times as many bytes come back as went out."""
    socks = []
    for payload in frames(random.Random(2)):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(("127.0.0.1", door.port))
        sock.send(quic.initial(payload, os.urandom(8), b"12345678"))
        socks.append(sock)
    time.sleep(0.5 * SLOW)
    for sock in socks:
        assert sum(map(len, answers(sock, 0.001))) <= 3 * 1200
        sock.close()
    serves(door, connect, banner)


def test_hello_in_pieces(door, udp):
    """A ClientHello in many CRYPTO frames, the last first: it is put together."""
    data, dcid = quic.hello("door.test", bytes(range(1, 33)), b"12345678"), os.urandom(8)
    pieces = [quic.crypto_frame(data[at:at + 37], at) for at in range(0, len(data), 37)]
    udp.send(quic.initial(b"".join(reversed(pieces)), dcid, b"12345678"))
    got = answers(udp)
    assert got and got[0][0] & 0xb0 == 0x80, "no Initial came back"


# Before the address is proven -------------------------------------------------------------------------------------

def test_version_negotiation(door, udp):
    """Another version is answered with ours, once for each packet of full size and shorter than it; a small packet is
    not answered, nor is a Version Negotiation packet."""
    udp.send(quic.initial(a_hello(), b"abcdefgh", b"12345678", version=0x1a2a3a4a))
    got = answers(udp)
    assert len(got) == 1 and len(got[0]) < 1200
    r = quic.Reader(got[0])
    assert r.number(1) & 0x80 and r.number(4) == 0
    assert (r.take(r.number(1)), r.take(r.number(1))) == (b"12345678", b"abcdefgh")
    versions = [r.number(4) for _ in range(r.left() // 4)]
    assert 1 in versions and 0x1a2a3a4a not in versions and r.left() == 0
    udp.send(quic.initial(a_hello(), b"abcdefgh", b"12345678", version=0x1a2a3a4a, size=0)[:1100])
    for size in (8, 12, 20):
        udp.send(quic.long_head(0, bytes(size), b"12345678", 0) + struct.pack("!II", 1, 2) + bytes(1200))
    assert answers(udp) == []


def test_no_amplification(door, udp):
    """A client that never proves its address: in all that the door says again and again there are at most three times
    the bytes that it was sent (RFC 9000, 8.1)."""
    dcid, sent = os.urandom(8), 0
    keys = quic.initial_keys(dcid)[0]
    received = 0
    for number, payload in enumerate((a_hello(), b"\x01")):
        data = quic.initial(payload, dcid, b"12345678", keys=keys, number=number)
        udp.send(data)
        sent += len(data)
        received += sum(map(len, answers(udp, 1.0)))
        assert 0 < received <= 3 * sent, f"{received} bytes for {sent}"


def test_retry_when_asked(start_door, pki, connect, banner):
    """`retry_above: 0`: every stranger must come back with a token. Ours and the other client do; a Retry is shorter
    than what it answers, and nothing is remembered."""
    door = start_door(config(pki, quic={"retry_above": 0}))
    serves(door, connect, banner)
    with quic.Connection(door.port, "door.test", pki.alice) as client:
        assert client.retried
        client.write(0, quic.ask(f"127.0.0.1:{banner.port}"))
        assert quic.answered(client, 0)[0]["ok"]
    door.mark()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        for each in (sock, other):
            each.connect(("127.0.0.1", door.port))
        sock.send(quic.initial(a_hello(), b"abcdefgh", b"12345678"))
        retry, = answers(sock)
        assert retry[0] & 0xf0 == 0xf0 and len(retry) < 1200
        r = quic.Reader(retry)
        r.take(5 + 1 + 8)
        scid = r.take(r.number(1))
        token = retry[r.at:-16]
        forged = token[:-1] + bytes([token[-1] ^ 1])
        sock.send(quic.initial(a_hello(), scid, b"12345678", token=forged))
        other.send(quic.initial(a_hello(), scid, b"12345678", token=token))
        for each in (sock, other):  # a token is for one address, and as it was made
            no, = answers(each)
            assert len(no) < 200 and closed_with(no, scid) == quic.INVALID_TOKEN
        assert door.audit()[door.marked:] == []
        sock.send(quic.initial(a_hello(), scid, b"12345678", token=token))
        assert answers(sock)


def test_flood_of_initials(start_door, pki, connect, banner):
    """Thousands of first packets from many ports: from the hundredth on they are told to come again (Retry), memory
    stays bounded, and who is decent gets in meanwhile. When they time out they are gone."""
    door = start_door(config(pki, quic={"retry_above": 50}, limits={"handshake_timeout": ms(2000)}))
    serves(door, connect, banner)
    socks = []
    for _ in range(200):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(("127.0.0.1", door.port))
        socks.append(sock)
    before = door.process.rss()
    hello = a_hello()
    began = time.monotonic()
    for number in range(2000):
        socks[number % len(socks)].send(quic.initial(hello, os.urandom(8), b"12345678"))
    serves(door, connect, banner)
    took = time.monotonic() - began
    grown = door.process.rss() - before
    assert grown < (64 if SANITIZER is None else 512) * MiB, f"{grown / MiB:.0f} MB more"
    assert any(data[0] & 0xf0 == 0xf0 for sock in socks for data in answers(sock, 0.001)), "no Retry came"
    for sock in socks:
        sock.close()
    wait_until(lambda: door.status()["connections"] == 0, "the strangers to be gone")
    lines = [line for line in door.audit() if line["reason"] == "handshake_timeout"]
    # So many for each time that the flood was longer than a handshake may take, as on a machine that is starved.
    times = 1 + int(took / (2 * SLOW))
    assert 0 < len(lines) <= times * (2 * 50 + 2)
    serves(door, connect, banner)


def test_made_up_addresses(start_door, pki, connect, banner):
    """First packets under an address that may be another's take no place of it, and no line each where they find none;
    who has shown that it is his is counted there."""
    door = start_door(config(pki, limits={"per_source": 3, "connections": 40, "handshake_timeout": ms(2000)}))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", door.port))
        half = quic.crypto_frame(quic.hello("door.test", bytes(range(1, 33)), b"12345678")[:100])
        for _ in range(100):
            sock.send(quic.initial(half, os.urandom(8), b"12345678"))
        wait_until(lambda: door.status()["connections"] == 20, "the half of the connections")
        serves(door, connect, banner)  # after a Retry
        with door.dial() as plain:
            assert plain.fileno() >= 0
        assert [line for line in door.audit() if line["reason"].startswith("limit_")] == []
    wait_until(lambda: door.status()["connections"] == 0, "the strangers to be gone")
    clients = [quic.Connection(door.port, "door.test", pki.alice) for _ in range(3)]
    with pytest.raises(quic.Closed):
        with quic.Connection(door.port, "door.test", pki.alice) as client:
            client.until(lambda: False, "the door to close the connection")
    assert door.audited(reason="limit_per_source")["peer"].startswith("127.0.0.1:")
    for client in clients:
        client.close()


# Streams ----------------------------------------------------------------------------------------------------------

def test_streams_within_the_limit_wait(start_door, pki, start_connect, echo):
    """Our client with more tunnels than a carrier may have: the rest waits, and gets its turn when others end."""
    door = start_door(config(pki, quic={"streams": 2}))
    port = free_port()
    start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    waiting = [socket.create_connection(("127.0.0.1", port), 10 * SLOW) for _ in range(6)]
    for sock in waiting:
        sock.sendall(b"x")
    while waiting:
        ready, _, _ = select.select(waiting, [], [], 10 * SLOW)
        assert ready, f"{len(waiting)} tunnels never had their turn"
        for sock in ready:
            assert sock.recv(10) == b"x"
            sock.close()
            waiting.remove(sock)


def test_ends_need_no_credit(door, pki, echo):
    """A client that gives the connection no more credit still hears which streams have ended (RFC 9000, 4.1)."""
    with peers.Server(endless) as source, quic.Connection(door.port, "door.test", pki.alice) as client:
        client.gives_credit = False
        client.write(0, quic.ask(f"127.0.0.1:{echo.port}"))
        assert quic.answered(client, 0)[0]["ok"]
        for number in range(5):
            client.write(4 + 4 * number, quic.ask(source.to))
        client.until(lambda: client.brought == MiB, "all that the first credit lets through")
        client.write(0, b"", fin=True)
        client.until(lambda: 0 in client.ended, "the end of a stream")


def test_streams_beyond_the_limit(start_door, pki, banner, connect):
    """A client that opens more than it may: STREAM_LIMIT_ERROR, and only its own connection is over."""
    door = start_door(config(pki, quic={"streams": 2}))
    with quic.Connection(door.port, "door.test", pki.alice) as client:
        for stream in (0, 4):
            client.write(stream, quic.ask(f"127.0.0.1:{banner.port}"))
            assert quic.answered(client, stream)[0]["ok"]
        with pytest.raises(quic.Closed) as closed:
            client.write(8, quic.ask(f"127.0.0.1:{banner.port}"))
            client.until(lambda: False, "the door to close the connection")
    assert (closed.value.code, closed.value.application) == (4, False)
    assert len(door.audited(2, action="tunnel", transport="quic")) == 2
    assert door.audited(action="carrier")["streams"] == 2
    serves(door, connect, banner)


def test_stream_that_says_nothing(start_door, pki, banner):
    """Opened, and half a hello: handshake_timeout ends the stream; the carrier and its other streams go on."""
    door = start_door(config(pki, limits={"handshake_timeout": ms(700)}))
    with quic.Connection(door.port, "door.test", pki.alice) as client:
        client.write(0, quic.ask(f"127.0.0.1:{banner.port}"))
        assert quic.answered(client, 0)[0]["ok"]
        client.write(4, b"\0")
        client.until(lambda: 4 in client.reset or 4 in client.ended, "the end of the stream")
        assert door.audited(transport="quic", reason="handshake_timeout")["carrier"]
        client.write(0, b"still here")
        client.until(lambda: client.streams[0].endswith(b"still here"), "the echo")


def test_more_bytes_than_allowed(start_door, pki, counter):
    """A client that ignores flow control: FLOW_CONTROL_ERROR."""
    door = start_door(config(pki, quic={"stream_window": "16KiB", "window": "16KiB"}))
    with quic.Connection(door.port, "door.test", pki.alice) as client:
        client.write(0, quic.ask(f"127.0.0.1:{counter.port}"))
        assert quic.answered(client, 0)[0]["ok"]
        client.sent[0] = 1 << 20
        with pytest.raises(quic.Closed) as closed:
            client.write(0, b"far ahead")
            client.until(lambda: False, "the door to close the connection")
    assert (closed.value.code, closed.value.application) == (3, False)


# The door is gone -------------------------------------------------------------------------------------------------

def test_door_dies_and_comes_back(start_door, pki, echo, start_connect):
    """After kill -9 and a new start at the same port the same `cardea connect` works again soon."""
    door = start_door(config(pki))
    port = free_port()
    start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])

    def works():
        try:
            with socket.create_connection(("127.0.0.1", port), 10 * SLOW) as sock:
                sock.sendall(b"x")
                sock.settimeout(2 * SLOW)
                return sock.recv(1) == b"x"
        except OSError:
            return False
    assert works()
    door.process.send(signal.SIGKILL)
    door.process.wait()
    door.start()
    wait_until(works, "tunnels to work again", 10)


def test_stateless_reset(door, udp, pki, connect, banner):
    """A packet for a connection that the door does not know: an answer that looks like nothing and is shorter than the
    question, so that two doors cannot keep each other busy. A client's PING is answered too, what is smaller is not."""
    for size in (22, 33, 43, 60, 200, 1200):
        udp.send(b"\x43" + os.urandom(size - 1))
        got = answers(udp)
        assert len(got) == 1 and len(got[0]) < size and got[0][0] & 0xc0 == 0x40, size
    for size in (1, 20, 21):
        udp.send(b"\x43" + os.urandom(size - 1))
    assert answers(udp) == []
    serves(door, connect, banner)


def test_a_stateless_reset_is_good_at_one_place(start_door, pki):
    """Else a packet with somebody's connection id to another listener, or to another door with the same certificate,
    would yield what ends his connection (RFC 9000, 21.11). A door that was started anew has the same as before."""
    wildcard, fixed = free_port(), free_port()
    door = start_door(config(pki, listeners=[{"name": "wild", "address": f"0.0.0.0:{wildcard}"},
                                             {"name": "fixed", "address": f"127.0.0.1:{fixed}"}]))
    packet = b"\x43" + os.urandom(60)

    def token(port, host="127.0.0.1"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((host, port))
            sock.settimeout(5 * SLOW)
            sock.send(packet)
            return sock.recv(2000)[-16:]
    before = token(wildcard), token(fixed)
    assert before[0] != before[1]
    assert token(wildcard, "127.0.0.2") == before[0], "whichever address of this machine a packet came to"
    door.process.send(signal.SIGKILL)
    door.process.wait()
    door.start()
    assert (token(wildcard), token(fixed)) == before


def test_streams_that_are_taken_back(start_door, pki, banner):
    """A request that is reset before its answer costs the door a dial and a line: so many and no more."""
    door = start_door(config(pki))
    ask = quic.ask(banner.to)
    with pytest.raises(quic.Closed) as closed:
        client = quic.Connection(door.port, "door.test", pki.alice)
        for n in range(8000):
            number = quic.varint(4 * n)
            client.send(quic.ONE_RTT, b"\x0e" + number + quic.varint(0) + quic.varint(len(ask)) + ask
                        + b"\x04" + number + quic.varint(1) + quic.varint(len(ask)) + b"\x05" + number + quic.varint(1))
            if n % 50 == 49:
                client.until(lambda: client.most_streams > n + 51, "more streams")
    assert closed.value.code == 1
    assert door.audited(action="carrier")["reason"] == "bad_request"
    taken = len([line for line in door.audit() if line.get("action") == "tunnel"])
    assert 100 < taken < 1000 + 33 * 30 * SLOW  # a reset may overtake its request: such a stream leaves no line
