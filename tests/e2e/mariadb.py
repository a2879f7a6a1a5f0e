# SPDX-License-Identifier: Apache-2.0
"""A real MariaDB server in a directory of its own, and its command line client."""
import os
import pwd
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from run import Process, free_port, run, wait_listening

PASSWORD = "knock"
USERS = f"""
install soname 'auth_ed25519';
create user door@'%' identified by '{PASSWORD}';
create user edward@'%' identified via ed25519 using password('{PASSWORD}');
grant all on *.* to door@'%', edward@'%';
create database door;
"""


class Mariadb:
    """Users door (mysql_native_password) and edward (ed25519), database door. With `cert` it takes TLS only."""

    def __init__(self, cert=None):
        # It gives up root's rights, so what it reads is not in pytest's own folder.
        self.directory = Path(tempfile.mkdtemp(prefix="cardea-mariadb-"))
        self.port = free_port()
        words, demote = [], {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("mysql")
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
            demote = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        if cert:
            shutil.copy(cert.certificate, self.directory / "server.pem")
            shutil.copy(cert.key, self.directory / "server.key")
            (self.directory / "server.key").chmod(0o644)  # a test's key
            words = ["--ssl-cert=server.pem", "--ssl-key=server.key", "--require-secure-transport=on"]
        data = self.directory / "data"
        here = [f"--datadir={data}", f"--tmpdir={self.directory}"]  # in /tmp two that are made at once delete each other's files
        made = run("mariadb-install-db", "--no-defaults", *here, "--skip-test-db", "--skip-name-resolve",
                   "--auth-root-authentication-method=normal", cwd=self.directory, timeout=60, **demote)
        assert made.returncode == 0, made.stderr.decode()
        users = self.directory / "users.sql"
        users.write_text(USERS)
        users.chmod(0o644)
        for name in ("server.pem", "server.key"):
            if cert:
                shutil.copy(self.directory / name, data / name)
                (data / name).chmod(0o644)
        self.process = Process([shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin"), "--no-defaults",
                                *here, f"--port={self.port}", "--bind-address=127.0.0.1",
                                f"--socket={self.directory}/sock", f"--init-file={users}", "--skip-name-resolve",
                                "--innodb-flush-log-at-trx-commit=0", *words],
                               self.directory, "mariadb", cwd=self.directory, **demote)
        wait_listening(self.port, self.process, 30)

    def query(self, port, statement, *words, user="door", password=PASSWORD):
        """mariadb without column names: (exit code, what it printed, what it complained of)."""
        done = run("mariadb", "--no-defaults", "--protocol=tcp", "-h127.0.0.1", f"-P{port}", f"-u{user}", f"-p{password}",
                   "-N", "-B", *words, "-e", statement, env={"PATH": os.environ["PATH"], "HOME": str(self.directory)})
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def stop(self):
        try:
            self.process.stop(signal.SIGTERM, timeout=30)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="module")
def mariadb():
    """Without TLS."""
    server = Mariadb()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tls_mariadb(pki):
    """It refuses clients without TLS. Its certificate is for 127.0.0.1 and db.example.com."""
    server = Mariadb(pki.server("db.example.com"))
    yield server
    server.stop()
