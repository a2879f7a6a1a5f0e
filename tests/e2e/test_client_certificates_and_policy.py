# SPDX-License-Identifier: Apache-2.0
"""Who may come in: client certificates required and optional, what is refused of them, and policy by identity."""
import re
import shutil
import ssl

import pytest

import pki as pki_module
import tls
from run import CARDEA, run, wait_until

PEOPLE = {
    "alice": {},
    "old": {"ou": ["ops"], "start": -7200, "end": -3600},
    "early": {"ou": ["ops"], "start": 3600, "end": 7200},
    "server": {"ou": ["ops"], "usage": "serverAuth"},
    "workload": {"uri": ["spiffe://example.test/prod/api/v2"]},
    "two-units": {"ou": ["dev", "ops"]},
    "ops": {},
}


@pytest.fixture(scope="module")
def people(pki):
    made = {name: pki.staff.issue(name, label=f"people-{name}",
                                  **{"usage": "clientAuth", **PEOPLE[name]}) for name in PEOPLE if PEOPLE[name]}
    made["ops"] = pki.staff.client("ops")
    return {**made, "alice": pki.alice, "bob": pki.bob, "mallory": pki.mallory, None: None}


@pytest.fixture(scope="module")
def door(start_module_door, pki, banner):
    to = {"to": banner.to}
    required = {"mode": "required", "trust": "staff"}
    names = ("required", "optional", "public", "ops", "spiffe", "mail", "uri", "cn", "both")
    return start_module_door({
        "certificates": [pki.server("*.who.test").row()],
        "trust": [pki.trust(), {"name": "strangers", "ca": [pki.stranger.file]}],
        "routes": [{"name": name, "sni": f"{name}.who.test", "terminate": to,
                    **({} if name == "public" else {"clients": {**required, "mode": "optional"}}
                       if name == "optional" else {"clients": required})} for name in names]
        + [{"name": "strangers", "sni": "strangers.who.test", "terminate": to,
            "clients": {"mode": "required", "trust": "strangers"}}],
        "policy": [
            {"name": "no-bob", "effect": "deny", "who": {"name": "bob"}, "routes": ["optional", "mail"]},
            {"name": "open", "who": {"any": True}, "routes": ["required", "optional", "public", "strangers"]},
            {"name": "ops-only", "who": {"group": "ops"}, "routes": ["ops"]},
            {"name": "workloads", "who": {"group": "prod/api"}, "routes": ["spiffe"]},
            {"name": "mail", "who": {"email": "*@example.test"}, "routes": ["mail"]},
            {"name": "uri", "who": {"uri": "spiffe://example.test/team/*"}, "routes": ["uri"]},
            {"name": "cn", "who": {"name": ["carol", "al*"]}, "routes": ["cn"]},
            {"name": "both", "who": {"name": "alice", "group": "dev"}, "routes": ["both"]},
        ],
    })


def comes_in(door, sni, cert):
    """True when the backend's words arrive; False when the door refuses. TLS 1.3 tells a client only after its side
    of the handshake is done, so the proof is the first read."""
    try:
        with tls.connect(door, sni, cert=cert) as sock:
            said = sock.recv(100)
            tls.finish(sock)
            return said == b"behind the door\n"
    except (ssl.SSLError, ConnectionResetError):
        return False


CASES = [
    # name of the route, who, is let in
    ("public", None, True),
    ("public", "alice", True),
    ("required", None, False),
    ("required", "alice", True),
    ("required", "bob", True),
    ("required", "mallory", False),
    ("required", "old", False),
    ("required", "early", False),
    ("required", "server", False),
    ("optional", None, True),
    ("optional", "alice", True),
    ("optional", "bob", False),
    ("optional", "mallory", False),
    ("optional", "old", False),
    ("strangers", "mallory", True),
    ("strangers", "alice", False),
    ("ops", "alice", True),
    ("ops", "bob", False),
    ("ops", "two-units", True),
    ("ops", "ops", False),
    ("spiffe", "workload", True),
    ("spiffe", "alice", False),
    ("mail", "alice", True),
    ("mail", "bob", False),
    ("uri", "alice", True),
    ("uri", "workload", False),
    ("cn", "alice", True),
    ("cn", "bob", False),
    ("both", "alice", False),
    ("both", "bob", False),
]


@pytest.mark.parametrize("route, who, let_in", CASES)
def test_who_comes_in(door, people, route, who, let_in):
    """Every fact that policy can ask for, and every certificate that proves nothing."""
    assert comes_in(door, f"{route}.who.test", people[who]) is let_in


@pytest.mark.parametrize("who, alert", [(None, "116"), ("mallory", "48"), ("old", "45")])
def test_alert_tells_the_client(door, people, who, alert):
    """certificate_required, unknown_ca, certificate_expired."""
    shown = ["-cert", people[who].certificate, "-key", people[who].key] if who else []
    said = tls.s_client(door, "required.who.test", *shown, until=b"alert number")
    assert said.alert == alert, said.text


def test_identity_in_the_audit_line(door, pki):
    """Who it was, by what it has proven."""
    door.mark()
    assert comes_in(door, "required.who.test", pki.alice)
    line = door.audited(route="required")
    assert line["identity"] == "alice" and line["reason"] == "done"


def test_an_unproven_identity_is_nobody(door, pki):
    """Mallory's certificate says alice; the audit line does not."""
    door.mark()
    assert not comes_in(door, "required.who.test", pki.mallory)
    line = door.audited(sni="required.who.test")
    assert "identity" not in line and line["reason"] == "bad_certificate", line


@pytest.mark.parametrize("route, rule", [("mail", "no-bob"), ("ops", None)])
def test_denial_names_the_rule(door, pki, route, rule):
    """The audit line of a denial has the rule, or says that there is none."""
    door.mark()
    assert not comes_in(door, f"{route}.who.test", pki.bob)
    line = door.audited(route=route)
    assert (line["reason"], line["identity"]) == ("denied", "bob")
    assert line.get("rule") == rule or (rule is None and "no rule" in line["detail"]), line


def test_denial_is_an_alert(door, pki):
    """access_denied (49), so that the client knows it was policy."""
    said = tls.s_client(door, "ops.who.test", "-cert", pki.bob.certificate, "-key", pki.bob.key,
                        until=b"alert number")
    assert said.alert == "49", said.text


def test_intermediate(start_door, pki, banner, tmp_path):
    """A chain over an intermediate that the client sends along; without it, nothing is proven."""
    middle = pki_module.CA(tmp_path / "middle", "Middle", issuer=pki.staff)
    dave = middle.client("dave")
    door = start_door(one_route(pki, banner, pki.trust()))
    assert comes_in(door, "a.test", dave)
    leaf = tmp_path / "leaf.pem"
    leaf.write_text(open(dave.certificate, encoding="ascii").read().split("-----END CERTIFICATE-----")[0]
                    + "-----END CERTIFICATE-----\n")
    assert not comes_in(door, "a.test", pki_module.Cert(leaf, dave.key))


def one_route(pki, banner, trust):
    return {"certificates": [pki.server("a.test").row()], "trust": [trust],
            "routes": [{"name": "a", "terminate": {"to": banner.to}, "clients": {"mode": "required", "trust": "staff"}}],
            "policy": [{"name": "staff", "who": {"any": True}}]}


def test_revocation_list_is_reread(start_door, pki, banner, tmp_path):
    """A certificate is good until it is on the list; the door sees the file change by itself. What was gained before,
    a session ticket, is no way round."""
    ca = pki_module.CA(tmp_path / "ca", "Staff")
    carol, dave = ca.client("carol"), ca.client("dave")
    crl = ca.crl(tmp_path / "staff.crl")
    door = start_door(one_route(pki, banner, {"name": "staff", "ca": [ca.file], "crl": [crl]}))
    assert comes_in(door, "a.test", carol) and comes_in(door, "a.test", dave)
    ctx = tls.context(cert=carol)
    with tls.connect(door, "a.test", ctx=ctx) as sock:
        assert sock.recv(100) == b"behind the door\n"
        session = sock.session
    ca.revoke(carol)
    ca.crl(crl)
    wait_until(lambda: not comes_in(door, "a.test", carol), "the new list to be in force", 10, 0.1)
    assert comes_in(door, "a.test", dave)
    try:
        with tls.connect(door, "a.test", ctx=ctx, session=session) as sock:
            resumed_in = sock.recv(100) == b"behind the door\n"
    except (ssl.SSLError, ConnectionResetError):
        resumed_in = False
    assert not resumed_in, "a revoked certificate came in by resumption"


def test_revocation_needs_no_other_file(start_door, pki, banner, tmp_path):
    """While certificate, CA file, list of names and audit file are half-written or out of reach, and another bundle's list is
    broken, a revocation takes effect all the same. Nothing else does: what was changed waits for a reload."""
    ca, spare = pki_module.CA(tmp_path / "ca", "Staff"), pki_module.CA(tmp_path / "spare", "Spare")
    carol, dave = ca.client("carol"), ca.client("dave")
    crl, spare_crl = ca.crl(tmp_path / "staff.crl"), spare.crl(tmp_path / "spare.crl")
    server, anchor = pki.server("a.test"), tmp_path / "anchor.pem"
    files = {"certificate": tmp_path / "a.pem", "key": tmp_path / "a.key"}
    for path, source in zip((*files.values(), anchor), (server.certificate, server.key, ca.file)):
        shutil.copy(source, path)
        path.chmod(0o600)
    names, folder = tmp_path / "names", tmp_path / "audit"
    names.write_text("listed.test\n")
    folder.mkdir()
    config = one_route(pki, banner, {"name": "staff", "ca": [str(anchor)], "crl": [crl]})
    config["certificates"] = [{key: str(path) for key, path in files.items()}]
    config["trust"].append({"name": "spare", "ca": [spare.file], "crl": [spare_crl]})
    config["routes"].append({"name": "listed", "sni_file": str(names), "pass": {"to": banner.to}})
    config["audit"] = {"file": str(folder / "audit.jsonl")}
    door = start_door(config)
    assert comes_in(door, "a.test", carol) and comes_in(door, "a.test", dave)
    for path in (*files.values(), anchor, names):
        path.write_text("half a f\x00le")
    folder.rename(tmp_path / "moved")
    with open(spare_crl, "w", encoding="ascii") as file:
        file.write("half")
    wait_until(lambda: "spare.crl: no CRL" in door.process.output(), door.process.output)
    for who in (carol, dave):
        assert comes_in(door, "a.test", who)
        ca.revoke(who)
        ca.crl(crl)
        wait_until(lambda who=who: not comes_in(door, "a.test", who), "the new list to be in force", 10, 0.1)
    assert door.process.output().count("revocation lists reloaded") == 2
    assert door.get("/reload", "POST")[0] == 422


def test_a_list_is_read_when_it_is_whole(start_door, pki, banner, tmp_path):
    """A list that cannot be read is said, and the one before stays in force; the next that is there is read at once, without
    a wait for the one that was not."""
    ca = pki_module.CA(tmp_path / "ca", "Staff")
    who = [ca.client(name) for name in ("carol", "dave")]
    crl = ca.crl(tmp_path / "staff.crl")
    door = start_door(one_route(pki, banner, {"name": "staff", "ca": [ca.file], "crl": [crl]}))
    whole = (tmp_path / "staff.crl").read_text()

    def tear():
        (tmp_path / "staff.crl").write_text(whole[:100])

    def remove():
        (tmp_path / "staff.crl").unlink()

    for cert, spoil, complaint in zip(who, (tear, remove), ("damaged PEM block", "No such file")):
        spoil()
        wait_until(lambda what=complaint: what in door.process.output(), door.process.output, 10)
        assert comes_in(door, "a.test", cert), "the list before is no longer in force"
        ca.revoke(cert)
        ca.crl(crl)
        wait_until(lambda cert=cert: not comes_in(door, "a.test", cert), "the new list to be in force", 10, 0.1)
    assert door.process.output().count("the CRL before stays in force, until it expires") == 2


def test_lists_that_lock_everybody_out(start_door, pki, banner, tmp_path):
    """A list that has expired, and a CA without one: said by --check, at the start, by a reload, when the list is read again
    and when its time is over meanwhile."""
    ca, other = (pki_module.CA(tmp_path / name, name) for name in ("Staff", "Other"))
    crl = ca.crl(tmp_path / "staff.crl", -7200, -3600)
    config = one_route(pki, banner, {"name": "staff", "ca": [ca.file, other.file], "crl": [crl]})
    door = start_door(config)
    expired = re.compile(r"staff\.crl expired on 20[0-9TZ:-]+: everybody of 'Staff' is refused\n")
    missing = "warning: trust bundle staff has CRLs, but none of 'Other': everybody of it is refused\n"

    def said(times, text):
        return len(expired.findall(text)) == times and missing in text
    assert said(1, door.process.output())
    assert said(1, run(CARDEA, "serve", "--check", "-c", door.config_file).stderr.decode())
    done = door.cli("reload")
    assert done.returncode == 0 and said(1, done.stderr.decode())
    before = len(expired.findall(door.process.output()))
    ca.crl(crl, -7200, -1800)
    wait_until(lambda: said(before + 1, door.process.output()), door.process.output, 10)
    assert not comes_in(door, "a.test", ca.client("carol"))
    ca.crl(crl)
    wait_until(lambda: comes_in(door, "a.test", ca.client("dave")), "the new list to be in force", 10)
    assert said(before + 1, door.process.output())
    ca.crl(crl, -7200, 5)
    wait_until(lambda: said(before + 2, door.process.output()), door.process.output, 30)


def test_revoked_alert(start_door, pki, banner, tmp_path):
    """certificate_revoked (44)."""
    ca = pki_module.CA(tmp_path / "ca", "Staff")
    carol = ca.client("carol")
    ca.revoke(carol)
    crl = ca.crl(tmp_path / "staff.crl")
    door = start_door(one_route(pki, banner, {"name": "staff", "ca": [ca.file], "crl": [crl]}))
    said = tls.s_client(door, "a.test", "-cert", carol.certificate, "-key", carol.key, until=b"alert number")
    assert said.alert == "44", said.text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_of_another_route_proves_nothing(door, version):
    """A session from the public name is no entry to the one that requires a certificate."""
    ctx = tls.context(most=version)
    with tls.connect(door, "public.who.test", ctx=ctx) as sock:
        sock.recv(100)
        session = sock.session
    try:
        with tls.connect(door, "required.who.test", ctx=ctx, session=session) as sock:
            assert sock.recv(100) == b"", "came in without a certificate"
    except (ssl.SSLError, ConnectionResetError):
        pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumption_keeps_the_identity(door, pki, version):
    """Resumed, alice is still alice and policy still holds."""
    ctx = tls.context(cert=pki.alice, most=version)
    with tls.connect(door, "ops.who.test", ctx=ctx) as sock:
        sock.recv(100)
        session = sock.session
    with tls.connect(door, "ops.who.test", ctx=ctx, session=session) as sock:
        name = sock.getsockname()
        assert sock.recv(100) == b"behind the door\n" and sock.session_reused
    line = door.audited_of(name)
    assert line["identity"] == "alice" and line["resumed"] is True


def test_policy_change_holds_for_resumption(start_door, pki, banner):
    """A rule that a reload brought also holds for a session from before."""
    config = one_route(pki, banner, pki.trust())
    door = start_door(config)
    ctx = tls.context(cert=pki.alice)
    with tls.connect(door, "a.test", ctx=ctx) as sock:
        sock.recv(100)
        session = sock.session
    door.reload({**config, "policy": [{"name": "not-alice", "effect": "deny", "who": {"name": "alice"}},
                                      *config["policy"]]})
    with pytest.raises((ssl.SSLError, ConnectionResetError, AssertionError)):
        with tls.connect(door, "a.test", ctx=ctx, session=session) as sock:
            assert sock.recv(100) == b"behind the door\n"
