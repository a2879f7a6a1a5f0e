# SPDX-License-Identifier: Apache-2.0
"""A real FTP server, vsftpd, for anonymous users, in a directory of its own."""
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from run import Process, free_port, wait_listening

CONFIG = """
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
local_enable=NO
no_anon_password=YES
anon_root={root}
write_enable=YES
anon_upload_enable=YES
anon_umask=022
anon_world_readable_only=NO
secure_chroot_dir={directory}/empty
xferlog_enable=NO
connect_from_port_20=NO
pasv_address=127.0.0.1
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
{tls}
"""

TLS = """
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=NO
ssl_tlsv1=YES
require_ssl_reuse=NO
rsa_cert_file={certificate}
rsa_private_key_file={key}
"""


class Vsftpd:
    """A file hello.txt, and a folder up that takes files. With `cert` nobody logs in without TLS; data may be plain."""

    def __init__(self, cert=None):
        self.directory = Path(tempfile.mkdtemp(prefix="cardea-ftp-"))
        self.directory.chmod(0o755)
        self.port = free_port()
        root = self.directory / "root"
        self.up = root / "up"
        for each in (root, self.up, self.directory / "empty"):
            each.mkdir()
            each.chmod(0o755)
        self.up.chmod(0o777)
        (root / "hello.txt").write_text("hello from behind\n")
        config = self.directory / "vsftpd.conf"
        tls = TLS.format(certificate=cert.certificate, key=cert.key) if cert else ""
        config.write_text(CONFIG.format(port=self.port, root=root, directory=self.directory, tls=tls) +
                          ("" if os.geteuid() == 0 else "run_as_launching_user=YES\n"))
        config.chmod(0o600)
        self.process = Process([shutil.which("vsftpd", path=f"{os.environ['PATH']}:/usr/sbin"), config], self.directory, "vsftpd")
        wait_listening(self.port, self.process, 20)

    def stop(self):
        try:
            self.process.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="module")
def ftp():
    """Without TLS."""
    server = Vsftpd()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tls_ftp(pki):
    """It demands TLS on control connections. Its certificate is for 127.0.0.1 and ftp.example.com."""
    server = Vsftpd(pki.server("ftp.example.com", key="rsa"))
    yield server
    server.stop()
