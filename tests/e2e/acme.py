# SPDX-License-Identifier: Apache-2.0
"""pebble, a CA that speaks ACME and fails on purpose, with a DNS of its own in which every name is this machine."""
import json
import os
import ssl
import urllib.request

from pki import openssl
from run import Process, free_port, wait_listening


class Pebble:
    """`tls_port`, `http_port`: where it looks for the proofs of tls-alpn-01 and http-01. `lifetime`: seconds that its
    certificates live. `refuses`: percent of good nonces that it refuses."""

    def __init__(self, directory, tls_port, http_port=None, *, lifetime=3600, refuses=20, eab=None, name="pebble"):
        self.directory = directory / name
        self.directory.mkdir(exist_ok=True)
        self.port, self.management, self.dns, self.dns_management = (free_port() for _ in range(4))
        self.tls_port, self.http_port = tls_port, http_port or free_port()
        self.lifetime, self.refuses, self.eab = lifetime, refuses, eab
        self.name = name
        self.processes = []

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}/dir"

    @property
    def ca_file(self):
        return str(self.directory / "own.pem")

    def make_certificate(self):
        """Of the CA's own server; a certificate that vouches for itself."""
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-keyout", self.directory / "own.key", "-out", self.directory / "own.pem", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")

    def start(self):
        if not (self.directory / "own.pem").exists():
            self.make_certificate()
        config = {"listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}",
                  "certificate": str(self.directory / "own.pem"), "privateKey": str(self.directory / "own.key"),
                  "httpPort": self.http_port, "tlsPort": self.tls_port, "ocspResponderURL": "",
                  "externalAccountBindingRequired": self.eab is not None,
                  "externalAccountMACKeys": self.eab or {}, "certificateValidityPeriod": self.lifetime}
        (self.directory / "pebble.json").write_text(json.dumps({"pebble": config}))
        dns = Process(["pebble-challtestsrv", "-dns01", f"127.0.0.1:{self.dns}", "-management",
                       f"127.0.0.1:{self.dns_management}", "-http01", "", "-https01", "", "-tlsalpn01", "",
                       "-defaultIPv6", ""], self.directory, "challtestsrv")
        env = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": str(self.refuses)}
        pebble = Process(["pebble", "-config", self.directory / "pebble.json", "-dnsserver", f"127.0.0.1:{self.dns}"],
                         self.directory, "pebble", env=env)
        self.processes = [pebble, dns]
        wait_listening(self.dns_management, dns)
        wait_listening(self.port, pebble)
        return self

    def stop(self):
        for process in self.processes:
            process.stop()
        self.processes = []

    def log(self):
        return self.processes[0].output()

    def root(self):
        """The root that its certificates lead to, as a path."""
        ctx = ssl.create_default_context(cafile=self.ca_file)
        with urllib.request.urlopen(f"https://127.0.0.1:{self.management}/roots/0", context=ctx, timeout=10) as answer:
            path = self.directory / "root.pem"
            path.write_bytes(answer.read())
        return str(path)

    def tell_dns(self, what, **facts):
        """Change what its DNS says (`set-txt`, `clear-txt`, ...)."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.dns_management}/{what}", json.dumps(facts).encode())
        urllib.request.urlopen(request, timeout=10).close()
