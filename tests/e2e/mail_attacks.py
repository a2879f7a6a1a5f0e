# SPDX-License-Identifier: Apache-2.0
"""What a man in the middle makes of the words of a server of mail or news, before TLS begins: for middle.py."""
import re

TLS = b"\x16\x03"


def strip(data):
    """The offer is taken out, lines stay as many."""
    return re.sub(rb"STARTTLS|STLS", b"XXXXXXXX", data)


def inject(protocol):
    """An answer more behind the one that begins TLS."""
    begins = {"imap": rb"(s OK .*\r\n)", "pop3": rb"(\+OK Begin TLS.*\r\n)", "managesieve": rb"(OK \"Begin TLS.*\r\n)",
              "nntp": rb"(382 .*\r\n)"}.get(protocol, rb"(220 2\.0\.0 .*\r\n)")
    return lambda data: re.sub(begins, rb"\g<1>250 injected\r\n", data)


def refuse(protocol):
    """The server cannot begin TLS now."""
    begins = {"imap": (rb"s OK ", b"s NO "), "pop3": (rb"\+OK Begin TLS", b"-ERR Begin TLS"),
              "managesieve": (rb"OK \"Begin TLS", b"NO \"Begin TLS"), "nntp": (rb"382 ", b"580 ")}
    found, instead = begins.get(protocol, (rb"220 2\.0\.0 ", b"454 4.7.0 "))
    return lambda data: re.sub(found, instead, data)


def greet_with(line):
    """Another greeting."""
    return lambda data: re.sub(rb"\A(\* OK|220|\+OK|200) .*\r\n", line, data) if not data.startswith(TLS) else data
