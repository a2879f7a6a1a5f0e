# SPDX-License-Identifier: Apache-2.0
"""A door whose certificates are renewed every few seconds, those of the configuration and those on demand, while clients
come all the time: no handshake fails, and nothing grows."""
import collections
import os
import ssl
import threading
import time

import pytest
from cryptography import x509

import tls
from door import Door
from pebble import Pebble
from peers import Server
from run import SANITIZER, wait_until

SECONDS = float(os.environ.get("CARDEA_SOAK", "60"))
LIFETIME = 14  # seconds of a certificate: it is renewed half way
NAMES = ["www.example.com", *(f"n{i}.example.net" for i in range(3))]
GROWTH = {None: 6 << 20, "address": 400 << 20, "thread": 400 << 20}[SANITIZER]


class Site:
    def __init__(self, directory):
        self.backend = Server(lambda sock: sock.sendall(sock.recv(16)))
        self.door = Door(directory, {})
        self.ca = Pebble(directory, self.door.port, lifetime=LIFETIME, refuses=5).start()
        wanted = {"ca": "pebble"}
        self.door.configure({
            "state": "state", "limits": {"certificate_timeout": "30s", "revocation_check": "1s"},
            "acme_cas": [{"name": "pebble", "url": self.ca.url, "ca_file": self.ca.ca_file}],
            "certificates": [{"acme": {"names": NAMES[:1], **wanted}}, {"on_demand": {"names": ["*.example.net"], **wanted}}],
            "routes": [{"name": "web", "listeners": ["main"], "terminate": {"to": self.backend.to}}]})
        self.door.start()
        self.shown, self.wrong, self.over = collections.defaultdict(set), [], threading.Event()

    def visit(self, name, root):
        """A handshake, and a word there and back."""
        with tls.connect(self.door, name, ca=root) as sock:
            self.shown[name].add(x509.load_der_x509_certificate(sock.getpeercert(True)).serial_number)
            sock.sendall(b"hello")
            assert tls.read_exactly(sock, 5) == b"hello"

    def visits(self, name, root):
        while not self.over.is_set():
            try:
                self.visit(name, root)
            except (AssertionError, OSError) as e:
                self.wrong.append(f"{name}: {e!r}")

    def serves(self, name, root):
        try:
            self.visit(name, root)
        except (ssl.SSLError, OSError):
            return False
        return True

    def renewed(self):
        return min(len(self.shown[name]) for name in NAMES)

    def stop(self):
        self.over.set()
        self.door.stop()
        self.ca.stop()
        self.backend.stop()


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.stop()


def test_renewals_under_load(site):
    root = site.ca.root()
    for name in NAMES:
        wait_until(lambda: site.serves(name, root), site.door.process.output, 60, 0.2)
    threads = [threading.Thread(target=site.visits, args=(name, root), daemon=True) for name in NAMES]
    for thread in threads:
        thread.start()
    # The first renewals warm up.
    wait_until(lambda: site.renewed() >= 2, site.door.process.output, 120, 0.2)
    files, memory, end = site.door.process.open_files(), site.door.process.rss(), time.monotonic() + SECONDS
    wait_until(lambda: time.monotonic() > end and site.renewed() >= 4, site.door.process.output, 4 * SECONDS, 0.5)
    site.over.set()
    for thread in threads:
        thread.join(60)
    print(f"\n{ {name: len(serials) for name, serials in site.shown.items()} } certificates, "
          f"{(site.door.process.rss() - memory) >> 10} kB more")
    assert not site.wrong, f"{len(site.wrong)} went wrong: {site.wrong[:10]}\n{site.door.process.output()}"
    wait_until(lambda: site.door.process.open_files() <= files + 2, "descriptors to be closed", 30, 0.2)
    assert site.door.process.rss() - memory < GROWTH
