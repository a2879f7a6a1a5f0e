# SPDX-License-Identifier: Apache-2.0
"""Private keys that stay in a token (PKCS#11, RFC 7512): SoftHSM, by way of p11-kit."""
import os
import shutil
from pathlib import Path

import pytest
import tls
from pki import Cert
from run import CARDEA, run
from tokens import PIN, Token

pytestmark = pytest.mark.skipif(shutil.which("softhsm2-util") is None, reason="no SoftHSM here: run scripts/deps test")


@pytest.fixture
def token(tmp_path):
    return Token(tmp_path)


def config(pki, *certs):
    return {"certificates": [cert.row() for cert in certs],
            "routes": [{"name": "web", "sni": "door.test", "terminate": {"to": ["127.0.0.1:9"]}}]}


@pytest.mark.parametrize("kind, group", [("ec", "ECDSA+SHA256"), ("p384", "ECDSA+SHA384"), ("rsa", "RSA-PSS+SHA256")])
def test_the_door_serves(start_door, pki, token, kind, group):
    """TLS 1.3 and 1.2, verified by OpenSSL; and again after a reload, which opens the token anew."""
    cert = token.keep(pki.server("door.test", key=kind), kind)
    door = start_door(config(pki, cert), env={**os.environ, **token.env})
    for _ in range(2):
        for flags in (["-tls1_3", "-sigalgs", group], ["-tls1_2"]):
            said = tls.s_client(door, "door.test", *flags, "-CAfile", pki.ca.file, "-verify_return_error")
            assert said.done and "Verify return code: 0" in said.text, said.text
        door.reload()


def test_rsa_of_pkcs1(start_door, pki, token):
    """TLS 1.2 with a client that knows PKCS #1 v1.5 only: the token pads."""
    door = start_door(config(pki, token.keep(pki.server("door.test", key="rsa"), "rsa")), env={**os.environ, **token.env})
    said = tls.s_client(door, "door.test", "-tls1_2", "-sigalgs", "RSA+SHA256", "-CAfile", pki.ca.file, "-verify_return_error")
    assert said.done and "Verify return code: 0" in said.text, said.text


def test_connect_with_a_key_in_a_token(start_door, pki, token, echo, connect, tmp_path):
    """The client's key, too; such calls do not share."""
    door = start_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": [f"127.0.0.1:{echo.port}"]}]})
    done = run(CARDEA, "connect", "--door", door.address, "--name", "door.test", "--ca", pki.ca.file,
               "--cert", pki.alice.certificate, "--key", token.keep(pki.alice, "alice").key, f"127.0.0.1:{echo.port}",
               input=b"through", env={**os.environ, **token.env, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, b"through"), done.stderr


def test_what_is_wrong_is_said(pki, token, tmp_path):
    """Each mistake has words of its own, and none tells the PIN."""
    good = pki.server("door.test")
    token.keep(good, "web")
    token.keep(pki.server("other.test"), "other")
    token.keep(pki.server("third.test"), "twice")
    token.keep(pki.server("fourth.test"), "twice", number="0f")
    rows = [
        (token.uri("nobody"), "no token has such a private key"),
        (token.uri("web", query=""), "no token has such a private key"),
        (token.uri("twice"), "more than one private key"),
        (token.uri("other"), "not the key of the first certificate"),
        (token.uri("web", query=f"pin-value={PIN}"), "put it into a file"),
        (token.uri("web", query="pin-source=file:/nonexistent"), "/nonexistent"),
        ("pkcs11:token=%zz", "not a PKCS#11 URI"),
    ]
    path = tmp_path / "cardea.yaml"

    def check(uri):
        import json
        path.write_text(json.dumps({**config(pki, Cert(good.certificate, uri)), "listeners": [{"address": "127.0.0.1:1"}]}))
        done = run(CARDEA, "serve", "--check", "-c", path, env={**os.environ, **token.env})
        text = (done.stdout + done.stderr).decode()
        assert PIN not in text and "31415926" not in text
        return done.returncode, text
    for uri, why in rows:
        code, text = check(uri)
        assert code == 1 and why in text, text
    token.put_pin("31415926")
    code, text = check(token.uri("web"))
    assert code == 1 and "does not take the PIN" in text, text
    token.put_pin(PIN, mode=0o644)
    code, text = check(token.uri("web"))
    assert code == 1 and "other users may use this PIN" in text, text
    token.put_pin(PIN)
    assert check(token.uri("web"))[0] == 0
    assert Path(token.pin).exists()
