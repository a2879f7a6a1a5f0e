# SPDX-License-Identifier: Apache-2.0
"""Encrypted ClientHello (RFC 9849): OpenSSL 4 as the client, and behind the door as servers that own their names."""
import contextlib
import re
import socket
import threading

import pytest

import ech
from capture import Capture
from run import free_port, wait_until

PUBLIC = "public.ech.test"
ROTATE = 10  # seconds, the least that there may be


@pytest.fixture(scope="module")
def names(pki):
    return {name: pki.server(f"{name}.ech.test") for name in ("a", "b", "shared", "inside", "public")}


@pytest.fixture(scope="module")
def backends(tmp_path_factory, names):
    """`a` takes the client's first key share; `b` asks for another group (HelloRetryRequest)."""
    place = tmp_path_factory.mktemp("backends")
    with contextlib.ExitStack() as stack:
        def start(name, *words):
            server = ech.Server(place, names[name], *words)
            stack.callback(server.stop)
            return server
        yield {"a": start("a"), "b": start("b", "-groups", "P-256")}


def configuration(backends, names, keys, plain, staff, **settings):
    cert = [{"name": name, "certificate": str(names[name].certificate), "key": str(names[name].key)}
            for name in ("shared", "inside", "public")]
    return {
        "certificates": cert,
        "ech": {"public_name": PUBLIC, "keys": str(keys), **settings},
        "trust": [{"name": "staff", "ca": str(staff)}],
        "policy": [{"name": "nobody", "who": {"any": True}, "targets": ["127.0.0.1:1"]}],
        "quic": {"idle_timeout": "2s"},  # OpenSSL may go without a word
        "tls": {"groups": ["X25519MLKEM768", "X25519", "P-256"]},
        "routes": [
            {"name": "a", "sni": "a.ech.test", "pass": {"to": backends["a"].to}},
            {"name": "b", "sni": "b.ech.test", "pass": {"to": backends["b"].to}},
            {"name": "shared", "sni": "shared.ech.test", "terminate": {"to": plain}},
            {"name": "inside", "sni": "inside.ech.test", "alpn": "h3", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "public", "sni": PUBLIC, "terminate": {"to": plain}},
        ],
    }


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return tmp_path_factory.mktemp("door-keys") / "ech"


@pytest.fixture(scope="module")
def door(start_module_door, backends, names, keys, nginx, pki):
    return start_module_door(configuration(backends, names, keys, nginx.to("h1"), pki.staff.file))


@pytest.mark.parametrize("name", ["a", "b"])
def test_split(door, pki, keys, name):
    """The door has no certificate for either name: each server answers the hello that was meant for it, and proves so. Who
    listens sees the public name only."""
    door.mark()
    capture = Capture(door.port)
    said = ech.client(door.port, f"{name}.ech.test", pki.ca.file, config=ech.configs(keys)[-1])
    packets = capture.end()
    assert "ECH: success: 1" in said and f"CN={name}.ech.test" in said.replace(" ", ""), said
    assert "ECH acting as backend" in said
    line = door.audited(route=name)
    assert (line["sni"], line["outer_sni"], line["ech"]) == (f"{name}.ech.test", PUBLIC, "accepted")
    assert (line["action"], line["reason"]) == ("pass", "done")
    assert PUBLIC.encode() in packets and f"{name}.ech.test".encode() not in packets


@pytest.mark.parametrize("groups", ["X25519", "secp521r1:P-256"])
def test_shared(door, pki, keys, groups):
    """The door ends TLS itself, also where it asks for another key share."""
    door.mark()
    said = ech.client(door.port, "shared.ech.test", pki.ca.file, "-groups", groups, config=ech.configs(keys)[-1])
    assert "ECH: success: 1" in said and "HTTP/1.1 200" in said, said
    line = door.audited(route="shared")
    assert (line["sni"], line["outer_sni"], line["action"]) == ("shared.ech.test", PUBLIC, "terminate")


def test_quic(door, pki, keys):
    """The name within leads there too: to a route that has no other."""
    door.mark()
    said = ech.client(door.port, "inside.ech.test", pki.ca.file, "-quic", "-alpn", "h3", "-cert", pki.alice.certificate, "-key",
                      pki.alice.key, config=ech.configs(keys)[-1])
    assert "ECH: success: 1" in said and "ALPN protocol: h3" in said, said
    line = door.audited(route="inside")
    assert (line["sni"], line["outer_sni"], line["ech"]) == ("inside.ech.test", PUBLIC, "accepted")
    assert (line["transport"], line["identity"]) == ("h3", "alice")


def test_no_name_in_the_clear(door, pki, keys):
    """Who leaves it out is told of all the same."""
    door.mark()
    said = ech.client(door.port, "shared.ech.test", pki.ca.file, "-ech_no_outer_sni", config=ech.configs(keys)[-1])
    assert "ECH: success: 1" in said and "HTTP/1.1 200" in said, said
    line = door.audited(route="shared")
    assert line["ech"] == "accepted" and "outer_sni" not in line


MYSQL = (b"\x0a5.7.0\0\1\0\0\0" b"12345678\0\0\x8a\x21\2\0\x08\0\x15" + bytes(10) + b"123456789012\0mysql_native_password\0")


def greet(listener):
    """A server that greets in MySQL's protocol, hears something, and goes."""
    with listener, contextlib.suppress(OSError):
        connection, _ = listener.accept()
        with connection:
            connection.sendall(len(MYSQL).to_bytes(3, "little") + b"\0" + MYSQL)
            connection.recv(1)


def test_behind_a_greeting(start_door, names, pki, keys):
    """Where the route is known before TLS the hello is decrypted too: the certificate is for the name within."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = {
        "certificates": [{"name": name, "certificate": str(names[name].certificate), "key": str(names[name].key)}
                         for name in ("public", "shared")],
        "ech": {"public_name": PUBLIC, "keys": str(keys)},
        "listeners": [{"name": "db", "address": f"127.0.0.1:{free_port()}", "speaks": "mysql"}],
        "routes": [{"name": "db", "listeners": ["db"], "terminate": {"to": f"127.0.0.1:{listener.getsockname()[1]}"}}],
    }
    door = start_door(config)
    threading.Thread(target=greet, args=(listener,), daemon=True).start()
    port = int(config["listeners"][0]["address"].split(":")[1])
    said = ech.client(port, "shared.ech.test", pki.ca.file, "-starttls", "mysql", config=ech.configs(keys)[-1])
    assert "ECH: success: 1" in said and "CN=shared.ech.test" in said.replace(" ", ""), said
    line = door.audited(route="db")
    assert (line["sni"], line["outer_sni"], line["ech"]) == ("shared.ech.test", PUBLIC, "accepted")


def test_stale(door, pki, keys):
    """A client with an old config proves the public name, and is told the config of now."""
    config = ech.configs(keys)[-1]
    door.mark()
    said = ech.client(door.port, "a.ech.test", pki.ca.file, config=ech.damaged(config))
    assert "ech required" in said and "Got 1 retry-configs" in said, said
    line = door.audited(route="public")
    assert line["ech"] == "refused" and "outer_sni" not in line


def test_grease(door, pki):
    """Who has no config but pretends to sees the page of the name that it asks for in the clear."""
    door.mark()
    said = ech.client(door.port, "shared.ech.test", pki.ca.file, "-ech_grease")
    assert "ECH: GREASE" in said and "HTTP/1.1 200" in said, said
    assert door.audited(route="shared")["ech"] == "not_ours"


def test_without(door, pki):
    """Nothing changes for clients that do not know of it."""
    door.mark()
    assert "HTTP/1.0 200" in ech.client(door.port, "a.ech.test", pki.ca.file)
    line = door.audited(route="a")
    assert "ech" not in line and "outer_sni" not in line


@pytest.mark.parametrize(("rotate", "keep"), [("10900ms", "141s"), ("10001ms", "130013ms")])
def test_parts_of_seconds(start_door, backends, names, tmp_path, nginx, pki, rotate, keep):
    """As many slots as are allowed, of a length that is no whole number of seconds."""
    door = start_door(configuration(backends, names, tmp_path / "keys", nginx.to("h1"), pki.staff.file, rotate=rotate, keep=keep))
    assert door.get_json("/ech")["ech"]["keys"]


def test_only_what_is_in_force_is_tidied(start_door, backends, names, tmp_path, nginx, pki):
    """After a reload the keys of the configuration before are nobody's: none is removed, and none made."""
    keys = tmp_path / "keys"
    config = configuration(backends, names, keys, nginx.to("h1"), pki.staff.file)
    door = start_door(config)
    config["ech"]["public_name"] = "another.ech.test"
    door.reload(config)
    for made in keys.glob(f"{PUBLIC}-*.pem"):
        made.unlink()
    old, ours = keys / f"{PUBLIC}-0.pem", keys / "another.ech.test-0.pem"
    old.touch()
    for _ in range(2):  # the door has looked, twice
        ours.touch()
        wait_until(lambda: not ours.exists(), "an old key to be removed", 10)
    assert list(keys.glob(f"{PUBLIC}-*.pem")) == [old]


def test_keys_rotate(start_door, backends, names, pki, tmp_path, nginx):
    """Under load not one handshake fails, neither with the newest config nor with the one before it; two doors share the
    keys."""
    keys = tmp_path / "keys"
    config = configuration(backends, names, keys, nginx.to("h1"), pki.staff.file, rotate=f"{ROTATE}s", keep=f"{12 * ROTATE}s")
    doors = [start_door(config), start_door(config)]
    seen, failed, done, over = [], [], [], threading.Event()

    def load(name):
        while not over.is_set():
            for number, known in enumerate(seen[-2:]):
                said = ech.client(doors[(len(done) + number) % 2].port, f"{name}.ech.test", pki.ca.file, config=known)
                (done if "ECH: success: 1" in said else failed).append(said)

    threads = [threading.Thread(target=load, args=(name,)) for name in ("a", "b", "shared")]
    for thread in threads:
        thread.start()

    def rotated():
        """What is published: the config of the newest key whose time has come; a client may have it from then on."""
        newest = doors[0].get_json("/ech")["ech"]["config"]
        if newest not in seen:
            seen.append(newest)
        return len(seen) > 3
    wait_until(rotated, lambda: f"three rotations; {seen}", 5 * ROTATE, step=0.5)
    over.set()
    for thread in threads:
        thread.join()
    assert not failed, failed[0]
    assert len(done) > 6


def test_told(door, keys, tmp_path):
    """What is to be published, and what is wrong with how."""
    config = ech.configs(keys)[-1]
    done = door.cli("ech", "publish", "--alpn", "h2,http/1.1", "a.ech.test", "b.ech.test.")
    assert done.stdout.decode() == "".join(f'{name}.ech.test. 300 IN HTTPS 1 . alpn="h2,http/1.1" ech={config}\n' for name in "ab")
    assert done.stderr == b""
    assert b"old keys open for 3600 s" in door.cli("ech", "publish", "--ttl", "7200", "a.ech.test").stderr
    done = door.cli("ech", "publish", "--ttl", "1h", "A.ech.test", "nobody.ech.test")
    assert [line.split()[:2] for line in done.stdout.decode().splitlines()] == [["A.ech.test.", "3600"], ["nobody.ech.test.", "3600"]]
    assert re.findall(r"cardea: warning: (\S+): no route of the door", done.stderr.decode()) == ["nobody.ech.test"], done.stderr
    for words, why in ((["--ttl", "500ms", "a.test"], b"expected a time such as 5m or 1h"), (["--ttl", "25h", "a.test"], b"at most 86400"),
                       (["--alpn", 'a"b', "a.test"], b"expected protocols apart by"), (["a_b..test"], b"is no host name")):
        done = door.cli("ech", "publish", *words)
        assert done.returncode == 2 and why in done.stderr, done.stderr
    done = door.cli("ech", "publish")
    assert done.returncode == 1 and b"has no section 'ech.publish'" in done.stderr
    assert b"yes" in door.cli("ech").stdout
