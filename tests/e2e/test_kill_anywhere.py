# SPDX-License-Identifier: Apache-2.0
"""Killed at any call that changes a file, what the door and its CA keep is the old or the new state, whole: a certificate
with its key or neither, a log that verifies. Each operation is run again and again, killed at the first such call, at the
second, and so on until it comes to its end (tests/kill). The same where the call that is killed has written half, and
where the power fails: nothing stays of what was not synced."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from run import CARDEA, SLOW

BUILD = Path(CARDEA).resolve().parent
OPERATIONS = BUILD / "tests/kill/operations"
KILLER = BUILD / "tests/kill/killer.so"
POINTS_MAX = 1000


def is_sanitized():
    """Sanitizers come with calls, and with orders of preloading, of their own."""
    return b"__asan_" in Path(CARDEA).read_bytes() or b"__tsan_" in Path(CARDEA).read_bytes()


@pytest.fixture(scope="module", autouse=True)
def built():
    if is_sanitized():
        pytest.skip("built with a sanitizer")
    if shutil.which("ninja") and (BUILD / "build.ninja").exists():
        subprocess.run(["flock", BUILD / ".lock", "ninja", "-C", BUILD, "--quiet", "tests/kill/operations",
                        "tests/kill/killer.so"], check=True, stdout=subprocess.DEVNULL, timeout=300 * SLOW)
    if not OPERATIONS.exists():
        pytest.skip("tests/kill is not built")


@pytest.fixture()
def scratch():
    """In memory where there is room: syncing thousands of times is not what is tested."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="cardea-kill-", dir=memory if os.access(memory, os.W_OK) else None) as path:
        yield Path(path)


def killing(n, mode, count):
    """The environment in which a program is killed at its n-th call."""
    return {"LD_PRELOAD": str(KILLER), "CARDEA_KILL_AT": str(n), "CARDEA_KILL_MODE": mode, "CARDEA_KILL_COUNT": str(count)}


def kill_everywhere(start, folder, mode, command, state):
    """Run `command` in copies of `start` at `folder`, killed at one call after the other, until it comes to its end; what
    `state` says of the folder after each."""
    count, seen = folder.parent / "count", []
    for n in range(1, POINTS_MAX):
        shutil.copytree(start, folder)
        done = subprocess.run(command, env={**os.environ, **killing(n, mode, count)}, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60 * SLOW)
        if done.returncode == 0:
            assert int(count.read_text()) == n - 1, "each call was killed once"
            return seen
        assert done.returncode == -signal.SIGKILL, done.stderr
        try:
            seen.append(state())
        except AssertionError as e:
            pytest.fail(f"killed at call {n}: {e}")
        shutil.rmtree(folder)
    pytest.fail(f"it has not come to its end after {POINTS_MAX} calls")


def operate(what, operation, folder):
    return subprocess.run([OPERATIONS, what, operation, folder], capture_output=True, text=True, timeout=60 * SLOW)


def state_of(operation, folder):
    done = operate("check", operation, folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def tell(what, mode, seen):
    print(f"{what}, {mode}: killed at {len(seen)} points; {seen.count('old')} left the old state, {seen.count('new')} the new one")


MODES = pytest.mark.parametrize("mode", ["clean", "torn", "lost"])


OPERATIONS_OF = {
    "file": [""],
    "book": ["first", "put", "order", "save", "account", "remove", "forget"],
    "staple": ["first", "keep"],
    "ca": ["issue", "revoke", "renew"],
    "candidate": ["stage", "promote", "disable"],
    "acme": ["enrol", "contact", "key", "order", "ask", "next", "proven", "failed", "give-up", "finalize", "revoke", "deactivate",
             "sweep"],
    "login": ["first", "add", "code", "password", "session", "renew", "reuse", "reset", "disable", "remove", "wait", "approve",
              "refuse", "end"],
}


def operations():
    """What is torn or lost is the database's affair, which the book shows; of others where their transactions begin and end."""
    for store, acts in OPERATIONS_OF.items():
        for act in acts:
            for mode in ["clean"] if store in ("acme", "login") else ["clean", "torn", "lost"]:
                yield f"{store}-{act}".rstrip("-"), mode


@pytest.mark.parametrize("operation, mode", operations())
def test_kill_anywhere(operation, mode, scratch):
    start, folder = scratch / "start", scratch / "run"
    start.mkdir()
    assert operate("make", operation, start).returncode == 0
    assert state_of(operation, start) == "old"
    seen = kill_everywhere(start, folder, mode, [OPERATIONS, "do", operation, folder], lambda: state_of(operation, folder))
    assert state_of(operation, folder) == "new"
    assert {*seen} == {"old", "new"} and seen == sorted(seen, reverse=True), "old, old, ..., then new: what is done stays done"
    tell(operation, mode, seen)


# ---- `cardea ca`, as a user runs it ----

def ca(*words, folder):
    return subprocess.run([CARDEA, "ca", *words, "--dir", folder / "ca"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60 * SLOW)


def listed(folder):
    """The log verifies; what the CA has issued."""
    audit = ca("audit", folder=folder)
    assert audit.returncode == 0, audit.stderr
    return json.loads(ca("list", "--all", "--json", folder=folder).stdout)


@pytest.fixture()
def started(scratch):
    """A folder with a CA, and a certificate from it. (To make one takes a second: passphrases are slow to try.)"""
    start = scratch / "start"
    start.mkdir()
    file = start / "passphrase"
    file.write_text("correct horse\n")
    file.chmod(0o600)
    made = subprocess.run([CARDEA, "ca", "init", start / "ca", "--name", "Test", "--root-passphrase-file", file],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60 * SLOW)
    assert made.returncode == 0, made.stderr
    assert ca("issue", "first.example.com", "--out", start / "first", folder=start).returncode == 0
    return start


def pair_is_whole(path):
    """The certificate, if it is there, has its key beside it, which is nobody else's to read."""
    key, certificate = path.with_suffix(".key"), path.with_suffix(".pem")
    if key.exists():
        assert key.stat().st_mode & 0o077 == 0
    if not certificate.exists():
        return False
    public = [subprocess.run(["openssl", *words], capture_output=True, check=False).stdout
              for words in (("pkey", "-in", key, "-pubout"), ("x509", "-in", certificate, "-noout", "-pubkey"))]
    assert public[0] and public[0] == public[1]
    return True


@MODES
def test_ca_issue(mode, started, scratch):
    """The log verifies, and a certificate in a file has its key and is in the log."""
    folder = scratch / "run"

    def state():
        rows, whole = len(listed(folder)), pair_is_whole(folder / "second")
        assert rows in (1, 2) and (rows == 2 or not whole), "what is not in the log is not in a file"
        return "new" if whole else "old"
    seen = kill_everywhere(started, folder, mode, [CARDEA, "ca", "issue", "second.example.com", "--dir", folder / "ca",
                                                   "--out", folder / "second"], state)
    assert state() == "new" and "old" in seen
    tell("cardea ca issue", mode, seen)


@MODES
def test_ca_revoke(mode, started, scratch):
    folder = scratch / "run"

    def state():
        row, = listed(folder)
        return "new" if row["revoked"] else "old"
    seen = kill_everywhere(started, folder, mode, [CARDEA, "ca", "revoke", folder / "first.pem", "--dir", folder / "ca"], state)
    assert state() == "new" and {*seen} == {"old", "new"} and seen == sorted(seen, reverse=True)
    tell("cardea ca revoke", mode, seen)
