# SPDX-License-Identifier: Apache-2.0
"""FTP in each role: curl and lftp, listing and files both ways. The control connection has TLS; data connections go their own
way in the clear, which a client asks for with PROT and a plain server knows nothing of."""
import os

import pytest

import peers
import tls
from ftp import ftp, tls_ftp  # noqa: F401  (fixtures)
from middle import Middle
from run import run

NAME = "ftp.example.com"
ASKS_ABOUT_TLS = (b"AUTH", b"PBSZ", b"PROT")


def listing_and_files(curl, server, tmp_path):
    """`curl(path, *words)`: a listing, a file down, a file up."""
    listed = curl("")
    assert b"hello.txt" in listed.stdout, listed.stderr.decode()
    assert curl("hello.txt").stdout == b"hello from behind\n"
    sent = tmp_path / "sent.bin"
    sent.write_bytes(os.urandom(300_000))
    done = curl("up/", "-T", sent)
    assert done.returncode == 0, done.stderr.decode()
    assert (server.up / "sent.bin").read_bytes() == sent.read_bytes()
    (server.up / "sent.bin").unlink()


def curl_with(port, *flags):
    return lambda path, *words: peers.curl("-sS", f"ftp://127.0.0.1:{port}/{path}", *flags, *words)


def lftp(port, *settings):
    """Lists, as lftp asks for it."""
    script = "; ".join(["set net:max-retries 1", "set net:timeout 5", "set cmd:fail-exit yes", *settings,
                        f"open -u anonymous,x -p {port} 127.0.0.1", "ls", "cat hello.txt", "bye"])
    return run("lftp", "-c", script, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "dumb"})


@pytest.mark.proves("ftp", "client", "curl", "vsftpd")
def test_plain_client(start_wrap, tls_ftp, pki, tmp_path):
    assert peers.curl("-sS", f"ftp://127.0.0.1:{tls_ftp.port}/").returncode != 0
    wrap = start_wrap("client", tls_ftp.port, "--starttls", "ftp", "--ca", pki.ca.file, "--expect", NAME)
    listing_and_files(curl_with(wrap.port), tls_ftp, tmp_path)
    assert wrap.audited()["reason"] == "done"  # vsftpd ends without close_notify


@pytest.mark.proves("ftp", "client", "lftp", "vsftpd")
def test_plain_client_that_would_begin_tls(start_wrap, tls_ftp, pki):
    """lftp asks what the server can do, and begins TLS where it finds AUTH TLS: here it does not."""
    wrap = start_wrap("client", tls_ftp.port, "--starttls", "ftp", "--ca", pki.ca.file)
    done = lftp(wrap.port)
    assert done.returncode == 0 and b"hello from behind" in done.stdout, done.stderr.decode()


@pytest.mark.proves("ftp", "server", "curl", "vsftpd")
def test_plain_server(start_wrap, ftp, pki, tmp_path):
    """curl's --ftp-ssl-control demands TLS for the control connection and asks for PROT C; the server hears of none of it."""
    middle = Middle(f"127.0.0.1:{ftp.port}")
    wrap = start_wrap.server("ftp", middle.to, pki.server(NAME))
    flags = ("--ftp-ssl-control", "--cacert", pki.ca.file)
    listing_and_files(curl_with(wrap.port, *flags), ftp, tmp_path)
    assert wrap.audited(starttls="ftp", version="1.3")
    assert b"PASV" in middle.heard or b"EPSV" in middle.heard
    assert not any(word in middle.heard for word in ASKS_ABOUT_TLS)


@pytest.mark.proves("ftp", "server", "lftp", "vsftpd")
def test_plain_server_and_lftp(start_wrap, ftp, pki):
    wrap = start_wrap.server("ftp", ftp.port, pki.server(NAME))
    done = lftp(wrap.port, "set ftp:ssl-force yes", "set ftp:ssl-protect-data no", "set ftp:ssl-protect-list no",
                f"set ssl:ca-file {pki.ca.file}", "set ssl:check-hostname no")
    assert done.returncode == 0 and b"hello from behind" in done.stdout, done.stderr.decode()
    assert wrap.audited(starttls="ftp", version="1.3")


def test_data_in_tls_is_refused(start_wrap, ftp, pki):
    """PROT P is told that there is none, and a client that demands it goes no further."""
    wrap = start_wrap.server("ftp", ftp.port, pki.server(NAME))
    done = peers.curl("-sS", "-v", "--ssl-reqd", "--cacert", pki.ca.file, f"ftp://127.0.0.1:{wrap.port}/")
    assert b"536 " in done.stderr, done.stderr.decode()
    assert done.returncode != 0


@pytest.mark.proves("ftp", "server", "openssl s_client", "vsftpd")
def test_openssl(start_wrap, ftp, pki):
    wrap = start_wrap.server("ftp", ftp.port, pki.server(NAME))
    said = tls.s_client(wrap, NAME, "-starttls", "ftp", "-CAfile", pki.ca.file, "-verify_return_error",
                        "-verify_hostname", NAME)
    assert said.code == 0 and "Verification: OK" in said.text, said.text


@pytest.mark.proves("ftp", "probe", "vsftpd")
def test_server_without_tls_is_named(start_wrap, ftp, pki):
    """A server without TLS gets nothing but the question for it."""
    middle = Middle(f"127.0.0.1:{ftp.port}")
    wrap = start_wrap("client", middle.to, "--starttls", "ftp", "--ca", pki.ca.file)
    assert peers.curl("-sS", f"ftp://127.0.0.1:{wrap.port}/").returncode != 0
    assert "AUTH TLS" in wrap.audited(reason="backend_tls")["detail"]
    assert middle.heard == b"AUTH TLS\r\n"
