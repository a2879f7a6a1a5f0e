# SPDX-License-Identifier: Apache-2.0
"""A QUIC client of our own, from the RFCs (9000, 9001, 8446): it shows that the door speaks to others than itself, and
does what no decent client does. One cipher (TLS_AES_128_GCM_SHA256), one group (x25519); nothing is sent twice, so it
is for the loopback only."""
import hashlib
import hmac
import json
import os
import socket
import ssl
import struct
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from run import SLOW

V1 = 1
INITIAL, HANDSHAKE, ONE_RTT = range(3)
LONG = {INITIAL: 0, HANDSHAKE: 2}
RETRY = 3
INVALID_TOKEN = 0x0b
SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
SHA256_EMPTY = hashlib.sha256().digest()


# Numbers and keys -------------------------------------------------------------------------------------------------

def varint(n):
    for bits, size in ((6, 1), (14, 2), (30, 4), (62, 8)):
        if n < 1 << bits:
            return (n | (size.bit_length() - 1) << bits).to_bytes(size, "big")
    raise ValueError(n)


class Reader:
    """A cursor over bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, size):
        assert self.left() >= size, "the door sent less than it announced"
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def varint(self):
        first = self.number(1)
        size = 1 << (first >> 6)
        return (first & 63) << 8 * (size - 1) | self.number(size - 1)


def extract(salt, secret):
    return hmac.digest(salt, secret, "sha256")


def expand(secret, label, context=b"", size=32):
    label = b"tls13 " + label.encode()
    info = struct.pack("!HB", size, len(label)) + label + bytes([len(context)]) + context
    return HKDFExpand(hashes.SHA256(), size, info).derive(secret)


def whole_number(cut, bits, newest):
    """A packet number of which the low bits were sent (RFC 9000, A.3)."""
    number = (newest + 1) & -1 << bits | cut
    if number + (1 << bits - 1) <= newest + 1:
        return number + (1 << bits)
    return number - (1 << bits) if number > newest + 1 + (1 << bits - 1) and number >= 1 << bits else number


class Keys:
    """Packet protection of one direction at one level (RFC 9001, 5)."""

    def __init__(self, secret):
        self.aead = AESGCM(expand(secret, "quic key", size=16))
        self.iv = int.from_bytes(expand(secret, "quic iv", size=12), "big")
        self.mask_key = expand(secret, "quic hp", size=16)

    def nonce(self, number):
        return (self.iv ^ number).to_bytes(12, "big")

    def mask(self, sample):
        return Cipher(algorithms.AES(self.mask_key), modes.ECB()).encryptor().update(sample)

    def seal(self, head, number, payload):
        """`head` ends with the packet number in four bytes."""
        sealed = self.aead.encrypt(self.nonce(number), payload, head)
        mask = self.mask(sealed[:16])
        first = head[0] ^ mask[0] & (0x0f if head[0] & 0x80 else 0x1f)
        return bytes([first]) + head[1:-4] + bytes(a ^ b for a, b in zip(head[-4:], mask[1:5])) + sealed

    def open(self, packet, at, newest=-1):
        """(packet number, payload) of a packet whose number is at `at`; `newest` is the highest number so far."""
        mask = self.mask(packet[at + 4:at + 20])
        first = packet[0] ^ mask[0] & (0x0f if packet[0] & 0x80 else 0x1f)
        size = (first & 3) + 1
        number = bytes(a ^ b for a, b in zip(packet[at:at + size], mask[1:]))
        head = bytes([first]) + packet[1:at] + number
        number = whole_number(int.from_bytes(number, "big"), 8 * size, newest)
        return number, self.aead.decrypt(self.nonce(number), packet[at + size:], head)


def initial_keys(dcid):
    """(client's, server's)."""
    secret = extract(SALT, dcid)
    return Keys(expand(secret, "client in")), Keys(expand(secret, "server in"))


def long_head(kind, dcid, scid, version=V1):
    return (struct.pack("!BI", 0xc3 | kind << 4, version) + bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid)


def initial(payload, dcid, scid, *, keys=None, number=0, token=b"", size=1200, version=V1):
    """An Initial with these frames, padded to a datagram of `size` bytes."""
    keys = keys or initial_keys(dcid)[0]
    start = long_head(0, dcid, scid, version) + varint(len(token)) + token
    payload += bytes(max(0, size - len(start) - 2 - 4 - 16 - len(payload)))
    length = (0x4000 | 4 + len(payload) + 16).to_bytes(2, "big")
    return keys.seal(start + length + struct.pack("!I", number), number, payload)


# TLS --------------------------------------------------------------------------------------------------------------

def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def message(kind, body):
    return bytes([kind]) + vector(3, body)


def extension(kind, body):
    return struct.pack("!H", kind) + vector(2, body)


def parameter(kind, value):
    return varint(kind) + vector(1, varint(value) if isinstance(value, int) else value)


def hello(sni, share, scid, alpn=b"cardea/1"):
    """A ClientHello for QUIC."""
    parameters = b"".join((parameter(0x01, 30000), parameter(0x04, 1 << 20), parameter(0x05, 1 << 18),
                           parameter(0x06, 1 << 18), parameter(0x07, 1 << 18), parameter(0x08, 10),
                           parameter(0x09, 10), parameter(0x0f, scid), parameter(0x20, 65535)))
    extensions = b"".join((
        extension(0, vector(2, b"\0" + vector(2, sni.encode()))),
        extension(10, vector(2, b"\0\x1d")),
        extension(13, vector(2, b"\x04\x03\x08\x04\x08\x05\x04\x01")),
        extension(16, vector(2, vector(1, alpn))),
        extension(43, vector(1, b"\x03\x04")),
        extension(51, vector(2, b"\0\x1d" + vector(2, share))),
        extension(57, parameters)))
    return message(1, b"\x03\x03" + os.urandom(32) + b"\0" + vector(2, b"\x13\x01") + b"\x01\0" + vector(2, extensions))


def crypto_frame(data, offset=0):
    return b"\x06" + varint(offset) + varint(len(data)) + data


class Tls:
    """The client's side of a handshake; `cert` from pki.py (an EC key) or None. Does not ask who the door is, but keeps what
    it has `shown`, the body of its Certificate."""

    def __init__(self, sni, scid, cert, alpn):
        self.cert = cert
        self.key = X25519PrivateKey.generate()
        share = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.hello = hello(sni, share, scid, alpn)
        self.transcript = self.hello
        self.asked = self.shown = None
        self.secrets = {}       # level: (client's, server's)

    def digest(self):
        return hashlib.sha256(self.transcript).digest()

    def traffic(self, secret, stage):
        return tuple(expand(secret, f"{side} {stage} traffic", self.digest()) for side in "cs")

    def finished(self, secret):
        return hmac.digest(expand(secret, "finished"), self.digest(), "sha256")

    def take(self, kind, body):
        """A message of the door; answers what to say at the Handshake level, at its Finished."""
        whole, said = message(kind, body), None
        if kind == 2:
            self.transcript += whole
            self.server_hello(Reader(body))
            return said
        if kind == 11:
            self.shown = body
        if kind == 13:
            self.asked = Reader(body).take(1 + body[0])[1:]
        if kind == 20:
            assert body == self.finished(self.secrets[HANDSHAKE][1]), "the door's Finished is wrong"
        self.transcript += whole
        if kind == 20:
            self.secrets[ONE_RTT] = self.traffic(self.master, "ap")
            before = len(self.transcript)
            if self.asked is not None:
                self.prove()
            self.transcript += message(20, self.finished(self.secrets[HANDSHAKE][0]))
            said = self.transcript[before:]
        return said

    def server_hello(self, r):
        r.take(2 + 32)
        r.take(r.number(1) + 3)
        r.take(2)
        share = None
        while r.left():
            kind, body = r.number(2), r.take(r.number(2))
            if kind == 51:
                share = body[4:]
        shared = self.key.exchange(X25519PublicKey.from_public_bytes(share))
        early = extract(bytes(32), bytes(32))
        secret = extract(expand(early, "derived", SHA256_EMPTY), shared)
        self.secrets[HANDSHAKE] = self.traffic(secret, "hs")
        self.master = extract(expand(secret, "derived", SHA256_EMPTY), bytes(32))

    def prove(self):
        chain = []
        if self.cert is not None:
            with open(self.cert.certificate) as file:
                shown = file.read().split("-----END CERTIFICATE-----")[:-1]
            chain = [vector(3, ssl.PEM_cert_to_DER_cert(f"{one.strip()}\n-----END CERTIFICATE-----\n")) + b"\0\0" for one in shown]
        self.transcript += message(11, vector(1, self.asked) + vector(3, b"".join(chain)))
        if not chain:
            return
        with open(self.cert.key, "rb") as file:
            key = serialization.load_pem_private_key(file.read(), None)
        text = b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + self.digest()
        self.transcript += message(15, b"\x04\x03" + vector(2, key.sign(text, ec.ECDSA(hashes.SHA256()))))


# A connection -----------------------------------------------------------------------------------------------------

class Closed(Exception):
    """The door has closed the connection: `code`, and whether it is the application's."""

    def __init__(self, code, application, text):
        super().__init__(f"{'application ' if application else ''}error {code:#x} {text}")
        self.code, self.application = code, application


class Space:
    """What is counted for each level."""

    def __init__(self):
        self.mine = self.theirs = None      # Keys
        self.next = 0
        self.seen = set()
        self.owes_ack = False
        self.crypto, self.used, self.said = {}, 0, 0


class Connection:
    """Connects to 127.0.0.1:`port` and completes the handshake. `streams`: what has come on each, `ended`: those that
    the door has finished, `reset`: those that it has cut; `flows`: what came in DATAGRAM frames."""

    def __init__(self, port, sni, cert, timeout=10.0, alpn=b"cardea/1"):
        self.timeout = timeout * SLOW
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", port))
        self.scid, self.dcid = os.urandom(8), os.urandom(8)
        self.spaces = [Space() for _ in range(3)]
        self.streams, self.sent, self.ended, self.reset, self.flows = {}, {}, set(), {}, []
        self.stopped, self.credit, self.brought, self.early, self.last = {}, {}, 0, {}, {}
        self.most_streams = 0
        self.gives_credit = True
        self.token, self.retried, self.done = b"", False, False
        self.tls = Tls(sni, self.scid, cert, alpn)
        self.spaces[INITIAL].mine, self.spaces[INITIAL].theirs = initial_keys(self.dcid)
        self.send(INITIAL, crypto_frame(self.tls.hello))
        self.until(lambda: self.done, "the handshake to be confirmed")

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Out

    def send(self, level, frames):
        space = self.spaces[level]
        number, space.next = space.next, space.next + 1
        if level == INITIAL:
            self.sock.send(initial(frames, self.dcid, self.scid, keys=space.mine, number=number, token=self.token))
            return
        frames += bytes(max(0, 4 - len(frames)))
        if level == HANDSHAKE:
            head = long_head(LONG[level], self.dcid, self.scid) + (0x4000 | 20 + len(frames)).to_bytes(2, "big")
        else:
            head = b"\x43" + self.dcid
        self.sock.send(space.mine.seal(head + struct.pack("!I", number), number, frames))

    def acknowledge(self):
        for level, space in enumerate(self.spaces):
            if not space.owes_ack or space.mine is None:
                continue
            space.owes_ack = False
            ranges, seen = [], sorted(space.seen, reverse=True)
            for number in seen:
                if ranges and ranges[-1][0] == number + 1:
                    ranges[-1][0] = number
                else:
                    ranges.append([number, number])
            frame = b"\x02" + varint(seen[0]) + varint(0) + varint(len(ranges) - 1)
            frame += varint(ranges[0][1] - ranges[0][0])
            for above, below in zip(ranges, ranges[1:]):
                frame += varint(above[0] - below[1] - 2) + varint(below[1] - below[0])
            self.send(level, frame)

    def write(self, stream, data, fin=False):
        offset = self.sent.get(stream, 0)
        self.sent[stream] = offset + len(data)
        self.send(ONE_RTT, bytes([0x0e | fin]) + varint(stream) + varint(offset) + varint(len(data)) + data)

    def give_credit(self, level, stream, size):
        """For what has come, in steps: MAX_DATA and MAX_STREAM_DATA."""
        before, self.brought = self.brought, self.brought + size
        if self.gives_credit and before >> 16 != self.brought >> 16:
            self.send(level, b"\x10" + varint(self.brought + (1 << 20)) +
                      (b"\x11" + varint(stream) + varint(len(self.streams[stream]) + (1 << 18))))

    def cut(self, stream, code):
        """RESET_STREAM, and STOP_SENDING where the door writes to the stream too."""
        frames = b"\x04" + varint(stream) + varint(code) + varint(self.sent.get(stream, 0))
        self.send(ONE_RTT, frames if stream & 2 else frames + b"\x05" + varint(stream) + varint(code))

    def write_datagram(self, data):
        """A DATAGRAM frame (RFC 9221)."""
        self.send(ONE_RTT, b"\x31" + varint(len(data)) + data)

    # In

    def until(self, condition, what):
        """Take packets until the condition holds. Raises Closed when the door closes the connection."""
        end = time.monotonic() + self.timeout
        while not condition():
            left = end - time.monotonic()
            assert left > 0, f"waited {self.timeout:.0f} s for {what}"
            self.sock.settimeout(left)
            try:
                self.datagram(self.sock.recv(65536))
            except TimeoutError:
                continue
            self.acknowledge()

    def datagram(self, data):
        while data:
            if not data[0] & 0x80:
                self.packet(ONE_RTT, data, 1 + len(self.scid))
                return
            r = Reader(data)
            r.take(5)
            r.take(r.number(1))
            scid = r.take(r.number(1))
            kind = data[0] >> 4 & 3
            if kind == RETRY:
                self.retry(scid, data[r.at:-16])
                return
            if kind == LONG[INITIAL]:
                r.take(r.varint())
            size = r.varint()
            at, whole = r.at, r.at + size
            self.dcid = scid
            self.packet(INITIAL if kind == LONG[INITIAL] else HANDSHAKE, data[:whole], at)
            data = data[whole:]

    def retry(self, scid, token):
        assert not self.retried, "a second Retry"
        self.retried, self.token, self.dcid = True, token, scid
        space = self.spaces[INITIAL]
        space.mine, space.theirs = initial_keys(scid)
        self.send(INITIAL, crypto_frame(self.tls.hello))

    def packet(self, level, data, at):
        space = self.spaces[level]
        if space.theirs is None:
            return  # its keys are not known yet, or no more
        try:
            number, payload = space.theirs.open(data, at, max(space.seen, default=-1))
        except InvalidTag:
            return
        fresh = number not in space.seen
        space.seen.add(number)
        r = Reader(payload)
        while fresh and r.left():
            self.frame(level, r)

    def frame(self, level, r):
        kind = r.varint()
        if kind == 0x00:
            return
        if kind not in (0x02, 0x03, 0x1c, 0x1d):
            self.spaces[level].owes_ack = True
        if kind in (0x02, 0x03):
            r.varint(), r.varint()
            count = r.varint()
            for _ in range(1 + 2 * count + (3 if kind == 3 else 0)):
                r.varint()
        elif kind == 0x04:
            stream, code = r.varint(), r.varint()
            r.varint()
            self.reset[stream] = code
        elif kind == 0x05:
            stream = r.varint()
            self.stopped[stream] = r.varint()
        elif kind == 0x11:
            stream = r.varint()
            self.credit[stream] = r.varint()
        elif kind == 0x06:
            offset, data = r.varint(), r.take(r.varint())
            self.crypto(level, offset, data)
        elif kind == 0x07:
            r.take(r.varint())
        elif 0x08 <= kind <= 0x0f:
            stream, offset = r.varint(), r.varint() if kind & 4 else 0
            data = r.take(r.varint() if kind & 2 else r.left())
            self.stream_data(level, stream, offset, data, kind & 1)
        elif kind == 0x12:
            self.most_streams = r.varint()
        elif kind == 0x18:
            r.varint(), r.varint()
            r.take(r.number(1) + 16)
        elif kind == 0x1a:
            self.send(level, b"\x1b" + r.take(8))
        elif kind in (0x1c, 0x1d):
            code = r.varint()
            if kind == 0x1c:
                r.varint()
            raise Closed(code, kind == 0x1d, r.take(r.varint()).decode(errors="replace"))
        elif kind == 0x1e:
            self.done = True
        elif kind in (0x30, 0x31):
            self.flows.append(r.take(r.varint() if kind & 1 else r.left()))
        else:
            # PING; MAX_DATA and the BLOCKED frames; frames with an id and a number
            for _ in range({0x01: 0, 0x10: 1, 0x13: 1, 0x14: 1, 0x16: 1, 0x17: 1, 0x19: 1, 0x15: 2}[kind]):
                r.varint()

    def stream_data(self, level, stream, offset, data, fin):
        """What came too early, for a packet that was lost, waits."""
        early = self.early.setdefault(stream, {})
        early[offset] = data
        if fin:
            self.last[stream] = offset + len(data)
        whole = self.streams.setdefault(stream, b"")
        for at in sorted(early):
            if at > len(whole):
                break
            whole += early.pop(at)[len(whole) - at:]
        fresh = len(whole) - len(self.streams[stream])
        self.streams[stream] = whole
        self.give_credit(level, stream, fresh)
        if len(whole) == self.last.get(stream):
            self.ended.add(stream)

    def crypto(self, level, offset, data):
        space = self.spaces[level]
        space.crypto[offset] = data
        whole = b"".join(data for at, data in sorted(space.crypto.items()))
        while level != ONE_RTT and len(whole) - space.used >= 4:
            size = int.from_bytes(whole[space.used + 1:space.used + 4], "big")
            if len(whole) - space.used - 4 < size:
                return
            start = space.used
            space.used += 4 + size
            said = self.tls.take(whole[start], whole[start + 4:space.used])
            for known, (mine, theirs) in self.tls.secrets.items():
                if self.spaces[known].theirs is None:
                    self.spaces[known].mine, self.spaces[known].theirs = Keys(mine), Keys(theirs)
            for at in range(0, len(said or b""), 1000):
                self.send(HANDSHAKE, crypto_frame(said[at:at + 1000], at))


def ask(target, **more):
    """The hello of a tunnel: doc/internals/tunnel-protocol.md."""
    return vector(2, json.dumps({"v": 1, "target": target, **more}).encode())


def answered(connection, stream):
    """The door's answer on a stream, and what came behind it."""
    def whole():
        data = connection.streams.get(stream, b"")
        return len(data) >= 2 and len(data) >= 2 + int.from_bytes(data[:2], "big")
    connection.until(whole, "the door's answer")
    data = connection.streams[stream]
    size = 2 + int.from_bytes(data[:2], "big")
    return json.loads(data[2:size]), data[size:]
