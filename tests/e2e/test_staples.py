# SPDX-License-Identifier: Apache-2.0
"""OCSP responses are fetched ahead and shown to clients that ask; what proves nothing is never shown."""
import pytest

from door import Door
from pebble import Pebble
from pki import CA
from peers import Server
from responder import Responder
from run import wait_until
from staples import curl, status
from test_acme_client import Site

NAME = "www.example.com"
CURL_BAD_STATUS = 91


@pytest.fixture
def backend():
    server = Server(lambda sock: sock.recv(65536) and sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    yield server
    server.stop()


@pytest.fixture
def responder():
    made = Responder()
    yield made
    made.stop()


@pytest.fixture
def site(tmp_path, backend, responder):
    """A door with one certificate of pebble's, whose responder is ours."""
    s = Site(tmp_path, backend)
    s.pebble = Pebble(tmp_path, s.door.port, ocsp=responder.url)
    s.pebble.start()
    responder.issuer, responder.key = s.pebble.issuer()
    make = s.config
    s.config = lambda **acme: {**make(**acme), "limits": {"revocation_check": "1s"}}
    yield s
    s.stop()


def see(door, expected, timeout=20):
    wait_until(lambda: status(door) == expected, lambda: f"a staple that is {expected}:\n{door.process.output()}", timeout, 0.2)


def test_what_is_obtained_is_stapled(site):
    site.start()
    site.obtained()
    see(site.door, "good")
    assert status(site.door, tls="-tls1_2") == "good"
    assert curl(site.door, site.pebble.root()) == 0


@pytest.mark.parametrize("wrong, words", [
    ("forged", "not signed by the certificate's issuer"),
    ("other", "about another certificate"),
    ("old", "is stale"),
    ("future", "from the future"),
    ("unknown", "does not know the certificate"),
    ("later", "refuses to say"),
    ("garbage", "no OCSP response"),
    ("none", "status 500"),
])
def test_what_proves_nothing_is_said_once_and_never_shown(site, responder, wrong, words):
    responder.answers = wrong
    site.start()
    site.obtained()
    wait_until(lambda: responder.count > 2, site.door.process.output, 20)
    assert status(site.door) is None
    assert site.door.process.output().count(words) == 1
    responder.answers = "good"
    see(site.door, "good")


def test_without_the_responder_it_lasts_until_it_is_stale(site, responder):
    """Across a restart of the door, too."""
    responder.lifetime = 12
    site.start()
    site.obtained()
    see(site.door, "good")
    responder.stop()
    site.door.stop()
    site.door.start()
    assert status(site.door) == "good"
    see(site.door, None)
    responder.start()
    see(site.door, "good")


def test_a_revoked_one_is_served_without_a_staple_and_replaced(site, responder):
    site.start()
    first = site.obtained()
    see(site.door, "good")
    responder.revoked.add(first.serial_number)
    wait_until(lambda: site.leaf() and site.leaf().serial_number != first.serial_number, site.door.process.output, 30, 0.2)
    assert f"is revoked, as {responder.url} says" in site.door.process.output()
    see(site.door, "good")


# ---- certificates that come in files ----

class Files:
    """A door with a certificate of a CA made by OpenSSL, in a file of the configuration or in a folder."""

    def __init__(self, directory, backend, responder, folder=False, extra="", **row):
        self.directory, self.backend, self.folder, self.row = directory, backend, folder, row
        root = CA(directory / "root", "Root")
        self.root = root.file
        self.issuer = CA(directory / "issuer", "Issuer", issuer=root)
        responder.issuer, responder.key = self.issuer_of()
        self.responder = responder
        self.extra = extra or f"authorityInfoAccess = OCSP;URI:{responder.url}\n"
        self.door = Door(directory, {})
        (directory / "state").mkdir()
        (directory / "names").mkdir()
        self.renew("first")

    def issuer_of(self):
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        key = next((self.directory / "issuer").glob("*.key"))
        pem = open(self.issuer.file, "rb").read()
        return x509.load_pem_x509_certificate(pem), serialization.load_pem_private_key(key.read_bytes(), None)

    def renew(self, label):
        self.cert = self.issuer.issue(NAME, dns=[NAME], label=label, extra=self.extra)
        if self.folder:
            for end, path in ((".key", self.cert.key), (".pem", self.cert.certificate)):
                staged = self.directory / f"staged{end}"
                staged.write_bytes(open(path, "rb").read())
                staged.chmod(0o600)
                staged.rename(self.directory / "names" / f"{NAME}{end}")

    def configure(self):
        row = {"directory": str(self.directory / "names")} if self.folder else self.cert.row()
        self.door.configure({"state": str(self.directory / "state"), "certificates": [{**row, **self.row}],
                             "admin": {"socket": str(self.door.socket)},
                             "limits": {"revocation_check": "1s"}, "workers": 2,
                             "routes": [{"name": "web", "terminate": {"to": self.backend.to}}]})

    def start(self):
        self.configure()
        self.door.start()
        return self


@pytest.fixture
def files(tmp_path, backend, responder):
    made = []

    def make(**how):
        made.append(Files(tmp_path, backend, responder, **how))
        return made[-1].start()
    yield make
    for one in made:
        one.door.stop()


@pytest.mark.parametrize("folder", [False, True])
def test_files_are_stapled(files, folder):
    f = files(folder=folder)
    see(f.door, "good")
    assert all(status(f.door) == "good" for _ in range(4)), "every worker has it"
    assert curl(f.door, f.root) == 0
    f.renew("second")
    f.configure()
    f.door.reload()
    wait_until(lambda: curl(f.door, f.root) == 0, f.door.process.output, 20, 0.3)


@pytest.mark.parametrize("folder", [False, True])
def test_a_staple_of_a_file_outlives_a_restart_and_a_reload(files, responder, folder):
    f = files(folder=folder)
    see(f.door, "good")
    responder.stop()
    f.door.stop()
    f.door.start()
    see(f.door, "good", 5)
    f.door.reload()
    see(f.door, "good", 5)


@pytest.mark.parametrize("folder", [False, True])
def test_a_reload_wants_staples(files, responder, folder):
    """What the configuration says of a folder counts from the reload on, though the folder stays."""
    f = files(folder=folder, staple=False)
    assert all(status(f.door) is None for _ in range(2)) and responder.count == 0
    f.row = {}
    f.configure()
    f.door.reload()
    see(f.door, "good")


def test_a_revoked_file_loses_its_staple_and_is_told_of(files, responder):
    f = files()
    see(f.door, "good")
    responder.answers = "revoked"
    see(f.door, None)
    assert f.door.process.output().count("is revoked") == 1
    assert not list((f.directory / "state" / "staples").iterdir())
    served = f.door.get_json("/certificates")["certificates"][0]["served"]
    assert (served["state"], served["revoked"]) == ("revoked", True)
    responder.answers = "good"
    see(f.door, "good")
    served = f.door.get_json("/certificates")["certificates"][0]["served"]
    assert (served["state"], served["revoked"]) == ("good", False)


def test_a_stale_staple_of_a_file_is_not_shown(files, responder):
    responder.lifetime = 6
    f = files()
    see(f.door, "good")
    responder.stop()
    see(f.door, None)
    assert f.door.process.output().count("there is no new staple for it") == 1
    assert curl(f.door, f.root) == CURL_BAD_STATUS


def test_nobody_is_asked_where_that_is_not_wanted(files, responder):
    f = files(staple=False)
    assert status(f.door) is None
    assert responder.count == 0
