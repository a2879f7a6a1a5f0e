# SPDX-License-Identifier: Apache-2.0
"""cardea report tls: who would be turned away by a stricter TLS, as audit logs have it. What it says of logs in
tests/report is in files beside them (CARDEA_UPDATE_GOLDEN=1 writes these anew); what it says of a door's own log is what
happens when the door is made stricter."""
import gzip
import json
import os
import shutil

import pytest

import tls
from run import CARDEA, ROOT, run

REPORT = ROOT / "tests" / "report"
AES_256 = "ciphers=TLS_AES_256_GCM_SHA384:TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"


def report(*flags, **options):
    return run(CARDEA, "report", "tls", *flags, **options)


def asked(*flags, **options):
    done = report("--json", *flags, **options)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("name, flags", [
    ("all.txt", []),
    ("all.json", ["--json"]),
    ("ciphers.txt", ["--would", AES_256]),
    ("top.txt", ["--would", "min_version=1.3", "--top", "1", "--prefix", "16,48"]),
    ("route.json", ["--would", "min_version=1.3", "--route", "api", "--route", "held", "--json"]),
    ("since.txt", ["--would", "pq=require", "--since", "2026-11-22"]),
    ("passed.txt", ["--would", "min_version=1.3", "--passed", "--since", "2026-11-22T14:00:00Z"]),
    ("except.txt", ["--except", "network=192.0.2.0/29", "--except", "ja4=t13d1010h1_aaaaaaaaaaaa_bbbbbbbbbbbb", "--prefix", "32,128"]),
    ("few.txt", ["--would", "min=1.3", "--clients", "2", "--prefix", "32,128"]),
])
def test_golden(name, flags):
    """What is printed, word for word; lines that are none are told with their place."""
    done = report(*flags, "clients.jsonl", cwd=REPORT)
    said = done.stdout.decode() + done.stderr.decode()
    path = REPORT / name
    if os.environ.get("CARDEA_UPDATE_GOLDEN"):
        path.write_text(said)
    assert done.returncode == 0 and said == path.read_text()


def test_standard_input_and_compressed(tmp_path):
    """The same of a pipe, of a file that gzip has made smaller, and of what is cut in two."""
    text = (REPORT / "clients.jsonl").read_bytes()
    whole = asked(REPORT / "clients.jsonl")
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(text))
    half = text.index(b"\n", len(text) // 2) + 1
    (tmp_path / "one").write_bytes(text[:half])
    (tmp_path / "two").write_bytes(text[half:])
    assert asked(input=text) == asked("-", input=text) == asked(packed) == whole
    assert asked(tmp_path / "one", tmp_path / "two") == whole


@pytest.mark.parametrize("program", ["xz", "zstd", "bzip2"])
def test_other_compressors(tmp_path, program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    packed = run(program, "-c", REPORT / "clients.jsonl")
    (tmp_path / "log").write_bytes(packed.stdout)
    assert asked(tmp_path / "log") == asked(REPORT / "clients.jsonl")


def test_cut_and_missing_files(tmp_path):
    """What cannot be read whole is not told as if it had been."""
    packed = gzip.compress((REPORT / "clients.jsonl").read_bytes())
    (tmp_path / "cut.gz").write_bytes(packed[:len(packed) // 2])
    done = report("cut.gz", cwd=tmp_path)
    assert done.returncode == 1 and b"cut.gz: gzip does not get through it" in done.stderr and done.stdout == b""
    done = report("none.jsonl", cwd=tmp_path)
    assert done.returncode == 1 and b"none.jsonl: No such file" in done.stderr


def test_last_line_without_an_end(tmp_path):
    """A door may be writing it; a line that is too long is one that is none, whatever is in it."""
    lines = (REPORT / "clients.jsonl").read_text().splitlines()
    (tmp_path / "log").write_text(lines[0] + "\n" + lines[1][:50])
    assert {key: asked(tmp_path / "log")[key] for key in ("lines", "bad_lines")} == {"lines": 1, "bad_lines": 1}
    (tmp_path / "log").write_text(lines[0] + "\n" + "x" * 1000000 + "\n" + lines[1])
    assert {key: asked(tmp_path / "log")[key] for key in ("lines", "bad_lines")} == {"lines": 2, "bad_lines": 1}


def test_identities_that_are_cut_or_no_text(tmp_path):
    """Who has a name that is cut within a character, or is none, is told of all the same."""
    log = tmp_path / "log"
    rows = [("x" * 254 + "\u00fc").encode(), b"a\xff\x9b31m", ("x" * 250 + "\\u00fc").encode()]
    log.write_bytes(b"".join(b'{"time":"2026-11-23T00:40:00.123Z","peer":"192.0.2.%d:1","ja4":"t12d_a_b","version":"1.2",'
                             b'"identity":"%s"}\n' % (i, row) for i, row in enumerate(rows)))
    [answer] = asked("--would", "min_version=1.3", log)["answers"]
    names = {row["identity"] for row in answer["rows"]}
    assert "x" * 254 + "?" in names and "a??31m" in names and len(names) == 3, names
    text = report("--would", "min_version=1.3", log).stdout
    assert b"a??31m" in text and b"\x9b" not in text


def test_many_bad_lines_are_not_all_told(tmp_path):
    line = (REPORT / "clients.jsonl").read_text().splitlines()[0]
    for text in ("x\n" * 1000 + line, line + "\n" + "x\n" * 1000, "x\n" * 500 + line + "\n" + "x\n" * 500):
        (tmp_path / "log").write_text(text)
        done = report("log", cwd=tmp_path)
        lines = done.stderr.decode().splitlines()
        first = 2 if text.startswith(line) else 1
        assert len(lines) == 11 and lines[0].startswith(f"cardea: log:{first}: ") and "990 lines more" in lines[-1]
        assert b"1,000 lines could not be read\n" in done.stdout


@pytest.mark.parametrize("content", [b"listeners:\n  - {name: main}\n" * 30, b"\x7fELF\0\n\xff" * 5000, b"\0" * 300000,
                                     b"-----BEGIN CERTIFICATE-----\nMIIB\n", b'{"a": 1}'], ids=["yaml", "program", "long", "pem", "json"])
def test_what_is_no_audit_log(tmp_path, content):
    """One line says so, whichever file is the wrong one."""
    (tmp_path / "wrong").write_bytes(content)
    for files in (["wrong"], [REPORT / "clients.jsonl", "wrong"]):
        done = report(*files, cwd=tmp_path)
        assert done.returncode == 1 and done.stdout == b""
        lines = [text for text in done.stderr.decode().splitlines() if "wrong" in text]
        assert len(lines) == 1 and lines[0].startswith("cardea: wrong is no audit log: wrong:1: ")


def test_an_empty_file(tmp_path):
    (tmp_path / "log").write_bytes(b"")
    done = report("log", cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, b"cardea: log is empty: no audit lines\n", b"no lines\n")


def test_a_route_that_is_none(tmp_path):
    """A name that is misspelt does not look like a route that would lose nobody."""
    for more in ([], ["--json"], ["--route", "api"]):
        done = report("--route", "apj", *more, REPORT / "clients.jsonl")
        assert done.returncode == 1 and done.stdout == b"" and b"no line of route 'apj'" in done.stderr
    path = tmp_path / "door.yaml"
    path.write_text("listeners: [{address: '127.0.0.1:4433'}]\naudit: {file: audit.jsonl}\n"
                    "routes: [{name: api, pass: {to: '127.0.0.1:1'}}]\n")
    shutil.copy(REPORT / "clients.jsonl", tmp_path / "audit.jsonl")
    assert asked("-c", path, "--route", "api")["connections"] > 0
    done = report("-c", path, "--route", "apj")
    assert done.returncode == 1 and b"no route is called 'apj'; did you mean 'api'?" in done.stderr


WHO = [("identity=\u00e9va \"e\"", {1}), ("identity=\u00e9va", set()), ("network=192.0.2.1", {1}), ("network=192.0.2.0/24", {1, 2}),
       ("network=192.0.2.77/24", {1, 2}), ("network=0.0.0.0/0", {1, 2}), ("network=2001:db8::/32", {3}), ("network=::/0", {3}),
       ("ja4=t12d_a_b", {1, 3}), ("ja4=t12d_a_", set()), ("ja4=t12d", {2})]


@pytest.mark.parametrize("who, lines", WHO, ids=[who for who, _ in WHO])
def test_who_is_left_out(tmp_path, who, lines):
    """By identity as it was proven, whatever escapes are in it, by address or network, and by the whole JA4. Who came over a
    unix socket is of no network."""
    (tmp_path / "log").write_text("".join(
        '{"time":"2026-11-23T00:40:00.123Z",%s,"route":"r%d","version":"1.2"}\n' % (row, 1 + i) for i, row in enumerate([
            '"peer":"192.0.2.1:1","ja4":"t12d_a_b","identity":"\\u00e9va \\"e\\""', '"peer":"192.0.2.2:1","ja4":"t12d"',
            '"peer":"[2001:db8::1]:1","ja4":"t12d_a_b"', '"peer":"unix","ja4":"t12d_c"'])))
    found = asked("--would", "min_version=1.3", "--except", who, tmp_path / "log")
    assert {int(row["route"][1:]) for row in found["answers"][0]["rows"]} == {1, 2, 3, 4} - lines
    assert found["not_judged"]["excepted"] == len(lines) and found["connections"] == 4 - len(lines)


@pytest.mark.parametrize("flags, text", [
    (["--would", "min=1.4"], "min=1.4"), (["--except", "monitor"], "expected identity=NAME"), (["--except", "ja4="], "'ja4='"),
    (["--except", "network=192.0.2.0/33"], "192.0.2.0/33"), (["--except", "ja4=x"] * 65, "more than 64"),
    (["--would", "ciphers=X"], "'X'"), (["--since", "soon"], "'soon'"),
    (["--top", "-1"], "'-1'"), (["--clients", "1"], "'1'"), (["--prefix", "33,64"], "'33,64'"),
    (["-c", "x", "y"], "expected one of them"), (["--would", "all"] * 5, "more than"),
])
def test_misused(flags, text):
    done = report(*flags, input=b"")
    assert done.returncode == 2 and text in done.stderr.decode() and "usage:" in done.stderr.decode()


@pytest.mark.parametrize("words", [[], ["http"]])
def test_what_is_reported(words):
    done = run(CARDEA, "report", *words)
    assert done.returncode == 2 and b"tls" in done.stderr


def test_configured(tmp_path):
    """The audit file of a configuration, and what it was rotated to; what is older than is asked for is not read."""
    log = (REPORT / "clients.jsonl").read_text()
    path = tmp_path / "door.yaml"
    path.write_text("listeners: [{address: '127.0.0.1:4433'}]\naudit: {file: audit.jsonl}\n"
                    "routes: [{name: a, pass: {to: '127.0.0.1:1'}}]\n")
    (tmp_path / "audit.jsonl").write_text(log)
    (tmp_path / "audit.jsonl.1").write_text(log)
    (tmp_path / "audit.jsonl-20261120.gz").write_bytes(gzip.compress(log.encode()))
    for name in ("audit.jsonl.old", "audit.jsonl.1.bak", "audit.jsonl.d", "xaudit.jsonl"):
        (tmp_path / name).write_text(log)
    one = asked(tmp_path / "audit.jsonl")["lines"]
    assert asked("-c", path)["lines"] == 3 * one
    os.utime(tmp_path / "audit.jsonl.1", (0, 0))
    assert asked("-c", path, "--since", "2001-01-01")["lines"] == 2 * one
    for name in ("audit.jsonl", "audit.jsonl.1", "audit.jsonl-20261120.gz"):
        (tmp_path / name).unlink()
    done = report("-c", path)
    assert done.returncode == 1 and b"audit.jsonl, nor what it was rotated to" in done.stderr
    path.write_text(path.read_text().replace("file: audit.jsonl", 'file: "-"'))
    done = report("-c", path)
    assert done.returncode == 1 and b"standard output" in done.stderr


# A door's own log ---------------------------------------------------------------------------------------------------

CLIENTS = {
    "modern": [],
    "no 1.3": ["-tls1_2"],
    "aes128": ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"],
    "aes128 or 1.2": ["-ciphersuites", "TLS_AES_128_GCM_SHA256"],
}
STRICTER = {
    "min=1.3": {"min_version": "1.3"},
    "ciphers=TLS_AES_256_GCM_SHA384": {"ciphers": ["TLS_AES_256_GCM_SHA384"]},
}


@pytest.mark.parametrize("would", STRICTER)
def test_what_it_foretells_comes_true(start_door, pki, banner, would):
    """Clients of several kinds come to a door, also by a route that holds all to TLS 1.2. The log says who would be lost,
    and when the door is made so, those are."""
    def configured(settings):
        return {"certificates": [pki.server("*.tls.test").row()], "tls": settings, "routes": [
            {"name": "web", "sni": "web.tls.test", "terminate": {"to": banner.to}},
            {"name": "held", "sni": "held.tls.test", "terminate": {"to": banner.to}}]}
    lax = configured({})
    lax["routes"][1]["tls"] = {"max_version": "1.2"}
    door = start_door(lax)

    def visit():
        """Who comes through, by the client and its route."""
        return {(client, name): tls.s_client(door, f"{name}.tls.test", *flags, until=b"behind the door").done
                for client, flags in CLIENTS.items() for name in ("web", "held")}
    door.mark()
    before = visit()
    came = [key for key, done in before.items() if done]
    assert ("modern", "held") in came and ("aes128", "held") not in came
    door.audited(count=len(before))
    found = asked("--would", would, door.audit_file)
    assert found["connections"] == len(came)
    answer = found["answers"][0]
    door.reload(configured(STRICTER[would]))
    if would == "min=1.3":
        lost = [key for key in came if not visit()[key]]
    else:  # the route that holds its clients to TLS 1.2 keeps the suites of that
        held = configured(STRICTER[would])
        held["routes"][1]["tls"] = {"max_version": "1.2"}
        door.reload(held)
        lost = [key for key in came if not visit()[key]]
    assert answer["breaking"] == len(lost) and answer["unknown"] == 0
    assert {row["route"] for row in answer["rows"]} == {name for _, name in lost}
    assert all(row["network"] == "127.0.0.0/24" for row in answer["rows"])
