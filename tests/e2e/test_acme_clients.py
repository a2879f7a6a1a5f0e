# SPDX-License-Identifier: Apache-2.0
"""The door as an ACME server, judged by the clients that people have: certbot, lego, uacme and dehydrated obtain, renew and
revoke, by each challenge, with external account binding, for names, wildcards and addresses."""
import shutil
import time
from pathlib import Path

import pytest

from acme import DEVICE, NAME, Acme, WebRoot
from pki import openssl
from run import CARDEA, run

RULES = [{"accounts": ["eab:device-*"], "profiles": ["client"], "names": ["*.devices.example.com"], "groups": ["devices"],
          "trusted": True},
         {"profiles": ["server", "short"]}]


@pytest.fixture
def acme(start_door, pki, tmp_path):
    made = Acme(start_door, pki, tmp_path, rules=RULES)
    yield made
    made.stop()


@pytest.fixture
def webroot(acme, tmp_path):
    root = WebRoot(tmp_path, acme.http_port)
    yield root
    root.stop()


def done(result):
    assert result.returncode == 0, (result.stdout + result.stderr).decode(errors="replace")
    return result.stdout.decode(errors="replace")


def ca(acme, *words):
    done(run(CARDEA, "ca", *words, "--dir", acme.directory / "ca"))


def lego(acme, *words, path="lego", verb="run", env=None):
    return run("lego", "--accept-tos", "--email", "admin@example.com", "--server", acme.directory_url, "--path",
               acme.directory / path, *words, *verb.split(), timeout=60,
               env={"PATH": "/usr/bin:/bin", "HOME": str(acme.directory), "LEGO_CA_CERTIFICATES": acme.pki.ca.file, **(env or {})})


def lego_chain(acme, name=NAME, path="lego"):
    return acme.directory / path / "certificates" / f"{name}.crt"


def test_lego_http_obtains_renews_and_revokes(acme):
    words = ["--http", "--http.port", f"127.0.0.1:{acme.http_port}", "-d", NAME, "-d", "example.com"]
    done(lego(acme, *words))
    first = acme.check(lego_chain(acme), NAME, "example.com")
    assert acme.renewal(lego_chain(acme)) > time.time() + 30 * 86400
    ca(acme, "set", "--replace", "all")
    assert acme.renewal(lego_chain(acme)) <= time.time(), "what was issued is to be replaced"
    done(lego(acme, *words, verb="renew --days 1000 --no-random-sleep"))
    second = acme.check(lego_chain(acme), NAME, "example.com")
    assert first != second
    ca(acme, "set", "--replace", "none")
    assert acme.renewal(lego_chain(acme)) > time.time() + 30 * 86400
    old = acme.directory / "old.pem"
    shutil.copy(lego_chain(acme), old)
    done(lego(acme, *words, verb="renew --days 1000 --no-random-sleep"))
    ca(acme, "revoke", old)
    assert acme.renewal(old) < time.time(), "by the operator"
    kept = acme.directory / "kept.pem"
    shutil.copy(lego_chain(acme), kept)
    done(lego(acme, "-d", NAME, verb="revoke"))
    assert sorted(acme.revoked()) == sorted([second, acme.check(kept, NAME, "example.com")])
    assert acme.renewal(kept) < time.time(), "what is revoked is to be renewed at once"


def test_lego_tls_alpn(acme):
    done(lego(acme, "--tls", "--tls.port", f"127.0.0.1:{acme.tls_port}", "-d", NAME, verb="run --must-staple"))
    acme.check(lego_chain(acme), NAME)
    assert b"status_request" in openssl("x509", "-in", lego_chain(acme), "-noout", "-ext", "tlsfeature")


def hook(acme):
    """An executable that sets and clears TXT records: present|cleanup NAME VALUE, as lego calls it."""
    path = acme.directory / "hook"
    path.write_text("#!/bin/sh\n"
                    "case $1 in present) what=set-txt;; *) what=clear-txt;; esac\n"
                    f"exec curl -sf -d '{{\"host\":\"'\"${{2%.}}.\"'\",\"value\":\"'\"$3\"'\"}}' http://127.0.0.1:{acme.names.control}/$what\n")
    path.chmod(0o755)
    return path


def test_lego_dns_wildcard(acme):
    done(lego(acme, "--dns", "exec", "--dns.disable-cp", "--dns.resolvers", f"127.0.0.1:{acme.names.port}", "-d", f"*.{NAME}",
              env={"EXEC_PATH": str(hook(acme)), "EXEC_POLLING_INTERVAL": "1"}))
    acme.check(lego_chain(acme, f"_.{NAME}"), f"*.{NAME}")


def test_lego_external_account(acme):
    done(lego(acme, "--eab", "--kid", DEVICE["id"], "--hmac", DEVICE["key"], "--http", "--http.port",
              f"127.0.0.1:{acme.http_port}", "-d", NAME))
    acme.check(lego_chain(acme), NAME)
    refused = lego(acme, "--eab", "--kid", "device-8", "--hmac", DEVICE["key"], "--http", "--http.port",
                   f"127.0.0.1:{acme.http_port}", "-d", NAME, path="other")
    assert refused.returncode != 0 and b"unauthorized" in refused.stderr


def test_devices_enrol_by_their_key(start_door, pki, tmp_path):
    """A client certificate with groups, for who has the operator's key and without a challenge; nobody else gets one."""
    acme = Acme(start_door, pki, tmp_path, rules=[{**RULES[0], "profiles": ["device"]}],
                profiles=[{"name": "device", "kind": "client", "lifetime": "7d"}])
    words = ["--http", "--http.port", "127.0.0.1:0", "-d", "d7.devices.example.com"]
    try:
        done(lego(acme, "--eab", "--kid", DEVICE["id"], "--hmac", DEVICE["key"], *words))
        chain = lego_chain(acme, "d7.devices.example.com")
        acme.check(chain, "d7.devices.example.com")
        said = openssl("x509", "-in", chain, "-noout", "-subject", "-purpose", "-ext", "extendedKeyUsage").decode()
        assert "OU = devices, CN = d7.devices.example.com" in said, said
        assert "TLS Web Client Authentication" in said and "TLS Web Server Authentication" not in said
        stranger = lego(acme, *words, path="stranger")
        assert stranger.returncode != 0 and b"rejectedIdentifier" in stranger.stderr
    finally:
        acme.stop()


def test_forbidden_networks_are_not_looked_at(start_door, pki, tmp_path):
    acme = Acme(start_door, pki, tmp_path, deny=["127.0.0.0/8"])
    try:
        for kind, port in ("http", acme.http_port), ("tls", acme.tls_port):
            refused = lego(acme, f"--{kind}", f"--{kind}.port", f"127.0.0.1:{port}", "-d", NAME)
            assert refused.returncode != 0 and b"does not look at its addresses" in refused.stderr
    finally:
        acme.stop()


def test_lego_failed_challenge_says_why(acme):
    """Nobody answers where the door looks: the client is told what was seen."""
    refused = lego(acme, "--http", "--http.port", "127.0.0.1:0", "-d", NAME)
    assert refused.returncode != 0
    assert b"urn:ietf:params:acme:error:connection" in refused.stderr and NAME.encode() in refused.stderr


def certbot(acme, *words):
    base = acme.directory / "certbot"
    return run("certbot", *words, "--server", acme.directory_url, "--config-dir", base / "c", "--work-dir", base / "w",
               "--logs-dir", base / "l", "-n", timeout=60,
               env={"PATH": "/usr/bin:/bin", "HOME": str(acme.directory), "REQUESTS_CA_BUNDLE": acme.pki.ca.file})


def certbot_chain(acme, name=NAME):
    return acme.directory / "certbot/c/live" / name / "fullchain.pem"


def test_certbot_obtains_renews_and_revokes(acme):
    done(certbot(acme, "certonly", "--standalone", "--http-01-port", acme.http_port, "--http-01-address", "127.0.0.1", "--agree-tos",
                 "-m", "admin@example.com", "--no-eff-email", "-d", NAME))
    first = acme.check(certbot_chain(acme), NAME)
    done(certbot(acme, "renew", "--force-renewal", "--no-random-sleep-on-renew"))
    second = acme.check(certbot_chain(acme), NAME)
    assert first != second
    done(certbot(acme, "update_account", "-m", "other@example.com", "--no-eff-email"))
    done(certbot(acme, "revoke", "--cert-name", NAME, "--reason", "keycompromise", "--no-delete-after-revoke"))
    assert acme.revoked() == [second]
    again = certbot(acme, "revoke", "--cert-path", certbot_chain(acme), "--no-delete-after-revoke")
    assert "alreadyRevoked" in (acme.directory / "certbot/l/letsencrypt.log").read_text(), again.stderr
    done(certbot(acme, "unregister"))


def test_certbot_revokes_by_the_certificates_key(acme):
    done(certbot(acme, "certonly", "--standalone", "--http-01-port", acme.http_port, "--http-01-address", "127.0.0.1", "--agree-tos",
                 "--register-unsafely-without-email", "-d", NAME))
    live = acme.directory / "certbot/c/live" / NAME
    done(certbot(acme, "revoke", "--cert-path", live / "cert.pem", "--key-path", live / "privkey.pem", "--no-delete-after-revoke"))


def test_certbot_dns_and_external_account(acme):
    program = hook(acme)
    auth, clean = acme.directory / "auth", acme.directory / "clean"
    for path, word in (auth, "present"), (clean, "cleanup"):
        path.write_text(f"#!/bin/sh\nexec {program} {word} _acme-challenge.$CERTBOT_DOMAIN. $CERTBOT_VALIDATION\n")
        path.chmod(0o755)
    done(certbot(acme, "certonly", "--manual", "--preferred-challenges", "dns", "--manual-auth-hook", auth, "--manual-cleanup-hook",
                 clean, "--agree-tos", "--register-unsafely-without-email", "--eab-kid", DEVICE["id"], "--eab-hmac-key", DEVICE["key"],
                 "-d", NAME, "-d", f"*.{NAME}"))
    acme.check(certbot_chain(acme), NAME, f"*.{NAME}")


def uacme(acme, *words):
    """It believes only what the machine does, so the machine's list is the test's for it."""
    inside = 'mount --bind "$1" /etc/ssl/certs/ca-certificates.crt && shift && exec "$@"'
    return run("unshare", "-Urm", "sh", "-c", inside, "sh", acme.pki.ca.file, "uacme", "-v", "-a", acme.directory_url, "-c",
               acme.directory / "uacme", *words, timeout=60)


def uacme_hook(acme, webroot):
    program = acme.directory / "uacme-hook"
    program.write_text("#!/bin/sh\n[ \"$2\" = http-01 ] || exit 1\n"
                       f"file={webroot.folder}/.well-known/acme-challenge/$4\n"
                       "case $1 in begin) printf %s \"$5\" > $file;; *) rm -f $file;; esac\n")
    program.chmod(0o755)
    return program


def test_uacme_obtains_renews_and_revokes(acme, webroot):
    program = uacme_hook(acme, webroot)
    done(uacme(acme, "-y", "new"))
    done(uacme(acme, "-h", program, "issue", NAME))
    chain = acme.directory / "uacme" / NAME / "cert.pem"
    first = acme.check(chain, NAME)
    done(uacme(acme, "-h", program, "-f", "issue", NAME))
    assert first != acme.check(chain, NAME)
    done(uacme(acme, "revoke", chain))
    assert len(acme.revoked()) == 1
    done(uacme(acme, "newkey"))
    done(uacme(acme, "deactivate"))


def test_uacme_address(acme, webroot):
    """An address has no name to be looked up (RFC 8738)."""
    program = uacme_hook(acme, webroot)
    done(uacme(acme, "-y", "new"))
    done(uacme(acme, "-h", program, "issue", "127.0.0.1"))
    acme.check(acme.directory / "uacme/127.0.0.1/cert.pem", "127.0.0.1")


@pytest.mark.parametrize("moved, why", [("/moved{path}", None), ("http://other.example.com:PORT/moved{path}", None),
                                        ("http://other.example.com:22{path}", b"does not look"), ("{path}", b"more than 10")])
def test_redirects(acme, tmp_path, moved, why):
    """They are followed, to the ports where the door looks and so often; another name is looked up there too."""
    root = WebRoot(tmp_path, acme.http_port, moved=moved.replace("PORT", str(acme.http_port)))
    try:
        program = uacme_hook(acme, root)
        done(uacme(acme, "-y", "new"))
        issued = uacme(acme, "-h", program, "issue", NAME)
        assert (issued.returncode == 0) == (why is None), issued.stderr
        assert why is None or why in issued.stdout + issued.stderr
    finally:
        root.stop()


def test_dehydrated_obtains_renews_and_revokes(acme, webroot):
    base = acme.directory / "dehydrated"
    base.mkdir()
    config = base / "config"
    config.write_text(f'CA="{acme.directory_url}"\nCHALLENGETYPE="http-01"\nBASEDIR="{base}"\n'
                      f'WELLKNOWN="{webroot.folder}/.well-known/acme-challenge"\nCURL_OPTS="--cacert {acme.pki.ca.file}"\n'
                      f'CONTACT_EMAIL=admin@example.com\nKEY_ALGO=secp384r1\n')

    def dehydrated(*words):
        return run("dehydrated", *words, "-f", config, timeout=60)
    done(dehydrated("--register", "--accept-terms"))
    done(dehydrated("-c", "-d", NAME))
    chain = base / "certs" / NAME / "fullchain.pem"
    first = acme.check(chain, NAME)
    done(dehydrated("-c", "-x", "-d", NAME))
    assert first != acme.check(chain, NAME)
    second = acme.check(chain, NAME)
    done(dehydrated("-r", (base / "certs" / NAME / "cert.pem").resolve()))
    assert acme.revoked() == [second]

def test_one_address_is_looked_at_by_few_at_once(start_door, pki, tmp_path):
    """All names lead to one address: the second look waits for the first, and nothing fails by that."""
    acme = Acme(start_door, pki, tmp_path, limits={"looks_per_target": 1, "pending": "10m"})
    names = [NAME, "a.example.com"]
    words = [word for name in names for word in ("-d", name)]
    root = WebRoot(tmp_path, acme.http_port)
    try:
        done(lego(acme, "--http", "--http.webroot", root.folder, *words))
        acme.check(lego_chain(acme), *names)
        done(lego(acme, "--tls", "--tls.port", f"127.0.0.1:{acme.tls_port}", *words, path="tls"))
        acme.check(lego_chain(acme, path="tls"), *names)
    finally:
        root.stop()
        acme.stop()


@pytest.mark.parametrize("program", ["certbot", "lego", "uacme", "dehydrated"])
def test_all_judges_are_here(program):
    assert shutil.which(program) and Path(shutil.which(program)).is_file()
