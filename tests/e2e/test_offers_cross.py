# SPDX-License-Identifier: Apache-2.0
"""Offers of one name that do not go together, taken at the same moment by two workers who have not heard of each other
yet: one stands, and the agent of the other learns why when it offers again."""
import os
import signal

import pytest

import tls
from agents import Stream
from run import wait_until

NAMES = 8
WORDS = {0: {"kind": "private"}, 1: {"kind": "public"}}     # what is offered to which worker


@pytest.fixture
def door(start_door, pki):
    return start_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()], "agents": {"grace": "0s"},
        "limits": {"handshake_timeout": "30s"},
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "agents", "who": {"any": True}, "targets": ["offer:*.apps.test", "public:*.apps.test"]}]})


def connections(door, pki):
    """So many of each worker that have said nothing yet."""
    of = {0: [], 1: []}
    while min(len(some) for some in of.values()) < NAMES:
        stream = Stream(tls.connect(door, "door.test", cert=pki.alice, alpn=["cardea/1"]))
        of[door.worker_of(stream.sock)].append(stream)
    return of


def say_at_once(door, of, number):
    """Both workers find all that is said in one turn: none has told the other of any before."""
    door.process.pause()
    for i in range(NAMES):
        for worker, words in WORDS.items():
            of[worker][i].say(offer=f"n{number}-{i}.apps.test", **words)
    os.kill(door.process.pid, signal.SIGCONT)
    return [(f"n{number}-{i}.apps.test", worker, of[worker][i], of[worker][i].message())
            for i in range(NAMES) for worker in WORDS]


def rest(stream):
    """All messages until the door ends the stream in order."""
    said = []
    try:
        while True:
            said.append(stream.message())
    except EOFError as error:
        assert error.args == (b"",)
    return said


def crossed(door, of, number):
    """(name, worker, stream) of each offer whose name both workers took."""
    told = say_at_once(door, of, number)
    yes = [name for name, _, _, answer in told if answer["ok"]]
    assert set(yes) == {name for name, *_ in told}, "one of each name is taken"
    return [(name, worker, stream) for name, worker, stream, _ in told if yes.count(name) == 2]


def test_one_of_two_stands(door, pki):
    for number in range(10):
        of = connections(door, pki)
        pairs = crossed(door, of, number)
        if pairs:
            break
        for stream in of[0] + of[1]:
            stream.sock.close()
    assert pairs, "no two offers have crossed"
    standing = {name for name, *_ in pairs}
    wait_until(lambda: all([row["name"] for row in door.status()["offers"]].count(name) == 1 for name in standing),
               lambda: f"one offer of each of {standing}: {door.status()['offers']}")
    kinds = {row["name"]: row["kind"] for row in door.status()["offers"]}
    for name, worker, stream in pairs:
        mine, others = WORDS[worker]["kind"], kinds[name]
        if mine == others:
            continue
        assert not any("withdrawn" in message for message in rest(stream)), "it ends without a word"
        text = f"another agent offers {name} already: alice, {others}"
        line = door.audited_of(stream.sock)
        assert (line["action"], line["reason"]) == ("offer", "conflict") and text in line["detail"], line
        assert f"the offer of {name} by alice is withdrawn: {text}" in door.process.output()
        again = Stream(tls.connect(door, "door.test", cert=pki.alice, alpn=["cardea/1"]))
        again.say(offer=name, kind=mine)
        answer = again.message()
        assert (answer["ok"], answer["code"]) == (False, "conflict") and text in answer["text"], answer
        again.sock.close()
    for stream in of[0] + of[1]:
        stream.sock.close()
