# SPDX-License-Identifier: Apache-2.0
"""A program of an exec: backend learns from its environment who the client has proven to be."""
import tls


def environment(door, pki, **options):
    """What /usr/bin/env, started for a connection, says; and the connection's own address."""
    with tls.connect(door, "www.test", ca=pki.ca.file, **options) as sock:
        local = sock.getsockname()
        text = tls.read_all(sock).decode()
    found, name = {}, None
    for line in text.splitlines():
        if "=" in line and not line.startswith("MI") and (name is None or not line.endswith("=")):
            name, value = line.split("=", 1)
            found[name] = value
        else:
            found[name] += "\n" + line
    return found, local


def test_environment(start_door, pki):
    door = start_door({
        "certificates": [pki.server("www.test").row()],
        "trust": [pki.trust()],
        "policy": [{"name": "all", "who": {"any": True}}],
        "routes": [{"name": "www", "terminate": {"to": "exec:/usr/bin/env"},
                    "hand_on": {"user": "uri", "user_pattern": "spiffe://example.test/team/ops/*"},
                    "clients": {"mode": "optional", "trust": "staff"}}]})
    found, local = environment(door, pki, cert=pki.alice)
    assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == (local[0], str(local[1]))
    assert found["REMOTE_USER"] == "alice"
    assert found["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert found["SSL_CLIENT_S_DN_CN"] == "alice" and found["SSL_CLIENT_S_DN_OU"] == "ops"
    assert found["SSL_CLIENT_S_DN"] == "CN=alice,OU=ops" and found["SSL_CLIENT_I_DN"] == "CN=Staff CA"
    assert found["SSL_CLIENT_SAN_Email_0"] == "alice@example.test"
    assert found["SSL_PROTOCOL"] == "TLSv1.3" and found["SSL_TLS_SNI"] == "www.test"
    with open(pki.alice.certificate, encoding="ascii") as pem:
        assert found["SSL_CLIENT_CERT"].strip() == pem.read().strip()
    assert found["UNIQUE_ID"] == door.audited_of(local)["id"]
    found, _ = environment(door, pki)
    assert found["SSL_CLIENT_VERIFY"] == "NONE"
    assert "REMOTE_USER" not in found and not any(name.startswith(("SSL_CLIENT_S", "SSL_CLIENT_C")) for name in found)
