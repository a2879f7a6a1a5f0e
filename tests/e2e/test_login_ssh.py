# SPDX-License-Identifier: Apache-2.0
"""A person from the administrator's invitation to the end of the account: `cardea login` (OPAQUE), and connections that
outlive the certificates that it gets, because who holds them renews the login by himself."""
import fcntl
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import time

import pytest
import tls
from fixtures import clean_env
from run import CARDEA, PACE, SLOW, Process, free_port, run, wait_listening, wait_until

LASTS = int(10 * PACE)  # seconds that a certificate is good for
TRANSPORTS = pytest.mark.parametrize("transport", ["tcp", "quic"])
PASSWORD = "correct horse battery"


class Person:
    """alice, who has an account at a door that closes connections whose certificate has run out, and is logged in."""

    def __init__(self, start_door, pki, directory, *targets):
        self.directory, self.pki = directory, pki
        self.ca = directory / "ca"
        secret = directory / "secret"
        secret.write_text("the root's passphrase\n")
        secret.chmod(0o600)
        self.tool("ca", "init", self.ca, "--name", "Example", "--root-passphrase-file", secret)
        self.door = start_door({
            "workers": 2, "certificates": [pki.server("door.test").row()], "ca": {"directory": str(self.ca)},
            "trust": [{"name": "staff", "ca": str(self.ca / "root.pem")}],
            "routes": [{"name": "login", "sni": "door.test", "alpn": "http/1.1", "serve": ["login"],
                        "clients": {"mode": "optional", "trust": "staff"}},
                       {"name": "tunnel", "sni": "door.test", "alpn": "cardea/1", "tunnel": {},
                        "clients": {"mode": "required", "trust": "staff", "expired": "close"}}],
            "policy": [{"name": "logins", "who": {"any": True}, "routes": "login"},
                       {"name": "ops", "who": {"group": "ops"}, "targets": [*targets, "offer:*", "name:*"]}]})
        self.env = clean_env(directory, XDG_CONFIG_HOME=str(directory / "config"))
        self.file = directory / "config/cardea/login.pem"
        self.password = directory / "password"
        self.password.write_text(PASSWORD + "\n")
        self.password.chmod(0o600)
        code = self.user("add", "alice", "--group", "ops", "--lifetime", f"{LASTS}s", "--json")["code"]
        self.login("--register", code)

    def tool(self, *words):
        done = run(CARDEA, *words, env=clean_env(self.directory))
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def user(self, *words):
        said = self.tool("ca", "user", *words, "--dir", self.ca)
        return json.loads(said) if "--json" in words else said

    def last(self, seconds):
        """From the next certificate on."""
        with sqlite3.connect(self.ca / "login.db", timeout=20 * SLOW) as database:
            database.execute("UPDATE account SET lifetime = ?", (seconds,))

    def end_sessions_in(self, seconds):
        with sqlite3.connect(self.ca / "login.db", timeout=20 * SLOW) as database:
            database.execute("UPDATE session SET until = ?", (int(time.time()) + seconds,))

    def login(self, *words):
        done = run(CARDEA, "login", "--password-file", self.password, "--ca", self.pki.ca.file, "--name", "door.test",
                   *words, f"alice@127.0.0.1:{self.door.port}", env=self.env)
        assert done.returncode == 0, done.stderr.decode()

    def words(self, verb, transport="tcp"):
        return [CARDEA, verb, "--door", f"127.0.0.1:{self.door.port}", "--name", "door.test", "--ca", self.pki.ca.file,
                "--transport", transport]

    def status(self):
        return json.loads(run(CARDEA, "login", "--status", "--json", env=self.env).stdout)

    def ends(self):
        return time.mktime(time.strptime(self.status()["until"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone

    def sees_renewals(self, count, more=lambda: True):
        """That many of the login, each seen by its file; `more` holds all the time."""
        seen = {self.file.read_bytes()}
        while len(seen) <= count:
            before = len(seen)

            def next_one():
                assert more()
                seen.add(self.file.read_bytes())
                return len(seen) > before
            wait_until(next_one, f"renewal {before}", LASTS + 15, step=0.1)


@pytest.fixture
def person(start_door, pki, tmp_path, sshd, echo):
    return Person(start_door, pki, tmp_path, f"localhost:{sshd.port}", f"127.0.0.1:{echo.port}")


class Shell:
    """An SSH session in which each line comes back."""

    def __init__(self, person, sshd, transport, **env):
        command = shlex.join(map(str, person.words("connect", transport))) + " %h:%p"
        self.errors = open(person.directory / "ssh.err", "wb+")
        self.child = subprocess.Popen(["ssh", *sshd.options(proxy_command=command), "-p", str(sshd.port),
                                       f"{sshd.user}@localhost", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=self.errors, env={**person.env, **env})

    def answers(self):
        self.child.stdin.write(b"still here\n")
        self.child.stdin.flush()
        return self.child.stdout.readline() == b"still here\n"

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode()

    def end(self):
        self.child.stdin.close()
        self.child.stdout.close()
        if self.child.poll() is None:
            self.child.terminate()
        self.child.wait()
        self.errors.close()


@pytest.fixture
def shell(person, sshd):
    made = []

    def make(transport, **env):
        made.append(Shell(person, sshd, transport, **env))
        return made[-1]
    yield make
    for one in made:
        one.end()


@TRANSPORTS
@pytest.mark.parametrize("shared", ["0", "1s"], ids=["alone", "carried"])
def test_ssh_outlives_renewals(person, shell, sshd, transport, shared):
    """An SSH session goes on while the login is renewed twice, and ends at its deadline once the account is disabled."""
    session = shell(transport, CARDEA_SHARE=shared, XDG_RUNTIME_DIR=str(person.directory))
    assert session.answers()
    first_ends = person.ends()
    person.sees_renewals(2, session.answers)
    wait_until(lambda: time.time() > first_ends + 1, "the end of the first certificate", LASTS + 5)
    assert session.answers() and session.said() == ""
    person.door.audited(2, action="renewal", reason="done", identity="alice")
    person.user("disable", "alice")
    line = person.door.audited(action="tunnel", reason="expired", target=f"localhost:{sshd.port}", timeout=2 * LASTS + 10)
    assert line["identity"] == "alice"
    assert session.child.wait(20 * SLOW) == 255
    assert time.time() >= person.ends() - 0.5
    assert "warning: the login of alice ends at" in session.said() and "run 'cardea login'" in session.said()
    assert run(CARDEA, "login", "--status", env=person.env).returncode == 1


class Held:
    """`cardea connect -L`, and a connection through it."""

    def __init__(self, person, echo, *words):
        port = free_port()
        self.process = Process([*person.words("connect"), "--verbose", "-L", f"{port}:127.0.0.1:{echo.port}", *words],
                               person.directory, f"connect-{port}", env=person.env)
        wait_listening(port, self.process)
        self.sock = socket.create_connection(("127.0.0.1", port), 20 * SLOW)

    def answers(self):
        self.sock.sendall(b"on!")
        return tls.read_exactly(self.sock, 3) == b"on!"

    def hears(self, text, timeout=20):
        wait_until(lambda: text in self.process.output(), lambda: f"{text!r} in {self.process.output()}", timeout)

    def end(self):
        self.sock.close()
        self.process.stop()


@pytest.fixture
def hold(person, echo):
    held = []

    def make(*words):
        held.append(Held(person, echo, *words))
        return held[-1]
    yield make
    for one in held:
        one.end()


def test_one_of_many_renews(person, hold):
    """Five processes use the login; the CA issues one certificate a life for all of them, and all go on."""
    clients = [hold() for _ in range(5)]
    person.sees_renewals(1, lambda: all(c.answers() for c in clients))
    for client in clients:
        client.hears("a newer certificate was proven")
    issued = json.loads(person.tool("ca", "list", "--all", "--json", "--dir", person.ca))
    rows = issued["certificates"] if isinstance(issued, dict) else issued
    assert 2 <= len([row for row in rows if row["profile"] == "client"]) <= 3
    assert all(client.answers() for client in clients)


def test_the_end_of_a_login_is_told_and_mended(person, hold):
    """What cannot be renewed any more is told in time; `cardea login` in another terminal saves what stands."""
    client = hold()
    assert client.answers()
    person.end_sessions_in(LASTS)
    person.sees_renewals(1, client.answers)  # no longer than the session
    person.last(600)
    client.hears("cannot be renewed without a password: run 'cardea login', and what stands goes on", LASTS + 15)
    ends = person.ends()
    person.login()
    assert person.ends() > ends
    wait_until(lambda: time.time() > ends + 1, "the end of the login of before", LASTS + 5)
    assert client.answers()
    client.hears("a newer certificate was proven")


def test_who_slept_through_the_end(person, hold):
    """A process that stood still while its login ran out says so when it wakes, and works again after a login."""
    client = hold()
    assert client.answers()
    client.process.pause()
    ends = person.ends()
    wait_until(lambda: time.time() > ends, "the end of the login", LASTS + 5)
    client.process.send(signal.SIGCONT)
    client.hears("the login of alice ended at")
    person.last(600)
    person.login()
    port = re.search(r"listening on \S+:(\d+)", client.process.output()).group(1)

    def works():
        with socket.create_connection(("127.0.0.1", int(port)), 20 * SLOW) as sock:
            try:
                sock.sendall(b"on!")
                return sock.recv(3) == b"on!"
            except OSError:
                return False
    wait_until(works, "a connection with the login of now", 20, step=0.3)


def test_an_agent_renews(person, echo, tmp_path):
    """`cardea expose` with a login goes on offering."""
    agent = Process([*person.words("expose"), "app.test", "--to", f"127.0.0.1:{echo.port}"], tmp_path, "agent", env=person.env)
    try:
        person.sees_renewals(2, lambda: agent.poll() is None)
        person.door.audited(action="renewal", reason="done", identity="alice")
        assert "the login" not in agent.output(), agent.output()
    finally:
        agent.stop()


def test_what_cannot_be_renewed_is_told(person, hold):
    """A renewal that fails is told with its reason and what helps, while the connection goes on."""
    client = hold()
    assert client.answers()
    person.user("disable", "alice")
    client.hears("could not be renewed: the door", LASTS + 15)
    person.user("enable", "alice")
    assert client.answers()


def test_a_renewal_brings_back_no_login_that_was_ended(person):
    """Who logs out while somebody renews waits for that, and is logged out."""
    with open(f"{person.file}.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        leaving = Process([CARDEA, "login", "--logout"], person.directory, "logout", env=person.env)
        wait_until(lambda: blocked(leaving.pid), "the logout to wait")
        assert person.file.exists()
    assert leaving.wait() == 0 and not person.file.exists()
    renewed = run(CARDEA, "login", "--renew", env=person.env)
    assert renewed.returncode == 1 and b"no login to renew" in renewed.stderr and not person.file.exists()


def blocked(pid):
    """It waits for a lock: the kernel lists who does."""
    return any(f" {pid} " in line for line in open("/proc/locks").read().splitlines() if "->" in line)


def test_not_due_yet(person):
    """--if-due leaves a young certificate alone, --renew does not."""
    person.last(600)
    person.login()
    before = person.file.read_bytes()
    assert run(CARDEA, "login", "--renew", "--if-due", env=person.env).returncode == 0 and person.file.read_bytes() == before
    assert run(CARDEA, "login", "--renew", env=person.env, cwd="/").returncode == 0 and person.file.read_bytes() != before
    done = run(CARDEA, "login", "--if-due", env=person.env)
    assert done.returncode == 2 and b"--if-due goes with --renew" in done.stderr


def test_no_core_is_left(person, tmp_path):
    """A crash of the process that has the password leaves nothing of it on the disk (core(5): 1 also stops what cores are
    piped to)."""
    os.mkfifo(tmp_path / "fifo", 0o600)
    asking = Process([CARDEA, "login", "--password-file", tmp_path / "fifo", f"alice@127.0.0.1:{person.door.port}"], tmp_path,
                     "asking", env=person.env)
    with open(tmp_path / "fifo", "wb"):  # it reads
        limits = open(f"/proc/{asking.pid}/limits").read()
    assert re.search(r"Max core file size +1 +1 ", limits), limits
    assert asking.wait() == 1
