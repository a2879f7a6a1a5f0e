# SPDX-License-Identifier: Apache-2.0
"""Killed at any call that changes a file, what the door and its CA keep is the old or the new state, whole: a certificate
with its key or neither, a log that verifies. Each operation is run again and again, killed at the first such call, at the
second, and so on until it comes to its end (tests/kill). The same where the call that is killed has written half, and
where the power fails: nothing stays of what was not synced."""
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


def operate(what, operation, folder, **env):
    return subprocess.run([OPERATIONS, what, operation, folder], env={**os.environ, **env}, capture_output=True, text=True,
                          timeout=60 * SLOW)


def state_of(operation, folder):
    done = operate("check", operation, folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("mode", ["clean", "torn", "lost"])
@pytest.mark.parametrize("operation", ["file", "book-first", "book-put", "book-save", "book-account", "book-remove", "ca-issue",
                                       "ca-revoke"])
def test_kill_anywhere(operation, mode, scratch, record_property):
    start, folder, count = scratch / "start", scratch / "run", scratch / "count"
    start.mkdir()
    assert operate("make", operation, start).returncode == 0
    assert state_of(operation, start) == "old"
    seen = []
    for n in range(1, POINTS_MAX):
        shutil.copytree(start, folder)
        done = operate("do", operation, folder, LD_PRELOAD=str(KILLER), CARDEA_KILL_AT=str(n), CARDEA_KILL_MODE=mode,
                       CARDEA_KILL_COUNT=str(count))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        try:
            seen.append(state_of(operation, folder))
        except AssertionError as e:
            pytest.fail(f"killed at call {n}: {e}")
        shutil.rmtree(folder)
    else:
        pytest.fail(f"it has not come to its end after {POINTS_MAX} calls")
    assert int(count.read_text()) == n - 1, "each call was killed once"
    assert state_of(operation, folder) == "new"
    assert {*seen} == {"old", "new"} and seen == sorted(seen, reverse=True), "old, old, ..., then new: what is done stays done"
    record_property("points", len(seen))
    print(f"{operation}, {mode}: killed at {len(seen)} points; {seen.count('old')} left the old state, "
          f"{seen.count('new')} the new one")
