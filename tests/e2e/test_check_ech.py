# SPDX-License-Identifier: Apache-2.0
"""`cardea check` asks the DNS for the ECHConfigs of a server, tries them, and says what comes of it."""
import json
import re
import subprocess

import pytest

import doh
import ech
import judges
import peers
from ech_door import NAME, PUBLIC, keys, names  # noqa: F401
from run import CARDEA, ROOT, Process, free_port, ms, run, wait_listening

GOLDEN = ROOT / "tests/e2e/check_ech.expected"
FINDINGS = re.findall(r'^X\(\w+, "(\w+)", "', (ROOT / "tables/ech_findings.def").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def door(start_module_door, names, keys):
    with peers.Server(judges.web) as backend:
        yield start_module_door({
            "certificates": [cert.row() for cert in names.values()], "workers": 1,
            "ech": {"public_name": PUBLIC, "keys": str(keys)},
            "routes": [{"name": "web", "sni": "*.ech.test", "alpn": "http/1.1", "terminate": {"to": backend.to}}]})


@pytest.fixture
def resolver(pki):
    server = doh.Resolver(pki.server("localhost"))
    yield server
    server.stop()


@pytest.fixture
def asks(resolver, pki):
    """asks(port, *words): what is said of the server at that port, which is to be NAME; the DNS is asked by HTTPS."""
    def call(port, *words, json_too=True, dns=()):
        dns = dns or ("--doh", resolver.url, "--doh-ca", pki.ca.file)
        return run(CARDEA, "check", *(["--json"] if json_too else []), "--ca", pki.ca.file, "--name", NAME, *dns, "--timeout",
                   ms(10000), "--question-timeout", ms(5000), "--survey-timeout", ms(25000), *words, f"127.0.0.1:{port}")
    return call


@pytest.fixture
def without(names, tmp_path):
    """without(name): a server with that certificate that knows nothing of ECH."""
    started = []

    def start(name):
        port = free_port()
        started.append(Process(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", names[name].certificate, "-key",
                                names[name].key, "-quiet"], tmp_path, f"s_server{port}", stdin=subprocess.PIPE))
        wait_listening(port, started[-1])
        return port
    yield start
    for process in started:
        process.stop()
        process.child.stdin.close()


def record(resolver, port, **params):
    resolver.records[f"_{port}._https.{NAME}"] = [(doh.HTTPS, doh.https(**params))]


def told(done):
    said = json.loads(done.stdout)["survey"]
    assert said["complete"], said
    return said["ech"], {each["finding"]: each["leaves"] for each in said["findings"]}


def test_accepted(door, keys, resolver, asks):
    record(resolver, door.port, alpn="http/1.1,h3", ech=ech.configs(keys)[-1])
    done = asks(door.port, "--expect", "ech=accepted", "--fail-below", "A+")
    said, found = told(done)
    assert said == {"result": "accepted", "detail": None, "public_name": PUBLIC, "public_name_detail": None,
                    "alpn": ["http/1.1", "h3"]}
    assert done.returncode == 0 and found == {}, found


def test_plain(door, keys, resolver, asks):
    """By a name server, in the clear; an alias is followed."""
    record(resolver, door.port, priority=0, target="other.test")
    resolver.records["other.test"] = [(doh.HTTPS, doh.https(target=NAME, alpn="h2", ech=ech.configs(keys)[-1]))]
    with doh.Plain(resolver) as plain:
        said, found = told(asks(door.port, dns=("--dns", plain.address)))
        assert said["result"] == "accepted" and found == {"record_alpn": "A"}, (said, found)
        resolver.records = {}
        assert told(asks(door.port, dns=("--dns", plain.address)))[0]["result"] == "no_record"
        resolver.code = 2
        assert told(asks(door.port, dns=("--dns", plain.address)))[0]["result"] == "unknown"


def test_for_people(door, keys, resolver, asks):
    """What is said of ECH, and what is to be done."""
    record(resolver, door.port, alpn="http/1.1", ech=ech.damaged(ech.configs(keys)[-1]))
    stale = asks(door.port, json_too=False).stdout.decode()
    record(resolver, door.port, alpn="http/1.1", ech=ech.configs(keys)[-1])
    good = asks(door.port, json_too=False).stdout.decode()
    text = ""
    for said in (good, stale):
        text += said.splitlines()[0].split(": ", 1)[1] + "\n"
        text += "".join(f"{line}\n" for line in re.findall(r"^  ECH.*|^    \w+ .*\n  .*(?=\n)", said, re.MULTILINE))
    assert text == GOLDEN.read_text(), text


def test_stale(door, keys, resolver, asks):
    record(resolver, door.port, ech=ech.damaged(ech.configs(keys)[-1]))
    done = asks(door.port, "--expect", "ech=accepted")
    said, found = told(done)
    assert said["result"] == "stale" and said["public_name"] == PUBLIC and found == {"ech_stale": "B"}
    assert done.returncode == 1 and json.loads(done.stdout)["unexpected"] == [{"expected": "ech=accepted", "found": "stale"}]


def test_nobody_decrypts(keys, door, resolver, asks, without):
    """The server that the record leads to has no ECH: clients do without it only where the public name is proven."""
    config = ech.configs(keys)[-1]
    both = {"public": "refused", "inside": "not_proven"}
    for name, result in both.items():
        port = without(name)
        record(resolver, port, ech=config)
        said, found = told(asks(port))
        assert said["result"] == result
        assert found.get("ech_stale" if result == "refused" else "ech_broken") == ("B" if result == "refused" else "C"), found


@pytest.mark.parametrize(("what", "result", "finding"), [
    ("nothing", "no_record", "no_ech"),
    ("without", "no_config", "no_ech"),
    ("foreign", "unusable", None),
    ("garbage", "unreadable", "ech_stale"),
    ("broken", "unknown", None),
    ("status", "unknown", None),
])
def test_records(door, resolver, asks, what, result, finding):
    if what == "status":
        resolver.status = 503
    params = {"without": {"alpn": "http/1.1"}, "foreign": {"ech": "AAX+DgABAA=="}, "garbage": {"ech": "AAAAAAAA"}}.get(what)
    if params:
        record(resolver, door.port, **params)
    if what == "broken":
        resolver.records[f"_{door.port}._https.{NAME}"] = [(doh.HTTPS, b"\0\1")]
    done = asks(door.port)
    said, found = told(done)
    assert said["result"] == result and set(found) == ({finding} if finding else set()), (said, found)
    assert (said["detail"] is not None) == (result == "unknown"), said
    assert json.loads(done.stdout)["grade"] == ("B" if finding == "ech_stale" else "A+") and done.returncode == 0


def test_public_name_is_not_proven(start_door, names, tmp_path, resolver, asks):
    """All goes well until the keys change."""
    with peers.Server(judges.web) as backend:
        door = start_door({"certificates": [names["inside"].row()], "workers": 1,
                           "ech": {"public_name": PUBLIC, "keys": str(tmp_path / "ech")},
                           "routes": [{"name": "web", "sni": "*.ech.test", "alpn": "http/1.1", "terminate": {"to": backend.to}}]})
        record(resolver, door.port, ech=ech.configs(tmp_path / "ech")[-1])
        said, found = told(asks(door.port))
    assert said["result"] == "accepted" and PUBLIC in said["public_name_detail"] and found == {"ech_public_name": "B"}


def test_a_record_of_another_server(door, pki, resolver):
    """What the DNS says of the name is about the server behind it: of another one it is asked only where somebody says so."""
    done = run(CARDEA, "check", "--json", "--ca", pki.ca.file, "--name", NAME, f"127.0.0.1:{door.port}")
    assert json.loads(done.stdout)["survey"]["ech"] is None and resolver.asked == []
    done = run(CARDEA, "check", "--ca", pki.ca.file, "--name", NAME, "--expect", "ech=accepted", f"127.0.0.1:{door.port}")
    text = done.stdout.decode()
    assert "ECH          not asked: the name's record may be of another server; --dns or --doh" in text and done.returncode == 1
    assert "  EXPECTED     ech=accepted, found not_asked\n" in text and resolver.asked == []
    assert re.match(r"127\.0\.0\.1:\d+: proven; NOT AS EXPECTED; grade ", text), text


def test_configs_of_a_file(door, keys, pki, without, resolver, tmp_path):
    """They are tried before they are in the DNS, which is not asked."""
    file = tmp_path / "config"
    file.write_text(ech.configs(keys)[-1])
    for port, word in (door.port, "accepted"), (without("public"), "refused"):
        done = run(CARDEA, "check", "--json", "--ca", pki.ca.file, "--name", NAME, "--ech", file, "--expect", f"ech={word}",
                   f"127.0.0.1:{port}")
        [told] = map(json.loads, done.stdout.splitlines())
        assert told["survey"]["ech"]["result"] == word and told["survey"]["ech"]["public_name"] == PUBLIC, told["survey"]["ech"]
        assert told["unexpected"] == [] and told["survey"]["ech"]["alpn"] == []
    assert resolver.asked == []
    done = run(CARDEA, "check", "--ech", keys.parent / "nowhere", "--name", NAME, f"127.0.0.1:{door.port}")
    assert done.returncode == 1 and "cardea: --ech: " in done.stderr.decode() and "No such file" in done.stderr.decode()


@pytest.mark.parametrize(("words", "text"), [
    (["--doh", "http://a.test/"], "--doh: found 'http://a.test/', expected https://"),
    (["--doh", "https://a.test/", "--dns", "127.0.0.1"], "leave one out"),
    (["--doh-ca", "ca.pem"], "--doh URL"),
    (["--quick", "--dns", "127.0.0.1"], "--quick"),
    (["--quick", "--ech", "config"], "--quick"),
    (["--ech", "config", "--dns", "127.0.0.1"], "leave out --dns or --ech"),
    (["--ech", "auto"], "expected a file of ECHConfigs"),
    (["--ech", "require:config"], "expected a file of ECHConfigs"),
    (["--ech", "config", "--name", "192.0.2.1"], "give it with --name NAME"),
])
def test_misuse(words, text):
    done = run(CARDEA, "check", *words, "a.example.com")
    assert done.returncode == 2 and text in done.stderr.decode() and not done.stdout, done


def test_manual():
    """It has every word of the table."""
    manual = (ROOT / "doc/man/cardea-check.1").read_text()
    assert len(FINDINGS) == 12 and [word for word in FINDINGS if f".It Ql {word}\n" not in manual] == []
