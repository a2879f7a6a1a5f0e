# SPDX-License-Identifier: Apache-2.0
"""A kernel that does not steer QUIC to the worker that a connection id names: the workers hand packets on to each other,
so a connection stays one, whatever address its packets come from."""
import os
import socket
import threading

import pytest

import forms
import tls
from relay import Relay
from run import SANITIZER, SLOW, free_port, run

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
    assert door.audited(action="carrier")["streams"] == 1
    assert figure(door, "astray") > 0
    assert figure(door, "astray_dropped") == 0


def test_many_connections(door, start_connect, echo):
    """Whichever worker the kernel gives their packets to, each is served by one."""
    ports = [free_port() for _ in range(6)]
    for port in ports:
        start_connect(door, "--transport", "quic", "-L", f"{port}:127.0.0.1:{echo.port}", ports=[port])
        with socket.create_connection(("127.0.0.1", port), 20 * SLOW) as sock:
            sock.sendall(b"hello")
            assert tls.read_exactly(sock, 5) == b"hello"
    assert figure(door, "astray") > 0
