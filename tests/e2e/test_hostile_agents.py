# SPDX-License-Identifier: Apache-2.0
"""Agents that do not mean well, over TCP: ids for spare connections that were stolen, used twice, invented or are over,
names that are not theirs, connections that say what nobody asked. Each is told no, the door says why, and the agent
whose id it was goes on."""
import base64
import os
import socket
import threading
import time

import pytest

import quic
import tls
from agents import Stream, pack
from run import SLOW, free_port, ms, wait_until

NAME = "app.apps.test"


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    clients = {"mode": "required", "trust": "staff"}
    return start_module_door({
        "certificates": [pki.server("door.test").row(), pki.server("*.apps.test").row()],
        "trust": [pki.trust()],
        "agents": {"grace": "0s"},
        "limits": {"dial_timeout": ms(1000), "handshake_timeout": ms(1000)},
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": clients},
                   {"name": "apps", "sni": "*.apps.test", "expose": {}, "clients": {**clients, "mode": "optional"}}],
        "policy": [
            {"name": "agents", "who": {"any": True}, "targets": ["offer:*.apps.test", "public:*.apps.test"]},
            {"name": "visitors", "who": {"any": True}, "targets": ["name:*.apps.test"]},
        ],
    })


def speak(door, cert, *messages):
    """A connection that says these, and what reads it."""
    sock = tls.connect(door, "door.test", cert=cert, alpn=["cardea/1"])
    stream = Stream(sock)
    for message in messages:
        stream.say(**message)
    return stream


class Hand:
    """An agent by hand: an offer that stands, and the ids that the door has asked for."""

    def __init__(self, door, cert, name=NAME, **more):
        self.door, self.cert = door, cert
        self.control = speak(door, cert, {"offer": name, **more})
        self.name = self.control.sock.getsockname()
        assert self.control.message() == {"v": 1, "ok": True}
        self.ids = []
        self.spares = []

    def hear(self):
        """An id that the door asks a connection for."""
        while not self.ids:
            self.ids += self.control.message().get("spares", [])
        return self.ids.pop(0)

    def bring(self, spare=None, cert=None):
        """Bring a connection under an id: the connection, and the door's answer."""
        stream = speak(self.door, cert or self.cert, {"spare": spare or self.hear()})
        self.spares.append(stream)
        return stream, stream.message()

    def end(self):
        """Break everything off, and wait until the door knows."""
        for stream in (self.control, *self.spares):
            stream.sock.close()
        return self.door.audited_of(self.name)


@pytest.fixture
def hand(door, pki):
    started = []

    def start(cert=pki.alice, name=NAME, **more):
        started.append(Hand(door, cert, name, **more))
        return started[-1]
    yield start
    for agent in started:
        agent.end()


def line_of(door, stream):
    """Its audit line; the door waits a while for who was refused to leave."""
    name = stream.sock.getsockname()
    stream.sock.close()
    return door.audited_of(name)


def no(door, answer, stream):
    """It was told no, and why; and so was the operator."""
    assert (answer["ok"], answer["code"]) == (False, "denied") and "ids are for one connection" in answer["text"]
    line = line_of(door, stream)
    assert (line["action"], line["reason"], line["detail"]) == ("tunnel", "denied", answer["text"]), line
    return line


def serves(door, pki, agent, stream):
    """A visitor is led to the spare connection."""
    with tls.connect(door, NAME, cert=pki.bob) as visitor:
        visit = stream.message()
        assert (visit["visit"], visit["identity"]) == (NAME, "bob")
        stream.say(ok=True)
        stream.sock.sendall(b"from the agent")
        assert tls.read_exactly(visitor, 14) == b"from the agent"


# Ids --------------------------------------------------------------------------------------------------------------

def test_stolen(door, hand, pki):
    """Another's certificate, with the id of an agent: no; and the id is still good for whom it was given to."""
    agent = hand()
    spare = agent.hear()
    twin = pki.staff.client("alice", ou=["ops"], label="another-alice")  # the same name, but not the same in all
    for thief in (pki.bob, twin):
        stream, answer = agent.bring(spare, cert=thief)
        line = no(door, answer, stream)
        assert line["target"] == "spare" and spare not in str(line), "an id is a secret"
    stream, answer = agent.bring(spare)
    assert answer == {"v": 1, "ok": True}
    serves(door, pki, agent, stream)


def test_twice(door, hand, pki):
    agent = hand()
    spare = agent.hear()
    first, answer = agent.bring(spare)
    assert answer["ok"]
    second, answer = agent.bring(spare)
    no(door, answer, second)
    serves(door, pki, agent, first)
    again, answer = agent.bring(spare)
    no(door, answer, again)


def test_at_the_same_time(door, hand, pki):
    """Of twelve connections that bring one id at once, on whatever worker, one is taken."""
    agent = hand()
    spare = agent.hear()
    streams = [speak(door, pki.alice) for _ in range(12)]
    agent.spares += streams
    for stream in streams:
        stream.say(spare=spare)
    answers = [stream.message()["ok"] for stream in streams]
    assert answers.count(True) == 1
    serves(door, pki, agent, streams[answers.index(True)])


def test_of_an_offer_that_is_over(door, hand, pki):
    """An id ends with the control stream that it was said on; a new offer of the same name has its own."""
    before = hand()
    spare = before.hear()
    before.end()
    now = hand()
    stream, answer = now.bring(spare)
    no(door, answer, stream)
    stream, answer = now.bring()
    assert answer["ok"]
    serves(door, pki, now, stream)


def invented(good):
    """Ids that look like one the door has given, and such that do not."""
    raw = bytearray(base64.urlsafe_b64decode(good + "=="))
    wrong_secret = bytes(raw[:9]) + os.urandom(16)
    other_slot = bytes(raw[:8]) + bytes([(raw[8] + 5) % 16]) + bytes(raw[9:])
    no_slot = bytes(raw[:8]) + b"\xff" + bytes(raw[9:])
    other_agent = bytes([raw[0] ^ 2]) + bytes(raw[1:])
    for bad in (wrong_secret, other_slot, no_slot, other_agent, os.urandom(25), bytes(25), b"\xff" * 25):
        yield base64.urlsafe_b64encode(bad).decode().rstrip("=")
    yield good[:-1]
    yield good.swapcase()
    yield good[:-1] + chr(ord(good[-1]) + 1)    # bits that no id has


def test_invented(door, hand, pki):
    agent = hand()
    good = agent.hear()
    for bad in invented(good):
        stream, answer = agent.bring(bad)
        no(door, answer, stream)
    stream, answer = agent.bring(good)
    assert answer["ok"]
    serves(door, pki, agent, stream)


@pytest.mark.parametrize("spare", ["", "x" * 65, "x" * 3000, "a b", "\u00e9", 7, None, ["id"], "nul\0"])
def test_no_ids_at_all(door, pki, spare):
    """What cannot be an id is a hello that cannot be read."""
    stream = speak(door, pki.alice, {"spare": spare})
    answer = stream.message()
    line = line_of(door, stream)
    assert not answer["ok"] and answer["code"] in ("bad_hello", "denied"), answer
    assert line["reason"] in ("bad_request", "denied") and line["detail"]


def test_over_quic(door, hand, pki):
    """A stream of QUIC is nobody's spare connection, whatever it brings."""
    agent = hand()
    spare = agent.hear()
    with quic.Connection(door.port, "door.test", pki.alice) as client:
        text = b'{"v":1,"spare":"%s"}' % spare.encode()
        client.write(0, quic.vector(2, text))
        answer, _ = quic.answered(client, 0)
        assert (answer["ok"], answer["code"]) == (False, "denied")
    stream, answer = agent.bring(spare)
    assert answer["ok"]
    serves(door, pki, agent, stream)


def test_flood_of_ids(door, hand, pki):
    """Connections with ids out of the air, several at a time: visitors are served meanwhile, and nothing is left."""
    agent = hand()
    good = [agent.bring() for _ in range(2)]
    files = door.process.open_files()
    stopping, told = threading.Event(), []

    def flood():
        while not stopping.is_set():
            guess = base64.urlsafe_b64encode(os.urandom(25)).decode().rstrip("=")
            stream = speak(door, pki.bob, {"spare": guess})
            told.append(stream.message()["code"])
            stream.sock.close()
    threads = [threading.Thread(target=flood, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(told) > 100, "a hundred of them", 20)
        stream, answer = good[0]
        assert answer["ok"]
        serves(door, pki, agent, stream)
        wait_until(lambda: len(told) > 200, "a hundred more", 20)
        serves(door, pki, agent, good[1][0])
    finally:
        stopping.set()
        for thread in threads:
            thread.join(10 * SLOW)
    assert set(told) == {"denied"}
    wait_until(lambda: door.process.open_files() <= files, lambda: f"{door.process.open_files()} files to be {files}")


def test_flood_of_good_ids(door, hand, pki):
    """An agent that brings what it is asked for and throws it away is asked again, but never for more than are kept."""
    agent = hand()
    for _ in range(60):
        stream, answer = agent.bring()
        assert answer["ok"] and len(agent.ids) < 16
        stream.sock.close()
    stream, answer = agent.bring()
    assert answer["ok"]
    serves(door, pki, agent, stream)


# What waits -------------------------------------------------------------------------------------------------------

def test_who_speaks_first(door, hand, pki):
    """A spare connection has nothing to say before its visitor: it is closed, and another is asked for."""
    agent = hand()
    stream, answer = agent.bring()
    assert answer["ok"]
    stream.say(ok=True)
    stream.sock.sendall(b"nobody has asked")
    assert tls.ended(stream.sock)
    stream, answer = agent.bring()
    serves(door, pki, agent, stream)


@pytest.mark.parametrize("said, detail", [
    (b"\0\5junk!", "the agent's answer cannot be read"),
    (b"\xff\xff" + bytes(100), "the agent's answer cannot be read"),
    (b"\0\0", "the agent's answer cannot be read"),
    (pack({"v": 2, "ok": True}), "the agent's answer cannot be read"),
    (pack({"v": 1, "ok": "yes"}), "the agent's answer cannot be read"),
    (pack({"v": 1, "ok": False, "code": "denied", "text": "\x1b[31mred\n"}), "red"),
    (None, "the agent's service did not answer in time"),
])
def test_answers_about_a_visitor(door, hand, pki, said, detail):
    """Nonsense and silence: the visitor's connection ends, with a reason, and what is said of it is clean."""
    agent = hand(kind="public")
    stream, _ = agent.bring()
    with tls.connect(door, NAME) as visitor:
        stream.message()
        if said is not None:
            stream.sock.sendall(said)
        visitor.settimeout(5 * SLOW)
        assert tls.ended(visitor)
        line = door.audited_of(visitor)
    assert line["reason"] == "no_agent" and detail in line["detail"], line
    assert all(c >= " " for c in line["detail"])


def test_every_connection_is_broken(door, hand, pki):
    """A connection that breaks may have died while it waited: the next is taken, but only so many for one visitor."""
    agent = hand(kind="public")
    agent.bring()
    with tls.connect(door, NAME) as visitor:
        for number in range(5):
            if number > 0:
                agent.bring()
            agent.spares[-1].message()
            agent.spares[-1].sock.close()
        visitor.settimeout(5 * SLOW)
        assert tls.ended(visitor)
        line = door.audited_of(visitor)
    assert (line["reason"], line["detail"]) == ("no_agent", "the agent went away before it had answered"), line


# Names and control streams ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("hello", [
    {"offer": "elsewhere.test"}, {"offer": "apps.test"}, {"offer": "a.b.apps.test.evil"}, {"offer": "door.test"},
    {"offer": NAME, "kind": "public", "port": 22},
])
def test_names_it_may_not(door, pki, hello):
    """Said to the agent and to the operator; no control stream, and nobody is led there."""
    stream = speak(door, pki.bob, hello)
    answer = stream.message()
    assert (answer["ok"], answer["code"]) == (False, "denied"), answer
    line = line_of(door, stream)
    assert line["reason"] == "denied" and hello["offer"] in line["detail"] and "bob" in line["detail"], line


@pytest.mark.parametrize("said, reason", [
    (b"\0\5junk!", "bad_request"), (b"\xff\xff", "bad_request"), (pack({"v": 9}), "bad_request"),
    (pack({"v": 1, "ready": "yes"}), "bad_request"), (pack({"v": 1, "spares": ["mine"]}) * 50 + b"\0\2[]", "bad_request"),
    (pack({"v": 1, "ready": False}) + b"\0\x20half", "done"),
])
def test_nonsense_on_a_control_stream(door, hand, pki, said, reason):
    """It ends, and with it the offer; that of another agent for the same name stands."""
    other = hand()
    kept, _ = other.bring()
    agent = hand(pki.bob)
    agent.control.sock.sendall(said)
    if reason == "done":
        tls.finish(agent.control.sock)
    line = door.audited_of(agent.name)
    assert (line["action"], line["reason"]) == ("offer", reason) and line["detail"], line
    serves(door, pki, other, kept)


def test_flood_of_readiness(door, hand, pki):
    """Ready, not ready, ten thousand times: everybody is served, and the last word counts."""
    other = hand()
    kept, _ = other.bring()
    agent = hand(pki.bob)
    flood = (pack({"v": 1, "ready": False}) + pack({"v": 1, "ready": True})) * 5000 + pack({"v": 1, "ready": False})
    agent.control.sock.sendall(flood)
    serves(door, pki, other, kept)
    second, _ = other.bring()
    serves(door, pki, other, second)


def test_offers_end_with_their_connections(door, pki):
    """Fifty offers that are broken off at once leave nothing behind."""
    files = door.process.open_files()
    agents = [Hand(door, pki.alice, f"n{i}.apps.test") for i in range(50)]
    for agent in agents:
        agent.control.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert agent.end()["action"] == "offer"
    wait_until(lambda: door.process.open_files() <= files, lambda: f"{door.process.open_files()} files to be {files}")


@pytest.mark.parametrize("before, after", [("udp", "tcp"), ("tcp", "udp")])
def test_a_port_leads_to_what_was_offered_there(start_door, pki, before, after):
    """Whoever waits at a UDP port, from an address that he may have made up, does not become a visitor of a service over
    TCP that the name is offered for next; nor the other way round, where he would write the frames himself."""
    door = start_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()], "agents": {"grace": "30s"},
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "agents", "who": {"any": True}, "targets": ["public:*.apps.test", "public:*.apps.test:1-65535"]}]})
    port = free_port()
    first = Hand(door, pki.alice, kind="public", proto=before, port=port)
    first.control.say(ready=False)
    time.sleep(0.3 * SLOW)
    kind = socket.SOCK_DGRAM if before == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as visitor:
        visitor.connect(("127.0.0.1", port))
        visitor.send(b"GET /admin HTTP/1.1\r\n\r\n")
        time.sleep(0.3 * SLOW)
        first.end()
        second = Hand(door, pki.alice, kind="public", proto=after, port=free_port())
        stream, answer = second.bring()
        assert answer["ok"]
        stream.sock.settimeout(1.5 * SLOW)
        with pytest.raises(TimeoutError):
            stream.message()
        second.end()


def test_a_name_for_the_terminal(start_door, pki):
    """What a certificate says reaches the door's own messages without what turns or breaks lines."""
    door = start_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "agents", "who": {"any": True}, "targets": ["offer:*.nowhere.test"]}]})
    cert = pki.staff.issue("ali\u202ece\u2028x\u2066", usage="clientAuth", label="turned")
    stream = speak(door, cert, {"offer": "a.nowhere.test"})
    assert stream.message()["ok"]
    wait_until(lambda: "offers a.nowhere.test" in door.process.output(), "the notice")
    assert not set("\u202e\u2028\u2066") & set(door.process.output())
    stream.sock.close()
