# SPDX-License-Identifier: Apache-2.0
"""Encrypted ClientHello as a client: `cardea connect` to a door, and a door to its backends (OpenSSL 4's server)."""
import base64
import hashlib
import re
import subprocess

import pytest

import ech
from capture import Capture
from fixtures import clean_env, connect_words
from peers import curl_door
from pki import openssl
from run import CARDEA, ROOT, Process, free_port, run, wait_listening

PUBLIC = "public.ech.test"
NAME = "inside.ech.test"
MANUAL = (ROOT / "doc/man/cardea-connect.1").read_text()
TRANSPORTS = ["tcp", "quic"]
WHOLE = {"tcp": {"action": "tunnel"}, "quic": {"action": "carrier"}}    # the audit line of a connection, not of a stream


@pytest.fixture(scope="module")
def names(pki):
    return {name: pki.server(f"{name}.ech.test") for name in ("inside", "public")}


def door_config(pki, certs, **more):
    """A door whose tunnel is at a name of its own, and that proves `certs`."""
    return {"certificates": [cert.row() for cert in certs], "workers": 1, "trust": [pki.trust()],
            "policy": [{"name": "alice", "who": {"name": "alice"}, "targets": ["127.0.0.1:*"]}],
            "routes": [{"name": "tunnel", "sni": "*.ech.test", "tunnel": {},
                        "clients": {"mode": "required", "trust": "staff"}}], **more}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return tmp_path_factory.mktemp("door-keys") / "ech"


@pytest.fixture(scope="module")
def door(start_module_door, pki, names, keys):
    return start_module_door(door_config(pki, names.values(), ech={"public_name": PUBLIC, "keys": str(keys)}))


@pytest.fixture
def through(connect, banner):
    """through(door, setting, ...): what comes of `cardea connect` by that setting of --ech."""
    def call(door, setting, transport="tcp", **options):
        words = ["--ech", str(setting)] if setting else []
        return connect(door, *words, "--transport", transport, f"127.0.0.1:{banner.port}", name=NAME, **options)
    return call


def good(done):
    return (done.returncode, done.stdout) == (0, b"behind the door\n")


@pytest.fixture
def config(tmp_path):
    """config(text): a file of it."""
    def write(text):
        path = tmp_path / "ech-config"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path
    return write


def pem(text):
    return f"-----BEGIN ECHCONFIG-----\n{text}\n-----END ECHCONFIG-----\n"


def record(text):
    return f"; of the door\ninside.ech.test. 300 IN HTTPS 1 . alpn=\"h2\" ech={text}\n"


def flow(config):
    """The config in lines of another length than usual, as a person may have pasted it."""
    return "\n".join(config[i:i + 21] for i in range(0, len(config), 21)) + "\n"


# To a door --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("form", [pem, record, str, flow, base64.b64decode])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_by_a_file(door, keys, through, config, form, transport):
    """In each form that there is; nobody on the way sees the name."""
    path = config(form(ech.configs(keys)[-1]))
    door.mark()
    capture = Capture(door.port)
    done = through(door, path, transport)
    packets = capture.end()
    assert good(done) and done.stderr == b"", done.stderr
    line = door.audited(ech="accepted")
    assert (line["sni"], line["outer_sni"]) == (NAME, PUBLIC)
    assert NAME.encode() not in packets
    if transport == "tcp":
        assert PUBLIC.encode() in packets


def test_the_manual_s_example(door, banner, pki, tmp_path):
    """What `cardea ech publish` prints is what `cardea connect --ech` takes."""
    lines = MANUAL.split("The door by the ECH key")[1].split("-offset indent\n")[1].split("\n.Ed")[0]
    for word, here in (("door.example.com", NAME), ("db.inside:5432", f"127.0.0.1:{banner.port}")):
        assert word in lines
        lines = lines.replace(word, here)
    home = tmp_path / ".config/cardea"
    home.mkdir(parents=True)
    (home / "config.yaml").write_text(f"door: {door.address}\nca: {pki.ca.file}\ncert: {pki.alice.certificate}\nkey: {pki.alice.key}\n")
    path = tmp_path / "cardea"
    path.symlink_to(CARDEA)
    door.mark()
    env = clean_env(tmp_path, CARDEA_SOCKET=door.socket)
    done = run("sh", "-ec", lines, cwd=tmp_path, env={**env, "PATH": f"{tmp_path}:{env['PATH']}"})
    assert good(done) and done.stderr == b"", done
    assert door.audited(ech="accepted")["outer_sni"] == PUBLIC


def test_the_door_s_own_file(door, keys, through):
    """A private key beside the config is left alone."""
    assert good(through(door, sorted(keys.glob("*.pem"))[-1]))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_grease(door, through, transport):
    """Unless it is turned off there is always something that looks like it."""
    door.mark()
    assert good(through(door, None, transport))
    assert door.audited(ech="not_ours")["sni"] == NAME
    door.mark()
    assert good(through(door, "off", transport))
    assert "ech" not in door.audited(**WHOLE[transport])


@pytest.mark.parametrize("setting", ["{}", "require:{}"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_stale(door, keys, through, config, transport, setting):
    """The door proves its public name and tells its keys: they are used once, and the user hears of it."""
    path = config(pem(ech.damaged(ech.configs(keys)[-1])))
    door.mark()
    done = through(door, setting.format(path), transport)
    assert good(done), done.stderr
    assert b"has other ECH keys than the config here says" in done.stderr
    assert door.audited(ech="accepted")["sni"] == NAME


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_given_up(start_door, pki, names, keys, door, through, config, transport):
    """A door that decrypts nothing any more, and proves the public name: the name goes in the clear, or nothing does."""
    path = config(pem(ech.configs(keys)[-1]))
    other = start_door(door_config(pki, names.values()))
    done = through(other, path, transport)
    assert good(done), done.stderr
    assert b"decrypts no ClientHello any more: the name went in the clear" in done.stderr
    other.mark()
    capture = Capture(other.port)
    done = through(other, f"require:{path}", transport)
    packets = capture.end()
    assert done.returncode == 1 and NAME.encode() not in packets
    assert b"by Encrypted ClientHello (--ech): it decrypts no ClientHello any more" in done.stderr, done.stderr


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_public_name_not_proven(start_door, pki, names, keys, door, through, config, transport):
    """Who does not prove the public name is believed nothing: neither other keys nor that there are none."""
    path = config(pem(ech.configs(keys)[-1]))
    for more in ({}, {"ech": {"public_name": "another.ech.test", "keys": str(keys.parent / "another")}}):
        other = start_door(door_config(pki, [names["inside"]], **more))
        capture = Capture(other.port)
        done = through(other, path, transport)
        packets = capture.end()
        assert done.returncode == 1 and NAME.encode() not in packets.replace(b"\x0f" + NAME.encode() + b"\x82", b"")
        assert b"ECH was refused, and not in the name of public.ech.test" in done.stderr, done.stderr


@pytest.mark.parametrize("text, why", [
    ("", "is no ECHConfigList"),
    ("AEX+DQ", "is no ECHConfigList"),
    ("-----BEGIN ECHCONFIG-----\nAEX+DQ==\n-----END ECHCONFIG-----\n", "is no ECHConfigList"),
    ("-----BEGIN CERTIFICATE-----\nAEX+DQ==\n-----END CERTIFICATE-----\n", "has no block ECHCONFIG"),
    (base64.b64encode(b"\x00\x05\xfe\x0e\x00\x01\x00"), "has no config that can be used here"),
])
def test_bad_files(door, through, config, text, why):
    path = config(text)
    done = through(door, path)
    assert done.returncode == 1 and done.stderr.decode().startswith(f"cardea: --ech: {path}: {why}"), done.stderr


def test_bad_words(connect, door, banner):
    for word in ("", "require:"):
        done = connect(door, "--ech", word, f"127.0.0.1:{banner.port}")
        assert done.returncode == 2 and b"expected grease, off, auto, require, a file of ECHConfigs, or require:FILE" in done.stderr


def test_in_files(door, keys, banner, pki, tmp_path):
    """In the client's file, by a path beside it; and by the environment, which wins."""
    home = tmp_path / ".config/cardea"
    home.mkdir(parents=True)
    (home / "door.ech").write_text(ech.configs(keys)[-1])
    (home / "config.yaml").write_text("ech: require:door.ech\n")
    words = [*connect_words(door, pki.alice, pki.ca.file, NAME), f"127.0.0.1:{banner.port}"]
    for more, found in (({}, "accepted"), ({"CARDEA_ECH": "grease"}, "not_ours")):
        door.mark()
        assert good(run(*words, env=clean_env(tmp_path, **more)))
        assert door.audited(ech=found)["sni"] == NAME


def test_shared(door, keys, banner, pki, tmp_path, config):
    """A process that carries connections for others offers the same; another setting is another process."""
    path = config(ech.configs(keys)[-1])
    for setting, found in ((path, "accepted"), ("off", None)):
        words = [*connect_words(door, pki.alice, pki.ca.file, NAME), "--ech", str(setting), f"127.0.0.1:{banner.port}"]
        door.mark()
        assert good(run(*words, env=clean_env(tmp_path, CARDEA_SHARE="500ms"), cwd=tmp_path))
        door.audited(ech=found)


# To backends ------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def backend_keys(tmp_path_factory):
    """Two keys with configs for one public name: (files, configs)."""
    place = tmp_path_factory.mktemp("backend-ech")
    files = []
    for name in ("new", "old"):
        path = place / f"{name}.pem"
        subprocess.run([ech.openssl4(), "ech", "-public_name", PUBLIC, "-out", path], check=True, capture_output=True)
        files.append(path)
    return files


@pytest.fixture(scope="module")
def backend(tmp_path_factory, names, backend_keys):
    """Without ECH it is PUBLIC, with it NAME."""
    cert = names["inside"]
    server = ech.Server(tmp_path_factory.mktemp("backend"), names["public"], "-ech_key", str(backend_keys[0]), "-servername", NAME,
                        "-cert2", str(cert.certificate), "-key2", str(cert.key))
    yield server
    server.stop()


def pin(cert):
    key = openssl("pkey", "-in", cert.key, "-pubout", "-outform", "DER")
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


class OpenSsl3:
    """The system's s_server, which knows nothing of ECH."""

    def __init__(self, directory, cert, *words):
        self.port = free_port()
        self.process = Process(["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-cert", cert.certificate, "-key",
                                cert.key, "-www", *words], directory, f"openssl3-{self.port}")
        wait_listening(self.port)

    @property
    def to(self):
        return f"127.0.0.1:{self.port}"

    def stop(self):
        self.process.stop()


def to_backend(pki, to, **more):
    return {"certificates": [pki.server("a.test").row()], "workers": 1, "trust": [{"name": "inside", "ca": [pki.ca.file]}],
            "routes": [{"name": "a", "terminate": {"to": to, "tls": {"name": NAME, "trust": "inside", **more}}}]}


HELLO = "s_server -accept"     # how the page begins


def page(door, pki):
    """What s_server says of the handshake with it; "" where there was none."""
    done = curl_door(door, "https://a.test/", "-s", "--http1.0", "--max-time", "10", ca=pki.ca.file)
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def test_backend_by_a_file(start_door, pki, backend, backend_keys):
    """The backend gets the name that is meant, and proves it."""
    said = page(start_door(to_backend(pki, backend.to, ech=f"require:{backend_keys[0]}")), pki)
    assert "ECH success" in said, said


@pytest.mark.parametrize("spares", [0, 1])
def test_backend_stale(start_door, pki, backend, backend_keys, spares):
    """The backend tells its keys once it has proven the public name; each connection takes two, and that is said once."""
    door = start_door(to_backend(pki, backend.to, ech=f"require:{backend_keys[1]}", spares=spares))
    for _ in range(3):
        assert "ECH success" in page(door, pki)
    assert door.process.output().count("has other ECH keys than the config here says") == 1


@pytest.fixture(scope="module", params=["-tls1_3", "-tls1_2"])
def without(tmp_path_factory, names, request):
    """A backend that decrypts nothing. Without NAME in the clear it is PUBLIC."""
    cert = names["inside"]
    server = ech.Server(tmp_path_factory.mktemp("without"), names["public"], "-servername", NAME, "-cert2", str(cert.certificate),
                        "-key2", str(cert.key), request.param)
    yield server
    server.stop()


def test_backend_given_up(start_door, pki, without, backend_keys):
    """Where it decrypts nothing, and proves the public name, the name goes in the clear, or nothing does."""
    door = start_door(to_backend(pki, without.to, ech=str(backend_keys[0])))
    assert HELLO in page(door, pki) and "the name went in the clear" in door.process.output()
    door = start_door(to_backend(pki, without.to, ech=f"require:{backend_keys[0]}"))
    assert page(door, pki) == ""
    line = door.audited(route="a")
    assert line["reason"] == "backend_tls" and line["detail"].startswith("it decrypts no ClientHello any more"), line


def test_backend_public_name_not_proven(start_door, pki, backend_keys, names, tmp_path):
    server = ech.Server(tmp_path, names["inside"], "-servername", NAME, "-cert2", str(names["inside"].certificate), "-key2",
                        str(names["inside"].key))
    try:
        door = start_door(to_backend(pki, server.to, ech=str(backend_keys[0])))
        assert page(door, pki) == ""
        assert door.audited(route="a")["detail"].startswith(f"ECH was refused, and not in the name of {PUBLIC}")
    finally:
        server.stop()


OUTER = re.compile(rb"\xfe\x0d..\x00\x00\x01\x00[\x01\x03]", re.S)    # encrypted_client_hello, of an outer hello, with a suite of ours (RFC 9849, 5)


def test_backend_is_anyone(start_door, pki, backend, without, backend_keys):
    """Where anyone may be the backend, nobody is believed that he cannot decrypt: he would be told the name under a key of his."""
    for to, key in ((backend.to, 1), (without.to, 0)):
        config = to_backend(pki, to)
        config["routes"][0]["terminate"]["tls"] = {"name": NAME, "verify": "any", "ech": str(backend_keys[key])}
        door = start_door(config)
        assert page(door, pki) == ""
        assert door.audited(route="a")["detail"].startswith("ECH was refused, and there is nothing by which public.ech.test could prove")
    config["routes"][0]["terminate"]["to"] = backend.to
    assert "ECH success" in page(start_door(config), pki)


def test_backend_pins(start_door, pki, without, backend_keys, names):
    """Where a key is pinned, and nobody vouches for names, the server of the public name has one of those keys, or it is
    believed nothing."""
    pins = {name: pin(cert) for name, cert in names.items()}
    for wanted, good in ((["inside"], False), (["inside", "public"], True)):
        config = to_backend(pki, without.to)
        config["routes"][0]["terminate"]["tls"] = {"name": NAME, "pin": [pins[name] for name in wanted], "ech": str(backend_keys[0])}
        door = start_door(config)
        assert (HELLO in page(door, pki)) == good
        if not good:
            assert door.audited(route="a")["detail"].startswith(f"ECH was refused, and not in the name of {PUBLIC}")


@pytest.mark.parametrize("words", [[], ["-groups", "P-384"]])
@pytest.mark.parametrize("kind", [ech.Server, OpenSsl3])
def test_backend_grease(start_door, pki, names, tmp_path, kind, words):
    """By default, to servers that know ECH and to those that do not, also where they ask for another key share; none where
    that is asked for."""
    server = kind(tmp_path, names["inside"], *words)
    try:
        for more, there in (({}, True), ({"ech": "off"}, False)):
            door = start_door(to_backend(pki, server.to, **more))
            capture = Capture(server.port)
            assert HELLO in page(door, pki)
            assert bool(OUTER.search(capture.end())) == there
    finally:
        server.stop()


def test_backend_nginx(start_door, pki, nginx):
    config = to_backend(pki, nginx.to("tls"))
    config["routes"][0]["terminate"]["tls"] = {"name": "backend.test", "trust": "inside"}
    assert "403 Forbidden" in page(start_door(config), pki)


@pytest.mark.parametrize("setting, why", [
    ("{}/none", "{}/none: is no ECHConfigList"),
    ("{}/missing", "{}/missing: No such file or directory"),
    ("require:{}/missing", "{}/missing: No such file or directory"),
    ("'require:'", "found 'require:', expected grease, off, auto, require, a file of ECHConfigs, or require:FILE"),
])
def test_config(tmp_path, setting, why):
    """What is wrong is told with the place of the key."""
    (tmp_path / "none").write_text("AEX+DQ==\n")
    path = tmp_path / "door.yaml"
    path.write_text("listeners: [{name: main, address: \"127.0.0.1:1\", speaks: plain}]\nroutes:\n- name: a\n  listeners: [main]\n  forward:\n    to: a.test:443\n    tls:\n      ech: " + setting.format(tmp_path) + "\n")
    done = run(CARDEA, "serve", "--check", "-c", path)
    assert done.returncode != 0
    assert any(":8:12: " in line and why.format(tmp_path) in line for line in done.stderr.decode().splitlines()), done.stderr
