#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ja4_reference.py FILE...: JA4 of captured ClientHellos (one or more TLS records each), written from FoxIO's description
and sharing nothing with src/hello/. Prints the rows that test_ja4.c expects."""
import hashlib
import os
import sys

GREASE = {n << 12 | 0xA00 | n << 4 | 0xA for n in range(16)}


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, n):
        if n > len(self.data):
            raise ValueError("truncated")
        head, self.data = self.data[:n], self.data[n:]
        return head

    def uint(self, n):
        return int.from_bytes(self.take(n), "big")

    def vector(self, n):
        return Reader(self.take(self.uint(n)))

    def u16s(self):
        values = []
        while self.data:
            values.append(self.uint(2))
        return [v for v in values if v not in GREASE]


def message_of(wire):
    records, message = Reader(wire), b""
    while records.data:
        kind, _ = records.uint(1), records.uint(2)
        if kind != 22:
            break
        message += records.vector(2).data
    return message


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def join(values):
    return ",".join(f"{v:04x}" for v in values)


def protocol_mark(name):
    if not name:
        return "00"
    marks = chr(name[0]), chr(name[-1])
    return "".join(marks) if all(m.isascii() and m.isalnum() for m in marks) else name.hex()[0] + name.hex()[-1]


def ja4(wire):
    header = Reader(message_of(wire))
    assert header.uint(1) == 1
    hello = header.vector(3)
    version = hello.uint(2)
    hello.take(32)
    hello.vector(1)
    ciphers = hello.vector(2).u16s()
    hello.vector(1)
    extensions = {}
    if hello.data:
        listed = hello.vector(2)
        while listed.data:
            kind = listed.uint(2)
            extensions[kind] = listed.vector(2)
    kinds = [k for k in extensions if k not in GREASE]
    if 43 in extensions:
        version = max(extensions[43].vector(1).u16s())
    signatures = extensions[13].vector(2).u16s() if 13 in extensions else []
    protocol = extensions[16].vector(2).vector(1).data if 16 in extensions else b""
    text = {0x304: "13", 0x303: "12", 0x302: "11", 0x301: "10", 0x300: "s3"}.get(version, "00")
    hashed = join(sorted(k for k in kinds if k not in (0, 16)))
    if signatures:
        hashed += "_" + join(signatures)
    return (
        f"t{text}{'d' if 0 in extensions else 'i'}{min(len(ciphers), 99):02}{min(len(kinds), 99):02}{protocol_mark(protocol)}"
        f"_{digest(join(sorted(ciphers)))}_{digest(hashed)}"
    )


for path in sys.argv[1:]:
    with open(path, "rb") as f:
        print(f'{{"{os.path.basename(path)}", "{ja4(f.read())}"}},')
