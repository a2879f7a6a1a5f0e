# SPDX-License-Identifier: Apache-2.0
"""The peers and the helpers work with each other without a door: what fails elsewhere is then the door's doing."""
import socket
import ssl
import struct

import peers
import pki as pki_module
import tls
from chatter import Chatter
from peers import curl
from run import free_port, run


class NoDoor:
    """Stands in for a door where a helper only wants a port."""

    def __init__(self, port):
        self.port = port
        self.address = f"127.0.0.1:{port}"

    def dial(self, port=None, source=None, timeout=10.0):
        return socket.create_connection(("127.0.0.1", port or self.port), timeout)


def test_sshd(sshd):
    """A command over ssh; its exit code comes back."""
    words = ["ssh", *sshd.options(), "-p", sshd.port, f"{sshd.user}@127.0.0.1"]
    assert run(*words, "echo knock; exit 7").stdout == b"knock\n"
    assert run(*words, "exit 7").returncode == 7


def test_postgres(postgres):
    """A query; the server has no TLS of its own."""
    assert postgres.psql("select 6 * 7").stdout == b"42\n"
    assert b"does not support SSL" in postgres.psql("select 1", sslmode="require").stderr


def test_nginx(nginx, pki):
    """Each of nginx's ports answers in its protocol."""
    who = "http://backend.test:{}/who"
    to = ["--connect-to", "backend.test::127.0.0.1:"]
    h1, h2c, proxied, tls_port, mtls = nginx.ports.values()
    assert curl(*to, who.format(h1)).stdout == b"h1 HTTP/1.1 backend.test\n"
    assert curl(*to, "--http2-prior-knowledge", who.format(h2c)).stdout == b"h2c HTTP/2.0 backend.test\n"
    assert curl("--unix-socket", nginx.to("unix")[5:], who.format(1)).stdout == b"unix HTTP/1.1 backend.test\n"
    assert curl(*to, "--haproxy-protocol", who.format(proxied)).stdout.startswith(b"127.0.0.1:")
    secure = [*to, "--cacert", pki.ca.file]
    assert curl(*secure, who.format(tls_port).replace("http", "https")).stdout.startswith(b"tls HTTP/2.0 backend.test")
    answer = curl(*secure, "--cert", pki.alice.certificate, "--key", pki.alice.key,
                  who.format(mtls).replace("http", "https"))
    assert b"CN=alice" in answer.stdout
    assert curl(*secure, who.format(mtls).replace("http", "https")).stdout.startswith(b"<html>")


def test_certificates(pki, tmp_path):
    """Chains verify for the right CA only; revocation and expiry are seen; an intermediate CA works."""
    def verify(cert, ca, *flags):
        return run("openssl", "verify", "-CAfile", ca, *flags, cert.certificate).returncode == 0
    assert verify(pki.server("a.test"), pki.ca.file)
    assert verify(pki.server("a.test", key="rsa"), pki.ca.file)
    assert verify(pki.alice, pki.staff.file) and not verify(pki.mallory, pki.staff.file)
    assert not verify(pki.staff.client("old", start=-7200, end=-3600), pki.staff.file)
    own = pki_module.CA(tmp_path / "root", "Root")
    carol = own.client("carol")
    crl = own.crl(tmp_path / "crl.pem")
    assert verify(carol, own.file, "-crl_check", "-CRLfile", crl)
    own.revoke(carol)
    own.crl(crl)
    assert not verify(carol, own.file, "-crl_check", "-CRLfile", crl)
    middle = pki_module.CA(tmp_path / "middle", "Middle", issuer=own)
    dave = middle.client("dave", uri=["spiffe://example.test/team"])
    assert verify(dave, own.file, "-untrusted", middle.file)
    assert open(dave.certificate, encoding="ascii").read().count("BEGIN") == 2


def test_client_hello_bytes():
    """The made ClientHello is one whole record, and stays the same message when cut into smaller ones."""
    hello = tls.client_hello("www.test", ["h2"])
    assert hello[0] == 22 and struct.unpack("!H", hello[3:5])[0] == len(hello) - 5 and b"www.test" in hello
    small = tls.refragment(hello, 1)
    assert len(small) == 6 * (len(hello) - 5) and small[5::6] == hello[5:]


def test_tls_helpers(pki):
    """s_client's facts, half-close over TLS, and alerts, against Python's own TLS server."""
    ctx = peers.server_context(pki.server("www.test"), alpn=["h2"])
    with peers.Server(peers.says("hello"), ctx=ctx) as server:
        said = tls.s_client(NoDoor(server.port), "www.test", "-alpn", "h2", "-CAfile", pki.ca.file,
                            "-verify_return_error", until=b"hello")
        assert said.done and said.version == "TLSv1.3" and said.alpn == "h2" and "X25519" in said.group
        with tls.connect(NoDoor(server.port), "www.test", ca=pki.ca.file) as sock:
            assert tls.read_exactly(sock, 6) == b"hello\n"
        half = tls.HalfTls(NoDoor(server.port).dial(), tls.context(pki.ca.file), "www.test")
        assert half.recv() == b"hello\n"
        half.send(b"x")
        assert half.recv() == b"x"
    ctx.minimum_version = ssl.TLSVersion.TLSv1_3
    with peers.Server(peers.says("hello"), ctx=ctx) as server:
        said = tls.s_client(NoDoor(server.port), "www.test", "-tls1_2")
        assert not said.done and said.alert == "70"


def test_echo_and_chatter(echo, tmp_path):
    """The chatter's connections all go on."""
    many = peers.EchoProcess(tmp_path)
    chatter = Chatter(NoDoor(many.port), passed=50)
    chatter.wait_rounds(3)
    chatter.stop()
    many.stop()
    with socket.create_connection(("127.0.0.1", echo.port)) as sock:
        sock.sendall(b"bytes")
        sock.shutdown(socket.SHUT_WR)
        assert tls.read_all(sock) == b"bytes"


def test_full_backlog():
    """Nobody answers a connection to it."""
    with peers.FullBacklog() as silent, socket.socket() as sock:
        sock.settimeout(0.5)
        try:
            sock.connect(("127.0.0.1", silent.port))
        except TimeoutError:
            return
        raise AssertionError("the connection was made")


def test_proxy_headers():
    """Both versions of the PROXY protocol header are read."""
    seen = []
    with peers.Server(lambda sock: seen.append(peers.read_proxy_header(sock)), port=free_port()) as server:
        v2 = b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH4s4sHH", 0x21, 0x11, 12, bytes([192, 0, 2, 1]),
                                                  bytes([192, 0, 2, 2]), 1111, 443)
        for header in (b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 443\r\n", v2):
            with socket.create_connection(("127.0.0.1", server.port)) as sock:
                sock.sendall(header)
                tls.read_all(sock)
    assert seen == [("v1", "192.0.2.1:1111", "192.0.2.2:443"), ("v2", "192.0.2.1:1111", "192.0.2.2:443")]
