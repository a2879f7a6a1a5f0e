# SPDX-License-Identifier: Apache-2.0
"""Encrypted ClientHello by the ECHConfigs that the DNS tells, by DNS over HTTPS: `cardea connect`, and backends."""
import re
import shutil
import socket
from pathlib import Path

import pytest

import doh
import ech
import tls
from capture import Capture
from ech_door import NAME, PUBLIC, door, keys, names  # noqa: F401
from pebble import Named
from pki import CA
from run import CARDEA, SLOW, run, wait_until


@pytest.fixture
def resolver(pki):
    server = doh.Resolver(pki.server("localhost"))
    yield server
    server.stop()


@pytest.fixture
def asks(door, connect, resolver, pki, banner):
    """asks(setting): `cardea connect` with that setting of --ech."""
    def call(setting="require", *words):
        return connect(door, "--ech", setting, "--doh", resolver.url, "--doh-ca", pki.ca.file, "--transport", "tcp", *words,
                       f"127.0.0.1:{banner.port}", name=NAME)
    return call


def origin(door):
    """The name that the records of the door have: it is at another port than 443 (RFC 9460, 9.1)."""
    return f"_{door.port}._https.{NAME}"


def good(done):
    return (done.returncode, done.stdout) == (0, b"behind the door\n")


def test_told(door, keys, resolver, asks):
    """The DNS is asked for the name and the port; nobody on the way sees the name."""
    resolver.records[origin(door)] = [(doh.HTTPS, doh.https(alpn="h2", ech=ech.configs(keys)[-1]))]
    door.mark()
    capture = Capture(door.port)
    done = asks()
    packets = capture.end()
    assert good(done) and done.stderr == b"", done.stderr
    assert door.audited(ech="accepted")["sni"] == NAME
    assert NAME.encode() not in packets
    assert resolver.asked == [origin(door)]


def test_forms(door, keys, resolver, asks):
    """Names that stand for others; of several records the one that is for this host and port, known in all it demands, and
    wanted most."""
    config, stale = ech.configs(keys)[-1], ech.damaged(ech.configs(keys)[-1])
    rows = [(doh.HTTPS, doh.https(1, "elsewhere.test", ech=stale)), (doh.HTTPS, doh.https(2, ech=stale, port=1)),
            (doh.HTTPS, doh.https(3, ech=stale, mandatory=[9], p9=b"")), (doh.HTTPS, doh.https(4, alpn="h3")),
            (doh.HTTPS, doh.https(6, ech=stale)), (doh.HTTPS, doh.https(5, NAME, ech=config, port=door.port))]
    for records in ({origin(door): rows},
                    {origin(door): [(doh.CNAME, "web.test")], "web.test": rows},
                    {origin(door): [(doh.HTTPS, doh.https(0, "pool.test"))], "pool.test": [(doh.CNAME, "web.test")], "web.test": rows}):
        resolver.records = records
        door.mark()
        done = asks()
        assert good(done) and done.stderr == b"", done.stderr
        assert len(door.audited(ech="accepted", count=1)) > 0


def test_stale(door, keys, resolver, asks):
    """The door tells its keys as ever; the DNS will, too, in its time: nobody need hear of it."""
    resolver.records[origin(door)] = [(doh.HTTPS, doh.https(ech=ech.damaged(ech.configs(keys)[-1])))]
    done = asks()
    assert good(done) and done.stderr == b"", done.stderr


def resolver_below(pki, directory, has_good):
    """Its CA is below the door's. Of that CA it sends a certificate that has expired, and after it the good one or none."""
    between = CA(directory, "Between", issuer=pki.ca)
    cert = between.issue("localhost", dns=["localhost"])
    shutil.copy(directory / "ca.key", directory / "old.key")
    pki.ca.sign(directory / "old", "Between", "basicConstraints = critical, CA:true\nkeyUsage = critical, keyCertSign\n",
                start=-2 * 86400, end=-3600)
    good = Path(between.file).read_text()
    leaf = Path(cert.certificate).read_text().replace(good, "")
    Path(cert.certificate).write_text(leaf + (directory / "old.pem").read_text() + (good if has_good else ""))
    return doh.Resolver(cert)


@pytest.mark.parametrize("has_good", [True, False])
def test_every_path_to_the_resolver_is_tried(door, keys, connect, pki, banner, tmp_path, has_good):
    """A certificate that has expired does not hide the good one behind it; where it is alone nothing is asked."""
    resolver = resolver_below(pki, tmp_path / "between", has_good)
    resolver.records[origin(door)] = [(doh.HTTPS, doh.https(ech=ech.configs(keys)[-1]))]
    done = connect(door, "--ech", "require", "--doh", resolver.url, "--doh-ca", pki.ca.file, "--transport", "tcp",
                   f"127.0.0.1:{banner.port}", name=NAME)
    resolver.stop()
    assert good(done) == has_good, done.stderr
    assert resolver.asked == ([origin(door)] if has_good else [])
    assert has_good or b"certificate 'Between' has expired" in done.stderr


BROKEN = {
    "no record": lambda: [],
    "no config for us": lambda: [(doh.HTTPS, doh.https(ech="AAX+DgABAA=="))],
}


@pytest.mark.parametrize("what", BROKEN)
def test_none(door, resolver, asks, what):
    """`auto` goes on without a word, for there is nothing to go by; `require` does not."""
    resolver.records[origin(door)] = BROKEN[what]()
    door.mark()
    done = asks("auto")
    assert good(done) and done.stderr == b"", done.stderr
    assert door.audited(route="tunnel")["ech"] == "not_ours"
    done = asks("require")
    assert done.returncode == 1 and b"without Encrypted ClientHello (--ech): no config is known: the DNS has no ECH config" in done.stderr


@pytest.mark.parametrize("trouble", ["status", "code", "circle", "broken", "nobody"])
def test_not_told(door, keys, resolver, asks, trouble):
    """The name goes in the clear with `auto`, which is said; with `require` nothing goes."""
    resolver.records[origin(door)] = [(doh.HTTPS, doh.https(ech=ech.configs(keys)[-1]))]
    if trouble == "status":
        resolver.status = 503
    elif trouble == "code":
        resolver.code = 2
    elif trouble == "circle":
        resolver.records[origin(door)] = [(doh.HTTPS, doh.https(0, origin(door)))]
    elif trouble == "broken":
        resolver.records[origin(door)] = [(doh.HTTPS, b"\0\1")]
    else:
        resolver.stop()
    done = asks("auto")
    assert good(done) and b"went in the clear: no ECH config is known: " in done.stderr, done.stderr
    capture = Capture(door.port)
    done = asks("require", "--transport", "auto")
    assert done.returncode == 1 and b"without Encrypted ClientHello (--ech): no config is known: " in done.stderr, done.stderr
    assert NAME.encode() not in capture.end()


def test_words(connect, door):
    for words, why in ((["--ech", "auto"], b"Give --doh URL"), (["--ech", "auto", "--doh", "http://a.test/"], b"expected https://")):
        done = connect(door, *words, "127.0.0.1:1")
        assert done.returncode == 1 and why in done.stderr, done.stderr


@pytest.fixture
def bind(pki, door, keys, tmp_path):
    """It has the door's record, and tells of it over HTTPS."""
    server = Named(tmp_path, "ech.test", pki.server("localhost"))
    server.add(f"{origin(door)}. HTTPS 1 . alpn=h2 ech={ech.configs(keys)[-1]}")
    yield server.start()
    server.stop()


def test_bind(start_door, connect, pki, door, banner, bind):
    """A resolver that speaks HTTP/2 and nothing else: all who ask by HTTPS reach it."""
    words = ["--doh", bind.url, "--doh-ca", pki.ca.file]
    done = connect(door, "--ech", "require", *words, "--transport", "tcp", f"127.0.0.1:{banner.port}", name=NAME)
    assert good(done) and done.stderr == b"", done.stderr
    done = run(CARDEA, "check", "--ca", pki.ca.file, "--name", NAME, *words, "--expect", "ech=accepted", door.address)
    assert b"accepted" in done.stdout and b"EXPECTED" not in done.stdout, done.stdout + done.stderr
    assert reached(start_door(front(pki, door, bind, "require")), door)["ech"] == "accepted"


# Backends ---------------------------------------------------------------------------------------------------------

def front(pki, door, resolver, setting):
    """A door in front of `door`, by its name."""
    return {"certificates": [pki.server("a.test").row()], "workers": 1, "trust": [{"name": "inside", "ca": [pki.ca.file]}],
            "doh": {"url": resolver.url, "ca": str(pki.ca.file)},
            "routes": [{"name": "a", "terminate": {"to": door.address, "tls": {"name": NAME, "trust": "inside", "ech": setting}}}]}


def reached(start, door):
    """What `door` says of a connection through the other one; the client's first connection of that, if it takes two."""
    door.mark()
    with tls.connect(start, "a.test") as sock:
        assert tls.read_exactly(sock, 16) == b"behind the door\n"
    return door.audited(action="terminate")


def test_backend(start_door, pki, door, keys, resolver):
    resolver.records[origin(door)] = [(doh.HTTPS, doh.https(ech=ech.configs(keys)[-1]))]
    start = start_door(front(pki, door, resolver, "require"))
    line = reached(start, door)
    assert (line["ech"], line["sni"], line["outer_sni"]) == ("accepted", NAME, PUBLIC)
    start.reload()
    assert resolver.asked == [origin(door)], "what is known is not asked again"


def test_backend_rotates(start_door, pki, door, keys, resolver):
    """When the record's time is over it is asked for again; where nobody answers, what was known holds."""
    resolver.ttl = 1
    resolver.records[origin(door)] = [(doh.HTTPS, doh.https(ech=ech.damaged(ech.configs(keys)[-1])))]
    start = start_door(front(pki, door, resolver, "require"))
    resolver.records[origin(door)] = [(doh.HTTPS, doh.https(ech=ech.configs(keys)[-1]))]
    wait_until(lambda: len(resolver.asked) > 1, "the DNS to be asked again", 20)
    resolver.status = 503
    wait_until(lambda: len(resolver.asked) > 2, "the DNS to be asked again", 20)
    assert reached(start, door)["ech"] == "accepted"


def test_wrap(start_wrap, pki, door, keys, resolver):
    resolver.records[origin(door)] = [(doh.HTTPS, doh.https(ech=ech.configs(keys)[-1]))]
    wrap = start_wrap("client", door.address, "--ca", pki.ca.file, "--expect", NAME, "--ech", "require", "--doh", resolver.url,
                      "--doh-ca", pki.ca.file)
    door.mark()
    with socket.create_connection(("127.0.0.1", wrap.port), 10 * SLOW) as sock:
        assert sock.recv(16) == b"behind the door\n"
    assert door.audited(ech="accepted")["sni"] == NAME


def test_backend_none(start_door, pki, door, resolver):
    assert reached(start_door(front(pki, door, resolver, "auto")), door)["ech"] == "not_ours"
    start = start_door(front(pki, door, resolver, "require"))
    with tls.connect(start, "a.test") as sock, pytest.raises(OSError):
        sock.recv(16)
    assert "no config is known: the DNS has no ECH config" in start.audited(route="a")["detail"]


def untold(door):
    metrics = door.get("/metrics")[1]
    return int(re.search(r"^cardea_ech_backends_untold (\d+)$", metrics, re.M)[1])


def test_backend_untold(start_door, pki, door, keys, resolver):
    """Where the DNS does not tell, the door says so, once; and when it tells again."""
    resolver.status = 503
    start = start_door(front(pki, door, resolver, "auto"))
    assert reached(start, door)["ech"] == "not_ours"
    wait_until(lambda: "its name goes in the clear" in start.process.output(), start.process.output, 10)
    assert untold(start) == 1
    start.reload()
    wait_until(lambda: len(resolver.asked) > 1, "the DNS to be asked again", 20)
    assert start.process.output().count(f"the DNS does not tell the ECH config of {NAME}: {resolver.url}: answers with status 503") == 1
    resolver.ttl = 1
    resolver.records[origin(door)] = [(doh.HTTPS, doh.https(ech=ech.configs(keys)[-1]))]
    resolver.status = 200
    wait_until(lambda: f"the DNS tells the ECH config of {NAME} again" in start.process.output(), start.process.output, 20)
    assert untold(start) == 0
    resolver.status = 503
    wait_until(lambda: "what it told before holds" in start.process.output(), start.process.output, 20)
    assert untold(start) == 1 and reached(start, door)["ech"] == "accepted"
