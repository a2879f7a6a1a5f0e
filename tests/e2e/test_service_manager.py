# SPDX-License-Identifier: Apache-2.0
"""What a service manager is told (sd_notify), keys as credentials, and the watchdog that notices a worker that hangs."""
import ctypes
import os
import signal
import socket
import stat
import time
from pathlib import Path

import pytest
import run
from door import Door
from run import CARDEA, SLOW, wait_until

libc = ctypes.CDLL(None, use_errno=True)
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000

REJECT_ALL = {"routes": [{"name": "all", "reject": "unrecognized_name"}]}


class Manager:
    """Who started the door, as far as the door can tell: a socket for what it says."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.settimeout(0.05)
        self.name = name
        self.heard = []

    def listen(self):
        try:
            while True:
                self.heard.append(self.socket.recv(4096).decode())
        except TimeoutError:
            return self.heard

    def wait_for(self, line, timeout=10.0):
        """The datagram with that line; all up to it are forgotten."""
        def found():
            for place, datagram in enumerate(self.listen()):
                if any(said.startswith(line) for said in datagram.splitlines()):
                    self.heard = self.heard[place + 1:]
                    return datagram
            return None
        return wait_until(found, lambda: f"{line} among {self.heard}", timeout)

    def forget(self):
        self.listen()
        self.heard = []


@pytest.fixture
def manager(tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.socket.close()


@pytest.fixture
def start(start_door):
    """start(manager): a door that has been started by it, with more of the environment by name."""
    return lambda manager, **env: start_door(REJECT_ALL, env={"NOTIFY_SOCKET": manager.name, **env})


def test_life_of_a_service(start, manager):
    door = start(manager)
    ready = manager.wait_for("READY=1")
    assert f"STATUS=serving 1 route on 127.0.0.1:{door.port}; 0 connections open\n" in ready

    door.reload({"routes": [*REJECT_ALL["routes"], {"name": "none", "sni": "none", "reject": "unrecognized_name"}]})
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    begin = manager.wait_for("RELOADING=1")
    assert 0 < int(begin.split("MONOTONIC_USEC=")[1].split("\n")[0]) <= before
    assert "STATUS=serving 2 routes on" in manager.wait_for("READY=1")

    door.configure("routes: nonsense\n")
    door.process.send(signal.SIGHUP)
    manager.wait_for("RELOADING=1")
    assert "the last reload was refused, the configuration before it stays in force" in manager.wait_for("READY=1")

    door.process.send(signal.SIGTERM)
    stopping = manager.wait_for("STOPPING=1")
    assert "EXTEND_TIMEOUT_USEC=12000000\n" in stopping, "drain_timeout and what ending takes"
    assert "STATUS=stopping; 0 connections open" in stopping
    door.stop()


def test_abstract_socket(start, tmp_path):
    manager = Manager(f"@cardea-test-{os.getpid()}-{tmp_path.name}")
    door = start(manager)
    manager.wait_for("READY=1")
    door.stop()
    manager.socket.close()


def test_a_manager_that_is_not_there_is_no_reason_not_to_serve(start_door, tmp_path):
    door = start_door(REJECT_ALL, env={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    door.stop()
    assert "cannot reach the service manager at NOTIFY_SOCKET=" in door.log


def test_a_start_that_fails_is_never_ready(tmp_path, manager):
    (tmp_path / "bad.yaml").write_text("routes: 1\n")
    done = run.run(CARDEA, "serve", "-c", tmp_path / "bad.yaml",
                   env={**os.environ, "NOTIFY_SOCKET": manager.name})
    assert done.returncode == 1
    assert manager.listen() == []


class Hanging:
    """A thread that is stopped for a while, which the others are not."""

    def __init__(self, thread):
        self.thread = thread

    def __enter__(self):
        if libc.ptrace(PTRACE_SEIZE, self.thread, None, None) != 0:
            pytest.skip("threads cannot be stopped here (ptrace)")
        assert libc.ptrace(PTRACE_INTERRUPT, self.thread, None, None) == 0
        assert libc.waitpid(self.thread, None, WALL) == self.thread

    def __exit__(self, *_):
        assert libc.ptrace(PTRACE_DETACH, self.thread, None, None) == 0


def test_watchdog_notices_a_worker_that_hangs(start, manager):
    period = 0.4 * SLOW
    door = start(manager, WATCHDOG_USEC=str(round(period * 1e6)))
    for _ in range(3):
        manager.wait_for("WATCHDOG=1")
    worker = max(int(task.name) for task in Path(f"/proc/{door.process.pid}/task").iterdir())
    assert worker != door.process.pid
    with Hanging(worker):
        manager.forget()
        time.sleep(period)  # one answer may have been under way
        manager.forget()
        time.sleep(3 * period)  # nothing must come
        assert not [said for said in manager.listen() if "WATCHDOG" in said]
    manager.wait_for("WATCHDOG=1")
    door.stop()


def test_watchdog_of_another_process_is_none_of_ours(start, manager):
    door = start(manager, WATCHDOG_USEC="100000", WATCHDOG_PID="1")
    manager.wait_for("READY=1")
    time.sleep(0.5)  # nothing must come
    assert not [said for said in manager.listen() if "WATCHDOG" in said]
    door.stop()


def test_key_is_a_credential(start_door, tmp_path, pki):
    """As systemd lays it out: a folder of the service's own with files that only it can read."""
    issued = pki.server("door.example.com")
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o700)
    key = credentials / "door.key"
    key.write_bytes(Path(issued.key).read_bytes())
    key.chmod(0o400)
    config = {"certificates": [{"certificate": issued.certificate, "key": "credential:door.key"}],
              "routes": [{"name": "all", "terminate": {"to": "127.0.0.1:9"}}]}
    door = start_door(config, env={"CREDENTIALS_DIRECTORY": str(credentials)})
    door.reload()
    door.stop()

    key.chmod(0o404)
    door = Door(tmp_path, config)
    done = run.run(CARDEA, "serve", "--check", "-c", door.config_file,
                   env={**os.environ, "CREDENTIALS_DIRECTORY": str(credentials)})
    assert done.returncode == 1
    assert f"{key}: other users may use this private key".encode() in done.stderr
    done = run.run(CARDEA, "serve", "--check", "-c", door.config_file)
    assert done.returncode == 1
    assert b"key: found 'credential:door.key', but there are no credentials here: CREDENTIALS_DIRECTORY is not set" in done.stderr
