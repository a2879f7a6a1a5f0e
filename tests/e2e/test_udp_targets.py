# SPDX-License-Identifier: Apache-2.0
"""cardea connect --udp -L: datagrams to a target over UDP, one by one and whole, over QUIC and over TCP; the policy
names such targets by themselves."""
import contextlib
import os
import signal
import socket
import threading

import pytest

from fixtures import clean_env, connect_words
from peers import UdpEcho
from run import SLOW, Process, free_port, ms, run, wait_until

WIREGUARD = 1350


@pytest.fixture(scope="module")
def echo_udp():
    with UdpEcho() as server:
        yield server


@pytest.fixture(scope="module")
def door(start_module_door, pki, echo_udp, dns):
    return start_module_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "limits": {"udp_idle_timeout": ms(1500)},
        "routes": [{"name": "tunnel", "sni": "door.test", "alpn": ["cardea/1", "http/1.1"], "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "no", "effect": "deny", "who": {"any": True}, "targets": ["127.0.0.3:*"]},
                   {"name": "ops", "who": {"group": "ops"},
                    "targets": ["127.0.0.0/8:*", f"udp:127.0.0.1:{echo_udp.port}", f"udp:localhost:{dns.port}",
                                "udp:127.0.0.3:*"]}]})


@pytest.fixture(params=["quic", "tcp"])
def transport(request):
    return request.param


@pytest.fixture
def lead(door, pki, tmp_path, transport):
    """Starts `cardea connect --udp -L` towards a target; a socket that is connected to the local port."""
    started = []

    def start(target):
        port = free_port()
        process = Process([*connect_words(door, pki.alice, pki.ca.file), "--transport", transport, "--udp",
                           "-L", f"{port}:{target}"], tmp_path, "connect", env=clean_env(tmp_path))
        started.append(process)
        # Trying to bind the port ourselves could keep the process from it.
        wait_until(lambda: "listening on" in process.output(), process.output)
        return port, process
    yield start
    for process in started:
        assert process.stop(signal.SIGTERM, timeout=10) == 0


def client(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5 * SLOW)
    sock.connect(("127.0.0.1", port))
    return sock


def test_datagrams_stay_whole(lead, echo_udp, door):
    """Of every size, empty ones too: none is joined with another, none is cut."""
    port, _ = lead(f"127.0.0.1:{echo_udp.port}")
    with client(port) as sock:
        for size in (1, 0, 2, 512, 1350, 1350, 9000, 60000, 3):
            data = bytes(i * 7 % 256 for i in range(size))
            sock.send(data)
            assert sock.recv(65536) == data


def test_each_source_has_a_flow(lead, echo_udp, door):
    """The target sees a source for each of ours, and answers find their way back."""
    port, _ = lead(f"127.0.0.1:{echo_udp.port}")
    before = len(echo_udp.sources)
    socks = [client(port) for _ in range(5)]
    for i, sock in enumerate(socks):
        sock.send(b"I am %d" % i)
    for i, sock in enumerate(socks):
        assert sock.recv(100) == b"I am %d" % i
        sock.close()
    assert len(echo_udp.sources) == before + 5


def test_the_line_names_the_target(lead, echo_udp, door, transport):
    """A flow that is silent ends, and its line says that the target was one over UDP."""
    door.mark()
    port, _ = lead(f"127.0.0.1:{echo_udp.port}")
    with client(port) as sock:
        sock.send(b"hello")
        assert sock.recv(100) == b"hello"
    line = door.audited(action="tunnel", target=f"udp:127.0.0.1:{echo_udp.port}", timeout=20)
    assert line["reason"] == "idle_timeout" and line["identity"] == "alice"
    assert line.get("transport") == ("quic" if transport == "quic" else None)
    assert line["in"] == line["out"] == 7  # five bytes after their length


def test_an_end_of_the_client_is_one_of_its_flows(lead, echo_udp, door):
    """Told to stop it ends them in order: nothing has failed."""
    door.mark()
    port, process = lead(f"127.0.0.1:{echo_udp.port}")
    with client(port) as sock:
        sock.send(b"hello")
        assert sock.recv(100) == b"hello"
        assert process.stop(signal.SIGTERM, timeout=10) == 0
    line = door.audited(action="tunnel", target=f"udp:127.0.0.1:{echo_udp.port}", timeout=20)
    assert line["reason"] == "done", line


@pytest.mark.parametrize("host,rule", [("127.0.0.2", None), ("127.0.0.3", "no")])
def test_rows_for_byte_streams_allow_no_datagrams(lead, echo_udp, door, host, rule):
    """127.0.0.0/8:* lets TCP through, not UDP; a row that denies without saying which denies both."""
    door.mark()
    port, process = lead(f"{host}:{echo_udp.port}")
    with client(port) as sock:
        sock.send(b"hello")
        line = door.audited(action="tunnel", reason="denied", target=f"udp:{host}:{echo_udp.port}")
    assert line.get("rule") == rule
    wait_until(lambda: "denied" in process.output(), process.output)


def test_dig(lead, dns):
    """dig asks a real DNS server; also for an answer that is longer than 512 bytes."""
    port, _ = lead(f"localhost:{dns.port}")

    def dig(*words):
        return run("dig", "+tries=1", f"+time={round(5 * SLOW)}", "+short", "+ignore", "@127.0.0.1", "-p", port, *words).stdout
    assert dig("app.inside", "A").decode().split() == [dns.ADDRESS]
    texts = dig("+bufsize=4096", "big.inside", "TXT").decode().split()
    assert sorted(texts) == sorted(f'"{i}{dns.TEXT}"' for i in range(5))


def test_a_tunnel_in_the_tunnel(lead, echo_udp):
    """What WireGuard does: 1,350-byte datagrams, both ways at once. No more are on their way than the smallest queue
    there and back holds: so none is lost, however slow the machine is, and none is changed."""
    port, _ = lead(f"127.0.0.1:{echo_udp.port}")
    count, window = 3000, 64
    sent = [number.to_bytes(4, "big") + os.urandom(WIREGUARD - 4) for number in range(count)]
    got = {}
    room = threading.Semaphore(window)
    with client(port) as sock:
        def receive():
            while len(got) < count:
                try:
                    data = sock.recv(65536)
                except TimeoutError:
                    return
                got[int.from_bytes(data[:4], "big")] = data
                room.release()
        reader = threading.Thread(target=receive)
        reader.start()
        for data in sent:
            if not room.acquire(timeout=5 * SLOW):
                break
            sock.send(data)
        reader.join()
    assert len(got) == count, f"{count - len(got)} of {count} are lost or were never sent"
    assert all(got[number] == data for number, data in enumerate(sent))


def test_a_burst_waits_for_a_busy_client(lead, echo_udp):
    """Local programs send while the client has no turn: more than a socket holds by itself is there when it has."""
    sources, count = 3, 48      # of each no more than a flow's own queue holds
    port, process = lead(f"127.0.0.1:{echo_udp.port}")
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(client(port)) for _ in range(sources)]
        for sock in socks:
            sock.send(b"begin")
            assert sock.recv(100) == b"begin"
        process.send(signal.SIGSTOP)
        for number in range(count):
            for sock in socks:
                sock.send(number.to_bytes(4, "big") + bytes(WIREGUARD - 4))
        process.send(signal.SIGCONT)
        for sock in socks:
            assert {int.from_bytes(sock.recv(65536)[:4], "big") for _ in range(count)} == set(range(count))
