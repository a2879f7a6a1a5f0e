#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""RFC 9261 once more, from its text and with another library, sharing nothing with src/tls/authenticator.c.

    authenticator_reference.py vectors        print the vectors that test_authenticator.c reads
    authenticator_reference.py verify FILE    judge what test_authenticator.c has made; one word a block

A block is lines of KEY: VALUE, bytes in hexadecimal, with an empty line behind it."""
import datetime
import hashlib
import hmac
import os
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

HASH = {32: hashlib.sha256, 48: hashlib.sha384}
SCHEMES = {
    0x0403: (ec.SECP256R1, hashes.SHA256),
    0x0503: (ec.SECP384R1, hashes.SHA384),
    0x0603: (ec.SECP521R1, hashes.SHA512),
    0x0804: (None, hashes.SHA256),
    0x0805: (None, hashes.SHA384),
    0x0806: (None, hashes.SHA512),
    0x0807: (None, None),
}
CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, CLIENT_CERTIFICATE_REQUEST, FINISHED = 11, 13, 15, 17, 20


def vector(width, data):
    return len(data).to_bytes(width, "big") + data


def message(kind, body):
    return bytes([kind]) + vector(3, body)


def request(sender, context, schemes):
    """What the other end asks `sender` for (section 4)."""
    algorithms = b"".join(s.to_bytes(2, "big") for s in schemes)
    extensions = (13).to_bytes(2, "big") + vector(2, vector(2, algorithms))
    kind = CERTIFICATE_REQUEST if sender == "client" else CLIENT_CERTIFICATE_REQUEST
    return message(kind, vector(1, context) + vector(2, extensions))


def certificate(context, chain):
    entries = b"".join(vector(3, der) + vector(2, b"") for der in chain)
    return message(CERTIFICATE, vector(1, context) + vector(3, entries))


class Connection:
    def __init__(self, context, finished):
        self.context, self.finished = context, finished
        self.hash = HASH[len(context)]

    def transcript(self, *messages):
        return self.hash(self.context + b"".join(messages)).digest()

    def mac(self, *messages):
        return message(FINISHED, hmac.new(self.finished, self.transcript(*messages), self.hash).digest())

    def signed(self, asked, cert):
        return b" " * 64 + b"Exported Authenticator" + b"\0" + self.transcript(asked, cert)


def pss(digest):
    return padding.PSS(padding.MGF1(digest()), digest.digest_size)


def sign(key, scheme, data):
    _, digest = SCHEMES[scheme]
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, pss(digest), digest())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(digest()))
    return key.sign(data)


def check(key, scheme, signature, data):
    curve, digest = SCHEMES[scheme]
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, pss(digest), digest())
    elif isinstance(key, ec.EllipticCurvePublicKey):
        assert isinstance(key.curve, curve), "a curve of another scheme"
        key.verify(signature, data, ec.ECDSA(digest()))
    else:
        assert scheme == 0x0807
        key.verify(signature, data)


def make(connection, asked, context, chain, key, scheme):
    if not chain:
        return connection.mac(asked, certificate(context, []))
    cert = certificate(context, chain)
    signature = sign(key, scheme, connection.signed(asked, cert))
    verify = message(CERTIFICATE_VERIFY, scheme.to_bytes(2, "big") + vector(2, signature))
    return cert + verify + connection.mac(asked, cert, verify)


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, n):
        assert n <= len(self.data), "cut off"
        head, self.data = self.data[:n], self.data[n:]
        return head

    def uint(self, n):
        return int.from_bytes(self.take(n), "big")

    def vector(self, n):
        return self.take(self.uint(n))

    def message(self):
        whole = self.data
        kind, body = self.uint(1), self.vector(3)
        return kind, body, whole[:len(whole) - len(self.data)]


def judge(connection, asked, made):
    r = Reader(made)
    kind, body, first = r.message()
    context = Reader(Reader(asked).message()[1]).vector(1) if asked else None
    if kind == FINISHED:
        good = hmac.compare_digest(first, connection.mac(asked, certificate(context, [])))
        return "refused" if good and not r.data else "bad"
    assert kind == CERTIFICATE
    c = Reader(body)
    assert c.vector(1) == context or not asked, "another context"
    leaf = Reader(c.vector(3)).vector(3)
    kind, body, verify = r.message()
    assert kind == CERTIFICATE_VERIFY
    v = Reader(body)
    scheme, signature = v.uint(2), v.vector(2)
    key = x509.load_der_x509_certificate(leaf).public_key()
    check(key, scheme, signature, connection.signed(asked, first))
    _, _, finished = r.message()
    good = hmac.compare_digest(finished, connection.mac(asked, first, verify)) and not r.data and not v.data
    return "good" if good else "bad"


def leaf_for(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vector")])
    start = datetime.datetime(2026, 1, 1)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(start)
            .not_valid_after(start.replace(year=2126)).sign(key, digest))
    return cert.public_bytes(serialization.Encoding.DER)


def print_vector(name, sender, size, scheme, key, asked, empty=False):
    connection = Connection(os.urandom(size), os.urandom(size))
    context = os.urandom(32) if asked else os.urandom(16)
    question = request(sender, context, [scheme, 0x0807]) if asked else b""
    chain = [] if empty else [leaf_for(key)]
    made = make(connection, question, context, chain, key, scheme)
    print(f"name: {name}\nsender: {sender}\ncontext: {connection.context.hex()}\nfinished: {connection.finished.hex()}")
    print(f"request: {question.hex()}\nschemes: {scheme:04x}\nauthenticator: {made.hex()}")
    print(f"leaf: {b''.join(chain).hex()}\nverdict: {'refused' if empty else 'good'}\n")


def vectors():
    p256, p384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
    edwards, big = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
    print("# Made by authenticator_reference.py vectors\n")
    print_vector("client, ECDSA P-256, SHA-256", "client", 32, 0x0403, p256, True)
    print_vector("client, ECDSA P-384, SHA-384", "client", 48, 0x0503, p384, True)
    print_vector("client, RSA-PSS, SHA-256", "client", 32, 0x0804, big, True)
    print_vector("server, asked, Ed25519", "server", 32, 0x0807, edwards, True)
    print_vector("server, not asked, ECDSA P-256, SHA-384", "server", 48, 0x0403, p256, False)
    print_vector("client, empty", "client", 32, 0x0403, p256, True, empty=True)


def blocks(text):
    for block in text.split("\n\n"):
        lines = [line.split(":", 1) for line in block.splitlines() if line and not line.startswith("#")]
        if lines:
            yield {key: value.strip() for key, value in lines}


def verify(path):
    for b in blocks(open(path).read()):
        try:
            connection = Connection(bytes.fromhex(b["context"]), bytes.fromhex(b["finished"]))
            print(judge(connection, bytes.fromhex(b["request"]), bytes.fromhex(b["authenticator"])))
        except (AssertionError, InvalidSignature) as e:
            print("bad", repr(e))


if __name__ == "__main__":
    if sys.argv[1:] == ["vectors"]:
        vectors()
    elif len(sys.argv) == 3 and sys.argv[1] == "verify":
        verify(sys.argv[2])
    else:
        sys.exit(__doc__)
