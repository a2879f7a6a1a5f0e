# SPDX-License-Identifier: Apache-2.0
"""An agent that offers a name end-to-end, and has been given no certificate for it, has one from the door's CA, through its
tunnel: for a key of its own, renewed while visitors stay, kept for the next start. Who may have one, the policy says."""
import datetime
import hashlib
import json
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import peers
import tls
from agents import Agent, FakeDoor, Stream, pack
from run import CARDEA, SLOW, run, wait_until

LIFETIME = int(4 * SLOW)


class Site:
    """A CA in a folder, and a door that certifies with it what agents offer."""

    def __init__(self, start, pki, place, lifetime):
        self.place, self.pki = place, pki
        secret = place / "secret"
        secret.write_text("far too long to guess\n")
        secret.chmod(0o600)
        done = run(CARDEA, "ca", "init", place / "ca", "--name", "Test", "--permit", "dns:apps.test", "--root-passphrase-file", secret)
        assert done.returncode == 0, done.stderr.decode()
        self.root = str(place / "ca" / "root.pem")
        self.door = start(self.config(lifetime))

    def config(self, lifetime, *more):
        clients = {"mode": "required", "trust": "staff"}
        return {
            "certificates": [self.pki.server("door.test").row()],
            "trust": [self.pki.trust()],
            "ca": {"directory": str(self.place / "ca"), "agents": {"lifetime": f"{lifetime}s", "per_name": 60}},
            "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": clients},
                       {"name": "apps", "sni": ["*.apps.test", "elsewhere.test"], "expose": {}}],
            "policy": [
                *more,
                {"name": "no-secrets", "effect": "deny", "who": {"any": True}, "targets": ["certify:secret.apps.test"]},
                {"name": "agents", "who": {"name": ["alice"]}, "targets": ["offer:*", "certify:*"]},
                {"name": "others", "who": {"any": True}, "targets": ["offer:*.apps.test"]},
            ],
        }

    def issued(self):
        done = run(CARDEA, "ca", "list", "--json", "--all", "--dir", self.place / "ca")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def shown(self, name):
        """The certificate that visitors see, verified; its digest."""
        with tls.connect(self.door, name, ca=self.root) as sock:
            return hashlib.sha256(sock.getpeercert(True)).hexdigest()

    def get(self, name):
        done = peers.curl_door(self.door, f"https://{name}:{{port}}/", ca=self.root)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


@pytest.fixture(scope="module")
def site(start_module_door, pki, tmp_path_factory):
    return Site(start_module_door, pki, tmp_path_factory.mktemp("site"), 86400)


@pytest.fixture
def expose(pki, tmp_path):
    started = []

    def begin(site, offer, *words, **more):
        agent = Agent(tmp_path, site.door.address, pki, offer, "--end-to-end", "--anyone", "--state", tmp_path / "state",
                      "--grace", "0s", *words, **more)
        started.append(agent)
        return agent
    yield begin
    for agent in started:
        if agent.poll() is None:
            agent.end()


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_it_comes_by_itself(site, expose, tmp_path, transport):
    """And outlives the agent, and the door, that are killed: none is issued anew."""
    name = f"{transport}.apps.test"
    with peers.Server(peers.web("hello")) as web:
        words = ["--to", web.to, "--transport", transport]
        agent = expose(site, name, *words)
        agent.says("the door's CA has certified it")
        assert b"hello" in site.get(name)
        kept = tmp_path / "state" / site.door.address / f"{name}.pem"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
        entry = next(e for e in site.issued() if e["names"] == [name] or e["names"] == name)
        assert entry["who"] == "agent:alice" and entry["profile"] == "server", entry
        before, count = site.shown(name), len(site.issued())

        agent.child.kill()
        agent.wait()
        again = expose(site, name, *words, name="again")
        again.says(f"over {transport.upper()}")
        assert b"hello" in site.get(name) and site.shown(name) == before

        site.door.process.child.kill()
        site.door.process.wait()
        site.door.start()
        wait_until(lambda: again.output().count(f"over {transport.upper()}") > 1, again.output, 30)
        assert b"hello" in site.get(name) and site.shown(name) == before and len(site.issued()) == count


def test_it_is_renewed_while_a_visitor_stays(start_door, pki, tmp_path, expose, echo):
    site = Site(start_door, pki, tmp_path, LIFETIME)
    agent = expose(site, "app.apps.test", "--to", echo.to, "--verbose")
    agent.says("the door's CA has certified it")
    with tls.connect(site.door, "app.apps.test", ca=site.root) as visitor:
        seen = [hashlib.sha256(visitor.getpeercert(True)).hexdigest()]

        def renewed_twice():
            visitor.sendall(b"x" * 4096)
            assert tls.read_exactly(visitor, 4096) == b"x" * 4096
            now = site.shown("app.apps.test")
            seen.extend([now] if now != seen[-1] else [])
            return len(seen) > 2
        wait_until(renewed_twice, agent.output, 4 * LIFETIME)
    assert len(site.issued()) >= 3


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_a_reload_reaches_the_next_renewal(start_door, pki, tmp_path, expose, echo, transport):
    """On the connection that was there before: as long as the configuration says now, to whom its policy lets have one."""
    site = Site(start_door, pki, tmp_path, LIFETIME)
    agent = expose(site, "app.apps.test", "--to", echo.to, "--transport", transport, "--verbose")
    agent.says("the door's CA has certified it")

    def lives():
        with tls.connect(site.door, "app.apps.test", ca=site.root) as sock:
            leaf = x509.load_der_x509_certificate(sock.getpeercert(True))
        return (leaf.not_valid_after - leaf.not_valid_before).total_seconds()
    before = lives()
    with tls.connect(site.door, "app.apps.test", ca=site.root) as visitor:
        site.door.reload(site.config(100 * LIFETIME))
        wait_until(lambda: lives() > 2 * before, agent.output, 2 * LIFETIME)
        visitor.sendall(b"on!")
        assert tls.read_exactly(visitor, 3) == b"on!"
    assert agent.output().count(f"over {transport.upper()}") == 1, agent.output()


def test_a_reload_takes_the_next_renewal_away(start_door, pki, tmp_path, expose, echo):
    """The agent and whoever looks after it are told why; what it has is good until its end."""
    site = Site(start_door, pki, tmp_path, LIFETIME)
    agent = expose(site, "app.apps.test", "--to", echo.to, "--verbose")
    agent.says("the door's CA has certified it")
    site.door.reload(site.config(LIFETIME, {"name": "over", "effect": "deny", "who": {"any": True}, "targets": ["certify:*"]}))
    issued = len(site.issued())
    agent.says("warning: app.apps.test: rule over does not let alice have app.apps.test certified by the door's CA")
    assert len(site.issued()) == issued and agent.poll() is None


def test_who_gets_none_is_told_why(site, start_door, pki, expose, echo):
    """By the rule's name; by what is missing; by what the CA may certify, which is asked again."""
    to = ["--to", echo.to]
    agent = expose(site, "secret.apps.test", *to, name="secret")
    assert agent.wait(timeout=20 * SLOW) == 1 and "rule no-secrets does not let alice" in agent.output(), agent.output()
    agent = expose(site, "app.apps.test", *to, name="bob", who=pki.bob)
    assert agent.wait(timeout=20 * SLOW) == 1, agent.output()
    assert "a row for bob with the target certify:app.apps.test would" in agent.output(), agent.output()
    agent = expose(site, "elsewhere.test", *to, name="elsewhere")
    agent.says("warning: elsewhere.test: ")
    assert "elsewhere.test" not in [e["names"] for e in site.issued()]
    agent.end()
    plain = start_door({"certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
                        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {},
                                    "clients": {"mode": "required", "trust": "staff"}}],
                        "policy": [{"name": "all", "who": {"any": True}, "targets": ["offer:*", "certify:*"]}]})
    told = plain.process.output()
    assert "certify:* of rule all can never match" in told, told
    site = type("", (), {"door": plain})
    agent = expose(site, "app.apps.test", *to, name="plain")
    assert agent.wait(timeout=20 * SLOW) == 1 and "this door has no CA for what agents offer" in agent.output(), agent.output()


# What agents do that do not mean well

def csr(*names, common=None, ca=False):
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else []
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
    if ca:
        made = made.add_extension(x509.BasicConstraints(True, None), True)
    return made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class Hand:
    """An offer that stands, by hand."""

    def __init__(self, site, name, kind="end-to-end", who=None):
        sock = tls.connect(site.door, "door.test", cert=who or site.pki.alice, alpn=["cardea/1"])
        self.stream, self.name = Stream(sock), sock.getsockname()
        self.stream.say(offer=name, kind=kind)
        assert self.stream.message()["ok"]

    def ask(self, *requests):
        """Several go out in one piece: the door reads all of them before it can have answered one."""
        self.stream.sock.sendall(b"".join(pack({"v": 1, "csr": len(request)}) + request for request in requests))

    def hear(self):
        while True:
            said = self.stream.message()
            if "chain" in said:
                self.stream.read(said["chain"])
            if "chain" in said or "uncertified" in said:
                return said


def test_requests_that_are_refused(site):
    count = len(site.issued())
    for request, text in (
            (csr("other.apps.test"), "names other.apps.test, and what is offered is hand.apps.test"),
            (csr("hand.apps.test", "other.apps.test"), "names other.apps.test"),
            (csr(common="other.apps.test"), "names other.apps.test"),
            (csr(ca=True), "asks to be a CA"),
            (csr()[:-1] + b"\0", "refused"),
            (b"\x30\x03abc", "no certification request")):
        hand = Hand(site, "hand.apps.test")
        hand.ask(request)
        said = hand.hear()
        hand.stream.sock.close()
        assert said["uncertified"] == "bad_hello" and text in said["text"], said
    assert len(site.issued()) == count


def test_a_request_is_for_the_offer_only(site):
    """One that names nobody, or the offer; on another kind of offer, or twice at once, none asks."""
    hand = Hand(site, "hand.apps.test")
    for request in csr(), csr("hand.apps.test", common="hand.apps.test"):
        hand.ask(request)
        assert "chain" in hand.hear()
    for wrong, kind, text in ((lambda h: h.ask(csr()), "private", "not end-to-end"),
                              (lambda h: h.ask(csr(), csr()), "end-to-end", "before the one before it was answered"),
                              (lambda h: h.stream.say(chain=5, behind=b"abcde" * 1000), "end-to-end", None)):
        hand = Hand(site, f"{kind}.apps.test", kind)
        wrong(hand)
        if text is not None:
            line = site.door.audited_of(hand.name)
            assert line["reason"] == "bad_request" and text in line["detail"], line


def test_floods_are_bounded(site):
    """Of one offer, and of one agent for one name, over many offers: they say `limit`."""
    hand = Hand(site, "flood.apps.test")
    said = []
    while not said or "chain" in said[-1]:
        hand.ask(csr())
        said.append(hand.hear())
    assert said[-1]["uncertified"] == "limit" and 5 <= len(said) <= 20, said


# ... and doors

def certificate(public, name, ends):
    now = datetime.datetime.now(datetime.timezone.utc)
    key = ec.generate_private_key(ec.SECP256R1())
    return (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).public_key(public).serial_number(1)
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(seconds=ends))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), True).sign(key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM))


def test_a_door_that_gives_what_was_not_asked(pki, tmp_path, echo):
    """No chain is taken that is not for the key and the name, or is over; asking again waits; what is unasked is let be."""
    fake = FakeDoor(pki)
    agent = Agent(tmp_path, fake.address, pki, "app.apps.test", "--to", echo.to, "--end-to-end", "--anyone", "--transport", "tcp",
                  "--state", tmp_path / "state", "--json", "--grace", "0s")
    try:
        _, stream = fake.offer()
        assert stream.message() == {"v": 1, "ready": False}
        def asked():
            request = x509.load_der_x509_csr(stream.read(stream.message()["csr"]))
            assert request.is_signature_valid and not list(request.subject)
            return request.public_key()

        def give(public):
            chain = certificate(public, "app.apps.test", 3600)
            stream.say(chain=len(chain), behind=chain)

        def told(count):
            wait_until(lambda: len(agent.events("uncertified")) == count, agent.output)
            return agent.events("uncertified")[-1]["text"]

        public = asked()
        stream.say(uncertified="limit", text="later", again=0)
        assert told(1) == "later"
        assert asked() != public
        stream.say(uncertified="unreachable", text="\x1b[31mred", again=1)
        assert "\x1b" not in told(2)
        public = asked()
        give(public)
        wait_until(lambda: agent.events("certified"), agent.output)
        assert stream.message() == {"v": 1, "ready": True}
        give(public)  # nobody has asked
        stream.say(uncertified="denied", text="nor for this", again=1)
        stream.sock.close()
        _, stream = fake.offer()
        stream.say(chain=10, behind=b"no chain, ")
        stream.sock.close()
        _, stream = fake.offer()
        assert len(agent.events("certified")) == 1 and len(agent.events("uncertified")) == 2
    finally:
        agent.end()
        fake.close()


@pytest.mark.parametrize("name, ends, own, text", [("other.test", 3600, True, "for another name"),
                                                   ("app.apps.test", -60, True, "has expired already"),
                                                   ("app.apps.test", 3600, False, "key")])
def test_a_chain_that_is_not_taken(pki, tmp_path, echo, name, ends, own, text):
    fake = FakeDoor(pki)
    agent = Agent(tmp_path, fake.address, pki, "app.apps.test", "--to", echo.to, "--end-to-end", "--anyone", "--transport", "tcp",
                  "--state", tmp_path / "state", "--grace", "0s")
    try:
        _, stream = fake.offer()
        assert stream.message() == {"v": 1, "ready": False}
        request = x509.load_der_x509_csr(stream.read(stream.message()["csr"]))
        chain = certificate(request.public_key() if own else ec.generate_private_key(ec.SECP256R1()).public_key(), name, ends)
        stream.say(chain=len(chain), behind=chain)
        agent.says("warning: app.apps.test: ")
        assert text in agent.output() and not list((tmp_path / "state").rglob("*.pem")), agent.output()
    finally:
        agent.end()
        fake.close()
