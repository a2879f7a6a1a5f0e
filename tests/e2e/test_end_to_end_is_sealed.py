# SPDX-License-Identifier: Apache-2.0
"""What is offered end-to-end is nobody's but the visitor's and the agent's: he sees the agent's certificate, and what they
say is in no packet to or from the door and nowhere in its memory. In the other kinds it is: the tests can see it."""
import hashlib
import os
import ssl
import tempfile
import threading

import pytest

import tls
from agents import Agent, FakeDoor, Stream
from capture import Capture, in_memory
from fixtures import clean_env, connect_words
from run import free_port, run

TIMES = 4000


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def door(start_module_door, pki, port):
    clients = {"mode": "optional", "trust": "staff"}
    return start_module_door({
        "certificates": [pki.server("door.test").row(), pki.server("*.apps.test").row()],
        "trust": [pki.trust()],
        "agents": {"grace": "0s"},
        "routes": [
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "apps", "sni": "*.apps.test", "expose": {}, "clients": clients},
        ],
        "policy": [{"name": "all", "who": {"any": True},
                    "targets": ["offer:*.apps.test", "public:*.apps.test", f"public:*.apps.test:{port}",
                                "name:*.apps.test"]}],
    })


@pytest.fixture(params=["quic", "tcp"])
def transport(request):
    return request.param


@pytest.fixture
def expose(door, pki, tmp_path, transport, echo):
    started = []

    def begin(name, *words):
        agent = Agent(tmp_path, door.address, pki, name, "--to", echo.to, "--transport", transport, "--grace", "0s", *words)
        started.append(agent)
        agent.says(f"over {transport.upper()}")
    yield begin
    for agent in started:
        agent.end()


class Secret:
    """64 bytes that nobody else has, and the packets of the door while they are out."""

    def __init__(self, *ports):
        self.capture = Capture(*ports)
        self.mark = os.urandom(64)

    def tell(self, sock):
        """Many times there and back."""
        for _ in range(10):
            sock.sendall(self.mark * (TIMES // 10))
            assert tls.read_exactly(sock, len(self.mark) * (TIMES // 10)) == self.mark * (TIMES // 10)

    def is_in_packets(self):
        packets = self.capture.end()
        assert len(packets) > 2 * 64 * TIMES, "the capture has not seen it all"
        return self.mark in packets


@pytest.fixture
def secret(door, port):
    secret = Secret(door.port, port)
    yield secret
    secret.capture.end()


def own_certificate(pki, name):
    """One for the agent, made anew: not the door's, which has a certificate for all names."""
    cert = pki.ca.issue(name, dns=[name], label=f"own-{os.urandom(4).hex()}")
    with open(cert.certificate, encoding="ascii") as file:
        der = ssl.PEM_cert_to_DER_cert(file.read())
    return cert, hashlib.sha256(der).hexdigest()


def visit_by_name(door, pki, transport, name, data, home):
    """`cardea connect NAME`, with the data on its standard input."""
    done = run(*connect_words(door, pki.bob, pki.ca.file), "--transport", transport, name, input=data, env=clean_env(home))
    assert done.returncode == 0 and done.stdout == data, done.stderr.decode()
    return door.audited(action="tunnel", target=f"name:{name}")


def test_sealed(door, expose, pki, secret, transport, tmp_path):
    name = "sealed.apps.test"
    cert, fingerprint = own_certificate(pki, name)
    expose(name, "--end-to-end", "--service-cert", cert.certificate, "--service-key", cert.key, "--clients",
           pki.staff.file)
    door.mark()
    with tls.connect(door, name, ca=pki.ca.file, cert=pki.bob) as visitor:
        assert hashlib.sha256(visitor.getpeercert(True)).hexdigest() == fingerprint
        secret.tell(visitor)
        assert not in_memory(door.process.pid, secret.mark), "while the connection is open"
    by_sni = door.audited(action="expose", sni=name)
    by_name = visit_by_name(door, pki, transport, name, secret.mark * TIMES, tmp_path)
    assert not in_memory(door.process.pid, secret.mark)
    assert not secret.is_in_packets()
    # The lines say so: in what kind it was offered, and of a visitor by server name nothing that only TLS would tell.
    assert by_sni["offer"] == by_name["offer"] == "end-to-end"
    assert not {"version", "cipher", "identity"} & set(by_sni), by_sni
    assert min(by_sni["in"], by_sni["out"], by_name["in"], by_name["out"]) > 64 * TIMES


def test_private_is_not(door, expose, pki, secret, transport, tmp_path):
    """Sealed on the wire, and open to the door, which shows its own certificate."""
    name = "open.apps.test"
    expose(name)
    door.mark()
    with tls.connect(door, name, ca=pki.ca.file, cert=pki.bob) as visitor:
        assert ("DNS", "*.apps.test") in visitor.getpeercert()["subjectAltName"]
        secret.tell(visitor)
        assert in_memory(door.process.pid, secret.mark)
    assert door.audited(action="expose", sni=name)["offer"] == "private"
    other = os.urandom(64)
    visit_by_name(door, pki, transport, name, other * TIMES, tmp_path)
    assert in_memory(door.process.pid, other)
    packets = secret.capture.end()
    assert secret.mark not in packets and other not in packets


def test_public_port_is_for_all_to_see(door, expose, pki, secret, port):
    expose("port.apps.test", "--public", "--port", port)
    with door.dial(port=port) as visitor:
        secret.tell(visitor)
    assert secret.is_in_packets()


# A door that is not honest -----------------------------------------------------------------------------------------------

def demand(door, pki, home, *words, data=b"hunter2\n", **env):
    return run(*connect_words(door, pki.bob, pki.ca.file), "--end-to-end", *words, input=data, env=clean_env(home, **env))


def test_demanded(door, expose, pki, transport, tmp_path):
    """It leads to nothing else; by itself and through the carrier that calls share."""
    cert, _ = own_certificate(pki, "sealed.apps.test")
    expose("sealed.apps.test", "--end-to-end", "--service-cert", cert.certificate, "--service-key", cert.key, "--anyone")
    expose("open.apps.test")
    with tempfile.TemporaryDirectory(prefix="cardea-e2e-") as runtime:
        for env in ({}, {"XDG_RUNTIME_DIR": runtime, "CARDEA_SHARE": "2s"}):
            for name in ("sealed.apps.test", "sealed.apps.test:443"):
                done = demand(door, pki, tmp_path, "--transport", transport, name, **env)
                assert (done.returncode, done.stdout) == (0, b"hunter2\n"), done.stderr.decode()
            done = demand(door, pki, tmp_path, "--transport", transport, "open.apps.test", **env)
            assert (done.returncode, done.stdout) == (1, b"")
            assert b"does not lead to open.apps.test end-to-end" in done.stderr


def test_a_door_that_denies_it(pki, tmp_path):
    """It says nothing of TLS, and hopes to be told what is meant for the service."""
    fake = FakeDoor(pki)
    heard = []

    def lie():
        _, stream = fake.offer()
        stream.sock.settimeout(5)
        try:
            heard.append(stream.sock.recv(100))
        except ssl.SSLError as error:  # an alert
            heard.append(b"" if "ALERT" in str(error) else error)
    door = threading.Thread(target=lie)
    door.start()
    try:
        done = demand(fake.address, pki, tmp_path, "--transport", "tcp", "vault.apps.test")
        door.join()
    finally:
        fake.close()
    assert done.returncode == 1 and b"nothing was sent" in done.stderr
    assert heard == [b""]


@pytest.mark.parametrize("words", [["--udp", "-L", "1:h:1"], ["--sni", "a.test"]])
def test_demanded_of_what_cannot_be(pki, tmp_path, words):
    done = demand("127.0.0.1:1", pki, tmp_path, *words)
    assert done.returncode == 2 and b"--end-to-end does not go with" in done.stderr


def test_another_agent_in_another_kind(start_door, pki, tmp_path):
    """While the agent is away for a moment, nobody else takes its visitors in a kind where they say all to the door."""
    clients = {"mode": "required", "trust": "staff"}
    door = start_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()], "agents": {"grace": "30s"},
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": clients}],
        "policy": [{"name": "all", "who": {"any": True}, "targets": ["offer:*.apps.test"]}]})

    def offer(who, kind):
        stream = Stream(tls.connect(door, "door.test", ca=pki.ca.file, cert=who, alpn=["cardea/1"]))
        stream.say(offer="vault.apps.test", kind=kind)
        return stream, stream.message()
    stream, answer = offer(pki.alice, "end-to-end")
    assert answer["ok"]
    stream.sock.close()
    door.audited(action="offer")
    _, answer = offer(pki.bob, "private")
    assert (answer["ok"], answer["code"]) == (False, "conflict") and "agents.grace" in answer["text"]
    assert offer(pki.alice, "private")[1]["ok"], "who offered it may change the kind"
