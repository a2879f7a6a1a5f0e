# SPDX-License-Identifier: Apache-2.0
"""pebble, a CA that speaks ACME and fails on purpose, with a DNS of its own in which every name is this machine."""
import base64
import json
import os
import ssl
import subprocess
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pki import openssl
from run import Process, free_port, wait_listening, wait_until


class Pebble:
    """`tls_port`, `http_port`: where it looks for the proofs of tls-alpn-01 and http-01. `dns`: the port of another
    DNS to ask. `lifetime`: seconds that its
    certificates live. `refuses`: percent of good nonces that it refuses. `reuses`: percent of authorizations that are
    good for the next order too. `sleeps`: seconds at most that it waits before it looks at a proof. `ocsp`: URL of a
    responder."""

    def __init__(self, directory, tls_port, http_port=None, *, lifetime=3600, refuses=20, eab=None, name="pebble", dns=None, ocsp="",
                 reuses=50, sleeps=0):
        self.directory = directory / name
        self.directory.mkdir(exist_ok=True)
        self.port, self.management, self.dns, self.dns_management = (free_port() for _ in range(4))
        self.tls_port, self.http_port = tls_port, http_port or free_port()
        self.lifetime, self.refuses, self.eab = lifetime, refuses, eab
        self.other_dns, self.ocsp = dns, ocsp
        self.reuses, self.sleeps = reuses, sleeps
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
                  "httpPort": self.http_port, "tlsPort": self.tls_port, "ocspResponderURL": self.ocsp,
                  "externalAccountBindingRequired": self.eab is not None,
                  "externalAccountMACKeys": self.eab or {}, "certificateValidityPeriod": self.lifetime}
        (self.directory / "pebble.json").write_text(json.dumps({"pebble": config}))
        dns = Process(["pebble-challtestsrv", "-dns01", f"127.0.0.1:{self.dns}", "-management",
                       f"127.0.0.1:{self.dns_management}", "-http01", "", "-https01", "", "-tlsalpn01", "",
                       "-defaultIPv6", ""], self.directory, "challtestsrv")
        sleep = {"PEBBLE_VA_SLEEPTIME": str(self.sleeps)} if self.sleeps else {"PEBBLE_VA_NOSLEEP": "1"}
        env = {**os.environ, **sleep, "PEBBLE_WFE_NONCEREJECT": str(self.refuses), "PEBBLE_AUTHZREUSE": str(self.reuses)}
        pebble = Process(["pebble", "-config", self.directory / "pebble.json", "-dnsserver", f"127.0.0.1:{self.other_dns or self.dns}"],
                         self.directory, "pebble", env=env)
        self.processes = [pebble, dns]
        wait_listening(self.dns_management, dns, 30)
        wait_listening(self.port, pebble, 30)
        return self

    def stop(self):
        for process in self.processes:
            process.stop()
        self.processes = []

    def log(self):
        return self.processes[0].output()

    def fetch(self, what):
        return self.get(f"{what}/0")

    def get(self, path):
        """A page of its management."""
        ctx = ssl.create_default_context(cafile=self.ca_file)
        with urllib.request.urlopen(f"https://127.0.0.1:{self.management}/{path}", context=ctx, timeout=10) as answer:
            return answer.read()

    def root(self):
        """The root that its certificates lead to, as a path."""
        path = self.directory / "root.pem"
        path.write_bytes(self.fetch("roots"))
        return str(path)

    def issuer(self):
        """Who signs, with the key, for an OCSP responder."""
        return (x509.load_pem_x509_certificate(self.fetch("intermediates")),
                serialization.load_pem_private_key(self.fetch("intermediate-keys"), None))

    def tell_dns(self, what, **facts):
        """Change what its DNS says (`set-txt`, `clear-txt`, ...)."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.dns_management}/{what}", json.dumps(facts).encode())
        urllib.request.urlopen(request, timeout=10).close()


class Named:
    """BIND, with one zone that a key may change. What it has is asked over its own DNS. With `cert` it answers over HTTPS, too,
    in HTTP/2 alone."""

    def __init__(self, directory, zone, cert=None):
        self.directory = directory / "named"
        self.directory.mkdir()
        self.zone, self.port, self.https_port = zone, free_port(), free_port()
        self.secret = base64.b64encode(os.urandom(32)).decode()
        self.process = None
        (self.directory / "zone").write_text(
            f"$TTL 60\n@ SOA ns.{zone}. admin.{zone}. 1 60 60 60 60\n@ NS ns.{zone}.\nns A 127.0.0.1\n* A 127.0.0.1\n@ A 127.0.0.1\n")
        own, listens = "", ""
        if cert:
            own = f'tls own {{ cert-file "{cert.certificate}"; key-file "{cert.key}"; }};'
            listens = f"listen-on port {self.https_port} tls own http default {{ 127.0.0.1; }};"
        (self.directory / "named.conf").write_text(f"""
{own}
options {{ directory "{self.directory}"; listen-on port {self.port} {{ 127.0.0.1; }}; {listens} listen-on-v6 {{ none; }};
  pid-file "{self.directory}/pid"; session-keyfile "{self.directory}/session.key"; recursion no; allow-transfer {{ none; }}; }};
controls {{ }};
key "acme.{zone}" {{ algorithm hmac-sha256; secret "{self.secret}"; }};
key "other.{zone}" {{ algorithm hmac-sha256; secret "{self.secret}"; }};
zone "{zone}" {{ type primary; file "{self.directory}/zone"; update-policy {{ grant acme.{zone} subdomain {zone}. TXT HTTPS; }}; }};
""")

    def start(self):
        self.process = Process(["named", "-g", "-c", self.directory / "named.conf"], self.directory, "named")
        wait_listening(self.port, self.process, 30)
        wait_until(lambda: "all zones loaded" in self.process.output(), self.process.output, 30)
        return self

    def stop(self):
        if self.process:
            self.process.stop()

    def add(self, line):
        """A line of the zone's file, before it starts."""
        with (self.directory / "zone").open("a") as file:
            file.write(line + "\n")

    @property
    def url(self):
        return f"https://localhost:{self.https_port}/dns-query"

    def https(self, name):
        """What the HTTPS record of a name says, in the words of a zone file, behind its TTL; "": there is none."""
        done = subprocess.run(["dig", "+noall", "+answer", "+norecurse", "-p", str(self.port), "@127.0.0.1", name, "HTTPS"],
                              capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.split("HTTPS", 1)[-1].strip()

    def config(self, **other):
        """The section `dns` of a configuration."""
        file = self.directory / "secret"
        file.touch(0o600)
        file.write_text(self.secret + "\n")
        return {"server": f"127.0.0.1:{self.port}", "zone": self.zone, "key": f"acme.{self.zone}", "secret_file": str(file),
                **other}
