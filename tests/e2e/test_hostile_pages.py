# SPDX-License-Identifier: Apache-2.0
"""Clients of the door's own pages that break the rules: what two readers could understand differently is refused and the
connection ends, so that nothing which follows is taken for a request; and nobody harms the others."""
import random
import socket
import struct
import threading

import pytest

import pages
import tls
from run import ms, wait_until

GOOD = b"GET /tell/good HTTP/1.1\r\nHost: a\r\n\r\n"
HOST = b"Host: a\r\n"
CHUNKED = HOST + b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /tell/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

BAD = {
    "two ways to end": (b"POST /tell/ HTTP/1.1\r\n" + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "two ways to end, the other way round":
        (b"POST /tell/ HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (b"POST /tell/ HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nContent-Length: 38\r\n\r\n", 400),
    "two lengths in one": (b"POST /tell/ HTTP/1.1\r\n" + HOST + b"Content-Length: 0, 38\r\n\r\n", 400),
    "a signed length": (b"POST /tell/ HTTP/1.1\r\n" + HOST + b"Content-Length: +0\r\n\r\n", 400),
    "a length that wraps": (b"POST /tell/ HTTP/1.1\r\n" + HOST + b"Content-Length: 18446744073709551616\r\n\r\n", 400),
    "a length with a space before the colon": (b"POST /tell/ HTTP/1.1\r\n" + HOST + b"Content-Length : 38\r\n\r\n", 400),
    "a folded length": (b"POST /tell/ HTTP/1.1\r\n" + HOST + b"X: y\r\n Content-Length: 38\r\n\r\n", 400),
    "a length behind a lone CR": (b"POST /tell/ HTTP/1.1\r\n" + HOST + b"X: y\rContent-Length: 38\r\n\r\n", 400),
    "a length behind a lone LF": (b"POST /tell/ HTTP/1.1\r\n" + HOST + b"X: y\nContent-Length: 38\r\n\r\n", 400),
    "a coding behind a vertical tab": (b"POST /tell/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\x0bchunked\r\n\r\n", 400),
    "another coding": (b"POST /tell/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "two codings": (b"POST /tell/ HTTP/1.1\r\n" + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n", 400),
    "a coding in HTTP/1.0": (b"POST /tell/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a chunk that ends in LF": (b"POST /tell/ HTTP/1.1\r\n" + CHUNKED + b"\r\n0\n\n", 400),
    "a chunk with a signed size": (b"POST /tell/ HTTP/1.1\r\n" + CHUNKED + b"\r\n+0\r\n\r\n", 400),
    "a chunk whose size wraps": (b"POST /tell/ HTTP/1.1\r\n" + CHUNKED + b"\r\n10000000000000000\r\n\r\n", 400),
    "a chunk that is longer than it says": (b"POST /tell/ HTTP/1.1\r\n" + CHUNKED + b"\r\n1\r\nab\r\n0\r\n\r\n", 400),
    "trailers that are no fields": (b"POST /tell/ HTTP/1.1\r\n" + CHUNKED + b"\r\n0\r\nGET /tell/ HTTP/1.1\r\n\r\n", 400),
    "NUL": (b"GET /tell/ HTTP/1.1\r\n" + HOST + b"X: \0\r\n\r\n", 400),
    "no host": (b"GET /tell/ HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /tell/ HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    "the target of a proxy": (b"GET http://a/tell/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 400),
    "HTTP/2 in the clear": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /tell/\r\n", 400),
    "TLS in the clear": (b"\x16\x03\x01\x00\x05hello", 400),
    "a head without end": (b"GET /tell/ HTTP/1.1\r\nX: " + b"x" * 9000, 431),
    "a hundred and one fields": (b"GET /tell/ HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 100 + b"\r\n", 431),
    "content without end": (b"POST /tell/ HTTP/1.1\r\n" + CHUNKED + b"\r\n" + b"1000\r\n" + b"x" * 4096 + b"\r\n" +
                            b"ffff\r\n" + b"x" * 65535, 413),
    "an expectation that nobody has": (b"GET /tell/ HTTP/1.1\r\n" + HOST + b"Expect: tea\r\n\r\n", 417),
}


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return pages.start(start_module_door, pki)


@pytest.mark.parametrize("name", BAD)
def test_refused(door, name):
    """One answer, with the status; then the end in order, and what came behind it was not taken for a request."""
    request, status = BAD[name]
    door.mark()
    with pages.Raw(door) as raw:
        raw.say(GOOD + request + SMUGGLED)
        assert raw.told()["path"] == "/tell/good"
        got, fields, _ = raw.answer()
        assert (got, fields["connection"]) == (status, "close")
        assert raw.ended()
        raw.end_writing()
    line = door.audited(route="plain")
    assert (line["reason"], line["requests"], line["status"]) == ("bad_request", 2, status)
    assert line["detail"]


def test_refused_within_tls(door, pki):
    """The same within TLS: the answer, then close_notify."""
    with tls.connect(door, "pages.test", ca=pki.ca.file, alpn=["http/1.1"]) as sock:
        sock.sendall(BAD["two lengths"][0] + SMUGGLED)
        said = tls.read_all(sock)
    assert said.startswith(b"HTTP/1.1 400 ") and b"smuggled" not in said


def test_cut_off(door):
    """Half a request, and the end or a reset: noted, and nothing else."""
    door.mark()
    with pages.Raw(door) as raw:
        assert raw.say(b"POST /tell/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").end_writing().ended()
    assert door.audited(reason="client_left")["requests"] == 0
    sock = door.dial(port=door.plain_port)
    sock.sendall(b"GET /slow/300 HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_until(lambda: [one for one in door.get_json("/sessions")["sessions"] if one["in"] > 0], "the request")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    assert door.audited(reason="client_reset")


def test_random_bytes(door):
    """Noise in place of requests, and in the middle of one."""
    chance = random.Random(9110)
    for _ in range(60):
        noise = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 400)))
        whole = bytearray(b"POST /tell/ HTTP/1.1\r\n" + CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n")
        whole[chance.randrange(len(whole))] = chance.randrange(256)
        for data in (noise, bytes(whole)):
            with pages.Raw(door) as raw:
                try:
                    raw.say(data).end_writing()
                    raw.file.read()
                except OSError:
                    pass
    with pages.Raw(door) as raw:
        assert raw.say(GOOD).told()["path"] == "/tell/good"


def test_slow_clients_hold_nobody_up(start_door, pki):
    """A hundred clients that send a byte now and then: others are served meanwhile, and their own time is bounded."""
    door = pages.start(start_door, pki, limits={"request_timeout": ms(1500), "keep_alive_timeout": ms(5000)})
    slow = [pages.Raw(door) for _ in range(100)]
    for raw in slow:
        raw.say(b"G")
    for byte in b"ET /tell/ HTT":
        for raw in slow:
            raw.say(bytes([byte]))
        with pages.Raw(door) as raw:
            assert raw.say(GOOD).told()["path"] == "/tell/good"
    assert all(raw.answer()[0] == 408 and raw.ended() for raw in slow)
    for raw in slow:
        raw.close()


def test_who_leaves_is_not_waited_for(start_door, pki):
    """Clients that ask and go: their answers find nobody, and the places are free at once."""
    door = pages.start(start_door, pki)
    for _ in range(50):
        with pages.Raw(door) as raw:
            raw.say(b"GET /slow/200 HTTP/1.1\r\nHost: a\r\n\r\n")
            raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: not door.get_json("/sessions")["sessions"], "the last of them to go")
    with pages.Raw(door) as raw:
        assert raw.say(GOOD).told()["path"] == "/tell/good"


def test_flood_of_requests_ahead(door):
    """Thousands of requests at once on one connection: read as they are answered, in order, others served in between."""
    count = 3000
    with pages.Raw(door) as raw, pages.Raw(door) as other:
        raw.sock.settimeout(60)
        data = b"".join(b"GET /tell/%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(count))
        writer = threading.Thread(target=raw.sock.sendall, args=(data,))
        writer.start()
        assert other.say(GOOD).told()["path"] == "/tell/good"
        for n in range(count):
            assert raw.told()["path"] == f"/tell/{n}"
        writer.join()


def test_truncated_tls(door, pki):
    """A client that goes without close_notify behind its answers has had them all; in the middle of a request it is cut."""
    door.mark()
    for request, reason in ((GOOD, "done"), (GOOD + b"GET /te", "truncated")):
        sock = tls.connect(door, "pages.test", ca=pki.ca.file, alpn=["http/1.1"])
        sock.sendall(request)
        assert tls.read_until(sock, b"}\n")
        raw = sock.detach()
        socket.socket(fileno=raw).close()
        assert door.audited(route="pages", reason=reason)
