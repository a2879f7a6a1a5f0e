# SPDX-License-Identifier: Apache-2.0
"""ssh to a host behind `cardea expose`, over QUIC on both sides of the door, typed into while one side or the other
changes its address: what was typed comes back, each character once and in order."""
import contextlib
import random
import shlex
import string
import subprocess
import threading
import time

import pytest

import peers
from agents import Agent
from fixtures import clean_env, connect_words
from namespaces import Namespaces, listens
from relay import Relay
from run import SLOW, Process, free_port, wait_until

NAME = "host.apps.test"
TYPED = 500             # characters
PACE = 0.003            # seconds between two of them


def config(pki, **more):
    return {
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "all", "who": {"any": True}, "targets": ["offer:*.apps.test", "name:*.apps.test"]}],
        **more,
    }


def ssh_words(pki, sshd, address):
    """An interactive session on the far host, whose terminal echoes TYPED characters one by one."""
    command = shlex.join(map(str, connect_words(address, pki.alice, pki.ca.file))) + f" --transport quic {NAME}"
    return ["ssh", "-tt", *sshd.options(proxy_command=command), f"{sshd.user}@{NAME}",
            f"stty -icanon; echo ready; head -c {TYPED} >/dev/null; echo; echo done"]


def type_and_compare(words, move, home):
    """Type steadily; after a quarter `move()` begins, and the last character waits for its end."""
    dice = random.Random(1)
    text = "".join(dice.choice(string.ascii_letters + string.digits) for _ in range(TYPED)).encode()
    moved = threading.Event()

    def moving():
        move()
        moved.set()
    child = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, bufsize=0, env=clean_env(home))

    def write():
        for number, byte in enumerate(text):
            if number == TYPED // 4:
                threading.Thread(target=moving, daemon=True).start()
            if number == TYPED - 1:
                moved.wait(20 * SLOW)
            child.stdin.write(bytes([byte]))
            time.sleep(PACE)
    try:
        echoed = b""
        while b"ready\r\n" not in echoed:
            more = child.stdout.read(4096)
            assert more, child.stderr.read().decode()
            echoed += more
        typist = threading.Thread(target=write, daemon=True)
        typist.start()
        while more := child.stdout.read(4096):
            echoed += more
        typist.join(20 * SLOW)
        assert moved.is_set()
        assert child.wait(10 * SLOW) == 0, child.stderr.read().decode()
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            stream.close()
    assert echoed == b"ready\r\n" + text + b"\r\ndone\r\n"


def stayed_as_they_were(door, agent):
    """One connection of the visitor's with one stream, all the time; and the offer never fell."""
    line = door.audited(action="tunnel", transport="quic", target=f"name:{NAME}")
    assert line["reason"] == "done", line
    carrier = door.audited(action="carrier", id=line["carrier"])
    assert carrier["streams"] == 1
    assert agent.output().count(f"offering {NAME}") == 1 and "not offered" not in agent.output(), agent.output()
    agent.end()
    line = door.audited(action="offer", target=f"offer:{NAME}")
    assert (line["reason"], line["streams"]) == ("done", 1), line


# Other addresses --------------------------------------------------------------------------------------------------

@pytest.fixture
def world(start_door, pki, tmp_path):
    """A door, a visitor's place, and an agent's place with an sshd, each in a namespace of its own."""
    with contextlib.ExitStack() as stack:
        net = Namespaces(stack)
        far = net.place("agent", 3, 4)
        address = f"{net.DOOR}:{free_port()}"
        door = start_door(config(pki, listeners=[{"name": "main", "address": address}]), prefix=net.door.within)
        sshd = peers.Sshd(tmp_path, far.within, lambda port: listens(far.within, port))
        stack.callback(sshd.stop)
        net.client.arrive(1)
        far.arrive(3)
        agent = Agent(tmp_path, address, pki, NAME, "--to", f"127.0.0.1:{sshd.port}", "--transport", "quic",
                      "--grace", "0s", within=far.within)
        stack.callback(agent.stop, 9)
        agent.says("over QUIC")
        words = [*net.client.within, *ssh_words(pki, sshd, address)]
        yield door, agent, net.client, far, words


def new_one_first(place, old, new):
    """As when a cable is plugged in: both networks for a moment."""
    place.arrive(new)
    time.sleep(0.3)
    place.leave(old)


def old_one_first(place, old, new):
    """As when one leaves a wireless network: for a moment there is none."""
    place.leave(old)
    time.sleep(0.3)
    place.arrive(new)


@pytest.mark.parametrize("who, how", [("visitor", new_one_first), ("visitor", old_one_first), ("agent", new_one_first),
                                      ("agent", old_one_first), ("both", old_one_first)])
def test_another_address(world, tmp_path, who, how):
    door, agent, client, far, words = world

    def move():
        if who != "agent":
            how(client, 1, 2)
        if who != "visitor":
            how(far, 3, 4)
    type_and_compare(words, move, tmp_path)
    stayed_as_they_were(door, agent)


# NATs -------------------------------------------------------------------------------------------------------------

def ticking(sock):
    """A service that always has something to say."""
    while True:
        sock.sendall(b".")
        time.sleep(0.02)


@pytest.mark.parametrize("who", ["visitor", "agent"])
def test_a_nat_gives_another_port(start_door, pki, sshd, tmp_path, who):
    """Three times, without a word to whoever sits behind it. The door learns of it from the next packet: a visitor types,
    and an agent that has nothing to say would be heard within 15 s, so here it has another service, which does."""
    door = start_door(config(pki))
    with Relay(door.port) as near, Relay(door.port) as far, peers.Server(ticking) as clock:
        services = tmp_path / "services.yaml"
        services.write_text(f"services:\n  - {{name: {NAME}, to: '127.0.0.1:{sshd.port}'}}\n"
                            f"  - {{name: clock.apps.test, to: '{clock.to}'}}\n")
        agent = Agent(tmp_path, f"127.0.0.1:{far.port}", pki, "-c", services, "--transport", "quic", "--grace", "0s")
        for name in (NAME, "clock.apps.test"):
            agent.says(f"offering {name}")
        listener = Process([*connect_words(door, pki.bob, pki.ca.file), "clock.apps.test"], tmp_path, "listener",
                           stdin=subprocess.PIPE, env=clean_env(tmp_path))
        wait_until(lambda: listener.out.stat().st_size > 0, "the clock")
        relay = near if who == "visitor" else far

        def rebind():
            for _ in range(3):
                relay.rebind()
                time.sleep(0.2)
        type_and_compare(ssh_words(pki, sshd, f"127.0.0.1:{near.port}"), rebind, tmp_path)
        assert relay.rebinds == 3
        listener.stop()
        stayed_as_they_were(door, agent)
