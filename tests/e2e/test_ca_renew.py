# SPDX-License-Identifier: Apache-2.0
"""cardea ca renew, and a door that takes a new intermediate, and new settings of its CA, when it is reloaded. OpenSSL and
lego judge."""
import json
import sqlite3
import subprocess

import pytest

from acme import DEVICE, Acme
from authority import Ca
from peers import curl
from pki import openssl
from run import CARDEA, free_port, run, wait_until
from test_acme_clients import done, lego, lego_chain


@pytest.fixture
def ca(tmp_path):
    return Ca(tmp_path)


def verify(ca, name, issuer, *words):
    return subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", "ca/root.pem", "-untrusted", f"ca/{issuer}.pem", *words, name],
                          cwd=ca.place, capture_output=True, check=False)


def shown(ca):
    return json.loads(ca.run("show", "--json"))


def renew(ca, *words, code=0):
    return ca.run("renew", "--root-passphrase-file", ca.secret, *words, code=code)


def test_another_key(tmp_path):
    """Limits stay, the log is whole; each issuer has a CRL with what it has issued and nothing else."""
    ca = Ca(tmp_path, "--permit", "dns:example.com", "--url", "http://ca.example.com", "--key", "p384", passphrase="one that is kept")
    ca.run("issue", "a.example.com", *ca.words)
    assert "intermediate-2.pem: Example CA 2 issues now" in renew(ca, *ca.words)
    assert "not the passphrase" in ca.run("renew", *ca.words, "--root-passphrase-file", ca.passphrase, code=1)
    ca.run("issue", "b.example.com", *ca.words)
    assert verify(ca, "b.example.com.pem", "intermediate-2").returncode == 0
    assert (tmp_path / "b.example.com.pem").read_text().endswith((ca.directory / "intermediate-2.pem").read_text())
    text = openssl("x509", "-in", tmp_path / "b.example.com.pem", "-noout", "-text").decode()
    assert "http://ca.example.com/crl-2.der" in text and "http://ca.example.com/intermediate-2.der" in text
    assert "name constraints" in ca.run("issue", "b.example.org", *ca.words, code=1)
    assert openssl("pkey", "-in", ca.directory / "intermediate-2.key", "-passin", "pass:one that is kept", "-text", "-noout").count(b"P-384") == 1
    for name in "ab":
        ca.run("revoke", f"{name}.example.com.pem")
    ca.run("crl", "--out", "all.crl", *ca.words)
    for name, issuer in (("a", "intermediate"), ("b", "intermediate-2")):
        assert b"certificate revoked" in verify(ca, f"{name}.example.com.pem", issuer, "-crl_check", "-CRLfile", "all.crl").stderr
    lists = (tmp_path / "all.crl").read_text().split("-----END X509 CRL-----\n")[:-1]
    assert len(lists) == 2
    for text in lists:
        (tmp_path / "one.crl").write_text(text + "-----END X509 CRL-----\n")
        assert openssl("crl", "-in", tmp_path / "one.crl", "-noout", "-text").count(b"Serial Number:") == 1
    assert shown(ca)["issuers"] == 2
    assert "before it: Example CA, until" in ca.run("show")
    assert shown(ca)["head"] == json.loads(ca.run("audit", "--json"))["head"]


def test_the_same_key(ca):
    """What the first certificate vouches for the second does too; there is one CRL."""
    ca.run("issue", "a.example.com")
    assert "are for another one" in ca.run("renew", "--same-key", "--key", "p384", code=2)
    renew(ca, "--same-key", "--lifetime", "400d")
    assert shown(ca)["issuers"] == 1 and shown(ca)["intermediate"]["file"] == "intermediate-2.pem"
    ca.run("issue", "b.example.com")
    for name in "ab":
        for issuer in ("intermediate", "intermediate-2"):
            assert verify(ca, f"{name}.example.com.pem", issuer).returncode == 0
    assert ca.run("crl").count("BEGIN X509 CRL") == 1
    renew(ca)
    assert shown(ca)["intermediate"]["name"] == "Example CA 3" and shown(ca)["issuers"] == 2
    ca.run("audit")


def test_a_lifetime_beyond_the_root_s_is_cut_and_told(ca):
    words = ("renew", "--root-passphrase-file", ca.secret, "--lifetime")
    assert "cut" not in ca.warned(*words, "400d")
    said = ca.warned(*words, "20000d")
    assert "the lifetime is cut to the end of the root, " in said
    told = json.loads(ca.run(*words, "20000d", "--json"))
    assert told["cut"] and told["not_after"] == shown(ca)["root"]["not_after"] and told["not_after"] in said
    assert not json.loads(ca.run(*words, "400d", "--json"))["cut"]


def test_files_that_the_log_does_not_know(ca):
    """What a crash has left is neither used nor overwritten; and the root's key may be elsewhere."""
    (ca.directory / "intermediate-2.key").write_text("left over\n")
    (ca.directory / "root.key").rename(ca.place / "safe.key")
    assert "root.key" in renew(ca, code=1)
    assert "intermediate-3.pem" in renew(ca, "--root-key", ca.place / "safe.key")
    assert (ca.directory / "intermediate-2.key").read_text() == "left over\n"
    (ca.place / "other").mkdir()
    other = Ca(ca.place / "other")
    assert "not the key of the certificate" in renew(ca, "--root-key", other.directory / "root.key", code=1)
    (ca.directory / "intermediate-3.pem").write_bytes((ca.directory / "intermediate.pem").read_bytes())
    assert "intermediate-3.pem is not the certificate that the log has at row" in ca.run("audit", code=1)


class Roots:
    """Files with one root each, as clients have them that got it at different times."""

    def __init__(self, ca):
        self.ca, self.files = ca, []
        self.note()

    def note(self):
        """The latest one stands first in root.pem."""
        end = "-----END CERTIFICATE-----\n"
        text = (self.ca.directory / "root.pem").read_text().partition(end)[0] + end
        self.files.append(self.ca.place / f"only-root-{len(self.files) + 1}.pem")
        self.files[-1].write_text(text)

    def believe(self, name, at=None, *words):
        """Which of them (all, or what `at` names) believe in what is sent: the leaf with what stands behind it."""
        sent = self.ca.place / name
        asked = self.files if at is None else [at]
        return [subprocess.run(["openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", root, "-untrusted", sent, *words,
                                sent], capture_output=True, check=False).returncode == 0 for root in asked]


def renew_root(ca, *words, code=0):
    return ca.run("renew", "--root", "--root-passphrase-file", ca.secret, *words, code=code)


def test_another_root(ca):
    """Whoever trusts the first, the second or the third alone believes in what any of them has issued since."""
    roots = Roots(ca)
    ca.run("issue", "before.example.com")
    told = json.loads(renew_root(ca, "--json"))
    roots.note()
    assert told["file"] == "root-2.pem" and told["name"] == "Example root CA 2" and shown(ca)["root"]["sha256"] == told["sha256"]
    assert "before it: Example root CA, until" in ca.run("show")
    assert (ca.directory / "root.pem").read_text() == "".join(roots.files[i].read_text() for i in (1, 0))
    assert "ENCRYPTED PRIVATE KEY" in (ca.directory / "root-2.key").read_text()
    ca.run("issue", "between.example.com")
    assert shown(ca)["intermediate"]["file"] == "intermediate.pem"
    renew(ca)
    ca.run("issue", "after.example.com")
    assert roots.believe("before.example.com.pem") == [True, False]
    assert roots.believe("before.example.com.pem", ca.directory / "root.pem") == [True]
    for name in ("between", "after"):
        assert roots.believe(f"{name}.example.com.pem") == [True, True]
        for root in roots.files:  # GnuTLS thinks so, too
            done = run("certtool", "--verify", "--load-ca-certificate", root, "--infile", ca.place / f"{name}.example.com.pem")
            assert done.returncode == 0, done.stdout
    assert b"Issuer: CN = Example root CA 2\n" in openssl("x509", "-in", ca.directory / "intermediate-2.pem", "-noout", "-issuer", "-text")
    fresh = ca.place / "fresh"
    fresh.write_text("another passphrase\n")
    fresh.chmod(0o600)
    renew_root(ca, "--new-root-passphrase-file", fresh, "--key", "p384", "--lifetime", "8000d")
    roots.note()
    assert "not the passphrase" in renew(ca, code=1)
    ca.secret = fresh
    renew(ca, "--same-key")
    ca.run("issue", "last.example.com")
    for name in ("after", "last"):
        assert roots.believe(f"{name}.example.com.pem") == [True, True, name == "last"]
    assert shown(ca)["root"]["key"] == "P-384" and shown(ca)["intermediate"]["name"] == "Example CA 2"
    for name in ("before", "last"):
        ca.run("revoke", f"{name}.example.com.pem")
    ca.run("crl", "--out", "all.crl")
    for root in roots.files[:2]:
        assert roots.believe("last.example.com.pem", root, "-crl_check", "-CRLfile", ca.place / "all.crl") == [False]
        assert roots.believe("after.example.com.pem", root, "-crl_check", "-CRLfile", ca.place / "all.crl") == [True]
    assert shown(ca)["head"] == json.loads(ca.run("audit", "--json"))["head"]


def test_what_a_root_needs_to_be_believed(ca):
    """Nothing is made without the key of the one before; root.pem follows the log; a row that no root vouches for is none."""
    other = ca.place / "other"
    other.write_text("guessed\n")
    other.chmod(0o600)
    assert "not the passphrase" in ca.run("renew", "--root", "--root-passphrase-file", other, code=1)
    assert not (ca.directory / "root-2.pem").exists() and shown(ca)["root"]["file"] == "root.pem"
    for words, why in ((["--same-key"], "are for an intermediate"), (["--generate"], "generate where?"),
                       (["--new-root-key", "root.key"], "is no key in a token")):
        assert why in renew_root(ca, *words, code=2 if "key" not in why else 1)
    assert "go with --root" in renew(ca, "--new-root-key", "pkcs11:object=x", code=2)
    (ca.directory / "root-2.key").write_text("left over\n")
    first = (ca.directory / "root.pem").read_bytes()
    renew_root(ca)
    assert shown(ca)["root"]["file"] == "root-3.pem" and (ca.directory / "root-2.key").read_text() == "left over\n"
    both = (ca.directory / "root.pem").read_bytes()
    (ca.directory / "root.pem").write_bytes(first)
    assert "lacks the latest root" in ca.run("audit", code=1)
    renew(ca)
    assert (ca.directory / "root.pem").read_bytes() == both
    ca.run("audit")
    (ca.place / "elsewhere").mkdir()
    stranger = openssl("x509", "-in", Ca(ca.place / "elsewhere").directory / "root.pem", "-outform", "der")
    db = sqlite3.connect(ca.directory / "ca.db", isolation_level=None)
    db.row_factory = sqlite3.Row
    row = dict(db.execute("SELECT * FROM log WHERE detail LIKE 'root-3%'").fetchone())
    row |= {"row": db.execute("SELECT max(row) + 1 FROM log").fetchone()[0], "detail": "root-4.pem root-4.key", "content": stranger}
    db.execute(f"INSERT INTO log ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    db.close()
    assert "no root before vouches for" in ca.run("show", code=1)


def test_a_door_with_two_roots(start_door, tmp_path):
    """It gives out both, proves itself to who has either, and lets in clients by either, as they are."""
    ca = Ca(tmp_path)
    roots = Roots(ca)
    ca.run("issue", "alice", "--profile", "client")
    renew_root(ca)
    roots.note()
    renew(ca)
    both = (ca.directory / "root.pem").read_bytes()
    (ca.directory / "root.pem").write_bytes(roots.files[0].read_bytes())  # as a crash would have left it
    ca.run("issue", "www.example.com")
    ca.run("issue", "bob", "--profile", "client")
    port = free_port()
    door = start_door({"certificates": [{"certificate": str(tmp_path / "www.example.com.pem"), "key": str(tmp_path / "www.example.com.key")}],
                       "ca": {"directory": str(ca.directory)},
                       "trust": [{"name": "first", "ca": str(roots.files[0])}],
                       "policy": [{"name": "all", "who": {"any": True}}],
                       "routes": [{"name": "plain", "listeners": ["plain"], "serve": ["ca"]},
                                  {"name": "first", "sni": "www.example.com", "listeners": ["main"], "serve": ["ca"],
                                   "clients": {"mode": "required", "trust": "first"}}]},
                      listeners=[{"name": "plain", "address": f"127.0.0.1:{port}", "speaks": "plain"}])
    assert (ca.directory / "root.pem").read_bytes() == both
    assert curl(f"http://127.0.0.1:{port}/ca/root.pem", "--fail").stdout == both
    for root in roots.files:
        for who in ("alice", "bob"):
            got = curl(f"https://www.example.com:{door.port}/ca/root.pem", "--fail", "--resolve", f"www.example.com:{door.port}:127.0.0.1",
                       "--cacert", root, "--cert", tmp_path / f"{who}.pem", "--key", tmp_path / f"{who}.key")
            assert got.returncode == 0, got.stderr
    renew_root(ca)
    roots.note()
    door.reload()
    wait_until(lambda: "ca: who trusts Example root CA 3 believes" in door.process.output(), "the third root")
    wait_until(lambda: curl(f"http://127.0.0.1:{port}/ca/root.pem").stdout == (ca.directory / "root.pem").read_bytes(), "all three")


def test_its_end_is_told(start_door, pki, tmp_path):
    """By the commands, and by a door that takes the new intermediate without a restart and answers for both."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/ca"
    ca = Ca(tmp_path, "--url", url)
    ca.run("issue", "a.example.com")
    door = start_door({"certificates": [pki.server("ca.test").row()], "ca": {"directory": str(ca.directory)},
                       "routes": [{"name": "plain", "listeners": ["plain"], "serve": ["ca"]}]},
                      listeners=[{"name": "plain", "address": f"127.0.0.1:{port}", "speaks": "plain"}])

    def end(which):
        text = door.get("/metrics")[1]
        return int(text.split(f'cardea_ca_not_after_seconds{{certificate="{which}"}} ')[1].split()[0])

    def status(name, issuer):
        said = openssl("ocsp", "-issuer", ca.directory / f"{issuer}.pem", "-CAfile", ca.directory / "root.pem", "-cert",
                       ca.place / f"{name}.example.com.pem", "-url", f"{url}/ocsp").decode()
        return said.split("example.com.pem: ")[1].split()[0]

    before, pid = end("intermediate"), door.process.pid
    assert end("root") > before
    renew(ca, "--lifetime", "140s")
    assert ca.warned("issue", "b.example.com").count("the lifetime is cut") == 1
    assert "near its end" in ca.warned("list") and "near its end" in ca.warned("show")
    door.reload()
    for words in ("ca: Example CA 2 issues from now on", "ca: the intermediate is good until"):
        wait_until(lambda: words in door.process.output(), words)
    listed = run(CARDEA, "cert", "ls", "--socket", door.socket)
    assert listed.returncode == 0 and b"the intermediate of the door's CA is near its end" in listed.stderr, listed
    assert door.get_json("/ca")["intermediate"] == {"not_after": end("intermediate"), "ending": True}
    assert end("intermediate") < before and door.process.pid == pid
    assert (status("a", "intermediate"), status("b", "intermediate-2")) == ("good", "good")
    assert status("a", "intermediate-2") == "unknown"
    for name in "ab":
        ca.run("revoke", f"{name}.example.com.pem")
    assert (status("a", "intermediate"), status("b", "intermediate-2")) == ("revoked", "revoked")
    for suffix in ("", "-2"):
        assert curl(f"{url}/crl{suffix}.der", "--fail").returncode == 0
        pem = curl(f"{url}/intermediate{suffix}.pem", "--fail").stdout
        assert pem == (ca.directory / f"intermediate{suffix}.pem").read_bytes()
    page = curl(f"{url}/", "--fail").stdout.decode()
    assert "Who has issued before" in page and "crl.der: Example CA" in page


def test_rules_are_reloaded(start_door, pki, tmp_path):
    """Rules, profiles and the file of keys reach the ACME server that runs; so does an intermediate."""
    words = ["--http", "--http.port", "127.0.0.1:0", "-d", "d7.devices.example.com"]
    rule = {"accounts": ["eab:device-*"], "names": ["*.devices.example.com"], "trusted": True}
    acme = Acme(start_door, pki, tmp_path, rules=[{**rule, "names": ["*.printers.example.com"]}])
    port = acme.port
    eab = ["--eab", "--kid", DEVICE["id"], "--hmac", DEVICE["key"], *words]
    try:
        refused = lego(acme, *eab)
        assert refused.returncode != 0 and b"rejectedIdentifier" in refused.stderr, refused.stderr
        acme.settings["rules"] = [rule]
        acme.door.reload(acme.config(port))
        assert "started anew" not in acme.door.process.output()
        done(lego(acme, *eab))
        acme.check(lego_chain(acme, "d7.devices.example.com"), "d7.devices.example.com")
        keys = tmp_path / "other.keys"
        keys.write_text(f"device-9 {DEVICE['key']}\n")
        keys.chmod(0o600)
        acme.settings |= {"eab_file": str(keys), "profiles": [{"name": "brief", "kind": "server", "lifetime": "1h"}]}
        acme.door.reload(acme.config(port))
        assert lego(acme, *eab, path="again").returncode != 0
        eab[2] = "device-9"
        done(lego(acme, *eab, path="other"))
        brief = lego_chain(acme, "d7.devices.example.com", path="other")
        assert subprocess.run(["openssl", "x509", "-in", brief, "-noout", "-checkend", "7200"], check=False).returncode == 1
        acme.settings["eab_file"] = str(tmp_path / "acme.keys")
        acme.door.configure({**acme.config(port), "ca": {**acme.config(port)["ca"], "directory": str(tmp_path / "elsewhere")}})
        assert "the settings of ca stay what they were" in acme.door.cli("reload").stderr.decode() + acme.door.process.output()
    finally:
        acme.stop()
