# SPDX-License-Identifier: Apache-2.0
"""What README.md shows works as it stands there: the certificates, the configuration, revocation, a way through the door."""
import os
import re
import subprocess
from pathlib import Path

import pytest

from fixtures import clean_env
from run import CARDEA, ROOT, SLOW, run

README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^    (cardea ca (?:.*\\\n)*.*)$", README, re.MULTILINE)


def shell(folder, command):
    """Run a command of the README, with the CA that it speaks of. At a terminal `init` would ask for the passphrase."""
    if " init " in command:
        (folder / "passphrase").write_text("far too long to guess\n")
        (folder / "passphrase").chmod(0o600)
        command += " --root-passphrase-file passphrase"
    env = clean_env(folder, PATH=f"{Path(CARDEA).resolve().parent}:{os.environ['PATH']}", CARDEA_CA_DIR=f"{folder}/ca")
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, timeout=20 * SLOW)
    assert done.returncode == 0, f"{command}\n{done.stderr.decode()}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with what the commands about the CA make, and the configuration."""
    folder = tmp_path_factory.mktemp("readme")
    assert len(COMMANDS) == 6
    for command in COMMANDS:
        shell(folder, command)
    yaml, = (text for text in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if text.startswith("listeners:"))
    (folder / "door.yaml").write_text(yaml)
    return folder


def test_configuration(folder):
    """It checks, with nothing to warn of."""
    done = run(CARDEA, "serve", "-c", "door.yaml", "--check", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")


def test_door_with_a_ca(folder):
    """The keys of the short example are keys, and go with each other."""
    yaml, = (text for text in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if text.startswith("ca:"))
    (folder / "ca.yaml").write_text("state: state\n" + yaml)
    done = run(CARDEA, "serve", "-c", "ca.yaml", "--check", cwd=folder)
    assert done.returncode == 0, done.stderr.decode()


def test_certificates(folder, start_door, banner, tmp_path):
    """They are good for what they are made for: alice comes through the door."""
    door = start_door({
        "certificates": [{"certificate": str(folder / "door.pem"), "key": str(folder / "door.key")}],
        "trust": [{"name": "staff", "ca": str(folder / "ca/root.pem")}],
        "routes": [{"name": "tunnel", "sni": "door.example.com", "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": [f"127.0.0.1:{banner.port}"]}]})
    done = run(CARDEA, "connect", "--door", door.address, "--name", "door.example.com", "--ca", folder / "ca/root.pem",
               "--cert", folder / "alice.pem", "--key", folder / "alice.key", f"127.0.0.1:{banner.port}", input=b"x\n",
               env=clean_env(tmp_path))
    assert done.stdout == b"behind the door\nx\n", done.stderr.decode()


def test_revocation(folder, start_door, banner, tmp_path):
    """Alice, whom the list names, comes in no more; bob, whom it does not name, does."""
    for command in COMMANDS:
        if "issue alice" in command:
            shell(folder, command.replace("alice", "bob"))
    door = start_door({
        "certificates": [{"certificate": str(folder / "door.pem"), "key": str(folder / "door.key")}],
        "trust": [{"name": "staff", "ca": str(folder / "ca/root.pem"), "crl": str(folder / "staff.crl")}],
        "routes": [{"name": "tunnel", "sni": "door.example.com", "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": [f"127.0.0.1:{banner.port}"]}]})

    def connect(who):
        return run(CARDEA, "connect", "--door", door.address, "--name", "door.example.com", "--ca", folder / "ca/root.pem",
                   "--cert", folder / f"{who}.pem", "--key", folder / f"{who}.key", f"127.0.0.1:{banner.port}", input=b"x\n",
                   env=clean_env(tmp_path))
    assert connect("bob").stdout == b"behind the door\nx\n"
    assert b"revoked" in connect("alice").stderr


def test_certificate_of_a_service(folder, tmp_path):
    """It is one for the name, and what the README offers with it is good."""
    words, = re.findall(r"^    cardea (expose .*--end-to-end(?:.*\\\n)*.*)$", README, re.MULTILINE)
    done = run(CARDEA, *words.replace("\\\n", " ").split(), "--door", "door.example.com:443", "--ca", "ca/root.pem", "--cert",
               "alice.pem", "--key", "alice.key", "--check", cwd=folder, env=clean_env(tmp_path))
    assert (done.returncode, done.stderr) == (0, b""), done
