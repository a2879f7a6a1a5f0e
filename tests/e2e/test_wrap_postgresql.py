# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL in each role: psql without TLS in front of a server that takes nothing else, the other way round, and by SNI
through a door."""
import pytest


def query(postgres, port, **parameters):
    done = postgres.psql("select 6 * 7", port=port, **parameters)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.proves("postgresql", "client", "psql", "PostgreSQL")
def test_plain_client(start_wrap, tls_postgres, pki):
    assert query(tls_postgres, tls_postgres.port, sslmode="disable")[0] != 0
    wrap = start_wrap("client", tls_postgres.port, "--starttls", "postgresql", "--ca", pki.ca.file)
    assert query(tls_postgres, wrap.port, sslmode="disable") == (0, b"42\n", ""), wrap.audit()


@pytest.mark.proves("postgresql", "server", "psql", "PostgreSQL")
def test_plain_server(start_wrap, postgres, pki):
    wrap = start_wrap.server("postgresql", postgres.port, pki.server("db.test"))
    options = {"host": "db.test", "hostaddr": "127.0.0.1", "sslrootcert": pki.ca.file}
    assert query(postgres, wrap.port, sslmode="verify-full", **options) == (0, b"42\n", "")
    assert wrap.audited(starttls="postgresql", version="1.3")["sni"] == "db.test"
    code, _, said = query(postgres, wrap.port, sslmode="disable")
    assert code != 0 and "use sslmode=require or better" in said


def test_plaintext_where_it_is_allowed(start_wrap, postgres, pki):
    wrap = start_wrap.server("postgresql", postgres.port, pki.server("db.test"), "--plaintext")
    assert query(postgres, wrap.port, sslmode="disable") == (0, b"42\n", "")
    assert query(postgres, wrap.port, sslmode="require") == (0, b"42\n", "")


@pytest.fixture
def door(start_door, pki, postgres, tls_postgres):
    return start_door({
        "certificates": [pki.server("plain.test").row()],
        "routes": [
            {"name": "ended", "first_bytes": "postgresql", "sni": "plain.test",
             "terminate": {"to": f"127.0.0.1:{postgres.port}"}},
            {"name": "through", "first_bytes": "postgresql", "sni": "db.test",
             "pass": {"to": f"127.0.0.1:{tls_postgres.port}"}}],
    })


@pytest.mark.proves("postgresql", "route", "psql", "PostgreSQL")
@pytest.mark.parametrize("name, action", [("plain.test", "terminate"), ("db.test", "pass")])
def test_by_name(door, postgres, tls_postgres, pki, name, action):
    server = postgres if action == "terminate" else tls_postgres
    options = {"host": name, "hostaddr": "127.0.0.1", "sslrootcert": pki.ca.file, "sslmode": "verify-full"}
    assert query(server, door.port, **options) == (0, b"42\n", "")
    assert door.audited(action=action)["starttls"] == "postgresql"


def test_a_server_without_tls_is_named(start_wrap, postgres, pki):
    """What a server says that has no TLS, and what somebody on the way would say: an error that tells so."""
    wrap = start_wrap("client", postgres.port, "--starttls", "postgresql", "--ca", pki.ca.file)
    assert query(postgres, wrap.port, sslmode="disable")[0] != 0
    assert "does not offer TLS" in wrap.audited(reason="backend_tls")["detail"]


def test_a_client_without_tls_that_would_like_some(start_wrap, tls_postgres, pki):
    """psql asks for TLS unless it is told not to: it hears no, and goes on. SCRAM works, though without channel binding,
    which is to a TLS that it does not see."""
    wrap = start_wrap("client", tls_postgres.port, "--starttls", "postgresql", "--ca", pki.ca.file)
    assert query(tls_postgres, wrap.port, sslmode="prefer", gssencmode="prefer") == (0, b"42\n", "")
