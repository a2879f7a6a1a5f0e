# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's user is whom the client has proven to be: with a server that reads the client's startup to its end, and with
PgBouncer, which reads it to the first empty name."""
import struct

import pytest

import peers
import tls
from run import SLOW, wait_until

SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"
VERSION_3 = b"\0\x03\0\0"


@pytest.fixture(scope="module")
def trusting_postgres(postgres):
    """A server that believes whoever comes from this machine, with the users alice and mallory."""
    hba = postgres.directory / "data" / "pg_hba.conf"
    before = hba.read_text()
    assert postgres.psql("create role alice login; create role mallory login").returncode == 0
    hba.write_text("host all alice,mallory 127.0.0.1/32 trust\n" + before)
    assert postgres.psql("select pg_reload_conf()").returncode == 0
    yield postgres
    hba.write_text(before)
    assert postgres.psql("select pg_reload_conf()").returncode == 0
    assert postgres.psql("drop role alice; drop role mallory").returncode == 0


@pytest.fixture(scope="module")
def pgbouncer(trusting_postgres):
    server = peers.PgBouncer(trusting_postgres, ["alice", "mallory"])
    yield server
    server.stop()


def door_before(start_door, pki, port):
    return start_door({
        "certificates": [pki.server("db.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "db", "first_bytes": "postgresql", "terminate": {"to": f"127.0.0.1:{port}"},
                    "hand_on": {"protocol": "postgresql"}, "clients": {"mode": "optional", "trust": "staff"}}],
        "policy": [{"name": "all", "who": {"any": True}}],
    })


@pytest.fixture(params=["postgres", "pgbouncer"])
def door(request, start_door, trusting_postgres, pki):
    server = trusting_postgres if request.param == "postgres" else request.getfixturevalue("pgbouncer")
    return door_before(start_door, pki, server.port)


def who(postgres, port, user, cert=None, **more):
    """Whom the server takes the client for that says it is `user`."""
    words = {"user": user, "host": "db.test", "hostaddr": "127.0.0.1", "sslmode": "require", **more}
    if cert:
        words |= {"sslcert": cert.certificate, "sslkey": cert.key}
    done = postgres.psql("select current_user", port=port, **words)
    return done.returncode, done.stdout.decode().strip(), done.stderr.decode()


def test_the_user_is_whom_the_certificate_names(door, trusting_postgres, pki):
    """Whatever the client says."""
    assert who(trusting_postgres, door.port, "alice", pki.alice) == (0, "alice", "")
    assert who(trusting_postgres, door.port, "mallory", pki.alice) == (0, "alice", "")
    code, _, said = who(trusting_postgres, door.port, "alice", None, sslcert="/nonexistent")
    assert code != 0 and "no client certificate tells who you are" in said


def within_tls(door, cert):
    sock = door.dial()
    sock.settimeout(10 * SLOW)
    sock.sendall(SSL_REQUEST)
    assert tls.read_exactly(sock, 1) == b"S"
    return tls.HalfTls(sock, tls.context(cert=cert, alpn=["postgresql"]), "db.test")


def message(body, kind=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


ASK = message(b"select 'I am ' || current_user\0", b"Q")


def answers(client, until=None):
    """All of them, or to those words."""
    heard = b""
    while (until is None or until not in heard) and (more := client.recv()):
        heard += more
    return heard


HOSTILE = {
    "behind the first empty name": VERSION_3 + b"user\0x\0database\0postgres\0user\0mallory\0\0z\0\0",
    "a name without a value": VERSION_3 + b"user\0x\0database\0postgres\0application_name\0\0",
    "twice": VERSION_3 + b"user\0mallory\0user\0x\0database\0postgres\0\0",
    "protocol 2": b"\0\x02\0\0" + b"postgres".ljust(64, b"\0") + b"mallory".ljust(224, b"\0"),
    "TLS again, longer": SSL_REQUEST[4:] + b"user\0mallory\0\0",
}


@pytest.mark.parametrize("startup", HOSTILE.values(), ids=HOSTILE.keys())
def test_another_user(door, pki, startup):
    """Startups that servers read in different ways are refused, whatever the server; the client hears why."""
    client = within_tls(door, pki.alice)
    client.send(message(startup) + ASK)
    heard = answers(client)
    assert heard.startswith(b"E") and any(why in heard for why in (b"Mexpected ", b"Mfound the user twice")), heard


CUT_OFF = b"\0\0\1\0" + VERSION_3 + b"user\0mallory\0\0"


@pytest.mark.parametrize("said", [*map(message, HOSTILE.values()), CUT_OFF], ids=[*HOSTILE, "cut off"])
def test_the_server_hears_nothing(start_door, pki, said):
    """Nor of what stands behind the startup, though the client says no more then and the door could pass on the rest."""
    heard = []
    server = peers.Server(lambda sock: heard.append(tls.read_all(sock)))
    door = door_before(start_door, pki, server.port)
    client = within_tls(door, pki.alice)
    client.send(said + message(VERSION_3 + b"user\0mallory\0\0") + ASK if said != CUT_OFF else said)
    client.close_notify()
    answers(client)
    assert wait_until(lambda: heard, "the end at the server") == [b""]
    server.stop()


@pytest.mark.parametrize("door", ["postgres"], indirect=True)
@pytest.mark.parametrize("minor, options", [(0, b""), (2, b"_pq_.an_option\0on\0"), (0, b"application_name\0\0")])
def test_later_protocols_and_options(door, pki, minor, options):
    """They are between client and server."""
    client = within_tls(door, pki.alice)
    client.send(message(struct.pack("!HH", 3, minor) + b"database\0postgres\0" + options + b"user\0mallory\0\0") +
                ASK)
    assert b"I am alice" in answers(client, b"I am alice")


def test_tls_within_tls(door, pki):
    """Whoever asks for more of it hears no, and goes on."""
    client = within_tls(door, pki.alice)
    client.send(SSL_REQUEST)
    assert client.recv(1) == b"N"
    client.send(message(VERSION_3 + b"user\0mallory\0database\0postgres\0\0") +
                ASK)
    assert b"I am alice" in answers(client, b"I am alice")
