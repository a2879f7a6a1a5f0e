# SPDX-License-Identifier: Apache-2.0
"""Clients and servers of others that know Encrypted ClientHello: OpenSSL 4's (scripts/openssl4)."""
import base64
import functools
import subprocess

import pytest

from run import ROOT, SLOW, Process, free_port, wait_listening


@functools.cache
def openssl4():
    found = subprocess.run([ROOT / "scripts/openssl4"], capture_output=True, text=True, timeout=300)
    if found.returncode:
        pytest.skip(f"no OpenSSL 4: {found.stderr.strip()}")
    return found.stdout.strip()


class Server:
    """s_server: a web server that tells how the handshake went. It has no key for ECH, but knows an inner hello."""

    def __init__(self, directory, cert, *words):
        self.port = free_port()
        self.process = Process([openssl4(), "s_server", "-accept", f"127.0.0.1:{self.port}", "-cert", cert.certificate, "-key",
                                cert.key, "-www", *words], directory, f"s_server-{self.port}")
        wait_listening(self.port)

    @property
    def to(self):
        return f"127.0.0.1:{self.port}"

    def stop(self):
        self.process.stop()


def config_of(path):
    """The config list of a file in PEM, in base64."""
    block = path.read_text().split("-----BEGIN ECHCONFIG-----")[1].split("-----END")[0]
    return "".join(block.split())


def configs(keys):
    """The config lists of the files of a folder of keys, oldest first."""
    return [config_of(path) for path in sorted(keys.glob("*.pem"))]


def client(port, name, ca, *words, config=None):
    """s_client asks for a page; what it says of it all."""
    ech = ("-ech_config_list", config) if config else ()
    version, end = ((), b"Q\n") if "-quic" in words else (("-tls1_3", "-ign_eof"), b"GET /who HTTP/1.0\r\n\r\n")
    done = subprocess.run([openssl4(), "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, "-CAfile", ca,
                           "-verify_return_error", *version, *ech, *words], input=end,
                          capture_output=True, timeout=20 * SLOW)
    return (done.stdout + done.stderr).decode(errors="replace")


def damaged(config):
    """The same config with another public key: a stale one."""
    raw = bytearray(base64.b64decode(config))
    raw[15] ^= 1
    return base64.b64encode(raw).decode()
