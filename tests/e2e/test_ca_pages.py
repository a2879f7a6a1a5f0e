# SPDX-License-Identifier: Apache-2.0
"""What the door's CA tells everybody (`serve: [ca]`), within TLS and without: openssl and curl fetch CRL, OCSP answers and
certificates by what a certificate itself says, and another process revokes."""
import subprocess

import pytest

from peers import curl, curl_door
from pki import openssl
from run import CARDEA, SLOW, free_port, run


class Served:
    """A CA in a folder, and a door that serves it: within TLS as ca.test, and without at `plain`."""

    def __init__(self, start_door, pki, directory, url="/ca"):
        self.place, self.plain = directory, free_port()
        secret = directory / "secret"
        secret.write_text("far too long to guess\n")
        secret.chmod(0o600)
        self.url = f"http://127.0.0.1:{self.plain}{url}"
        self.ca("init", "ca", "--name", "Example", "--url", self.url, "--root-passphrase-file", "secret", dir_option=False)
        self.ca("issue", "www.example.com", "--out", "www")
        self.door = start_door({"certificates": [pki.server("ca.test").row()],
                                "routes": [{"name": "ca", "sni": "ca.test", "serve": ["ca"]},
                                           {"name": "plain", "listeners": ["plain"], "serve": ["ca", "challenges"]}],
                                "ca": {"directory": str(directory / "ca")}},
                               listeners=[{"name": "plain", "address": f"127.0.0.1:{self.plain}", "speaks": "plain"}])

    def ca(self, form, *words, dir_option=True):
        done = run(CARDEA, "ca", form, *words, *(["--dir", "ca"] if dir_option else []), cwd=self.place)
        assert done.returncode == 0, done.stderr.decode()

    def file(self, name):
        return self.place / name

    def said(self, name, extension):
        return openssl("x509", "-in", self.file(name), "-noout", "-ext", extension).decode()

    def fetch(self, url):
        done = curl(url, "--fail")
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def verify(self):
        """With the CRL that the certificate names; openssl's exit code and words."""
        address = self.said("www.pem", "crlDistributionPoints").partition("URI:")[2].split()[0]
        self.file("crl.der").write_bytes(self.fetch(address))
        openssl("crl", "-inform", "DER", "-in", self.file("crl.der"), "-out", self.file("crl.pem"))
        return subprocess.run(["openssl", "verify", "-crl_check", "-CRLfile", "crl.pem", "-CAfile", "ca/root.pem", "-untrusted",
                               "ca/intermediate.pem", "www.pem"], cwd=self.place, capture_output=True, timeout=20 * SLOW)

    def ocsp(self, *words):
        address = openssl("x509", "-in", self.file("www.pem"), "-noout", "-ocsp_uri").decode().strip()
        done = subprocess.run(["openssl", "ocsp", "-issuer", "ca/intermediate.pem", "-CAfile", "ca/root.pem", "-cert", "www.pem", "-url",
                               address, *words], cwd=self.place, capture_output=True, timeout=20 * SLOW)
        assert done.returncode == 0 and b"Response verify OK" in done.stderr, done.stderr.decode()
        return done.stdout.decode()


@pytest.fixture
def served(start_door, pki, tmp_path):
    return Served(start_door, pki, tmp_path)


def test_revocation_is_in_the_next_answer(served):
    """By CRL and by OCSP, with a nonce and without, right behind an answer that said good and was kept."""
    assert served.verify().returncode == 0
    assert "www.pem: good" in served.ocsp() and "www.pem: good" in served.ocsp("-no_nonce")
    served.ca("revoke", "www.pem", "--reason", "keyCompromise")
    assert b"certificate revoked" in served.verify().stderr
    for words in ([], ["-no_nonce"]):
        said = served.ocsp(*words)
        assert "www.pem: revoked" in said and "keyCompromise" in said


def test_certificates(served, pki):
    """What a certificate names as its issuer is there; so are the root and a page, within TLS too."""
    address = served.said("www.pem", "authorityInfoAccess").partition("CA Issuers - URI:")[2].split()[0]
    served.file("issuer.der").write_bytes(served.fetch(address))
    openssl("x509", "-inform", "DER", "-in", served.file("issuer.der"), "-out", served.file("issuer.pem"))
    served.file("root.pem").write_bytes(served.fetch(f"{served.url}/root.pem"))
    openssl("verify", "-CAfile", served.file("root.pem"), "-untrusted", served.file("issuer.pem"), served.file("www.pem"))
    page = curl_door(served.door, "https://ca.test:{port}/ca/", ca=pki.ca.file).stdout.decode()
    digest = openssl("x509", "-in", served.file("ca/root.pem"), "-noout", "-fingerprint", "-sha256").decode()
    assert "Example root CA" in page and digest.partition("=")[2].strip().replace(":", "").lower() in page
    assert b"404" in curl(f"{served.url}/intermediate.key", "-o", "/dev/null", "-w", "%{http_code}").stdout


def test_get(served):
    """OCSP by GET, as stapling servers ask: an answer that caches may keep, the same until it is half over."""
    openssl("ocsp", "-issuer", served.file("ca/intermediate.pem"), "-cert", served.file("www.pem"), "-no_nonce", "-reqout",
            served.file("q.der"))
    text = openssl("base64", "-A", "-in", served.file("q.der")).decode().strip()
    path = f"{served.url}/ocsp/{text.replace('+', '%2B').replace('/', '%2F').replace('=', '%3D')}"
    head = curl(path, "--head").stdout.decode()
    assert "application/ocsp-response" in head and "max-age=300" in head and "ETag" in head, head
    served.file("r.der").write_bytes(served.fetch(path))
    assert served.fetch(path) == served.file("r.der").read_bytes()
    said = openssl("ocsp", "-respin", served.file("r.der"), "-issuer", served.file("ca/intermediate.pem"), "-CAfile",
                   served.file("ca/root.pem"), "-no_nonce", "-cert", served.file("www.pem")).decode()
    assert "www.pem: good" in said


def test_wrong_address_is_told(start_door, pki, tmp_path):
    """Certificates that say CRL and OCSP are elsewhere than the door serves them: it says so when it starts."""
    served = Served(start_door, pki, tmp_path, url="/elsewhere")
    told = served.door.process.output()
    assert "/elsewhere, and the door serves CRL and OCSP below /ca: cardea ca set" in told, told
