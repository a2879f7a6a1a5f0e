# SPDX-License-Identifier: Apache-2.0
"""Certificates of ML-DSA beside others for the same name (draft-ietf-tls-mldsa), of the door's own CA: which one a client
gets by its signature_algorithms. OpenSSL 4 knows them, and verifies them."""
import shutil

import pytest

import ech
import tls
from authority import Ca
from pki import Cert
from run import SANITIZER

pytestmark = pytest.mark.skipif(SANITIZER == "thread", reason="the CA is one thread, and slow")

KINDS = {"mldsa44": "ML-DSA-44", "mldsa65": "ML-DSA-65", "mldsa87": "ML-DSA-87"}
BANNER = b"behind the door"


def name_of(kind):
    return f"{kind}.new.test"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    ca = Ca(tmp_path_factory.mktemp("new"), "--key", "ML-DSA-65")
    for kind, word in KINDS.items():
        ca.run("issue", name_of(kind), "--key", word)
    ca.run("issue", "only.new.test", "--key", "ML-DSA-65")
    ca.run("issue", "carol", "--profile", "client", "--key", "ML-DSA-44")
    return ca


def row(ca, stem):
    return {"certificate": str(ca.place / f"{stem}.pem"), "key": str(ca.place / f"{stem}.key")}


@pytest.fixture(scope="module")
def door(start_module_door, ca, pki, banner):
    """An RSA, an ECDSA and an ML-DSA certificate for each name, in files, the new one first."""
    names = [name_of(kind) for kind in KINDS]
    staff = {"mode": "required", "trust": "staff"}
    return start_module_door({
        "certificates": [*(row(ca, name) for name in names), *(pki.server(name, key="rsa").row() for name in names),
                         *(pki.server(name).row() for name in names), row(ca, "only.new.test")],
        "trust": [pki.trust(), {"name": "new", "ca": str(ca.directory / "root.pem")}],
        "quic": {"idle_timeout": "2s"},  # OpenSSL may go without a word
        "routes": [
            *({"name": kind, "sni": name_of(kind), "terminate": {"to": banner.to}} for kind in KINDS),
            *({"name": f"{kind}-h3", "sni": name_of(kind), "alpn": "h3", "tunnel": {}, "clients": staff} for kind in KINDS),
            {"name": "only", "sni": "only.new.test", "tunnel": {}, "clients": {"mode": "required", "trust": "new"}}],
        "policy": [{"name": "carol", "who": {"name": "carol"}, "targets": "127.0.0.0/8:*"}]})


def visit(door, kind, authority, *flags, program=None):
    """What s_client says, who verifies; and the scheme that the door has signed with."""
    door.mark()
    said = tls.s_client(door, name_of(kind), "-CAfile", authority, "-verify_return_error", *flags, until=BANNER,
                        program=program or ech.openssl4())
    assert said.done and BANNER.decode() in said.text, said.text
    return said.find(r"Peer signature type: (\S+)"), door.audited(route=kind)["signature"]


@pytest.mark.parametrize("kind", KINDS)
def test_who_knows_nothing_else(door, ca, kind):
    """One scheme is offered, and its certificate comes with the chain up to the root."""
    shown, told = visit(door, kind, ca.directory / "root.pem", "-tls1_3", "-sigalgs", f"{kind}:mldsa65")
    assert shown == told == kind


def test_who_lists_it_first(door, ca, pki):
    """OpenSSL 4 does, by itself; who lists it behind the others gets the shorter chain."""
    shown, told = visit(door, "mldsa65", ca.directory / "root.pem", "-tls1_3")
    assert shown == told == "mldsa65"
    _, told = visit(door, "mldsa65", pki.ca.file, "-tls1_3", "-sigalgs", "ECDSA+SHA256:mldsa65")
    assert told == "ecdsa_secp256r1_sha256"


@pytest.mark.parametrize("flags, scheme", [
    (["-tls1_3"], "ecdsa_secp256r1_sha256"), (["-tls1_2"], "ecdsa_secp256r1_sha256"),
    (["-tls1_3", "-sigalgs", "RSA-PSS+SHA256:ECDSA+SHA384:RSA+SHA256"], "rsa_pss_rsae_sha256")])
def test_who_does_not_know_it(door, pki, flags, scheme):
    """The distribution's OpenSSL: the certificate that suits it, of the other CA."""
    _, told = visit(door, "mldsa65", pki.ca.file, *flags, program="openssl")
    assert told == scheme


def test_tls_1_2_has_none(door, pki):
    _, told = visit(door, "mldsa65", pki.ca.file, "-tls1_2")
    assert told == "ecdsa_secp256r1_sha256"


@pytest.mark.parametrize("kind", KINDS)
def test_quic(door, ca, pki, kind):
    """A chain of ten packets and more."""
    for scheme, authority in ((kind, ca.directory / "root.pem"), ("ecdsa_secp256r1_sha256", pki.ca.file)):
        door.mark()
        text = ech.client(door.port, name_of(kind), authority, "-quic", "-alpn", "h3", "-cert", pki.alice.certificate, "-key",
                          pki.alice.key, "-sigalgs", f"{scheme}:ecdsa_secp256r1_sha256:mldsa65")
        line = door.audited(route=f"{kind}-h3", action="carrier")
        assert "Verification: OK" in text and line["signature"] == scheme, text
        assert (line["handshake_bytes_out"] > 9000) is (scheme == kind), line


@pytest.mark.parametrize("transport", ["tcp", "quic"])
def test_both_ends(door, ca, connect, banner, transport):
    """`cardea connect` with a certificate of ML-DSA, to a door that has no other."""
    door.mark()
    done = connect(door, "--transport", transport, f"127.0.0.1:{banner.port}", input=b"", name="only.new.test",
                   ca=ca.directory / "root.pem", cert=Cert(ca.place / "carol.pem", ca.place / "carol.key"))
    assert done.returncode == 0 and done.stdout.startswith(BANNER), done.stderr
    line = door.audited(identity="carol", signature="mldsa65", action="carrier" if transport == "quic" else "tunnel")
    assert line["handshake_bytes_in"] > 9000 and line["handshake_bytes_out"] > 9000


def test_folder(start_door, ca, pki, banner, tmp_path):
    """NAME.mldsa.pem beside NAME.pem."""
    name, folder = "mldsa65.new.test", tmp_path / "names"
    folder.mkdir()
    for stem, cert in ((f"{name}.mldsa", row(ca, name)), (name, pki.server(name).row())):
        for what, end in (("certificate", "pem"), ("key", "key")):
            shutil.copy(cert[what], folder / f"{stem}.{end}")
    door = start_door({"certificates": [{"directory": str(folder)}],
                       "routes": [{"name": "mldsa65", "terminate": {"to": banner.to}}]})
    assert visit(door, "mldsa65", ca.directory / "root.pem", "-tls1_3")[1] == "mldsa65"
    assert visit(door, "mldsa65", pki.ca.file, "-tls1_3", program="openssl")[1] == "ecdsa_secp256r1_sha256"
