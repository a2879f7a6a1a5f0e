# SPDX-License-Identifier: Apache-2.0
"""A client of cardea/1 that computes Exported Authenticators (RFC 9261) itself: from the secrets that the TLS library logs, by
tests/unit/authenticator_reference.py."""
import hashlib
import hmac
import json
import struct
import sys
import time
from pathlib import Path

import tls
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from run import SLOW

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import authenticator_reference as reference  # noqa: E402


def expand_label(secret, label, context, size, name):
    label = b"tls13 " + label
    info = struct.pack("!HB", size, len(label)) + label + bytes([len(context)]) + context
    out, block = b"", b""
    while len(out) < size:
        block = hmac.digest(secret, block + info + bytes([len(out) // hashlib.new(name).digest_size + 1]), name)
        out += block
    return out[:size]


class Client:
    """A connection of cardea/1 whose exporter (RFC 8446, 7.5) is known."""

    def __init__(self, door, cert, directory):
        self.log = directory / f"keys-{time.monotonic_ns()}"
        ctx = tls.context(cert=cert, alpn=["cardea/1"], least=tls.ssl.TLSVersion.TLSv1_3)
        ctx.keylog_filename = str(self.log)
        self.sock = tls.connect(door, "door.test", ctx=ctx)
        self.sock.settimeout(20 * SLOW)

    def say(self, message, after=b""):
        text = json.dumps(message).encode()
        self.sock.sendall(struct.pack("!H", len(text)) + text + after)

    def hear(self):
        size = struct.unpack("!H", tls.read_exactly(self.sock, 2))[0]
        return json.loads(tls.read_exactly(self.sock, size))

    def ask(self, **hello):
        self.say({"v": 1, **hello})
        return self.hear()

    def works(self):
        self.sock.sendall(b"on!")
        return tls.read_exactly(self.sock, 3) == b"on!"

    def export(self, label):
        name = self.sock.cipher()[0].rsplit("_", 1)[1].lower()
        secret = next(bytes.fromhex(line.split()[2]) for line in self.log.read_text().splitlines()
                      if line.startswith("EXPORTER_SECRET "))
        size, empty = hashlib.new(name).digest_size, hashlib.new(name, b"").digest()
        return expand_label(expand_label(secret, label, empty, size, name), b"exporter", empty, size, name)

    def authenticate(self, asked, cert, *, empty=False):
        connection = reference.Connection(self.export(b"EXPORTER-client authenticator handshake context"),
                                          self.export(b"EXPORTER-client authenticator finished key"))
        context = reference.Reader(reference.Reader(asked).message()[1]).vector(1)
        key = serialization.load_pem_private_key(Path(cert.key).read_bytes(), None)
        leaf = x509.load_pem_x509_certificate(Path(cert.certificate).read_bytes())
        chain = [] if empty else [leaf.public_bytes(serialization.Encoding.DER)]
        return reference.make(connection, asked, context, chain, key, 0x0403)
