# SPDX-License-Identifier: Apache-2.0
"""`cardea connect` calls of one user share a carrier: what is saved, that nothing else changes, and that nothing of it
can break a call."""
import json
import os
import shlex
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

import peers
import pki as pki_module
from agents import Agent, pack, udp_echo
from fixtures import clean_env, connect_words
from run import CARDEA, SLOW, free_port, ms, run, wait_until


def config(pki, **more):
    return {
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [
            {"name": "keep-out", "effect": "deny", "who": {"any": True}, "targets": ["secret.test:*"]},
            {"name": "ops", "who": {"group": "ops"},
             "targets": ["127.0.0.0/8:*", "localhost:*", "nosuch.invalid:*", "secret.test:*"]},
        ],
        **more,
    }


class Sharing:
    """Calls of one user, whose runtime directory is his own; `more` goes into their environment."""

    def __init__(self, pki, home, runtime, idle=60):
        self.pki, self.home, self.runtime = pki, home, runtime
        self.env = clean_env(home, XDG_RUNTIME_DIR=str(runtime), CARDEA_SHARE=f"{idle}s")

    def words(self, door, *words, cert=None, ca=None, name="door.test"):
        return [*connect_words(door, cert or self.pki.alice, ca or self.pki.ca.file, name), *words]

    def connect(self, door, *words, cert=None, ca=None, name="door.test", env=(), **options):
        return run(*self.words(door, *words, cert=cert, ca=ca, name=name), env={**self.env, **dict(env)}, **options)

    def start(self, door, *words, cert=None, **options):
        return subprocess.Popen([str(word) for word in self.words(door, *words, cert=cert)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env, **options)

    def sockets(self):
        return sorted((self.runtime / "cardea").glob("*.sock"))

    def status(self):
        done = run(CARDEA, "status", "--json", env=self.env)
        return json.loads(done.stdout)["carriers"] if done.returncode == 0 else []

    def pids(self):
        return [carrier["pid"] for carrier in self.status()]

    def end(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text(),
                       "a carrier to end")


@pytest.fixture
def start_sharing(pki, tmp_path):
    """start_sharing(idle=) is a user of his own; the carriers are ended after the test. Paths of sockets are short."""
    with tempfile.TemporaryDirectory(prefix="cardea-e2e-") as runtime:
        started = []

        def start(idle=60):
            started.append(Sharing(pki, tmp_path, Path(runtime), idle))
            return started[-1]
        yield start
        for user in started:
            user.end()


@pytest.fixture
def sharing(start_sharing):
    return start_sharing()


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return start_module_door(config(pki))


def frame(data):
    return b"\0" + len(data).to_bytes(3, "big") + data


def frames(sock):
    """The frames that come on a carrier's socket until it ends: (kind, bytes)."""
    stream = sock.makefile("rb")
    while head := stream.read(4):
        yield head[0], stream.read(int.from_bytes(head[1:], "big"))


# What is saved ----------------------------------------------------------------------------------------------------

def test_a_hundred_calls_are_one_connection(start_door, pki, sharing, banner, sshd):
    """A hundred calls in a row, some of them by ssh: one carrier in the door's audit log, a stream for each."""
    door = start_door(config(pki))
    for _ in range(95):
        done = sharing.connect(door, f"127.0.0.1:{banner.port}", "--transport", "quic", input=b"x\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"behind the door\nx\n", b"")
    command = shlex.join(map(str, [*sharing.words(door), "--transport", "quic"])) + " %h:%p"
    for number in range(5):
        done = run("ssh", *sshd.options(proxy_command=command), "-o", f"Port={sshd.port}", f"{sshd.user}@localhost",
                   f"echo out; exit {number}", env=sharing.env)
        assert (done.returncode, done.stdout) == (number, b"out\n"), done.stderr
    wait_until(lambda: [each["sessions"] for each in sharing.status()] == [0], "the last session to end")
    [carrier] = sharing.status()
    assert carrier["transport"] == "quic" and carrier["rtt_ms"] > 0 and carrier["local"] and carrier["since"]
    sharing.end()
    lines = door.audited(100, action="tunnel", transport="quic")
    assert [line["reason"] for line in lines[:95]] == ["done"] * 95  # ssh may end its ProxyCommand before that has
    assert door.audited(action="carrier")["streams"] == 100


@pytest.mark.parametrize("transport", ["quic", "tcp", "auto"])
def test_works(door, sharing, banner, transport):
    for _ in range(3):
        done = sharing.connect(door, "--transport", transport, f"127.0.0.1:{banner.port}", input=b"x\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"behind the door\nx\n", b"")
    assert len(sharing.pids()) == 1


def test_ten_at_once_start_one(start_door, pki, sharing, banner):
    door = start_door(config(pki))
    calls = [sharing.start(door, "--transport", "quic", f"127.0.0.1:{banner.port}") for _ in range(10)]
    for call in calls:
        out, err = call.communicate(b"x\n", timeout=30 * SLOW)
        assert (call.returncode, out, err) == (0, b"behind the door\nx\n", b"")
    assert len(sharing.pids()) == 1
    sharing.end()
    assert door.audited(action="carrier")["streams"] == 10


def test_identities_are_kept_apart(door, pki, sharing, banner):
    """Another certificate is another carrier, and so is another transport."""
    target = f"127.0.0.1:{banner.port}"
    assert sharing.connect(door, target).returncode == 0
    assert b"no rule" in sharing.connect(door, target, cert=pki.bob).stderr
    assert sharing.connect(door, target, "--transport", "tcp").returncode == 0
    assert len(sharing.pids()) == 3


@pytest.mark.parametrize("how", ["flag", "environment", "file"])
def test_turned_off(door, sharing, banner, tmp_path, how):
    if how == "file":
        path = tmp_path / ".config" / "cardea" / "config.yaml"
        path.parent.mkdir(parents=True)
        path.write_text("share: false\n")
    done = sharing.connect(door, *(["--no-share"] if how == "flag" else []), f"127.0.0.1:{banner.port}",
                           env={"CARDEA_SHARE": "0"} if how == "environment" else {}, input=b"x\n")
    assert (done.returncode, done.stdout) == (0, b"behind the door\nx\n")
    assert not sharing.sockets()


def test_ends_when_unused(door, start_sharing, banner):
    user = start_sharing(idle=1)
    assert user.connect(door, f"127.0.0.1:{banner.port}").returncode == 0
    [pid] = user.pids()
    wait_until(lambda: not user.sockets(), "the socket to go")
    wait_until(lambda: not Path(f"/proc/{pid}/exe").exists(), "the process to go")
    assert user.connect(door, f"127.0.0.1:{banner.port}").returncode == 0


def test_ends_when_no_door_was_reached(pki, door, sharing, banner):
    """Seconds after its last caller, also while somebody asks about it; one whose door has said no stays."""
    def nowhere():
        pass
    nowhere.address = f"127.0.0.1:{free_port()}"
    assert sharing.connect(nowhere, f"127.0.0.1:{banner.port}").returncode == 1
    [carrier] = sharing.status()
    assert (carrier["reached"], carrier["transport"]) == (False, None)
    assert carrier["failed"] and "refused the connection" in carrier["failure"]
    shown = run(CARDEA, "status", env=sharing.env).stdout.decode()
    assert "- (auto, not reached yet)" in shown
    [row] = (line for line in shown.splitlines() if line.startswith(nowhere.address))
    assert str(sharing.pki.alice.certificate) in row and row.endswith(f"failed at {carrier['failed']}: {carrier['failure']}")
    assert b"denied" in sharing.connect(door, "192.0.2.1:1").stderr
    wait_until(lambda: [each["door"] for each in sharing.status()] == [door.address], "the one in vain to end", 20, step=0.5)
    time.sleep(6)
    assert len(sharing.status()) == 1


def test_told_apart(door, pki, sharing, banner):
    """Door, its name, certificate, CA and transport are shown."""
    target = f"127.0.0.1:{banner.port}"
    assert sharing.connect(door, target, "--transport", "tcp").returncode == 0
    assert sharing.connect(door, target, "--transport", "quic", cert=pki.bob).returncode == 1
    shown = [line.split() for line in run(CARDEA, "status", env=sharing.env).stdout.decode().splitlines() if line]
    del shown[0]  # that there is no door
    assert shown[0][:5] == ["carrier", "to", "named", "as", "by"], shown
    assert sorted(line[1:4] for line in shown[1:]) == sorted(
        ["door.test", str(who.certificate), str(pki.ca.file)] for who in (pki.alice, pki.bob))
    assert sorted(line[4] for line in shown[1:]) == ["quic", "tcp"]
    assert {(each["ca"], each["name"]) for each in sharing.status()} == {(str(pki.ca.file), "door.test")}


def test_over_tcp_is_told(door, sharing, banner):
    """Path, round-trip time, since when, and the connections: those of sessions, and those that wait for one."""
    call = sharing.start(door, "--transport", "tcp", f"127.0.0.1:{banner.port}")
    call.stdin.write(b"x\n")
    call.stdin.flush()
    wait_until(lambda: [(each["busy"], each["ready"]) for each in sharing.status()] == [(1, 2)], sharing.status)
    [busy] = sharing.status()
    assert busy["transport"] == "tcp" and busy["peer"] == door.address and busy["rtt_ms"] > 0
    assert busy["local"].startswith("127.0.0.1:") and busy["since"] and "failed" not in busy
    call.communicate(timeout=10 * SLOW)
    wait_until(lambda: [each["busy"] for each in sharing.status()] == [0], sharing.status)
    [idle] = sharing.status()
    assert (idle["transport"], idle["peer"], idle["ready"], idle["since"]) == ("tcp", door.address, 2, busy["since"])
    assert idle["rtt_ms"] > 0 and idle["local"] != busy["local"]
    _, heading, row = [line.split("  ") for line in run(CARDEA, "status", env=sharing.env).stdout.decode().splitlines() if line]
    shown = dict(zip([word.strip() for word in heading if word], [word.strip() for word in row if word]))
    assert (shown["over"], shown["sessions"], shown["warm"]) == ("tcp", "0", "2"), shown
    assert shown["path"] == f"{idle['local']} > {door.address}" and shown["rtt"].endswith(" ms")


def test_without_a_door(door, pki, sharing, banner):
    """An idle carrier is shown, with a word that no door is here; who asks for what only a door has is told so by 1."""
    own = {**sharing.env, "CARDEA_SOCKET": str(sharing.runtime / "none.sock")}
    for words, env in [([], sharing.env), ([], own), (["--offers"], sharing.env)]:
        done = run(CARDEA, "status", *words, env=env)
        assert (done.returncode, done.stdout) == (1, b"") and b"no door is running at" in done.stderr
    assert sharing.connect(door, f"127.0.0.1:{banner.port}").returncode == 0
    done = run(CARDEA, "status", env=sharing.env)
    first = done.stdout.decode().splitlines()[0]
    assert (done.returncode, done.stderr) == (0, b"")
    assert first == (f"no door here ({sharing.runtime}/cardea.sock, /run/cardea.sock or /run/cardea/cardea.sock); "
                     "the carriers are:")
    for words, env in [([], own), (["--offers"], sharing.env), (["--sessions"], sharing.env)]:
        assert run(CARDEA, "status", *words, env=env).returncode == 1


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_a_loss_is_told(start_door, pki, sharing, banner, transport):
    """The door goes: why and when is told, until it is there again."""
    door = start_door(config(pki))
    target = f"127.0.0.1:{banner.port}"
    assert sharing.connect(door, "--transport", transport, target).returncode == 0
    [carrier] = sharing.status()
    assert carrier["transport"] == transport and "failure" not in carrier
    door.stop()
    if transport == "tcp":  # nobody was on it
        wait_until(lambda: sharing.status()[0]["transport"] is None, sharing.status)
        assert sharing.connect(door, "--transport", transport, target).returncode == 1
    wait_until(lambda: "failure" in sharing.status()[0], sharing.status)
    [carrier] = sharing.status()
    assert carrier["transport"] is None and carrier["failed"]
    assert ("QUIC connection has ended: " if transport == "quic" else "refused the connection") in carrier["failure"]
    door.start()
    assert sharing.connect(door, "--transport", transport, target).returncode == 0
    [carrier] = sharing.status()
    assert carrier["transport"] == transport and "failure" not in carrier
    if transport == "tcp":  # again nobody is on it, and that what failed before has failed is long over
        door.stop()
        wait_until(lambda: sharing.status()[0]["transport"] is None, sharing.status)
        assert "failure" not in sharing.status()[0]


def test_the_better_reason_is_told(start_door, pki, sharing, echo, tmp_path):
    """Not only that the door closed the connection, where it had said why: in the row of the carrier that it is about."""
    ca = pki_module.CA(tmp_path / "staff", "Staff")
    revoked = ca.crl(tmp_path / "staff.crl")
    alice, carol = ca.client("alice", ou=["ops"]), ca.client("carol", ou=["ops"])
    door = start_door(config(pki, trust=[{"name": "staff", "ca": ca.file, "crl": [revoked]}],
                             limits={"drain_timeout": ms(300)}))
    target, failures = f"127.0.0.1:{echo.port}", {}

    def talk(cert):
        call = sharing.start(door, "--transport", "quic", target, cert=cert)
        call.stdin.write(b"x")
        call.stdin.flush()
        assert call.stdout.read(1) == b"x"
        return call

    def failed():
        failures.update((each["identity"], each["failure"]) for each in sharing.status() if "failure" in each)
        return failures
    call = talk(alice)
    talk(carol).communicate(timeout=10 * SLOW)
    ca.revoke(carol)
    ca.crl(revoked)
    door.reload()
    assert b"revoked" in sharing.connect(door, "--transport", "quic", target, cert=carol).stderr
    wait_until(lambda: len(failed()) == 1, sharing.status)
    door.stop()
    assert b"the door stopped" in call.communicate(timeout=20 * SLOW)[1]
    wait_until(lambda: len(failed()) == 2, sharing.status)
    assert "revoked" in failures[str(carol.certificate)] and "the door stopped" in failures[str(alice.certificate)]
    rows = run(CARDEA, "status", env=sharing.env).stdout.decode().splitlines()
    for identity, failure in failures.items():
        assert [line.endswith(failure) for line in rows if identity in line] == [True], rows


def test_in_the_foreground(door, sharing, banner, tmp_path):
    """A user's service runs it: calls find it, and a second one is refused."""
    words = sharing.words(door)
    words[1] = "carry"
    service = subprocess.Popen([str(word) for word in words], env=sharing.env, stderr=subprocess.PIPE)
    try:
        wait_until(sharing.sockets, "the socket")
        assert sharing.connect(door, f"127.0.0.1:{banner.port}").returncode == 0
        assert sharing.pids() == [service.pid]
        done = run(*words, env=sharing.env)
        assert done.returncode == 1 and b"another program is listening there" in done.stderr
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(10 * SLOW) == 0
        service.stderr.close()
    assert not sharing.sockets()


# Nothing else changes ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("target,options", [
    pytest.param("secret.test:22", {}, id="denied by a rule"),
    pytest.param("127.0.0.1:22", {"cert": "bob"}, id="denied by no rule"),
    pytest.param("nosuch.invalid:22", {}, id="no such host"),
    pytest.param("127.0.0.1:{closed}", {}, id="refused"),
    pytest.param("127.0.0.1:22", {"cert": "mallory"}, id="bad certificate"),
    pytest.param("127.0.0.1:22", {"name": "elsewhere.test"}, id="unknown name"),
    pytest.param("127.0.0.1:22", {"ca": "stranger"}, id="a door not trusted"),
])
@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_the_same_messages(door, pki, sharing, target, options, transport):
    """Exit code and text are to the letter those of a call of its own, the first time and when the carrier is there."""
    options = dict(options)
    if "cert" in options:
        options["cert"] = getattr(pki, options["cert"])
    if "ca" in options:
        options["ca"] = getattr(pki, options["ca"]).file
    target = target.format(closed=free_port())
    said = [sharing.connect(door, "--transport", transport, *more, target, **options)
            for more in (["--no-share"], [], [])]
    texts = [(each.returncode, each.stdout, each.stderr.decode()) for each in said]
    assert texts[0][0] == 1 and texts[0][2].startswith("cardea: ")
    assert texts[1] == texts[0] and texts[2] == texts[0]


@pytest.mark.parametrize("spoil", [
    pytest.param(lambda own, key, ca: key.chmod(0o644), id="a key for others to read"),
    pytest.param(lambda own, key, ca: key.unlink(), id="no key"),
    pytest.param(lambda own, key, ca: own.rename(own.with_suffix(".old")), id="no certificate"),
    pytest.param(lambda own, key, ca: (ca.unlink(), ca.mkdir()), id="a folder for the CA"),
])
def test_files_that_a_call_of_its_own_refuses(door, pki, sharing, banner, tmp_path, spoil):
    """They are looked at before the carrier is asked, which has read them when they were good."""
    own, key, ca = tmp_path / "own.pem", tmp_path / "own.key", tmp_path / "ca.pem"
    for source, to in ((pki.alice.certificate, own), (pki.alice.key, key), (pki.ca.file, ca)):
        to.write_bytes(Path(source).read_bytes())
        to.chmod(0o600)

    class Me:
        certificate, key = "own.pem", "own.key"
    target = f"127.0.0.1:{banner.port}"
    assert sharing.connect(door, target, cert=Me, ca="ca.pem", cwd=tmp_path).returncode == 0
    spoil(own, key, ca)
    said = [sharing.connect(door, *more, target, cert=Me, ca="ca.pem", cwd=tmp_path) for more in (["--no-share"], [])]
    assert [(each.returncode, each.stdout) for each in said] == [(1, b"")] * 2
    assert said[0].stderr == said[1].stderr != b""


def test_no_door_there(sharing):
    port = free_port()
    said = [sharing.connect(f"127.0.0.1:{port}", *more, "127.0.0.1:22").stderr for more in (["--no-share"], [], [])]
    assert b"refused" in said[0] and said[1] == said[0] and said[2] == said[0]


def test_the_time_is_the_callers(start_door, pki, sharing):
    """--timeout holds, in the words of a call of its own."""
    with peers.FullBacklog() as silent:
        door = start_door(config(pki, limits={"dial_timeout": ms(20000)}))
        said = [sharing.connect(door, "--transport", "tcp", "--timeout", ms(700), *more, f"127.0.0.1:{silent.port}").stderr
                for more in (["--no-share"], [], [])]
    assert b"time is over" in said[0] and said[1] == said[0] and said[2] == said[0]


def test_missing_file(door, sharing):
    done = run(CARDEA, "connect", "--door", door.address, "--ca", "/nosuch.pem", "host:22", env=sharing.env)
    assert done.returncode == 1 and b"/nosuch.pem" in done.stderr and not sharing.sockets()


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_half_close(door, sharing, counter, transport):
    """The end of standard input reaches the target; its answer still comes back. A megabyte goes the other way."""
    done = sharing.connect(door, "--transport", transport, f"127.0.0.1:{counter.port}", input=b"y" * 3000000)
    assert (done.returncode, done.stdout) == (0, b"3000000 bytes\n"), done.stderr
    with peers.Server(lambda sock: sock.sendall(b"z" * 3000000)) as server:
        done = sharing.connect(door, "--transport", transport, f"127.0.0.1:{server.port}")
        assert (done.returncode, done.stdout) == (0, b"z" * 3000000)


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_a_reset_is_no_end(start_door, pki, sharing, transport):
    """The target resets its connection in the middle: the caller is told so, as without a carrier."""
    def reset(sock):
        sock.sendall(b"half of it")
        sock.recv(1)
        time.sleep(0.3 * SLOW)  # what was said has arrived
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()

    door = start_door(config(pki))
    with peers.Server(reset) as server:
        said = []
        for more in (["--no-share"], []):
            call = sharing.start(door, "--transport", transport, *more, f"127.0.0.1:{server.port}")
            assert call.stdout.read(10) == b"half of it"
            call.stdin.write(b"x")
            call.stdin.flush()  # and no end: it is the target's alone
            call.wait(20 * SLOW)
            out, err = call.communicate()
            said.append((call.returncode, out, err))
    # Over TCP a reset may be seen as an end without close_notify: then the last word is another.
    assert all((code, out) == (1, b"") and err.startswith(b"cardea: the connection") for code, out, err in said), said
    assert transport == "tcp" or said[0] == said[1], said


def test_a_caller_that_is_killed_is_no_end(door, sharing):
    """kill -9 of a caller: the target sees a reset, not an end, and the carrier goes on."""
    heard = []

    def listen(sock):
        try:
            while data := sock.recv(100):
                heard.append(data)
            heard.append("end")
        except OSError:
            heard.append("reset")

    with peers.Server(listen) as server:
        call = sharing.start(door, "--transport", "quic", f"127.0.0.1:{server.port}")
        call.stdin.write(b"x")
        call.stdin.flush()
        wait_until(lambda: heard == [b"x"], "the first byte")
        call.kill()
        call.communicate()
        wait_until(lambda: len(heard) == 2, "the end")
        assert heard[1] == "reset"
    assert len(sharing.pids()) == 1


# Nothing of it breaks a call ----------------------------------------------------------------------------------------

def test_the_carrier_is_killed(door, sharing, echo, banner):
    """kill -9: the call that it carried ends and says so, the next one works."""
    call = sharing.start(door, f"127.0.0.1:{echo.port}")
    call.stdin.write(b"x")
    call.stdin.flush()
    assert call.stdout.read(1) == b"x"
    [pid] = sharing.pids()
    os.kill(pid, signal.SIGKILL)
    assert call.wait(10 * SLOW) == 1
    assert b"was cut off" in call.stderr.read() and not call.stdout.read()
    call.communicate()
    assert sharing.sockets(), "a stale socket"
    done = sharing.connect(door, f"127.0.0.1:{banner.port}", input=b"x\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"behind the door\nx\n", b"")
    assert len(sharing.pids()) == 1 and sharing.pids() != [pid]


def answer_with(path, say):
    """A listener on the carrier's socket that is none: it gets a call, says `say`, and closes."""
    listener = socket.socket(socket.AF_UNIX)
    path.unlink()
    listener.bind(str(path))
    listener.listen()

    def serve():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.recv(65536)
                sock.sendall(say)
    threading.Thread(target=serve, daemon=True).start()
    return listener


@pytest.mark.parametrize("say", [b"", b"\xff\xff\xff\xff", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\1\0\0\0", b"\0\0\0",
                                 b"\0\0\0\5abc"])
def test_something_else_listens_there(door, sharing, banner, say):
    """What is no carrier is no help, and no harm."""
    assert sharing.connect(door, f"127.0.0.1:{banner.port}").returncode == 0
    sharing.end()
    path = sharing.runtime / "cardea" / "x"
    path.touch()
    [lock] = (sharing.runtime / "cardea").glob("*.lock")
    own = lock.with_suffix("")
    own.touch()
    with answer_with(own, say):
        done = sharing.connect(door, f"127.0.0.1:{banner.port}", input=b"x\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"behind the door\nx\n", b"")
    own.unlink()


@pytest.mark.parametrize("what", ["mode", "link", "file"])
def test_an_unsafe_directory_is_not_used(door, sharing, banner, tmp_path, what):
    place = sharing.runtime / "cardea"
    if what == "mode":
        place.mkdir()
        place.chmod(0o755)
    elif what == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.touch()
    done = sharing.connect(door, f"127.0.0.1:{banner.port}", input=b"x\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"behind the door\nx\n", b"")
    assert not list(tmp_path.glob("**/*.sock"))


def test_the_directory_is_private(door, sharing, banner):
    assert sharing.connect(door, f"127.0.0.1:{banner.port}").returncode == 0
    assert stat.S_IMODE((sharing.runtime / "cardea").stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in sharing.sockets())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_socket_of_somebody_else(door, sharing, banner):
    """Where another user listens on the socket, or another user calls, nothing is said to him."""
    assert sharing.connect(door, f"127.0.0.1:{banner.port}").returncode == 0
    [path] = sharing.sockets()
    sharing.runtime.chmod(0o755)
    (sharing.runtime / "cardea").chmod(0o777)
    path.chmod(0o777)
    script = ("import os, socket, sys\nos.setgid(65534); os.setuid(65534)\ns = socket.socket(socket.AF_UNIX)\n"
              "try:\n    s.connect(sys.argv[1]); s.sendall(b'\\0\\0\\0\\x17\\0\\x15{\"v\":1,\"status\":true}'); print(s.recv(100))\n"
              "except (ConnectionError, PermissionError): print('refused')")
    for part in [path, *path.parents][:-1]:
        if part.stat().st_uid == os.geteuid() and part.is_dir() and not part.stat().st_mode & 1:
            part.chmod(part.stat().st_mode | 0o111)
    done = run("/usr/bin/python3", "-c", script, path)
    assert done.stdout in (b"b''\n", b"refused\n"), done
    (sharing.runtime / "cardea").chmod(0o700)
    sharing.end()
    listen = ("import os, socket, sys, time\ns = socket.socket(socket.AF_UNIX)\nos.setgid(65534); os.seteuid(65534)\n"
              "os.seteuid(0); s.bind(sys.argv[1]); os.setuid(65534); s.listen()\nprint('up', flush=True)\n"
              "while True:\n    c, _ = s.accept(); print(c.recv(100), flush=True)")
    thief = subprocess.Popen(["/usr/bin/python3", "-c", listen, path], stdout=subprocess.PIPE)
    assert thief.stdout.readline() == b"up\n"
    done = sharing.connect(door, f"127.0.0.1:{banner.port}", input=b"x\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"behind the door\nx\n", b"")
    thief.kill()
    assert set(thief.communicate()[0].splitlines()) == {b"b''"}
    path.unlink()


def test_a_new_certificate(start_door, pki, sharing, echo, banner, tmp_path):
    """Files that change are read anew for new connections; those that are open go on. What is wrong with new files is said
    as without a carrier, and is over when they are right again."""
    door = start_door(config(pki))
    own, key = tmp_path / "own.pem", tmp_path / "own.key"

    def use(who):
        for source, to in ((who.certificate, own), (who.key, key)):
            new = to.with_suffix(".new")
            new.write_bytes(Path(source).read_bytes())
            new.chmod(0o600)
            new.rename(to)

    class Me:
        certificate, key = str(own), str(tmp_path / "own.key")
    use(pki.alice)
    target = f"127.0.0.1:{banner.port}"
    call = subprocess.Popen([str(word) for word in sharing.words(door, f"127.0.0.1:{echo.port}", cert=Me)], env=sharing.env,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    call.stdin.write(b"x")
    call.stdin.flush()
    assert call.stdout.read(1) == b"x"
    use(pki.bob)
    assert b"bob" in sharing.connect(door, target, cert=Me).stderr
    own.write_text("nonsense")
    said = [sharing.connect(door, *more, target, cert=Me).stderr for more in (["--no-share"], [])]
    assert said[0] and said[0] == said[1]
    use(pki.alice)
    assert sharing.connect(door, target, cert=Me).returncode == 0
    out, _ = call.communicate(b"y", timeout=10 * SLOW)
    assert (call.returncode, out) == (0, b"y")
    assert len(sharing.pids()) == 1


def test_udp_stops_in_mid_life(start_door, pki, sharing, banner):
    """UDP is dropped under the carrier: the next call works within two seconds, over TCP."""
    from relay import Relay
    port, quic_port = free_port(), free_port()
    door = start_door(config(pki, listeners=[{"name": "tcp", "address": f"127.0.0.1:{port}", "quic": False},
                                             {"name": "both", "address": f"127.0.0.1:{quic_port}"}]))
    door.port = port
    target = f"127.0.0.1:{banner.port}"
    with Relay(quic_port, port=port) as relay:
        def carried():
            door.mark()
            assert sharing.connect(door, target).returncode == 0
            return door.audited(action="tunnel").get("transport")
        wait_until(lambda: carried() == "quic", "QUIC")
        relay.deaf = True
        start = time.monotonic()
        assert carried() is None
        assert time.monotonic() - start < 3 * SLOW
        assert carried() is None
        relay.deaf = False
        wait_until(lambda: carried() == "quic", "QUIC again", 20, step=0.2)


# Targets of other kinds -------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def door_for_agents(start_module_door, pki):
    return start_module_door({
        "certificates": [pki.server("door.test").row(), pki.server("*.apps.test").row()],
        "trust": [pki.trust()],
        "routes": [
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "apps", "sni": "*.apps.test", "expose": {}, "clients": {"mode": "optional", "trust": "staff"}},
        ],
        "policy": [
            {"name": "ops", "who": {"group": "ops"},
             "targets": ["offer:*.apps.test", "name:*.apps.test", "udp:127.0.0.0/8:*"]},
        ],
    })


@pytest.fixture
def expose(door_for_agents, pki, tmp_path):
    started = []

    def begin(name, to, *words):
        started.append(Agent(tmp_path, door_for_agents.address, pki, name, "--to", to, "--grace", "0s", "--verbose",
                             *words))
        started[-1].says("offering")
        return started[-1]
    yield begin
    for agent in started:
        agent.end()


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_a_name_in_private(door_for_agents, sharing, expose, banner, transport):
    expose("web.apps.test", banner.to)
    for _ in range(2):
        done = sharing.connect(door_for_agents, "--transport", transport, "web.apps.test", input=b"x\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"behind the door\nx\n", b"")
    assert len(sharing.pids()) == 1


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_a_name_end_to_end(door_for_agents, pki, sharing, expose, banner, transport):
    """The call, not the carrier, makes TLS with the service: it demands the certificate of whom it asked for, and is
    known to the service by its own."""
    cert = pki.server("sealed.apps.test")
    agent = expose("sealed.apps.test", banner.to, "--end-to-end", "--service-cert", cert.certificate, "--service-key",
                   cert.key, "--clients", pki.staff.file)
    for _ in range(2):
        done = sharing.connect(door_for_agents, "--transport", transport, "sealed.apps.test", input=b"x\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"behind the door\nx\n", b"")
    agent.says("as alice")
    assert len(sharing.pids()) == 1


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_a_name_that_another_service_answers(door_for_agents, pki, sharing, expose, banner, transport):
    """What the call says is what it says without a carrier."""
    cert = pki.server("other.test")
    expose("sealed.apps.test", banner.to, "--end-to-end", "--service-cert", cert.certificate, "--service-key", cert.key,
           "--anyone")
    said = []
    for more in (["--no-share"], [], []):
        done = sharing.connect(door_for_agents, "--transport", transport, *more, "sealed.apps.test", input=b"x\n")
        said.append((done.returncode, done.stdout, done.stderr))
    assert said[0] == said[1] == said[2] and said[0][:2] == (1, b"") and b"does not prove" in said[0][2], said
    assert len(sharing.pids()) == 1


def test_the_carrier_is_killed_below_tls(door_for_agents, pki, sharing, expose, echo):
    cert = pki.server("sealed.apps.test")
    expose("sealed.apps.test", echo.to, "--end-to-end", "--service-cert", cert.certificate, "--service-key", cert.key,
           "--anyone")
    call = sharing.start(door_for_agents, "sealed.apps.test")
    call.stdin.write(b"x")
    call.stdin.flush()
    assert call.stdout.read(1) == b"x"
    os.kill(sharing.pids()[0], signal.SIGKILL)
    out, err = call.communicate(timeout=20 * SLOW)
    assert (call.returncode, out) == (1, b"") and b"(cardea carry) has ended" in err, err


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_datagrams_are_frames_on_the_socket(door_for_agents, sharing, expose, banner, transport):
    """Whatever they are on the way to the door: the socket carries a stream."""
    service, port = udp_echo()
    expose("web.apps.test", banner.to)
    sharing.connect(door_for_agents, "--transport", transport, "web.apps.test", input=b"")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10 * SLOW)
        sock.connect(str(sharing.sockets()[0]))
        hello = pack({"v": 1, "target": f"127.0.0.1:{port}", "proto": "udp", "timeout_ms": 10000})
        datagram = struct.pack(">H", 1200) + bytes(1200)
        sock.sendall(frame(hello))
        came = frames(sock)
        assert next(came) == (0, b"\0\x11" + b'{"v":1,"ok":true}')
        sock.sendall(frame(datagram))
        data = b""
        while len(data) < len(datagram):
            kind, more = next(came)
            assert kind == 0, more
            data += more
        assert data == datagram
    service.close()
