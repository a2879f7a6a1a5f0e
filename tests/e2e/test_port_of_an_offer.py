# SPDX-License-Identifier: Apache-2.0
"""Two agents offer one name at one port of the door: the second has it when the first has gone, however late that works."""
import errno
import signal
import socket

import pytest

import run
from agents import Agent
from run import SANITIZER, SLOW, free_port, wait_until

# Refuses to bind to a port as long as the file is there.
SHIM = r"""
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    const struct sockaddr_in *in = (const void *)addr;
    if (addr->sa_family == AF_INET && ntohs(in->sin_port) == atoi(getenv("TAKEN_PORT")) &&
        access(getenv("TAKEN_WHILE"), F_OK) == 0) {
        errno = EADDRINUSE;
        return -1;
    }
    return (int)syscall(SYS_bind, fd, addr, len);
}
"""


def reaches(port, address="127.0.0.1"):
    with socket.socket() as sock:
        sock.settimeout(5 * SLOW)
        if sock.connect_ex((address, port)) == errno.ECONNREFUSED:
            return False
        sock.sendall(b"x")
        return sock.recv(1) == b"x"


@pytest.mark.skipif(SANITIZER is not None, reason="a sanitizer wants to be the first library loaded")
def test_a_port_that_is_free_only_later(start_door, pki, echo, tmp_path):
    source, library, taken, port = tmp_path / "shim.c", tmp_path / "shim.so", tmp_path / "taken", free_port()
    source.write_text(SHIM)
    done = run.run("cc", "-shared", "-fPIC", "-o", library, source)
    assert done.returncode == 0, done.stderr.decode()
    clients = {"mode": "required", "trust": "staff"}
    door = start_door({
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": clients}],
        "policy": [{"name": "agents", "who": {"group": "ops"}, "targets": [f"public:*.apps.test:{port}"]}],
    }, env={"LD_PRELOAD": str(library), "TAKEN_PORT": str(port), "TAKEN_WHILE": str(taken)})
    agents = []
    for number in range(2):
        agents.append(Agent(tmp_path, door.address, pki, "game.apps.test", "--to", echo.to, "--transport", "tcp",
                            "--public", "--port", port, name=f"agent-{number}"))
        agents[-1].says("over TCP")
    assert reaches(port)
    taken.touch()
    agents[0].stop(signal.SIGKILL)
    wait_until(lambda: "has no port now" in door.process.output(), "the door to notice")
    assert not reaches(port)
    taken.unlink()
    wait_until(lambda: reaches(port), "the port to be had", 10)
    assert door.process.output().count("has no port now") == 1
    agents[1].end()


def test_a_port_at_another_address(start_door, pki, echo, tmp_path):
    """An agent that is not the first of the name stands by too: the first came by another listener, and has its port there."""
    port = free_port()
    listeners = [{"name": name, "address": f"{address}:{free_port()}"}
                 for name, address in (("one", "127.0.0.1"), ("two", "127.0.0.2"))]
    door = start_door({
        "listeners": listeners, "workers": 1, "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "agents", "who": {"group": "ops"}, "targets": [f"public:*.apps.test:{port}"]}]})
    agents = []
    for number, way in enumerate((0, 1, 0)):
        agents.append(Agent(tmp_path, listeners[way]["address"], pki, "game.apps.test", "--to", echo.to, "--transport", "tcp",
                            "--public", "--port", port, name=f"agent-{number}"))
        agents[-1].says("over TCP")
    assert reaches(port) and reaches(port, "127.0.0.2")
    agents[0].end()
    wait_until(lambda: reaches(port), "the port to be had", 20)
    for agent in agents[1:]:
        agent.end()
    assert door.status()
