# SPDX-License-Identifier: Apache-2.0
"""`--transport auto` where UDP does not get through: TCP stands in, soon and without a word; and QUIC comes back."""
import signal
import socket
import subprocess
import time

import pytest

import tls
from agents import Agent
from fixtures import clean_env, connect_words
from relay import Relay
from run import SLOW, free_port, wait_until

# Well under the 10 s after which QUIC gives up by itself: who waited for that would take longer.
SOON = 8


@pytest.fixture
def two_ports(start_door, pki):
    """A door with TCP alone at its port, and everything at `door.quic_port`: what becomes of UDP to the first one is
    up to the test."""
    port, quic_port = free_port(), free_port()
    door = start_door({
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "listeners": [{"name": "tcp-only", "address": f"127.0.0.1:{port}", "quic": False},
                      {"name": "both", "address": f"127.0.0.1:{quic_port}"}],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "limits": {"dial_timeout": "10s"},
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*", "offer:app.test", "name:app.test"]}],
    })
    door.port, door.quic_port = port, quic_port
    return door


@pytest.fixture
def relay(two_ports):
    with Relay(two_ports.quic_port, port=two_ports.port) as relay:
        yield relay


def test_works_through_the_relay(two_ports, relay, connect, banner):
    """With UDP let through QUIC works: the tests below see what they think they see. (In auto TCP may win on a machine
    that is slow enough.)"""
    assert connect(two_ports, "--transport", "quic", f"127.0.0.1:{banner.port}").returncode == 0
    assert two_ports.audited(action="tunnel")["transport"] == "quic"
    assert relay.passed > 0


def test_udp_is_swallowed(two_ports, relay, connect, banner):
    """Nothing comes back: TCP after a short head start. Nobody waits for QUIC's own time-outs."""
    relay.deaf = True
    start = time.monotonic()
    done = connect(two_ports, f"127.0.0.1:{banner.port}", input=b"x\n")
    assert time.monotonic() - start < SOON
    assert (done.returncode, done.stdout, done.stderr) == (0, b"behind the door\nx\n", b"")
    assert "transport" not in two_ports.audited(action="tunnel")
    assert relay.lost > 0 and relay.passed == 0


def test_nobody_listens_in_udp(two_ports, connect, banner):
    """The machine says so (ICMP): TCP at once, and who insists on QUIC is told at once."""
    done = connect(two_ports, f"127.0.0.1:{banner.port}", input=b"x\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"behind the door\nx\n", b"")
    assert "transport" not in two_ports.audited(action="tunnel")
    start = time.monotonic()
    done = connect(two_ports, "--transport", "quic", f"127.0.0.1:{banner.port}")
    assert time.monotonic() - start < SOON
    assert done.returncode == 1 and b"nobody listens there (UDP)" in done.stderr, done.stderr.decode()


def test_udp_is_swallowed_and_there_is_no_choice(two_ports, relay, connect, banner):
    relay.deaf = True
    done = connect(two_ports, "--transport", "quic", f"127.0.0.1:{banner.port}")
    assert done.returncode == 1 and b"UDP may be blocked: try --transport auto or tcp" in done.stderr, done.stderr.decode()


def test_less_time_than_quic_has_itself(two_ports, relay, connect, banner):
    """The advice does not hang on whose time is over first."""
    relay.deaf = True
    done = connect(two_ports, "--transport", "quic", "--timeout", "1s", f"127.0.0.1:{banner.port}")
    assert done.returncode == 1 and b"UDP may be blocked: try --transport auto or tcp" in done.stderr, done.stderr.decode()


@pytest.mark.parametrize("transport", ["auto", "tcp"])
def test_no_answer_in_time(connect, transport):
    """A port that takes connections and says nothing, in TCP and in UDP."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), Relay(free_port(), port=port) as relay:
        relay.deaf = True
        done = connect(f"127.0.0.1:{relay.port}", "--transport", transport, "--timeout", "1s", "127.0.0.1:22")
    assert b"did not complete the TLS handshake" in done.stderr, done.stderr.decode()
    assert (b"nor answer over QUIC (UDP may be blocked)" in done.stderr) == (transport == "auto")


def test_swallowed_and_no_tcp_either(connect):
    """Neither answers: the message is TCP's, which says more."""
    port = free_port()
    with Relay(free_port(), port=port) as relay:
        relay.deaf = True
        done = connect(f"127.0.0.1:{port}", "127.0.0.1:22")
    assert done.returncode == 1 and b"refused the connection" in done.stderr, done.stderr.decode()


def test_quic_comes_back(two_ports, relay, start_connect, echo):
    """UDP begins to get through while `cardea connect` runs: tunnels made from then on go over QUIC; those made before
    stay where they are."""
    port = free_port()
    relay.deaf = True
    start_connect(two_ports, "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])

    def transport():
        two_ports.mark()
        with socket.create_connection(("127.0.0.1", port), 10 * SLOW) as sock:
            sock.sendall(b"x")
            assert tls.read_exactly(sock, 1) == b"x"
        return two_ports.audited(action="tunnel").get("transport")

    with socket.create_connection(("127.0.0.1", port), 10 * SLOW) as before:
        before.sendall(b"x")
        assert tls.read_exactly(before, 1) == b"x"
        assert transport() is None
        relay.deaf = False
        wait_until(lambda: transport() == "quic", "a tunnel over QUIC", 15, step=0.2)
        before.sendall(b"y")
        assert tls.read_exactly(before, 1) == b"y"


def test_udp_is_blocked_later(two_ports, relay, start_connect, connect, banner):
    """A network that has carried QUIC and does not any more: the next `cardea connect` works over TCP."""
    assert connect(two_ports, "--transport", "quic", f"127.0.0.1:{banner.port}").returncode == 0
    assert two_ports.audited(action="tunnel")["transport"] == "quic"
    relay.deaf = True
    two_ports.mark()
    assert connect(two_ports, f"127.0.0.1:{banner.port}").returncode == 0
    assert "transport" not in two_ports.audited(action="tunnel")


class SlowAfterFirst(Relay):
    """The client's first two packets and the answer to them are quick, all others come late."""

    def forward(self, sock, data, address):
        self.overtaken = 1.0 if self.passed >= 3 else 0.0
        super().forward(sock, data, address)


@pytest.mark.alone
def test_quic_that_is_heard_is_waited_for(start_door, pki, connect, banner):
    """The door has answered over QUIC (a Retry), and the handshake takes longer than the head start: no connection over
    TCP is begun that would lose, and leave a line in the audit log."""
    port, quic_port = free_port(), free_port()
    door = start_door({
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "quic": {"retry_above": 0},
        "listeners": [{"name": "tcp-only", "address": f"127.0.0.1:{port}", "quic": False},
                      {"name": "both", "address": f"127.0.0.1:{quic_port}"}],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*"]}],
    })
    door.port = port
    seen = []

    def by_quic_alone():
        """The carrier and its tunnel, and nothing else. Not so each time that this machine takes longer than the head start
        for the Retry."""
        door.mark()
        with SlowAfterFirst(quic_port, port=port, late=0.2):
            assert connect(door, f"127.0.0.1:{banner.port}").returncode == 0
            door.audited(action="carrier")
        seen[:] = door.audit()[door.marked:]
        return [line.get("transport") for line in seen] == ["quic", "quic"]
    wait_until(by_quic_alone, lambda: f"a call over QUIC alone; the last one left {seen}", 20)


# UDP that stops in mid-life ------------------------------------------------------------------------------------------

def echoed(port, word=b"x"):
    """One round through a local port; how long it took."""
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 10 * SLOW) as sock:
        sock.sendall(word)
        assert tls.read_exactly(sock, len(word)) == word
    return time.monotonic() - start


def transport_of_next(door, port):
    door.mark()
    echoed(port)
    return door.audited(action="tunnel").get("transport")


@pytest.mark.alone
def test_silence_in_mid_life(two_ports, relay, start_connect, echo):
    """UDP is dropped under a QUIC connection in use: the next tunnel of the same process works within two seconds, over
    TCP. The tunnel that was open waits; when UDP is back it goes on without a byte lost, and the same QUIC connection
    carries new tunnels again (another one that was tried meanwhile could be there first: the network lets none through)."""
    port = free_port()
    start_connect(two_ports, "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    wait_until(lambda: transport_of_next(two_ports, port) == "quic", "QUIC")
    with socket.create_connection(("127.0.0.1", port), 60 * SLOW) as before:
        before.sendall(b"x")
        assert tls.read_exactly(before, 1) == b"x"
        relay.deaf = relay.shy = True
        two_ports.mark()
        assert echoed(port) < 2 * SLOW
        assert "transport" not in two_ports.audited(action="tunnel")
        assert echoed(port) < 1 * SLOW, "the second one waits no more"
        before.sendall(b"waits")
        relay.deaf = False
        assert tls.read_exactly(before, 5) == b"waits"
        wait_until(lambda: transport_of_next(two_ports, port) == "quic", "QUIC again", 20, step=0.2)
        before.sendall(b"y")
        assert tls.read_exactly(before, 1) == b"y"
    long, new = [two_ports.audited(action="tunnel", transport="quic", **facts) for facts in ({"in": 7}, {"in": 1})]
    assert long["carrier"] == new["carrier"]


def test_silence_and_quic_only(two_ports, relay, start_connect, echo):
    """With --transport quic there is no other way than another QUIC connection: it is tried at once, and works when UDP
    does again."""
    port = free_port()
    start_connect(two_ports, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    assert echoed(port)
    relay.deaf = True
    with socket.create_connection(("127.0.0.1", port), 60 * SLOW) as sock:
        sock.sendall(b"x")
        time.sleep(2)
        relay.deaf = False
        assert tls.read_exactly(sock, 1) == b"x"
    assert echoed(port) < 2 * SLOW


# What is remembered -------------------------------------------------------------------------------------------------

def lasting(door, pki, home, target):
    """A call that lasts for two seconds."""
    call = subprocess.Popen([str(word) for word in [*connect_words(door, pki.alice, pki.ca.file), target]],
                            env=clean_env(home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(2 * SLOW)
    out, err = call.communicate(b"x\n")
    assert (call.returncode, out, err) == (0, b"behind the door\nx\n", b"")


def test_what_failed_is_remembered(two_ports, relay, connect, pki, tmp_path, banner):
    """UDP is swallowed: the next call in this network does not even try. A damaged file is no harm, it is learnt anew."""
    target = f"127.0.0.1:{banner.port}"
    memory = tmp_path / ".cache" / "cardea" / "networks"
    relay.deaf = True
    lasting(two_ports, pki, tmp_path, target)
    assert memory.read_text().endswith(" 1\n") and memory.stat().st_mode & 0o777 == 0o600
    time.sleep(0.3 * SLOW)  # the relay has seen the last of that one's packets
    tried = relay.lost
    assert connect(two_ports, target).returncode == 0
    assert relay.lost == tried
    memory.write_bytes(b"nonsense\0\xff" * 100)
    assert connect(two_ports, target).returncode == 0
    assert relay.lost > tried
    lasting(two_ports, pki, tmp_path, target)
    assert memory.read_text().endswith(" 1\n")


def test_what_worked_is_remembered(two_ports, relay, pki, tmp_path, banner):
    lasting(two_ports, pki, tmp_path, f"127.0.0.1:{banner.port}")
    assert (tmp_path / ".cache" / "cardea" / "networks").read_text().endswith(" 0\n")


@pytest.mark.parametrize("what", ["file", "link", "none"])
def test_nowhere_to_remember(two_ports, relay, connect, tmp_path, banner, what):
    """A cache that cannot be written breaks no call."""
    place = tmp_path / ".cache"
    if what == "file":
        place.touch()
    elif what == "link":
        place.symlink_to(tmp_path / "missing" / "too")
    relay.deaf = True
    done = connect(two_ports, f"127.0.0.1:{banner.port}", input=b"x\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"behind the door\nx\n", b"")


def test_who_stays_tries_again(two_ports, relay, pki, tmp_path, start_connect, banner, echo):
    """A process that stays tries QUIC beside TCP, also where it has failed lately, and takes it when it works."""
    relay.deaf = True
    lasting(two_ports, pki, tmp_path, f"127.0.0.1:{banner.port}")
    relay.deaf = False
    port = free_port()
    start_connect(two_ports, "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    assert transport_of_next(two_ports, port) is None
    wait_until(lambda: transport_of_next(two_ports, port) == "quic", "QUIC", 10, step=0.2)
    assert (tmp_path / ".cache" / "cardea" / "networks").read_text().endswith(" 0\n")


# Agents, and doors that were down ------------------------------------------------------------------------------------

@pytest.fixture
def expose(two_ports, pki, tmp_path, banner):
    """Start an agent of a service at `two_ports`."""
    begun = []

    def start(*words):
        agent = Agent(tmp_path, f"127.0.0.1:{two_ports.port}", pki, "app.test", "--to", banner.to, "--grace", "0s",
                      "--verbose", *words, name=f"expose-{len(begun)}")
        begun.append(agent)
        return agent
    yield start
    for agent in begun:
        if agent.poll() is None:
            agent.end()


def last_stand(agent):
    """How the offer was taken last: "QUIC", "TCP" or ""."""
    lines = [line for line in agent.output().splitlines() if "offering app.test" in line]
    return lines[-1].rpartition(" over ")[2] if lines else ""


def test_an_agent_returns_to_quic(two_ports, relay, expose, connect):
    """UDP begins to get through while an offer stands over TCP: the offer moves to QUIC by itself, and visitors are
    served before, meanwhile and afterwards."""
    relay.deaf = True
    agent = expose()
    agent.says("over TCP")

    def visit():
        done = connect(two_ports, "--transport", "tcp", "app.test")
        assert (done.returncode, done.stdout) == (0, b"behind the door\n"), done.stderr.decode()
    visit()
    relay.deaf = False
    end = time.monotonic() + 40 * SLOW
    while last_stand(agent) != "QUIC":
        assert time.monotonic() < end, agent.output()
        visit()
    visit()
    assert agent.output().count("offering app.test") == 2


@pytest.mark.parametrize("way", ["mute", "deaf"])
def test_an_agent_is_not_heard_any_more(two_ports, relay, expose, connect, way):
    """What an agent says over QUIC does not arrive from some time on, whether or not it hears the door: it finds out
    and offers over TCP, and the visitor who came meanwhile is served there. When UDP is back, so is QUIC."""
    agent = expose()
    wait_until(lambda: last_stand(agent) == "QUIC", agent.output, 40)
    setattr(relay, way, True)
    began = time.monotonic()
    done = connect(two_ports, "--transport", "tcp", "app.test")
    assert (done.returncode, done.stdout) == (0, b"behind the door\n"), done.stderr.decode()
    assert last_stand(agent) == "TCP"
    for _ in range(3):
        done = connect(two_ports, "--transport", "tcp", "app.test")
        assert (done.returncode, done.stdout) == (0, b"behind the door\n"), done.stderr.decode()
    assert time.monotonic() - began < 9 * SLOW
    setattr(relay, way, False)
    wait_until(lambda: last_stand(agent) == "QUIC", agent.output, 60)


def test_an_agent_that_is_heard_by_nobody(two_ports, relay, expose, connect):
    """It may use QUIC only: its visitors hear that it does not answer, not that its service does not."""
    agent = expose("--transport", "quic")
    agent.says("over QUIC")
    relay.mute = True
    done = connect(two_ports, "--transport", "tcp", "app.test")
    text = "the agent that offers this name does not answer, and no other came in time"
    assert done.returncode == 1 and text in done.stderr.decode(), done.stderr.decode()
    line = two_ports.audited(target="name:app.test")
    assert line["reason"] == "no_agent" and line["detail"] == text
    relay.mute = False
    wait_until(lambda: connect(two_ports, "--transport", "tcp", "app.test").returncode == 0, agent.output, 60)


def test_a_door_that_was_down_is_no_network_without_udp(two_ports, relay, expose, tmp_path):
    """The door ends without a word and comes back after three seconds, in which the agent has tried it again and again:
    it comes back over QUIC, and the network is not remembered as one that lets no UDP through."""
    agent = expose()
    wait_until(lambda: last_stand(agent) == "QUIC", agent.output, 40)
    two_ports.process.stop(signal.SIGKILL)
    two_ports.process = None
    time.sleep(3)
    two_ports.start()
    wait_until(lambda: agent.output().count("offering app.test") >= 2, agent.output, 60)
    wait_until(lambda: last_stand(agent) == "QUIC", agent.output, 40)
    agent.end()
    assert (tmp_path / ".cache" / "cardea" / "networks").read_text().endswith(" 0\n")


def test_a_call_to_a_door_that_is_down_learns_nothing(connect, tmp_path):
    """Neither QUIC nor TCP is answered: that says nothing about UDP."""
    done = connect(f"127.0.0.1:{free_port()}", "127.0.0.1:22")
    assert done.returncode == 1
    assert not (tmp_path / ".cache" / "cardea" / "networks").exists()
