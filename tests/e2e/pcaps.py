# SPDX-License-Identifier: Apache-2.0
"""Capture files: pcap in any byte order and precision, and pcapng."""
import struct

ETHERNET = 1
BEGIN = 1_800_000_000   # when the first packet came, in seconds since 1970; each comes a millisecond after the other


def pcap(packets, *, link=ETHERNET, order="<", nano=False, snap=262144):
    """The bytes of a file; packets are cut off at `snap`."""
    data = struct.pack(order + "IHHiIII", 0xa1b23c4d if nano else 0xa1b2c3d4, 2, 4, 0, 0, snap, link)
    for at, packet in enumerate(packets):
        fraction = at % 1000 * (1_000_000 if nano else 1000)
        kept = packet[:snap]
        data += struct.pack(order + "IIII", BEGIN + at // 1000, fraction, len(kept), len(packet)) + kept
    return data


def block(kind, body):
    body += bytes(-len(body) % 4)
    size = 12 + len(body)
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def pcapng(packets, *, link=ETHERNET):
    """The same with a section, an interface and a comment that nobody reads."""
    comment = b"from a test"
    data = block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1) + struct.pack("<HH", 1, len(comment)) +
                 comment + bytes(-len(comment) % 4) + bytes(4))
    data += block(1, struct.pack("<HHI", link, 0, 262144))
    for at, packet in enumerate(packets):
        stamp = BEGIN * 1_000_000 + at * 1000
        data += block(6, struct.pack("<IIIII", 0, stamp >> 32, stamp & 0xffffffff, len(packet), len(packet)) + packet)
    return data
