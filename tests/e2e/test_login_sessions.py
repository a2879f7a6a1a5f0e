# SPDX-License-Identifier: Apache-2.0
"""Sessions of `cardea login`: whose key renews, what a thief of a key gets, what an administrator sees and ends."""
import re
import select

import pytest

from peers import Server
from run import CARDEA, run, wait_until
from test_login import Ca, Person, certificate, configuration


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def door(start_module_door, pki, ca, sshd):
    return start_module_door(configuration(pki, ca, sshd.port))


@pytest.fixture
def person(tmp_path, door, pki):
    return Person(tmp_path / "home", door, pki)


def session_of(path):
    return re.search("URI:cardea://login/(.*)", certificate(path))[1].strip()


def serial_of(path):
    return run("openssl", "x509", "-in", path, "-noout", "-serial").stdout.decode().strip().partition("=")[2]


def sessions(ca, name):
    return ca.ask_json("user", "sessions", name)


def logins(door, name):
    """What the audit has of an account, as (target, reason)."""
    return [(row["target"], row["reason"]) for row in door.audit() if row.get("action") == "login" and row.get("identity") == name]


def test_a_stolen_key(person, door, ca, pki, tmp_path):
    """Of an owner and a thief of his file the second one who renews ends it for both; the owner and the operator hear of it."""
    person.register("alice", ca.add("alice"))
    thief = Person(tmp_path / "elsewhere", door, pki)
    thief.file.write_bytes(person.file.read_bytes())
    thief.file.chmod(0o600)
    session = session_of(person.file)
    assert thief.login("--renew").returncode == 0
    assert [row["session"] for row in sessions(ca, "alice")] == [session]
    done = person.login("--renew")
    assert done.returncode == 1 and b"there are two copies of it" in done.stderr, done.stderr
    assert b"this login is over" in thief.login("--renew").stderr
    assert sessions(ca, "alice") == []
    rows = {row["serial"]: row for row in ca.ask_json("list", "--all") if row["name"] == "alice"}
    for file in (person.file, thief.file):
        assert rows[serial_of(file)]["reason"] == "keyCompromise", rows
    # The file of before is shown beside the password: it is refused by then, and left out.
    done = person.by_password("alice@")
    assert done.returncode == 0 and b"used a key of an earlier login of yours" in done.stderr, done.stderr
    assert b"at 127.0.0.1" in done.stderr
    assert b"warning" not in person.by_password().stderr
    row = door.audited(action="login", target="login:renew", reason="denied")
    assert row["identity"] == "alice" and row["login"] == session
    assert "a key that had been replaced was used" in row["detail"]
    wait_until(lambda: ("login:password", "done") in logins(door, "alice"), "the audit of the login")


class Relay:
    """Passes TLS on to the door; on the first connection nothing comes back behind the door's first flight, and it breaks once
    `done`."""

    def __init__(self, door, done):
        self.door, self.done, self.lost = door, done, False
        self.server = Server(self.serve)

    def serve(self, sock):
        loses, answered, deaf = not self.lost, False, False
        self.lost = True
        with self.door.dial() as onwards:
            while not (deaf and self.done()):
                ready, _, _ = select.select([sock, onwards], [], [], 0.1)
                for side, other in ((sock, onwards), (onwards, sock)):
                    data = side.recv(65536) if side in ready else None
                    if data == b"":
                        return
                    answered = answered or (data is not None and side is onwards)
                    deaf = deaf or (data is not None and side is sock and answered and loses)
                    if data and not (deaf and side is onwards):
                        other.sendall(data)


def test_an_answer_is_lost(person, ca, door):
    """What the client did not get it asks for again, and is taken for nobody else."""
    person.register("bob", ca.add("bob"))
    session = session_of(person.file)
    relay = Relay(door, lambda: sessions(ca, "bob")[0]["renewals"] == 1)
    through = person.file.read_bytes().replace(f":{door.port}\n".encode(), f":{relay.server.port}\n".encode(), 1)
    person.file.write_bytes(through)
    assert person.login("--renew").returncode == 1
    assert relay.lost and person.file.read_bytes() == through
    kept = person.folder / "login.pem.next"
    key = kept.read_bytes()
    assert person.login("--renew").returncode == 0
    assert key in person.file.read_bytes() and not kept.exists()
    assert person.login("--renew").returncode == 0
    row = sessions(ca, "bob")[0]
    assert (row["session"], row["renewals"]) == (session, 2)


def connect(person):
    return run(CARDEA, "connect", "localhost:1", env=person.env)


def test_an_administrator_ends_sessions(person, ca, door, pki, tmp_path):
    """One or all; what was given in them is revoked, and a password begins another."""
    person.register("carol", ca.add("carol"))
    elsewhere = Person(tmp_path / "elsewhere", door, pki)
    assert elsewhere.by_password("carol@").returncode == 0
    assert person.login("--renew").returncode == 0
    mine, other = (session_of(p.file) for p in (person, elsewhere))
    rows = {row["session"]: row for row in sessions(ca, "carol")}
    assert set(rows) == {mine, other} and rows[mine]["renewals"] == 1 and rows[mine]["source"] == "127.0.0.1"
    assert mine in ca.ask("user", "sessions", "carol")
    assert ca.ask("user", "end", "carol", mine) == "1 session ended, 2 certificates revoked\n"
    wait_until(lambda: b"has been revoked" in connect(person).stderr, lambda: connect(person).stderr)
    # The door does not even shake hands with it now, and still the message says what to do.
    assert b"this login is over" in person.login("--renew").stderr
    assert elsewhere.login("--renew").returncode == 0
    assert b"has no session" in ca.run("user", "end", "carol", mine).stderr
    assert b"there is no account" in ca.run("user", "end", "nobody").stderr
    assert b"whom do you mean" in ca.run("user", "sessions").stderr
    # Nobody has told the door where a CRL is: it knows what its own CA has revoked.
    assert b"revoked" not in connect(elsewhere).stderr
    assert ca.ask_json("user", "end", "carol") == {"sessions": 1, "certificates": 2}
    wait_until(lambda: b"has been revoked" in connect(elsewhere).stderr, lambda: connect(elsewhere).stderr)
    assert "what the CA has revoked is refused from now on" in door.process.output()
    door.audited(route="tunnel", reason="bad_certificate")
    assert ca.ask("user", "sessions", "carol") == "no sessions\n"
    assert person.by_password("carol@").returncode == 0
    ca.ask("audit")


def test_a_password_prolongs_no_other(person, ca, door):
    """What is on the machine is replaced: its session ends, and another begins. To end all takes the certificate of the one that
    was replaced as well."""
    person.register("dave", ca.add("dave"))
    before, kept = session_of(person.file), person.file.read_bytes()
    assert person.by_password().returncode == 0
    assert [row["session"] for row in sessions(ca, "dave")] == [session_of(person.file)] != [before]
    person.file.write_bytes(kept)
    assert b"this login is over" in person.login("--renew").stderr
    assert b"revoked" not in connect(person).stderr
    assert ca.ask("user", "end", "dave") == "1 session ended, 2 certificates revoked\n"
    wait_until(lambda: b"has been revoked" in connect(person).stderr, lambda: connect(person).stderr)
    assert logins(door, "dave")[:2] == [("login:register", "done"), ("login:try", "done")]
