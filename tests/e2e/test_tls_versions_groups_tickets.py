# SPDX-License-Identifier: Apache-2.0
"""What TLS the door speaks, seen by openssl s_client: versions, ciphers, groups, tickets, closing."""
import concurrent.futures
import socket
import ssl
import struct
import time

import pytest

import peers
import tls
from run import ms, run, wait_until

BANNER = b"behind the door"


@pytest.fixture(scope="module")
def config(pki, banner, counter):
    # A module's door is reloaded by some tests; this is what it starts with.
    to = {"to": banner.to}
    return {
        "certificates": [pki.server("*.tls.test").row(), pki.server("*.tls.test", key="rsa").row()],
        "routes": [
            {"name": "both", "sni": "both.tls.test", "terminate": {**to, "alpn": ["h2", "http/1.1"]}},
            {"name": "new", "sni": "new.tls.test", "tls": {"min_version": "1.3"}, "terminate": to},
            {"name": "old", "sni": "old.tls.test", "tls": {"max_version": "1.2"}, "terminate": to},
            {"name": "nist", "sni": "nist.tls.test", "tls": {"groups": ["P-384", "P-256"]}, "terminate": to},
            {"name": "no-tickets", "sni": "plain.tls.test", "tls": {"tickets": False}, "terminate": to},
            {"name": "count", "sni": "count.tls.test", "terminate": {"to": counter.to}},
        ],
    }


@pytest.fixture(scope="module")
def door(start_module_door, config):
    return start_module_door(config)


def said(door, name, *flags, until=BANNER, **more):
    return tls.s_client(door, f"{name}.tls.test", *flags, until=until, **more)


# Versions ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, flags, version", [
    ("both", [], "TLSv1.3"),
    ("both", ["-tls1_3"], "TLSv1.3"),
    ("both", ["-tls1_2"], "TLSv1.2"),
    ("new", [], "TLSv1.3"),
    ("old", [], "TLSv1.2"),
])
def test_version(door, name, flags, version):
    """The highest that both sides speak; bytes flow."""
    out = said(door, name, *flags)
    assert out.version == version and BANNER.decode() in out.text, out.text


@pytest.mark.parametrize("name, flags", [
    ("both", ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]),
    ("both", ["-tls1", "-cipher", "ALL:@SECLEVEL=0"]),
    ("new", ["-tls1_2"]),
    ("old", ["-tls1_3"]),
])
def test_version_refused(door, name, flags):
    """Below the floor or above the ceiling: alert protocol_version (70)."""
    out = said(door, name, *flags, until=None)
    assert not out.done and out.alert == "70", out.text


def test_downgrade_is_refused(door):
    """A client that falls back says so (RFC 7507) and is turned away: inappropriate_fallback (86)."""
    out = said(door, "both", "-tls1_2", "-fallback_scsv", until=None)
    assert not out.done and out.alert == "86", out.text


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_client_that_refuses_the_certificate(door, pki, version):
    """The audit line has the alert, which OpenSSL sends in the clear in TLS 1.3, before it has sent anything else."""
    door.mark()
    out = said(door, "both", version, "-verify_return_error", "-CAfile", pki.staff.file, until=None)
    assert "certificate verify failed" in out.text, out.text
    assert door.audited(reason="handshake_failed")["detail"] == "the peer sent the alert unknown_ca"


def test_curl_refuses_the_certificate(door):
    door.mark()
    done = run("curl", "-sS", "--resolve", f"both.tls.test:{door.port}:127.0.0.1", f"https://both.tls.test:{door.port}/")
    assert done.returncode == 60, done.stderr
    assert door.audited(reason="handshake_failed")["detail"] == "the peer sent the alert unknown_ca"


# Ciphers and groups -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("flags, cipher", [
    (["-ciphersuites", "TLS_AES_128_GCM_SHA256"], "TLS_AES_128_GCM_SHA256"),
    (["-ciphersuites", "TLS_AES_256_GCM_SHA384"], "TLS_AES_256_GCM_SHA384"),
    (["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], "TLS_CHACHA20_POLY1305_SHA256"),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"], "ECDHE-RSA-AES256-GCM-SHA384"),
])
def test_cipher(door, flags, cipher):
    assert said(door, "both", *flags).cipher == cipher


@pytest.mark.parametrize("cipher", [
    "AES128-SHA", "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES128-SHA256",
])
def test_weak_cipher_refused(door, cipher):
    """No forward secrecy, or CBC: not spoken."""
    assert not said(door, "both", "-tls1_2", "-cipher", cipher, until=None).done


@pytest.mark.parametrize("group, shown", [
    ("X25519", "X25519"), ("P-256", "ECDH, prime256v1"), ("P-384", "ECDH, secp384r1"),
])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_group(door, group, shown, version):
    """Each group alone, in both versions. In TLS 1.2 the list also says which curves a certificate may use (RFC 8422,
    5.1.1), so there it is asked for with the RSA certificate."""
    door.mark()
    out = said(door, "both", version, "-groups", group, "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")
    assert out.done and out.group.startswith(shown), out.text
    assert door.audited(route="both")["group"] == group


def test_hello_retry(door):
    """The client's key share is for a group that the route does not speak: HelloRetryRequest, then done."""
    out = said(door, "nist", "-groups", "X25519:P-384")
    assert out.done and "secp384r1" in out.group


def test_no_group_in_common(door):
    assert not said(door, "nist", "-groups", "X25519", until=None).done


def test_post_quantum_group(door):
    """X25519MLKEM768, where openssl knows it (3.5 and later)."""
    if not run("openssl", "list", "-kem-algorithms").stdout.count(b"X25519MLKEM768"):
        pytest.skip("this openssl has no X25519MLKEM768")
    assert "X25519MLKEM768" in said(door, "both", "-groups", "X25519MLKEM768").group


def test_alpn(door):
    """The door's order decides; what is not in common is refused (120)."""
    assert said(door, "both", "-alpn", "http/1.1,h2").alpn == "h2"
    assert said(door, "both", "-alpn", "http/1.1").alpn == "http/1.1"
    out = said(door, "both", "-alpn", "spdy/1", until=None)
    assert not out.done and out.alert == "120", out.text


# Renegotiation, compression ---------------------------------------------------------------------------------------

def test_no_compression(door):
    out = said(door, "both", "-tls1_2", "-comp")
    assert out.done and out.compression == "NONE"


def test_renegotiation_is_refused(door):
    """The client asks for another handshake in TLS 1.2 and does not get it."""
    out = said(door, "old", then=b"R\n")
    assert "RENEGOTIATING" in out.text and out.text.count("Certificate chain") == 1, out.text
    assert "no renegotiation" in out.text or "alert" in out.text or out.code != 0, out.text
    assert said(door, "old").done


# Tickets ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_resumption(door, tmp_path, version):
    """A ticket resumes, and the audit line says so."""
    session = tmp_path / "session"
    assert not said(door, "both", version, "-sess_out", session).reused
    door.mark()
    out = said(door, "both", version, "-sess_in", session)
    assert out.reused, out.text
    assert door.audited(route="both")["resumed"] is True


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_resumption_across_reload(door, tmp_path, version):
    """A ticket outlives a reload."""
    session = tmp_path / "session"
    said(door, "both", version, "-sess_out", session)
    door.reload()
    assert said(door, "both", version, "-sess_in", session).reused


def test_no_tickets(door, tmp_path):
    """tickets: false."""
    session = tmp_path / "session"
    out = said(door, "plain", "-tls1_3", "-sess_out", session)
    assert out.done and "TLS session ticket" not in out.text
    out = said(door, "plain", "-tls1_2", "-sess_out", session)
    assert "TLS session ticket" not in out.text
    assert not said(door, "plain", "-tls1_2", "-sess_in", session).reused


def test_ticket_lifetime(start_door, pki, banner, tmp_path):
    """A ticket resumes for its lifetime and not after; the connection is then made anew."""
    door = start_door({"certificates": [pki.server("a.test").row()], "tls": {"ticket_lifetime": ms(2000)},
                       "routes": [{"name": "a", "terminate": {"to": banner.to}}]})
    session = tmp_path / "session"
    first = tls.s_client(door, "a.test", "-sess_out", session, until=BANNER)
    assert first.done
    assert tls.s_client(door, "a.test", "-sess_in", session, until=BANNER).reused
    time.sleep(float(ms(2000)[:-2]) / 1000 * 1.6)
    last = tls.s_client(door, "a.test", "-sess_in", session, until=BANNER)
    assert last.done and not last.reused, last.text


def test_keys_change_under_load(start_door, pki, banner):
    """With the shortest lifetime the keys change every second, while handshakes on every worker seal and open tickets."""
    door = start_door({"certificates": [pki.server("a.test").row()], "tls": {"ticket_lifetime": "1s"},
                       "routes": [{"name": "a", "terminate": {"to": banner.to}}]})
    end = time.monotonic() + 3.5

    def visit(version):
        ctx, session, resumed = tls.context(most=version), None, 0
        while time.monotonic() < end:
            with tls.connect(door, "a.test", ctx=ctx, session=session) as sock:
                assert tls.read_line(sock) == "behind the door"
                resumed += sock.session_reused
                session = sock.session
        return resumed
    versions = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3] * 4
    with concurrent.futures.ThreadPoolExecutor(len(versions)) as pool:
        assert all(count > 0 for count in pool.map(visit, versions))


# Closing ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_closes_first(door, version):
    """close_notify from the client reaches the backend as an end; what the backend then says still arrives, followed
    by the door's close_notify."""
    ctx = tls.context(most=version)
    with door.dial() as sock:
        half = tls.HalfTls(sock, ctx, "count.tls.test")
        half.send(b"x" * 50000)
        half.close_notify()
        data = b""
        while more := half.recv():
            data += more
        assert data == b"50000 bytes\n"
        assert sock.recv(1) == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_backend_closes_first(start_door, pki, version):
    """The backend's end becomes the door's close_notify; the client may still send."""
    got = []

    def handler(sock):
        sock.sendall(b"bye")
        sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(4096):
            got.append(data)
        got.append(b"end")
    with peers.Server(handler) as server:
        door = start_door({"certificates": [pki.server("a.test").row()],
                           "routes": [{"name": "a", "terminate": {"to": server.to}}]})
        with door.dial() as sock:
            half = tls.HalfTls(sock, tls.context(most=version), "a.test")
            assert half.recv() == b"bye" and half.recv() == b""
            half.send(b"thanks")
            half.close_notify()
            assert tls.read_all(sock) == b""
        assert door.audited(route="a")["reason"] == "done"
        wait_until(lambda: b"".join(got) == b"thanksend", lambda: f"the backend to hear it all; it heard {got}")


def test_end_without_close_notify_is_no_clean_end(start_door, pki):
    """A backend that is reset must not look like a finished answer to the client: no close_notify then."""
    def handler(sock):
        sock.sendall(b"half an ans")
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with peers.Server(handler) as server:
        door = start_door({"certificates": [pki.server("a.test").row()],
                           "routes": [{"name": "a", "terminate": {"to": server.to}}]})
        ctx = tls.context()
        ctx.options &= ~0x80  # OpenSSL's SSL_OP_IGNORE_UNEXPECTED_EOF, which Python sets
        with tls.connect(door, "a.test", ctx=ctx) as sock:
            sock.suppress_ragged_eofs = False
            assert tls.read_exactly(sock, 11) == b"half an ans"
            sock.sendall(b"x")
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                assert sock.recv(10) != b"", "a clean end"
