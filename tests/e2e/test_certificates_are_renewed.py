# SPDX-License-Identifier: Apache-2.0
"""A client's certificate is replaced by a newer one while it is connected, and the door closes what runs out: `cardea
connect` and `cardea expose` prove the newer one on the connections that stand (RFC 9261), and nothing is cut off."""
import os
import shlex
import shutil
import socket
import subprocess
import threading
import time

import pytest
import tls
from agents import Agent
from fixtures import clean_env, connect_words
from pki import Cert
from run import PACE, SLOW, Process, free_port, wait_listening, wait_until

LASTS = 6 * PACE  # seconds that a certificate is good for
TRANSPORTS = pytest.mark.parametrize("transport", ["tcp", "quic"])


def config(pki, *targets, workers=2):
    return {"workers": workers, "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
            "routes": [{"name": "door", "sni": "door.test", "tunnel": {}, "alpn": ["cardea/1"],
                        "clients": {"mode": "required", "trust": "staff", "expired": "close"}}],
            "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": [*targets, "offer:*", "name:*"]}]}


class Holder:
    """Somebody whose certificate is always short-lived: `cert` is where the newest one is."""

    def __init__(self, pki, directory, name):
        self.pki, self.name, self.count = pki, name, 0
        self.cert = Cert(directory / f"{name}.pem", directory / f"{name}.key")
        self.renew()

    def make(self, name=None, lasts=LASTS, **more):
        self.count += 1
        made = self.pki.staff.client(name or self.name, **{"ou": ["ops"], **more}, end=lasts,
                                     start=-1, label=f"renewed-{self.name}-{self.count}-{time.monotonic_ns()}")
        made.ends = int(time.time() + lasts)
        return made

    def put(self, made):
        """In place, the key first, each in one step: as whoever issues certificates does it."""
        for old, new in ((self.cert.key, made.key), (self.cert.certificate, made.certificate)):
            shutil.copy(new, f"{old}.new")
            os.chmod(f"{old}.new", 0o600)
            os.rename(f"{old}.new", old)
        self.ends = made.ends

    def renew(self, **more):
        self.put(self.make(**more))


@pytest.fixture
def holder(pki, tmp_path):
    return Holder(pki, tmp_path, f"carol{time.monotonic_ns()}")


class Renewing:
    """Renews a holder's certificate half-way through its life, for as long as the block lasts."""

    def __init__(self, holder):
        self.holder, self.over, self.times = holder, threading.Event(), 0
        self.thread = threading.Thread(target=self.work)

    def work(self):
        while not self.over.wait(max(self.holder.ends - time.time() - LASTS / 2, 0)):
            self.holder.renew()
            self.times += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Connect:
    def __init__(self, door, pki, cert, to, directory, transport, *words):
        port = free_port()
        self.process = Process([*connect_words(door, cert, pki.ca.file), "--transport", transport, *words,
                                "-L", f"{port}:{to}"], directory, "connect", env=clean_env(directory))
        wait_listening(port, self.process)
        self.sock = socket.create_connection(("127.0.0.1", port), 20 * SLOW)

    def says(self, word=b"on!"):
        self.sock.sendall(word)
        return tls.read_exactly(self.sock, len(word)) == word

    def hears(self, text):
        wait_until(lambda: text in self.process.output(), lambda: f"{text!r} in {self.process.output()}", 10 * SLOW)


@pytest.fixture
def hold(pki, tmp_path):
    held = []

    def make(door, cert, to, transport, *words):
        held.append(Connect(door, pki, cert, to, tmp_path, transport, *words))
        return held[-1]
    yield make
    for client in held:
        client.sock.close()
        client.process.stop()


@TRANSPORTS
def test_ssh_outlives_renewals(start_door, pki, sshd, holder, tmp_path, transport):
    """An SSH session goes on for more than two lives of its user's certificate."""
    door = start_door(config(pki, f"localhost:{sshd.port}"))
    words = [*connect_words(door, holder.cert, pki.ca.file), "--transport", transport]
    command = shlex.join(map(str, words)) + " %h:%p"
    begun, seconds = time.time(), int(2.6 * LASTS)
    with Renewing(holder) as renewing:
        done = subprocess.run(["ssh", *sshd.options(proxy_command=command), "-p", str(sshd.port), f"{sshd.user}@localhost",
                               f"for i in $(seq {seconds}); do echo $i; sleep 1; done; echo whole"],
                              capture_output=True, timeout=60 * SLOW, env=clean_env(tmp_path), check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.split()[-1] == b"whole" and time.time() - begun > 2 * LASTS and renewing.times >= 2
    assert b"warning" not in done.stderr
    assert door.audited(action="tunnel", identity=holder.name)["reason"] == "done"
    renewals = [line for line in door.audit() if line["action"] == "renewal"]
    assert len(renewals) >= 2 and all(line["reason"] == "done" for line in renewals)


@TRANSPORTS
def test_the_shared_carrier_renews(start_door, pki, echo, holder, tmp_path, transport):
    """`cardea carry` does it for whom it carries."""
    door = start_door(config(pki, f"127.0.0.1:{echo.port}"))
    words = [*connect_words(door, holder.cert, pki.ca.file), "--transport", transport, f"127.0.0.1:{echo.port}"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=clean_env(tmp_path, CARDEA_SHARE="1s")) as process:
        begun = time.time()
        with Renewing(holder):
            while time.time() < begun + 2.2 * LASTS:
                process.stdin.write(b"on!")
                process.stdin.flush()
                assert process.stdout.read(3) == b"on!", process.stderr.read()
                time.sleep(0.2)
        process.stdin.close()
        assert process.wait(10 * SLOW) == 0
    assert door.audited(action="tunnel", target=f"127.0.0.1:{echo.port}", identity=holder.name)["reason"] == "done"


def test_who_shares_is_told_too(start_door, pki, echo, holder, tmp_path):
    """Another process shows the certificate to the door; the user reads here that it runs out."""
    door = start_door(config(pki, f"127.0.0.1:{echo.port}"))
    holder.renew(lasts=12 * PACE)
    process = Process([*connect_words(door, holder.cert, pki.ca.file), f"127.0.0.1:{echo.port}"], tmp_path, "connect",
                      stdin=subprocess.PIPE, env=clean_env(tmp_path, CARDEA_SHARE="1s"))
    try:
        wait_until(lambda: "runs out at" in process.output(), process.output, 30 * SLOW)
        assert time.time() < holder.ends
    finally:
        process.child.stdin.close()
        process.wait()


@TRANSPORTS
def test_told_when_asked(start_door, pki, echo, holder, hold, transport):
    """--verbose tells of it; and before the end there is a warning where nothing newer is there."""
    door = start_door(config(pki, f"127.0.0.1:{echo.port}"))
    client = hold(door, holder.cert, f"127.0.0.1:{echo.port}", transport, "--verbose")
    assert client.says()
    time.sleep(1)
    assert "warning" not in client.process.output()
    holder.renew()
    client.hears("a newer certificate was proven")
    ends = holder.ends
    client.hears("runs out at")
    assert client.process.output().count("runs out at") == 1 and time.time() < ends
    assert client.says()
    line = door.audited(action="tunnel", target=f"127.0.0.1:{echo.port}", identity=holder.name, timeout=(LASTS + 10) * SLOW)
    assert line["reason"] == "expired" and time.time() >= ends - 0.1
    client.hears("your certificate has run out")


@TRANSPORTS
def test_another_person_is_refused(start_door, pki, echo, holder, hold, transport):
    """What says something else of its holder proves nothing here, though a new connection would be let in with it."""
    door = start_door(config(pki, f"127.0.0.1:{echo.port}"))
    client = hold(door, holder.cert, f"127.0.0.1:{echo.port}", transport)
    assert client.says()
    ends = holder.ends
    holder.put(holder.make(name="somebody else", lasts=3600))
    client.hears("does not say the same of its holder")
    line = door.audited(action="renewal")
    assert line["reason"] == "denied" and "somebody else" in line["detail"]
    line = door.audited(action="tunnel", target=f"127.0.0.1:{echo.port}", identity=holder.name, timeout=(LASTS + 10) * SLOW)
    assert line["reason"] == "expired" and time.time() >= ends - 0.1
    client.sock.close()


@TRANSPORTS
def test_the_policy_in_force_decides(start_door, pki, echo, holder, hold, transport):
    """Who would not be let in any more gets no more time, though what runs is let be until then."""
    door = start_door(config(pki, f"127.0.0.1:{echo.port}"))
    client = hold(door, holder.cert, f"127.0.0.1:{echo.port}", transport)
    assert client.says()
    ends = holder.ends
    door.reload(config(pki, "127.0.0.1:9"))
    holder.renew(lasts=3600)
    while time.time() < ends - 1:
        assert client.says()
        time.sleep(0.2)
    line = door.audited(action="tunnel", target=f"127.0.0.1:{echo.port}", identity=holder.name, timeout=(LASTS + 10) * SLOW)
    assert line["reason"] == "expired" and time.time() >= ends - 0.1


@TRANSPORTS
def test_an_offer_goes_on(start_door, pki, echo, holder, hold, tmp_path, transport):
    """An agent's offer outlives its certificates, and so do visits."""
    door = start_door(config(pki))
    agent = Agent(tmp_path, door.address, pki, "app.test", "--to", f"127.0.0.1:{echo.port}", "--transport", transport,
                  who=holder.cert)
    try:
        visitor = hold(door, pki.alice, "app.test", "tcp")
        begun = time.time()
        with Renewing(holder):
            while time.time() < begun + 2.2 * LASTS:
                assert visitor.says()
                time.sleep(0.2)
        assert not [line for line in door.audit() if line["action"] in ("offer", "carrier")]
        visitor.sock.close()
    finally:
        agent.stop()
