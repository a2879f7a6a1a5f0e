# SPDX-License-Identifier: Apache-2.0
"""Two certificates of files for one name, the second with a key and a CA of its own: it takes over when OCSP or a CRL says
that the first is revoked, when that has expired, and when an operator says so. The CAs are OpenSSL's."""
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from door import Door
from peers import Server
from pki import CA
from responder import Responder
from run import CARDEA, run, wait_until
from staples import status

NAME, OTHER = "www.example.com", "mail.example.com"


class Issuer:
    """A CA below a root of its own, with a responder that serves its CRL, too."""

    def __init__(self, directory, name):
        self.root = CA(directory / name, f"{name} root")
        self.ca = CA(directory / f"{name}-issuer", f"{name} CA", issuer=self.root)
        key = serialization.load_pem_private_key((self.ca.directory / "ca.key").read_bytes(), None)
        self.responder = Responder(x509.load_pem_x509_certificate(open(self.ca.file, "rb").read()), key)

    def issue(self, label, *, names=(NAME,), by="ocsp", must_staple=False, **more):
        words = {"ocsp": f"authorityInfoAccess = OCSP;URI:{self.responder.url}\n",
                 "crl": f"crlDistributionPoints = URI:{self.responder.crl_url}\n"}[by]
        return self.ca.issue(names[0], dns=names, label=label, extra=words + ("tlsfeature = status_request\n" if must_staple else ""),
                             **more)

    def revoke(self, cert):
        self.responder.revoked.add(leaf(cert).serial_number)


def leaf(cert):
    return x509.load_pem_x509_certificate(open(cert.certificate, "rb").read())


class Pair:
    """A door with one name in two files."""

    def __init__(self, directory, backend):
        self.directory, self.backend, self.rows = directory, backend, []
        self.one, self.two = Issuer(directory, "one"), Issuer(directory, "two")
        (directory / "state").mkdir()
        self.door = Door(directory, {})

    def row(self, first, backup, **more):
        return first.row(backup=backup.row(), **more)

    def configure(self, *rows):
        self.door.configure({"state": str(self.directory / "state"), "certificates": list(rows),
                             "admin": {"socket": str(self.door.socket)}, "limits": {"revocation_check": "1s"}, "workers": 2,
                             "routes": [{"name": "web", "terminate": {"to": self.backend.to}}]})

    def start(self, *rows):
        self.configure(*rows)
        self.door.start()

    def stop(self):
        self.door.stop()
        self.one.responder.stop()
        self.two.responder.stop()

    def said(self):
        return self.door.process.output()

    def serves(self, cert, name=NAME):
        return self.leaf(name) == leaf(cert)

    def leaf(self, name=NAME):
        text = run("openssl", "s_client", "-connect", f"127.0.0.1:{self.door.port}", "-servername", name, input=b"").stdout
        begin, end = text.index(b"-----BEGIN"), text.index(b"-----END CERT") + len(b"-----END CERTIFICATE-----")
        return x509.load_pem_x509_certificate(text[begin:end])

    def see(self, cert, name=NAME):
        wait_until(lambda: self.serves(cert, name), self.said, 20, 0.1)
        assert all(self.serves(cert, name) for _ in range(6)), "every worker has it"

    def told(self, row=0):
        return json.loads(run(CARDEA, "cert", "ls", "--json", "--socket", self.door.socket).stdout)["certificates"][row]

    def swap(self, *what):
        return run(CARDEA, "cert", "swap", "--socket", self.door.socket, *what)


@pytest.fixture
def pair(tmp_path):
    backend = Server(lambda sock: sock.recv(65536) and sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    made = Pair(tmp_path, backend)
    yield made
    made.stop()
    backend.stop()


@pytest.mark.parametrize("by", ["ocsp", "crl"])
def test_the_backup_takes_over_when_the_first_is_revoked(pair, by):
    """And stays, over a reload and a restart, until another certificate is in the first one's file."""
    first, backup = pair.one.issue("first", by=by), pair.two.issue("backup")
    pair.start(pair.row(first, backup))
    assert pair.serves(first)
    wait_until(lambda: pair.told()["served"]["revoked"] is False, pair.said, 20, 0.1)
    assert pair.told()["backup"]["issuer"] == "two CA" and not pair.told()["swapped"]
    pair.one.revoke(first)
    pair.see(backup)
    told = pair.told()
    assert told["swapped"] == "revoked" and told["served"]["issuer"] == "two CA" and told["backup"]["state"] == "revoked"
    assert f"{backup.certificate} is served instead" in pair.said()
    assert "swapped: revoked" in run(CARDEA, "cert", "ls", "--socket", pair.door.socket).stdout.decode()
    wait_until(lambda: status(pair.door) == "good", pair.said, 20, 0.2)
    pair.door.reload()
    assert pair.serves(backup)
    pair.one.responder.stop()
    pair.door.stop()
    pair.door.start()
    assert pair.serves(backup) and pair.told()["swapped"] == "revoked"
    # What the configuration names first is served first again once it is another.
    fresh = pair.one.issue("fresh")
    pair.configure(pair.row(fresh, backup))
    pair.door.reload()
    pair.see(fresh)
    assert not pair.told()["swapped"]


def test_swapped_by_hand(pair):
    first, backup = pair.one.issue("first"), pair.two.issue("backup")
    also, spare = pair.two.issue("also", names=(OTHER,)), pair.one.issue("spare", names=(OTHER,))
    pair.start(pair.row(first, backup), pair.row(also, spare))
    for what, then, other, count in (((NAME,), backup, also, 1), (("--all",), first, spare, 2), (("--ca", "one CA"), backup, also, 2),
                                     (("--ca", "two CA"), first, spare, 2), ((NAME,), backup, spare, 1)):
        done = pair.swap(*what)
        assert done.returncode == 0 and f"{count} swapped".encode() in done.stdout, done.stderr
        assert all(pair.serves(then) for _ in range(4)) and pair.serves(other, OTHER)
    assert {pair.told(i)["swapped"] for i in range(2)} == {"operator"}
    pair.door.stop()
    pair.door.start()
    assert pair.serves(backup) and pair.serves(spare, OTHER)
    assert f"certificate {first.certificate} was swapped before this start (operator): {backup.certificate} is served instead" in pair.said()
    told = pair.door.get_json("/status")["certificates"]
    assert [(row["name"], row["instead_of"], row["swapped"]) for row in told] == \
        [(backup.certificate, first.certificate, "operator"), (spare.certificate, also.certificate, "operator")]
    text = run(CARDEA, "status", "--socket", pair.door.socket).stdout.decode()
    assert f"{backup.certificate} (instead of {first.certificate}, swapped: operator)" in text
    explained = run(CARDEA, "explain", "-c", pair.door.config_file, "--sni", NAME, "--json")
    assert json.loads(explained.stdout)["tls"]["certificate"]["label"] == backup.certificate
    for what, words in ((("third.example.com",), f"is for 'third.example.com'; those are for {NAME}, {OTHER}\n"),
                        (("--ca", "three CA"), "is from a CA 'three CA'; those are from 'two CA', 'one CA'\n")):
        done = pair.swap(*what)
        assert done.returncode == 1 and words in done.stderr.decode(), done.stderr


def test_nothing_worse_takes_over(pair):
    first, backup = pair.one.issue("first"), pair.two.issue("backup")
    pair.start(pair.row(first, backup))
    pair.two.revoke(backup)
    wait_until(lambda: pair.told()["backup"]["state"] == "revoked", pair.said, 20, 0.1)
    done = pair.swap(NAME)
    assert done.returncode == 1 and f"{NAME}: the other certificate is revoked" in done.stderr.decode()
    pair.one.revoke(first)
    wait_until(lambda: pair.told()["served"]["state"] == "revoked", pair.said, 20, 0.1)
    assert pair.serves(first)
    assert json.loads(pair.swap("--json", "--all").stdout) == {"swapped": 0, "left": 1}


def test_one_that_has_expired(pair):
    first, backup = pair.one.issue("first", end=-60), pair.two.issue("backup", end=3600)
    pair.start(pair.row(first, backup))
    pair.see(backup)
    assert pair.told()["swapped"] == "expired" and "has expired" in pair.said()


def test_no_staple_where_clients_demand_one(pair):
    """The backup is served meanwhile, and that is no swap."""
    first, backup = pair.one.issue("first", must_staple=True), pair.two.issue("backup")
    pair.one.responder.answers = "none"
    pair.start(pair.row(first, backup))
    pair.see(backup)
    assert not pair.told()["swapped"]
    pair.one.responder.answers = "good"
    pair.see(first)


def test_a_reload_reads_both_files(pair):
    first, backup = pair.one.issue("first"), pair.two.issue("backup")
    pair.start(pair.row(first, backup))
    assert pair.swap(NAME).returncode == 0
    newer = pair.two.issue("newer")
    pair.configure(pair.row(first, newer))
    pair.door.reload()
    pair.see(newer)


def test_what_is_staged_is_not_hidden(pair):
    """What was promoted stands in for both, and what stands by waits behind it."""
    first, backup, promoted = pair.one.issue("first"), pair.two.issue("backup"), pair.two.issue("promoted")
    pair.start(pair.row(first, backup))
    for words in (("stage", promoted.certificate, "--key", promoted.key, "--name", "new"), ("promote",)):
        done = run(CARDEA, "cert", words[0], "--socket", pair.door.socket, *words[1:])
        assert done.returncode == 0, done.stderr
    pair.see(promoted)
    assert pair.swap(NAME).returncode == 0
    assert pair.serves(promoted)
    assert run(CARDEA, "cert", "rollback", "--socket", pair.door.socket).returncode == 0
    pair.see(backup)


def test_a_list_of_swaps_that_is_damaged_is_told_of(pair):
    first, backup = pair.one.issue("first"), pair.two.issue("backup")
    (pair.directory / "state" / "swaps.json").write_text('{"version": 1, "swaps": [{"first": "00"}]}')
    pair.start(pair.row(first, backup))
    assert pair.serves(first) and "swaps.json: not a list of swaps" in pair.said()


def test_what_cannot_stand_by_is_refused(pair):
    first, narrow = pair.one.issue("first", names=(NAME, OTHER)), pair.two.issue("narrow")
    again = pair.one.ca.directory / "again"
    (pair.one.ca.directory / "again.key").write_bytes(open(first.key, "rb").read())
    pair.one.ca.sign(again, NAME, f"subjectAltName = DNS:{NAME},DNS:{OTHER}\n")
    (pair.one.ca.directory / "again.pem").chmod(0o644)
    same = type(first)(f"{again}.pem", first.key)
    for rows, words in (((pair.row(first, narrow),), f"{narrow.certificate} is not for '{OTHER}'"),
                        ((pair.row(first, same),), f"has the key of '{first.certificate}'"),
                        (({"directory": str(pair.directory), "backup": narrow.row()},), "stands alone, found 'backup' beside it"),
                        ((first.row(backup={"certificate": narrow.certificate}),), "key")):
        pair.configure(*rows)
        done = run(CARDEA, "serve", "--check", "-c", pair.door.config_file)
        assert done.returncode == 1 and words in done.stderr.decode(), done.stderr
    pair.door.process = None
