# SPDX-License-Identifier: Apache-2.0
"""A door that is an ACME server, the names that it looks at, and the programs that get certificates from it."""
import base64
import calendar
import http.server
import json
import sqlite3
import ssl
import threading
import time
import urllib.request
from pathlib import Path

from cryptography import x509

from pki import openssl
from run import CARDEA, Process, free_port, run, wait_listening

# Every name leads to this machine, where each test's own client waits for the look.
NAME = "www.example.com"
DEVICE = {"id": "device-7", "key": base64.urlsafe_b64encode(b"0123456789abcdef0123456789abcdef").rstrip(b"=").decode()}


class Names:
    """pebble-challtestsrv: a name server for which any name is 127.0.0.1, with TXT records that are set over HTTP."""

    def __init__(self, directory):
        self.port, self.control = free_port(), free_port()
        self.process = Process(["pebble-challtestsrv", "-dns01", f"127.0.0.1:{self.port}", "-management", f"127.0.0.1:{self.control}",
                                "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""],
                               directory, "challtestsrv")
        wait_listening(self.control, self.process)

    def set(self, what, **row):
        request = urllib.request.Request(f"http://127.0.0.1:{self.control}/{what}", json.dumps(row).encode())
        urllib.request.urlopen(request, timeout=10).close()

    def stop(self):
        self.process.stop()


class WebRoot:
    """Serves a folder over HTTP, for clients that put their answers into one. With `moved` a path is first sent there: the
    text has `{path}` for it, and /moved in front of one is let be."""

    def __init__(self, directory, port, moved=None):
        self.folder = Path(directory) / "webroot"
        (self.folder / ".well-known/acme-challenge").mkdir(parents=True)
        folder = str(self.folder)

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, directory=folder, **kwargs)

            def do_GET(self):
                if moved is None or self.path.startswith("/moved/"):
                    self.path = self.path.removeprefix("/moved")
                    super().do_GET()
                    return
                self.send_response(302)
                self.send_header("Location", moved.format(path=self.path))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Acme:
    """The door, its CA in `directory`/ca, and its names. `http_port` and `tls_port` are where it looks."""

    def __init__(self, start_door, pki, directory, **acme):
        self.directory = Path(directory)
        self.pki = pki
        self.http_port, self.tls_port = free_port(), free_port()
        secret = self.directory / "root-passphrase"
        secret.write_text("of the tests\n")
        secret.chmod(0o600)
        done = run(CARDEA, "ca", "init", self.directory / "ca", "--name", "Test", "--root-passphrase-file", secret)
        assert done.returncode == 0, done.stderr
        keys = self.directory / "acme.keys"
        keys.write_text(f"# id key\n{DEVICE['id']} {DEVICE['key']}\n")
        keys.chmod(0o600)
        self.names = Names(self.directory)
        self.start_door = start_door
        self.settings = {"resolvers": f"127.0.0.1:{self.names.port}", "http_port": self.http_port, "tls_port": self.tls_port,
                         "eab_file": str(keys), **acme}
        self.door = start_door(self.config(free_port()))

    def config(self, port):
        self.port = port
        self.url = f"https://localhost:{port}"
        self.directory_url = f"{self.url}/acme/directory"
        return {
            "listeners": [{"name": "main", "address": f"127.0.0.1:{port}"}],
            "certificates": [self.pki.server("localhost").row()],
            "routes": [{"name": "ca", "sni": "localhost", "serve": ["acme"]}],
            "ca": {"directory": str(self.directory / "ca"), "acme": {"url": self.url, **self.settings}},
        }

    @property
    def root(self):
        return str(self.directory / "ca/root.pem")

    def check(self, chain, *names):
        """openssl believes the chain (a file or its text) under our root, and it is for these names and no others."""
        text = chain if "BEGIN CERTIFICATE" in str(chain) else Path(chain).read_text()
        file = self.directory / "to-check.pem"
        file.write_text(text)
        openssl("verify", "-CAfile", self.root, "-untrusted", file, file)
        said = openssl("x509", "-in", file, "-noout", "-ext", "subjectAltName").decode()
        found = sorted(word.strip().partition(":")[2] for word in said.splitlines()[1].split(","))
        assert found == sorted(names), said
        return openssl("x509", "-in", file, "-noout", "-serial").decode().strip()

    def revoked(self):
        """Serial numbers that the CA has revoked, as openssl writes them."""
        with sqlite3.connect(f"file:{self.directory}/ca/ca.db?mode=ro", uri=True) as database:
            rows = database.execute("SELECT hex(serial) FROM certificate WHERE revoked <> 0").fetchall()
        return [f"serial={row[0]}" for row in rows]

    def renewal(self, chain):
        """When the server suggests to renew, in seconds since 1970 (RFC 9773)."""
        cert = x509.load_pem_x509_certificate(Path(chain).read_bytes())
        issuer = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        serial = cert.serial_number.to_bytes(cert.serial_number.bit_length() // 8 + 1, "big")
        name = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (issuer, serial))
        context = ssl.create_default_context(cafile=self.pki.ca.file)
        with urllib.request.urlopen(f"{self.url}/acme/renewal-info/{name}", timeout=10, context=context) as answer:
            start = json.load(answer)["suggestedWindow"]["start"]
        return calendar.timegm(time.strptime(start, "%Y-%m-%dT%H:%M:%SZ"))

    def stop(self):
        self.names.stop()
