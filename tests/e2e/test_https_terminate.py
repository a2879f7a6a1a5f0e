# SPDX-License-Identifier: Apache-2.0
"""curl to HTTPS names that the door terminates: certificates by name and by what the client can verify, HTTP/1.1 and
HTTP/2, bodies both ways."""
import hashlib

import pytest

import tls
from peers import curl_door


@pytest.fixture(scope="module")
def door(start_module_door, pki, nginx):
    names = ("www.test", "api.test")
    return start_module_door({
        "certificates": [
            pki.server(*names).row(),
            pki.server(*names, key="rsa").row(),
            pki.server("shop.test").row(),
            pki.server("*.wild.test").row(),
            pki.server("labelled.test", "shop.test", key="rsa").row(name="special", names=["labelled.test"]),
        ],
        "routes": [
            {"name": "h2", "sni": list(names), "alpn": "h2", "terminate": {"to": nginx.to("h2c")}},
            {"name": "h1", "sni": list(names), "terminate": {"to": nginx.to("h1"), "alpn": ["http/1.1"]}},
            {"name": "shop", "sni": "shop.test", "terminate": {"to": nginx.to("unix")}},
            {"name": "wild", "sni": "*.wild.test", "terminate": {"to": nginx.to("h1")}},
            {"name": "labelled", "sni": "labelled.test", "certificates": ["special"],
             "terminate": {"to": nginx.to("h1")}},
        ],
    })


@pytest.mark.parametrize("host", ["www.test", "api.test"])
def test_http1(door, pki, host):
    """HTTP/1.1, verified certificate, the backend sees the Host."""
    done = curl_door(door, f"https://{host}:{{port}}/who", "--http1.1", ca=pki.ca.file)
    assert done.stdout.decode() == f"h1 HTTP/1.1 {host}\n", done.stderr.decode()


def test_http2(door, pki):
    """ALPN h2 goes to a backend that speaks HTTP/2 without TLS."""
    done = curl_door(door, "https://www.test:{port}/who", "--http2", ca=pki.ca.file)
    assert done.stdout == b"h2c HTTP/2.0 www.test\n", done.stderr.decode()


def test_no_alpn(door, pki):
    """A client without ALPN takes the route that names none."""
    done = curl_door(door, "https://www.test:{port}/who", "--no-alpn", ca=pki.ca.file)
    assert done.stdout == b"h1 HTTP/1.1 www.test\n", done.stderr.decode()


def test_unix_socket_backend(door, pki):
    """Another name, another certificate, a backend on a unix socket."""
    done = curl_door(door, "https://shop.test:{port}/who", ca=pki.ca.file)
    assert done.stdout == b"unix HTTP/1.1 shop.test\n", done.stderr.decode()


def test_wildcard_is_one_label(door, pki):
    """*.wild.test serves a.wild.test, and neither wild.test nor a.b.wild.test."""
    assert curl_door(door, "https://a.wild.test:{port}/who", ca=pki.ca.file).stdout == b"h1 HTTP/1.1 a.wild.test\n"
    for host in ("wild.test", "a.b.wild.test"):
        assert curl_door(door, f"https://{host}:{{port}}/who", "--insecure").returncode != 0


def test_unknown_name_gets_an_alert(door):
    """No route: unrecognized_name (112), not another site's certificate."""
    said = tls.s_client(door, "unknown.test")
    assert not said.done and said.alert == "112", said.text


@pytest.mark.parametrize("flags, key", [
    (["-tls1_3"], "id-ecPublicKey"),
    (["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], "rsaEncryption"),
    (["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256"], "id-ecPublicKey"),
    (["-tls1_2"], "id-ecPublicKey"),
    (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "rsaEncryption"),
    (["-tls1_2", "-sigalgs", "RSA+SHA256"], "rsaEncryption"),
])
def test_certificate_the_client_can_verify(door, flags, key):
    """ECDSA where the client takes it, RSA where that is all it takes."""
    said = tls.s_client(door, "www.test", *flags)
    assert said.done and f"a:PKEY: {key}" in said.text, said.text


def test_route_restricted_to_a_certificate(door, pki):
    """`certificates: [label]` and `names` decide, not the other certificate's SANs."""
    said = tls.s_client(door, "labelled.test", "-CAfile", pki.ca.file, "-verify_hostname", "labelled.test")
    assert "a:PKEY: rsaEncryption" in said.text and "Verification: OK" in said.text
    assert "a:PKEY: id-ecPublicKey" in tls.s_client(door, "shop.test").text


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_download(door, pki, nginx, tmp_path, version):
    """50 MB down, the checksum is right, the audit line has counted them."""
    path = nginx.file("large", 50 << 20)
    door.mark()
    target = tmp_path / "large"
    done = curl_door(door, "https://www.test:{port}/large", version, "-o", target, ca=pki.ca.file, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()
    assert door.audited(sni="www.test")["out"] > 50 << 20
    path.unlink()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_upload(door, pki, nginx, tmp_path, version):
    """20 MB up arrive as they are."""
    path = tmp_path / "up"
    path.write_bytes(nginx.file("copy", 20 << 20).read_bytes())
    done = curl_door(door, "https://www.test:{port}/uploaded", version, "-T", path, ca=pki.ca.file, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    uploaded = nginx.directory / "www" / "uploaded"
    assert uploaded.read_bytes() == path.read_bytes()
    uploaded.unlink()
    (nginx.directory / "www" / "copy").unlink()


def test_many_requests_on_one_connection(door, pki):
    """Keep-alive through the door: one audit line for ten requests."""
    door.mark()
    url = f"https://www.test:{door.port}/who"
    done = curl_door(door, url, "--http1.1", *[url] * 9, ca=pki.ca.file)
    assert done.stdout == b"h1 HTTP/1.1 www.test\n" * 10
    assert door.audited(sni="www.test", route="h1")
    assert len([line for line in door.audit()[door.marked:] if line.get("route") == "h1"]) == 1
