# SPDX-License-Identifier: Apache-2.0
"""cardea explain --sni: what it says becomes of a client does become of it, by a door with the same configuration."""
import json
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import ech
import tls
from run import CARDEA, free_port, run

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def inside():
    return free_port()


@pytest.fixture(scope="module")
def smtp():
    return free_port()


@pytest.fixture(scope="module")
def certificates(pki):
    return {"web": pki.server("web.test", "*.web.test"), "rsa": pki.server("web.test", key="rsa"),
            "door": pki.server("door.test", "staff.test")}


@pytest.fixture(scope="module")
def door(start_module_door, pki, banner, certificates, inside, smtp):
    to, staff = {"to": banner.to}, {"mode": "required", "trust": "staff"}
    return start_module_door({
        "certificates": [certificates[name].row(name=name) for name in certificates],
        "trust": [pki.trust()],
        "routes": [
            {"name": "web", "sni": ["web.test", "a.web.test"], "terminate": {**to, "alpn": ["h2", "http/1.1"]}},
            {"name": "web-acme", "sni": "web.test", "alpn": "acme*", "reject": "access_denied"},
            {"name": "web-ssh", "sni": "web.test", "alpn": "ssh", "terminate": to},
            {"name": "wide", "sni": "*.web.test", "terminate": to},
            {"name": "deep", "sni": "**.web.test", "pass": to},
            {"name": "inner", "listeners": "inside", "sni": "web.test", "terminate": to},
            {"name": "new", "sni": "new.test", "tls": {"min_version": "1.3"}, "terminate": to},
            {"name": "old", "sni": "old.test", "tls": {"max_version": "1.2"}, "terminate": to},
            {"name": "pq", "sni": "pq.test", "tls": {"pq": "require"}, "terminate": to},
            {"name": "hybrids", "sni": "hybrids.test", "tls": {"groups": ["X25519MLKEM768"]}, "terminate": to},
            {"name": "staff", "sni": "staff.test", "clients": staff, "terminate": to},
            {"name": "some", "sni": "some.test", "clients": {**staff, "mode": "optional"}, "terminate": to},
            {"name": "tunnel", "sni": "door.test", "clients": staff, "tunnel": {}},
            {"name": "pages", "sni": "pages.test", "serve": ["redirect"]},
            {"name": "http", "sni": "http.test", "alpn": "http/1.1", "terminate": to},
            {"name": "nameless", "sni": "none", "listeners": "inside", "pass": to},
            {"name": "mail", "listeners": "mail", "terminate": to},
        ],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "routes": ["staff", "some"]},
                   {"name": "reach", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*"]},
                   {"name": "no-bob", "effect": "deny", "who": {"name": "bob"}, "routes": ["some"]}],
    }, listeners=[{"name": "inside", "address": f"127.0.0.1:{inside}"},
                  {"name": "mail", "address": f"127.0.0.1:{smtp}", "speaks": "smtp"}])


def explain(door, sni, alpn=(), who=None, most=TLS13, listener=None, *more):
    flags = ["--sni", sni or "none", *more]
    flags += ["--alpn", ",".join(alpn)] if alpn else []
    flags += ["--identity", who.certificate] if who else []
    flags += ["--tls", "1.2"] if most == TLS12 else []
    flags += ["--listener", listener] if listener else []
    done = run(CARDEA, "explain", "-c", door.config_file, "--json", *flags)
    assert done.returncode in (0, 1) and done.stderr == b"", done.stderr.decode()
    said = json.loads(done.stdout)
    assert (said["end"] is None) == (done.returncode == 0)
    return said


def visit(door, port, sni, alpn, who, most):
    """The certificate that the door shows, or None; and what it says of the connection."""
    ctx = tls.context(cert=who, alpn=alpn, most=most)
    der = None
    with door.dial(port=port) as raw:
        name = raw.getsockname()
        try:
            with ctx.wrap_socket(raw, server_hostname=sni) as sock:
                der = sock.getpeercert(binary_form=True)
                sock.settimeout(2)
                tls.read_line(sock)
        except (ssl.SSLError, OSError):
            pass
    return der, door.audited_of(name)


# (server name, ALPN, whose certificate, highest version, listener); None: as most are
HELLOS = [
    ("web.test", ["h2", "http/1.1"], None, TLS13, None),
    ("web.test", ["http/1.1"], None, TLS12, None),
    ("web.test", [], None, TLS13, None),
    ("web.test", ["spdy/1"], None, TLS13, None),
    ("web.test", ["acme-tls/1", "h2"], None, TLS13, None),
    ("web.test", ["ssh"], None, TLS13, None),
    ("web.test", ["ssh", "acme"], None, TLS13, None),
    ("WEB.test", ["h2"], None, TLS13, None),
    ("a.web.test", [], None, TLS13, None),
    ("b.web.test", ["anything"], None, TLS13, None),
    ("c.b.web.test", ["h2"], None, TLS13, None),
    ("web.test", ["h2"], None, TLS13, "inside"),
    ("nobody.test", [], None, TLS13, None),
    (None, [], None, TLS13, None),
    (None, [], None, TLS13, "inside"),
    ("new.test", [], None, TLS13, None),
    ("new.test", [], None, TLS12, None),
    ("old.test", [], None, TLS13, None),
    ("pq.test", [], None, TLS12, None),
    ("hybrids.test", [], None, TLS12, None),
    ("staff.test", [], None, TLS13, None),
    ("staff.test", [], None, TLS12, None),
    ("staff.test", [], "alice", TLS13, None),
    ("staff.test", [], "bob", TLS13, None),
    ("staff.test", [], "mallory", TLS13, None),
    ("some.test", [], None, TLS13, None),
    ("some.test", [], "alice", TLS13, None),
    ("some.test", [], "bob", TLS13, None),
    ("door.test", ["cardea/1"], "bob", TLS13, None),
    ("door.test", ["h3"], "alice", TLS13, None),
    ("door.test", ["cardea/1"], None, TLS13, None),
    ("pages.test", ["http/1.1"], None, TLS13, None),
    ("pages.test", ["h2"], None, TLS13, None),
    ("http.test", [], None, TLS13, None),
    ("http.test", ["h2"], None, TLS13, None),
]


@pytest.mark.parametrize("sni, alpn, who, most, listener", HELLOS)
def test_as_a_door_does(door, pki, certificates, inside, sni, alpn, who, most, listener):
    """Route, version, protocol, certificate, identity, rule, backend, and how it ends."""
    who = getattr(pki, who) if who else None
    said = explain(door, sni, alpn, who, most, listener)
    der, line = visit(door, inside if listener == "inside" else None, sni, alpn, who, most)
    route, agreed, end = said["route"] or {}, said["tls"] or {}, said["end"] or {}
    assert said["client"]["listener"] == line["listener"]
    assert route.get("name") == line.get("route") and route.get("action") == line.get("action"), (said, line)
    assert [row["route"] for row in said["routes"] if row["verdict"] == "takes"] == ([route["name"]] if route else [])
    if line.get("version"):
        assert (agreed["version"], agreed.get("alpn")) == (line["version"], line.get("alpn")), (said, line)
        shown = agreed["certificate"]["label"]
        assert der is None or der == leaf(certificates[shown])
    assert said.get("identity") == line.get("identity")
    if end:
        assert end["reason"] == line["reason"], (said, line)
        if end["reason"] in ("no_route", "denied", "bad_certificate", "bad_request") or sni in ("pq.test", "hybrids.test"):
            assert end["detail"] == line["detail"]
        assert (said["policy"] or {}).get("rule") == line.get("rule")
    else:
        assert line["reason"] in ("done", "client_left", "bad_request", "client_reset", "truncated"), (said, line)
        assert line.get("backend") in [*route["backends"], None]


def leaf(cert):
    return x509.load_pem_x509_certificate(open(cert.certificate, "rb").read()).public_bytes(Encoding.DER)


@pytest.mark.parametrize("sni, alpn, alert", [
    ("nobody.test", [], 112), ("web.test", ["spdy/1"], None), ("web.test", ["acme-x"], 49), ("http.test", ["h2"], 120)])
def test_alert(door, sni, alpn, alert):
    """What the client is told before TLS begins."""
    numbers = {"unrecognized_name": 112, "access_denied": 49, "no_application_protocol": 120}
    end = explain(door, sni, alpn)["end"]
    with door.dial() as sock:
        sock.sendall(tls.client_hello(sni, alpn))
        if alert is None:
            assert end["alert"] == "no_application_protocol"
        else:
            assert numbers[end["alert"]] == tls.alert_of(sock) == alert


@pytest.mark.parametrize("alpn, reason", [([], None), (["http/1.1"], "no_route")])
def test_starttls(door, smtp, alpn, reason):
    """On a listener that speaks SMTP before TLS; a browser that was led there is refused (ALPACA)."""
    end = explain(door, "mail.test", alpn, listener="mail")["end"]
    assert (end or {}).get("reason") == reason
    with door.dial(port=smtp) as raw:
        name = raw.getsockname()
        tls.converse(raw, [(None, b"220 "), (b"EHLO x", b"250 "), (b"STARTTLS", b"220 ")])
        try:
            with tls.context(alpn=alpn).wrap_socket(raw, server_hostname="mail.test"):
                pass
        except (ssl.SSLError, OSError):
            pass
    line = door.audited_of(name)
    assert line["reason"] == reason if reason else line["reason"] != "no_route"
    assert not reason or line["detail"] == end["detail"]


def test_order_of_routes(door):
    """Each rule whose name holds with what stands in the way, in the order of precedence; then the others."""
    rows = explain(door, "web.test", ["h2"])["routes"]
    assert [(row["route"], row["verdict"]) for row in rows if row["verdict"] != "name"] == [
        ("web-ssh", "alpn"), ("web-acme", "alpn"), ("inner", "listener"), ("web", "takes"), ("mail", "listener")]
    assert "deep" in [row["route"] for row in rows if row["verdict"] == "name"]


GOLDEN = """\
listeners:
  - {name: main, address: "127.0.0.1:4433"}
  - {name: inside, address: "127.0.0.1:4434"}
routes:
  - {name: rest, pass: {to: "127.0.0.1:1"}}
  - {name: web, sni: www.example.test, pass: {to: ["127.0.0.1:1", "127.0.0.1:2"]}}
  - {name: wide, sni: "*.example.test", pass: {to: "127.0.0.1:1"}}
  - {name: rest-inside, listeners: inside, pass: {to: "127.0.0.1:1"}}
  - {name: web-h2, sni: www.example.test, alpn: h2, reject: unrecognized_name}
  - {name: other, sni: other.test, pass: {to: "127.0.0.1:1"}}
"""
SAID = """\
listener     main (127.0.0.1:4433)
client       www.example.test, no ALPN, TLS 1.3, no certificate

ROUTE        NAME              VERDICT
web-h2       www.example.test  no: it is for ALPN h2
web          www.example.test  takes it
wide         *.example.test    would take it, but another has precedence
rest-inside  any               no: it is for other listeners
rest         any               would take it, but another has precedence

other names  other
route        web (line 6): pass
backend      127.0.0.1:1, 127.0.0.1:2: of those that are up the one with the fewest connections
"""
REFUSED = """\
listener     inside (127.0.0.1:4434)
client       www.example.test, ALPN h2, http/1.1, TLS 1.3, no certificate

ROUTE        NAME              VERDICT
web-h2       www.example.test  takes it
web          www.example.test  would take it, but another has precedence
wide         *.example.test    would take it, but another has precedence
rest-inside  any               would take it, but another has precedence
rest         any               would take it, but another has precedence

other names  other
route        web-h2 (line 9): reject
refused      the route rejects (rejected, alert unrecognized_name)
"""


def test_text(tmp_path):
    """For people."""
    path = tmp_path / "door.yaml"
    path.write_text(GOLDEN)
    done = run(CARDEA, "explain", "-c", path, "--sni", "www.example.test")
    assert (done.returncode, done.stdout.decode()) == (0, SAID)
    done = run(CARDEA, "explain", "-c", path, "--sni=www.example.test", "--alpn", "h2,http/1.1", "--listener", "inside")
    assert (done.returncode, done.stdout.decode()) == (1, REFUSED)


@pytest.mark.parametrize("flags, text", [
    ([], "--sni NAME is missing"), (["--sni", "a b"], "no host name"), (["--sni", "a", "--alpn", "h2,"], "--alpn"),
    (["--sni", "a", "--alpn", ","], "--alpn"), (["--sni", "a", "--from", "x"], "--from"),
    (["--sni", "a", "--tls", "1.1"], "--tls"), (["--sni", "a", "b"], "unexpected argument: b"),
    (["--sni", "a", "--verifies", "P256"], "'P256'"), (["--sni", "a", "--groups", ""], "--groups"),
    (["--sni", "a", "--groups", "x25519"], "'x25519'"), (["--sni", "a", "--groups", "X25519,X25519"], "--groups"),
    (["--sni", "a"], "-c FILE is missing"),
])
def test_misused(flags, text):
    named = [] if text.startswith("-c") else ["-c", "x"]
    done = run(CARDEA, "explain", *flags, *named)
    assert done.returncode == 2 and text in done.stderr.decode() and "usage:" in done.stderr.decode()


def test_what_is_not_there(tmp_path, door):
    """A listener, a file, and a configuration that is not good."""
    for flags, text in ((["--listener", "x"], "no listener is called x"), (["--identity", tmp_path / "x"], "No such file"),
                        (["--listener", "mail", "--quic"], "no QUIC")):
        done = run(CARDEA, "explain", "-c", door.config_file, "--sni", "web.test", *flags)
        assert done.returncode == 1 and text in done.stderr.decode() and done.stdout == b"", done.stderr.decode()
    path = tmp_path / "door.yaml"
    path.write_text("listeners: [{address: '127.0.0.1:1'}]\n")
    done = run(CARDEA, "explain", "-c", path, "--sni", "web.test")
    assert done.returncode == 1 and b"door.yaml:" in done.stderr


def test_kinds_of_key(door, certificates):
    """Of several certificates for a name the one that the client can verify, as a client finds it."""
    for kinds, label, flags in (("P-256,RSA", "web", []), ("RSA", "rsa", ["-sigalgs", "RSA-PSS+SHA256"])):
        said = explain(door, "web.test", [], None, TLS13, None, "--verifies", kinds)
        assert said["tls"]["certificate"]["label"] == label and said["end"] is None
        shown = tls.s_client(door, "web.test", *flags, until=b"behind the door").text
        pem = shown[shown.index("-----BEGIN CERT"):shown.index("-----END CERT")] + "-----END CERTIFICATE-----\n"
        assert ssl.PEM_cert_to_DER_cert(pem) == leaf(certificates[label])
    assert explain(door, "web.test", [], None, TLS13, None, "--verifies", "ML-DSA-44")["end"]["reason"] == "handshake_failed"


@pytest.mark.parametrize("sni, groups, most, reason", [
    ("pq.test", "X25519", TLS13, "handshake_failed"), ("pq.test", "X25519,X25519MLKEM768", TLS13, "done"),
    ("pq.test", "P-256,P-384", TLS13, "handshake_failed"), ("hybrids.test", "X25519,P-256", TLS13, "handshake_failed"),
    ("hybrids.test", "X25519MLKEM768", TLS13, "done"), ("web.test", "X25519", TLS13, "done"), ("web.test", "P-384,P-256", TLS12, "done"),
    ("web.test", "P-521", TLS13, "handshake_failed"), ("web.test", "P-521", TLS12, "handshake_failed"),
    ("web.test", "X25519MLKEM768", TLS12, "handshake_failed"),
])
def test_groups(door, sni, groups, most, reason):
    """Of a client that offers these alone, as a door judges it."""
    said = explain(door, sni, [], None, most, None, "--groups", groups)
    assert (said["end"] or {"reason": "done"})["reason"] == reason
    door.mark()
    flags = ["-groups", groups.replace(",", ":")] + (["-tls1_2"] if most == TLS12 else [])
    shown = tls.s_client(door, sni, *flags, until=b"behind the door", program=ech.openssl4())
    line = door.audited(sni=sni)
    assert (line["reason"] == "handshake_failed") == (reason != "done") == (not shown.done)
    if reason != "done":
        assert "alert " + said["end"]["alert"].replace("_", " ") in shown.text


def test_quic(door, pki):
    """Only tunnels are reached by QUIC."""
    quic = ("--quic",)
    assert explain(door, "door.test", ["cardea/1"], pki.alice, TLS13, None, *quic)["end"] is None
    end = explain(door, "web.test", ["h2"], None, TLS13, None, *quic)["end"]
    assert (end["reason"], end["alert"]) == ("no_route", "no_application_protocol")


def test_what_only_a_running_door_knows(tmp_path, pki):
    """Names that agents offer, certificates that are looked up: told as such, with what is sure all the same."""
    cert = pki.server("other.test")
    (tmp_path / "certs").mkdir()
    path = tmp_path / "door.yaml"
    path.write_text(
        "listeners: [{address: '127.0.0.1:4433'}]\n"
        f"trust: [{{name: staff, ca: {pki.staff.file}}}]\n"
        f"certificates: [{{certificate: {cert.certificate}, key: {cert.key}}}, {{directory: certs}}]\n"
        "routes:\n  - {name: apps, sni: '*.apps.test', expose: {}, clients: {mode: required, trust: staff}}\n"
        "  - {name: door, sni: door.test, tunnel: {}, clients: {mode: required, trust: staff}}\n"
        "  - {name: rest, terminate: {to: '127.0.0.1:1'}}\n"
        "policy: [{name: ops, who: {group: ops}, targets: ['name:a.apps.test']}]\n")

    def ask(name, *flags):
        done = run(CARDEA, "explain", "-c", path, "--sni", name, *flags)
        return done.returncode, done.stdout.decode() + done.stderr.decode()
    code, text = ask("found.test")
    assert code == 0 and "the running door looks one up for the name; where there is none: " in text, text
    only = tmp_path / "only.yaml"
    only.write_text("listeners: [{address: '127.0.0.1:4433'}]\ncertificates: [{directory: certs}]\n"
                    "routes: [{name: rest, terminate: {to: '127.0.0.1:1'}}]\n")
    done = run(CARDEA, "explain", "-c", only, "--sni", "found.test")
    assert done.returncode == 0 and b"the running door looks one up for the name\n" in done.stdout, done.stderr.decode()
    code, text = ask("other.test")
    assert code == 0 and f"certificate  {cert.certificate}: other.test" in text
    code, text = ask("a.apps.test")
    assert code == 0 and "the agent that offers the name" in text
    code, text = ask("a.apps.test", "--identity", pki.alice.certificate)
    assert code == 0 and "identity     alice" in text and "policy       row ops allows" in text
    code, text = ask("b.apps.test", "--identity", pki.alice.certificate)
    assert code == 1 and "no rule lets alice visit b.apps.test on route apps" in text
