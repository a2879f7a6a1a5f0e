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
def test_broken(path):
    """Exit code 1 and exactly the expected text on standard error."""
    done = check(path)
    expected = next(name for name in (path.with_suffix(".expected"), path.with_name(path.name + ".expected"))
                    if name.exists()).read_text()
    assert done.stderr.decode() == expected
    assert done.returncode == 1 and done.stdout == b""


def furnish(path, folder, pki):
    """A copy of the configuration in a folder that has the files it names."""
    for cert, key in (("door.pem", "door.key"), ("app.pem", "app.key"), ("c.pem", "k.pem")):
        made = pki.server(cert.removesuffix(".pem") + ".test")
        for name, source in ((cert, made.certificate), (key, made.key)):
            (folder / name).write_bytes(open(source, "rb").read())
            (folder / name).chmod(0o600)
    for name in ("ca.pem", "staff-ca.pem", "inside.pem"):
        (folder / name).write_bytes(open(pki.ca.file, "rb").read())
    pki.ca.crl(folder / "staff.crl")
    (folder / "names.txt").write_text("one.example\ntwo.example\n")
    copy = folder / path.name
    copy.write_text(path.read_text().replace("/etc/cardea/", ""))
    return copy


@pytest.mark.parametrize("path", GOOD, ids=[path.stem for path in GOOD])
def test_good(path, tmp_path, pki):
    """Exit code 0."""
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
    """Usage."""
    assert run(CARDEA, "serve", "--check").returncode == 2


def test_a_wrong_configuration_does_not_start(routes):
    """serve without --check says the same, and ends with 1."""
    routes.write_text(ROUTES.replace("sni: www", "snj: www"))
    checked, served = check(routes), run(CARDEA, "serve", "-c", routes.name, cwd=routes.parent)
    assert served.returncode == 1 and served.stderr == checked.stderr and b"snj" in served.stderr


def test_key_that_does_not_fit(tmp_path, pki):
    """A certificate and another one's key."""
    one, other = pki.server("a.test"), pki.server("b.test")
    path = tmp_path / "door.yaml"
    path.write_text(f"listeners: [{{address: '127.0.0.1:4433'}}]\n"
                    f"certificates:\n  - {{certificate: {one.certificate}, key: {other.key}}}\n"
                    f"routes: [{{name: a, terminate: {{to: '127.0.0.1:1'}}}}]\n")
    done = check(path)
    assert done.returncode == 1 and b"door.yaml:3:" in done.stderr, done.stderr.decode()
