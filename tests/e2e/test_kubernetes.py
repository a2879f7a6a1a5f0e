# SPDX-License-Identifier: Apache-2.0
"""packaging/kubernetes/cert-manager.yaml: fields of cert-manager's API (v1) and no others, and values that the door takes, shown
by clients that do what cert-manager does. cert-manager itself is not run: it needs a cluster."""
import base64
import os
import re
import shutil
import time
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from acme import Acme
from door import to_yaml
from run import CARDEA, ROOT, run

MANIFEST = (ROOT / "packaging/kubernetes/cert-manager.yaml").read_text()
SECRET, ISSUER, CERTIFICATE = yaml.safe_load_all(MANIFEST)
ISSUED = ISSUER["spec"]["acme"]
EAB = {"kid": ISSUED["externalAccountBinding"]["keyID"], "key": SECRET["stringData"]["key"]}
NAME, = CERTIFICATE["spec"]["dnsNames"]

# The fields that this example may have, out of cert-manager's reference of v1; a type, or what is below.
SECRET_REF = {"name": str, "key": str}
FIELDS = {
    "ClusterIssuer": {"acme": {
        "server": str, "email": str, "caBundle": str, "enableDurationFeature": bool, "privateKeySecretRef": {"name": str},
        "externalAccountBinding": {"keyID": str, "keySecretRef": SECRET_REF},
        "solvers": [{"selector": {"dnsZones": [str], "dnsNames": [str]}, "http01": {"ingress": {"ingressClassName": str}},
                     "dns01": {"rfc2136": {"nameserver": str, "tsigKeyName": str, "tsigAlgorithm": str,
                                           "tsigSecretSecretRef": SECRET_REF}}}]}},
    "Certificate": {"secretName": str, "dnsNames": [str], "duration": str, "renewBefore": str,
                    "privateKey": {"algorithm": str, "size": int, "rotationPolicy": str},
                    "issuerRef": {"name": str, "kind": str, "group": str}},
}


def assert_fields(value, allowed, where):
    if isinstance(allowed, dict):
        assert isinstance(value, dict) and set(value) <= set(allowed), f"{where}: {value}"
        for name, below in value.items():
            assert_fields(below, allowed[name], f"{where}.{name}")
    elif isinstance(allowed, list):
        for i, below in enumerate(value):
            assert_fields(below, allowed[0], f"{where}[{i}]")
    else:
        assert isinstance(value, allowed), f"{where}: {value!r}"


def hours(text):
    """A duration as Go writes it; cert-manager takes no days."""
    return int(re.fullmatch(r"(\d+)h", text).group(1))


def test_fields():
    for made in (ISSUER, CERTIFICATE):
        assert made["apiVersion"] == "cert-manager.io/v1"
        assert_fields(made["spec"], FIELDS[made["kind"]], made["kind"])


def test_parts_name_each_other():
    """The certificate its issuer, the issuer the secret with the key, which is where cert-manager looks for it."""
    assert CERTIFICATE["spec"]["issuerRef"] == {"name": ISSUER["metadata"]["name"], "kind": ISSUER["kind"], "group": "cert-manager.io"}
    assert ISSUED["externalAccountBinding"]["keySecretRef"] == {"name": SECRET["metadata"]["name"], "key": "key"}
    assert SECRET["metadata"]["namespace"] == "cert-manager"


def test_values():
    """What would be refused only in a cluster: base64, and a renewal that comes before the end, and not at once."""
    base64.b64decode(ISSUED["caBundle"], validate=True)
    assert "=" not in EAB["key"] and len(base64.urlsafe_b64decode(EAB["key"] + "=" * (-len(EAB["key"]) % 4))) >= 16
    duration, before = hours(CERTIFICATE["spec"]["duration"]), hours(CERTIFICATE["spec"]["renewBefore"])
    assert ISSUED["enableDurationFeature"] and 1 <= duration <= 90 * 24 and 0 < before < duration / 2


def door_of_the_comment():
    """The configuration in the manifest's head."""
    lines = re.search(r"^#   routes:\n(?:#.*\n)*?#\n", MANIFEST, re.MULTILINE).group()
    return yaml.safe_load(re.sub(r"^# ?", "", lines, flags=re.MULTILINE))


def test_configuration_of_the_door(pki, tmp_path):
    """It checks, its URL is the issuer's, and the line of its keys is the secret's."""
    config = door_of_the_comment()
    assert config["ca"]["acme"]["url"] + "/acme/directory" == ISSUED["server"]
    assert f"the line: {EAB['kid']} {EAB['key']}\n" in MANIFEST
    whole = {"listeners": [{"name": "main", "address": "127.0.0.1:443"}], "certificates": [pki.server("ca.example.com").row()], **config}
    (tmp_path / "door.yaml").write_text(to_yaml(whole))
    done = run(CARDEA, "serve", "-c", tmp_path / "door.yaml", "--check")
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
def acme(start_door, pki, tmp_path):
    """A door with the rules and the key of the manifest."""
    keys = tmp_path / "kubernetes.keys"
    keys.write_text(f"{EAB['kid']} {EAB['key']}\n")
    keys.chmod(0o600)
    made = Acme(start_door, pki, tmp_path, eab_file=str(keys), rules=door_of_the_comment()["ca"]["acme"]["rules"])
    yield made
    made.stop()


def test_lego_with_the_key(acme):
    words = ["--accept-tos", "--email", ISSUED["email"], "--server", acme.directory_url, "--path", acme.directory / "lego", "--http",
             "--http.port", f"127.0.0.1:{acme.http_port}", "-d", NAME]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(acme.directory), "LEGO_CA_CERTIFICATES": acme.pki.ca.file}
    done = run("lego", *words, "--eab", "--kid", EAB["kid"], "--hmac", EAB["key"], "run", timeout=60, env=env)
    assert done.returncode == 0, done.stderr.decode()
    acme.check(acme.directory / f"lego/certificates/{NAME}.crt", NAME)


GO_PATH = "/usr/share/gocode"  # where Debian has its libraries of Go


@pytest.mark.skipif(shutil.which("go") is None or not Path(GO_PATH, "src/golang.org/x/crypto/acme").is_dir(),
                    reason="no Go, or no golang.org/x/crypto (golang-go, golang-golang-x-crypto-dev)")
def test_the_library_of_cert_manager(acme):
    """Account bound by the key, order with the manifest's lifetime, http-01, the chain, and revoked by its key."""
    program = acme.directory / "acme_client"
    built = run("go", "build", "-o", program, ROOT / "tests/e2e/acme_client.go", timeout=300, cwd=acme.directory,
                env={**os.environ, "GO111MODULE": "off", "GOPATH": GO_PATH, "GOCACHE": str(acme.directory / "gocache"), "GOFLAGS": "-p=1"})
    assert built.returncode == 0, built.stderr.decode()
    got = run(program, acme.directory_url, NAME, f"127.0.0.1:{acme.http_port}", EAB["kid"], EAB["key"],
              CERTIFICATE["spec"]["duration"], timeout=60, env={"SSL_CERT_FILE": acme.pki.ca.file})
    assert got.returncode == 0, got.stderr.decode()
    serial = acme.check(got.stdout.decode(), NAME)
    end = x509.load_pem_x509_certificate(got.stdout).not_valid_after.timestamp() - time.timezone
    assert abs(end - time.time() - 3600 * hours(CERTIFICATE["spec"]["duration"])) < 600
    assert acme.revoked() == [serial]
