# SPDX-License-Identifier: Apache-2.0
"""`cardea quickstart DIR`: a door in one command, and commands that show it at work."""
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures import clean_env
from pki import openssl
from run import CARDEA, SLOW, Process, assert_no_sanitizer_output, free_port, run, wait_until


class Quickstart:
    """`cardea quickstart`, which serves until it is stopped."""

    def __init__(self, directory, home, name):
        self.env = clean_env(home, PATH=f"{Path(CARDEA).resolve().parent}:{os.environ['PATH']}")
        self.home = home
        # A new folder's port is the test's own: others look for a free one at the same time.
        words = [] if (directory / "cardea.yaml").exists() else ["--port", free_port()]
        self.process = Process([CARDEA, "quickstart", *words, directory], home, name, env=self.env, cwd=home)
        wait_until(lambda: "Control-C" in self.process.output() or self.process.poll() is not None,
                   self.process.output, 20)
        assert self.process.poll() is None, self.process.output()

    def commands(self):
        """The indented lines, without a prompt; a line that ends in a backslash goes on."""
        text = self.process.out.read_text().replace("\\\n", " ")
        return [match.group(1) for match in re.finditer(r"^[ \t]+(?:\$ )?(\S.*)$", text, re.MULTILINE)]

    def run(self, command):
        return subprocess.run(["bash", "-c", command], env=self.env, cwd=self.home, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60 * SLOW)

    def stop(self):
        code = self.process.stop()
        assert_no_sanitizer_output(self.process.output())
        assert code == 0, self.process.output()


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    home = tmp_path_factory.mktemp("quickstart")
    quickstart = Quickstart(home / "door", home, "first")
    yield quickstart
    quickstart.stop()


def test_commands(started):
    """Three ways through the door, a certificate and an account of its CA, and a look at what it did."""
    assert len(started.commands()) == 6, started.process.output()


@pytest.mark.parametrize("number", range(6))
def test_each_command_works_as_printed(started, number):
    """Copied to a shell, each ends with 0 and shows something."""
    command = started.commands()[number]
    done = started.run(command)
    assert done.returncode == 0 and done.stdout, f"{command}\n{done.stdout.decode()}{done.stderr.decode()}"


def test_the_last_one_asks_the_door(started):
    command = started.commands()[-1]
    assert re.search(r"cardea status --socket \S*/cardea\.sock$", command) and b"ROUTE" in started.run(command).stdout


def test_the_login_that_is_printed(started):
    """With the code of an account, at a name below localhost, which no name server knows."""
    words, = re.findall(r"^cardea login .*$", started.process.out.read_text(), re.MULTILINE)
    assert "--register CODE alice@ca.localhost:" in words
    password = started.home / "password"
    password.write_text("far too long to guess\n")
    password.chmod(0o600)
    code = started.run(f"cardea ca user add carol --dir {started.home}/door/ca").stdout.decode().strip()
    done = started.run(f"{words} --password-file {password}".replace("CODE alice@", f"{code} carol@"))
    assert done.returncode == 0, done.stderr.decode()


def certbot_words(started):
    """How the printed command calls certbot, and where it leaves certificates."""
    command, = (command for command in started.commands() if "certbot certonly" in command)
    return command, started.home / "door/certbot/live/localhost"


def serial(path):
    return openssl("x509", "-in", path, "-noout", "-serial").decode().strip()


def assert_good(started, chain, revoked=False):
    """Good for localhost under the quickstart's root, by openssl and the CRL that the certificate itself names."""
    said = openssl("x509", "-in", chain, "-noout", "-ext", "subjectAltName,crlDistributionPoints").decode()
    assert "DNS:localhost" in said
    der = started.run(f"curl -sf --noproxy '*' {said.partition('URI:')[2].split()[0]}").stdout
    crl = started.home / "crl.pem"
    (started.home / "crl.der").write_bytes(der)
    openssl("crl", "-inform", "DER", "-in", started.home / "crl.der", "-out", crl)
    done = subprocess.run(["openssl", "verify", "-crl_check", "-CRLfile", crl, "-CAfile", started.home / "door/ca.pem", "-untrusted",
                           chain, chain], capture_output=True, timeout=20 * SLOW)
    assert (b"certificate revoked" in done.stderr) if revoked else done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("certbot") is None, reason="no certbot")
def test_certbot_obtains_renews_and_revokes(started):
    """The printed command, and what comes after it in the life of a certificate."""
    command, live = certbot_words(started)
    assert started.run(command).returncode == 0
    before = serial(live / "cert.pem")
    assert_good(started, live / "fullchain.pem")
    folders = " ".join(re.findall(r"--\w+-dir \S+", command))
    prefix = command.partition(" certonly")[0]
    renewed = started.run(f"{prefix} renew -n --force-renewal --no-random-sleep-on-renew {folders}")
    assert renewed.returncode == 0, renewed.stderr.decode()
    assert serial(live / "cert.pem") != before
    assert_good(started, live / "fullchain.pem")
    server = re.search(r"--server \S+", command).group()
    revoked = started.run(f"{prefix} revoke -n {server} --cert-path {live}/cert.pem --no-delete-after-revoke {folders}")
    assert revoked.returncode == 0, revoked.stderr.decode()
    assert_good(started, live / "fullchain.pem", revoked=True)


@pytest.mark.skipif(shutil.which("lego") is None, reason="no lego")
def test_lego_obtains_renews_and_revokes(started):
    """With the words that are printed where there is no certbot."""
    folder = started.home / "door"
    text = configuration(folder).read_text()
    server, = re.findall(r"url: (https://\S+)", text)
    port, = re.findall(r"http_port: (\d+)", text)
    words = (f"env LEGO_CA_CERTIFICATES={folder}/ca.pem NO_PROXY='*' lego --accept-tos --email admin@localhost "
             f"--server {server}/acme/directory --http --http.port 127.0.0.1:{port} -d localhost --path {folder}/lego")
    chain = folder / "lego/certificates/localhost.crt"
    assert started.run(f"{words} run").returncode == 0
    before = serial(chain)
    assert_good(started, chain)
    assert started.run(f"{words} renew --days 1000 --no-random-sleep").returncode == 0
    assert serial(chain) != before
    kept = started.home / "kept.pem"
    shutil.copy(chain, kept)
    assert started.run(f"{words} revoke").returncode == 0
    assert_good(started, kept, revoked=True)


def test_certificates_of_its_own_are_in_the_log(started):
    """The door's and the client's come from the CA, which is whole, and whose root's key is encrypted."""
    door = started.home / "door"
    assert started.run(f"cardea ca audit --dir {door}/ca").returncode == 0
    listed = json.loads(started.run(f"cardea ca list --json --dir {door}/ca").stdout)
    assert {("server", "localhost"), ("client", started.run("id -un").stdout.decode().strip())} <= {
        (row["profile"], row["name"]) for row in listed}
    assert "ENCRYPTED" in (door / "ca/root.key").read_text()


OLD = """listeners:
  - {name: main, address: "127.0.0.1:PORT"}
certificates:
  - {certificate: door.pem, key: door.key}
trust:
  - {name: ours, ca: ca.pem}
routes:
  - {name: web, sni: localhost, terminate: {to: "127.0.0.1:WELCOME", alpn: http/1.1}}
  - {name: tunnel, alpn: [cardea/1, http/1.1], tunnel: {}, clients: {mode: required, trust: ours}}
policy:
  - {name: admins, who: {group: admins}, routes: tunnel, targets: ["127.0.0.1:*", "localhost:*"]}
audit: {file: "-"}
admin: {socket: cardea.sock}
"""


def test_folder_of_an_earlier_version(pki, tmp_path):
    """One CA file, no folder of a CA: it is served as it is, and what is printed works."""
    door = tmp_path / "door"
    door.mkdir()
    made = {"door": pki.ca.issue("localhost", dns=["localhost"], ip=["127.0.0.1"], label="quickstart"),
            "client": pki.ca.client("user", ou=["admins"])}
    for name, cert in made.items():
        shutil.copy(cert.certificate, door / f"{name}.pem")
        shutil.copy(cert.key, door / f"{name}.key")
    shutil.copy(pki.ca.file, door / "ca.pem")
    (door / "cardea.yaml").write_text(OLD.replace("PORT", str(free_port())).replace("WELCOME", str(free_port())))
    old = Quickstart(door, tmp_path, "old")
    try:
        assert len(old.commands()) == 4 and not (door / "ca").exists()
        for command in old.commands():
            done = old.run(command)
            assert done.returncode == 0 and done.stdout, f"{command}\n{done.stderr.decode()}"
    finally:
        old.stop()


def configuration(directory):
    path, = directory.glob("*.yaml")
    return path


def test_configuration_is_explained(started):
    """The configuration file is there to be read: every section has a comment, and it checks."""
    path = configuration(started.home / "door")
    lines = path.read_text().splitlines()
    assert sum("#" in line for line in lines) >= 5, lines
    done = started.run(f"cardea serve --check -c {path}")
    assert done.returncode == 0, done.stderr.decode()


def test_keys_are_private(started):
    """No key is readable by others, of those that are ours: lego minds its own."""
    door = started.home / "door"
    keys = [path for path in door.rglob("*") if path.is_file() and path.relative_to(door).parts[0] not in ("certbot", "lego") and b"PRIVATE KEY" in path.read_bytes()]
    assert keys
    for path in keys:
        assert path.stat().st_mode & 0o077 == 0, path


def test_second_run_uses_the_directory_again(tmp_path):
    """Certificates and configuration of the first run stay; what the user changed in it stays too."""
    first = Quickstart(tmp_path / "door", tmp_path, "one")
    commands = first.commands()
    first.stop()
    path = configuration(tmp_path / "door")
    path.write_text(path.read_text() + "# mine\n")
    before = {name: name.read_bytes() for name in (tmp_path / "door").rglob("*.pem")}
    second = Quickstart(tmp_path / "door", tmp_path, "two")
    try:
        assert second.commands() == commands
        assert path.read_text().endswith("# mine\n")
        assert before and all(name.read_bytes() == data for name, data in before.items())
        assert second.run(commands[0]).returncode == 0
    finally:
        second.stop()


def test_a_port_that_is_taken_meanwhile(tmp_path):
    """The second run does not change the configuration: it says which file the port stands in."""
    first = Quickstart(tmp_path / "door", tmp_path, "holder")
    try:
        done = run(CARDEA, "quickstart", tmp_path / "door")
        assert done.returncode == 1
        path = configuration(tmp_path / "door")
        assert re.search(rf"{path}:\d+:\d+: .*in use.*change the port in {path}", done.stderr.decode()), done.stderr
    finally:
        first.stop()
