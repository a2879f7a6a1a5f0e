# SPDX-License-Identifier: Apache-2.0
"""ECHConfigs by Oblivious DNS over HTTPS (RFC 9230): the resolver does not learn who asks, the proxy not what."""
import base64
import socket

import pytest

import doh
import ech
import odoh
import tls
from capture import Capture
from ech_door import NAME, PUBLIC, door, keys, names  # noqa: F401
from fixtures import clean_env, connect_words
from run import CARDEA, SLOW, run, wait_until


@pytest.fixture
def target(pki, door, keys):
    """It knows the door's config."""
    server = odoh.Target(pki.server("localhost"))
    server.records[origin(door)] = [(doh.HTTPS, doh.https(ech=ech.configs(keys)[-1]))]
    yield server
    server.stop()


@pytest.fixture
def proxy(pki):
    server = odoh.Proxy(pki.server("localhost"), pki.ca.file)
    yield server
    server.stop()


@pytest.fixture
def configs(tmp_path, target):
    path = tmp_path / "target.odoh"
    path.write_bytes(target.key.configs)
    return path


@pytest.fixture
def words(target, proxy, configs, pki):
    return ["--doh", target.url, "--doh-ca", pki.ca.file, "--doh-proxy", proxy.template, "--doh-configs", configs]


@pytest.fixture
def asks(door, connect, words, banner):
    """asks(setting): `cardea connect` with that setting of --ech; later options win."""
    def call(setting="require", *more):
        return connect(door, "--ech", setting, *words, "--transport", "tcp", *more, f"127.0.0.1:{banner.port}", name=NAME)
    return call


def origin(door):
    """The name that the records of the door have: it is at another port than 443 (RFC 9460, 9.1)."""
    return f"_{door.port}._https.{NAME}"


def good(done):
    return (done.returncode, done.stdout) == (0, b"behind the door\n")


def test_nobody_knows_both(door, target, proxy, asks):
    door.mark()
    done = asks()
    assert good(done) and done.stderr == b"", done.stderr
    assert door.audited(ech="accepted")["sni"] == NAME
    assert target.asked == [origin(door)] and target.peers == {odoh.PROXY_ADDRESS}
    assert len(proxy.seen) == 1 and b"inside" not in proxy.seen[0] and target.key.id in proxy.seen[0]
    headers = proxy.headers[0]
    assert headers["Accept"] == headers["Content-Type"] == odoh.TYPE and headers["Cache-Control"] == "no-cache, no-store"
    assert set(headers) == {"Host", "Accept", "Cache-Control", "Content-Type", "Content-Length"}, "nothing tells who we are"


def test_on_the_way(door, target, proxy, asks):
    """Who listens between the client and the proxy hears no name either."""
    capture = Capture(proxy.server.server_port)
    assert good(asks())
    assert b"inside" not in capture.end()


def test_forms(proxy, target, configs, asks):
    """The proxy as a URL, with a query or without; the keys in base64, in lines as people paste them."""
    configs.write_text("\n".join(base64.encodebytes(target.key.configs).decode().split()) + "\n")
    for form in (proxy.url, proxy.url + "?key=1", proxy.url + "?key=1{&targetpath,targethost}"):
        done = asks("require", "--doh-proxy", form)
        assert good(done) and done.stderr == b"", done.stderr
    assert len(proxy.seen) == len(target.asked) == 3


def flip(status, kind, body):
    return status, kind, body[:-1] + bytes([body[-1] ^ 1])


class Replay:
    """Gives each one who asks the answer of the one before him."""

    def __init__(self):
        self.last = (200, odoh.TYPE, b"")

    def __call__(self, *answer):
        self.last, answer = answer, self.last
        return answer


BAD = {
    "garbled": (lambda: flip, "the answer is not to this question, or was changed on the way"),
    "cut": (lambda: lambda status, kind, body: (status, kind, body[:20]), "the answer is none of Oblivious DNS over HTTPS"),
    "empty": (lambda: lambda status, kind, body: (status, kind, b""), "the answer is none of Oblivious DNS over HTTPS"),
    "in the clear": (lambda: lambda status, kind, body: (status, kind, b"\0\0\x81\x80\0\1" + bytes(60)),
                     "the answer is none of Oblivious DNS over HTTPS"),
    "of another type": (lambda: lambda status, kind, body: (status, "application/dns-message", body), "answers with status 200"),
    "no way": (lambda: lambda *_: (502, "text/plain", b""), "answers with status 502"),
    "led elsewhere": (lambda: lambda *_: (302, odoh.TYPE, b""), "answers with status 302"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_answers(door, proxy, asks, what):
    """Nothing of them is believed: the name goes in the clear with `auto`, which is said, and nowhere with `require`."""
    make, why = BAD[what]
    proxy.spoil = make()
    done = asks("auto")
    assert good(done) and b"went in the clear: no ECH config is known: " in done.stderr and why.encode() in done.stderr, done.stderr
    capture = Capture(door.port)
    done = asks()
    assert done.returncode == 1 and why.encode() in done.stderr, done.stderr
    assert NAME.encode() not in capture.end()


def test_replayed(proxy, asks):
    proxy.spoil = Replay()
    assert b"the answer is none of Oblivious" in asks().stderr
    for _ in range(2):
        done = asks()
        assert done.returncode == 1 and b"the answer is not to this question" in done.stderr, done.stderr


@pytest.mark.parametrize("who", ["proxy", "target"])
def test_nobody_there(proxy, target, asks, who):
    {"proxy": proxy, "target": target}[who].stop()
    done = asks()
    assert done.returncode == 1 and b"no config is known: " in done.stderr, done.stderr


def test_key_is_old(proxy, target, configs, asks):
    """The resolver says so: the file is read again, once, and where it holds the same key that is told."""
    target.key = odoh.Key()
    done = asks()
    assert done.returncode == 1 and len(proxy.seen) == 1
    assert f"the resolver does not know the key of {configs} any more (get its ObliviousDoHConfigs anew)" in done.stderr.decode(), done.stderr

    def renew(*answer):
        configs.write_bytes(target.key.configs)
        return answer
    proxy.spoil = renew
    done = asks()
    assert good(done) and done.stderr == b"", done.stderr
    assert len(proxy.seen) == 3


def test_keys_change_forever(proxy, target, configs, asks):
    """Asked once more, not again and again."""
    target.key = odoh.Key()

    def other(*answer):
        configs.write_bytes(odoh.Key().configs)
        return answer
    proxy.spoil = other
    done = asks()
    assert done.returncode == 1 and b"does not know the key" in done.stderr
    assert len(proxy.seen) == 2


@pytest.mark.parametrize("text, why", ids=["missing", "empty", "a page", "a newer version", "a weak key"], argvalues=[
    (None, "No such file or directory"),
    (b"", "is no ObliviousDoHConfigs"),
    (b"<html>", "is no ObliviousDoHConfigs"),
    (base64.b64encode(b"\0\x04\0\x02\0\0"), "has no key that can be used here"),
    (odoh.vector(b"\0\1" + odoh.vector(b"\0\x20\0\1\0\1" + odoh.vector(bytes(32)))), "has a key that nothing can be sealed with"),
])
def test_bad_files(proxy, configs, asks, text, why):
    if text is None:
        configs.unlink()
    else:
        configs.write_bytes(text)
    done = asks()
    assert done.returncode == 1 and f"{configs}: {why}" in done.stderr.decode(), done.stderr
    assert not proxy.seen


def test_words(connect, door, proxy, configs, target):
    for more, why in ((["--doh-proxy", proxy.url], b"--doh-proxy: found "), (["--doh-configs", configs], b"--doh-configs: found "),
                      (["--doh-proxy", f"http://{proxy.host}/", "--doh-configs", configs], b"expected https://"),
                      (["--doh-proxy", f"https://{target.host}/", "--doh-configs", configs], b"which is the resolver itself"),
                      (["--doh-proxy", proxy.url + "{?targethost}", "--doh-configs", configs], b"expected a URI template")):
        done = connect(door, "--ech", "auto", "--doh", target.url, *more, "127.0.0.1:1")
        assert done.returncode == 1 and why in done.stderr, done.stderr
    assert not proxy.seen and not target.asked


def test_in_files(door, proxy, target, configs, banner, pki, tmp_path):
    """In the client's file, by a path beside it; and by a process that carries connections for others."""
    home = tmp_path / ".config/cardea"
    home.mkdir(parents=True)
    configs.rename(home / "target.odoh")
    (home / "config.yaml").write_text(f"ech: require\ndoh: {target.url}\ndoh_ca: {pki.ca.file}\ndoh_proxy: \"{proxy.template}\"\n"
                                      "doh_configs: target.odoh\n")
    for share in ("0", "500ms"):
        done = run(*connect_words(door, pki.alice, pki.ca.file, NAME), f"127.0.0.1:{banner.port}",
                   env=clean_env(tmp_path, CARDEA_SHARE=share), cwd=tmp_path)
        assert good(done), done.stderr
    assert set(target.asked) == {origin(door)} and target.peers == {odoh.PROXY_ADDRESS}


def test_ssh_config(words, configs, pki, tmp_path):
    """Paths hold wherever ssh is started, and what ssh would take for its own does not reach it."""
    relative = [configs.name if word == configs else word for word in words]
    done = run(CARDEA, "ssh-config", "--door", "a.test:1", "--ech", "auto", *relative, env=clean_env(tmp_path), cwd=configs.parent)
    assert done.returncode == 0 and f"--doh-configs {configs}" in done.stdout.decode() and b"{?targethost,targetpath}" in done.stdout


# Backends ---------------------------------------------------------------------------------------------------------

def reached(start, door):
    door.mark()
    with tls.connect(start, "a.test") as sock:
        assert tls.read_exactly(sock, 16) == b"behind the door\n"
    return door.audited(action="terminate")


def test_backend(start_door, pki, door, target, proxy, configs):
    """A resolver that changes its key is asked on by who has the new one in the file."""
    target.ttl = 1
    start = start_door({
        "certificates": [pki.server("a.test").row()], "workers": 1, "trust": [{"name": "inside", "ca": [pki.ca.file]}],
        "doh": {"url": target.url, "ca": str(pki.ca.file), "proxy": proxy.template, "configs": str(configs)},
        "routes": [{"name": "a", "terminate": {"to": door.address, "tls": {"name": NAME, "trust": "inside", "ech": "require"}}}]})
    assert reached(start, door)["ech"] == "accepted"
    target.key = odoh.Key()
    configs.write_bytes(target.key.configs)
    before = len(target.asked)
    wait_until(lambda: len(target.asked) > before, "the resolver to be asked by its new key", 20)
    assert reached(start, door)["ech"] == "accepted" and target.peers == {odoh.PROXY_ADDRESS}


def test_wrap(start_wrap, pki, door, target, words):
    wrap = start_wrap("client", door.address, "--ca", pki.ca.file, "--expect", NAME, "--ech", "require", *words)
    door.mark()
    with socket.create_connection(("127.0.0.1", wrap.port), 10 * SLOW) as sock:
        assert sock.recv(16) == b"behind the door\n"
    assert door.audited(ech="accepted")["sni"] == NAME
    assert target.peers == {odoh.PROXY_ADDRESS}
