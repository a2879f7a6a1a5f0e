# SPDX-License-Identifier: Apache-2.0
"""`cardea login` by Encrypted ClientHello: nobody on the way hears the name of the door, neither at a login nor at a renewal."""
import pytest

import doh
import ech
from capture import Capture
from run import CARDEA, PACE, Process, free_port, run, wait_listening
from test_login import Ca, Person, configuration

PUBLIC = "public.test"
NAME = "door.test"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


def with_ech(config, pki, keys):
    """Stale clients reach a route of the public name's that ends TLS."""
    config["routes"].append({"name": "public", "sni": PUBLIC, "terminate": {"to": "127.0.0.1:1"}})
    config["certificates"].append(pki.server(PUBLIC).row())
    config["ech"] = {"public_name": PUBLIC, "keys": str(keys)}
    config["workers"] = 1
    return config


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return tmp_path_factory.mktemp("door-keys") / "ech"


@pytest.fixture(scope="module")
def door(start_module_door, pki, ca, sshd, keys):
    return start_module_door(with_ech(configuration(pki, ca, sshd.port), pki, keys))


@pytest.fixture
def person(tmp_path, door, pki):
    return Person(tmp_path, door, pki)


@pytest.fixture
def resolver(pki, door):
    server = doh.Resolver(pki.server("localhost"))
    yield server
    server.stop()


@pytest.fixture
def config(tmp_path):
    """config(text): a file of it."""
    def write(text):
        path = tmp_path / "door.ech"
        path.write_text(text)
        return path
    return write


def origin(door):
    return f"_{door.port}._https.{NAME}"


def renewal(door, timeout):
    """The line of the connection that a login was renewed on."""
    return door.audited(id=door.audited(action="login", target="login:renew", timeout=timeout)["carrier"])


def test_by_the_dns(door, keys, person, resolver, pki, ca):
    """As the file of `connect` says it; one answer does for all requests of a login, and of waiting for approval."""
    resolver.records[origin(door)] = [(doh.HTTPS, doh.https(ech=ech.configs(keys)[-1]))]
    file = person.folder / "config.yaml"
    file.write_text(file.read_text() + f"ech: require\ndoh: {resolver.url}\ndoh_ca: {pki.ca.file}\n")
    door.mark()
    capture = Capture(door.port)
    person.register("alice", ca.add("alice", "--group", "ops"))
    done = person.login("--renew")
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    packets = capture.end()
    assert NAME.encode() not in packets and PUBLIC.encode() in packets
    assert renewal(door, 5)["ech"] == "accepted"
    assert resolver.asked == 2 * [origin(door)]


@pytest.mark.parametrize("setting", ["{}", "require:{}"])
def test_stale(door, keys, person, config, ca, setting):
    """Said once, however many requests there are."""
    path = config(ech.damaged(ech.configs(keys)[-1]))
    name = f"bob{len(setting)}"
    done = person.by_password("--register", ca.add(name, "--group", "ops"), f"{name}@", "--ech", setting.format(path))
    assert done.returncode == 0 and done.stderr.count(b"has other ECH keys than the config here says") == 1, done.stderr


def test_not_told(door, person, resolver, pki, ca):
    words = ["--doh", resolver.url, "--doh-ca", pki.ca.file]
    person.register("carol", ca.add("carol", "--group", "ops"))
    resolver.status = 503
    capture = Capture(door.port)
    done = person.by_password("--ech", "require", *words)
    assert done.returncode == 1 and b"without Encrypted ClientHello (--ech): no config is known" in done.stderr, done.stderr
    assert NAME.encode() not in capture.end()
    done = person.by_password("--ech", "auto", *words)
    assert done.returncode == 0 and done.stderr.count(b"went in the clear: no ECH config is known") == 1, done.stderr


def test_first_contact(tmp_path, start_door, pki, ca, sshd, config):
    """Of a door whose CA is known by its fingerprint alone nobody is believed that it has other keys: who says so could be
    anybody who wants to hear the name."""
    ca.ask("issue", NAME, "--out", tmp_path / "door")
    keys = tmp_path / "keys"
    door_config = with_ech(configuration(pki, ca, sshd.port), pki, keys)
    door_config["certificates"] = [{"certificate": str(tmp_path / "door.pem"), "key": str(tmp_path / "door.key")},
                                   pki.server(PUBLIC).row()]
    door = start_door(door_config)
    person = Person(tmp_path / "home", door, pki)
    file = person.folder / "config.yaml"
    file.write_text(file.read_text().replace(f"ca: {pki.ca.file}\n", ""))
    code = ca.add("leo", "--group", "ops")
    shown = run("openssl", "x509", "-in", ca.root, "-noout", "-fingerprint", "-sha256").stdout.decode()
    words = ["--register", code, "leo@", "--ca-fingerprint", shown.strip().partition("=")[2]]
    capture = Capture(door.port)
    done = person.by_password(*words, "--ech", config(ech.damaged(ech.configs(keys)[-1])))
    assert done.returncode == 1 and b"there is nothing by which public.test could prove that it says so" in done.stderr, done.stderr
    assert NAME.encode() not in capture.end()
    done = person.by_password(*words, "--ech", config(ech.configs(keys)[-1]))
    assert done.returncode == 0, done.stderr


def test_renewed_by_connect(door, keys, person, config, ca, sshd, tmp_path):
    """Who stays at the door renews as secretly as it was told to connect."""
    path = config(ech.configs(keys)[-1])
    lasts = round(10 * PACE)
    person.by_password("--register", ca.add("mia", "--group", "ops", "--lifetime", f"{lasts}s"), "mia@", "--ech", path)
    port = free_port()
    door.mark()
    capture = Capture(door.port)
    stays = Process([CARDEA, "connect", "--ech", f"require:{path}", "-L", f"{port}:localhost:{sshd.port}"], tmp_path, "stays",
                    env=person.env)
    try:
        wait_listening(port)
        line = renewal(door, lasts * 2)
    finally:
        stays.stop()
    assert (line["ech"], line["outer_sni"]) == ("accepted", PUBLIC), line
    assert NAME.encode() not in capture.end()


def test_words(person):
    done = person.by_password("--ech", "auto")
    assert done.returncode == 1 and b"Give --doh URL" in done.stderr, done.stderr
