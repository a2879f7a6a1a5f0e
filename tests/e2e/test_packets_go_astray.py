# SPDX-License-Identifier: Apache-2.0
"""A kernel that does not steer QUIC to the worker that a connection id names, or not to the right one: the workers hand packets on to each other,
so a connection stays one, whatever address its packets come from."""
import contextlib
import os
import socket
import threading

import pytest

import forms
import tls
from relay import Relay
from run import SANITIZER, SLOW, free_port, ms, run

pytestmark = pytest.mark.skipif(SANITIZER is not None, reason="a sanitizer wants to be the first library loaded")

# The kernel knows no SO_ATTACH_REUSEPORT_CBPF.
SHIM = r"""
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (level == SOL_SOCKET && name == SO_ATTACH_REUSEPORT_CBPF) {
        errno = ENOPROTOOPT;
        return -1;
    }
    return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}
"""


@pytest.fixture
def door(start_door, pki, tmp_path):
    source, library = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(SHIM)
    done = run("cc", "-shared", "-fPIC", "-o", library, source)
    assert done.returncode == 0, done.stderr.decode()
    return start_door({
        "workers": 4,
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*"]}],
    }, env={"LD_PRELOAD": str(library)})


def figure(door, name):
    return forms.metric(forms.parse_metrics(door.get("/metrics")[1]), f"cardea_quic_packets_{name}_total")


def test_from_any_address(door, start_connect, echo):
    """Words and bulk, with another address between them: one carrier, no byte lost."""
    port = free_port()
    data = os.urandom(4 * 1024 * 1024)
    with Relay(door.port) as relay:
        process = start_connect(f"127.0.0.1:{relay.port}", "--transport", "quic", "-L",
                                f"{port}:127.0.0.1:{echo.port}", ports=[port])
        with socket.create_connection(("127.0.0.1", port), 20 * SLOW) as sock:
            for number in range(8):
                word = b"word %d" % number
                sock.sendall(word)
                assert tls.read_exactly(sock, len(word)) == word
                relay.rebind()
            threading.Thread(target=sock.sendall, args=(data,), daemon=True).start()
            assert tls.read_exactly(sock, len(data)) == data
        process.stop()
        assert door.audited(action="carrier")["streams"] == 1  # the relay has yet to carry its goodbye
    assert figure(door, "astray") > 0
    assert figure(door, "astray_dropped") == 0


def test_quic_is_turned_off_and_on(start_door, start_connect, pki, echo, connect, banner):
    """While connections of before still have the port, at some of the workers: they go on, and new ones are served when
    it is on, and only then. Now the kernel's filter no longer fits, so packets go astray."""
    config = {
        "workers": 4,
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*"]}],
    }
    door = start_door(config)
    listener = {"name": "main", "address": door.address}
    ports = [free_port() for _ in range(4)]
    for port in ports[:2]:
        start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20 * SLOW)) for port in ports[:2]]

        def all_speak():
            for sock in socks:
                sock.sendall(b"still here")
                assert tls.read_exactly(sock, 10) == b"still here"
        all_speak()
        for port in ports[2:4]:
            door.reload({**config, "listeners": [{**listener, "quic": False}]})
            all_speak()
            done = connect(door, "--transport", "quic", "--timeout", ms(500), f"127.0.0.1:{banner.port}")
            assert done.returncode != 0
            door.reload({**config, "listeners": [listener]})
            all_speak()
            start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
            socks.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), 20 * SLOW)))
            for _ in range(6):
                done = connect(door, "--transport", "quic", f"127.0.0.1:{banner.port}")
                assert done.stdout == b"behind the door\n", done.stderr.decode()
            all_speak()


def test_many_connections(door, start_connect, echo):
    """Whichever worker the kernel gives their packets to, each is served by one."""
    ports = [free_port() for _ in range(6)]
    for port in ports:
        start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
        with socket.create_connection(("127.0.0.1", port), 20 * SLOW) as sock:
            sock.sendall(b"hello")
            assert tls.read_exactly(sock, 5) == b"hello"
    assert figure(door, "astray") > 0
