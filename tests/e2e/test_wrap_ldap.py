# SPDX-License-Identifier: Apache-2.0
"""LDAP in each role, with OpenLDAP and ldapsearch."""
import os

import pytest

import peers
from run import run

BASE = "dc=example,dc=test"


@pytest.fixture(scope="module")
def slapd(tmp_path_factory):
    server = peers.Slapd(tmp_path_factory.mktemp("slapd"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tls_slapd(tmp_path_factory, pki):
    server = peers.Slapd(tmp_path_factory.mktemp("slapd"), pki.server("ldap.test"))
    yield server
    server.stop()


def search(port, *words, host="127.0.0.1", ca=None):
    """ldapsearch, which checks the certificate against `ca`."""
    env = {"PATH": os.environ["PATH"], "LDAPNOINIT": "" if ca else "1"}
    if ca:
        env = {"PATH": os.environ["PATH"], "LDAPTLS_CACERT": ca, "LDAPTLS_REQCERT": "demand", "HOME": "/nonexistent"}
    return run("ldapsearch", "-x", "-LLL", "-H", f"ldap://{host}:{port}", *words, "-D", f"cn=admin,{BASE}", "-w", "knock",
               "-b", BASE, "o", env=env)


def found(done):
    return done.returncode == 0 and b"o: behind the door" in done.stdout


@pytest.mark.proves("ldap", "client", "ldapsearch", "OpenLDAP")
def test_plain_client(start_wrap, tls_slapd, pki):
    assert b"confidentiality required" in search(tls_slapd.port).stderr.lower()
    wrap = start_wrap("client", tls_slapd.port, "--starttls", "ldap", "--ca", pki.ca.file)
    done = search(wrap.port)
    assert found(done), done.stderr.decode()


@pytest.mark.proves("ldap", "server", "ldapsearch", "OpenLDAP")
def test_plain_server(start_wrap, slapd, pki):
    wrap = start_wrap.server("ldap", slapd.port, pki.server("ldap.test"))
    done = search(wrap.port, "-ZZ", ca=pki.ca.file)
    assert found(done), done.stderr.decode()
    assert wrap.audited(starttls="ldap", version="1.3")
    refused = search(wrap.port)
    assert b"confidentiality required" in refused.stderr.lower(), refused.stderr.decode()


def test_plaintext_where_it_is_allowed(start_wrap, slapd, pki):
    wrap = start_wrap.server("ldap", slapd.port, pki.server("ldap.test"), "--plaintext")
    assert found(search(wrap.port)) and found(search(wrap.port, "-ZZ", ca=pki.ca.file))


@pytest.mark.proves("ldap", "route", "ldapsearch", "OpenLDAP")
@pytest.mark.parametrize("action", ["terminate", "pass"])
def test_at_a_shared_port(start_door, slapd, tls_slapd, pki, action):
    """The port takes web clients too; LDAP is told by its first byte."""
    server = slapd if action == "terminate" else tls_slapd
    door = start_door({
        "certificates": [pki.server("ldap.test").row()],
        "routes": [{"name": "directory", "first_bytes": "ldap", action: {"to": f"127.0.0.1:{server.port}"}}],
    })
    done = search(door.port, "-ZZ", ca=pki.ca.file)
    assert found(done), done.stderr.decode()
    assert door.audited(action=action)["starttls"] == "ldap"


def test_a_server_without_tls_is_named(start_wrap, slapd, pki):
    wrap = start_wrap("client", slapd.port, "--starttls", "ldap", "--ca", pki.ca.file)
    assert search(wrap.port).returncode != 0
    assert "StartTLS" in wrap.audited(reason="backend_tls")["detail"]
