# SPDX-License-Identifier: Apache-2.0
"""Clients that demand a staple (RFC 7633) of a certificate of our CA, whose responder is a door too: GnuTLS, curl, and
Chromium, which trusts the CA in a home of its own."""
import shutil
import subprocess

import pytest

from lax_ca import LaxCa
from peers import Server
from responder import Responder
from pki import openssl
from run import CARDEA, SLOW, free_port, run, wait_until
from staples import curl, shown, status
from test_backup import TwoCas

NAME = "www.example.com"
CURL_BAD_STATUS = 91
PAGE = b"<html><body>served</body></html>"


@pytest.fixture
def backend():
    server = Server(lambda sock: sock.recv(65536) and sock.sendall(
        b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE)))
    yield server
    server.stop()


class Browser:
    """Chromium, whose user trusts one CA and no other; each visit is a process of its own."""

    def __init__(self, directory, name, root):
        self.home = directory / f"home-{name}"
        book = self.home / ".pki/nssdb"
        book.mkdir(parents=True)
        for words in (["-N", "--empty-password"], ["-A", "-n", "root", "-t", "C,,", "-i", root]):
            done = run("certutil", "-d", f"sql:{book}", *words)
            assert done.returncode == 0, done.stderr
        names = ("chromium-headless-shell", "chromium", "chromium-browser")
        self.program = next(filter(None, map(shutil.which, names)), None)
        assert self.program, f"none of {', '.join(names)} here: run scripts/deps test"

    def sees(self, door, name=NAME):
        """Whether it shows the page."""
        done = run(self.program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   f"--user-data-dir={self.home}/profile", f"--host-resolver-rules=MAP * 127.0.0.1:{door.port}", "--dump-dom",
                   f"https://{name}/", timeout=60, env={"HOME": str(self.home), "PATH": "/usr/bin:/bin"})
        return b"served" in done.stdout


def gnutls(door, root):
    """What GnuTLS says of the certificate, which is nothing where it is content."""
    done = subprocess.run(["gnutls-cli", "--x509cafile", root, "--port", str(door.port), "--sni-hostname", NAME, "--verify-hostname",
                           NAME, "127.0.0.1"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20 * SLOW)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert ("- Status: The certificate is trusted." in said) == (done.returncode == 0), said
    return "" if done.returncode == 0 else said


class Ours:
    """A CA of ours, a door that serves its OCSP, and one that serves a certificate which must be stapled."""

    def __init__(self, start_door, pki, directory, backend):
        self.directory, self.backend, self.start_door = directory, backend, start_door
        secret = directory / "secret"
        secret.write_text("far too long to guess\n")
        secret.chmod(0o600)
        plain = free_port()
        self.ca("init", directory / "ca", "--name", "Example", "--url", f"http://127.0.0.1:{plain}/ca",
                "--root-passphrase-file", secret)
        self.ca("issue", NAME, "--must-staple", "--out", directory / "www", "--dir", directory / "ca")
        self.root = str(directory / "ca/root.pem")
        self.responder = start_door({"routes": [{"name": "plain", "listeners": ["plain"], "serve": ["ca"]},
                                                {"name": "other", "reject": "access_denied"}],
                                     "ca": {"directory": str(directory / "ca")}},
                                    listeners=[{"name": "plain", "address": f"127.0.0.1:{plain}", "speaks": "plain"}])
        self.door = start_door(self.config(staple=False))

    @staticmethod
    def ca(*words):
        done = run(CARDEA, "ca", *words)
        assert done.returncode == 0, done.stderr

    def config(self, **row):
        return {"certificates": [{"certificate": str(self.directory / "www.pem"), "key": str(self.directory / "www.key"), **row}],
                "limits": {"revocation_check": "1s"}, "routes": [{"name": "web", "terminate": {"to": self.backend.to}}]}


def test_a_certificate_of_ours_that_must_be_stapled(start_door, pki, tmp_path, backend):
    s = Ours(start_door, pki, tmp_path, backend)
    assert b"status_request" in openssl("x509", "-in", tmp_path / "www.pem", "-noout", "-ext", "tlsfeature")
    browser = Browser(tmp_path, "ours", s.root)
    assert curl(s.door, s.root) == CURL_BAD_STATUS
    assert "requires the server to include an OCSP status" in gnutls(s.door, s.root)
    s.door.reload(s.config())
    wait_until(lambda: status(s.door) == "good", s.door.process.output, 20, 0.2)
    assert gnutls(s.door, s.root) == "" and curl(s.door, s.root) == 0 and browser.sees(s.door)
    s.ca("revoke", tmp_path / "www.pem", "--dir", tmp_path / "ca")
    wait_until(lambda: status(s.door) is None, s.door.process.output, 20, 0.2)
    assert gnutls(s.door, s.root) != "" and curl(s.door, s.root) == CURL_BAD_STATUS


def test_the_next_visit_has_the_backup(tmp_path, backend):
    """A browser that trusts the first CA, and one that trusts the other."""
    two = TwoCas(tmp_path, backend)
    try:
        two.start()
        browsers = [Browser(tmp_path, f"ca{i}", ca.root()) for i, ca in enumerate(two.cas)]
        assert [browser.sees(two.door) for browser in browsers] == [True, False]
        assert two.swap(NAME).returncode == 0
        assert [browser.sees(two.door) for browser in browsers] == [False, True]
    finally:
        two.stop()


# Renewal ----------------------------------------------------------------------------------------------------------

class Renewed:
    """A door whose one certificate must be stapled, and is renewed after some seconds by a CA that asks for no proof."""

    def __init__(self, start_door, pki, backend, lifetime):
        self.responder = Responder(lifetime=lifetime)
        self.ca = LaxCa(pki.server("localhost"), ocsp=self.responder.url, must_staple=True, lifetime=40 * SLOW)
        self.responder.issuer, self.responder.key = self.ca.issuer, self.ca.key
        self.door = start_door({"certificates": [{"acme": {"names": [NAME], "ca": "lax", "renew_before": f"{int(30 * SLOW)}s"}}],
                                "acme_cas": [{"name": "lax", "url": self.ca.url, "ca_file": pki.ca.file}], "state": "state",
                                "limits": {"revocation_check": "1s"}, "routes": [{"name": "web", "terminate": {"to": backend.to}}]})

    def stop(self):
        self.ca.stop()
        self.responder.stop()

    def said(self):
        return self.door.process.output()

    def stapled(self):
        """The serial number of the first one, which is there with its staple; the next one lasts."""
        wait_until(lambda: "obtained from" in self.said() and shown(self.door)[1] == "good", self.said, 20, 0.2)
        self.ca.lifetime = 30 * 86400
        return shown(self.door)[0]

    def is_renewed(self):
        return self.said().count("obtained from") == 2


@pytest.fixture
def renewed(start_door, pki, backend):
    made = []

    def make(lifetime=3600):
        made.append(Renewed(start_door, pki, backend, lifetime))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def test_a_renewed_one_is_served_once_it_has_its_staple(renewed):
    """Its responder does not know it at first, as happens: no client is without a staple meanwhile."""
    s, seen = renewed(), set()
    first = s.stapled()
    s.responder.answers = "unknown"

    def look():
        seen.add(shown(s.door))
        return {serial for serial, _ in seen}
    wait_until(lambda: look() and s.is_renewed(), s.said, 30, 0.1)
    wait_until(lambda: look() and "so that the one before is served still" in s.said(), s.said, 30, 0.1)
    look()
    assert seen == {(first, "good")}
    s.responder.answers = "good"
    wait_until(lambda: len(look()) == 2, s.said, 30, 0.05)
    assert {staple for _, staple in seen} == {"good"}


def test_a_renewed_one_does_not_wait_for_ever(renewed):
    """The responder is away until what it has said of the first is stale."""
    s = renewed(lifetime=14 * SLOW)
    first = s.stapled()
    s.responder.answers = "none"
    wait_until(s.is_renewed, s.said, 30, 0.1)
    assert shown(s.door) == (first, "good")
    wait_until(lambda: shown(s.door)[0] != first, s.said, 30, 0.2)
    assert shown(s.door)[1] is None and "it is served without one" in s.said()
    s.responder.answers = "good"
    wait_until(lambda: shown(s.door)[1] == "good", s.said, 20, 0.2)
