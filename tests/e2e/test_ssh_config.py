# SPDX-License-Identifier: Apache-2.0
"""cardea ssh-config: its lines given to ssh, scp, sftp, rsync and git, with a real sshd behind the door; paths that need
quoting in ssh's configuration and in a shell."""
import os
import shutil

import pytest

from fixtures import clean_env
from run import CARDEA, run


@pytest.fixture(scope="module")
def door(start_module_door, pki, sshd):
    return start_module_door({
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": [f"localhost:{sshd.port}"]}],
    })


@pytest.fixture(params=["plain", "a b", "it's 100%h \"q\" $HOME;x\\y #z"])
def folder(request, tmp_path, pki):
    """A folder of that name with the program, and alice's files."""
    path = tmp_path / request.param
    path.mkdir()
    shutil.copy(CARDEA, path / "cardea")
    for source, name in ((pki.alice.certificate, "alice.pem"), (pki.alice.key, "alice.key"), (pki.ca.file, "ca.pem")):
        shutil.copy(source, path / name)
    return path


@pytest.fixture
def config(folder, door, sshd, tmp_path):
    """ssh's configuration: the lines of ssh-config, before what the user has for all hosts."""
    done = run(folder / "cardea", "ssh-config", "--door", door.address, "--name", "door.test", "--cert", "alice.pem",
               "--key", "./alice.key", "--ca", folder / "ca.pem", "localhost", cwd=folder, env=clean_env(tmp_path))
    assert done.returncode == 0, done.stderr.decode()
    path = tmp_path / "ssh_config"
    path.write_text(done.stdout.decode() + f"""
Host *
    Port {sshd.port}
    IdentityFile {sshd.key}
    UserKnownHostsFile {sshd.known_hosts}
    StrictHostKeyChecking yes
    BatchMode yes
    IdentitiesOnly yes
    LogLevel ERROR
""")
    return path



def test_ssh(config, door, sshd, tmp_path):
    door.mark()
    done = run("ssh", "-F", config, f"{sshd.user}@localhost", "echo out; exit 42", env=clean_env(tmp_path))
    assert (done.returncode, done.stdout) == (42, b"out\n"), done.stderr.decode()
    assert door.audited(target=f"localhost:{sshd.port}")["identity"] == "alice"


@pytest.mark.parametrize("folder", ["a b"], indirect=True)
def test_what_uses_ssh(config, sshd, door, tmp_path):
    """scp, sftp, rsync and git, there and back."""
    env = clean_env(tmp_path, GIT_SSH_COMMAND=f"ssh -F {config}", GIT_CONFIG_NOSYSTEM="1")
    source = tmp_path / "source"
    source.write_bytes(os.urandom(300000))
    remote = f"{sshd.user}@localhost"
    door.mark()

    def good(*words, **options):
        done = run(*words, env=env, timeout=60, **options)
        assert done.returncode == 0, done.stderr.decode()
    good("scp", "-F", config, source, f"{remote}:{tmp_path}/scp")
    good("sftp", "-F", config, "-b", "-", remote, input=f"put {source} {tmp_path}/sftp\n".encode())
    good("rsync", "-e", f"ssh -F {config}", source, f"{remote}:{tmp_path}/rsync")
    for name in ("scp", "sftp", "rsync"):
        assert (tmp_path / name).read_bytes() == source.read_bytes()

    good("git", "init", "-q", "--bare", tmp_path / "bare.git")
    good("git", "init", "-q", "-b", "main", tmp_path / "work")
    shutil.copy(source, tmp_path / "work" / "file")
    git = ["git", "-C", tmp_path / "work", "-c", "user.name=a", "-c", "user.email=a@example.test"]
    good(*git, "add", "file")
    good(*git, "commit", "-qm", "one")
    good(*git, "push", "-q", f"ssh://{remote}{tmp_path}/bare.git", "main")
    good("git", "clone", "-q", "-b", "main", f"ssh://{remote}{tmp_path}/bare.git", tmp_path / "clone")
    assert (tmp_path / "clone" / "file").read_bytes() == source.read_bytes()
    door.audited(5, target=f"localhost:{sshd.port}")


def lines_of(done):
    assert done.returncode == 0, done.stderr.decode()
    return [line.strip() for line in done.stdout.decode().splitlines() if not line.strip().startswith("#")]


def test_what_the_file_says_stays_there(tmp_path, pki):
    """Of flags, environment and the client's file only the first two are in the command."""
    home = tmp_path / ".config" / "cardea"
    home.mkdir(parents=True)
    (home / "config.yaml").write_text(f"door: door.test:443\ncert: {pki.alice.certificate}\nkey: {pki.alice.key}\n")
    env = clean_env(tmp_path)
    program = os.path.realpath(CARDEA)
    assert lines_of(run(CARDEA, "ssh-config", env=env)) == [
        "Host *.inside", f"ProxyCommand {program} connect '%h:%p'", "ServerAliveInterval 60"]
    done = run(CARDEA, "ssh-config", "--ca", "system", "*.a", "!x.a", env={**env, "CARDEA_NAME": "d.test"})
    assert lines_of(done)[:2] == ["Host *.a !x.a", f"ProxyCommand {program} connect --ca system --name d.test '%h:%p'"]
    assert b"# ssh through the door door.test:443" in done.stdout


@pytest.mark.parametrize("words,status,text", [
    ([], 2, b"which door?"),
    (["--door", "d:1", "--cert", "x"], 2, b"--key (CARDEA_KEY) is missing"),
    (["--door", "d:1", "--ca", "nothing.pem"], 1, b"cannot read nothing.pem"),
    (["--door", "d:1\nProxyCommand evil"], 1, b"control character"),
    (["--door", "d:1", "a b"], 2, b"no pattern"),
    (["--door", "d:1", "a\nHost b"], 2, b"no pattern"),
    (["--door", "d:1", ""], 2, b"no pattern"),
])
def test_misuse(tmp_path, words, status, text):
    done = run(CARDEA, "ssh-config", *words, cwd=tmp_path, env=clean_env(tmp_path))
    assert (done.returncode, done.stdout) == (status, b"") and text in done.stderr, done.stderr
