# SPDX-License-Identifier: Apache-2.0
"""psql with sslmode=require straight to the door: SSLRequest, then a route by SNI to a plain PostgreSQL."""
import socket
import struct

import pytest

import tls
from run import SLOW

SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSS_REQUEST = struct.pack("!II", 8, 80877104)


@pytest.fixture(scope="module")
def door(start_module_door, pki, postgres):
    return start_module_door({
        "certificates": [pki.server("db.test").row(), pki.server("other.test").row()],
        "trust": [pki.trust()],
        "routes": [
            {"name": "db", "first_bytes": "postgresql", "sni": "db.test",
             "terminate": {"to": f"127.0.0.1:{postgres.port}"}},
            {"name": "web", "sni": "other.test", "terminate": {"to": "127.0.0.1:1"}},
        ],
    })


def psql(postgres, door, host, pki, **parameters):
    """psql sends `host` as SNI and dials 127.0.0.1."""
    return postgres.psql("select 6 * 7", host=host, hostaddr="127.0.0.1", port=door.port,
                         **{"sslmode": "require", "sslrootcert": pki.ca.file, **parameters})


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_query(door, postgres, pki, mode):
    """The door answers SSLRequest, its certificate is good for the name, and the query is answered."""
    door.mark()
    done = psql(postgres, door, "db.test", pki, sslmode=mode)
    assert (done.returncode, done.stdout) == (0, b"42\n"), done.stderr.decode()
    line = door.audited(route="db")
    assert (line["action"], line["sni"], line["version"]) == ("terminate", "db.test", "1.3")


def test_name_without_route(door, postgres, pki):
    """Another name has no route for PostgreSQL: refused, though the same name has one for TLS."""
    assert psql(postgres, door, "other.test", pki).returncode != 0


def test_plain_startup_is_refused(door, postgres, pki):
    """psql without TLS gets no answer from the database."""
    done = psql(postgres, door, "db.test", pki, sslmode="disable")
    assert done.returncode != 0 and b"42" not in done.stdout


def test_gss_request_is_declined(door):
    """GSSENCRequest is answered N, and SSLRequest then S."""
    with door.dial() as sock:
        sock.sendall(GSS_REQUEST)
        assert tls.read_exactly(sock, 1) == b"N"
        sock.sendall(SSL_REQUEST)
        assert tls.read_exactly(sock, 1) == b"S"


def test_request_in_pieces(door, pki):
    """SSLRequest one byte at a time."""
    with door.dial() as sock:
        for byte in SSL_REQUEST:
            sock.sendall(bytes([byte]))
        assert tls.read_exactly(sock, 1) == b"S"
        with tls.context(pki.ca.file).wrap_socket(sock, server_hostname="db.test") as secure:
            assert secure.version() == "TLSv1.3"


def test_bytes_before_the_answer_are_not_trusted(door):
    """A ClientHello stuffed behind SSLRequest, before the door's S, could be an attacker's (CVE-2021-23222): it must
    not become part of the TLS session's plaintext. The door either refuses it or reads it as TLS."""
    with door.dial() as sock:
        sock.settimeout(5 * SLOW)
        sock.sendall(SSL_REQUEST + b"\0\0\0\x08\x04\xd2\x16\x2e")
        assert tls.read_all(sock)[:1] in (b"S", b"")


def test_plain_tls_does_not_take_the_route(door):
    """TLS without SSLRequest for the database's name: the route is for PostgreSQL clients only."""
    with pytest.raises((OSError, socket.error)):
        tls.connect(door, "db.test").close()
