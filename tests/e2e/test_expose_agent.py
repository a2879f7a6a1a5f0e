# SPDX-License-Identifier: Apache-2.0
"""`cardea expose` against a door that a test scripts: what it asks for, how it takes a no, visitors, and how it ends."""
import contextlib
import signal
import socket
import ssl
import struct
import threading
import time

import pytest

import peers
from agents import Agent, FakeDoor, pack, udp_echo
from fixtures import clean_env
from run import CARDEA, SLOW, Process, free_port, run, wait_until

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
    (["--public", "--port", "53", "--udp"], {"kind": "public", "proto": "udp", "port": 53, "connections": 256}),
])
def test_offer(start, fake, words, hello):
    agent = start("App.test.", "--to", "127.0.0.1:1", *words)
    said = fake.offer()[0]
    assert 1 <= said.pop("instance") < 2 ** 53
    assert said == {"v": 1, "offer": "app.test", "renews": True, **hello}
    port = f", for visitors at {hello['proto'].upper()} port {hello['port']} of the door" if "port" in hello else ""
    agent.says(f"offering app.test ({hello['kind']}) at {fake.address} over TCP{port}\n")
    agent.end()


def test_denied(start, fake):
    """The text and the rule; exit code 1."""
    agent = start("app.test", "--to", "127.0.0.1:1")
    fake.offer(ok=False, code="denied", rule="agents", text="the policy does not allow it")
    assert agent.wait() == 1
    assert "refuses to offer app.test: denied: the policy does not allow it (rule agents)" in agent.output()


def test_denied_after_it_has_stood(start, fake):
    """Somebody relies on it, and what the door's operator has changed he may change back: it is tried again."""
    agent = start("app.test", "--to", "127.0.0.1:1")
    _, control = fake.offer()
    control.sock.unwrap().close()
    fake.offer(ok=False, code="denied", text="not any more")
    agent.says("app.test is not offered: the door")
    fake.offer()
    wait_until(lambda: agent.output().count("offering app.test") == 2, "the offer to stand again")
    agent.end()


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
    assert control.message() == {"v": 1, "ready": False, "down": "refused"}
    server = peers.Server(lambda sock: None, port=port)
    assert control.message() == {"v": 1, "ready": True}
    server.stop()
    assert control.message() == {"v": 1, "ready": False, "down": "refused"}
    agent.end()


def test_withdrawn(start, fake, echo):
    """The door withdraws the offer: its reason is told, the visitor goes on, and the offer is made again: whoever has
    taken it back may have slipped, and nobody else reaches this machine."""
    agent = start("app.test", "--to", echo.to)
    _, control = fake.offer()
    stream, _ = visited(fake, control)
    control.say(withdrawn="no rule lets alice offer app.test")
    agent.says("has withdrawn the offer of app.test: no rule lets alice offer app.test")
    stream.sock.sendall(b"still here")
    assert stream.read(10) == b"still here"
    assert agent.poll() is None
    fake.offer(ok=False, code="denied", text="no rule lets alice offer app.test")
    fake.offer()
    wait_until(lambda: agent.output().count("offering app.test") == 2, agent.output, 30)
    stream.sock.sendall(b"and here")
    assert stream.read(8) == b"and here"
    agent.end()


def test_others_are_told(start, fake):
    """Who else offers the name, when they come and when they go; not the same twice, and anew with each offer."""
    agent = start("app.test", "--to", "127.0.0.1:1", "--json")
    hello, control = fake.offer()
    for count, who in ((1, "bob"), (1, "bob"), (1, "mallory"), (3, "carol\x1b"), (100, "bob"), (1, None), (0, None)):
        control.say(fellows=count, **({"fellow": who} if who else {}))
    agent.says("no other agent offers it any more: all visitors come here\n")
    lines = [line for line in agent.output().splitlines() if line.startswith("cardea: app.test: ")]
    assert lines == ["cardea: app.test: another agent (bob) offers it too and takes a part of the visitors",
                     "cardea: app.test: another agent (mallory) offers it too and takes a part of the visitors",
                     "cardea: app.test: 3 other agents (one is carol?) offer it too and take a part of the visitors",
                     "cardea: app.test: 100 or more other agents (one is bob) offer it too and take a part of the visitors",
                     "cardea: app.test: another agent (not known who) offers it too and takes a part of the visitors",
                     "cardea: app.test: no other agent offers it any more: all visitors come here"]
    assert [(event["name"], event["fellows"], event.get("identity")) for event in agent.events("fellows")] == [
        ("app.test", 1, "bob"), ("app.test", 1, "mallory"), ("app.test", 3, "carol?"), ("app.test", 100, "bob"),
        ("app.test", 1, None), ("app.test", 0, None)]
    control.say(fellows=1)
    wait_until(lambda: len(agent.events("fellows")) == 7, agent.output)
    control.sock.unwrap().close()
    again, control = fake.offer()
    assert again["instance"] == hello["instance"]
    control.say(fellows=1)
    wait_until(lambda: len(agent.events("fellows")) == 8, agent.output)
    agent.end()


def test_a_door_that_says_it_over_and_over(start, fake):
    """What a door says does not fill a log: a few lines at once, one a second, the last word in any case; and one that
    stops time after time waits as any that fails."""
    agent = start("app.test", "--to", "127.0.0.1:1", "--json")
    _, control = fake.offer()
    began = time.monotonic()
    control.sock.sendall(b"".join(pack({"v": 1, "fellows": number % 2 + 1}) for number in range(2000)))
    control.say(fellows=7, fellow="bob")
    wait_until(lambda: agent.events("fellows") and agent.events("fellows")[-1]["fellows"] == 7, agent.output)
    assert len(agent.events("fellows")) <= 11 + time.monotonic() - began
    control.say(drain=True)
    for _ in range(12):
        if "stops again and again" not in agent.output():
            fake.offer()[1].say(drain=True)
    agent.says("stops again and again")
    _, control = fake.offer()
    control.say(fellows=101)
    agent.says('"fellows" is not a number from 0 to 100')
    agent.end()


def test_warning(start, fake):
    """The door takes the offer, and says what it thinks of it."""
    agent = start("app.test", "--to", "127.0.0.1:1", "--json")
    fake.offer(ok=True, warning="no route of the door leads to app.test")
    agent.says("cardea: warning: app.test: no route of the door leads to app.test")
    assert agent.events("offering")[0]["warning"] == "no route of the door leads to app.test"
    agent.end()


def test_health_is_told(start, fake):
    """A line at each change, in text and in JSON."""
    port = free_port()
    agent = start("app.test", "--to", f"127.0.0.1:{port}", "--health", "100ms", "--json")
    _, control = fake.offer()
    place = f"cardea: app.test: the service 127.0.0.1:{port}"
    agent.says(f"{place} refuses connections: is it running?; the door sends nobody until it answers\n")
    with peers.Server(lambda sock: None, port=port):
        agent.says(f"{place} answers again\n")
        time.sleep(0.5)
    wait_until(lambda: len(agent.events("down")) == 2, "it to go down again")
    time.sleep(0.5)
    assert agent.output().count(f"{place} refuses") == 2 and agent.output().count(f"{place} answers again") == 1
    assert [event["name"] for event in agent.events("down") + agent.events("up")] == ["app.test"] * 3
    assert agent.events("down")[0]["turned_away"] == 0
    agent.end()


def test_a_service_that_turns_visitors_away_is_told(start, fake):
    """Once, not at each of them; and that it is back."""
    port = free_port()
    agent = start("app.test", "--to", f"127.0.0.1:{port}", "--json")
    _, control = fake.offer()
    for _ in range(3):
        assert visited(fake, control)[1]["code"] == "refused"
    with peers.Server(lambda sock: None, port=port):
        assert visited(fake, control)[1]["ok"]
        assert visited(fake, control)[1]["ok"]
        agent.says("answers again")
    assert visited(fake, control)[1]["code"] == "refused"  # too soon to be told again
    time.sleep(0.3)
    assert agent.output().count("refuses connections: is it running?; 1 visitor was turned away\n") == 1
    assert agent.output().count("answers again\n") == 1
    assert agent.events("down")[0]["turned_away"] == 1
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
    agent = start("app.test", "--to", echo.to, "--grace", "30s", "--json")
    _, control = fake.offer()
    stream, _ = visited(fake, control)
    agent.send(signal.SIGTERM)
    agent.says("stopping: new visitors are not taken, 1 who is here has up to 30s; once more to end now\n")
    assert control.message() == {"v": 1, "ready": False}
    stream.sock.sendall(b"last words")
    assert stream.read(10) == b"last words"
    time.sleep(0.3)
    assert agent.poll() is None
    stream.sock.unwrap().close()
    assert agent.wait() == 0
    assert agent.output().endswith("cardea: stopped\n")
    [stopping], [stopped] = agent.events("stopping"), agent.events("stopped")
    assert (stopping["visitors"], stopping["grace"], stopped["cut_off"]) == (1, 30, 0) and "name" not in stopping


def test_stop_with_nobody_there(start, fake):
    agent = start("app.test", "--to", "127.0.0.1:1")
    fake.offer()
    agent.says("offering")
    agent.end()
    assert agent.output().endswith("cardea: stopping: new visitors are not taken, and nobody is here\ncardea: stopped\n")


@pytest.mark.parametrize("words, again", [(["--grace", "300ms"], False), (["--grace", "30s"], True)])
def test_stop_does_not_wait_for_ever(start, fake, echo, words, again):
    """The grace time, or a second signal."""
    agent = start("app.test", "--to", echo.to, "--json", *words)
    _, control = fake.offer()
    visited(fake, control)
    agent.send(signal.SIGTERM)
    assert control.message() == {"v": 1, "ready": False}
    if again:
        agent.send(signal.SIGTERM)
    assert agent.wait(5) == 0
    assert agent.output().endswith("cardea: stopped: 1 visitor was cut off\n")
    assert [event["cut_off"] for event in agent.events("stopped")] == [1]


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

    def begin(*words, to=echo.to):
        agent = start("app.test", "--to", to, "--end-to-end", "--service-cert", cert.certificate,
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


def say_the_end(tls):
    """close_notify, without waiting for the other's."""
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.unwrap()


@pytest.mark.parametrize("words", [[], ["--bandwidth", "2500KiB"]], ids=["", "throttled"])
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_end_to_end_and_all_of_an_answer(sealed, pki, late, words):
    """The visitor says the end of his side, and behind it comes that of the door's connection, before the agent is done or
    after: he gets the whole of a long answer, though most is still on the way then."""
    size, heard, both = 2 << 20, threading.Event(), threading.Event()

    def answer(sock):
        while sock.recv(65536):
            pass
        heard.set()
        both.wait(10 * SLOW)
        sock.sendall(bytes(size))
    with peers.Server(answer) as server:
        agent, stream = sealed("--anyone", *words, to=server.to)
        inner, got = Inner(stream, pki), 0
        inner.do(inner.tls.do_handshake)
        say_the_end(inner.tls)
        stream.sock.sendall(inner.out.read())
        assert heard.wait(10 * SLOW)
        if not late:
            stream.sock.settimeout(0)
            say_the_end(stream.sock)
            stream.sock.settimeout(10 * SLOW)
        both.set()
        agent.says(": done, ")
        if late:
            # As long as a close_notify, which the library would not say without reading: nobody deciphers it.
            socket.socket.sendall(stream.sock, b"\x17\x03\x03\0\x13" + bytes(19))
            socket.socket.shutdown(stream.sock, socket.SHUT_WR)
        with contextlib.suppress(ssl.SSLZeroReturnError):   # close_notify
            while data := inner.do(inner.tls.read, 65536):
                got += len(data)
        assert got == size
        agent.end()


def test_who_is_gone_is_not_cut_off(sealed, pki):
    """A visitor of whom all is said is no longer counted, though the end of the door's connection is waited for."""
    def answer(sock):
        while sock.recv(65536):
            pass
    with peers.Server(answer) as server:
        agent, stream = sealed("--anyone", to=server.to)
        inner = Inner(stream, pki)
        inner.do(inner.tls.do_handshake)
        say_the_end(inner.tls)
        stream.sock.sendall(inner.out.read())
        agent.says(": done, ")
        agent.send(signal.SIGTERM)
        agent.says("nobody is here")
        agent.wait()
    assert "cut off" not in agent.output(), agent.output()


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


@pytest.mark.parametrize("names, warns", [(["app.test"], False), (["*.test"], False), (["other.test"], True),
                                          (["*.app.test"], True)])
def test_a_certificate_for_another_name(start, fake, pki, names, warns):
    """Said at the start: visitors would refuse it."""
    cert = pki.server(*names)
    agent = start("app.test", "--to", "127.0.0.1:1", "--end-to-end", "--service-cert", cert.certificate, "--service-key",
                  cert.key, "--anyone")
    fake.offer()
    agent.says("offering")
    text = f"warning: app.test: {cert.certificate} is for {', '.join(names)}, not for app.test: visitors who ask"
    assert (text in agent.output()) == warns, agent.output()
    agent.end()


# The file ---------------------------------------------------------------------------------------------------------

def test_transport_of_the_file(fake, pki, tmp_path):
    """It beats the environment, and a flag beats it. What it may not be is told with its place."""
    path, env = tmp_path / "e.yaml", clean_env(tmp_path, CARDEA_TRANSPORT="quic")

    def write_with(transport):
        path.write_text(f"door: {fake.address}\ncert: {pki.alice.certificate}\nkey: {pki.alice.key}\nca: {pki.ca.file}\n"
                        f"name: door.test\ntransport: {transport}\nservices: [{{name: app.test, to: '127.0.0.1:1'}}]\n")
    write_with("tcp")
    agent = Process([CARDEA, "expose", "-c", path, "--grace", "0s"], tmp_path, "expose", env=env)
    fake.offer()
    wait_until(lambda: "over TCP" in agent.output(), agent.output)
    write_with("quic")
    agent.send(signal.SIGHUP)
    wait_until(lambda: "needs a restart" in agent.output(), agent.output)
    assert agent.stop() == 0
    agent = Process([CARDEA, "expose", "-c", path, "--grace", "0s", "--transport", "tcp"], tmp_path, "again", env=env)
    fake.offer()
    assert agent.stop() == 0
    write_with("udp")
    done = run(CARDEA, "expose", "-c", path, env=env)
    assert done.returncode == 1
    assert f"{path}:6:12: transport: found 'udp', expected one of auto, quic, tcp" in done.stderr.decode()


# Reload -----------------------------------------------------------------------------------------------------------

def write(path, fake, *services):
    path.write_text(f"door: {fake.address}\nservices:\n" + "".join(f"  - {{{service}}}\n" for service in services))


def offers(fake, *names):
    """The control streams of offers, whatever their order, by name."""
    found = dict((hello["offer"], stream) for hello, stream in (fake.offer() for _ in names))
    assert sorted(found) == sorted(names)
    return found


def gone(control):
    """The agent has closed it."""
    with pytest.raises((EOFError, ssl.SSLError)):
        while True:
            control.message()


def test_reload(start, fake, echo, tmp_path):
    """New services are offered, those that are gone withdrawn, and what is as it was keeps its offer. Visitors stay, also
    those of a service that is gone."""
    path = tmp_path / "e.yaml"
    write(path, fake, f"name: stays.test, to: '{echo.to}'", f"name: goes.test, to: '{echo.to}', bandwidth: 1MiB",
          f"name: changes.test, to: '{echo.to}'")
    agent = start("-c", path, "--json")
    control = offers(fake, "stays.test", "goes.test", "changes.test")
    visitors = {name: visited(fake, control[name], visit=name)[0] for name in control}
    write(path, fake, f"name: stays.test, to: '{echo.to}'", f"name: new.test, to: '{echo.to}', kind: public",
          f"name: changes.test, to: '{echo.to}', kind: public")
    agent.send(signal.SIGHUP)
    agent.says(f"{path} is read again: 3 services")
    new = offers(fake, "new.test", "changes.test")
    gone(control["goes.test"])
    gone(control["changes.test"])
    agent.says("goes.test is not offered any more")
    for stream in visitors.values():
        stream.sock.sendall(b"still here")
        assert stream.read(10) == b"still here"
    assert visited(fake, control["stays.test"], visit="stays.test")[1]["ok"]
    assert visited(fake, new["changes.test"], visit="changes.test")[1]["ok"]
    assert visited(fake, control["stays.test"], visit="goes.test")[1]["code"] == "denied"
    for stream in visitors.values():
        stream.sock.unwrap().close()
    wait_until(lambda: len([event for event in agent.events("visit") if event["reason"] == "done"]) == 3, "them to leave")
    assert sorted(event["name"] for event in agent.events("withdrawn")) == ["changes.test", "goes.test"]
    assert sum(event["name"] == "stays.test" for event in agent.events("offering")) == 1
    agent.end()


def test_reload_of_a_bad_file(start, fake, echo, tmp_path):
    """What is wrong is said with its place, and what was offered goes on; also where a certificate is not there."""
    path = tmp_path / "e.yaml"
    write(path, fake, f"name: app.test, to: '{echo.to}'")
    agent = start("-c", path)
    _, control = fake.offer()
    write(path, fake, "name: app.test, too: 'a:1'")
    agent.send(signal.SIGHUP)
    agent.says("what was offered goes on as it was")
    assert f"{path}:3:22: services[0].too: unknown key" in agent.output()
    write(path, fake, f"name: app.test, to: '{echo.to}'", "name: b.test, to: 'a:1', kind: end-to-end, certificate: none.pem, "
                                                          "key: none.key, anyone: true")
    agent.send(signal.SIGHUP)
    agent.says("none.")
    assert visited(fake, control)[1]["ok"]
    assert agent.output().count("offering") == 1
    agent.end()


def test_reload_takes_what_was_refused_and_new_certificates(start, fake, echo, pki, tmp_path):
    path, cert = tmp_path / "e.yaml", pki.server("app.test")
    write(path, fake, f"name: app.test, to: '{echo.to}', kind: end-to-end, certificate: {tmp_path}/own.pem, "
                      f"key: {tmp_path}/own.key, anyone: true", f"name: late.test, to: '{echo.to}'")

    def use(who):
        for source, name in ((who.certificate, "own.pem"), (who.key, "own.key")):
            with open(source, "rb") as file:
                (tmp_path / name).write_bytes(file.read())
            (tmp_path / name).chmod(0o600)
    use(pki.server("wrong.test"))
    agent = start("-c", path)
    control = {}
    for _ in range(2):
        hello, stream = fake.offers.get(timeout=20 * SLOW)
        control[hello["offer"]] = stream
        stream.say(**({"ok": True} if hello["offer"] == "app.test" else {"ok": False, "code": "denied", "text": "no"}))
    agent.says("refuses to offer late.test")
    stream, _ = visited(fake, control["app.test"])
    with pytest.raises(ssl.SSLCertVerificationError):
        Inner(stream, pki).echo(b"x")
    use(cert)
    agent.send(signal.SIGHUP)
    hello, _ = fake.offer()
    assert hello["offer"] == "late.test"
    stream, _ = visited(fake, control["app.test"])
    assert Inner(stream, pki).echo(b"x") == b"x"
    agent.end()


def test_reload_where_hangups_are_ignored(start, fake, echo, tmp_path):
    """Under nohup the file is read again all the same."""
    path = tmp_path / "e.yaml"
    write(path, fake, f"name: app.test, to: '{echo.to}'")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        agent = start("-c", path)
    finally:
        signal.signal(signal.SIGHUP, before)
    fake.offer()
    agent.send(signal.SIGHUP)
    agent.says("is read again: 1 service\n")
    agent.end()


@pytest.mark.skipif(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, reason="hangups are ignored here")
def test_hangup_without_a_file(start, fake):
    """There is nothing to read again: it ends, as when its terminal goes away."""
    agent = start("app.test", "--to", "127.0.0.1:1")
    fake.offer()
    agent.end(number=signal.SIGHUP)


# Command line and file --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words, text", [
    ([], "NAME is missing"),
    (["a.test"], "--to HOST:PORT is missing"),
    (["*.test", "--to", "a:1"], "no name to offer"),
    (["10.0.0.1", "--to", "a:1"], "no name to offer"),
    (["a.test", "--to", "a"], "HOST:PORT or unix:PATH"),
    (["a.test", "--to", "unix:/" + 107 * "x"], "its path has 108 bytes, and that of a unix socket has at most 107"),
    (["a.test", "--check", "--to", "unix:/" + 107 * "x"], "its path has 108 bytes"),
    (["a.test", "--to", "a:1", "--port", "1"], "goes with a public offer only"),
    (["a.test", "--to", "a:1", "--public", "--udp"], "needs a port"),
    (["a.test", "--to", "a:1", "--public", "--port", "0"], "1 to 65535"),
    (["a.test", "--to", "a:1", "--end-to-end", "--anyone", "--service-cert", "c.pem"], "a certificate and its key go together"),
    (["a.test", "--to", "a:1", "--also-key", "c.key"], "is proven by a certificate and its key"),
    (["a.test", "--to", "a:1", "--end-to-end", "--service-cert", "c", "--service-key", "k"], "who may visit"),
    (["a.test", "--to", "a:1", "--anyone"], "end-to-end only"),
    (["a.test", "--to", "a:1", "--bandwidth", "fast"], "bytes per second"),
    (["a.test", "--to", "a:1", "--name", ""], "--name '': it says nothing"),
    (["-c", "f.yaml", "a.test"], "the file names the services"),
    (["a.test", "--to", "a:1", "--public", "--private"], "--public and --private: an offer is of one kind, choose one"),
    (["offer:a.test", "--to", "a:1"], "expected a DNS name such as app.example.com: a name has letters"),
    (["a..test", "--to", "a:1"], "expected a DNS name such as app.example.com: a label is empty"),
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
    path.write_text("door: d:1\nservices:\n  - {name: a.test, to: 'a:1'}\n  - {name: A.test, to: 'a:2', kind: public}\n")
    done = run(CARDEA, "expose", "-c", path, env=clean_env(tmp_path))
    assert done.returncode == 1
    assert done.stderr.decode() == (f"{path}:4:5: services[1]: a.test is offered already, by services[0] in line 3: a name "
                                    "stands once\n")
    path.write_text("door: d:1\nservices:\n  - {name: a.test, too: 'a:1'}\n")
    done = run(CARDEA, "expose", "-c", path, env=clean_env(tmp_path))
    assert done.returncode == 1 and f"{path}:3:20: services[0].too: unknown key" in done.stderr.decode()


def test_many_services(tmp_path):
    """Of as many as an agent takes each name that stands twice is told; more are too many."""
    def check_many(*numbers):
        (tmp_path / "e.yaml").write_text("door: d:1\nservices:\n" + "".join(
            f"  - {{name: a{number}.test, to: 'a:1'}}\n" for number in numbers))
        done = run(CARDEA, "expose", "-c", "e.yaml", env=clean_env(tmp_path), cwd=tmp_path)
        assert done.returncode == 1
        return done.stderr.decode()
    assert check_many(*range(9997), 7, 3, 7) == "".join(
        f"e.yaml:{number + 3}:5: services[{number}]: a{first}.test is offered already, by services[{first}] in line {first + 3}: "
        "a name stands once\n" for number, first in ((9997, 7), (9998, 3), (9999, 7)))
    assert check_many(*range(10001)) == (
        "e.yaml: 10001 services, expected at most 10000: split the file, and run an agent for each part\n")


# Checking ---------------------------------------------------------------------------------------------------------

def check(tmp_path, *words):
    done = run(CARDEA, "expose", "--check", *words, env=clean_env(tmp_path))
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_check(fake, pki, tmp_path):
    """Nothing is wrong: the services are told, and the door has heard of nobody."""
    path = tmp_path / "e.yaml"
    cert = pki.server("sealed.test")
    path.write_text(f"door: {fake.address}\ncert: {pki.alice.certificate}\nkey: {pki.alice.key}\nca: {pki.ca.file}\n"
                    "services:\n  - {name: one.test, to: '[::1]:80'}\n  - {name: two.test, to: 'unix:/run/x', kind: public, "
                    f"port: 2222}}\n  - {{name: sealed.test, to: 'a:1', kind: end-to-end, certificate: {cert.certificate}, "
                    f"key: {cert.key}, anyone: true}}\n")
    assert check(tmp_path, "-c", path) == (0, "one.test (private) leads to [::1]:80\n"
                                              "two.test (public, TCP port 2222 of the door) leads to unix:/run/x\n"
                                              "sealed.test (end-to-end) leads to a:1\n", "")
    assert check(tmp_path, "--door", fake.address, "game.test", "--to", "a:1", "--public", "--udp", "--port", "53") == (
        0, "game.test (public, UDP port 53 of the door) leads to a:1\n", "")
    time.sleep(0.2)
    assert fake.offers.empty()


def test_check_finds_all(fake, pki, tmp_path):
    """What is wrong with any certificate, each with its place, and the agent's own."""
    path = tmp_path / "e.yaml"
    cert = pki.server("b.test")
    sealed = "kind: end-to-end, anyone: true"
    path.write_text(f"door: {fake.address}\ncert: {pki.alice.certificate}\nkey: {pki.bob.key}\nca: {pki.ca.file}\n"
                    f"services:\n  - {{name: a.test, to: 'a:1', {sealed}, certificate: none.pem, key: none.key}}\n"
                    f"  - {{name: b.test, to: 'a:1', {sealed}, certificate: {cert.certificate}, key: {pki.alice.key}}}\n")
    status, out, err = check(tmp_path, "-c", path)
    lines = err.splitlines()
    assert (status, out) == (1, "") and len(lines) == 3, err
    assert lines[0].startswith(f"{path}:6:") and ": services[0].certificate: " in lines[0]
    assert "none.pem: No such file" in lines[0]
    assert lines[1].startswith(f"{path}:7:") and ": services[1].certificate: " in lines[1]
    assert str(pki.alice.key) in lines[1]
    assert lines[2].startswith(f"{path}:2:7: cert: ") and str(pki.bob.key) in lines[2]
    path.write_text(f"door: d:1\nservices:\n  - {{name: a.test, to: 'unix:/{107 * 'x'}'}}\n")
    status, _, err = check(tmp_path, "-c", path)
    assert status == 1 and err.startswith(f"{path}:3:") and "has at most 107 bytes" in err
    path.write_text("door: d:1\nservices:\n  - {name: a.test, to: 'a:1', port: 1}\n")
    assert check(tmp_path, "-c", path) == (
        1, "", f"{path}:3:5: services[0]: a port of the door goes with a public offer only\n")
    assert check(tmp_path, "app.test", "--to", "a:1", "--door", "d:1", "--ca", tmp_path / "none")[0] == 1
    assert check(tmp_path, "app.test", "--to", "a:1", "--door", "d")[0] == 1


def test_check_of_half_an_identity(pki, tmp_path):
    """A certificate without a key, in a file that has another error."""
    path = tmp_path / "e.yaml"
    path.write_text(f"door: d:1\ncert: {pki.alice.certificate}\nservices:\n  - text\n")
    status, out, err = check(tmp_path, "-c", path)
    assert (status, out) == (1, "") and "services[0]" in err and "invariant" not in err and ":0:0:" not in err, err


def test_check_finds_all_in_one_go(pki, tmp_path):
    """Errors of reading the file do not hide what is wrong with what could be read, nor with the files that it names; what
    follows from an error is not told as another."""
    path = tmp_path / "e.yaml"
    cert = pki.server("c.test")
    path.write_text("door: d:1\ncert: nofile.pem\nkey: nofile.key\nca: noca.pem\nservices:\n"
                    "  - {name: a.test, to: a}\n"
                    "  - {name: a.test, to: 'a:1'}\n"
                    f"  - {{name: c.test, to: 'a:1', kind: end-to-end, certificate: {cert.certificate}, key: {cert.key}}}\n"
                    "  - {name: d.test, to: 'a:1', kind: end-to-end, certificate: no.pem, key: no.key, clients: none.pem}\n"
                    f"  - {{name: e.test, to: 'a:1', kind: end-to-end, certificate: {cert.certificate}, key: {cert.key}, "
                    "anyone: true, allow: bob}\n"
                    "  - {name: f.test, to: 'a:1', kind: end-to-end, key: no.key, clients: none.pem}\n")
    status, out, err = check(tmp_path, "-c", path)
    places = [line.removeprefix(f"{path}:") for line in err.splitlines()]
    assert (status, out) == (1, "")
    for place, text in zip(places, ["6:24: services[0].to: ", "7:5: services[1]: a.test is offered already",
                                    "8:5: services[2]: who may visit an offer end-to-end? Either whom CA certificates vouch "
                                    "for ('clients: FILE'), or anyone ('anyone: true')",
                                    "10:5: services[4]: whom to allow can only be told of visitors who show a certificate "
                                    "('clients')", "11:5: services[5]: a certificate and its key go together "
                                    "('certificate', 'key'); without both the door's CA is asked for one", "9:62: services[3].certificate: ",
                                    "9:92: services[3].clients: ", "11:71: services[5].clients: ", "2:7: cert: ", "4:5: ca: "],
                           strict=True):
        assert place.startswith(text), err
    assert "--" not in err


def test_start_tells_where(pki, tmp_path):
    """As the check does, also of what the client's file names."""
    home = tmp_path / "config/cardea/config.yaml"
    home.parent.mkdir(parents=True)
    home.write_text("door: d:1\ncert: nofile.pem\nkey: nofile.key\n")
    done = run(CARDEA, "expose", "a.test", "--to", "a:1", env={**clean_env(tmp_path), "XDG_CONFIG_HOME": tmp_path / "config"})
    assert done.returncode == 1 and done.stderr.decode().startswith(f"{home}:2:7: cert: "), done.stderr.decode()
    done = run(CARDEA, "expose", "a.test", "--to", "a:1", "--door", "d:1", "--ca", "noca.pem", env=clean_env(tmp_path))
    assert done.stderr.startswith(b"cardea: ") and b"noca.pem: No such file or directory\n" in done.stderr


def test_check_warns(fake, pki, tmp_path):
    """Of a certificate that has expired: ours doors refuse, so that is wrong; the service's its visitors."""
    mine = pki.staff.client("late", start=-7200, end=-3600)
    cert = pki.server("other.test")
    status, out, err = check(tmp_path, "--door", "d:1", "--cert", mine.certificate, "--key", mine.key, "app.test", "--to",
                             "a:1", "--end-to-end", "--anyone", "--service-cert", cert.certificate, "--service-key", cert.key)
    assert (status, out) == (1, "")
    assert f"cardea: certificate {mine.certificate} expired on " in err and err.endswith(": doors refuse it\n")
    assert f"warning: app.test: {cert.certificate} is for other.test, not for app.test" in err


def test_no_identity(fake, pki, tmp_path):
    """The door wants a certificate and there is none: that does not change by itself, so it ends."""
    done = run(CARDEA, "expose", "--door", fake.address, "--ca", pki.ca.file, "--name", "door.test", "--transport", "tcp",
               "app.test", "--to", "127.0.0.1:1", env=clean_env(tmp_path))
    assert done.returncode == 1 and b"wants a client certificate: give --cert and --key" in done.stderr, done.stderr


def test_no_door(start):
    """Said once, and tried again."""
    agent = start("app.test", "--to", "127.0.0.1:1", door=f"127.0.0.1:{free_port()}")
    agent.says("refused the connection")
    time.sleep(1)
    assert agent.poll() is None and agent.output().count("refused the connection") == 1
    agent.end()
