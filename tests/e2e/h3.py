# SPDX-License-Identifier: Apache-2.0
"""HTTP/3 from the RFCs (9114, 9204, 9297, 9298) on quic.py: requests to the door as a proxy, and what no decent client
sends. Fields are written as literals without Huffman; of what the door writes all is read but a dynamic table, which it
must not use."""
from hpack.huffman_table import decode_huffman

import quic
from quic import Reader, varint

DATA, HEADERS, SETTINGS, GOAWAY = 0x0, 0x1, 0x4, 0x7
CONTROL, QPACK_ENCODER, QPACK_DECODER = 0, 2, 3
CONNECT_PROTOCOL, H3_DATAGRAM = 0x08, 0x33
STATUS = {24: "103", 25: "200", 26: "304", 27: "404", 28: "503", 63: "100", 64: "204", 65: "206", 66: "302", 67: "400",
          68: "403", 69: "421", 70: "425", 71: "500"}
NAMES = {4: "content-length", 44: "content-type", 46: "content-type", 52: "content-type", 53: "content-type",
         54: "content-type"}
STATIC = {**{k: (":status", v) for k, v in STATUS.items()},
          **{k: (v, None) for k, v in NAMES.items()}, 53: ("content-type", "text/plain"),
          54: ("content-type", "text/plain;charset=utf-8"), 4: ("content-length", "0")}


def frame(kind, body=b""):
    return varint(kind) + varint(len(body)) + body


def number(prefix, first, n):
    """RFC 7541, 5.1, with the bits above the prefix."""
    most = (1 << prefix) - 1
    if n < most:
        return bytes([first | n])
    out, n = bytes([first | most]), n - most
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def fields(pairs):
    """A field section of literals."""
    out = b"\0\0"
    for name, value in pairs:
        name, value = name.encode(), value.encode()
        out += number(3, 0x20, len(name)) + name + number(7, 0, len(value)) + value
    return out


def read_number(r, first, prefix):
    n = first & (1 << prefix) - 1
    if n < (1 << prefix) - 1:
        return n
    shift = 0
    while True:
        byte = r.number(1)
        n, shift = n + ((byte & 127) << shift), shift + 7
        if not byte & 128:
            return n


def read_string(r, first, prefix):
    data = r.take(read_number(r, first, prefix))
    return (decode_huffman(data) if first >> prefix & 1 else data).decode()


def read_fields(data):
    r = Reader(data)
    assert r.take(2) == b"\0\0", "the door uses a dynamic table"
    out = {}
    while r.left():
        first = r.number(1)
        if first & 0x80:
            assert first & 0x40, "the door uses a dynamic table"
            name, value = STATIC[read_number(r, first, 6)]
        elif first & 0x40:
            assert first & 0x10, "the door uses a dynamic table"
            name, _ = STATIC[read_number(r, first, 4)]
            value = read_string(r, r.number(1), 7)
        else:
            name = read_string(r, first, 3)
            value = read_string(r, r.number(1), 7)
        out[name] = value
    return out


def capsule(payload, context=0, kind=0):
    return frame(kind, varint(context) + payload)


class Client(quic.Connection):
    """`settings`: of this client, or None to send none; `flow()` and what follows is for connect-udp."""

    def __init__(self, port, cert, sni="door.test", settings=((H3_DATAGRAM, 1),)):
        super().__init__(port, sni, cert, alpn=b"h3")
        self.taken = {}     # stream: bytes of it that have been looked at
        self.body = {}
        self.answers = {}
        self.next = 0
        if settings is not None:
            body = b"".join(varint(key) + varint(value) for key, value in settings)
            self.write(2, varint(CONTROL) + frame(SETTINGS, body))
            self.write(6, varint(QPACK_ENCODER))
            self.write(10, varint(QPACK_DECODER))

    def stream(self):
        self.next += 4
        return self.next - 4

    def request(self, pairs, fin=False, more=b""):
        stream = self.stream()
        self.write(stream, frame(HEADERS, fields(pairs)) + more, fin=fin)
        return stream

    def tcp(self, target, more=b""):
        return self.request([(":method", "CONNECT"), (":authority", target)], more=more)

    def udp(self, host, port, path=None, **change):
        pairs = {":method": "CONNECT", ":protocol": "connect-udp", ":scheme": "https", ":authority": "door.test",
                 ":path": path or f"/.well-known/masque/udp/{host}/{port}/", "capsule-protocol": "?1", **change}
        return self.request([(key, value) for key, value in pairs.items() if value is not None])

    def say(self, stream, data, fin=False):
        """Content, in frames that fit into packets."""
        for at in range(0, len(data), 1000):
            piece = data[at:at + 1000]
            self.write(stream, frame(DATA, piece), fin=fin and at + 1000 >= len(data))

    def parse(self, stream):
        """Take the frames that have come whole on a request's stream."""
        r = Reader(self.streams.get(stream, b""))
        r.at = self.taken.get(stream, 0)
        while r.left() >= 2:
            start = r.at
            try:
                kind, body = r.varint(), r.take(r.varint())
            except AssertionError:
                r.at = start
                break
            if kind == HEADERS:
                assert stream not in self.answers, "HEADERS behind the answer"
                self.answers[stream] = read_fields(body)
            elif kind == DATA:
                assert stream in self.answers, "DATA before HEADERS"
                self.body[stream] = self.body.get(stream, b"") + body
            else:
                raise AssertionError(f"a frame of type {kind:#x} on a request's stream")
            self.taken[stream] = r.at
        return self.body.get(stream, b"")

    def answer(self, stream):
        """The fields of the answer."""
        self.until(lambda: self.parse(stream) is not None and stream in self.answers, "the door's answer")
        return self.answers[stream]

    def ok(self, stream):
        answer = self.answer(stream)
        assert answer[":status"] == "200", answer
        return stream

    def hears(self, stream, size):
        """`size` bytes of content from the beginning."""
        self.until(lambda: len(self.parse(stream)) >= size, f"{size} bytes")
        return self.body[stream]

    def control(self):
        """The frames of the door's control stream."""
        for data in self.streams_of_the_door():
            r = Reader(data)
            if r.left() and r.varint() == CONTROL:
                out = []
                while r.left():
                    out.append((r.varint(), r.take(r.varint())))
                return out
        return []

    def streams_of_the_door(self):
        return [data for stream, data in self.streams.items() if stream & 3 == 3]

    def settings(self):
        self.until(self.control, "the door's SETTINGS")
        kind, body = self.control()[0]
        assert kind == SETTINGS
        r, out = Reader(body), {}
        while r.left():
            key = r.varint()
            out[key] = r.varint()
        return out

    def send_payload(self, stream, payload, context=0):
        self.write_datagram(varint(stream // 4) + varint(context) + payload)

    def payloads(self, stream):
        """Of the HTTP datagrams that came for a stream."""
        head = varint(stream // 4) + varint(0)
        return [data[len(head):] for data in self.flows if data.startswith(head)]

    def capsules(self, stream):
        """Payloads of the capsules in a stream's content."""
        r, out = Reader(self.parse(stream)), []
        while r.left():
            assert r.varint() == 0
            body = r.take(r.varint())
            assert body[0] == 0
            out.append(body[1:])
        return out
