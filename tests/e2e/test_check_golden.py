# SPDX-License-Identifier: Apache-2.0
"""`cardea serve --check`: every broken configuration with its exact complaint, every good one with its routes."""
import json

import pytest

import peers
from run import CARDEA, ROOT, run

CONFIG = ROOT / "tests" / "config"
BROKEN = sorted(CONFIG.glob("broken/*.yaml"))
GOOD = sorted(CONFIG.glob("good/*.yaml"))


def check(path, *flags):
    """Run in the file's directory, so that its name in the output is as in the golden file."""
    return run(CARDEA, "serve", "--check", *flags, "-c", path.name, cwd=path.parent)


@pytest.mark.parametrize("path", BROKEN, ids=[path.stem for path in BROKEN])
def test_broken(path, tmp_path, pki):
    """Exit code 1 and exactly the expected text on standard error; the files that it names are good."""
    done = check(furnish(path, tmp_path, pki))
    expected = next(name for name in (path.with_suffix(".expected"), path.with_name(path.name + ".expected"))
                    if name.exists()).read_text()
    assert done.stderr.decode() == expected
    assert done.returncode == 1 and done.stdout == b""


def furnish(path, folder, pki):
    """A copy of the configuration in a folder that has the files it names."""
    for cert, key in (("door.pem", "door.key"), ("app.pem", "app.key"), ("c.pem", "k.pem"), ("c.pem", "c.key"),
                      ("a.pem", "a.key"), ("a", "b")):
        made = pki.server(cert.removesuffix(".pem") + ".test", "proxy.example.com", "db.example.com")
        for name, source in ((cert, made.certificate), (key, made.key)):
            (folder / name).write_bytes(open(source, "rb").read())
            (folder / name).chmod(0o600)
    for name in ("ca.pem", "staff-ca.pem", "inside.pem"):
        (folder / name).write_bytes(open(pki.ca.file, "rb").read())
    pki.ca.crl(folder / "staff.crl")
    for secret in ("inside.key", "k.key", "s"):
        (folder / secret).touch(0o600)
        (folder / secret).write_text("c2VjcmV0\n")
    (folder / "names.txt").write_text("one.example\ntwo.example\n")
    copy = folder / path.name
    copy.write_bytes(path.read_bytes().replace(b"/etc/cardea/", b""))
    return copy


@pytest.mark.parametrize("path", GOOD, ids=[path.stem for path in GOOD])
def test_good(path, tmp_path, pki):
    """Exit code 0, and nothing to warn of."""
    done = check(furnish(path, tmp_path, pki))
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""


ROUTES = """
listeners:
  - {name: main, address: "127.0.0.1:4433"}
  - {name: inside, address: "127.0.0.1:4434"}
routes:
  - {name: rest, pass: {to: "127.0.0.1:1"}}
  - {name: deep, sni: "**.example.test", pass: {to: "127.0.0.1:1"}}
  - {name: web, sni: www.example.test, pass: {to: "127.0.0.1:1"}}
  - {name: wide, sni: "*.example.test", pass: {to: "127.0.0.1:1"}}
  - {name: rest-inside, listeners: inside, pass: {to: "127.0.0.1:1"}}
  - {name: web-acme, sni: www.example.test, alpn: "acme*", pass: {to: "127.0.0.1:1"}}
  - {name: web-h2, sni: www.example.test, alpn: h2, reject: unrecognized_name}
"""
ORDER = ["web-h2", "web-acme", "web", "wide", "deep", "rest-inside", "rest"]


@pytest.fixture
def routes(tmp_path):
    path = tmp_path / "door.yaml"
    path.write_text(ROUTES)
    return path


def test_routes_in_order_of_precedence(routes):
    """The routes as the door will look them up, the most specific first, each with what it does."""
    done = check(routes)
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    at = [next(number for number, line in enumerate(lines) if name in line and names_only(line, name))
          for name in ORDER]
    assert at == sorted(at), done.stdout.decode()


def names_only(line, name):
    """The line is about the route `name` and not about one whose name is longer."""
    return not any(other != name and name in other and other in line for other in ORDER)


def test_json(routes):
    """The same for programs."""
    done = check(routes, "--json")
    assert done.returncode == 0, done.stderr.decode()
    assert [row["route"] for row in json.loads(done.stdout)["routes"]] == ORDER


WARNED = """
listeners: [{address: "127.0.0.1:4433"}]
certificates:
  - {certificate: good.pem, key: good.key}
  - {certificate: old.pem, key: old.key}
routes:
  - name: app
    sni: [app.test, "x.wide.test", "other.test", "*.wide.test", "*.none.test"]
    alpn: [h2, http/1.1]
    terminate: {to: "127.0.0.1:1"}
  - {name: pass, sni: elsewhere.test, pass: {to: "127.0.0.1:1"}}
  - {name: ssh, first_bytes: ssh, pass: {to: "127.0.0.1:22"}}
"""
WARNINGS = [
    "door.yaml:5:19: warning: certificate old.pem expired on ",
    "door.yaml:8:36: warning: no certificate names other.test (route app)",
    "door.yaml:8:65: warning: no certificate names *.none.test (route app)",
    "door.yaml:9:12: warning: h2 works only if the backend speaks HTTP/2 in the clear (route app)",
]


@pytest.fixture
def warned(tmp_path, pki):
    """A configuration that is taken, but hardly meant."""
    old = pki.ca.issue("old.test", dns=["old.test"], start=-7200, end=-3600, label="check-old")
    for name, made in (("good", pki.server("app.test", "*.wide.test")), ("old", old)):
        for source, suffix in ((made.certificate, "pem"), (made.key, "key")):
            (tmp_path / f"{name}.{suffix}").write_bytes(open(source, "rb").read())
            (tmp_path / f"{name}.{suffix}").chmod(0o600)
    path = tmp_path / "door.yaml"
    path.write_text(WARNED)
    return path


def test_warnings(warned):
    """What is not wrong but will hardly be meant: a line each on standard error, and still exit code 0."""
    done = check(warned)
    assert done.returncode == 0
    lines = done.stderr.decode().splitlines()
    assert len(lines) == len(WARNINGS), lines
    for line, expected in zip(lines, WARNINGS):
        assert line.startswith(expected)


@pytest.mark.parametrize("written, meant", [
    ("http1.1", "http/1.1"), ("HTTP/1.1", "http/1.1"), ("http/2", "h2"), ("H2", "h2"), ("http3", "h3"), ("http/1.1", None), ("h2", None),
    ("h2c", None), ("http*", None), ("my-http1.1", None)])
def test_protocols_that_are_written_otherwise(tmp_path, written, meant):
    """Clients offer names of protocols byte by byte."""
    (tmp_path / "door.yaml").write_text("listeners: [{address: '127.0.0.1:4433'}]\n"
                                        f"routes: [{{name: web, alpn: ['{written}'], pass: {{to: '127.0.0.1:1'}}}}]\n")
    done = run(CARDEA, "serve", "--check", "-c", tmp_path / "door.yaml")
    assert done.returncode == 0
    said = f"door.yaml:2:29: warning: no protocol is called '{written}'; did you mean '{meant}'?" if meant else ""
    assert said in done.stderr.decode() and ("no protocol" in done.stderr.decode()) == bool(meant)


POLICY = """
listeners: [{address: "127.0.0.1:4433"}]
certificates: [{certificate: good.pem, key: good.key}]
trust: [{name: staff, ca: ca.pem}]
routes:
  - {name: open, sni: app.test, alpn: open, terminate: {to: "127.0.0.1:1"}}
  - {name: shut, sni: app.test, terminate: {to: "127.0.0.1:1"}, clients: {mode: required, trust: staff}}
  - {name: tunnel, sni: app.test, alpn: cardea/1, tunnel: {}, clients: {mode: required, trust: staff}}
policy:
  - {name: no-mallory, effect: deny, who: {name: mallory}}
  - {name: staff, who: {any: true}, routes: [open, tunnel]}
"""
EXPOSED = """
listeners: [{address: "127.0.0.1:4433"}]
certificates: [{certificate: good.pem, key: good.key}]
trust: [{name: staff, ca: ca.pem}]
routes:
  - {name: tunnel, sni: app.test, tunnel: {}, clients: {mode: required, trust: staff}}
  - name: apps
    sni: ["*.apps.test", b.test]
    expose: {}
  - {name: shut, sni: "*.shut.test", expose: {}, clients: {mode: required, trust: staff}}
policy:
  - {name: agents, who: {any: true}, routes: tunnel, targets: ["offer:x.shut.test", "offer:a.b.test"]}
  - {name: misplaced, who: {any: true}, routes: shut, targets: ["public:*.apps.test"]}
  - {name: visitors, who: {any: true}, targets: ["name:*.apps.test"]}
"""
MISPLACED = ("13:65: warning: target public:*.apps.test of rule misplaced can never match: agents make offers on tunnel "
             "routes, and the row is for routes with expose only")
UNASKED = """
listeners: [{address: "127.0.0.1:4433"}]
routes: [{name: web, pass: {to: "127.0.0.1:1"}}]
policy: [{name: no-mallory, effect: deny, who: {name: mallory}}]
"""


@pytest.mark.parametrize("text, expected", [
    (POLICY, ["7:74: warning: nobody can use route shut: no row of the policy allows anybody to",
              "8:72: warning: nobody can use route tunnel: no row of the policy allows anybody a target there",
              "10:5: warning: rule no-mallory does not deny anybody route open, which has no 'clients'",
              "11:46: warning: the policy is not asked on route open, which has no 'clients': it is open to all",
              "11:52: warning: rule staff has no targets: it opens nothing on route tunnel, a tunnel"]),
    (POLICY.replace("routes: [open, tunnel]", "targets: '*.test:1'"),
     ["7:74: warning: nobody can use route shut: no row of the policy allows anybody to",
      "10:5: warning: rule no-mallory does not deny anybody route open, which has no 'clients'"]),
    (EXPOSED, ["9:13: warning: no agent can offer what route apps leads to: no row of the policy allows, on a tunnel "
               "route, a target 'offer:NAME' or 'public:NAME' with a name of it",
               "10:46: warning: nobody can visit what is offered in private on route shut: no row of the policy allows "
               "a target 'name:NAME' with a name of it there",
               MISPLACED]),
    (EXPOSED.replace("offer:a.b.test", "public:x.apps.*:80").replace("name:*.apps.test", "name:*"), [MISPLACED]),
    (UNASKED, ["4:10: warning: rule no-mallory counts for nothing: no route has 'clients'"]),
], ids=["without-targets", "targets-only", "exposed", "exposed-well", "unasked"])
def test_policy_that_comes_to_nothing(tmp_path, pki, text, expected):
    """Rows that count for nothing, and routes that no row opens."""
    made = pki.server("app.test", "*.apps.test", "b.test", "*.shut.test")
    for name, source in (("good.pem", made.certificate), ("good.key", made.key), ("ca.pem", pki.ca.file)):
        (tmp_path / name).write_bytes(open(source, "rb").read())
        (tmp_path / name).chmod(0o600)
    path = tmp_path / "door.yaml"
    path.write_text(text)
    done = check(path)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr.decode().splitlines() == [f"door.yaml:{line}" for line in expected]


BELIEVED = """
listeners: [{address: "127.0.0.1:4433"}]
certificates: [{certificate: good.pem, key: good.key}]
routes:
  - {name: mail, sni: app.test, terminate: {to: "127.0.0.1:26"}, hand_on: {protocol: smtp}}
  - {name: other, sni: b.test, terminate: {to: ["127.0.0.1:25", "127.0.0.1:26"]}}
"""


def test_backend_that_believes_the_door(tmp_path, pki):
    """Nobody looks at what clients of the other route say to it."""
    made = pki.server("app.test", "b.test")
    for name, source in (("good.pem", made.certificate), ("good.key", made.key)):
        (tmp_path / name).write_bytes(open(source, "rb").read())
        (tmp_path / name).chmod(0o600)
    path = tmp_path / "door.yaml"
    path.write_text(BELIEVED)
    done = check(path)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr.decode() == (
        "door.yaml:6:65: warning: 127.0.0.1:26 believes the door who a client is (hand_on.protocol of route mail), and "
        "clients of route other can say so themselves: hand on there too, or lead them to another port of it\n")


IDLE = """
listeners: [{address: "127.0.0.1:4433"}]
certificates: [{certificate: good.pem, key: good.key}]
trust: [{name: staff, ca: ca.pem}]
routes:
  - {name: web, sni: b.test, terminate: {to: "127.0.0.1:1"}, clients: {mode: required, trust: staff}}
  - {name: tunnel, sni: app.test, tunnel: {}, clients: {mode: required, trust: staff}}
  - {name: apps, sni: "*.apps.test", expose: {}, clients: {mode: required, trust: staff}}
policy:
  - {name: users, who: {any: true}, routes: web}
  - {name: agents, who: {group: agents}, routes: tunnel, targets: ["offer:*.apps.test"]}
  - {name: visitors, who: {any: true}, targets: ["name:*.apps.test"]}
"""


@pytest.mark.parametrize("row, expected", [
    ("who: {group: ops}, routes: web", "13:5: warning: rule x can never decide: rule users before it allows all that it is for"),
    ("effect: deny, who: {name: mallory}, routes: web",
     "13:5: warning: rule x can never decide: rule users before it allows all that it is for"),
    ("effect: deny, who: {name: mallory}", None),
    ("who: {group: agents}, routes: tunnel, targets: ['offer:a.apps.test']",
     "13:5: warning: rule x can never decide: rule agents before it allows all that it is for"),
    ("who: {group: agents}, targets: ['offer:a.apps.test']", None),
    ("effect: deny, who: {name: mallory}, targets: ['name:a.apps.test', 'db:1']",
     "13:61: warning: target name:a.apps.test of rule x can never match: rule visitors before it allows it"),
    ("who: {any: true}, routes: apps, targets: ['name:a.test']",
     "13:57: warning: target name:a.test of rule x can never match: no route that the row is for leads to such a name"),
    ("who: {any: true}, routes: apps, targets: ['db:1']",
     "13:57: warning: target db:1 of rule x can never match: hosts are reached on tunnel routes, and the row is for routes "
     "with expose only; visitors there are let in by 'name:NAME'"),
    ("who: {any: true}, routes: tunnel, targets: ['name:a.test']",
     "13:59: warning: target name:a.test of rule x can never match: no row allows an agent to offer such a name "
     "('offer:NAME')"),
    ("who: {any: true}, routes: tunnel, targets: ['public:a.test:4433', 'public:a.test:4433-4434']",
     "13:59: warning: target public:a.test:4433 of rule x can never match: the door itself listens there, so no agent gets "
     "the port"),
    ("who: {any: true}, routes: tunnel, targets: ['0.0.0.0:22', '10.0.0.0/8:22', '*:80']",
     "13:59: warning: target 0.0.0.0:22 of rule x can never match: that address is never connected to"),
])
def test_rows_that_never_match(tmp_path, pki, row, expected):
    """Only what is certain, and with its place."""
    made = pki.server("app.test", "*.apps.test", "b.test")
    for name, source in (("good.pem", made.certificate), ("good.key", made.key), ("ca.pem", pki.ca.file)):
        (tmp_path / name).write_bytes(open(source, "rb").read())
        (tmp_path / name).chmod(0o600)
    path = tmp_path / "door.yaml"
    path.write_text(f"{IDLE}  - {{name: x, {row}}}\n")
    done = check(path)
    assert done.returncode == 0
    assert done.stderr.decode().splitlines() == ([f"door.yaml:{expected}"] if expected else [])


def test_kind_of_target_that_is_none(tmp_path, pki):
    """A word in front of a target that is none of those that there are, with its place in the file."""
    path = tmp_path / "door.yaml"
    path.write_text(EXPOSED.replace("name:*.apps.test", "nam:*.apps.test"))
    done = check(path)
    assert done.returncode == 1
    assert "door.yaml:14:50: target " in done.stderr.decode()
    assert "unknown kind 'nam:'; known: name:, offer:, public:" in done.stderr.decode()


def test_first_bytes_are_shown(warned):
    """A route for what is not TLS says for what."""
    line, = [line for line in check(warned).stdout.decode().splitlines() if " ssh " in line]
    assert "first:ssh" in line
    rows = json.loads(check(warned, "--json").stdout)["routes"]
    assert {row["route"]: row["first_bytes"] for row in rows} == {"app": [], "pass": [], "ssh": ["ssh"]}


def test_json_has_it_all(warned):
    """With --json warnings and errors are in the object, and standard error is empty."""
    done = check(warned, "--json")
    assert done.returncode == 0 and done.stderr == b""
    assert len(json.loads(done.stdout)["warnings"]) == len(WARNINGS)
    warned.write_text(WARNED.replace("first_bytes: ssh", "first_bites: ssh"))
    done = check(warned, "--json")
    assert done.returncode == 1 and done.stderr == b""
    error, = json.loads(done.stdout)["errors"]
    assert error.startswith("door.yaml:12:") and "first_bites" in error


def test_json_goes_with_check(routes):
    """serve --json without --check means nothing."""
    done = run(CARDEA, "serve", "--json", "-c", routes)
    assert done.returncode == 2 and b"--check" in done.stderr


def test_nothing_is_opened(routes):
    """--check works while the configured ports are in use."""
    with peers.Server(peers.echo) as busy:
        routes.write_text(ROUTES.replace("127.0.0.1:4433", busy.to))
        assert check(routes).returncode == 0


def test_missing_file(tmp_path):
    """The file's name and the system's reason."""
    done = run(CARDEA, "serve", "--check", "-c", tmp_path / "nosuch.yaml")
    assert done.returncode == 1
    assert b"nosuch.yaml" in done.stderr and b"No such file" in done.stderr


def test_no_file():
    """Usage, and what is missing."""
    for words in (["serve"], ["serve", "--check"], ["serve", "door.yaml"]):
        done = run(CARDEA, *words)
        assert done.returncode == 2 and b"-c" in done.stderr.splitlines()[0]


def test_a_wrong_configuration_does_not_start(routes):
    """serve without --check says the same, and ends with 1."""
    routes.write_text(ROUTES.replace("sni: www", "snj: www"))
    checked, served = check(routes), run(CARDEA, "serve", "-c", routes.name, cwd=routes.parent)
    assert served.returncode == 1 and served.stderr == checked.stderr and b"snj" in served.stderr


def test_all_at_once(tmp_path):
    """One run tells of values, names, files, targets and the audit file; what follows from another error is not told."""
    path = tmp_path / "door.yaml"
    path.write_text("""
workers: many
listeners: [{name: main, address: "127.0.0.1:4433"}, {name: too, address: "[::]:4433"}]
certificates: [{name: own, certificate: none.pem, key: none.key}]
trust: [{name: staff, ca: none-ca.pem}, {name: "no name", ca: none-too.pem}]
routes:
  - {name: web, listeners: mian, certificates: onw, terminate: {to: "127.0.0.1:1"}, clients: {trust: not-known}}
  - {name: ssh, sni_file: none.txt, pass: {to: nowhere}}
policy: [{name: all, who: {any: true}, routes: wbe, targets: "no:thing"}]
audit: {file: no/such/folder/audit.jsonl}
""")
    done = check(path)
    lines = [line.split(": ", 1) for line in done.stderr.decode().splitlines()]
    assert done.returncode == 1
    assert sorted(int(at.split(":")[1]) for at, _ in lines) == [2, 3, 4, 5, 5, 7, 7, 7, 8, 8, 9, 9, 10], lines
    text = done.stderr.decode()
    for word in ("'main'", "'onw'", "'wbe'", "none.pem", "none-ca.pem", "none.txt", "no/such/folder", "'many'", "overlaps",
                 "clients.mode", "no name", "nowhere", "no:thing"):
        assert word in text, text
    assert "not-known" not in text and not (tmp_path / "no").exists()
    served = run(CARDEA, "serve", "-c", path.name, cwd=path.parent)
    assert served.returncode == 1 and served.stderr == done.stderr


@pytest.mark.parametrize("file, reason", [
    ("audit.jsonl", None), ("-", None), ("none/audit.jsonl", "No such file"), (".", "Is a directory"),
])
def test_audit_file(routes, file, reason):
    """Can it be opened at the start? The check does not make it."""
    routes.write_text(ROUTES + f"audit: {{file: {file!r}}}\n")
    done = check(routes)
    assert not (routes.parent / "audit.jsonl").exists()
    assert done.returncode == (0 if reason is None else 1)
    if reason:
        assert done.stderr.decode().startswith("door.yaml:") and reason in done.stderr.decode()


ORDERS = """listeners: [{address: "127.0.0.1:4433"}]
acme_cas:
  - {name: one, url: "https://ca.test/dir", ca_file: one.pem, eab: {kid: k, key_file: one.key}}
certificates:
  - acme: {names: [a.test], ca: one, challenges: [dns-01],
           dns: {server: "127.0.0.1:53", zone: test, key: k.test, secret_file: dns.key}}
  - on_demand: {names_file: allowed.txt, ca: one}
routes: [{name: a, terminate: {to: "127.0.0.1:1"}}]
"""


def test_files_that_orders_need(tmp_path, pki):
    """Each that is missing or wrong, with its place, whether or not the rest of the configuration is good."""
    path = tmp_path / "door.yaml"
    path.write_text(ORDERS)
    missing = check(path).stderr.decode().splitlines()
    assert [line.split(": ")[:2] for line in missing] == [
        ["door.yaml:3:54", "acme_cas[0].ca_file"], ["door.yaml:3:87", "acme_cas[0].eab.key_file"],
        ["door.yaml:6:80", "certificates[0].acme.dns.secret_file"], ["door.yaml:7:29", "certificates[1].on_demand"]], missing
    assert all("No such file" in line for line in missing)
    (tmp_path / "one.pem").write_bytes(open(pki.ca.file, "rb").read())
    (tmp_path / "allowed.txt").write_text("a.test\n")
    for name in ("one.key", "dns.key"):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text("c2VjcmV0")
    done = check(path)
    assert done.returncode == 0 and done.stderr == b"", done.stderr.decode()
    (tmp_path / "one.pem").write_text("nothing\n")
    (tmp_path / "one.key").chmod(0o644)
    path.write_text(ORDERS.replace("routes:", "roots:"))
    done = check(path)
    assert done.returncode == 1
    for word in (b"door.yaml:8:1", b"one.pem: no certificate in PEM", b"one.key: others can read it"):
        assert word in done.stderr, done.stderr.decode()


def test_key_that_does_not_fit(tmp_path, pki):
    """A certificate and another one's key."""
    one, other = pki.server("a.test"), pki.server("b.test")
    path = tmp_path / "door.yaml"
    path.write_text(f"listeners: [{{address: '127.0.0.1:4433'}}]\n"
                    f"certificates:\n  - {{certificate: {one.certificate}, key: {other.key}}}\n"
                    f"routes: [{{name: a, terminate: {{to: '127.0.0.1:1'}}}}]\n")
    done = check(path)
    assert done.returncode == 1 and b"door.yaml:3:" in done.stderr, done.stderr.decode()
