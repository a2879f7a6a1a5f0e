# SPDX-License-Identifier: Apache-2.0
"""`cardea expose` against a door that a test scripts: what it asks for, how it takes a no, visitors, and how it ends."""
import signal
import ssl
import struct
import time

import pytest

import peers
from agents import Agent, FakeDoor, udp_echo
from fixtures import clean_env
from run import CARDEA, SLOW, free_port, run, wait_until

VISIT = {"visit": "app.test", "peer": "192.0.2.1:5678", "local": "198.51.100.1:443", "identity": "carol",
         "sni": "app.test", "alpn": "h2", "proto": "tcp"}


@pytest.fixture
def fake(pki):
    door = FakeDoor(pki)
    yield door
    door.close()


@pytest.fixture
def start(fake, pki, tmp_path):
    started = []

    def begin(*words, **more):
        agent = Agent(tmp_path, more.pop("door", fake.address), pki, "--transport", "tcp", "--grace", "1s", *words,
                      **more)
        started.append(agent)
        return agent
    yield begin
    for agent in started:
        if agent.poll() is None:
            agent.stop(signal.SIGKILL)


@pytest.fixture
def echo():
    def serve(sock):
        while data := sock.recv(65536):
            sock.sendall(data)
    server = peers.Server(serve)
    yield server
    server.stop()


def visited(fake, control, **more):
    """A visitor over a spare connection; the stream after the agent's answer, and the answer."""
    control.say(spares=["id-1"])
    name, stream = fake.spare()
    assert name == "id-1"
    stream.say(**{**VISIT, **more})
    return stream, stream.message()


@pytest.mark.parametrize("words, hello", [
    ([], {"kind": "private", "proto": "tcp"}),
    (["--public"], {"kind": "public", "proto": "tcp"}),
    (["--public", "--port", "2222"], {"kind": "public", "proto": "tcp", "port": 2222}),
    (["--public", "--port", "53", "--udp"], {"kind": "public", "proto": "udp", "port": 53}),
])
def test_offer(start, fake, words, hello):
    agent = start("App.test.", "--to", "127.0.0.1:1", *words)
    assert fake.offer()[0] == {"v": 1, "offer": "app.test", **hello}
    agent.says(f"offering app.test ({hello['kind']}) at {fake.address} over TCP")
    agent.end()


def test_denied(start, fake):
    """The text and the rule; exit code 1."""
    agent = start("app.test", "--to", "127.0.0.1:1")
    fake.offer(ok=False, code="denied", rule="agents", text="the policy does not allow it")
    assert agent.wait() == 1
    assert "refuses to offer app.test: denied: the policy does not allow it (rule agents)" in agent.output()


@pytest.mark.parametrize("words, code", [(["--retry"], "denied"), ([], "conflict")])
def test_tried_again(start, fake, words, code):
    """With --retry a denial, and a conflict always; said once."""
    agent = start("app.test", "--to", "127.0.0.1:1", *words)
    fake.offer(ok=False, code=code, text="not now")
    fake.offer(ok=False, code=code, text="not now")
    fake.offer()
    agent.says("offering app.test")
    assert agent.output().count("not now") == 1
    agent.end()


def test_an_offer_that_stood_is_back_soon(start, fake):
    """However often it had failed before: the next wait is of the first length again."""
    agent = start("app.test", "--to", "127.0.0.1:1", "--json")
    for _ in range(5):
        fake.offer()[1].sock.close()
    _, control = fake.offer()
    time.sleep(6)
    control.sock.close()
    wait_until(lambda: len(agent.events("lost")) == 6, "the loss to be told")
    waits = [event["retry_in"] for event in agent.events("lost")]
    assert waits[-1] <= 0.25, waits
    agent.end()


def test_visitor(start, fake, echo):
    agent = start("app.test", "--to", echo.to, "--json", "--verbose")
    _, control = fake.offer()
    stream, answer = visited(fake, control)
    assert answer == {"v": 1, "ok": True}
    stream.sock.sendall(b"hello")
    assert stream.read(5) == b"hello"
    stream.sock.unwrap().close()
    agent.says("done")
    event, = agent.events("visit")
    assert (event["name"], event["peer"], event["identity"]) == ("app.test", "192.0.2.1:5678", "carol")
    assert (event["to_service"], event["from_service"], event["reason"]) == (5, 5, "done")
    assert agent.events("offering")[0]["transport"] == "tcp"
    agent.end()


def test_bytes_behind_the_message(start, fake, echo):
    """They go to the service, behind the PROXY header."""
    agent = start("app.test", "--to", echo.to, "--proxy", "v1")
    _, control = fake.offer()
    control.say(spares=["id-1"])
    _, stream = fake.spare()
    stream.say(behind=b"early", **VISIT)
    assert stream.message()["ok"]
    want = b"PROXY TCP4 192.0.2.1 198.51.100.1 5678 443\r\nearly"
    assert stream.read(len(want)) == want
    agent.end()


def test_proxy_v2_names_what_the_visitor_asked_for(start, fake, echo):
    agent = start("app.test", "--to", echo.to, "--proxy", "v2")
    _, control = fake.offer()
    stream, _ = visited(fake, control)
    header = stream.read(16)
    assert header[:12] == b"\r\n\r\n\0\r\nQUIT\n"
    rest = stream.read(struct.unpack(">H", header[14:16])[0])
    assert b"\x02\x00\x08app.test" in rest and b"\x01\x00\x02h2" in rest
    agent.end()


def test_udp_visitor(start, fake):
    sock, port = udp_echo()
    agent = start("app.test", "--to", f"127.0.0.1:{port}", "--public", "--port", "53", "--udp")
    _, control = fake.offer()
    stream, answer = visited(fake, control, proto="udp")
    assert answer["ok"]
    stream.sock.sendall(b"\0\3one\0\3two")
    assert sorted([stream.read(5), stream.read(5)]) == [b"\0\3one", b"\0\3two"]
    agent.end()
    sock.close()


@pytest.mark.parametrize("to, code", [("closed", "refused"), ("unix:/nonexistent/socket", "refused"),
                                      ("nosuch.invalid:1", "unreachable")])
def test_service_is_down(start, fake, to, code):
    agent = start("app.test", "--to", f"127.0.0.1:{free_port()}" if to == "closed" else to)
    _, control = fake.offer()
    _, answer = visited(fake, control)
    assert (answer["ok"], answer["code"]) == (False, code)
    agent.end()


def test_service_does_not_answer(start, fake):
    with peers.FullBacklog() as full:
        agent = start("app.test", "--to", f"127.0.0.1:{full.port}", "--dial-timeout", "200ms")
        _, control = fake.offer()
        _, answer = visited(fake, control)
        assert answer["code"] == "timeout"
        agent.end()


def test_not_offered_here(start, fake, echo):
    agent = start("app.test", "--to", echo.to)
    _, control = fake.offer()
    _, answer = visited(fake, control, visit="other.test")
    assert answer["code"] == "denied"
    agent.end()


def test_as_many_as_it_takes(start, fake, echo):
    agent = start("app.test", "--to", echo.to, "--connections", "1")
    _, control = fake.offer()
    _, answer = visited(fake, control)
    assert answer["ok"]
    _, answer = visited(fake, control)
    assert answer["code"] == "limit"


def test_bandwidth(start, fake, echo):
    """64 KiB there and back at 64 KiB/s, of which a quarter passes at once."""
    agent = start("app.test", "--to", echo.to, "--bandwidth", "64KiB")
    _, control = fake.offer()
    stream, _ = visited(fake, control)
    begin = time.monotonic()
    stream.sock.sendall(bytes(65536))
    stream.read(65536)
    assert 1.2 < time.monotonic() - begin < 8 * SLOW
    stream.sock.close()
    agent.end()


def test_health(start, fake):
    """The door hears when the service goes, and when it comes."""
    port = free_port()
    agent = start("app.test", "--to", f"127.0.0.1:{port}", "--health", "100ms")
    _, control = fake.offer()
    assert control.message() == {"v": 1, "ready": False}
    server = peers.Server(lambda sock: None, port=port)
    assert control.message() == {"v": 1, "ready": True}
    server.stop()
    assert control.message() == {"v": 1, "ready": False}
    agent.end()


def test_comes_back(start, fake, echo):
    """The control stream ends: offered anew; the visitor goes on."""
    agent = start("app.test", "--to", echo.to)
    _, control = fake.offer()
    stream, _ = visited(fake, control)
    control.sock.unwrap().close()
    agent.says("is not offered")
    fake.offer()
    stream.sock.sendall(b"still here")
    assert stream.read(10) == b"still here"
    stream.sock.close()
    wait_until(lambda: agent.output().count("offering app.test") == 2, "the offer to stand again")
    agent.end()


def test_drain(start, fake, echo):
    """Offered on another connection at once, nothing is said to be lost, and the visitor goes on."""
    agent = start("app.test", "--to", echo.to)
    _, control = fake.offer()
    stream, _ = visited(fake, control)
    control.say(drain=True)
    fake.offer()
    stream.sock.sendall(b"still here")
    assert stream.read(10) == b"still here"
    assert "is not offered" not in agent.output()
    stream.sock.close()
    agent.end()


def test_stop_lets_visitors_finish(start, fake, echo):
    agent = start("app.test", "--to", echo.to, "--grace", "30s")
    _, control = fake.offer()
    stream, _ = visited(fake, control)
    agent.send(signal.SIGTERM)
    assert control.message() == {"v": 1, "ready": False}
    stream.sock.sendall(b"last words")
    assert stream.read(10) == b"last words"
    time.sleep(0.3)
    assert agent.poll() is None
    stream.sock.unwrap().close()
    assert agent.wait() == 0


@pytest.mark.parametrize("words, again", [(["--grace", "300ms"], False), (["--grace", "30s"], True)])
def test_stop_does_not_wait_for_ever(start, fake, echo, words, again):
    """The grace time, or a second signal."""
    agent = start("app.test", "--to", echo.to, *words)
    _, control = fake.offer()
    visited(fake, control)
    agent.send(signal.SIGTERM)
    assert control.message() == {"v": 1, "ready": False}
    if again:
        agent.send(signal.SIGTERM)
    assert agent.wait(5) == 0


def test_spare_is_not_taken(start, fake, echo):
    """The agent drops it and goes on."""
    agent = start("app.test", "--to", echo.to)
    _, control = fake.offer()
    control.say(spares=["old"])
    fake.spare(ok=False, code="denied", text="no such id")
    _, answer = visited(fake, control)
    assert answer["ok"]


def test_nonsense_from_the_door(start, fake):
    agent = start("app.test", "--to", "127.0.0.1:1")
    _, control = fake.offer()
    control.sock.sendall(b"\0\5junk!")
    agent.says("cannot be read")
    fake.offer()
    agent.end()


# End-to-end -------------------------------------------------------------------------------------------------------

@pytest.fixture
def sealed(start, fake, pki, echo):
    cert = pki.server("app.test")

    def begin(*words):
        agent = start("app.test", "--to", echo.to, "--end-to-end", "--service-cert", cert.certificate,
                      "--service-key", cert.key, "--verbose", *words)
        hello, control = fake.offer()
        assert hello["kind"] == "end-to-end"
        stream, answer = visited(fake, control)
        assert answer["ok"]
        return agent, stream
    return begin


class Inner:
    """TLS inside a stream, as the visitor speaks it."""

    def __init__(self, stream, pki, cert=None):
        ctx = ssl.create_default_context(cafile=pki.ca.file)
        if cert:
            ctx.load_cert_chain(cert.certificate, cert.key)
        self.stream, self.into, self.out = stream, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ctx.wrap_bio(self.into, self.out, server_hostname="app.test")

    def do(self, call, *args):
        while True:
            try:
                result = call(*args)
                self.stream.sock.sendall(self.out.read())
                return result
            except ssl.SSLWantReadError:
                if pending := self.out.read():
                    self.stream.sock.sendall(pending)
                data = self.stream.sock.recv(65536)
                if not data:
                    self.into.write_eof()
                else:
                    self.into.write(data)

    def echo(self, data):
        self.do(self.tls.do_handshake)
        self.do(self.tls.write, data)
        return self.do(self.tls.read, len(data))


def test_end_to_end(sealed, pki):
    """The visitor sees the service's certificate, and proves himself to the agent."""
    agent, stream = sealed("--clients", pki.staff.file)
    inner = Inner(stream, pki, pki.bob)
    assert inner.echo(b"secret") == b"secret"
    assert ("DNS", "app.test") in inner.tls.getpeercert()["subjectAltName"]
    stream.sock.close()
    agent.says("as bob")
    agent.end()


def test_end_to_end_anyone(sealed, pki):
    agent, stream = sealed("--anyone")
    assert Inner(stream, pki).echo(b"x") == b"x"


@pytest.mark.parametrize("who, reason", [(None, "no certificate"), ("mallory", "does not prove good"),
                                         ("bob", "denied")])
def test_end_to_end_turned_away(sealed, pki, echo, who, reason):
    """Without a certificate, with a stranger's, with one that is not allowed; the service never hears of it."""
    agent, stream = sealed("--clients", pki.staff.file, "--allow", "group=ops")
    with pytest.raises((ssl.SSLError, OSError, EOFError)):
        Inner(stream, pki, who and getattr(pki, who)).echo(b"x")
    agent.says(reason)
    assert echo.count == 0
    agent.end()


# Command line and file --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words, text", [
    ([], "NAME is missing"),
    (["a.test"], "--to HOST:PORT is missing"),
    (["*.test", "--to", "a:1"], "no name to offer"),
    (["10.0.0.1", "--to", "a:1"], "no name to offer"),
    (["a.test", "--to", "a"], "HOST:PORT or unix:PATH"),
    (["a.test", "--to", "a:1", "--port", "1"], "goes with a public offer only"),
    (["a.test", "--to", "a:1", "--public", "--udp"], "needs a port"),
    (["a.test", "--to", "a:1", "--public", "--port", "0"], "1 to 65535"),
    (["a.test", "--to", "a:1", "--end-to-end"], "needs a certificate"),
    (["a.test", "--to", "a:1", "--end-to-end", "--service-cert", "c", "--service-key", "k"], "who may visit"),
    (["a.test", "--to", "a:1", "--anyone"], "end-to-end only"),
    (["a.test", "--to", "a:1", "--bandwidth", "fast"], "bytes per second"),
    (["-c", "f.yaml", "a.test"], "the file names the services"),
])
def test_misuse(tmp_path, words, text):
    done = run(CARDEA, "expose", "--door", "d:1", *words, env=clean_env(tmp_path))
    assert done.returncode == 2 and text in done.stderr.decode(), done.stderr.decode()


def test_file(start, fake, echo, pki, tmp_path):
    """Several services of one file; one that is denied does not stop the others."""
    (tmp_path / "e.yaml").write_text(f"door: {fake.address}\nservices:\n"
                                     f"  - {{name: one.test, to: '{echo.to}'}}\n"
                                     f"  - {{name: two.test, to: '{echo.to}', kind: public, port: 2222}}\n")
    agent = start("-c", tmp_path / "e.yaml")
    for _ in range(2):
        hello, stream = fake.offers.get(timeout=10 * SLOW)
        if hello["offer"] == "one.test":
            stream.say(ok=False, code="denied", text="no")
        else:
            assert hello["port"] == 2222
            stream.say(ok=True)
    agent.says("refuses to offer one.test")
    agent.says("offering two.test (public)")
    agent.end()


def test_file_that_is_wrong(tmp_path):
    """With its place."""
    path = tmp_path / "e.yaml"
    path.write_text("door: d:1\nservices:\n  - {name: a.test, to: 'a:1', port: 1}\n")
    done = run(CARDEA, "expose", "-c", path, env=clean_env(tmp_path))
    assert done.returncode == 1
    assert done.stderr.decode() == f"{path}:3:5: services[0]: a port of the door goes with a public offer only\n"
    path.write_text("door: d:1\nservices:\n  - {name: a.test, too: 'a:1'}\n")
    done = run(CARDEA, "expose", "-c", path, env=clean_env(tmp_path))
    assert done.returncode == 1 and f"{path}:3:20: services[0].too: unknown key" in done.stderr.decode()


def test_no_door(start):
    """Said once, and tried again."""
    agent = start("app.test", "--to", "127.0.0.1:1", door=f"127.0.0.1:{free_port()}")
    agent.says("refused the connection")
    time.sleep(1)
    assert agent.poll() is None and agent.output().count("refused the connection") == 1
    agent.end()
