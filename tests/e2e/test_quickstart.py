# SPDX-License-Identifier: Apache-2.0
"""`cardea quickstart DIR`: a door in one command, and commands that show it at work."""
import os
import re
import subprocess
from pathlib import Path

import pytest

from fixtures import clean_env
from run import CARDEA, SLOW, Process, assert_no_sanitizer_output, run, wait_until


class Quickstart:
    """`cardea quickstart`, which serves until it is stopped."""

    def __init__(self, directory, home, name):
        self.env = clean_env(home, PATH=f"{Path(CARDEA).resolve().parent}:{os.environ['PATH']}")
        self.home = home
        self.process = Process([CARDEA, "quickstart", directory], home, name, env=self.env, cwd=home)
        wait_until(lambda: len(self.commands()) >= 4 or self.process.poll() is not None,
                   self.process.output, 20)
        assert self.process.poll() is None, self.process.output()

    def commands(self):
        """The indented lines, without a prompt; a line that ends in a backslash goes on."""
        text = self.process.out.read_text().replace("\\\n", " ")
        return [match.group(1) for match in re.finditer(r"^[ \t]+(?:\$ )?(\S.*)$", text, re.MULTILINE)]

    def run(self, command):
        return subprocess.run(["bash", "-c", command], env=self.env, cwd=self.home, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=20 * SLOW)

    def stop(self):
        code = self.process.stop()
        assert_no_sanitizer_output(self.process.output())
        assert code == 0, self.process.output()


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    home = tmp_path_factory.mktemp("quickstart")
    quickstart = Quickstart(home / "door", home, "first")
    yield quickstart
    quickstart.stop()


def test_commands(started):
    """Three ways through the door, and a look at what it did."""
    assert len(started.commands()) == 4, started.process.output()


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_each_command_works_as_printed(started, number):
    """Copied to a shell, each ends with 0 and shows something."""
    command = started.commands()[number]
    done = started.run(command)
    assert done.returncode == 0 and done.stdout, f"{command}\n{done.stdout.decode()}{done.stderr.decode()}"


def test_the_last_one_asks_the_door(started):
    command = started.commands()[-1]
    assert re.search(r"cardea status --socket \S*/cardea\.sock$", command) and b"ROUTE" in started.run(command).stdout


def configuration(directory):
    path, = directory.glob("*.yaml")
    return path


def test_configuration_is_explained(started):
    """The configuration file is there to be read: every section has a comment, and it checks."""
    path = configuration(started.home / "door")
    lines = path.read_text().splitlines()
    assert sum("#" in line for line in lines) >= 5, lines
    done = started.run(f"cardea serve --check -c {path}")
    assert done.returncode == 0, done.stderr.decode()


def test_keys_are_private(started):
    """No key is readable by others."""
    keys = [path for path in (started.home / "door").rglob("*") if path.is_file() and "PRIVATE KEY" in path.read_text()]
    assert keys
    for path in keys:
        assert path.stat().st_mode & 0o077 == 0, path


def test_second_run_uses_the_directory_again(tmp_path):
    """Certificates and configuration of the first run stay; what the user changed in it stays too."""
    first = Quickstart(tmp_path / "door", tmp_path, "one")
    commands = first.commands()
    first.stop()
    path = configuration(tmp_path / "door")
    path.write_text(path.read_text() + "# mine\n")
    before = {name: name.read_bytes() for name in (tmp_path / "door").rglob("*.pem")}
    second = Quickstart(tmp_path / "door", tmp_path, "two")
    try:
        assert second.commands() == commands
        assert path.read_text().endswith("# mine\n")
        assert before and all(name.read_bytes() == data for name, data in before.items())
        assert second.run(commands[0]).returncode == 0
    finally:
        second.stop()


def test_a_port_that_is_taken_meanwhile(tmp_path):
    """The second run does not change the configuration: it says which file the port stands in."""
    first = Quickstart(tmp_path / "door", tmp_path, "holder")
    try:
        done = run(CARDEA, "quickstart", tmp_path / "door")
        assert done.returncode == 1
        path = configuration(tmp_path / "door")
        assert re.search(rf"{path}:\d+:\d+: .*in use.*change the port in {path}", done.stderr.decode()), done.stderr
    finally:
        first.stop()
