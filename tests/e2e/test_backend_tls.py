# SPDX-License-Identifier: Apache-2.0
"""TLS from the door to its backends: what a backend must prove, which versions and groups are spoken, and sessions that
resume. Spare connections: test_backend_spares.py."""
import base64
import hashlib
import shutil
import ssl
import time

import pytest

import peers
import tls
from peers import curl_door
from pki import openssl
from run import CARDEA, PACE, SLOW, Process, free_port, run, wait_listening

SPIFFE = "spiffe://example.test/app/web"


def pin(cert):
    """The pin of a certificate's key, by openssl."""
    key = openssl("pkey", "-in", cert.key, "-pubout", "-outform", "DER")
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


@pytest.fixture(scope="module")
def spiffe(pki):
    """A certificate with a SPIFFE ID and no name."""
    return pki.ca.issue("web", uri=[SPIFFE], label="spiffe-web")


@pytest.fixture(scope="module")
def stranger(pki):
    """A certificate that nobody whom the door trusts has issued."""
    return pki.stranger.issue("backend.test", dns=["backend.test"], label="strange-backend")


def config(pki, to, **backend):
    return {"certificates": [pki.server("a.test").row()], "workers": 1,
            "trust": [{"name": "inside", "ca": [pki.ca.file]}, {"name": "strangers", "ca": [pki.stranger.file]}],
            "routes": [{"name": "a", "terminate": {"to": to, "tls": backend}}]}


def says(word, ctx):
    return peers.Server(peers.says(word), ctx=ctx)


def told(door):
    """What the backend says, or "" when the door has not let it in."""
    with tls.connect(door, "a.test") as sock:
        word = tls.read_line(sock)
        if word:
            tls.finish(sock)
        return word


def outcome(door):
    """(what the backend says, the audit line)."""
    door.mark()
    word = told(door)
    return word, door.audited(route="a")


# What the backend must prove --------------------------------------------------------------------------------------

@pytest.mark.parametrize("uri", [SPIFFE, "spiffe://example.test/app/*", "spiffe://example.test/*"])
def test_uri(start_door, pki, spiffe, uri):
    """A backend is told by its SPIFFE ID, exactly or by the path above it, and needs no name then."""
    with says("hello", peers.server_context(spiffe)) as server:
        assert outcome(start_door(config(pki, server.to, trust="inside", uri=uri)))[0] == "hello"


@pytest.mark.parametrize("more, found", [
    ({"uri": "spiffe://example.test/app"}, "expected spiffe://example.test/app"),
    ({"uri": "spiffe://example.test/api/*"}, f"the URI {SPIFFE} among its subject alternative names"),
    ({"uri": SPIFFE, "name": "web.test"}, "is not for web.test"),
    ({"uri": SPIFFE, "trust": "strangers"}, "is not in trust bundle strangers"),
    ({"uri": SPIFFE, "issuer": "Staff CA"}, "was issued by 'Door CA', expected 'Staff CA'"),
])
def test_backend_without_what_is_expected(start_door, pki, spiffe, more, found):
    """The client gets nothing, and the audit line says what was found and what was expected."""
    with says("hello", peers.server_context(spiffe)) as server:
        word, line = outcome(start_door(config(pki, server.to, **{"trust": "inside", **more})))
    assert word == "" and line["reason"] == "backend_tls" and found in line["detail"], line


def test_issuer(start_door, pki):
    """The CA that has signed the certificate, by its common name."""
    with says("hello", peers.server_context(pki.server("backend.test"))) as server:
        door = start_door(config(pki, server.to, trust="inside", name="backend.test", issuer="Door CA"))
        assert outcome(door)[0] == "hello"


def test_pin(start_door, pki, stranger):
    """A key that is pinned is enough; beside a trust bundle both are asked for; another key is told by its own pin."""
    good, other = pin(stranger), pin(pki.server("backend.test"))
    with says("hello", peers.server_context(stranger)) as server:
        door = start_door(config(pki, server.to, pin=[other, f"sha256//{good}"]))
        assert outcome(door)[0] == "hello"
        door.reload(config(pki, server.to, pin=good, trust="strangers", name="backend.test"))
        assert outcome(door)[0] == "hello"
        door.reload(config(pki, server.to, pin=good, trust="inside", name="backend.test"))
        word, line = outcome(door)
        assert word == "" and "not in trust bundle inside" in line["detail"], line
        door.reload(config(pki, server.to, pin=other, trust="strangers", name="backend.test"))
        word, line = outcome(door)
        assert word == "" and f"has the pin sha256//{good}, expected another" in line["detail"], line


def test_pin_of_a_unix_socket(start_door, pki, stranger, tmp_path):
    """Where a key is pinned no name is needed."""
    with peers.Server(peers.says("hello"), path=tmp_path / "s.sock", ctx=peers.server_context(stranger)) as server:
        assert outcome(start_door(config(pki, server.to, pin=pin(stranger))))[0] == "hello"


def test_anyone(start_door, pki, stranger):
    """`verify: any` takes anybody, and is warned of at the start and by --check."""
    with says("hello", peers.server_context(stranger)) as server:
        door = start_door(config(pki, server.to, verify="any"))
        assert outcome(door)[0] == "hello"
        assert outcome(door)[1]["backend_tls"] == "resumed"
        assert "anyone can be this backend" in door.process.output()
        done = run(CARDEA, "serve", "--check", "-c", door.config_file, cwd=door.directory)
        assert done.returncode == 0 and b"warning: anyone can be this backend" in done.stderr


# Versions and groups ----------------------------------------------------------------------------------------------

def test_versions(start_door, pki):
    """A floor and a ceiling, the door's own where they are left out."""
    ctx = peers.server_context(pki.server("backend.test"))
    ctx.maximum_version = ssl.TLSVersion.TLSv1_2
    with says("hello", ctx) as server:
        expected = {"trust": "inside", "name": "backend.test"}
        door = start_door(config(pki, server.to, **expected))
        assert outcome(door)[0] == "hello"
        door.reload(config(pki, server.to, min_version="1.3", **expected))
        word, line = outcome(door)
        assert word == "" and line["reason"] == "backend_tls", line
        door.reload({**config(pki, server.to, **expected), "tls": {"min_version": "1.3"}})
        assert outcome(door)[0] == ""
        door.reload({**config(pki, server.to, min_version="1.2", **expected), "tls": {"min_version": "1.3"}})
        assert outcome(door)[0] == "hello"


class SServer:
    """openssl s_server that answers web requests with what it knows of the connection."""

    def __init__(self, directory, cert, *flags):
        self.port = free_port()
        self.to = f"127.0.0.1:{self.port}"
        self.process = Process([shutil.which("openssl"), "s_server", "-accept", str(self.port), "-www", "-cert",
                                cert.certificate, "-key", cert.key, *flags], directory, f"s_server-{self.port}")
        wait_listening(self.port, self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()


def page(door, pki):
    return curl_door(door, "https://a.test:{port}/", "--http1.1", "--http0.9", ca=pki.ca.file).stdout.decode()


def test_groups(start_door, pki, tmp_path):
    """The groups that are configured are those that are offered."""
    expected = {"trust": "inside", "name": "backend.test"}
    with SServer(tmp_path, pki.server("backend.test"), "-groups", "P-384") as server:
        door = start_door(config(pki, server.to, groups=["P-384"], **expected))
        assert "TLSv1.3" in page(door, pki)
        door.reload(config(pki, server.to, groups=["X25519", "P-256"], **expected))
        door.mark()
        assert page(door, pki) == ""
        assert door.audited(route="a")["reason"] == "backend_tls"


def test_s_server_resumes(start_door, pki, tmp_path):
    """OpenSSL says itself that the second connection resumes, in TLS 1.3 and 1.2."""
    for flag in ("-tls1_3", "-tls1_2"):
        with SServer(tmp_path, pki.server("backend.test"), flag) as server:
            door = start_door(config(pki, server.to, trust="inside", name="backend.test"))
            pages = [page(door, pki) for _ in range(3)]
            assert ["Reused" in each for each in pages] == [False, True, True], (flag, pages)


# Resumption -------------------------------------------------------------------------------------------------------

def backend_tls(door):
    word, line = outcome(door)
    assert word == "hello", line
    return line["backend_tls"]


def test_resumption(start_door, pki):
    """Each backend's tickets are its own; what is counted is what the audit lines say."""
    ctx = peers.server_context(pki.server("backend.test"))
    expected = {"trust": "inside", "name": "backend.test"}
    with says("hello", ctx) as one, says("hello", peers.server_context(pki.server("backend.test"))) as two:
        door = start_door(config(pki, [one.to, two.to], **expected))
        door.mark()
        for _ in range(8):
            assert told(door) == "hello"
        lines = door.audited(count=8, route="a")
        for server in (one, two):
            how = [line["backend_tls"] for line in lines if line["backend"] == server.to]
            assert how == ["full"] + ["resumed"] * (len(how) - 1) and len(how) >= 2, lines
            assert server.failures == []
        row = door.status()["routes"][0]
        assert (row["backend_handshakes_total"], row["backend_resumed_total"]) == (8, 6), row
        door.reload(config(pki, one.to, resume=False, **expected))
        assert [backend_tls(door) for _ in range(3)] == ["full"] * 3


def test_tickets_that_a_backend_refuses(start_door, pki):
    """A backend with new keys gets a whole handshake, and no ticket of before again."""
    cert = pki.server("backend.test")
    server = says("hello", peers.server_context(cert))
    try:
        door = start_door(config(pki, server.to, trust="inside", name="backend.test"))
        assert [backend_tls(door) for _ in range(2)] == ["full", "resumed"]
        server.ctx = peers.server_context(cert)
        assert [backend_tls(door) for _ in range(3)] == ["full", "resumed", "resumed"]
        assert server.failures == []
    finally:
        server.stop()


def test_no_ticket_under_other_expectations(start_door, pki):
    """After a reload that expects something else nothing resumes, whatever the backend would take."""
    cert = pki.server("backend.test")
    with says("hello", peers.server_context(cert)) as server:
        door = start_door(config(pki, server.to, verify="any"))
        assert [backend_tls(door) for _ in range(2)] == ["full", "resumed"]
        door.reload(config(pki, server.to, pin=pin(cert)))
        assert backend_tls(door) == "full"
        door.reload(config(pki, server.to, trust="inside", name="elsewhere.test"))
        word, line = outcome(door)
        assert word == "" and "is not for elsewhere.test" in line["detail"], line


def test_resumed_backend_is_judged_again(start_door, pki):
    """A ticket does not outlive the certificate that it was given with."""
    lifetime = 6 * PACE
    cert = pki.ca.issue("brief.test", dns=["brief.test"], end=lifetime, label=f"brief-{time.time()}")
    end = time.time() + lifetime
    with says("hello", peers.server_context(cert)) as server:
        door = start_door(config(pki, server.to, trust="inside", name="brief.test"))
        assert [backend_tls(door) for _ in range(2)] == ["full", "resumed"]
        time.sleep(max(end + 1.5 - time.time(), 0))
        word, line = outcome(door)
        assert word == "" and "has expired" in line["detail"], line


def test_hybrid_first(start_door, pki):
    """Towards a backend too the key exchange is one that no quantum computer breaks, where the backend can do it."""
    with peers.Server(peers.says("hello")) as server:
        inner = start_door({"certificates": [pki.server("backend.test").row()],
                            "routes": [{"name": "inner", "terminate": {"to": server.to}}]})
        door = start_door(config(pki, f"127.0.0.1:{inner.port}", trust="inside", name="backend.test"))
        assert outcome(door)[0] == "hello"
        line = inner.audited(route="inner")
        assert line["group"] == "X25519MLKEM768" and line["version"] == "1.3", line
