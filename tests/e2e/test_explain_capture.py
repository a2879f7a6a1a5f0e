# SPDX-License-Identifier: Apache-2.0
"""`cardea explain FILE`: what is captured from real clients is told as they and the door tell it themselves."""
import json
import os
import struct

import pytest

import pcaps
import tls
from capture import Capture
from peers import curl_door
from quic import Connection
from run import CARDEA, ROOT, free_port, run

SSL_REQUEST = struct.pack("!II", 8, 80877103)
PROXY_V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 443\r\n"


def explain(path, *flags, **options):
    return run(CARDEA, "explain", *flags, path, **options)


def told(path, *flags, **options):
    """One object for each hello; nothing is warned of."""
    done = explain(path, "--json", *flags, **options)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def door(tmp_path_factory, pki, banner):
    from door import Door
    behind = free_port()
    door = Door(tmp_path_factory.mktemp("door"), {}, listeners=[
        {"name": "behind", "address": f"127.0.0.1:{behind}", "proxy_protocol": {"from": ["127.0.0.1"]}}])
    door.behind = behind
    to = {"to": banner.to}
    door.configure({
        "certificates": [pki.server("door.test").row(), pki.server("*.tls.test").row(),
                         pki.server("*.tls.test", key="rsa").row()],
        "trust": [pki.trust()],
        "policy": [{"name": "all", "who": {"any": True}, "targets": ["127.0.0.0/8:*"]}],
        "routes": [
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "both", "sni": "both.tls.test", "terminate": {**to, "alpn": ["h2", "http/1.1"]}},
            {"name": "nist", "sni": "nist.tls.test", "tls": {"groups": ["P-384", "P-256"]}, "terminate": to},
            {"name": "new", "sni": "new.tls.test", "tls": {"min_version": "1.3"}, "terminate": to},
            {"name": "db", "first_bytes": "postgresql", "sni": "db.tls.test", "terminate": to},
        ]})
    door.start()
    yield door
    door.stop()


def captured(door, tmp_path, action, make=pcaps.pcap, **options):
    """A file of what `action` does to the door's ports."""
    capture = Capture(door.port, door.behind)
    try:
        action()
    finally:
        capture.end()
    path = tmp_path / "some.pcap"
    path.write_bytes(make(capture.packets, **options))
    return path


CLIENTS = {
    "1.3": ("both.tls.test", ["-alpn", "h2"]),
    "1.2": ("both.tls.test", ["-tls1_2"]),
    "1.2-rsa": ("both.tls.test", ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384", "-groups", "P-384"]),
    "another hello": ("nist.tls.test", ["-groups", "X25519:P-384"]),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_as_the_door_has_it(door, tmp_path, client):
    """Fingerprint, version, cipher and group are those of the audit line."""
    name, flags = CLIENTS[client]
    door.mark()
    path = captured(door, tmp_path, lambda: tls.s_client(door, name, *flags))
    hello, = told(path)
    line = door.audited(sni=name)
    answer = hello["answer"]
    assert (hello["client"], hello["sni"], hello["ja4"]) == (line["peer"], name, line["ja4"])
    assert [answer[key] for key in ("version", "cipher", "group", "resumed")] == [
        line[key] for key in ("version", "cipher", "group", "resumed")]
    assert answer.get("hello_retry_group") == ("P-384" if client == "another hello" else None)
    assert hello["transport"] == "tcp" and hello["complete"] and hello["post_quantum"] is False


def test_resumption(door, tmp_path):
    """By a ticket in TLS 1.2, by a pre-shared key in TLS 1.3; what the server made of it."""
    def resume():
        for flag in ("-tls1_2", "-tls1_3"):
            kept = tmp_path / flag
            tls.s_client(door, "both.tls.test", flag, "-sess_out", kept, until=b"behind the door")
            tls.s_client(door, "both.tls.test", flag, "-sess_in", kept)
    old, old_again, new, new_again = told(captured(door, tmp_path, resume))
    assert [one["answer"]["resumed"] for one in (old, old_again, new, new_again)] == [False, True, False, True]
    assert [one["ticket"] for one in (old, old_again, new)] == [False, True, False]
    assert [one["pre_shared_key"] for one in (old_again, new, new_again)] == [False, False, True]


def test_refused(door, tmp_path):
    """The alert that the door answers with."""
    hello, = told(captured(door, tmp_path, lambda: tls.s_client(door, "new.tls.test", "-tls1_2")))
    assert hello["answer"] == {"alert": "protocol_version"}


def test_before_tls(door, tmp_path, pki):
    """SSLRequest of PostgreSQL, and a PROXY header."""
    def both():
        with door.dial() as sock:
            sock.sendall(SSL_REQUEST)
            assert tls.read_exactly(sock, 1) == b"S"
            with tls.context(pki.ca.file).wrap_socket(sock, server_hostname="db.tls.test") as secured:
                tls.finish(secured)
        with door.dial(port=door.behind) as sock:
            sock.sendall(PROXY_V1)
            with tls.context(pki.ca.file).wrap_socket(sock, server_hostname="both.tls.test") as secured:
                tls.finish(secured)
    database, behind = told(captured(door, tmp_path, both))
    assert (database["sni"], database["starttls"]) == ("db.tls.test", "postgresql")
    assert behind["sni"] == "both.tls.test"
    assert behind["proxy"] == {"version": 1, "client": "192.0.2.1:1111", "server": "192.0.2.2:443"}


def test_cardea_over_quic(door, tmp_path, connect, banner):
    """Its hello has a post-quantum key share, so it takes several packets."""
    door.mark()
    path = captured(door, tmp_path, lambda: connect(door, "--transport", "quic", banner.to, input=b"", timeout=20))
    hello, = told(path, "--would", "pq=require")
    line = door.audited(sni="door.test", transport="quic", action="carrier")
    assert (hello["transport"], hello["quic_version"], hello["sni"]) == ("quic", "1", "door.test")
    assert (hello["ja4"], hello["client"]) == (line["ja4"], line["peer"]) and hello["ja4"].startswith("q13")
    assert hello["post_quantum_share"] and hello["answer"]["group"] == "X25519MLKEM768"
    assert hello["answer"]["cipher"] == line["cipher"]
    assert hello["would"] == [{"floor": "pq=require", "breaks": False}]


def test_quic_of_others(door, tmp_path, pki):
    """A client from the RFCs."""
    def talk():
        with Connection(door.port, "door.test", pki.alice):
            pass
    hello, = told(captured(door, tmp_path, talk))
    assert (hello["sni"], hello["alpn"], hello["groups"]) == ("door.test", ["cardea/1"], ["X25519"])
    assert hello["answer"]["version"] == "1.3"


@pytest.mark.parametrize("form", [{"make": pcaps.pcapng}, {"order": ">"}, {"nano": True}, {"order": ">", "nano": True}],
                         ids=["pcapng", "big-endian", "nanoseconds", "both"])
def test_forms(door, tmp_path, pki, form):
    """Whatever file it is, on standard input too."""
    def visit():
        curl_door(door, "https://both.tls.test/", "--http0.9", ca=pki.ca.file)
    path = captured(door, tmp_path, visit, **form)
    hello, = told(path)
    assert hello["sni"] == "both.tls.test" and hello["alpn"] == ["h2", "http/1.1"]
    assert hello["time"].startswith("2027-01-15T08:00:00.")
    with open(path, "rb") as file:
        assert told("-", stdin=file) == [hello]


def test_cut_off(door, tmp_path):
    """Frames of which only the beginning was captured: that is said, and what there is."""
    path = captured(door, tmp_path, lambda: tls.s_client(door, "both.tls.test"), snap=128)
    done = explain(path, "--json")
    hello = json.loads(done.stdout)
    assert done.returncode == 0 and not hello["complete"] and 0 < hello["have_bytes"] < hello["want_bytes"]
    assert b"frames were cut off when they were captured" in done.stderr


# Files that are checked in ----------------------------------------------------------------------------------------

GOLDEN = ROOT / "tests" / "capture"
WOULD = ["--would", "all", "--would", "ciphers=TLS_AES_256_GCM_SHA384"]


@pytest.mark.parametrize("name, flags", [
    ("text", []), ("json", ["--json", *WOULD]), ("summary", ["--summary", *WOULD]),
    ("summary-json", ["--summary", "--json", *WOULD])])
@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.pcap*")), ids=lambda path: path.stem)
def test_golden(path, name, flags):
    """What is told of each file in tests/capture/, to the letter. (CARDEA_UPDATE_GOLDEN=1 writes that anew.)"""
    done = explain(path, *flags)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    expected = GOLDEN / f"{path.stem}.{name}"
    if "CARDEA_UPDATE_GOLDEN" in os.environ:
        expected.write_bytes(done.stdout)
    assert done.stdout.decode() == expected.read_text()


# What goes wrong --------------------------------------------------------------------------------------------------

@pytest.fixture
def some(tmp_path):
    """A capture with a hello in it."""
    path = tmp_path / "some.pcap"
    path.write_bytes((GOLDEN / "clients.pcap").read_bytes())
    return path


@pytest.mark.parametrize("words, message", [
    (["--would", "min=1.4", "x"], "--would: found 'min=1.4', expected min_version=1.2, min_version=1.3, pq=require or ciphers=NAME:NAME, or all"),
    (["--max-flow", "1KiB", "x"], "--max-flow: found '1KiB', expected a size from 4KiB to 1GiB"),
    (["--max-memory", "many", "x"], "--max-memory: found 'many', expected a size from 1MiB to 1GiB"),
    ([], "which connection? Give --sni NAME, or the FILE of a capture"),
    (["-c", "door.yaml"], "which connection? --sni NAME is missing; 'none' is a client that sends none"),
    (["a", "b"], "one FILE is expected"),
    (9 * ["--would", "min=1.3"] + ["x"], "more than 8 times --would"),
    (5 * ["--would", "all"] + ["x"], "more than 8 times --would"),
])
def test_misused(words, message):
    done = run(CARDEA, "explain", *words)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[0] == f"cardea explain: {message}"


def test_no_such_file(tmp_path):
    done = explain(tmp_path / "none.pcap")
    assert done.returncode == 1
    assert done.stderr.decode() == f"cardea: {tmp_path}/none.pcap: No such file or directory\n"


@pytest.mark.parametrize("content", [b"", b"a text\n" * 100, b"\xd4\xc3\xb2\xa1"], ids=["empty", "text", "cut"])
def test_no_capture(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    done = explain(path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith(f"cardea: {path}: ") and "expected a capture (pcap or pcapng)" in done.stderr.decode()
    assert ("is empty" in done.stderr.decode()) == (content == b"")


def test_a_configuration_instead(tmp_path):
    path = tmp_path / "door.yaml"
    path.write_text("routes: []\n")
    done = explain(path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"{path}: is no capture, but a configuration" in done.stderr.decode() and f"'cardea explain -c {path} --sni NAME'" in done.stderr.decode()


def test_other_links(tmp_path):
    """IEEE 802.11."""
    path = tmp_path / "wifi.pcap"
    path.write_bytes(pcaps.pcap([], link=105))
    done = explain(path)
    assert done.returncode == 1
    assert done.stderr.decode() == f"cardea: {path}: frames of link type IEEE802_11 are not understood\n"


def test_broken_end(some):
    """What comes before is told."""
    some.write_bytes(some.read_bytes()[:-7])
    done = explain(some, "--json")
    assert done.returncode == 1 and len(done.stdout.splitlines()) > 3
    assert f"cardea: {some}: ".encode() in done.stderr


def test_nothing_found(tmp_path):
    path = tmp_path / "empty.pcap"
    path.write_bytes(pcaps.pcap([b"\0" * 64]))
    done = explain(path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"cardea: no ClientHello in 1 frames\n")


def test_without_libpcap(some, tmp_path):
    """Where the library is missing, or broken, it is said what to install; nothing else needs it."""
    for name in ("libpcap.so.0.8", "libpcap.so.1"):
        (tmp_path / name).write_bytes(b"no library")
    env = {"LD_LIBRARY_PATH": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = run(CARDEA, "explain", some, env=env)
    assert done.returncode == 1
    assert b"reading captures needs libpcap, which could not be loaded" in done.stderr
    assert b"(Debian: libpcap0.8; elsewhere: libpcap)" in done.stderr
    assert run(CARDEA, "version", env=env).returncode == 0


def segment(data, sequence=1, port=50000):
    """A frame from the client to the server with a segment of TCP."""
    tcp = struct.pack("!HHIIBBHHH", port, 443, sequence, 0, 0x50, 0x10, 0xffff, 0, 0) + data
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, bytes([192, 0, 2, 1]),
                     bytes([192, 0, 2, 2]))
    return bytes(12) + b"\x08\x00" + ip + tcp


def test_long_lists(tmp_path):
    """A hello of 80 KB with more groups and key shares than anybody has: people are shown some, JSON has all
    but GREASE."""
    def extension(kind, body):
        return struct.pack("!HH", kind, len(body)) + body
    groups = range(0x100, 0x100 + 15000)
    names = b"".join(struct.pack("!H", group) for group in groups)
    shares = b"".join(struct.pack("!HHB", 0x9000, 1, 0) for _ in range(7000))
    extensions = (extension(10, struct.pack("!H", len(names)) + names) +
                  extension(51, struct.pack("!H", len(shares)) + shares) + extension(43, b"\x02\x03\x04"))
    assert len(extensions) < 1 << 16
    body = b"\x03\x03" + bytes(33) + b"\x00\x02\x13\x01\x01\x00" + struct.pack("!H", len(extensions)) + extensions
    message = b"\x01" + struct.pack("!I", len(body))[1:] + body
    wire = tls.refragment(b"\x16\x03\x01" + bytes(2) + message, 16384)
    path = tmp_path / "long.pcap"
    path.write_bytes(pcaps.pcap([segment(wire[at:at + 30000], 1 + at, port) for port in range(1024, 1044)
                                 for at in range(0, len(wire), 30000)]))
    shown = explain(path).stdout.decode()
    assert shown.count(" and 14980 more\n") == 20, shown[:2000]
    [hello, *_] = told(path)
    assert len(hello["groups"]) == len(groups) - 4 and len(hello["key_shares"]) == 7000


def test_bounds(tmp_path):
    """Many hellos that never end, in little memory."""
    packets = []
    record = b"\x16\x03\x01\x3f\xff\x01\x00\x3f\xfb" + bytes(3000)
    for port in range(1024, 3024):
        packets.append(segment(record, port=port))
    path = tmp_path / "many.pcap"
    path.write_bytes(pcaps.pcap(packets))
    done = explain(path, "--json", "--max-memory", "1MiB")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2000
    assert b"connections were given up early for want of memory: raise --max-memory" in done.stderr
    assert explain(path, "--json").stderr == b""
