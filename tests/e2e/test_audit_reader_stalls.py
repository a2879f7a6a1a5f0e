# SPDX-License-Identifier: Apache-2.0
"""audit.file "-" on a pipe whose reader has stalled: lines are lost, and nothing else is."""
import fcntl
import json
import os
import re

import pytest

import tls
from door import Door
from run import CARDEA, Process, wait_until

COUNT = 400
HELLO = tls.client_hello(f"{'x' * 60}.{'y' * 60}.test")  # no route takes it


class PipedDoor(Door):
    """A door whose standard output is a small pipe; `reader` is the descriptor of its other end."""

    def start(self):
        self.reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 16384)
        os.set_blocking(self.reader, False)
        self.process = Process([CARDEA, "serve", "-c", self.config_file], self.directory, "serve", cwd=self.directory,
                               env=self.env, preexec_fn=lambda: os.dup2(writer, 1))
        os.close(writer)
        wait_until(self.ready, "the door to be ready", 10)
        return self

    def written(self):
        """Every line that came through the pipe since the last look; each must be whole."""
        data = b""
        try:
            while more := os.read(self.reader, 65536):
                data += more
        except BlockingIOError:
            pass
        assert data == b"" or data.endswith(b"\n")
        return [json.loads(line) for line in data.splitlines()]


@pytest.fixture
def door(tmp_path, echo):
    door = PipedDoor(tmp_path, {"audit": {"file": "-"}, "limits": {"per_source": 100000},
                                "routes": [{"name": "pass", "sni": "pass.test", "pass": {"to": echo.to}}]}).start()
    yield door
    door.stop()
    os.close(door.reader)


def connections(door, count):
    """So many strangers, each answered with its alert."""
    for _ in range(count):
        with door.dial() as sock:
            sock.sendall(HELLO)
            assert tls.alert_of(sock) == 112


def lost(door):
    """The number that the door last told on standard error."""
    said = re.findall(r"(\d+) audit lines could not be written", door.process.err.read_text())
    return int(said[-1]) if said else 0


def test_nobody_reads(door):
    """Hundreds of connections, a reload, status; what was lost is told. SIGTERM (in the fixture) still ends it."""
    connections(door, COUNT)
    hello = tls.client_hello("pass.test")
    with door.dial() as sock:
        sock.sendall(hello)
        assert tls.read_exactly(sock, len(hello)) == hello
    assert door.status()
    door.reload()
    connections(door, 20)
    wait_until(lambda: lost(door) > 100, "a word about lost lines")
    lines = door.written()
    assert lines
    wait_until(lambda: len(lines) + lost(door) == COUNT + 21, "every line to be accounted for")


def test_the_reader_comes_back(door):
    """From then on lines are written again."""
    connections(door, 100)
    wait_until(lambda: lost(door) > 0, "a word about lost lines")
    door.written()
    told = lost(door)
    for _ in range(3):
        connections(door, 1)
        assert [line["reason"] for line in wait_until(door.written, "the new line")] == ["no_route"]
    assert lost(door) == told


def test_the_reader_is_gone(door):
    """Nobody has the other end open any more: no SIGPIPE ends the door."""
    os.close(door.reader)
    try:
        connections(door, 50)
        wait_until(lambda: lost(door) > 0, "a word about lost lines")
        assert door.status()
    finally:
        door.reader = os.open("/dev/null", os.O_RDONLY)
