# SPDX-License-Identifier: Apache-2.0
"""Names that nobody has configured, over QUIC: the first client waits for the certificate, as over TCP. pebble is the CA."""
import concurrent.futures
import contextlib
import time

import pytest
from cryptography import x509

import h3
from fixtures import clean_env, connect_words
from quic import HANDSHAKE, INITIAL, Closed, Reader, crypto_frame, initial
from run import ms, run, wait_until
from test_on_demand import INTERNAL_ERROR, UNRECOGNIZED_NAME, Site, is_for

NAME = "a.example.net"
CRYPTO_ERROR = 0x100    # and the alert (RFC 9001, 4.8)


class QuicSite(Site):
    """Its names under example.net are a proxy's, over HTTP/3 and in the tunnel protocol."""

    def __init__(self, directory, pki, **on_demand):
        super().__init__(directory, **{"ask_timeout": "30s", **on_demand})
        self.pki = pki
        self.hook.good.add(NAME)
        self.more = {}

    def config(self, certificates=None):
        config = super().config(certificates)
        tunnel = {"name": "proxy", "sni": "**.example.net", "alpn": ["h3", "cardea/1"], "tunnel": {},
                  "clients": {"mode": "required", "trust": "staff"}}
        return {**config, "trust": [self.pki.trust()], "routes": [tunnel, *config["routes"]],
                "policy": [{"name": "all", "who": {"any": True}, "targets": ["127.0.0.1:*"]}],
                **self.more, "limits": {**config["limits"], **self.more.get("limits", {})}}

    def comes(self, name=NAME, client=h3.Client):
        """A client, or the alert that it is sent away with."""
        try:
            return client(self.door.port, self.pki.alice, sni=name)
        except Closed as closed:
            return closed.code - CRYPTO_ERROR

    def carriers(self):
        return [one for one in self.door.get_json("/sessions")["sessions"] if one["transport"] != "tcp"]

    def waits(self, count=1):
        wait_until(lambda: [one["state"] for one in self.carriers()] == ["certify"] * count and self.hook.asked,
                   "clients to wait for the certificate")


@pytest.fixture
def site(tmp_path, pki):
    with contextlib.ExitStack() as stack:
        def make(**on_demand):
            made = QuicSite(tmp_path, pki, **on_demand)
            stack.callback(made.stop)
            return made
        yield make


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        yield threads


def shown(client):
    """The certificate that the client was shown."""
    r = Reader(client.tls.shown)
    r.take(4)
    return x509.load_der_x509_certificate(r.take(r.number(3)))


class Anxious(h3.Client):
    """While nothing comes it says again what it has said: to the id that it chose and to the one that it was given, as a
    copy and anew; and sends a PING."""
    chosen = None

    def send(self, level, frames):
        self.chosen = self.chosen or self.dcid
        super().send(level, frames)

    def repeat(self):
        hello = crypto_frame(self.tls.hello)
        self.sock.send(initial(hello, self.chosen, self.scid, keys=self.spaces[INITIAL].mine))
        self.send(INITIAL, hello)
        self.send(INITIAL, b"\x01")

    def until(self, condition, what):
        end = time.monotonic() + self.timeout
        while not condition():
            assert time.monotonic() < end, what
            self.sock.settimeout(0.1)
            try:
                self.datagram(self.sock.recv(65536))
            except TimeoutError:
                if self.spaces[HANDSHAKE].theirs is None:
                    self.repeat()
                continue
            self.acknowledge()


def test_the_first_client_waits(site):
    s = site().start()
    with s.comes() as client:
        assert is_for(shown(client), NAME)
        stream = client.ok(client.tcp(s.backend.to))
        client.say(stream, b"hello")
        assert client.hears(stream, 5) == b"hello"
    assert s.comes("invented.example.net") == UNRECOGNIZED_NAME
    assert s.door.audited(action="carrier", reason="uncertified")["detail"] == "the name is not permitted"
    assert s.orders() == 1


def test_a_real_client_waits(site, tmp_path):
    s = site().start()
    words = connect_words(s.door, s.pki.alice, s.pebble.root(), NAME)
    done = run(*words, "--transport", "quic", s.backend.to, env=clean_env(tmp_path), input=b"hello")
    assert (done.returncode, done.stdout) == (0, b"hello"), done.stderr.decode()
    assert s.door.audited(action="carrier")["reason"] == "done" and s.orders() == 1


def test_what_is_said_again_does_nothing(site, pool):
    s = site()
    s.hook.hangs.clear()
    s.start()

    class Counted(Anxious):
        count = 0

        def repeat(self):
            Counted.count += 1
            super().repeat()
    came = pool.submit(s.comes, client=Counted)
    s.waits()
    wait_until(lambda: Counted.count > 5, "the client to say it again")
    assert len(s.carriers()) == 1
    s.hook.hangs.set()
    with came.result() as client:
        assert is_for(shown(client), NAME)
        client.ok(client.tcp(s.backend.to))
    assert s.hook.asked == [NAME] and s.orders() == 1


def test_many_at_once_are_one_order(site, pool):
    s = site()
    s.more["quic"] = {"retry_above": 4}
    s.hook.hangs.clear()
    s.start()
    came = [pool.submit(s.comes) for _ in range(12)]
    s.waits(12)
    s.hook.hangs.set()
    clients = [one.result() for one in came]
    for client in clients:
        client.close()
    assert len({shown(client).serial_number for client in clients}) == 1
    assert any(client.retried for client in clients)    # enough of them wait: who comes now has to prove its address
    assert s.hook.asked == [NAME] and s.orders() == 1


def test_the_wait_is_bounded(site):
    s = site()
    s.more["limits"] = {"certificate_timeout": ms(300)}
    s.hook.hangs.clear()
    s.start()
    assert s.comes() == INTERNAL_ERROR
    line = s.door.audited(action="carrier")
    assert (line["reason"], line["detail"], line["sni"]) == ("uncertified", "it was not there in time", NAME)
    s.hook.hangs.set()
    with wait_until(lambda: isinstance(came := s.comes(), h3.Client) and came, s.said, 30, 0.1) as client:
        assert is_for(shown(client), NAME)


def test_another_certificate_may_do(site, pki):
    s = site()
    s.more["limits"] = {"certificate_timeout": ms(300)}
    s.hook.hangs.clear()
    s.door.configure(s.config([pki.server("door.test").row(), {"on_demand": s.on_demand}]))
    s.door.start()
    with s.comes() as client:
        assert is_for(shown(client), "door.test")


def test_who_waits_may_leave(site):
    """With a word, or without."""
    s = site()
    s.more["quic"] = {"idle_timeout": ms(1000)}
    s.hook.hangs.clear()
    s.start()

    class Leaves(h3.Client):
        def until(self, condition, what):
            self.sock.settimeout(self.timeout)
            self.datagram(self.sock.recv(65536))    # the acknowledgement
            s.waits()
            if self.word:
                self.send(INITIAL, b"\x1c\0\0\0")
            raise AssertionError("gone")
    for word, reason in (True, "client_left"), (False, "handshake_timeout"):
        Leaves.word = word
        s.door.mark()
        with pytest.raises(AssertionError, match="gone"):
            s.comes(client=Leaves)
        assert s.door.audited(action="carrier")["reason"] == reason
    s.hook.hangs.set()
    with s.comes(client=Anxious) as client:
        assert is_for(shown(client), NAME)


def test_more_than_a_client_can_have_to_say(site):
    """Nothing follows a ClientHello before it is answered."""
    s = site()
    s.hook.hangs.clear()
    s.start()

    class Talks(h3.Client):
        def until(self, condition, what):
            s.waits()
            self.send(INITIAL, crypto_frame(self.tls.hello, len(self.tls.hello)))
            super().until(condition, what)
    assert s.comes(client=Talks) == 10
    assert s.carriers() == []


def test_a_reload_while_it_waits(site, pool):
    """It waits for what the configuration before says, as over TCP."""
    s = site()
    s.hook.hangs.clear()
    s.start()
    quic, tcp = pool.submit(s.comes), pool.submit(s.leaf, "a.example.com")
    s.waits()
    wait_until(lambda: len(s.hook.asked) == 2, "both to wait")
    s.on_demand["refused_for"] = "2m"
    s.door.configure(s.config())
    s.door.reload()
    s.waits()
    s.hook.hangs.set()
    with quic.result() as client:
        assert is_for(shown(client), NAME) and is_for(tcp.result(), "a.example.com")
        stream = client.ok(client.tcp(s.backend.to))
        client.say(stream, b"hello")
        assert client.hears(stream, 5) == b"hello"


def test_the_door_ends_while_it_waits(site, pool):
    s = site()
    s.hook.hangs.clear()
    s.start()
    came = pool.submit(s.comes)
    s.waits()
    s.stop()
    with pytest.raises(Exception):  # noqa: B017 (closed, or nobody answers any more)
        came.result().close()
