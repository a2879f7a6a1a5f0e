# SPDX-License-Identifier: Apache-2.0
"""ssh and scp through the door with `ProxyCommand cardea connect`."""
import hashlib
import shlex

import pytest

from fixtures import clean_env, connect_words
from run import run

SIZE = 200 * 1024 * 1024


@pytest.fixture(scope="module")
def door(start_module_door, pki, sshd):
    return start_module_door({
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": [f"localhost:{sshd.port}"]}],
    })


@pytest.fixture
def proxied(door, pki, sshd):
    """Words for ssh and scp: the real configuration of a user, with a ProxyCommand."""
    command = shlex.join(map(str, connect_words(door, pki.alice, pki.ca.file))) + " %h:%p"
    return [*sshd.options(proxy_command=command), "-o", f"Port={sshd.port}"]


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_command_and_exit_codes(proxied, sshd, tmp_path):
    """A shell command's output, its error output and its exit code come through."""
    words = ["ssh", *proxied, f"{sshd.user}@localhost"]
    done = run(*words, "echo out; echo err >&2; exit 42", env=clean_env(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (42, b"out\n", b"err\n")
    assert run(*words, "true", env=clean_env(tmp_path)).returncode == 0


def test_standard_input(proxied, sshd, tmp_path):
    """What goes in comes out on the other side, to the last byte and with its end."""
    data = bytes(range(256)) * 4096
    done = run("ssh", *proxied, f"{sshd.user}@localhost", "sha256sum", input=data, env=clean_env(tmp_path))
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_scp_both_directions(proxied, sshd, tmp_path, door):
    """200 MB there and back; the checksums are equal, and the audit line has counted the bytes."""
    source, there, back = tmp_path / "source", tmp_path / "there", tmp_path / "back"
    run("openssl", "rand", "-out", source, SIZE)
    try:
        door.mark()
        done = run("scp", *proxied, source, f"{sshd.user}@localhost:{there}", timeout=90, env=clean_env(tmp_path))
        assert done.returncode == 0, done.stderr.decode()
        line = door.audited(action="tunnel", target=f"localhost:{sshd.port}")
        assert line["in"] > SIZE > line["out"]
        door.mark()
        done = run("scp", *proxied, f"{sshd.user}@localhost:{there}", back, timeout=90, env=clean_env(tmp_path))
        assert done.returncode == 0, done.stderr.decode()
        assert door.audited(action="tunnel", target=f"localhost:{sshd.port}")["out"] > SIZE
        assert digest(source) == digest(there) == digest(back)
    finally:
        for path in (source, there, back):
            path.unlink(missing_ok=True)


def test_denied_shows_the_rule_to_ssh(door, pki, sshd, tmp_path):
    """ssh ends with 255 and the user reads why."""
    command = shlex.join(map(str, connect_words(door, pki.bob, pki.ca.file))) + " %h:%p"
    done = run("ssh", *sshd.options(proxy_command=command), "-p", sshd.port, f"{sshd.user}@localhost", "true",
               env=clean_env(tmp_path))
    assert done.returncode == 255
    assert b"denied" in done.stderr and b"no rule" in done.stderr
