# SPDX-License-Identifier: Apache-2.0
"""A door whose own pages are a test's (pages_door.c), and raw clients of it."""
import json
import os
import socket
from pathlib import Path

from run import CARDEA, free_port

PROGRAM = str(Path(CARDEA).parent / "pages_door")
SERVICES = ["tell", "secret", "slow", "big"]


def config(pki, *, limits=None, **route):
    """Routes `pages` (TLS, pages.test), `plain` (without TLS), `known` and `strict` (with client
    certificates, optional and required)."""
    assert os.access(PROGRAM, os.X_OK), f"no {PROGRAM}: ninja -C {Path(PROGRAM).parent} pages_door"
    return {
        "certificates": [pki.server("pages.test", "known.test", "strict.test").row()],
        "trust": [{"name": "staff", "ca": pki.staff.file}],
        "routes": [
            {"name": "pages", "sni": "pages.test", "serve": SERVICES, **route},
            {"name": "known", "sni": "known.test", "serve": SERVICES, "clients": {"mode": "optional", "trust": "staff"}},
            {"name": "strict", "sni": "strict.test", "serve": SERVICES, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "plain", "listeners": ["plain"], "serve": ["tell", "slow", "big", "challenges"]},
        ],
        "policy": [{"name": "all", "who": {"any": True}, "routes": ["known"]},
                   {"name": "ops", "who": {"group": "ops"}, "routes": ["strict"]}],
        "limits": limits or {},
    }


def start(start_door, pki, *, env=None, **more):
    """The door; `door.plain_port` is the port without TLS."""
    port = free_port()
    door = start_door(config(pki, **more), program=PROGRAM, env=env,
                      listeners=[{"name": "plain", "address": f"127.0.0.1:{port}", "speaks": "plain"}])
    door.plain_port = port
    return door


class Raw:
    """A client of the plain port that says what it is told to."""

    def __init__(self, door):
        self.sock = door.dial(port=door.plain_port)
        self.file = self.sock.makefile("rb")

    def say(self, data):
        self.sock.sendall(data)
        return self

    def answer(self, head_only=False):
        """(status, fields, content) of the next answer."""
        line = self.file.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        status, fields = int(line.split()[1]), {}
        while (line := self.file.readline().rstrip(b"\r\n")):
            name, value = line.decode().split(": ", 1)
            fields[name.lower()] = value
        bare = head_only or status in (100, 204, 304)
        content = b"" if bare else self.file.read(int(fields["content-length"]))
        return status, fields, content

    def told(self):
        """What the service `tell` was asked."""
        status, _, content = self.answer()
        assert status == 200, content
        return json.loads(content)

    def ended(self):
        """Nothing more comes, and the end comes in order."""
        return self.file.read() == b""

    def end_writing(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


__all__ = ["Raw", "config", "start"]
