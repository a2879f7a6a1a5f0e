# SPDX-License-Identifier: Apache-2.0
"""Capsules (RFC 9297), written down once more and apart from the door's: for tests of UDP over HTTP."""


def varint(value, size=None):
    """RFC 9000, 16; `size` bytes, or as few as will do."""
    bits, least = next((bits, size) for bits, size in enumerate((1, 2, 4, 8)) if value < 1 << (8 * size - 2))
    size = size or least
    return (value | {1: 0, 2: 1, 4: 2, 8: 3}[size] << (8 * size - 2)).to_bytes(size, "big")


def capsule(kind, value):
    return varint(kind) + varint(len(value)) + value


def datagram(payload, context=0):
    return capsule(0, varint(context) + payload)


class Reader:
    """Takes bytes, gives the payloads of whole datagrams."""

    def __init__(self):
        self.data = b""

    def number(self, at):
        if at >= len(self.data):
            return None, at
        size = 1 << (self.data[at] >> 6)
        if at + size > len(self.data):
            return None, at
        return int.from_bytes(self.data[at:at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size

    def feed(self, data):
        self.data += data
        payloads = []
        while True:
            kind, at = self.number(0)
            size, at = self.number(at) if kind is not None else (None, at)
            if size is None or at + size > len(self.data):
                return payloads
            value, self.data = self.data[at:at + size], self.data[at + size:]
            assert kind == 0 and value[:1] == b"\0", (kind, value[:8])
            payloads.append(value[1:])
