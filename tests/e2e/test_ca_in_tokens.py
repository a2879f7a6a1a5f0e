# SPDX-License-Identifier: Apache-2.0
"""A CA whose keys are in a token (PKCS#11): SoftHSM keeps them, OpenSSL, ssh and sshd judge what is signed with them."""
import json
import os
import shutil
import subprocess

import pytest

from authority import Ca, CertifiedSshd
from peers import curl
from pki import openssl
from run import CARDEA, free_port, run
from tokens import PIN, Token
from typed import typed

pytestmark = pytest.mark.skipif(shutil.which("softhsm2-util") is None, reason="no SoftHSM here: run scripts/deps test")


@pytest.fixture
def token(tmp_path, monkeypatch):
    made = Token(tmp_path)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    return made


def in_token(token, *words, query=None):
    """The options that put all keys of a CA there."""
    keys = [word for which in ("root", "intermediate", "ssh-user", "ssh-host")
            for word in (f"--{which}-key", token.uri(which, query))]
    return [*keys, *words]


@pytest.mark.parametrize("kind", ["p384", "rsa3072"])
def test_all_of_it(start_door, pki, token, tmp_path, kind):
    """Keys are made there; certificates, CRL, OCSP and SSH are signed there, by the commands and by the door."""
    ca = Ca(tmp_path, *in_token(token, "--generate", "--key", kind), "--url", f"http://127.0.0.1:{(port := free_port())}/ca",
            root_in_file=False)
    for file in ("root.key", "intermediate.key", "ssh_user_ca.key", "ssh_host_ca.key"):
        assert (ca.directory / file).read_text().startswith("pkcs11:token=door%20token;object=")
    assert "keys: in a token\n" in ca.run("show")
    shown = json.loads(ca.run("show", "--json"))
    assert shown["intermediate"]["token"] == "pkcs11:token=door%20token;object=intermediate" and not shown["locked"]
    ca.run("issue", "www.example.com")
    ca.verify("www.example.com.pem", "-purpose", "sslserver")
    ca.run("revoke", "www.example.com.pem")
    ca.run("crl", "--out", "list.crl")
    said = subprocess.run(["openssl", "verify", "-crl_check", "-CRLfile", "list.crl", "-CAfile", "ca/root.pem", "-untrusted",
                           "ca/intermediate.pem", "www.example.com.pem"], cwd=tmp_path, capture_output=True, check=False)
    assert b"certificate revoked" in said.stderr
    door = start_door({"certificates": [pki.server("ca.test").row()], "ca": {"directory": str(ca.directory)},
                       "routes": [{"name": "plain", "listeners": ["plain"], "serve": ["ca"]}]},
                      listeners=[{"name": "plain", "address": f"127.0.0.1:{port}", "speaks": "plain"}])
    refused = ca.run("renew", code=1)
    assert "in a token (pkcs11:token=door%20token;object=intermediate)" in refused and "--intermediate-key pkcs11:" in refused
    assert not (ca.directory / "intermediate-2.key").exists()
    ca.run("renew", "--intermediate-key", token.uri("second"), "--generate")
    door.reload()
    ca.run("issue", "later.example.com")
    openssl("verify", "-x509_strict", "-CAfile", ca.directory / "root.pem", "-untrusted", ca.directory / "intermediate-2.pem",
            ca.place / "later.example.com.pem")
    for name, issuer, status in (("www", "intermediate", "revoked"), ("later", "intermediate-2", "good")):
        said = openssl("ocsp", "-issuer", f"{ca.directory}/{issuer}.pem", "-CAfile", ca.directory / "root.pem", "-cert",
                       ca.place / f"{name}.example.com.pem", "-url", f"http://127.0.0.1:{port}/ca/ocsp").decode()
        assert f": {status}" in said
    assert curl(f"http://127.0.0.1:{port}/ca/crl.pem", "--fail").stdout.count(b"BEGIN X509 CRL") == 2
    ca.run("audit")


def test_ssh(token, tmp_path):
    """With P-256: tokens' Ed25519 is not used."""
    ca = Ca(tmp_path, *in_token(token, "--generate"), root_in_file=False)
    server = CertifiedSshd(ca, tmp_path / "sshd")
    try:
        said = json.loads(ca.run("issue", "--ssh", "user", server.directory / "user_key.pub", "--principal", server.user, "--json"))
        done = server.login("echo", "hello")
        assert done.stdout == b"hello\n", done.stderr.decode() + server.process.output()
        ca.run("revoke", said["serial"])
        ca.run("crl", "--krl", "--out", server.directory / "revoked.krl")
        assert server.login("true").returncode != 0
    finally:
        server.stop()
    # Out of the token by an explicit word only, and then encrypted by the first passphrase that is given.
    secret = tmp_path / "passphrase"
    secret.write_text("of the files\n")
    secret.chmod(0o600)
    ca.run("renew", "--key", "p384", "--passphrase-file", secret)
    assert "ENCRYPTED PRIVATE KEY" in (ca.directory / "intermediate-2.key").read_text()
    assert "keys: in a token, others encrypted\n" in ca.run("show")


def test_another_root(token, tmp_path):
    """Made in the token by the one that is there; and it does not leave it without a word."""
    ca = Ca(tmp_path, *in_token(token, "--generate"), root_in_file=False)
    assert "give --new-root-key pkcs11:" in ca.run("renew", "--root", code=1)
    first = (ca.directory / "root.pem").read_bytes()
    ca.run("renew", "--root", "--new-root-key", token.uri("root-two"), "--generate")
    assert json.loads(ca.run("show", "--json"))["root"]["token"].endswith("object=root-two")
    ca.run("renew", "--intermediate-key", token.uri("second"), "--generate")
    ca.run("issue", "www.example.com")
    (tmp_path / "first.pem").write_bytes(first)
    for root in ("first.pem", "ca/root-2.pem"):
        openssl("verify", "-x509_strict", "-CAfile", tmp_path / root, "-untrusted", tmp_path / "www.example.com.pem",
                tmp_path / "www.example.com.pem")
    ca.run("renew", "--root", "--new-root-passphrase-file", ca.secret)
    assert "ENCRYPTED PRIVATE KEY" in (ca.directory / "root-3.key").read_text()
    ca.run("audit")


def test_keys_that_are_there(token, tmp_path, pki):
    """Without --generate; a PIN that no URI tells of is asked for, and what is wrong is said."""
    for which in ("root", "intermediate"):
        token.keep(pki.server(f"{which}.test", key="p384"), which)
    uris = ["--root-key", token.uri("root", ""), "--intermediate-key", token.uri("intermediate", "")]
    said, code = typed([CARDEA, "ca", "init", "ca", *uris], tmp_path, PIN)
    assert code == 0 and PIN not in said, said
    said, code = typed([CARDEA, "ca", "issue", "a.example.com", "--dir", "ca"], tmp_path, PIN)
    assert code == 0 and "PIN of the token" in said and PIN not in said, said
    openssl("verify", "-CAfile", tmp_path / "ca/root.pem", "-untrusted", tmp_path / "ca/intermediate.pem", tmp_path / "a.example.com.pem")
    assert json.loads(run(CARDEA, "ca", "show", "--json", "--dir", tmp_path / "ca").stdout)["root"]["key"] == "P-384"
    rows = [
        (["--root-key", token.uri("nobody")], "no token has such a private key"),
        (["--root-key", token.uri("root"), "--generate"], "there is such a key already"),
        (["--root-key", token.uri("new"), "--generate", "--key", "ML-DSA-65"], "no ML-DSA-65 key can be made in a token"),
        (["--root-key", token.uri("new"), "--generate", "--key", "ed25519"], "keep a key of that kind in its file"),
        (["--root-key", "root.key"], "is no key in a token"),
        (["--root-key", f"pkcs11:token=nowhere;object=x?pin-source={token.pin}", "--generate"], "there is no such token"),
        (["--root-key", f"pkcs11:token=door%20token?pin-source={token.pin}", "--generate"], "a new key needs a place and a name"),
    ]
    for words, why in rows:
        done = run(CARDEA, "ca", "init", tmp_path / "other", *words, env=os.environ)
        assert done.returncode == 1 and why in done.stderr.decode(), (words, done.stderr.decode())
        assert not (tmp_path / "other").exists()
