# SPDX-License-Identifier: Apache-2.0
"""Every way to write the door's own machine: none gets a tunnel past a policy that denies it. Everything here is
loopback; whatever were dialled by mistake would not leave the machine."""
import json
import socket

import pytest

import peers
import tls
from run import SLOW, free_port

LOOPBACKS = ["127.0.0.1", "127.255.255.254", "::1"]


class Everywhere(peers.Server):
    """Listens on several loopback addresses."""

    def start(self):
        self.listeners = []
        for address in LOOPBACKS:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                listener = socket.socket(family)
                listener.bind((address, self.port))
            except OSError:
                continue  # no IPv6 here
            listener.listen(64)
            self.listeners.append(listener)
            peers.threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def stop(self):
        for self.listener in self.listeners:
            super().stop()


@pytest.fixture(scope="module")
def inside():
    with Everywhere(peers.says("inside"), port=free_port()) as server:
        yield server


@pytest.fixture(scope="module")
def door(start_module_door, pki, inside):
    clients = {"mode": "required", "trust": "staff"}
    return start_module_door({
        "certificates": [pki.server("*.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": name, "sni": f"{name}.test", "tunnel": {}, "alpn": ["cardea/1", "http/1.1"],
                    "clients": clients} for name in ("guarded", "open")],
        "policy": [
            {"name": "not-me", "effect": "deny", "who": {"any": True}, "targets": ["127.0.0.0/8:*", "[::1]:*"],
             "routes": ["guarded"]},
            {"name": "ops", "who": {"group": "ops"}, "targets": [f"*:{inside.port}"]},
        ],
    })


# Good addresses and names of this machine: the policy denies them.
DENIED = [
    "127.0.0.1", "127.255.255.254", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]",
    "[::FFFF:127.0.0.1]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "localhost", "localhost.",
    "127.0.0.1.", "LOCALHOST", "LocalHost.",
]

# What some resolvers and connect() take for it: refused, and nothing is looked up.
REFUSED = [
    "0.0.0.0", "[::]", "[::ffff:0.0.0.0]", "[::ffff:0:0]", "[0:0:0:0:0:0:0:0]", "0", "00000000000", "0.0", "0x0",
    "127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F000001", "0x7f.1", "0x7f.0x0.0x0.0x1", "127.0.0.0x1",
    "017700000001",
    "0177.0.0.1", "0177.1", "127.0.0.01", "127.0.0.001", "127.000.000.001", "127.0.0.1..", ".127.0.0.1",
    "127..1", "127.0.0.1.0", "127.0.0.256", "4294967297", "[127.0.0.1]", "[::1%lo]", "[::1%1]", "[fe80::1%lo]",
    "[::ffff:127.0.0.1%lo]", "::1%lo", "[::1", "::1]", "[[::1]]", "[]", "[localhost]", "127.0.0.1%00", "127.0.0.1%2e",
    "localhost%00.example.test", "localhost..", ".localhost", ".", "..", "", " 127.0.0.1", "127.0.0.1 ", "127.0.0.1\t",
    "127.0.0.1/8", "user@127.0.0.1", "http://127.0.0.1", "127.0.0.1#", "127.0.0.1?x", "127.0.0.1\\",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021", "localhost\u3002", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3", "*",
]

NUL = ["127.0.0.1\0", "localhost\0.example.test", "\0"]


def by_cardea(door, pki, sni, target):
    """(whether the tunnel was opened, the word that the door says instead, what the target says, from where)"""
    sock, said = tls.tunnel(door, sni, target, pki.alice)
    with sock:
        return said["ok"], said.get("code", ""), tls.read_line(sock) if said["ok"] else "", sock.getsockname()


def by_connect(door, pki, sni, target):
    """The same with CONNECT."""
    with tls.connect(door, sni, cert=pki.alice, alpn=["http/1.1"]) as sock:
        sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head and (more := sock.recv(1)):
            head += more
        code = head.split()[1].decode()
        return code == "200", code, tls.read_line(sock) if code == "200" else "", sock.getsockname()


@pytest.mark.parametrize("ask", [by_cardea, by_connect])
def test_policy_holds_whatever_it_is_called(door, pki, inside, ask):
    """Denied by the row that is there for it."""
    for host in DENIED:
        before = inside.count
        ok, said, _, name = ask(door, pki, "guarded.test", f"{host}:{inside.port}")
        assert not ok and said in ("denied", "403"), (host, said)
        line = door.audited_of(name)
        assert (line["reason"], line.get("rule")) == ("denied", "not-me"), (host, line)
        assert inside.count == before


@pytest.mark.parametrize("sni", ["guarded.test", "open.test"])
@pytest.mark.parametrize("ask", [by_cardea, by_connect])
def test_no_other_spelling_is_taken(door, pki, inside, ask, sni):
    """One reading only: refused as malformed, even where the policy would let the client reach this machine."""
    before = inside.count
    for host in REFUSED[::1 if SLOW == 1 else 3]:  # a sample where everything is slow
        ok, said, _, name = ask(door, pki, sni, f"{host}:{inside.port}")
        assert not ok and said in ("bad_hello", "400"), (host, said)
        assert door.audited_of(name)["reason"] == "bad_request", host
    assert inside.count == before


@pytest.mark.parametrize("host", NUL)
def test_nul(door, pki, inside, host):
    """The name does not end at a NUL."""
    for sni in ("guarded.test", "open.test"):
        before = inside.count
        text = json.dumps({"v": 1, "target": f"{host}:{inside.port}", "proto": "tcp"}).encode()
        sock, said = tls.tunnel(door, sni, "", pki.alice, hello=len(text).to_bytes(2, "big") + text)
        sock.close()
        assert (said["ok"], said["code"]) == (False, "bad_hello")
        assert inside.count == before


@pytest.mark.parametrize("ask", [by_cardea, by_connect])
def test_the_same_is_reached_where_it_is_allowed(door, pki, inside, ask):
    """Without the row that denies, the good spellings lead there: the tests above prove something."""
    for host in DENIED:
        if "::1" in host and "ffff" not in host.lower() and len(inside.listeners) < len(LOOPBACKS):
            continue  # no IPv6 here
        ok, said, word, _ = ask(door, pki, "open.test", f"{host}:{inside.port}")
        assert ok and word == "inside", (host, said)
