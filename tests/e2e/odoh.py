# SPDX-License-Identifier: Apache-2.0
"""Proxy and target of Oblivious DNS over HTTPS (RFC 9230) for tests, with HPKE (RFC 9180) of their own."""
import hashlib
import hmac
import http.client
import os
import ssl
import struct
import urllib.parse

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import doh
from run import SLOW

TYPE = "application/oblivious-dns-message"
KEM, SUITE = b"KEM\0\x20", b"HPKE\0\x20\0\1\0\1"    # X25519, HKDF-SHA256, AES-128-GCM
PROXY_ADDRESS = "127.0.0.2"


def extract(salt, secret):
    return hmac.digest(salt or bytes(32), secret, hashlib.sha256)


def expand(key, info, length):
    made, block = b"", b""
    while len(made) < length:
        block = hmac.digest(key, block + info + bytes([len(made) // 32 + 1]), hashlib.sha256)
        made += block
    return made[:length]


def labeled_extract(suite, salt, label, secret):
    return extract(salt, b"HPKE-v1" + suite + label + secret)


def labeled_expand(suite, key, label, info, length):
    return expand(key, struct.pack("!H", length) + b"HPKE-v1" + suite + label + info, length)


def vector(data):
    return struct.pack("!H", len(data)) + data


def vectors(data):
    """The vectors that it is made of."""
    found = []
    while data:
        length = struct.unpack("!H", data[:2])[0]
        assert len(data) >= 2 + length
        found.append(data[2:2 + length])
        data = data[2 + length:]
    return found


class Key:
    """A target's, and what it is published as."""

    def __init__(self):
        self.private = X25519PrivateKey.generate()
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        contents = struct.pack("!HHH", 0x20, 1, 1) + vector(self.public)
        self.id = expand(extract(b"", contents), b"odoh key id", 32)
        newer = struct.pack("!H", 2) + vector(b"of a version that nobody knows")
        self.configs = vector(newer + struct.pack("!H", 1) + vector(contents))

    def context(self, enc):
        """SetupBaseR(enc, key, "odoh query"): key, nonce and exporter secret."""
        shared = labeled_extract(KEM, b"", b"eae_prk", self.private.exchange(X25519PublicKey.from_public_bytes(enc)))
        shared = labeled_expand(KEM, shared, b"shared_secret", enc + self.public, 32)
        info = b"\0" + labeled_extract(SUITE, b"", b"psk_id_hash", b"") + labeled_extract(SUITE, b"", b"info_hash", b"odoh query")
        secret = labeled_extract(SUITE, shared, b"secret", b"")
        return (labeled_expand(SUITE, secret, label, info, length) for label, length in ((b"key", 16), (b"base_nonce", 12), (b"exp", 32)))


class Target(doh.Resolver):
    """Answers what is sealed for `key`; `peers`: from where it was asked."""
    TYPE = TYPE

    def __init__(self, cert, ttl=300):
        self.key, self.peers, self.headers = Key(), set(), []
        super().__init__(cert, ttl)

    def respond(self, request, body):
        self.peers.add(request.client_address[0])
        self.headers.append(request.headers)
        assert request.path == "/dns-query" and request.headers["Content-Type"] == TYPE and body[0] == 1
        key_id, sealed = vectors(body[1:])
        if key_id != self.key.id:
            return 401, "text/plain", b""
        return self.status, TYPE, self.seal(key_id, sealed)

    def seal(self, key_id, sealed):
        key, nonce, exporter = self.key.context(sealed[:32])
        plain = AESGCM(key).decrypt(nonce, sealed[32:], b"\1" + vector(key_id))
        question, padding = vectors(plain)
        assert len(plain) % 128 == 0 and not any(padding)
        answer, fresh = self.answer(question), os.urandom(16)
        derived = extract(plain + vector(fresh), labeled_expand(SUITE, exporter, b"sec", b"odoh response", 16))
        text = AESGCM(expand(derived, b"odoh key", 16)).encrypt(
            expand(derived, b"odoh nonce", 12), vector(answer) + vector(bytes(-(len(answer) + 4) % 468)), b"\2" + vector(fresh))
        return b"\2" + vector(fresh) + vector(text)


class Proxy(doh.Server):
    """Passes on to whoever is asked for, from an address of its own. `seen`: the bodies; `spoil`: makes another answer of a
    (status, type, body)."""

    def __init__(self, cert, ca):
        self.seen, self.headers, self.spoil = [], [], lambda *answer: answer
        self.context = ssl.create_default_context(cafile=ca)
        super().__init__(cert)

    @property
    def template(self):
        return f"https://{self.host}/proxy{{?targethost,targetpath}}"

    def respond(self, request, body):
        self.seen.append(body)
        self.headers.append(request.headers)
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query, strict_parsing=True)
        target = http.client.HTTPSConnection(asked["targethost"][0], context=self.context, source_address=(PROXY_ADDRESS, 0),
                                             timeout=10 * SLOW)
        try:
            target.request("POST", asked["targetpath"][0], body, {"Content-Type": TYPE, "Accept": TYPE})
            answer = target.getresponse()
            return self.spoil(answer.status, answer.headers["Content-Type"], answer.read())
        finally:
            target.close()
