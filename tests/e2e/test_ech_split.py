# SPDX-License-Identifier: Apache-2.0
"""Our client of Encrypted ClientHello through a door in split mode: the door decrypts the hello and has no certificate for the
name within, the server behind it proves that name and never sees the door's keys (RFC 9849, 3.1)."""
import contextlib
import socket
import threading

import pytest

import doh
import ech
from capture import Capture
from run import wait_until

PUBLIC = "public.ech.test"
NAMES = {"near": False, "retried": True}    # whether who proves it asks for another key share (HelloRetryRequest)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return tmp_path_factory.mktemp("front-keys") / "ech"


@pytest.fixture(scope="module")
def certs(pki):
    return {name: pki.server(f"{name}.ech.test") for name in (*NAMES, "other", "public")}


@pytest.fixture(scope="module")
def inner(start_module_door, pki, certs):
    """Doors behind the door, each with its own name and certificate."""
    def start(name, groups):
        return start_module_door({
            "certificates": [certs[name].row()], "workers": 1, "trust": [pki.trust()], "tls": {"groups": groups},
            "policy": [{"name": "alice", "who": {"name": "alice"}, "targets": ["127.0.0.1:*"]}],
            "routes": [{"name": "tunnel", "sni": f"{name}.ech.test", "alpn": "cardea/1", "tunnel": {},
                        "clients": {"mode": "required", "trust": "staff"}}]})
    return {"near": start("near", ["X25519MLKEM768", "X25519"]), "retried": start("retried", ["P-384"])}


@pytest.fixture(scope="module")
def servers(tmp_path_factory, certs):
    """OpenSSL 4 as the backend of a split mode that knows what it is."""
    place = tmp_path_factory.mktemp("servers")
    with contextlib.ExitStack() as stack:
        def start(name, *words):
            server = ech.Server(place, certs[name], *words)
            stack.callback(server.stop)
            return server
        yield {"near": start("near"), "retried": start("retried", "-groups", "P-384")}


def front(certs, to, keys=None):
    """A door with the public name's certificate and no other; `to`: name -> where it leads. Without keys it decrypts nothing."""
    routes = [{"name": name, "sni": f"{name}.ech.test", "pass": {"to": place}} for name, place in to.items()]
    routes.append({"name": "public", "sni": PUBLIC, "terminate": {"to": "127.0.0.1:1"}})
    return {"certificates": [certs["public"].row()], "workers": 1, "routes": routes,
            **({"ech": {"public_name": PUBLIC, "keys": str(keys)}} if keys else {})}


@pytest.fixture(scope="module")
def door(start_module_door, certs, inner, keys):
    to = {name: behind.address for name, behind in inner.items()}
    return start_module_door(front(certs, {**to, "other": inner["near"].address}, keys))


@pytest.fixture
def config(tmp_path, door, keys):
    """config(): a file of the door's config. config(stale=True): of a key that it does not have."""
    def write(stale=False):
        path = tmp_path / "door.ech"
        text = ech.configs(keys)[-1]
        path.write_text(ech.damaged(text) if stale else text)
        return path
    return write


@pytest.fixture
def through(connect, banner):
    """through(door, name, setting): what comes of `cardea connect` to a target behind the door of that name."""
    def call(door, name, setting, *words):
        return connect(door, "--ech", str(setting), "--transport", "tcp", *words, f"127.0.0.1:{banner.port}", name=f"{name}.ech.test")
    return call


def good(done):
    return (done.returncode, done.stdout) == (0, b"behind the door\n")


@pytest.mark.parametrize("setting", ["{}", "require:{}"])
@pytest.mark.parametrize("name", NAMES)
def test_split(door, inner, through, config, name, setting):
    """The door behind proves its name itself; nobody on the way to the first one hears it."""
    door.mark()
    inner[name].mark()
    capture = Capture(door.port)
    done = through(door, name, setting.format(config()))
    packets = capture.end()
    assert good(done) and done.stderr == b"", done.stderr
    line = door.audited(route=name)
    assert (line["action"], line["ech"], line["sni"], line["outer_sni"]) == ("pass", "accepted", f"{name}.ech.test", PUBLIC)
    line = inner[name].audited(action="tunnel", route="tunnel")
    assert (line["sni"], line["hello_retry"], line["identity"]) == (f"{name}.ech.test", NAMES[name], "alice")
    assert f"{name}.ech.test".encode() not in packets and PUBLIC.encode() in packets


@pytest.mark.parametrize("setting", ["{}", "require:{}"])
@pytest.mark.parametrize("name", NAMES)
def test_stale(door, inner, through, config, name, setting):
    """The first door proves the public name and tells its keys; the second connection gets to the one behind."""
    door.mark()
    inner[name].mark()
    capture = Capture(door.port)
    done = through(door, name, setting.format(config(stale=True)))
    packets = capture.end()
    assert good(done) and b"has other ECH keys than the config here says" in done.stderr, done.stderr
    assert door.audited(route="public")["ech"] == "refused" and door.audited(route=name)["ech"] == "accepted"
    assert inner[name].audited(action="tunnel", route="tunnel")["hello_retry"] == NAMES[name]
    assert f"{name}.ech.test".encode() not in packets


@pytest.mark.parametrize("stale", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_by_the_dns(pki, door, keys, through, name, stale):
    """The record of the name within has the config of the door in front, which is all that is told of it."""
    resolver = doh.Resolver(pki.server("localhost"))
    text = ech.configs(keys)[-1]
    resolver.records[f"_{door.port}._https.{name}.ech.test"] = [(doh.HTTPS, doh.https(ech=ech.damaged(text) if stale else text))]
    try:
        done = through(door, name, "require", "--doh", resolver.url, "--doh-ca", pki.ca.file)
    finally:
        resolver.stop()
    assert good(done) and done.stderr == b"", done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_given_up(start_door, certs, inner, through, config, name):
    """A door in front that decrypts nothing any more, and proves the public name: with `require:` the name goes nowhere."""
    other = start_door(front(certs, {name: inner[name].address}))
    path = config()
    capture = Capture(other.port)
    done = through(other, name, f"require:{path}")
    packets = capture.end()
    assert done.returncode == 1 and b"it decrypts no ClientHello any more" in done.stderr, done.stderr
    assert f"{name}.ech.test".encode() not in packets
    done = through(other, name, path)
    assert good(done) and b"the name went in the clear" in done.stderr, done.stderr


@pytest.mark.parametrize("setting", ["{}", "require:{}"])
def test_another_s_certificate(door, through, config, setting):
    """That the door in front has decrypted it proves nothing of who is behind: he has to prove the name within."""
    capture = Capture(door.port)
    done = through(door, "other", setting.format(config()))
    assert done.returncode == 1 and done.stdout == b"", done.stderr
    assert b"other.ech.test" not in capture.end()


@pytest.mark.parametrize("name", NAMES)
def test_openssl_behind(start_door, certs, servers, connect, keys, config, name):
    """OpenSSL 4 says what it has seen: the inner hello of a client that went through somebody else."""
    door = start_door(front(certs, {name: servers[name].to}, keys))
    done = connect(door, "--ech", f"require:{config()}", "--sni", f"{name}.ech.test", input=b"GET / HTTP/1.0\r\n\r\n", name=None)
    assert done.returncode == 0 and b"ECH acting as backend" in done.stdout, (done.stdout, done.stderr)


class Second:
    """A relay in front of a door that flips a bit of the second record of a handshake that a client sends, the hello that
    answers a HelloRetryRequest (after it a change_cipher_spec may come)."""

    def __init__(self, door):
        self.door, self.spoiled = door, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self.relay, args=(sock,), daemon=True).start()

    def relay(self, sock):
        with contextlib.suppress(OSError), sock, socket.create_connection(("127.0.0.1", self.door.port)) as onwards:
            threading.Thread(target=self.back, args=(onwards, sock), daemon=True).start()
            hellos, held = 0, b""
            while data := sock.recv(65536):
                held += data
                while len(held) >= 5 and len(held) >= (size := 5 + int.from_bytes(held[3:5], "big")):
                    record, held = bytearray(held[:size]), held[size:]
                    hellos += record[0] == 22
                    if record[0] == 22 and hellos == 2:
                        record[-1] ^= 1
                        self.spoiled = True
                    onwards.sendall(record)

    def back(self, onwards, sock):
        with contextlib.suppress(OSError):
            while data := onwards.recv(65536):
                sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

    def stop(self):
        self.listener.close()


@pytest.mark.parametrize("setting", ["{}", "require:{}"])
def test_second_hello_is_spoiled(door, through, config, setting):
    """Whoever changes the hello that answers a HelloRetryRequest ends the connection, and learns nothing."""
    middle = Second(door)
    capture = Capture(door.port, middle.port)
    try:
        done = through(middle.address, "retried", setting.format(config()))
    finally:
        middle.stop()
    packets = capture.end()
    wait_until(lambda: middle.spoiled, "the second hello", 5)
    assert done.returncode == 1 and b"retried.ech.test" not in packets, done.stderr
