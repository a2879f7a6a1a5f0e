# SPDX-License-Identifier: Apache-2.0
"""Many who have logged in, whose certificates all run out at about the same time: everybody's renewals come at once, and
nobody's connection is lost."""
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
import tls
from run import CARDEA, SLOW, Process, free_port, wait_listening, wait_until
from test_login import Ca, Person, configuration

PEOPLE = 50 if SLOW == 1 else 10
ACCOUNTS = PEOPLE // 5  # each with several machines: a session of its own on each
LASTS = 8 if SLOW == 1 else round(3 * SLOW)  # seconds that a certificate is good for


class Member:
    """Somebody with a machine of his own, and one connection that stands."""

    def __init__(self, number, door, pki, directory):
        self.user, self.transport = f"user{number % ACCOUNTS}", ("tcp", "quic")[number % 2]
        self.person = Person(directory / f"home{number}", door, pki)
        self.person.login = self.login
        self.process = self.sock = None

    def login(self, *words, **options):
        return Person.login(self.person, *words, timeout=60 * SLOW, **options)

    def log_in(self):
        done = self.person.by_password(f"{self.user}@")
        assert done.returncode == 0, done.stderr.decode()

    def connect(self, to):
        """With a certificate that is short-lived."""
        done = self.login("--renew")
        assert done.returncode == 0, done.stderr.decode()
        port = free_port()
        self.process = Process([CARDEA, "connect", "--transport", self.transport, "-L", f"{port}:{to}"], self.person.home,
                               "connect", env=self.person.env)
        wait_listening(port, self.process)
        self.sock = socket.create_connection(("127.0.0.1", port), 20 * SLOW)
        assert self.says()

    def says(self):
        self.sock.sendall(b"on!")
        return tls.read_exactly(self.sock, 3) == b"on!"

    def end(self):
        if self.sock:
            self.sock.close()
        if self.process:
            self.process.stop()


@pytest.fixture
def crowd(tmp_path, start_door, pki, echo):
    ca = Ca(tmp_path)
    config = configuration(pki, ca, 1)
    config["workers"] = 2
    config["routes"][0]["clients"]["expired"] = "close"
    config["policy"][1]["targets"] = [echo.to]
    door = start_door(config)
    members = [Member(n, door, pki, tmp_path) for n in range(PEOPLE)]
    yield ca, door, members
    for member in members:
        member.end()


def renewals(ca):
    with sqlite3.connect(ca.directory / "login.db", timeout=20 * SLOW) as database:
        return [count for count, in database.execute("SELECT renewals FROM session")]


def lasting(ca, seconds):
    """Certificates from now on."""
    with sqlite3.connect(ca.directory / "login.db", timeout=20 * SLOW) as database:
        database.execute("UPDATE account SET lifetime = ?", (seconds,))


def test_a_crowd_is_renewed(crowd, echo):
    """Over TCP and QUIC: each connection outlives two certificates."""
    ca, door, members = crowd
    codes = [ca.add(member.user, "--group", "ops") for member in members[:ACCOUNTS]]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda pair: pair[0].person.register(pair[0].user, pair[1]), zip(members, codes)))
        list(pool.map(Member.log_in, members[ACCOUNTS:]))
        lasting(ca, LASTS)
        list(pool.map(lambda member: member.connect(echo.to), members))
    # The first was before they connected.
    wait_until(lambda: min(renewals(ca)) >= 3, lambda: f"renewals: {renewals(ca)}", 4 * LASTS, step=0.2)
    lasting(ca, 3600)
    assert all(member.says() for member in members)
    assert len(renewals(ca)) == PEOPLE
    rows = [row for row in door.audit() if row.get("action") == "login" and row["target"] == "login:renew"]
    assert len(rows) >= 3 * PEOPLE and not [row for row in rows if row["reason"] != "done"]
