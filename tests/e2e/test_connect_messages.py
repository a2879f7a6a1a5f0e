# SPDX-License-Identifier: Apache-2.0
"""What `cardea connect` tells its user when it does not work, and with which exit code."""
import re

import pytest

import peers
from fixtures import clean_env, connect_words
from run import CARDEA, free_port, ms, run


@pytest.fixture(scope="module")
def silent():
    with peers.FullBacklog() as port:
        yield port


@pytest.fixture(scope="module")
def door(start_module_door, pki, silent, banner):
    return start_module_door({
        "certificates": [pki.server("door.test").row(), pki.server("web.test").row()],
        "trust": [pki.trust()],
        "limits": {"dial_timeout": ms(300)},
        "routes": [
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "web", "sni": "web.test", "terminate": {"to": banner.to, "alpn": ["http/1.1"]}},
        ],
        "policy": [
            {"name": "keep-out", "effect": "deny", "who": {"any": True}, "targets": ["secret.test:*"]},
            {"name": "ops", "who": {"group": "ops"},
             "targets": ["127.0.0.0/8:*", "localhost:*", "nosuch.invalid:*", "secret.test:*"]},
        ],
    })


def failed(done, *words):
    """Exit code 1, nothing on standard output, and every word on standard error, said by cardea."""
    text = done.stderr.decode()
    assert done.returncode == 1 and done.stdout == b"", text
    assert text.startswith("cardea"), text
    for word in words:
        assert word in text, text


def test_works(door, connect, banner):
    """Exit code 0, and nothing on standard error."""
    done = connect(door, f"127.0.0.1:{banner.port}", input=b"x\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"behind the door\nx\n", b"")


def test_denied_by_a_rule(door, connect):
    """The rule is named."""
    failed(connect(door, "secret.test:22"), "denied", "keep-out", "secret.test:22")


def test_denied_by_no_rule(door, connect, pki):
    """That there is none is said too."""
    failed(connect(door, "127.0.0.1:22", cert=pki.bob), "denied", "no rule", "127.0.0.1:22")


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_denied_for_the_port(start_door, pki, connect, transport):
    """Who may reach other ports of the host is told so, and nobody else; and nothing of rows for others or that deny."""
    door = start_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "not-here", "effect": "deny", "who": {"any": True}, "targets": ["vault.test:1-1023"]},
                   {"name": "others", "who": {"name": "carol"}, "targets": ["db.test:1-65535"]},
                   {"name": "ops", "who": {"group": "ops"}, "targets": ["web.test:80", "db.test:22", "app.test:2222"]}]})
    near = "no rule lets alice reach db.test:2222 (rule ops allows other ports of it: db.test:22)"
    said = connect(door, "--transport", transport, "db.test:2222").stderr.decode()
    assert said == f"cardea: denied: {near}\n"
    assert door.audited(target="db.test:2222")["detail"] == near
    said = connect(door, "--transport", transport, "db.test:2222", cert=pki.bob).stderr.decode()
    assert said == "cardea: denied: no rule lets bob reach db.test:2222\n"
    said = connect(door, "--transport", transport, "vault.test:22").stderr.decode()
    assert said == "cardea: denied: rule not-here does not let alice reach vault.test:22\n"
    assert b"not-here" not in connect(door, "--transport", transport, "vault.test:2222").stderr


def test_denied_by_address(start_door, pki, connect):
    """The client hears what it has asked for, the audit line has the address too."""
    door = start_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "not-here", "effect": "deny", "who": {"any": True}, "targets": ["127.0.0.0/8:*", "[::1]:*"]},
                   {"name": "all", "who": {"any": True}, "targets": ["localhost:*"]}]})
    text = "rule not-here does not let alice reach localhost:22"
    assert connect(door, "localhost:22").stderr.decode() == f"cardea: denied: {text}\n"
    detail = door.audited(target="localhost:22")["detail"]
    assert re.fullmatch(re.escape(text) + r" \(\S+:22\)", detail), detail


def test_no_such_host(door, connect):
    failed(connect(door, "nosuch.invalid:22"), "no such host", "nosuch.invalid")


def test_refused(door, connect):
    port = free_port()
    failed(connect(door, f"127.0.0.1:{port}"), "refused", f"127.0.0.1:{port}")


def test_timed_out(door, connect, silent):
    """The target never answers; the door's dial_timeout says how long that is."""
    failed(connect(door, f"127.0.0.1:{silent.port}"), "did not answer in time", f"127.0.0.1:{silent.port}")


def test_door_unreachable(connect):
    """Nobody listens where the door should be: its address is named."""
    failed(connect(f"127.0.0.1:{free_port()}", "127.0.0.1:22"), "127.0.0.1:", "refused")


def test_no_door_there(connect, banner):
    """What answers is something else: most likely the port is wrong."""
    failed(connect(banner.to, "127.0.0.1:22", "--transport", "tcp"), f"the door {banner.to} does not speak TLS: is that its port?")


def test_door_unknown(connect):
    failed(connect("nosuch.invalid:443", "127.0.0.1:22"), "nosuch.invalid")


def test_door_is_not_trusted(door, connect, pki):
    """The door's certificate is of a CA that the client was not told to trust."""
    failed(connect(door, "127.0.0.1:22", ca=pki.stranger.file), "certificate")


def test_a_private_ca_without_ca(door, connect):
    """The system's CAs do not know the door's: --ca is the way."""
    failed(connect(door, "127.0.0.1:22", ca=None), "certificate", "--ca")


def test_an_address_as_door(start_door, pki, banner, connect):
    """The certificate has a name and no address: --name is the way. So it is where the door wants a name."""
    own = pki.ca.issue("door.test", dns=["door.test"], label="messages-no-address")
    start = {"certificates": [own.row()], "trust": [pki.trust()],
             "policy": [{"name": "all", "who": {"any": True}, "targets": ["127.0.0.1:*"]}]}
    tunnel = {"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}
    for more in ({}, {"sni": "door.test"}):
        failed(connect(start_door({**start, "routes": [{**tunnel, **more}]}), "127.0.0.1:22", name=None), "--name")


def test_door_has_another_name(door, connect, pki):
    """The CA is right, the name is not: a door without SNI for it does not answer, one with another name is refused."""
    failed(connect(door, "127.0.0.1:22", name="elsewhere.test"))


def test_not_a_tunnel(door, connect):
    """The name is a web site's: there is no tunnel."""
    failed(connect(door, "127.0.0.1:22", name="web.test"))


@pytest.mark.parametrize("who", [None, "mallory"])
def test_our_certificate_is_not_accepted(door, connect, pki, who):
    """None, or of another CA: said as such and not as a broken connection."""
    failed(connect(door, "127.0.0.1:22", cert=getattr(pki, who) if who else None), "certificate")


def test_expired(door, connect, pki):
    old = pki.staff.client("old", label="messages-old", start=-7200, end=-3600)
    failed(connect(door, "127.0.0.1:22", cert=old), "expired on", old.certificate)


@pytest.mark.parametrize("words", [
    [], ["10.0.0.1"], ["no/name"], ["host:notaport"], ["host:22", "more:22"], ["--nonsense", "host:22"], ["-L", "22"],
    ["-L", "x:y:z:w:v"], ["--cert"],
])
def test_usage(door, pki, tmp_path, words):
    """Exit code 2, and how it is used."""
    done = run(*connect_words(door, pki.alice, pki.ca.file), *words, env=clean_env(tmp_path))
    assert done.returncode == 2 and b"cardea connect" in done.stderr, done.stderr.decode()


def test_no_door(tmp_path):
    """No flag, no environment, no file says where the door is: usage, and it says what is missing."""
    done = run(CARDEA, "connect", "host:22", env=clean_env(tmp_path))
    assert done.returncode == 2 and b"CARDEA_DOOR" in done.stderr


def test_missing_file(door, pki, tmp_path, connect):
    """A certificate file that is not there is named."""
    done = run(CARDEA, "connect", "--door", door.address, "--cert", "/nosuch.pem", "--key", pki.alice.key, "host:22",
               env=clean_env(tmp_path))
    assert done.returncode in (1, 2) and b"/nosuch.pem" in done.stderr


# Where the settings come from -------------------------------------------------------------------------------------

def settings(door, pki):
    return {"door": door.address, "cert": pki.alice.certificate, "key": pki.alice.key, "ca": pki.ca.file,
            "name": "door.test"}


def environment(door, pki):
    return {f"CARDEA_{key.upper()}": value for key, value in settings(door, pki).items()}


def write_file(home, values):
    path = home / ".config" / "cardea" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{key}: {value}\n" for key, value in values.items()))


def test_from_the_environment(door, pki, banner, tmp_path):
    env = clean_env(tmp_path, **environment(door, pki))
    done = run(CARDEA, "connect", f"127.0.0.1:{banner.port}", env=env)
    assert done.stdout == b"behind the door\n", done.stderr.decode()


def test_from_the_file(door, pki, banner, tmp_path):
    write_file(tmp_path, settings(door, pki))
    done = run(CARDEA, "connect", f"127.0.0.1:{banner.port}", env=clean_env(tmp_path))
    assert done.stdout == b"behind the door\n", done.stderr.decode()


def test_flags_beat_environment_beats_file(door, pki, banner, tmp_path):
    """A wrong name in the file is beaten by the environment, a wrong one there by a flag."""
    write_file(tmp_path, {**settings(door, pki), "name": "file.test"})
    env = clean_env(tmp_path, CARDEA_NAME="door.test")
    assert run(CARDEA, "connect", f"127.0.0.1:{banner.port}", env=env).returncode == 0
    env = clean_env(tmp_path, CARDEA_NAME="environment.test")
    assert run(CARDEA, "connect", f"127.0.0.1:{banner.port}", env=env).returncode == 1
    assert run(CARDEA, "connect", "--name", "door.test", f"127.0.0.1:{banner.port}", env=env).returncode == 0


@pytest.mark.parametrize("file, variable, flag, carried", [
    ("tcp", None, None, None), ("quic", None, None, "quic"), ("quic", "tcp", None, None), ("quic", "tcp", "quic", "quic"),
    ("tcp", "", None, None), (None, "quic", None, "quic"), (None, "nonsense", "quic", "quic"),
])
def test_transport_is_a_setting_as_others(door, pki, banner, tmp_path, file, variable, flag, carried):
    """What the door's audit line says is what the strongest of the three said; an empty variable says nothing."""
    write_file(tmp_path, {**settings(door, pki), "share": "false", **({"transport": file} if file else {})})
    env = clean_env(tmp_path, **({} if variable is None else {"CARDEA_TRANSPORT": variable}))
    words = ["--transport", flag] if flag else []
    door.mark()
    done = run(CARDEA, "connect", *words, f"127.0.0.1:{banner.port}", env=env)
    assert done.stdout == b"behind the door\n", done.stderr.decode()
    line = door.audited(target=f"127.0.0.1:{banner.port}")
    assert line.get("transport") == carried


def test_wrong_transport(door, pki, tmp_path):
    """Found, expected, and where it stands."""
    write_file(tmp_path, {**settings(door, pki), "transport": "udp"})
    done = run(CARDEA, "connect", "host:22", env=clean_env(tmp_path))
    assert done.returncode == 1, done
    assert "config.yaml:6:12: transport: found 'udp', expected one of auto, quic, tcp" in done.stderr.decode()
    done = run(CARDEA, "connect", "host:22", env=clean_env(tmp_path, CARDEA_TRANSPORT="udp"))
    assert done.returncode == 2 and b"CARDEA_TRANSPORT=udp: expected auto, quic or tcp" in done.stderr
    done = run(CARDEA, "connect", "--transport", "udp", "host:22", env=clean_env(tmp_path))
    assert done.returncode == 2 and b"--transport udp: expected auto, quic or tcp" in done.stderr


def test_transport_of_a_file_does_not_keep_from_a_route(door, pki, tmp_path):
    """--sni goes over TCP, and only who says --transport quic on the same line is contradicted."""
    write_file(tmp_path, {**settings(door, pki), "transport": "quic"})
    env = clean_env(tmp_path)
    done = run(CARDEA, "connect", "--sni", "web.test", env=env, input=b"")
    assert (done.returncode, done.stdout) == (0, b"behind the door\n"), done.stderr.decode()
    assert run(CARDEA, "connect", "--sni", "web.test", "--transport", "quic", env=env).returncode == 2


@pytest.mark.parametrize("words, meant", [
    (["connect", "8080"], "127.0.0.1:8080"), (["connect", ":8080"], "127.0.0.1:8080"),
    (["connect", "http://app.inside:81/x"], "app.inside:81"),
    (["expose", "app.test", "--to", "8080"], "127.0.0.1:8080"),
    (["expose", "app.test", "--to", ":8080"], "127.0.0.1:8080"),
    (["expose", "app.test", "--to", "https://localhost"], "localhost:443"),
])
def test_what_was_probably_meant(tmp_path, words, meant):
    done = run(CARDEA, *words, "--door", "127.0.0.1:1", env=clean_env(tmp_path))
    assert done.returncode == 2 and f"; did you mean {meant}?" in done.stderr.decode(), done.stderr.decode()


def test_wrong_file(tmp_path):
    """An unknown key in the client's file: file, line and column."""
    write_file(tmp_path, {"door": "127.0.0.1:1", "nonsense": "x"})
    done = run(CARDEA, "connect", "host:22", env=clean_env(tmp_path))
    assert done.returncode in (1, 2) and b"config.yaml:2:1:" in done.stderr and b"nonsense" in done.stderr
