# SPDX-License-Identifier: Apache-2.0
"""HTTPS records that follow the keys of ECH (RFC 9848): BIND has the zone, OpenSSL 4 takes its config from there."""
import json
import re
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

import ech
from published import PUBLIC, ROTATE, TTL, config_of, configuration, named, names, told  # noqa: F401
from run import wait_until

def test_records_follow_the_keys(start_door, names, named, pki, tmp_path, nginx):
    """Two doors share the keys; clients know of them what the DNS says, as long as they may cache it. Not one handshake fails
    while keys rotate."""
    began = time.monotonic()
    config = configuration(names, tmp_path / "keys", nginx.to("h1"), named.config())
    doors = [start_door(config), start_door(config)]
    wait_until(lambda: named.https("shared.ech.test"), lambda: doors[0].process.output(), 10)
    seen, failed, done, over = [], [], [], threading.Event()

    def load():
        while not over.is_set():
            record, until = named.https("shared.ech.test"), time.monotonic() + TTL
            assert record.startswith('1 . alpn="h2,http/1.1" ech='), record
            seen.append(config_of(record))
            while time.monotonic() < until and not over.is_set():
                said = ech.client(doors[len(done) % 2].port, "shared.ech.test", pki.ca.file, config=seen[-1])
                (done if "ECH: success: 1" in said else failed).append(said)

    thread = threading.Thread(target=load)
    thread.start()
    wait_until(lambda: failed or len(set(seen)) > 1 and config_of(named.https("shared.ech.test")) == seen[-1],
               lambda: f"a rotation; {set(seen)}", 4 * ROTATE, step=0.5)
    done_before = len(done)
    wait_until(lambda: failed or len(done) > done_before + 4, "more handshakes", 20)
    over.set()
    thread.join()
    assert not failed, failed[0]
    slots = (time.monotonic() - began) // ROTATE + 2
    pushed = [told(door)["pushed"] for door in doors]
    assert len(set(seen)) <= sum(pushed) <= slots, "one of them pushes for both"
    wait_until(lambda: [row["records"] for row in told(doors[0])["keys"] if row["offered"]] == [1], lambda: told(doors[0]), 10)
    rows = told(doors[0])["keys"]
    assert any(row["published"] and row["records"] == 0 and row["opens_until"] for row in rows), rows


def test_what_else_the_record_says(start_door, names, named, tmp_path, nginx):
    """It changes with the configuration; a name that was taken out is withdrawn by hand, and then forgotten."""
    config = configuration(names, tmp_path / "keys", nginx.to("h1"), named.config(), names=["shared.ech.test", "other.ech.test"])
    door = start_door(config)
    wait_until(lambda: named.https("other.ech.test"), door.process.output, 10)
    done = door.cli("ech", "withdraw", "other.ech.test")
    assert done.returncode == 1 and b"take it out there first" in done.stderr
    config["ech"]["publish"].update({"names": ["shared.ech.test"], "alpn": ["h2"]})
    door.reload(config)
    wait_until(lambda: named.https("shared.ech.test").startswith('1 . alpn="h2" ech='), door.process.output, 10)
    assert named.https("other.ech.test")
    assert told(door)["left"] == ["other.ech.test"]
    assert re.search(rb"^other\.ech\.test +its key is kept", door.cli("ech", "ls").stdout, re.M)
    done = door.cli("ech", "withdraw", "other.ech.test")
    assert done.returncode == 0, done.stderr
    assert named.https("other.ech.test") == ""
    assert told(door)["left"] == []
    done = door.cli("ech", "withdraw", "other.ech.test")
    assert done.returncode == 1 and b"no record that doors with these keys have published" in done.stderr, done.stderr
    journal = json.loads((tmp_path / "keys" / f"{PUBLIC}.published").read_text())
    assert [row["name"] for row in journal["names"]] == ["shared.ech.test"]


def test_a_record_that_is_left_behind(start_door, names, named, tmp_path, nginx):
    """Without the section it cannot be withdrawn: what to do is said, and does it."""
    config = configuration(names, tmp_path / "keys", nginx.to("h1"), named.config())
    door = start_door(config)
    wait_until(lambda: told(door)["names"][0]["current"], door.process.output, 10)
    publish = config["ech"].pop("publish")
    door.reload(config)
    assert b"put 'ech.publish.dns' back, and then 'cardea ech withdraw' it" in door.cli("ech").stdout
    done = door.cli("ech", "withdraw", "shared.ech.test")
    assert done.returncode == 1 and b"no 'ech.publish.dns', which says how to reach the DNS: put it back" in done.stderr, done.stderr
    config["ech"]["publish"] = {"dns": publish["dns"], "ttl": publish["ttl"]}
    door.reload(config)
    assert b"back into 'ech.publish.names', or 'cardea ech withdraw' it" in door.cli("ech").stdout
    done = door.cli("ech", "publish")
    assert done.returncode == 1 and b"'ech.publish' has no 'names'" in done.stderr, done.stderr
    done = door.cli("ech", "withdraw", "shared.ech.test")
    assert done.returncode == 0 and named.https("shared.ech.test") == "", done.stderr
    assert told(door)["left"] == [] and b"LEFT RECORD" not in door.cli("ech").stdout


HOOK = """#!/bin/sh
echo "$@" >> {log}
[ -e {good} ] || {{ echo "no such zone" >&2; echo "no zone today"; exit 3; }}
"""


def test_by_a_program(start_door, names, tmp_path, nginx):
    """It is told what the record is to say; what it prints last is quoted where it fails."""
    log, good, hook = (tmp_path / name for name in ("log", "good", "hook"))
    hook.write_text(HOOK.format(log=log, good=good))
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    door = start_door(configuration(names, tmp_path / "keys", nginx.to("h1"), {"hook": f"{hook}{' zone' * 110}"}))
    wait_until(lambda: "no zone today" in door.process.output(), door.process.output, 10)
    good.touch()
    done = door.cli("ech", "publish")
    assert done.returncode == 0, done.stdout
    said, _, config = log.read_text().splitlines()[-1].partition("ech=")
    assert said == f'{"zone " * 110}publish shared.ech.test {TTL} 1 . alpn="h2,http/1.1" '
    assert config in ech.configs(tmp_path / "keys")


SLOW_HOOK = """#!/bin/sh
trap 'echo told >> {log}' TERM
echo "start $2" >> {log}
while [ ! -e {go} ]; do sleep 0.1; done
echo "end $2" >> {log}
"""


@pytest.fixture
def slow_hook(tmp_path):
    """A program that ends when it may."""
    hook, log, go = (tmp_path / name for name in ("hook", "log", "go"))
    log.touch()
    hook.write_text(SLOW_HOOK.format(log=log, go=go))
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    return SimpleNamespace(dns={"hook": str(hook)}, go=go, lines=lambda: log.read_text().splitlines())


def test_a_reload_leaves_a_program_in_peace(start_door, names, tmp_path, nginx, slow_hook):
    """Where nothing of what is published has changed."""
    config = configuration(names, tmp_path / "keys", nginx.to("h1"), slow_hook.dns)
    config["ech"].update({"rotate": "1h", "keep": "1h"})
    door = start_door(config)
    wait_until(slow_hook.lines, door.process.output, 10)
    door.reload({**config, "audit": {"file": str(tmp_path / "audit")}})
    slow_hook.go.touch()
    wait_until(lambda: told(door)["names"][0]["current"], door.process.output, 10)
    assert slow_hook.lines() == ["start shared.ech.test", "end shared.ech.test"]


def test_a_reload_that_changes_what_is_published(start_door, names, tmp_path, nginx, slow_hook):
    """The program is told to end, and may finish what it does before the next one begins. Whoever has asked for a push is
    answered when all has been pushed that the new configuration says."""
    config = configuration(names, tmp_path / "keys", nginx.to("h1"), slow_hook.dns)
    config["ech"].update({"rotate": "1h", "keep": "1h"})
    slow_hook.go.touch()
    door = start_door(config)
    wait_until(lambda: told(door)["names"][0]["current"], door.process.output, 10)
    slow_hook.go.unlink()
    before = len(slow_hook.lines())
    with ThreadPoolExecutor() as pool:
        push = pool.submit(door.cli, "ech", "publish")
        wait_until(lambda: len(slow_hook.lines()) > before, door.process.output, 10)
        config["ech"]["publish"]["names"] = ["shared.ech.test", "other.ech.test"]
        door.reload(config)
        wait_until(lambda: "told" in slow_hook.lines(), door.process.output, 10)
        slow_hook.go.touch()
        done = push.result()
    assert done.returncode == 0 and b"other.ech.test" in done.stdout, done
    assert slow_hook.lines()[before:] == ["start shared.ech.test", "told", "end shared.ech.test"] + [
        f"{what} {name}.ech.test" for name in ("shared", "other") for what in ("start", "end")]


def test_wrong_settings(start_door, names, tmp_path, nginx):
    """What cannot go well is refused before it is in force."""
    config = configuration(names, tmp_path / "keys", nginx.to("h1"), {"hook": "/bin/true"})
    door = start_door(config)
    for change, words in (
            ({"ttl": "21s"}, "ech.publish: 'ttl' and 'dns.settle' come to 21 s, 'ech.keep' is 20 s"),
            ({"names": ["192.0.2.1"]}, "ech.publish.names: found '192.0.2.1', expected a host name"),
            ({"names": ["a.ech.test", "a.ech.test"]}, "ech.publish.names: 'a.ech.test' is here twice"),
            ({"alpn": ["h2,h3"]}, "ech.publish.alpn: found 'h2,h3'"),
            ({"dns": {"hook": "/bin/true", "zone": "ech.test"}}, "ech.publish.dns.zone: goes with 'server'"),
            ({"dns": {"server": "127.0.0.1:53"}}, "ech.publish.dns: 'server' needs 'zone'")):
        door.configure({**config, "ech": {**config["ech"], "publish": {**config["ech"]["publish"], **change}}})
        done = door.cli("reload")
        assert done.returncode == 1 and words in done.stderr.decode(), done.stderr
