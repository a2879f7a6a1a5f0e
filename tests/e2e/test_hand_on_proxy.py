# SPDX-License-Identifier: Apache-2.0
"""hand_on.proxy: what a PROXY header of version 2 says of a client, and what real receivers make of it."""
import shutil
import struct

import pytest

import peers
import tls
from run import Process, free_port, run, wait_listening

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ALPN, AUTHORITY, UNIQUE_ID, SSL = 0x01, 0x02, 0x05, 0x20
VERSION, CN, CIPHER, SIG_ALG, KEY_ALG, GROUP, SCHEME, CERT = range(0x21, 0x29)


def tlvs(data):
    found = {}
    while data:
        kind, size = struct.unpack("!BH", data[:3])
        assert kind not in found
        found[kind], data = data[3:3 + size], data[3 + size:]
    return found


def read_header(sock):
    """The TLVs of a header, those of TLS among them, and (flags, verify)."""
    head = tls.read_exactly(sock, 16)
    assert head[:12] == SIGNATURE and head[12] == 0x21
    width = {0x11: 12, 0x21: 36}[head[13]]
    found = tlvs(tls.read_exactly(sock, struct.unpack("!H", head[14:])[0])[width:])
    facts = (None, None)
    if SSL in found:
        ssl = found.pop(SSL)
        facts = struct.unpack("!BI", ssl[:5])
        found.update(tlvs(ssl[5:]))
    return found, facts


@pytest.fixture(scope="module")
def receiver():
    """Reads headers into `.seen`, then echoes."""
    seen = []

    def handler(sock):
        seen.append(read_header(sock))
        peers.echo(sock)
    with peers.Server(handler) as server:
        server.seen = seen
        yield server


@pytest.fixture(scope="module")
def door(start_module_door, pki, receiver):
    def route(name, **more):
        return {"name": name, "sni": f"{name}.test", "terminate": {"to": receiver.to}, **more,
                "hand_on": {"proxy": "v2", **more.get("hand_on", {})}}
    staff = {"mode": "optional", "trust": "staff"}
    everything = ["alpn", "authority", "unique_id", "ssl", "certificate"]
    return start_module_door({
        "certificates": [pki.server("full.test", "plain.test", "few.test", "rsa.test", "bare.test").row(name="ec"),
                         pki.server("rsa.test", key="rsa").row(name="rsa")],
        "trust": [pki.trust()],
        "policy": [{"name": "all", "who": {"any": True}}],
        "routes": [
            route("full", clients=staff, certificates="ec", hand_on={"tlvs": everything}, alpn=["imap"]),
            route("plain", clients=staff, certificates="ec"),
            route("rsa", certificates="rsa"),
            route("few", certificates="ec", hand_on={"tlvs": ["authority"]}),
            route("bare", certificates="ec", hand_on={"tlvs": "none"}),
            {"name": "pass", "sni": "pass.test", "pass": {"to": receiver.to}, "hand_on": {"proxy": "v2"}},
        ],
    })


def told(door, receiver, name, **options):
    """What the receiver was told of one connection, and the audit line's id."""
    session = options.pop("then", None)
    with tls.connect(door, name, **options) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        local = sock.getsockname()
        if session is not None:
            session.append(sock.session)
        tls.finish(sock)
    return receiver.seen[-1], door.audited_of(local)["id"]


def der(cert):
    return run("openssl", "x509", "-in", cert.certificate, "-outform", "der").stdout


def test_of_a_proven_client(door, receiver, pki):
    (found, facts), unique = told(door, receiver, "full.test", ca=pki.ca.file, cert=pki.alice, alpn=["imap"])
    assert facts == (7, 0)
    assert found == {
        ALPN: b"imap", AUTHORITY: b"full.test", UNIQUE_ID: unique.encode(), VERSION: b"TLSv1.3", CN: b"alice",
        CIPHER: b"TLS_AES_128_GCM_SHA256", SIG_ALG: b"ecdsa-with-SHA256", KEY_ALG: b"EC256",
        GROUP: found[GROUP], SCHEME: b"ecdsa_secp256r1_sha256", CERT: der(pki.alice)}
    assert found[GROUP] in (b"x25519", b"X25519MLKEM768", b"secp256r1")


def test_certificate_only_where_asked_for(door, receiver, pki):
    (found, facts), _ = told(door, receiver, "plain.test", ca=pki.ca.file, cert=pki.bob)
    assert facts == (7, 0) and found[CN] == b"bob" and CERT not in found


def test_of_a_client_without_certificate(door, receiver, pki):
    (found, facts), _ = told(door, receiver, "full.test", ca=pki.ca.file, alpn=["imap"])
    assert facts == (1, 1)
    assert CN not in found and CERT not in found and found[VERSION] == b"TLSv1.3"


@pytest.mark.parametrize("version, cipher", [("TLSv1_2", b"ECDHE-RSA-AES128-GCM-SHA256"),
                                             ("TLSv1_3", b"TLS_AES_128_GCM_SHA256")])
def test_names_are_those_of_openssl(door, receiver, pki, version, cipher):
    import ssl
    bounds = ssl.TLSVersion[version]
    (found, facts), _ = told(door, receiver, "rsa.test", ctx=tls.context(pki.ca.file, least=bounds, most=bounds))
    assert facts == (1, 1)
    assert found[VERSION] == version.replace("_", ".").encode()
    assert found[CIPHER].split(b"-")[0] == cipher.split(b"-")[0] and found[KEY_ALG] == b"RSA2048"
    assert found[SCHEME].startswith(b"rsa_pss_rsae_sha") and found[SIG_ALG] == b"ecdsa-with-SHA256"


def test_of_a_session_that_goes_on(door, receiver, pki):
    """The certificate was shown on an earlier connection: of the session, not of this connection; nothing was signed."""
    sessions = []
    ctx = tls.context(pki.ca.file, pki.alice)
    told(door, receiver, "plain.test", ctx=ctx, then=sessions)
    (found, facts), _ = told(door, receiver, "plain.test", ctx=ctx, session=sessions[0])
    assert facts == (5, 0)
    assert found[CN] == b"alice" and SCHEME not in found


def test_only_what_was_chosen(door, receiver, pki):
    (found, facts), _ = told(door, receiver, "few.test", ca=pki.ca.file)
    assert found == {AUTHORITY: b"few.test"} and facts == (None, None)
    assert told(door, receiver, "bare.test", ca=pki.ca.file)[0] == ({}, (None, None))


def test_of_what_passes(door, receiver):
    """The door does not see into it: only what the ClientHello says."""
    hello = tls.client_hello("pass.test", ["imap"])
    with door.dial() as sock:
        sock.sendall(hello)
        assert tls.read_exactly(sock, len(hello)) == hello
        local = sock.getsockname()
    unique = door.audited_of(local)["id"]
    assert receiver.seen[-1] == ({AUTHORITY: b"pass.test", UNIQUE_ID: unique.encode()}, (None, None))


# Real receivers ---------------------------------------------------------------------------------------------------

HAPROXY = """
defaults
    mode http
    timeout client 10s
    timeout connect 10s
    timeout server 10s
frontend behind
    bind 127.0.0.1:{port} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[fc_pp_authority] %[fc_pp_unique_id] %[src]:%[src_port]"
"""


def one_door(start_door, pki, to, **hand_on):
    return start_door({
        "certificates": [pki.server("mail.test").row()],
        "trust": [pki.trust()],
        "policy": [{"name": "all", "who": {"any": True}}],
        "routes": [{"name": "mail", "terminate": {"to": to}, "hand_on": {"proxy": "v2", **hand_on},
                    "clients": {"mode": "optional", "trust": "staff"}}]})


@pytest.mark.parametrize("certificate", [False, True], ids=["default", "with certificate"])
def test_haproxy(start_door, pki, tmp_path, certificate):
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    port = free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port))
    process = Process([program, "-f", config], tmp_path, "haproxy")
    try:
        wait_listening(port, process)
        door = one_door(start_door, pki, f"127.0.0.1:{port}", **(
            {"tlvs": ["authority", "unique_id", "ssl", "certificate"]} if certificate else {}))
        with tls.connect(door, "mail.test", ca=pki.ca.file, cert=pki.alice) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: mail.test\r\nConnection: close\r\n\r\n")
            answer = tls.read_all(sock).decode()
            local = sock.getsockname()
        unique = door.audited_of(local)["id"]
        assert answer.endswith(f"mail.test {unique} {local[0]}:{local[1]}"), answer
    finally:
        process.stop()


def external(sock):
    """Log in with nothing but the certificate; the answer."""
    assert tls.read_line(sock).startswith("* OK")
    sock.sendall(b"a AUTHENTICATE EXTERNAL =\r\n")
    line = tls.read_line(sock)
    while not line.startswith("a "):
        line = tls.read_line(sock)
    return line


def test_dovecot_logs_in_whom_the_door_has_proven(start_door, pki, dovecot):
    """SASL EXTERNAL (RFC 4422, appendix A): the user is the common name of the certificate that the client showed to the
    door; without one there is no user."""
    door = one_door(start_door, pki, dovecot.to("behind"))
    with tls.connect(door, "mail.test", ca=pki.ca.file, cert=pki.alice) as sock:
        assert external(sock).startswith("a OK"), dovecot.log()
        local = sock.getsockname()
        sock.sendall(b"b LOGOUT\r\n")
        tls.read_all(sock)
    with tls.connect(door, "mail.test", ca=pki.ca.file) as sock:
        assert external(sock).startswith("a NO"), dovecot.log()
    assert f"user=<alice>, method=EXTERNAL, rip={local[0]}" in dovecot.log()


def test_postfix_learns_the_address(start_door, pki, postfix):
    door = one_door(start_door, pki, postfix.to("behind"))
    with tls.connect(door, "mail.test", ca=pki.ca.file, cert=pki.alice, source="127.0.0.3") as sock:
        assert "[127.0.0.3]" in tls.read_line(sock), postfix.log()


def test_nginx_reads_no_more_than_its_version_can(start_door, pki, nginx):
    """Before 1.23.2 no more than 107 bytes: with `tlvs: none` any version takes it."""
    door = one_door(start_door, pki, nginx.to("proxied"), tlvs="none")
    with tls.connect(door, "mail.test", ca=pki.ca.file) as sock:
        sock.sendall(b"GET /who HTTP/1.1\r\nHost: mail.test\r\nConnection: close\r\n\r\n")
        assert tls.read_all(sock).endswith("{}:{}\n".format(*sock.getsockname()).encode())
