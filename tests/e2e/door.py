# SPDX-License-Identifier: Apache-2.0
"""A door of the test's own: `cardea serve` with a generated configuration, in its own directory, on free ports."""
import errno
import http.client
import itertools
import json
import os
import resource
import signal
import socket
import time
from pathlib import Path

import run
from run import CARDEA, SLOW, Process, assert_no_sanitizer_output, free_port, ms, wait_until

# Ports for connections to doors, above those that free_port() gives and below those that the kernel chooses.
source_ports = itertools.cycle(range(22000, 32000))

# Short, so that what runs into them does so soon; a test overrides what it is about.
LIMITS = {"hello_timeout": "5s", "handshake_timeout": "5s", "dial_timeout": "2s", "drain_timeout": "2s"}


def to_yaml(config):
    """One line for each key and one for each item of a list, so that errors point at something."""
    lines = []
    for key, value in config.items():
        if isinstance(value, list):
            lines.append(f"{key}:")
            lines += [f"  - {json.dumps(item)}" for item in value]
        else:
            lines.append(f"{key}: {json.dumps(value)}")
    return "\n".join(lines) + "\n"


class UnixHttp(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Door:
    """`config` is the configuration without listeners, audit and admin where the defaults will do. `prefix`: words that
    its command line begins with. `program`: what runs in place of cardea. `listeners`: rows besides the one at `port`."""

    def __init__(self, directory, config, *, nofile=None, env=None, prefix=(), program=CARDEA, listeners=()):
        self.directory = Path(directory)
        self.port = free_port()
        self.socket = self.directory / "admin.sock"
        self.audit_file = self.directory / "audit.jsonl"
        self.config_file = self.directory / "door.yaml"
        self.nofile = nofile
        self.prefix = prefix
        self.program = program
        self.listeners = list(listeners)
        self.env = {**os.environ, **(env or {})}
        self.marked = 0
        self.process = None
        self.configure(config)

    # Configuration ------------------------------------------------------------------------------------------------

    def configure(self, config):
        """Write the configuration file; a door that runs sees it at its next reload. Text is written as it is."""
        if isinstance(config, str):
            self.config_file.write_text(config)
            return
        self.config = {
            "workers": 2,
            "listeners": [{"name": "main", "address": f"127.0.0.1:{self.port}"}, *self.listeners],
            "audit": {"file": "audit.jsonl"},
            "admin": {"socket": str(self.socket)},
            **config,
            "limits": {**LIMITS, **config.get("limits", {})},
        }
        self.config_file.write_text(to_yaml(self.config))

    # Life ---------------------------------------------------------------------------------------------------------

    def start(self):
        def limit_files():
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile or hard, hard if not self.nofile else self.nofile))
        self.process = Process([*self.prefix, self.program, "serve", "-c", self.config_file], self.directory, "serve",
                               cwd=self.directory, env=self.env, preexec_fn=limit_files)
        wait_until(self.ready, "the door to be ready", 10)
        return self

    def ready(self):
        assert self.process.poll() is None, f"the door ended early:\n{self.process.output()}\n{self.config_text()}"
        try:
            return self.get("/status")[0] == 200
        except OSError:
            return False

    def config_text(self):
        return self.config_file.read_text()

    def stop(self, expect=0):
        """SIGTERM; the door must end by itself, with the expected code and nothing from a sanitizer."""
        if self.process is None:
            return
        process, self.process = self.process, None
        code = process.stop(signal.SIGTERM, timeout=20)
        self.log = process.output()
        assert_no_sanitizer_output(self.log)
        assert code == expect, f"exit code {code}:\n{self.log}"

    def reload(self, config=None):
        """Swap the configuration through `cardea reload`; fails when the door refuses it."""
        if config is not None:
            self.configure(config)
        done = self.cli("reload")
        assert done.returncode == 0, done.stderr.decode()

    def cli(self, verb, *flags, timeout=30.0):
        return run.run(CARDEA, verb, "--socket", self.socket, *flags, timeout=timeout)

    def status(self):
        done = self.cli("status", "--json")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def get_json(self, path):
        """The body of an answer of the admin socket, read."""
        code, body = self.get(path)
        assert code == 200, body
        return json.loads(body)

    def get(self, path, method="GET"):
        """(status code, body) from the admin socket."""
        http_connection = UnixHttp(self.socket, 5 * SLOW)
        try:
            http_connection.request(method, path)
            answer = http_connection.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            http_connection.close()

    # Talking to it ------------------------------------------------------------------------------------------------

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def dial(self, port=None, source=None, timeout=10.0):
        """A TCP connection to the door. Its local address is one that no other connection of the test run has had, so
        that audited_of() finds the right line: the kernel gives the port of a connection that has ended to the next."""
        for attempt in range(10000):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(timeout * SLOW)
            try:
                sock.bind((source or "127.0.0.1", next(source_ports)))
                sock.connect(("127.0.0.1", port or self.port))
                return sock
            except OSError as error:
                sock.close()
                if attempt == 9999 or error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                    raise

    # Audit --------------------------------------------------------------------------------------------------------

    def audit(self):
        """Every line written so far; each must be one JSON object. A line still being written is left for later."""
        try:
            text = self.audit_file.read_text()
        except FileNotFoundError:
            return []
        whole = text[:text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    def mark(self):
        """Lines of connections that have ended are no longer looked at by audited(). A connection's line comes a moment
        after its client has seen the end: wait until no more come."""
        lines = -1
        while lines != len(self.audit()):
            lines = len(self.audit())
            time.sleep(0.05 * SLOW)
        self.marked = lines

    def audited(self, count=1, timeout=5.0, **facts):
        """The first `count` lines since the mark that have all these facts (one: the line itself). Waits for them."""
        def found():
            lines = [line for line in self.audit()[self.marked:]
                     if all(line.get(key) == value for key, value in facts.items())]
            return lines[:count] if len(lines) >= count else None

        def what():
            return f"{count} audit line(s) with {facts}; since the mark there are {self.audit()[self.marked:]}"
        lines = wait_until(found, what, timeout)
        return lines[0] if count == 1 else lines

    def audited_of(self, sock_or_name, timeout=5.0):
        """The line of the connection with this local address (a socket, or its (host, port))."""
        name = sock_or_name if isinstance(sock_or_name, tuple) else sock_or_name.getsockname()
        return self.audited(peer=f"{name[0]}:{name[1]}", timeout=timeout)

    def worker_of(self, sock):
        """Which of two workers has this connection over TCP: each gives every other id."""
        name = "%s:%d" % sock.getsockname()

        def found():
            return [one["id"] for one in self.get_json("/sessions")["sessions"] if one["peer"] == name]
        return "abcdefghijklmnopqrstuvwxyz234567".index(wait_until(found, f"{name} in the status")[0][-1]) % 2


__all__ = ["Door", "to_yaml", "ms", "free_port"]
