# SPDX-License-Identifier: Apache-2.0
"""`cardea cert ls`: what the door says of its certificates, for people and for machines."""
import json
import os
import pty
import re
import socket
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

from run import CARDEA, SLOW, run


def ls(path, *options, env=None):
    done = run(CARDEA, "cert", "ls", "--socket", path, *options, env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def door(tmp_path_factory, pki, banner):
    from door import Door
    door = Door(tmp_path_factory.mktemp("door"), {})
    door.configure({
        "admin": {"socket": str(door.socket)},
        "certificates": [pki.server("long.test").row(),
                         pki.ca.issue("short.test", dns=["short.test"], start=-3600, end=2 * 86400, label="ls-short").row()],
        "routes": [{"name": "www", "terminate": {"to": banner.to}}],
    })
    door.start()
    yield door
    door.stop()


def test_files(door):
    status, out, _ = ls(door.socket)
    assert status == 0
    heading, first, second = out.strip().splitlines()
    assert re.split(r"  +", heading) == ["NAMES", "ISSUER", "KEY", "LEFT", "STAPLE", "BACKUP", "RENEWED", "NEXT TRY", "FROM"]
    assert first.startswith("short.test"), "the one with the least life left comes first"
    assert second.startswith("long.test") and re.search(r"\[##########\] \d+d \d+h ", second)
    assert "\033" not in out, "no terminal"


def test_json_of_files(door):
    status, out, _ = ls(door.socket, "--json")
    told = json.loads(out)
    assert status == 0 and told["certificates_total"] == 2
    one = told["certificates"][0]
    assert one["names"] == ["short.test"] and one["names_total"] == 1 and one["from"] == "file"
    assert one["label"].endswith(".pem") and one["backup"] is None and one["next_try"] is None
    served = one["served"]
    assert served["state"] == "good" and served["ca"] is None and served["staple"] is None
    assert 0 < served["seconds_left"] <= served["seconds"] < 4 * 86400
    assert told == {**door.get_json("/certificates"), "certificates": told["certificates"]}


class Told:
    """A socket that answers as a door would that keeps other certificates."""

    def __init__(self, path, body, code=200):
        self.path, self.listener = path, socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.answer = (f"HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                       f"Connection: close\r\n\r\n{body}").encode()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                client.recv(4096)
                client.sendall(self.answer)


def slot(days, of=90, state="good", **more):
    end = datetime.now(timezone.utc) + timedelta(days=days, minutes=5)
    return {"state": state, "issuer": "R11", "ca": "https://ca.example/directory", "key": "P-256",
            "not_before": None, "not_after": end.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "seconds": of * 86400,
            "seconds_left": max(0, days * 86400 + 300), "issued": "2026-11-02T10:00:00.000Z", "must_staple": False,
            "staple": None, **more}


def at(**ahead):
    return (datetime.now(timezone.utc) + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def row(name, served, **more):
    return {"names": [name, "b.test", "c.test"], "names_total": 5, "from": "acme", "label": None, "served": served,
            "backup": None, "backup_wanted": False, "swapped": None, "swapped_at": None, "next_try": None,
            "failure": None, "failures": 0, "failed": None, "renewal_window": None, **more}


@pytest.fixture()
def told(tmp_path):
    staple = {"fresh": True, "this_update": at(hours=-1), "next_update": at(days=3, minutes=5)}
    body = {"certificates_total": 2000, "certificates": [
        row("late.test", slot(10), failure="rate-limited", failures=3, next_try=at(hours=2, minutes=5, seconds=50),
            backup_wanted=True),
        row("well.test", slot(80, staple=staple), backup=slot(40), backup_wanted=True, next_try=at(days=20, minutes=5)),
        row("swapped.test", slot(60), backup=slot(30, state="revoked"), backup_wanted=True, swapped="revoked",
            next_try=at(hours=-1)),
        row("must.test", slot(5, state="unstapled", must_staple=True)),
        row("gone.test", slot(-1, state="expired")),
        row("new.test", None, next_try=at(minutes=-1)),
        row("evil.test\033[2J", slot(80, issuer="\033]0;x\007")),
    ]}
    return Told(tmp_path / "sock", json.dumps(body))


def test_what_is_told(told):
    status, out, _ = ls(told.path)
    rows = {line.split(",")[0]: re.split(r"  +", line) for line in out.strip().splitlines()[1:]}
    assert status == 0
    assert rows["late.test"] == ["late.test,b.test,... (5)", "R11", "P-256", "[##--------] 10d 0h", "-", "not yet", "2026-11-02",
                                 "in 2h 5m (rate-limited, 3 in a row)", "acme"]
    assert rows["well.test"][3:] == ["[#########-] 80d 0h", "3d 0h", "R11, 40d 0h", "2026-11-02", "in 20d 0h", "acme"]
    assert rows["swapped.test"][5:] == ["revoked", "2026-11-02", "now", "acme, swapped: revoked"]
    assert rows["must.test"][3:5] == ["[#---------] 5d 0h unstapled", "missing"]
    assert rows["gone.test"][3] == "[----------] 0s expired"
    assert rows["new.test"][1:] == ["-", "-", "none yet", "-", "-", "-", "now", "acme"]
    assert out.strip().endswith("2000 certificates in all; those with the least life left are shown")
    assert "\033" not in out and "evil.test?[2J" in out, "what a CA or a client has made up does not reach the terminal"


def on_terminal(path, **env):
    """What is written to a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(CARDEA, [str(CARDEA), "cert", "ls", "--socket", str(path)], {**os.environ, "TERM": "xterm", **env})
    out, until = b"", time.monotonic() + 20 * SLOW
    while time.monotonic() < until:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        out += piece
    os.close(fd)
    assert os.waitpid(pid, 0)[1] == 0
    return out.decode()


def test_colours(told):
    out = on_terminal(told.path, NO_COLOR="")
    assert "\033[31m[##--------] 10d 0h\033[0m" in out
    assert "\033[32m[#########-] 80d 0h\033[0m" in out
    assert "\033[33mnot yet\033[0m" in out
    plain = re.sub(r"\033\[\d+m", "", out).replace("\r", "")
    assert plain == ls(told.path)[1], "the same, and columns stand under each other"
    assert "\033" not in on_terminal(told.path, NO_COLOR="1")
    assert "\033" not in on_terminal(told.path, NO_COLOR="", TERM="dumb")


MANY = 600


@pytest.fixture(scope="module")
def many(tmp_path_factory, pki, banner):
    """A door with a file, and a folder of many, some of which are bad."""
    from door import Door
    folder = tmp_path_factory.mktemp("many")
    good = pki.server("*.many.test")
    gone = pki.ca.issue("gone.test", dns=["gone.test"], start=-7200, end=-3600, label="ls-gone")
    soon = pki.ca.issue("soon.test", dns=["soon.test"], start=-90 * 86400, end=5 * 86400 + 43200, label="ls-soon")

    def put(stem, cert):
        path = folder / f"{stem}.pem"
        path.write_text(open(cert.certificate).read() + open(cert.key).read())
        path.chmod(0o600)
    for i in range(MANY):
        put(f"n{i:03}.many.test", good)
    put("gone.test", gone)
    put("soon.test", soon)
    (folder / "bad.test.pem").write_text("no certificate")
    (folder / "README").write_text("nothing to do with it")
    door = Door(tmp_path_factory.mktemp("door"), {"certificates": [pki.server("long.test").row(), {"directory": str(folder)}],
                                                  "routes": [{"name": "www", "terminate": {"to": banner.to}}]})
    door.start()
    door.folder = str(folder)
    yield door
    door.stop()


def test_a_large_folder_is_one_line(many):
    status, out, _ = ls(many.socket, "--json")
    told = json.loads(out)
    assert status == 0 and [row["from"] for row in told["certificates"]] == ["file"] and told["certificates_total"] == 1
    source, = told["sources"]
    assert {key: source[key] for key in ("from", "label", "total", "good", "ending", "expired", "revoked", "unusable")} == {
        "from": "directory", "label": many.folder, "total": MANY + 3, "good": MANY + 1, "ending": 1, "expired": 1, "revoked": 0,
        "unusable": 1}
    assert source["soonest_name"] == "soon.test" and source["soonest"] and source["counted"]
    assert sorted(source["bad"]) == ["bad.test", "gone.test"]
    out = ls(many.socket)[1].splitlines()
    *counts, soonest, bad = re.split(r"  +", out[-1])
    assert counts == [many.folder, "603", "601", "1", "1", "0", "1"] and bad == "bad.test,gone.test"
    assert re.fullmatch(r"5d 1[12]h: soon.test", soonest)
    metrics = str(many.get("/metrics"))
    assert f'cardea_source_certificates{{source="{many.folder}",state="good"}} 601' in metrics
    assert f'cardea_source_certificates{{source="{many.folder}",state="unusable"}} 1' in metrics
    assert "many.test" not in metrics and "cardea_source_not_after_seconds{" in metrics


def test_all_of_it_is_listed_where_that_is_wanted(many):
    status, out, _ = ls(many.socket, "--json", "--all")
    rows = json.loads(out)["certificates"]
    assert status == 0 and len(rows) == MANY + 4 and len({row["label"] for row in rows if row["label"]}) == MANY + 3
    assert rows[0]["names"] == ["long.test"] and rows[0]["served"]["revoked"] is None
    assert [row["served"]["state"] for row in rows if row["names"] == ["gone.test"]] == ["expired"]
    bad, = (row for row in rows if row["unusable"])
    assert bad["names"] == ["bad.test"] and bad["served"] is None and f"{many.folder}/bad.test.pem" in bad["unusable"]
    assert ls(many.socket, "--all")[1].count("*.many.test") == MANY


@pytest.mark.parametrize("pattern, count", [("n00*.many.test", 10), ("N007.many.test", 1), ("*.test", MANY + 4), ("long.test", 1)])
def test_names_are_looked_for(many, pattern, count):
    status, out, _ = ls(many.socket, "--json", pattern)
    assert status == 0 and len(json.loads(out)["certificates"]) == count


def test_a_name_that_there_is_not(many):
    status, out, err = ls(many.socket, "nobody.test")
    assert status == 1 and "no certificate has a name like nobody.test" in err
    for words in (["a b"], ["--all", "x.test"]):
        assert ls(many.socket, *words)[0] == 2


def test_none(tmp_path):
    told = Told(tmp_path / "sock", '{"certificates": [], "certificates_total": 0}')
    assert ls(told.path)[:2] == (0, "the door serves no certificates of its own\n")


@pytest.mark.parametrize("body, code", [('{"certificates": [7, {}, {"served": 1, "names": [1]}], "certificates_total": 3}', 200),
                                        ("{}", 200), ("[]", 200), ("{}", 404), ("nonsense", 200)])
def test_answers_of_another_kind(tmp_path, body, code):
    """They are told, or shown as far as they can be; nothing breaks."""
    told = Told(tmp_path / "sock", body, code)
    assert ls(told.path)[0] in (0, 1)
    assert ls(told.path, "--json")[0] in (0, 1)


def test_command_line(tmp_path):
    for words, said in ((["cert"], "expected 'ls'"), (["cert", "sl"], "expected 'ls', 'swap', 'forget', 'stage', 'test'"),
                        (["cert", "ls", "a/b"], "a/b: expected a name, where * is any text")):
        done = run(CARDEA, *words)
        assert done.returncode == 2 and said in done.stderr.decode()
    status, _, err = ls(tmp_path / "none")
    assert status == 1 and "none" in err
