# SPDX-License-Identifier: Apache-2.0
"""cardea ca: a CA from the command line. OpenSSL, ssh and sshd judge what it makes, Python's sqlite3 its log."""
import hashlib
import json
import os
import sqlite3
import struct
import subprocess
import time

import pytest

from authority import Ca, CertifiedSshd
from pki import openssl
from run import CARDEA, SANITIZER, SLOW, run
from typed import typed

# Passphrases are made slow to guess, and slower by a sanitizer.
pytestmark = pytest.mark.skipif(SANITIZER == "thread", reason="one thread")


@pytest.fixture
def ca(tmp_path):
    return Ca(tmp_path)


def test_issue(ca):
    """Files as servers read them; nothing is overwritten, and nothing issued that could not be written."""
    said = ca.run("issue", "www.example.com", "192.0.2.1", "--lifetime", "30d")
    assert said.startswith("www.example.com.pem, www.example.com.key: server, for www.example.com: ")
    ca.verify("www.example.com.pem", "-purpose", "sslserver", "-verify_hostname", "www.example.com", "-verify_ip", "192.0.2.1")
    assert (ca.place / "www.example.com.key").stat().st_mode & 0o777 == 0o600
    assert (ca.place / "www.example.com.pem").read_text().count("BEGIN CERTIFICATE") == 2
    assert "exists already" in ca.run("issue", "www.example.com", code=1)
    assert len(ca.rows()) == 1
    ca.run("issue", "Ada Lovelace", "ada@example.com", "--profile", "client", "--group", "ops", "--out", "ada")
    subject = openssl("x509", "-in", ca.place / "ada.pem", "-noout", "-subject", "-ext", "subjectAltName").decode()
    assert "OU = ops, CN = Ada Lovelace" in subject and "email:ada@example.com" in subject
    ca.verify("ada.pem", "-purpose", "sslclient")
    assert "--out" in ca.run("issue", "*.example.com", code=1)
    ca.run("issue", "*.example.com", "--out", "any", "--key", "rsa2048")
    ca.run("issue", "agent7", "db.example.com", "--profile", "agent", "--key", "ed25519")
    assert [(row["profile"], row["name"], row["names"]) for row in ca.rows()] == [
        ("server", "www.example.com", ["www.example.com", "192.0.2.1"]), ("client", "Ada Lovelace", ["ada@example.com"]),
        ("server", "*.example.com", ["*.example.com"]), ("agent", "agent7", ["db.example.com"])]
    listed = ca.run("list")
    # A day less once the second has passed in which they were issued.
    assert {"29d", "30d"} & set(listed.split()) and {"89d", "90d"} & set(listed.split()) and "Ada Lovelace" in listed


def test_limits(tmp_path):
    """Name constraints hold here, and for whoever verifies a certificate that was made otherwise."""
    ca = Ca(tmp_path, "--permit", "dns:example.com", "--permit", "ip:192.0.2.0/24", "--url", "http://ca.example.com")
    ca.run("issue", "www.example.com", "192.0.2.7")
    text = openssl("x509", "-in", ca.place / "www.example.com.pem", "-noout", "-text").decode()
    assert "OCSP - URI:http://ca.example.com/ocsp" in text and "URI:http://ca.example.com/crl.der" in text
    for name in ("www.example.org", "198.51.100.1"):
        assert "name constraints" in ca.run("issue", name, "--out", "x", code=1)
    assert not (ca.place / "x.pem").exists()
    (ca.place / "ext").write_text("subjectAltName=DNS:www.example.org\n")
    openssl("req", "-new", "-newkey", "ed25519", "-nodes", "-keyout", ca.place / "f.key", "-subj", "/CN=f", "-out",
            ca.place / "f.csr")
    openssl("x509", "-req", "-in", ca.place / "f.csr", "-CA", ca.directory / "intermediate.pem", "-CAkey",
            ca.directory / "intermediate.key", "-extfile", ca.place / "ext", "-out", ca.place / "f.pem")
    done = subprocess.run(["openssl", "verify", "-CAfile", ca.directory / "root.pem", "-untrusted",
                           ca.directory / "intermediate.pem", ca.place / "f.pem"], capture_output=True, check=False)
    assert done.returncode != 0 and b"permitted subtree violation" in done.stderr
    shown = json.loads(ca.run("show", "--json"))
    assert shown["permitted"] == "dns:example.com ip:192.0.2.0/24" and shown["url"] == "http://ca.example.com"
    assert shown["issued"] == shown["valid"] == 1 and not shown["locked"] and "replace" not in shown
    digest = openssl("x509", "-in", ca.directory / "root.pem", "-noout", "-fingerprint", "-sha256").decode()
    assert shown["root"]["sha256"].upper() == digest.partition("=")[2].strip().replace(":", "")
    ca.run("set", "--url", "", "--replace", "all")
    assert "replace" in json.loads(ca.run("show", "--json")) and "to be replaced" in ca.run("show")
    assert "all or none" in ca.run("set", "--replace", "some", code=2)
    ca.run("set", "--replace", "none")
    assert "replace" not in json.loads(ca.run("show", "--json"))
    ca.run("issue", "plain.example.com")
    assert b"URI:" not in openssl("x509", "-in", ca.place / "plain.example.com.pem", "-noout", "-text")


def test_mldsa(tmp_path):
    """OpenSSL 3.0 does not know it; such a chain is verified in tests/unit/test_authority.c."""
    ca = Ca(tmp_path, "--key", "mldsa44")
    ca.run("issue", "pq.example.com", "--key", "mldsa65")
    assert json.loads(ca.run("show", "--json"))["root"]["key"] == "ML-DSA-44"


def make_request(place, *words):
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", place / "q.key",
            "-out", place / "q.csr", *words)


def test_sign(ca):
    """A server's names are those of its request; who a client is, it does not decide."""
    make_request(ca.place, "-subj", "/CN=www.example.com/OU=admins", "-addext", "subjectAltName=DNS:www.example.com",
                 "-addext", "keyUsage=keyCertSign")
    (ca.place / "www.pem").write_text(ca.run("sign", "q.csr"))
    ca.verify("www.pem", "-purpose", "sslserver", "-verify_hostname", "www.example.com")
    text = openssl("x509", "-in", ca.place / "www.pem", "-noout", "-text").decode()
    assert "admins" not in text and "Certificate Sign" not in text
    assert "who is it?" in ca.run("sign", "q.csr", "--profile", "client", code=1)
    ca.run("sign", "q.csr", "bob", "--profile", "client", "--out", "bob.pem")
    subject = openssl("x509", "-in", ca.place / "bob.pem", "-noout", "-subject", "-ext", "subjectAltName").decode()
    assert "CN = bob" in subject and "DNS" not in subject
    assert "exists already" in ca.run("sign", "q.csr", "bob", "--profile", "client", "--out", "bob.pem", code=1)
    ca.run("sign", "q.csr", "other.example.com", "--out", "other.pem")
    ca.verify("other.pem", "-verify_hostname", "other.example.com")


@pytest.mark.parametrize("words, error", [
    (["-addext", "basicConstraints=critical,CA:TRUE"], "asks to be a CA"),
    (["-addext", "subjectAltName=otherName:1.2.3;UTF8:x"], "name 1 of its subjectAltName"),
    (["-addext", "subjectAltName=DNS:a b"], "name 1 of its subjectAltName"),
    (["-addext", "subjectAltName=URI:spiffe://example.org/ops"], "no name of a server"),
    ([], "needs a DNS name or an IP address"),
])
def test_sign_refused(ca, words, error):
    make_request(ca.place, "-subj", "/CN=x", *words)
    assert error in ca.run("sign", "q.csr", code=1)
    assert ca.rows() == []


def test_sign_forged(ca):
    """Somebody else's key under a request."""
    make_request(ca.place, "-subj", "/CN=x", "-addext", "subjectAltName=DNS:x.example.com", "-outform", "DER")
    request = bytearray((ca.place / "q.csr").read_bytes())
    request[-1] ^= 1
    (ca.place / "q.csr").write_bytes(request)
    assert "its signature is not by the key that it holds" in ca.run("sign", "q.csr", code=1)


def crl_check(ca, name):
    done = subprocess.run(["openssl", "verify", "-crl_check", "-CAfile", ca.directory / "root.pem", "-untrusted",
                           ca.directory / "intermediate.pem", "-CRLfile", ca.place / "list.crl", ca.place / name],
                          capture_output=True, check=False)
    return done.returncode == 0, done.stderr.decode()


def test_revoke(ca):
    """By file or serial number; openssl sees it in the CRL."""
    for name in ("good", "bad", "worse"):
        ca.run("issue", f"{name}.example.com", "--out", name)
    assert "is revoked" in ca.run("revoke", "bad.pem", "--reason", "keyCompromise")
    ca.run("revoke", next(row["serial"] for row in ca.rows() if row["name"].startswith("worse")).lower())
    assert "was revoked before" in ca.run("revoke", "bad.pem")
    assert "has issued nothing" in ca.run("revoke", "4711", code=1)
    assert "no serial number" in ca.run("revoke", "nowhere.pem", code=1)
    ca.run("crl", "--out", "list.crl")
    assert crl_check(ca, "good.pem")[0]
    for name in ("bad.pem", "worse.pem"):
        good, why = crl_check(ca, name)
        assert not good and "certificate revoked" in why
    shown = openssl("crl", "-in", ca.place / "list.crl", "-noout", "-text", "-CAfile", ca.directory / "intermediate.pem")
    assert b"Key Compromise" in shown
    ca.run("crl", "--der", "--out", "list.der", "--lifetime", "1d")
    first, second = (int(openssl("crl", "-inform", form, "-in", ca.place / name, "-noout", "-crlnumber").split(b"=")[1], 16)
                     for form, name in (("PEM", "list.crl"), ("DER", "list.der")))
    assert second > first
    assert [row["reason"] for row in ca.rows()] == [None, "keyCompromise", "unspecified"]
    assert "revoked: keyCompromise" in ca.run("list")


def test_passphrases(tmp_path):
    """Encrypted keys: by a file that is kept, or typed without echo."""
    ca = Ca(tmp_path, passphrase="a passphrase of the intermediate")
    assert b"BEGIN ENCRYPTED" in (ca.directory / "intermediate.key").read_bytes()
    ca.run("issue", "a.example.com", *ca.words)
    ca.passphrase.chmod(0o644)
    assert "other users may read this passphrase" in ca.run("issue", "b.example.com", *ca.words, code=1)
    ca.passphrase.chmod(0o600)
    ca.passphrase.write_text("a wrong passphrase\n")
    said = ca.run("issue", "b.example.com", *ca.words, code=1)
    assert "not the passphrase of this key" in said and "wrong passphrase" not in said
    assert len(ca.rows()) == 1, "looking needs none"
    done = subprocess.run(["setsid", CARDEA, "ca", "issue", "b.example.com", "--dir", ca.directory], cwd=ca.place,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 1 and b"no terminal to ask the passphrase at" in done.stderr


def test_typed_passphrases(tmp_path):
    said, code = typed([CARDEA, "ca", "init", "ca"], tmp_path, "correct horse battery", "correct horse battery")
    assert code == 0 and "correct horse" not in said, said
    openssl("pkey", "-in", tmp_path / "ca/root.key", "-passin", "pass:correct horse battery", "-noout")
    said, code = typed([CARDEA, "ca", "init", "other"], tmp_path, "correct horse battery", "another battery")
    assert code == 1 and "the passphrases differ" in said and not (tmp_path / "other").exists()
    said, code = typed([CARDEA, "ca", "init", "other"], tmp_path, "short", "short")
    assert code == 1 and "expected 8 at least" in said
    (tmp_path / "locked").mkdir()
    ca = Ca(tmp_path / "locked", passphrase="one that is typed")
    said, code = typed([CARDEA, "ca", "issue", "a.example.com", "--dir", ca.directory], ca.place, "one that is typed")
    assert code == 0 and "one that is typed" not in said, said


def test_encrypted_keys_are_openssls(tmp_path):
    """PKCS #8 by PBES2 with HMAC-SHA-256: openssl reads ours, and we read its own, and those of old."""
    ca = Ca(tmp_path, passphrase="correct horse battery")
    key, pass_in = ca.directory / "intermediate.key", "pass:correct horse battery"
    shown = openssl("asn1parse", "-in", key)
    assert b"hmacWithSHA256" in shown and b"aes-256-cbc" in shown and b"hmacWithSHA1" not in shown
    public = openssl("pkey", "-in", key, "-passin", pass_in, "-pubout")
    assert public in openssl("x509", "-in", ca.directory / "intermediate.pem", "-noout", "-pubkey")
    for prf in "hmacWithSHA256", "hmacWithSHA1":
        other = tmp_path / "other.key"
        openssl("pkcs8", "-topk8", "-in", key, "-passin", pass_in, "-v2", "aes-256-cbc", "-v2prf", prf, "-passout", pass_in,
                "-out", other)
        other.chmod(0o600)
        other.replace(key)
        ca.run("issue", "a.example.com", "--out", prf, *ca.words)


# The log --------------------------------------------------------------------------------------------------------------

def database(ca):
    return sqlite3.connect(ca.directory / "ca.db", isolation_level=None)


def head(db):
    """The chain as doc/internals/ca-log.md has it."""
    last = bytes(32)
    for row, at, act, who, serial, detail, content, digest in db.execute("SELECT * FROM log ORDER BY row"):
        text = b"cardea ca log 1" + last + struct.pack(">QQ", row, at)
        for part in (act.encode(), who.encode(), serial, detail.encode(), content):
            text += struct.pack(">Q", len(part)) + part
        last = hashlib.sha256(text).digest()
        assert last == digest, row
    return f"{row}:{last.hex()}"


def test_audit(ca):
    """Another language comes to the same head; what it was is found again later."""
    ca.run("issue", "a.example.com")
    ca.run("revoke", "a.example.com.pem", "--reason", "superseded")
    first = json.loads(ca.run("audit", "--json"))
    with database(ca) as db:
        assert first == {"rows": 4, "head": head(db)}
        for forbidden in ("UPDATE log SET who = 'x'", "DELETE FROM log", "INSERT INTO log SELECT 9, at, act, who, serial,"
                          " detail, content, hash FROM log WHERE row = 4"):
            with pytest.raises(sqlite3.IntegrityError, match="the log"):
                db.execute(forbidden)
    ca.run("issue", "b.example.com")
    assert "the log is whole, 5 rows" in ca.run("audit", "--head", first["head"])
    assert "another than the one that was kept" in ca.run("audit", "--head", "4:" + "00" * 32, code=1)
    assert "expected ROW:HASH" in ca.run("audit", "--head", "4:beef", code=2)


@pytest.mark.parametrize("forgery, error", [
    ("UPDATE log SET who = 'cli:nobody' WHERE row = 3", "breaks at row 3: its hash"),
    ("DELETE FROM log WHERE row = 3", "breaks at row 3: it is missing"),
    ("UPDATE log SET row = row + 100 WHERE row > 3; UPDATE log SET row = row - 99 WHERE row > 100; INSERT INTO log SELECT 4, at,"
     " act, who, serial, detail, content, hash FROM log WHERE row = 3", "breaks at row 4: its hash"),
    ("UPDATE certificate SET revoked = 0, reason = 0, revoked_row = NULL", "what was revoked there does not count"),
    ("DELETE FROM log WHERE row = 5", "its end was taken away"),
])
def test_forged_log(ca, forgery, error):
    """Who can write to the database drops the triggers first."""
    ca.run("issue", "a.example.com")
    ca.run("revoke", "a.example.com.pem")
    ca.run("crl", "--out", "list.crl")
    kept = json.loads(ca.run("audit", "--json"))["head"]
    with database(ca) as db:
        for trigger in ("log_stays", "log_is_kept", "log_grows"):
            db.execute(f"DROP TRIGGER {trigger}")
        for statement in forgery.split(";"):
            db.execute(statement)
    assert error in ca.run("audit", "--head", kept, code=1)


def compute_anew(db):
    """What whoever can write to the database does after he has changed it: all hashes are right again."""
    last = bytes(32)
    for row, at, act, who, serial, detail, content, _ in db.execute("SELECT * FROM log ORDER BY row").fetchall():
        text = b"cardea ca log 1" + last + struct.pack(">QQ", row, at)
        for part in (act.encode(), who.encode(), serial, detail.encode(), content):
            text += struct.pack(">Q", len(part)) + part
        last = hashlib.sha256(text).digest()
        db.execute("UPDATE log SET hash = ? WHERE row = ?", (last, row))


SWAP = """PRAGMA foreign_keys = OFF;
UPDATE log SET row = row + 100 WHERE row IN (3, 4); UPDATE log SET row = 107 - (row - 100) - 100 WHERE row > 100;
UPDATE certificate SET row = row + 100; UPDATE certificate SET row = 107 - (row - 100) - 100"""
CUT = "DELETE FROM certificate WHERE row = 4; DELETE FROM log WHERE row = 4"
RELABEL = "UPDATE log SET content = (SELECT content FROM log WHERE row = 3) WHERE row = 4"


@pytest.mark.parametrize("forgery, error", [(SWAP, None), (CUT, None), (RELABEL, "forged at row 4: the certificate has another serial")])
def test_log_that_was_computed_anew(ca, forgery, error):
    """Order and end are shown by a head that was kept, and by nothing else; certificates by their signatures too."""
    for name in "ab":
        ca.run("issue", f"{name}.example.com")
    kept = json.loads(ca.run("show", "--json"))["head"]
    with database(ca) as db:
        for trigger in ("log_stays", "log_is_kept", "log_grows"):
            db.execute(f"DROP TRIGGER {trigger}")
        for statement in forgery.split(";"):
            db.execute(statement)
        compute_anew(db)
    if error is None:
        ca.run("audit")
    else:
        assert error in ca.run("audit", code=1)
    assert ca.run("audit", "--head", kept, code=1)


def test_rows_of_another_log(ca, tmp_path):
    """What another CA has issued does not become ours by being in our log, nor does its intermediate."""
    (tmp_path / "other").mkdir()
    other = Ca(tmp_path / "other")
    ca.run("issue", "a.example.com")
    other.run("issue", "b.example.com")
    with database(other) as db:
        rows = db.execute("SELECT * FROM log").fetchall()
        listed = db.execute("SELECT * FROM certificate").fetchone()
    with database(ca) as db:
        for trigger in ("log_stays", "log_is_kept", "log_grows"):
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute("INSERT INTO log VALUES (4, ?, ?, ?, ?, ?, ?, ?)", rows[2][1:])
        db.execute("INSERT INTO certificate VALUES (4, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", listed[1:])
        compute_anew(db)
    assert "forged at row 4: the certificate is not signed by its issuer" in ca.run("audit", code=1)
    (ca.directory / "intermediate-2.pem").write_bytes((other.directory / "intermediate.pem").read_bytes())
    with database(ca) as db:
        db.execute("INSERT INTO log VALUES (5, ?, 'renew', ?, ?, 'intermediate-2.pem intermediate-2.key', ?, ?)",
                   (rows[1][1], *rows[1][3:5], *rows[1][6:]))
        compute_anew(db)
    assert "the root has not signed the intermediate of row 5" in ca.run("audit", code=1)


def test_lost_database(ca):
    (ca.directory / "ca.db").unlink()
    assert "never made anew" in ca.run("list", code=1)
    assert not (ca.directory / "ca.db").exists()


# SSH ------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def sshd(ca, tmp_path):
    server = CertifiedSshd(ca, tmp_path / "sshd")
    yield server
    server.stop()


def test_ssh(ca, sshd):
    """ssh and sshd believe in each other by the CA alone, until the user's certificate is revoked."""
    key = sshd.directory / "user_key.pub"
    assert sshd.login("true").returncode != 0, "without a certificate"
    ca.run("issue", "--ssh", "user", key, "--principal", "somebody-else")
    assert sshd.login("true").returncode != 0, "for another user"
    said = json.loads(ca.run("issue", "--ssh", "user", key, "--principal", sshd.user, "--id", "ada", "--json"))
    done = sshd.login("echo", "hello")
    assert done.returncode == 0 and done.stdout == b"hello\n", done.stderr.decode() + sshd.process.output()
    assert sshd.login("true", name="other.example.com").returncode != 0, "the host is not that one"
    ca.run("issue", "--ssh", "user", key, "--principal", sshd.user, "--force-command", "echo forced")
    assert sshd.login("echo", "hello").stdout == b"forced\n"
    ca.run("issue", "--ssh", "user", key, "--principal", sshd.user, "--source-address", "192.0.2.0/24")
    assert sshd.login("true").returncode != 0, "from elsewhere"
    ca.run("issue", "--ssh", "user", key, "--principal", sshd.user, "--lifetime", "1s")
    time.sleep(2 * SLOW)
    assert sshd.login("true").returncode != 0, "expired"
    again = json.loads(ca.run("issue", "--ssh", "user", key, "--principal", sshd.user, "--json"))
    assert sshd.login("true").returncode == 0
    ca.run("revoke", said["serial"])
    ca.run("crl", "--krl", "--out", sshd.directory / "revoked.krl")
    assert sshd.login("true").returncode == 0, "another one was revoked"
    ca.run("revoke", again["serial"])
    ca.run("crl", "--krl", "--out", sshd.directory / "revoked.krl")
    assert sshd.login("true").returncode != 0, "revoked"
    profiles = {row["profile"] for row in ca.rows("--all")}
    assert profiles == {"user", "host"}


def test_usage(ca):
    assert "for whom?" in ca.run("issue", "--ssh", "user", "x.pub", code=2)
    assert "expected user or host" in ca.run("issue", "--ssh", "root", "x.pub", "--principal", "x", code=2)
    assert "did you mean 'issue'?" in ca.run("isue", "x", code=2)
    assert "--all does not go with 'audit'" in ca.run("audit", "--all", code=2)
    assert "expected server, client or agent" in ca.run("issue", "x", "--profile", "servre", code=2)
    assert "did you mean 'ML-DSA-44'?" in ca.run("issue", "x", "--key", "mldsa4", code=2)
    assert "expected a time" in ca.run("issue", "x", "--lifetime", "0", code=2)
    assert "398 at most" in ca.run("issue", "x.example.com", "--lifetime", "399d", code=1)
    bare = {key: value for key, value in os.environ.items() if key != "CARDEA_CA_DIR"}
    done = run(CARDEA, "ca", "list", cwd=ca.place, env=bare)
    assert done.returncode == 1 and b"no CA in ." in done.stderr
    assert run(CARDEA, "ca", "list", cwd=ca.directory, env=bare).returncode == 0


def test_users(ca):
    """Accounts are another file's business; here only that they are reached."""
    code = ca.run("user", "add", "ada", "--group", "ops").strip()
    assert code and json.loads(ca.run("user", "list", "--json"))[0]["user"] == "ada"
    assert "nobody waits" in ca.run("pending")
    assert "nobody waits with the code" in ca.run("approve", "nonsense", "--user", "ada", code=1)
