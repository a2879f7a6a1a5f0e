# SPDX-License-Identifier: Apache-2.0
"""Clients that attack once they are past their ClientHello, or lie in it: the audit line stays true, each is let go in
time, and the others are served meanwhile."""
import contextlib
import json
import socket
import ssl
import struct
import threading
import time

import pytest

import peers
import tls
from run import SANITIZER, SLOW, ms, wait_until

# A flood is cut off by its size; the moment that a client has to read last words is 2 s, which is longer.
CUT_OFF = 1.5


@pytest.fixture(scope="module")
def door(start_module_door, pki, banner, echo):
    return start_module_door({
        "workers": 1,  # who attacks and who is served share it
        "certificates": [pki.server("*.test").row()],
        "trust": [pki.trust()],
        "limits": {"drain_timeout": ms(400)},
        "routes": [
            {"name": "pass", "sni": "pass.test", "pass": {"to": echo.to}},
            {"name": "www", "sni": "www.test", "terminate": {"to": banner.to}},
            {"name": "echo", "sni": "echo.test", "terminate": {"to": echo.to}},
            {"name": "staff", "sni": "staff.test", "terminate": {"to": banner.to},
             "clients": {"mode": "required", "trust": "staff"}},
            {"name": "denied", "sni": "denied.test", "terminate": {"to": banner.to},
             "clients": {"mode": "optional", "trust": "staff"}},
        ],
        "policy": [{"name": "all", "who": {"group": "ops"}, "routes": ["staff"]}],
    })


# Lies -------------------------------------------------------------------------------------------------------------

PLACE = "PLACEHOLDERPLACEHOLDERPLACEHOLDER"


def hello_with_alpn(sni, alpn):
    """A ClientHello whose only ALPN is these bytes (Python would not take a NUL)."""
    assert len(alpn) == len(PLACE)
    hello = tls.client_hello(sni, [PLACE])
    assert hello.count(PLACE.encode()) == 1
    return hello.replace(PLACE.encode(), alpn)


def sessions(door):
    code, text = door.get("/sessions")
    assert code == 200
    return json.loads(text)["sessions"]


LYING_ALPN = {
    "texts": b"2\0forged-ja4\0bank.inside:22\0",
    "nothing but NUL": bytes(28) + b"x:1",
    "quotes": b'\0","target":"x:1","a":"',
}


@pytest.mark.parametrize("alpn", LYING_ALPN.values(), ids=LYING_ALPN.keys())
def test_nul_in_alpn_forges_no_field(door, alpn):
    """The texts that the line is made of are kept side by side: one with a NUL in it must not become the next one."""
    alpn = b"h" + alpn.ljust(len(PLACE) - 2, b"!") + b"z"
    lines = []
    for sent in (alpn, b"h" + b"m" * (len(PLACE) - 2) + b"z"):
        hello = hello_with_alpn("pass.test", sent)
        with door.dial() as sock:
            sock.sendall(hello)
            tls.read_exactly(sock, len(hello))  # bytes flow: the texts have been packed
            name = sock.getsockname()
            shown = next(row for row in sessions(door) if row["peer"] == f"{name[0]}:{name[1]}")
            assert (shown["sni"], shown["target"], shown["identity"]) == ("pass.test", "", "")
        lines.append(door.audited_of(name))
    forged, honest = lines
    assert forged["alpn"] == alpn.decode()
    assert forged["ja4"] == honest["ja4"]  # it knows only the first and last letter
    assert forged.keys() == honest.keys() and not {"target", "identity"} & forged.keys()
    assert forged["sni"] == "pass.test"


# Floods -----------------------------------------------------------------------------------------------------------

def flood(sock, seconds=10.0):
    """Send to the socket (below TLS, if there is any) until the door ends that; how many seconds it took."""
    start, junk = time.monotonic(), b"\x17\x03\x03\x40\x00" + b"x" * 16384
    try:
        while time.monotonic() - start < seconds:
            socket.socket.send(sock, junk)
    except (ConnectionResetError, BrokenPipeError):
        pass
    return time.monotonic() - start


def denied(door):
    """A client that has been told access_denied, or soon will be."""
    return tls.connect(door, "denied.test")


def stranger(door):
    sock = door.dial()
    sock.sendall(tls.client_hello("unknown.test"))
    return sock


def rejected_certificate(door):
    return tls.connect(door, "staff.test")


@pytest.mark.parametrize("who, reason", [(denied, "denied"), (stranger, "no_route"),
                                         (rejected_certificate, "no_certificate")])
def test_flood_is_cut_off(door, who, reason):
    """The door reads on after its last words so that they arrive, but not for ever."""
    with who(door) as sock:
        name = sock.getsockname()
        assert flood(sock) < CUT_OFF
    line = door.audited_of(name)
    assert line["reason"] == reason and line["total_ms"] < CUT_OFF * 1000, line


def test_others_are_served_during_floods(door):
    """Clients that are denied, flood, are cut off and come again; others on the same worker do not wait for them."""
    stop, floods = threading.Event(), []

    def attack(who):
        while not stop.is_set():
            try:
                with who(door) as sock:
                    flood(sock, 1)
                    floods.append(who)
            except OSError:
                pass
    threads = [threading.Thread(target=attack, args=(who,), daemon=True) for who in (denied, stranger)]
    for thread in threads:
        thread.start()
    worst = 0
    try:
        for _ in range(20):
            start = time.monotonic()
            with tls.connect(door, "www.test") as sock:
                assert tls.read_line(sock) == "behind the door"
            worst = max(worst, time.monotonic() - start)
            time.sleep(0.02)
        wait_until(lambda: {denied, stranger} <= set(floods), "floods")
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
    assert worst < 0.5 * SLOW


# Records without data ---------------------------------------------------------------------------------------------

def key_updates(raw, count):
    return b"".join(raw.key_update() for _ in range(count))


def empty(raw, count):
    return b"".join(raw.data(b"") for _ in range(count))


# The TLS library gives up at 33 in a row.
ROW = 30


@pytest.mark.parametrize("fruitless", [key_updates, empty])
def test_records_without_data_between_data(door, tmp_path, fruitless):
    """More of them at once than the door works off in one turn: it goes on by itself, although nothing more comes."""
    raw = tls.RawTls(door, "echo.test", tmp_path / "keylog")
    with raw.sock:
        for size in (1, 15, 16, 17, ROW):
            raw.send(b"".join(fruitless(raw, size) + raw.data(bytes([65 + i])) for i in range(8)))
            assert tls.read_exactly(raw.sock, 8) == b"ABCDEFGH"
        raw.send(fruitless(raw, ROW))  # the last of them go unanswered
    assert door.audited_of(raw.name)["in"] == 5 * 8


@pytest.mark.parametrize("fruitless", [key_updates, empty])
def test_records_without_data_end_at_some_time(door, tmp_path, fruitless):
    """A byte now and then does not make up for them."""
    raw = tls.RawTls(door, "echo.test", tmp_path / "keylog")
    with raw.sock:
        raw.send(b"".join(fruitless(raw, ROW) + raw.data(b"x") for _ in range(60)))
        assert tls.ended(raw.sock)
    line = door.audited_of(raw.name)
    assert line["reason"] == "client_reset" and 30 < line["in"] < 40, line


def test_key_update_at_every_record_is_served(door, tmp_path):
    raw = tls.RawTls(door, "echo.test", tmp_path / "keylog")
    with raw.sock:
        raw.send(b"".join(raw.key_update() + raw.data(b"x") for _ in range(3000)))
        assert tls.read_exactly(raw.sock, 3000) == b"x" * 3000


# Last words -------------------------------------------------------------------------------------------------------

def with_finished(door, sni, ctx, data):
    """A handshake whose last flight goes out together with `data`; (socket, TLS side, what comes in)."""
    sock = door.dial()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = ctx.wrap_bio(incoming, outgoing, server_hostname=sni)
    while True:
        try:
            side.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
            incoming.write(sock.recv(65536))
    side.write(data)
    sock.sendall(outgoing.read())
    return sock, side, incoming


def complaint(sock, side, incoming):
    """The error that the TLS client gets to see; fails when it is a reset or a plain end."""
    while True:
        try:
            return f"no error but {side.read(100)!r}"
        except ssl.SSLWantReadError:
            more = sock.recv(65536)
            assert more, "an end without an alert"
            incoming.write(more)
        except ssl.SSLError as error:
            return str(error)


@pytest.mark.parametrize("size", [1, 16384, 300000])
def test_alert_arrives_although_the_client_has_sent_more(door, size):
    """Without a certificate where one is needed; the request stands right behind Finished. Closing with that unread
    would reset the connection, and the reset would overtake certificate_required (116)."""
    ctx = tls.context(least=ssl.TLSVersion.TLSv1_3)
    for _ in range(10):
        sock, side, incoming = with_finished(door, "staff.test", ctx, b"x" * size)
        with sock:
            assert "CERTIFICATE_REQUIRED" in complaint(sock, side, incoming).upper().replace(" ", "_")
            name = sock.getsockname()
        assert door.audited_of(name)["reason"] == "no_certificate"


@pytest.mark.parametrize("size", [1, 16384, 300000])
def test_denial_arrives_although_the_client_has_sent_more(door, size):
    """The same for access_denied."""
    ctx = tls.context(least=ssl.TLSVersion.TLSv1_3)
    for _ in range(10):
        sock, side, incoming = with_finished(door, "denied.test", ctx, b"x" * size)
        with sock:
            assert "ACCESS_DENIED" in complaint(sock, side, incoming).upper().replace(" ", "_")


# Silence ----------------------------------------------------------------------------------------------------------

@pytest.fixture
def start_idle_door(start_door, pki):
    def start(server, **limits):
        return start_door({
            "certificates": [pki.server("*.test").row()],
            "limits": {"drain_timeout": ms(500), "per_source": 100000},
            "routes": [{"name": "pass", "sni": "pass.test", "pass": {"to": server.to}, "limits": limits},
                       {"name": "www", "sni": "www.test", "terminate": {"to": server.to}, "limits": limits}]})
    return start


def never_reads(door):
    """A client whose TLS handshake is the last that it reads."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.settimeout(10 * SLOW)
    sock.connect(("127.0.0.1", door.port))
    tls.HalfTls(sock, tls.context(), "www.test")
    return sock


def test_client_that_stops_reading_costs_nothing(start_idle_door):
    """The backend has ended, the client does not read: whatever part of the answer is on its way (in the kernel, in a
    record half sent, held), the door sleeps until idle_timeout ends it."""
    sizes = [8 << 20]  # what is sent next, last in first out; the first is more than the kernel takes

    def handler(sock):
        sock.sendall(b"x" * sizes.pop())
    with peers.Server(handler) as server:
        door = start_idle_door(server, idle_timeout=ms(1500))
        socks = [never_reads(door)]
        room = door.audited(route="www")["out"]
        # Nothing tells a test what has left the door: so try every amount around the one where it stuck.
        sizes += [*range(max(room - 200_000, 1), room + 50_000, 4096), 1, 100_000, 5_000_000]
        count = len(sizes)
        door.mark()
        socks += [never_reads(door) for _ in range(count)]
        time.sleep(0.3 * SLOW)
        before = door.process.cpu_seconds()
        time.sleep(0.5)
        assert door.process.cpu_seconds() - before < 0.1
        lines = door.audited(count, route="www", timeout=10)
        assert {line["reason"] for line in lines} == {"idle_timeout"}
        for sock in socks:
            sock.close()


@pytest.mark.parametrize("sni", ["pass.test", "www.test"])
def test_half_closed_and_silent(start_idle_door, sni):
    """A client that ends its side and then hears nothing is let go after drain_timeout."""
    gone = threading.Event()

    def handler(sock):
        while sock.recv(65536):
            pass
        gone.wait(20 * SLOW)
    with peers.Server(handler) as server:
        door = start_idle_door(server)
        with door.dial() as sock:
            if sni == "pass.test":
                sock.sendall(tls.client_hello(sni))
                sock.shutdown(socket.SHUT_WR)
            else:
                tls.HalfTls(sock, tls.context(), sni).close_notify()
            start = time.monotonic()
            assert tls.ended(sock)
            assert 0.4 * SLOW < time.monotonic() - start < 3 * SLOW
            assert door.audited_of(sock)["reason"] == "idle_timeout"
        gone.set()


def test_half_closed_and_talking(start_idle_door):
    """... but as long as bytes come, it is served: silence ends it, not time."""
    def handler(sock):
        while sock.recv(65536):
            pass
        for _ in range(12):
            time.sleep(0.1 * SLOW)
            sock.sendall(b"x")
    with peers.Server(handler) as server:
        door = start_idle_door(server)
        with door.dial() as sock:
            sock.sendall(tls.client_hello("pass.test"))
            sock.shutdown(socket.SHUT_WR)
            assert tls.read_all(sock) == b"x" * 12
            assert door.audited_of(sock)["reason"] == "done"


# Weight -----------------------------------------------------------------------------------------------------------

def test_chain_of_many_certificates(door, pki, tmp_path):
    """A client that shows a hundred certificates is turned away, or judged by its first one, and soon."""
    junk, padded = tmp_path / "junk.pem", tmp_path / "padded.pem"
    with open(pki.mallory.certificate, encoding="ascii") as leaf:
        junk.write_text(leaf.read() * 100)
    with open(pki.alice.certificate, encoding="ascii") as leaf:
        padded.write_text(leaf.read() * 20)
    for path, key in ((junk, pki.mallory.key), (padded, pki.alice.key)):
        start, said = time.monotonic(), ""
        ctx = tls.context()
        ctx.load_cert_chain(path, key)
        try:
            with tls.connect(door, "staff.test", ctx=ctx) as sock:
                said = tls.read_line(sock)
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
            pass
        assert said == ("" if path is junk else said)
        assert time.monotonic() - start < SLOW
    with tls.connect(door, "staff.test", cert=pki.alice) as sock:
        assert tls.read_line(sock) == "behind the door"


def test_long_certificate_message_is_refused(door, pki, tmp_path):
    """Nobody makes the door gather more than 32 KiB of certificates before they are proven."""
    path = tmp_path / "long.pem"
    with open(pki.alice.certificate, encoding="ascii") as leaf:
        text = leaf.read()
    one = len(ssl.PEM_cert_to_DER_cert(text))
    fits, exceeds = 31 * 1024 // (one + 5), 32 * 1024 // one + 1
    for count, reason, detail in ((fits, "bad_certificate", f"{fits} certificates were sent"),
                                  (exceeds, "handshake_failed", "a handshake message is too long")):
        path.write_text(text * count)
        ctx = tls.context()
        ctx.load_cert_chain(path, pki.alice.key)
        sock = tls.connect(door, "staff.test", ctx=ctx)
        name = sock.getsockname()
        with contextlib.suppress(OSError):
            assert tls.read_line(sock) == ""
        sock.close()
        line = door.audited_of(name)
        assert line["reason"] == reason and detail in line["detail"], line


def test_clients_that_reset_at_every_moment(door):
    """A reset after each number of bytes of a handshake: no descriptor and no count stays behind."""
    hello = tls.client_hello("www.test")
    before = door.process.open_files()
    for size in [0, 1, 5, 100, len(hello)] * (2 if SANITIZER else 6):
        sock = door.dial()
        sock.sendall(hello[:size])
        if size == len(hello):
            sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    wait_until(lambda: not sessions(door), "every session to end")
    wait_until(lambda: door.process.open_files() <= before, "descriptors to be closed")
