# SPDX-License-Identifier: Apache-2.0
"""`cardea connect --transport quic`: what works over TCP works the same over QUIC, and many tunnels share a
connection."""
import contextlib
import hashlib
import queue
import shlex
import signal
import socket
import time

import pytest

import forms
import peers
import tls
from fixtures import clean_env, connect_words
from relay import Relay
from run import SLOW, free_port, listening, ms, run, wait_until

SIZE = 50 * 1024 * 1024


def config(pki, banner, **more):
    required = {"mode": "required", "trust": "staff"}
    return {
        "certificates": [pki.server("door.test").row(), pki.server("web.test").row()],
        "trust": [pki.trust()],
        "routes": [
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": required},
            {"name": "web", "sni": "web.test", "terminate": {"to": banner.to, "alpn": ["http/1.1"]}},
        ],
        "policy": [
            {"name": "keep-out", "effect": "deny", "who": {"any": True}, "targets": ["secret.test:*"]},
            {"name": "ops", "who": {"group": "ops"},
             "targets": ["127.0.0.0/8:*", "localhost:*", "nosuch.invalid:*", "secret.test:*"]},
        ],
        **more,
    }


@pytest.fixture(scope="module")
def door(start_module_door, pki, banner):
    return start_module_door(config(pki, banner))


def dial(port):
    return socket.create_connection(("127.0.0.1", port), 10 * SLOW)


def says(sock, word):
    """An echo's round."""
    sock.sendall(word)
    return tls.read_exactly(sock, len(word)) == word


# ssh --------------------------------------------------------------------------------------------------------------

@pytest.fixture
def proxied(door, pki, sshd):
    command = shlex.join(map(str, [*connect_words(door, pki.alice, pki.ca.file), "--transport", "quic"])) + " %h:%p"
    return [*sshd.options(proxy_command=command), "-o", f"Port={sshd.port}"]


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_ssh_command(door, proxied, sshd, tmp_path):
    """Output, error output and exit code; the carrier and its one stream are in the audit log, with the identity."""
    door.mark()
    done = run("ssh", *proxied, f"{sshd.user}@localhost", "echo out; echo err >&2; exit 42", env=clean_env(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (42, b"out\n", b"err\n")
    stream = door.audited(action="tunnel", transport="quic")
    carrier = door.audited(action="carrier", transport="quic")
    assert carrier["id"] == stream["carrier"] != stream["id"]
    assert (carrier["streams"], carrier["route"], carrier["reason"]) == (1, "tunnel", "done")
    assert (stream["target"], stream["route"]) == (f"localhost:{sshd.port}", "tunnel")
    assert stream["identity"] == carrier["identity"] and "alice" in stream["identity"]
    assert stream["reason"] == "done" and stream["in"] > 0 and stream["out"] > 0


def test_scp_both_directions(door, proxied, sshd, tmp_path):
    """50 MB there and back; the checksums are equal, and the audit lines have counted the bytes."""
    source, there, back = tmp_path / "source", tmp_path / "there", tmp_path / "back"
    run("openssl", "rand", "-out", source, SIZE)
    try:
        for one, two, way in ((source, f"{sshd.user}@localhost:{there}", "in"),
                              (f"{sshd.user}@localhost:{there}", back, "out")):
            door.mark()
            done = run("scp", *proxied, one, two, timeout=90, env=clean_env(tmp_path))
            assert done.returncode == 0, done.stderr.decode()
            line = door.audited(action="tunnel", transport="quic")
            assert line[way] > SIZE > line["out" if way == "in" else "in"]
        assert digest(source) == digest(there) == digest(back)
    finally:
        for path in (source, there, back):
            path.unlink(missing_ok=True)


# One carrier, many tunnels ----------------------------------------------------------------------------------------

def test_tunnels_share_a_carrier(door, start_connect, echo, banner):
    """Connections to two -L of one process, together and one after another: one QUIC connection, a line for each."""
    one, two = free_port(), free_port()
    door.mark()
    process = start_connect(door, "--transport", "quic", "-L", f"{one}:127.0.0.1:{echo.port}",
                            "-L", f"{two}:127.0.0.1:{banner.port}", ports=[one, two])
    socks = [dial(one) for _ in range(10)]
    assert all(says(sock, b"x%d" % number) for number, sock in enumerate(socks))
    with dial(two) as sock:
        assert tls.read_exactly(sock, 16) == b"behind the door\n"
    for sock in socks:
        sock.close()
    with dial(one) as sock:
        assert says(sock, b"once more")
    streams = door.audited(12, action="tunnel", transport="quic", reason="done")
    assert len({line["carrier"] for line in streams}) == 1
    process.stop()
    carrier = door.audited(action="carrier")
    assert (carrier["id"], carrier["streams"]) == (streams[0]["carrier"], 12)


def test_no_bytes_between_tunnels(door, start_connect, echo):
    """A tunnel whose reader sleeps does not hold up the others, and loses nothing."""
    port = free_port()
    start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    data = bytes(range(256)) * 16384
    with dial(port) as sleeper, dial(port) as other:
        sleeper.setblocking(False)
        sent = 0
        end = time.monotonic() + 0.5
        while sent < len(data) and time.monotonic() < end:
            try:
                sent += sleeper.send(data[sent:sent + 65536])
            except BlockingIOError:
                time.sleep(0.01)
        assert says(other, b"still here")
        sleeper.settimeout(10 * SLOW)
        assert tls.read_exactly(sleeper, sent) == data[:sent]


# What does not work -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words,target,options", [
    pytest.param(["denied", "keep-out", "secret.test:22"], "secret.test:22", {}, id="denied by a rule"),
    pytest.param(["denied", "no rule"], "127.0.0.1:22", {"cert": "bob"}, id="denied by no rule"),
    pytest.param(["no such host", "nosuch.invalid"], "nosuch.invalid:22", {}, id="no such host"),
    pytest.param(["refused"], "127.0.0.1:{closed}", {}, id="refused"),
    pytest.param(["does not accept our certificate"], "127.0.0.1:22", {"cert": "mallory"}, id="bad certificate"),
    pytest.param(["wants a client certificate", "--cert"], "127.0.0.1:22", {"cert": None}, id="no certificate"),
    pytest.param(["elsewhere.test"], "127.0.0.1:22", {"name": "elsewhere.test"}, id="unknown name"),
    pytest.param(["web.test"], "127.0.0.1:22", {"name": "web.test"}, id="not a tunnel"),
    pytest.param(["does not prove to be door.test"], "127.0.0.1:22", {"ca": "stranger"}, id="a door not trusted"),
])
def test_the_same_messages_as_over_tcp(door, connect, pki, words, target, options):
    """Exit code 1, and to the letter the same text whatever the transport."""
    options = dict(options)
    if options.get("cert"):
        options["cert"] = getattr(pki, options["cert"])
    if "ca" in options:
        options["ca"] = getattr(pki, options["ca"]).file
    target = target.format(closed=free_port())
    done = [connect(door, "--transport", transport, target, **options) for transport in ("quic", "tcp")]
    texts = [each.stderr.decode() for each in done]
    assert [(each.returncode, each.stdout) for each in done] == [(1, b"")] * 2, texts
    assert texts[0] == texts[1]
    assert all(word in texts[0] for word in words), texts[0]


def test_why_it_ended_is_audited(door, connect, pki):
    """A handshake that failed leaves the carrier's line with the reason that TCP has for it."""
    for options, reason in (({"cert": pki.mallory}, "bad_certificate"), ({"cert": None}, "no_certificate"),
                            ({"name": "elsewhere.test"}, "no_route")):
        reasons = []
        for transport in ("quic", "tcp"):
            door.mark()
            assert connect(door, "--transport", transport, "127.0.0.1:22", **options).returncode == 1
            line = door.audited()
            reasons.append(line["reason"])
            assert line.get("transport") == ("quic" if transport == "quic" else None)
        assert reasons == [reason, reason]


# Ends -------------------------------------------------------------------------------------------------------------

def test_half_close_from_the_client(door, start_connect, counter, connect):
    """The local end reaches the target; its answer still comes back, also to standard output."""
    port = free_port()
    start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{counter.port}", ports=[port])
    with dial(port) as sock:
        sock.sendall(b"x" * 300000)
        sock.shutdown(socket.SHUT_WR)
        assert tls.read_all(sock) == b"300000 bytes\n"
    done = connect(door, "--transport", "quic", f"127.0.0.1:{counter.port}", input=b"y" * 300000)
    assert (done.returncode, done.stdout) == (0, b"300000 bytes\n")


def test_half_close_from_the_target(door, start_connect):
    """The target ends first; what the client says after that still arrives there."""
    heard = queue.Queue()

    def parting(sock):
        sock.sendall(b"bye")
        sock.shutdown(socket.SHUT_WR)
        size = 0
        while data := sock.recv(65536):
            size += len(data)
        heard.put(size)

    port = free_port()
    with peers.Server(parting) as server:
        start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{server.port}", ports=[port])
        with dial(port) as sock:
            assert tls.read_all(sock) == b"bye"
            sock.sendall(b"z" * 300000)
            sock.shutdown(socket.SHUT_WR)
            assert heard.get(timeout=10 * SLOW) == 300000


def test_client_is_killed(door, start_connect, echo):
    """No word of farewell from `cardea connect` that is told to stop: at least its tunnels do not stay."""
    port = free_port()
    door.mark()
    process = start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    with dial(port) as sock:
        assert says(sock, b"x")
        assert forms.live(door.status(), "tunnel") > 0
        process.stop()
        assert door.audited(action="carrier")["streams"] == 1
        door.audited(action="tunnel", transport="quic")


# The door ---------------------------------------------------------------------------------------------------------

def test_reload_keeps_streams(start_door, pki, banner, echo, connect, start_connect):
    """Reloads, even one that takes QUIC away from the listener, leave what is open alone; new clients find it gone, and
    served again when it comes back, also while the old ones are still there."""
    door = start_door(config(pki, banner))
    port = free_port()
    start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    with dial(port) as sock:
        assert says(sock, b"before")
        for _ in range(5):
            door.reload()
            assert says(sock, b"after")
        listener = door.config["listeners"][0]
        door.reload(config(pki, banner, listeners=[{**listener, "quic": False}]))
        assert says(sock, b"without")
        done = connect(door, "--transport", "quic", "--timeout", ms(500), f"127.0.0.1:{banner.port}")
        assert done.returncode == 1
        assert says(sock, b"still")
        door.reload(config(pki, banner, listeners=[listener]))
        assert connect(door, "--transport", "quic", f"127.0.0.1:{banner.port}").returncode == 0
        assert says(sock, b"and again")


def test_drain(start_door, pki, banner, echo, connect, start_connect):
    """After SIGTERM streams may finish, no new client gets in, and the door ends with the last of them."""
    door = start_door(config(pki, banner, limits={"drain_timeout": ms(20000)}))
    port = free_port()
    start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    start = time.monotonic()
    with dial(port) as sock:
        assert says(sock, b"before")
        door.process.send(signal.SIGTERM)
        done = connect(door, "--transport", "quic", "--timeout", ms(500), f"127.0.0.1:{banner.port}")
        assert done.returncode == 1
        assert says(sock, b"after") and door.process.poll() is None
    assert door.process.wait() == 0
    assert time.monotonic() - start < 15 * SLOW, "it waited for drain_timeout though nobody was left"
    assert door.audited(action="tunnel")["reason"] == "done"
    assert door.audited(action="carrier")["reason"] == "shutdown"


def test_what_was_said_arrives(start_door, pki, banner, start_connect):
    """The last stream ends while the network still carries what the target has said: the door waits for that."""
    size = 3 * 1024 * 1024
    door = start_door(config(pki, banner, limits={"drain_timeout": ms(20000)}))
    port = free_port()
    with peers.Server(lambda sock: sock.sendall(bytes(size))) as server, \
            Relay(door.port, overtaken=1.0, late=0.1) as relay:
        start_connect(f"127.0.0.1:{relay.port}", "--transport", "quic", "-L", f"{port}:127.0.0.1:{server.port}",
                      ports=[port])
        with dial(port) as sock:
            sock.shutdown(socket.SHUT_WR)
            assert tls.read_exactly(sock, 1) == bytes(1)
            door.process.send(signal.SIGTERM)
            assert len(tls.read_all(sock)) == size - 1
        assert door.process.wait() == 0
    assert door.audited(action="tunnel")["reason"] == "done"


def test_the_drain_has_an_end(start_door, pki, banner, echo, start_connect):
    """A stream that does not finish is cut off; both lines say why."""
    door = start_door(config(pki, banner, limits={"drain_timeout": ms(300)}))
    port = free_port()
    start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    with dial(port) as sock:
        assert says(sock, b"x")
        door.process.send(signal.SIGTERM)
        assert door.process.wait() == 0
        assert tls.ended(sock)
    assert [door.audited(action=what)["reason"] for what in ("tunnel", "carrier")] == ["shutdown", "shutdown"]


def test_listener_without_quic(start_door, pki, banner, connect):
    """`quic: false`: nobody answers in UDP, and TCP does."""
    port = free_port()
    door = start_door(config(pki, banner, listeners=[{"name": "main", "address": f"127.0.0.1:{port}", "quic": False}]))
    door.port = port
    done = connect(door, "--transport", "quic", f"127.0.0.1:{banner.port}")
    assert done.returncode == 1 and b"QUIC" in done.stderr, done.stderr.decode()
    done = connect(door, f"127.0.0.1:{banner.port}")
    assert (done.returncode, done.stdout) == (0, b"behind the door\n"), done.stderr.decode()
    assert "transport" not in door.audited(action="tunnel")


def test_status_counts_streams(start_door, pki, banner, echo, start_connect):
    """A tunnel over QUIC is a connection of its route in status and metrics, while it is open and afterwards."""
    door = start_door(config(pki, banner))
    port = free_port()
    start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    socks = [dial(port) for _ in range(3)]
    assert all(says(sock, b"12345") for sock in socks)
    before = forms.live(door.status(), "tunnel")
    assert before >= 3
    for sock in socks:
        sock.close()
    wait_until(lambda: forms.live(door.status(), "tunnel") == before - 3, "the tunnels to be counted off")
    samples = forms.parse_metrics(door.get("/metrics")[1])
    assert forms.metric(samples, forms.METRIC_CLOSED, route="tunnel", reason="done") >= 3
    assert forms.metric(samples, forms.METRIC_IN, route="tunnel") >= 15


# The door stops ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("speaks_first", [False, True], ids=["", "speaks-first"])
def test_new_tunnels_move_to_the_successor(start_door, start_connect, pki, banner, echo, speaks_first):
    """What stands on the carrier goes on there; a new tunnel is asked for on a new connection, also when what its local
    side says was sent along with the request. While nothing has taken the door's place that is what is said."""
    door = start_door(config(pki, banner, limits={"drain_timeout": ms(20000)}))
    with Relay(door.port) as relay:
        port = free_port()
        process = start_connect(f"127.0.0.1:{relay.port}", "--transport", "quic", "--timeout", ms(2000), "-L",
                                f"{port}:127.0.0.1:{echo.port}", ports=[port])
        stays = dial(port)
        assert says(stays, b"hello")
        door.mark()
        door.process.send(signal.SIGTERM)
        wait_until(lambda: not listening(door.port), "the door to drain")
        with dial(port) as sock:
            if speaks_first:
                sock.sendall(b"x")
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
        wait_until(lambda: "is stopping, and no other has taken its place yet: try again later" in process.output(), process.output)
        assert "broke" not in process.output()
        other = start_door(config(pki, banner))
        relay.lead(other.port)

        def is_there():
            with contextlib.suppress(OSError, AssertionError), dial(port) as sock:
                return says(sock, b"there")
        wait_until(is_there, process.output, 20)  # the attempt that is under way goes to the old door by this relay
        assert says(stays, b"still here")
        stays.close()
        assert other.audited(action="tunnel", transport="quic")["reason"] == "done"


@pytest.mark.parametrize("speaks_first", [False, True], ids=["", "speaks-first"])
def test_the_successor_is_there_already(start_door, start_connect, pki, banner, echo, speaks_first):
    """Then nobody notices."""
    door = start_door(config(pki, banner, limits={"drain_timeout": ms(20000)}))
    with Relay(door.port) as relay:
        port = free_port()
        process = start_connect(f"127.0.0.1:{relay.port}", "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}",
                                ports=[port])
        stays = dial(port)
        assert says(stays, b"hello")
        other = start_door(config(pki, banner))
        door.process.send(signal.SIGTERM)
        wait_until(lambda: not listening(door.port), "the door to drain")
        relay.lead(other.port)
        with dial(port) as sock:
            assert not speaks_first or says(sock, b"x")
            assert says(sock, b"there")
        assert says(stays, b"still here")
        stays.close()
        assert other.audited(action="tunnel", transport="quic")["reason"] == "done"
        assert process.output().count("\n") == 1, process.output()
