# SPDX-License-Identifier: Apache-2.0
"""A CA that tests make with `cardea ca`, and an sshd that believes in it."""
import json
import os
import shutil

import peers
from pki import openssl
from run import CARDEA, run


class Ca:
    """A CA in a folder of its own, and a folder for what it issues."""

    def __init__(self, tmp_path, *words, passphrase=None, root_in_file=True):
        self.place, self.directory = tmp_path, tmp_path / "ca"
        self.words = []
        secret = tmp_path / "root-passphrase"
        secret.write_text("correct horse battery\n")
        secret.chmod(0o600)
        if passphrase:
            self.passphrase = tmp_path / "passphrase"
            self.passphrase.write_text(passphrase)
            self.passphrase.chmod(0o600)
            self.words = ["--passphrase-file", self.passphrase]
        self.secret = secret
        if root_in_file:
            words = ["--root-passphrase-file", secret, *words]
        self.run("init", self.directory, "--name", "Example", *self.words, *words)

    def run(self, form, *words, code=0):
        env = {**os.environ, "CARDEA_CA_DIR": str(self.directory)}
        done = run(CARDEA, "ca", form, *words, cwd=self.place, env=env)
        assert done.returncode == code, done.stderr.decode()
        return done.stdout.decode() if code == 0 else done.stderr.decode()

    def warned(self, form, *words):
        """What a form that works says on standard error."""
        done = run(CARDEA, "ca", form, *words, "--dir", self.directory, cwd=self.place)
        assert done.returncode == 0, done.stderr.decode()
        return done.stderr.decode()

    def rows(self, *words):
        return json.loads(self.run("list", "--json", *words))

    def verify(self, name, *words):
        return openssl("verify", "-x509_strict", "-CAfile", self.directory / "root.pem", "-untrusted",
                       self.directory / "intermediate.pem", *words, self.place / name)


class CertifiedSshd(peers.Sshd):
    """One that believes in the CA only: its host key has a certificate, and nobody's key is listed."""

    def __init__(self, ca, directory):
        directory.mkdir()
        super().__init__(directory)
        self.ca = ca
        config = self.directory / "sshd_config"
        ca.run("issue", "--ssh", "host", self.directory / "host_key.pub", "--principal", "shell.example.com")
        ca.run("crl", "--krl", "--out", self.directory / "revoked.krl")
        config.write_text(config.read_text() + f"""HostCertificate {self.directory}/host_key-cert.pub
TrustedUserCAKeys {ca.directory}/ssh_user_ca.pub
RevokedKeys {self.directory}/revoked.krl
""")
        (self.directory / "authorized_keys").write_text("")
        (self.directory / "known_hosts").write_text(
            "@cert-authority *.example.com " + (ca.directory / "ssh_host_ca.pub").read_text())
        self.process.stop()
        self.process = peers.Process([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", config], self.directory,
                                     "sshd-certified")
        peers.wait_listening(self.port, self.process)

    def login(self, *command, name="shell.example.com"):
        return run("ssh", *self.options(), "-o", f"HostKeyAlias={name}", "-p", self.port, f"{self.user}@127.0.0.1", *command)
