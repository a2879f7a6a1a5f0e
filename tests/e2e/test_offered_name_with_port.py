# SPDX-License-Identifier: Apache-2.0
"""`cardea connect NAME:PORT` where an agent offers NAME: when the offer is meant, when the host is, and what is said when
it is neither. So one ProxyCommand serves both."""
import shlex

import pytest

from agents import Agent
from fixtures import clean_env, connect_words
from run import CARDEA, run


@pytest.fixture(scope="module")
def door(start_module_door, pki, banner_module):
    return start_module_door({
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "agents": {"grace": "1s"},
        "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [
            {"name": "no-secrets", "effect": "deny", "who": {"any": True}, "targets": ["name:secret.apps.test"]},
            {"name": "agents", "who": {"group": "ops"}, "targets": ["offer:*.apps.test", "offer:localhost"]},
            {"name": "hosts", "who": {"group": "ops"},
             "targets": [f"localhost:{banner_module.port}", "*.invalid.apps.test:*"]},
            {"name": "visitors", "who": {"group": "ops"}, "targets": ["name:*.apps.test", "name:localhost"]},
        ],
    })


@pytest.fixture(scope="module")
def banner_module():
    import peers
    with peers.Server(lambda sock: sock.sendall(b"the host\n")) as server:
        yield server


@pytest.fixture
def offered():
    import peers
    with peers.Server(lambda sock: sock.sendall(b"the offer\n")) as server:
        yield server


@pytest.fixture
def expose(door, pki, tmp_path):
    started = []

    def begin(name, to):
        started.append(Agent(tmp_path, door.address, pki, name, "--to", to, "--grace", "0s"))
        started[-1].says("offering")
    yield begin
    for agent in started:
        agent.end()


@pytest.fixture(params=["quic", "tcp"])
def connect(request, door, pki, tmp_path):
    def call(target, **more):
        return run(*connect_words(door, pki.alice, pki.ca.file), "--transport", request.param, target,
                   env=clean_env(tmp_path), **more)
    return call


@pytest.mark.parametrize("name", ["web.apps.test:22", "Web.Apps.Test.:443", "web.apps.test"])
def test_the_policy_does_not_allow_the_host(door, connect, expose, offered, name):
    expose("web.apps.test", offered.to)
    door.mark()
    done = connect(name)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"the offer\n", b"")
    line = door.audited(target="name:web.apps.test", reason="done")
    assert "rule" not in line and "detail" not in line, line


def test_the_host_does_not_resolve(connect, expose, offered):
    expose("web.invalid.apps.test", offered.to)
    done = connect("web.invalid.apps.test:22")
    assert (done.returncode, done.stdout) == (0, b"the offer\n"), done.stderr


def test_a_host_stays_the_host(connect, expose, offered, banner_module):
    """An offer of its name does not take its place; at a port that is not allowed, or without one, the offer is meant."""
    expose("localhost", offered.to)
    assert connect(f"localhost:{banner_module.port}").stdout == b"the host\n"
    assert connect(f"localhost:{offered.port}").stdout == b"the offer\n"
    assert connect("localhost").stdout == b"the offer\n"


def test_neither(connect, expose, offered):
    """What is said of the host, and that no agent offers it where that would have been allowed."""
    def said(target):
        done = connect(target)
        assert done.returncode == 1
        return done.stderr.decode()
    said("nobody.apps.test")  # which waits until the door no longer expects agents that were there before its start
    assert "denied: no agent offers nobody.apps.test, and no rule lets alice reach nobody.apps.test:22" in said(
        "nobody.apps.test:22")
    assert "no such host, and no agent offers the name: nobody.invalid.apps.test" in said(
        "nobody.invalid.apps.test:22")
    assert "no agent offers nobody.apps.test at the door; for a host" in said("nobody.apps.test")
    expose("secret.apps.test", offered.to)
    assert "no agent" not in said("secret.apps.test:22")
    assert "no rule lets alice reach elsewhere.test:22" in said("elsewhere.test:22")


def test_ssh_config(door, pki, expose, sshd, tmp_path):
    """Its lines lead ssh to a name that an agent offers."""
    expose("box.apps.test", f"127.0.0.1:{sshd.port}")
    done = run(CARDEA, "ssh-config", "--door", door.address, "--name", "door.test", "--cert", pki.alice.certificate,
               "--key", pki.alice.key, "--ca", pki.ca.file, "*.apps.test", env=clean_env(tmp_path))
    command = next(line for line in done.stdout.decode().splitlines() if line.strip().startswith("ProxyCommand")).split(None, 1)[1]
    done = run("ssh", *sshd.options(proxy_command=command), "-o", "HostKeyAlias=localhost",
               f"{sshd.user}@box.apps.test", "echo out; exit 42", env=clean_env(tmp_path))
    assert (done.returncode, done.stdout) == (42, b"out\n"), done.stderr.decode()
