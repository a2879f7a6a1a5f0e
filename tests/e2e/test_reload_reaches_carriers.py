# SPDX-License-Identifier: Apache-2.0
"""What is changed while a client holds a connection that carries many tunnels: each new tunnel is judged by what is in
force now, the policy and the client's certificate, whatever the connection began under; tunnels that run go on."""
import json
import socket
import time

import h2.connection
import h3
import pki as pki_module
import pytest
import quic
import tls
from agents import Agent, pack
from fixtures import clean_env, connect_words
from http2 import Client as H2
from run import PACE, SLOW, Process, free_port, run, wait_listening, wait_until
from test_login import Ca

EXPIRES = 6  # seconds; a certificate's, which has to last for the beginning of a test


@pytest.fixture
def staff(tmp_path):
    """A CA with a revocation list, and carol."""
    ca = pki_module.CA(tmp_path / "staff", "Staff")
    ca.list = ca.crl(tmp_path / "staff.crl")
    ca.carol = ca.client("carol", ou=["ops"])
    return ca


def config(pki, staff, *targets, crl=True, **more):
    trust = {"name": "staff", "ca": [staff.file], **({"crl": [staff.list]} if crl else {})}
    return {"certificates": [pki.server("door.test").row()], "trust": [trust],
            "routes": [{"name": "tunnel", "sni": "door.test", "tunnel": {}, "alpn": ["cardea/1", "http/1.1", "h2", "h3"],
                        "clients": {"mode": "required", "trust": "staff"}}],
            "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": [*targets, "127.0.0.9:9"]}], **more}


def to(peer):
    return f"127.0.0.1:{peer.port}"


class Quic:
    """`cardea connect -L` over QUIC: a carrier that stays."""
    transport = "quic"

    def __init__(self, door, pki, cert, peer, directory):
        self.port = free_port()
        self.process = Process([*connect_words(door, cert, pki.ca.file), "--transport", "quic",
                                "-L", f"{self.port}:{to(peer)}"], directory, "connect", env=clean_env(directory))
        wait_listening(self.port, self.process)

    def open(self):
        """A tunnel that works, or None; why() says why not."""
        sock = socket.create_connection(("127.0.0.1", self.port), 10 * SLOW)
        try:
            sock.sendall(b"ping")
            if sock.recv(4) == b"ping":
                return sock
        except OSError:
            pass
        sock.close()
        return None

    def says(self, tunnel):
        tunnel.sendall(b"on!")
        return tls.read_exactly(tunnel, 3) == b"on!"

    def end(self, tunnel):
        tunnel.close()

    def why(self):
        return self.process.output()

    def close(self):
        self.process.stop()


class Http2:
    transport = "h2"

    def __init__(self, door, pki, cert, peer, _):
        self.client, self.target, self.text = H2(door, cert), to(peer), ""

    def open(self):
        if self.client.closed or self.client.gone is not None:
            return None
        number = self.client.connect(self.target)
        stream = self.client.answered(number)
        if stream.status == 200:
            return number
        self.client.until(lambda: stream.over)
        self.text += f"{stream.status} {stream.data.decode()}"
        if stream.status == 403 and "no rule" not in self.text:  # GOAWAY follows; python3-h2 takes it for the end
            self.client.until(lambda: self.client.gone is not None)
            self.client.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
        return None

    def says(self, tunnel):
        stream = self.client.streams[tunnel]
        size = len(stream.data)
        self.client.send(tunnel, b"on!")
        self.client.until(lambda: len(stream.data) == size + 3)
        return True

    def end(self, tunnel):
        self.client.h2.reset_stream(tunnel)
        self.client.flush()

    def why(self):
        return self.text

    def close(self):
        self.client.sock.close()


class Http3:
    transport = "h3"

    def __init__(self, door, pki, cert, peer, _):
        self.client, self.target, self.text = h3.Client(door.port, cert), to(peer), ""

    def open(self):
        stream = self.client.tcp(self.target)
        answer = self.client.answer(stream)
        if answer[":status"] == "200":
            return stream
        self.client.until(lambda: stream in self.client.ended, "the end of the answer")
        self.text += f"{answer[':status']} {self.client.parse(stream).decode()}"
        return None

    def says(self, tunnel):
        size = len(self.client.parse(tunnel))
        self.client.say(tunnel, b"on!")
        self.client.hears(tunnel, size + 3)
        return True

    def end(self, tunnel):
        self.client.say(tunnel, b"bye", fin=True)
        self.client.until(lambda: tunnel in self.client.ended, "the end of the tunnel")

    def why(self):
        return self.text

    def close(self):
        self.client.close()


@pytest.fixture(params=[Quic, Http2, Http3], ids=lambda kind: kind.transport)
def hold(request, pki, tmp_path):
    """hold(door, cert, peer): a client with a connection that stays."""
    held = []

    def make(door, cert, peer):
        held.append(request.param(door, pki, cert, peer, tmp_path))
        return held[-1]
    yield make
    for client in held:
        client.close()


def refused(client, word):
    """No new tunnel, and the client is told why."""
    assert client.open() is None
    wait_until(lambda: word in client.why(), lambda: f"the client to be told {word!r}: {client.why()}")


def test_policy(start_door, pki, staff, hold, echo):
    """A row that is gone lets nothing new in, one that has come does; the tunnel that runs does not notice."""
    door = start_door(config(pki, staff, to(echo)))
    client = hold(door, staff.carol, echo)
    running = client.open()
    assert running is not None
    door.reload(config(pki, staff))
    refused(client, "no rule lets")
    assert client.says(running)
    door.reload(config(pki, staff, to(echo)))
    assert client.open() is not None and client.says(running)


def test_revocation(start_door, pki, staff, hold, echo):
    """The list names the client: nothing new on its connection, which ends with its last tunnel."""
    door = start_door(config(pki, staff, to(echo)))
    client = hold(door, staff.carol, echo)
    running = client.open()
    assert running is not None
    staff.revoke(staff.carol)
    staff.crl(staff.list)
    door.reload()
    refused(client, "revoked")
    assert client.says(running)
    assert door.audited(action="tunnel", reason="bad_certificate")["identity"] == "carol"
    client.end(running)
    carrier = door.audited(action="carrier", transport=client.transport if client.transport != "h2" else None)
    assert carrier["reason"] == "bad_certificate" and "revoked" in carrier["detail"]


def test_revocation_by_our_own_ca(start_door, pki, tmp_path, hold, echo):
    """The door stands above the folder of the CA, and is told nothing: no list, no reload."""
    ca = Ca(tmp_path)
    ca.ask("issue", "carol", "--profile", "client", "--out", tmp_path / "carol")
    carol = pki_module.Cert(tmp_path / "carol.pem", tmp_path / "carol.key")
    everybody = {"name": "all", "who": {"any": True}, "targets": [to(echo)]}
    ca.file = str(ca.root)
    door = start_door({**config(pki, ca, crl=False), "policy": [everybody], "ca": {"directory": str(ca.directory)}})
    client = hold(door, carol, echo)
    running = client.open()
    assert running is not None
    ca.ask("revoke", tmp_path / "carol.pem")
    wait_until(lambda: "what the CA has revoked is refused from now on" in door.process.output(), door.process.output)
    refused(client, "revoked")
    assert client.says(running)
    client.end(running)
    carrier = door.audited(action="carrier", transport=client.transport if client.transport != "h2" else None)
    assert carrier["reason"] == "bad_certificate" and "revoked" in carrier["detail"]


def test_expiry(start_door, pki, staff, hold, echo):
    """The certificate expires while the connection is there. No reload is needed."""
    door = start_door(config(pki, staff, to(echo)))
    erin = staff.client("erin", ou=["ops"], end=EXPIRES * PACE)
    client = hold(door, erin, echo)
    began = time.monotonic()
    running = client.open()
    assert running is not None
    while time.monotonic() < began + EXPIRES * PACE + 1:
        assert client.says(running)
        time.sleep(0.5)
    refused(client, "expired")
    assert client.says(running)


def test_a_renamed_route(start_door, pki, staff, hold, echo):
    """Where a new client would be let in, so is the one that is there: by another route, by the CA that is trusted there."""
    base = config(pki, staff, to(echo))
    door = start_door(base)
    client = hold(door, staff.carol, echo)
    running = client.open()
    door.reload({**base, "routes": [{**base["routes"][0], "name": "renamed"}]})
    new = client.open()
    assert new is not None and client.says(running)
    client.end(new)
    assert door.audited(action="tunnel", route="renamed")["identity"] == "carol"
    door.reload({**base, "routes": [{**base["routes"][0], "clients": {"mode": "required", "trust": "other"}}],
                 "trust": [*base["trust"], {"name": "other", "ca": [pki.ca.file]}]})
    refused(client, "not in trust bundle other")
    assert client.says(running)


def test_no_route(start_door, pki, staff, hold, echo):
    base = config(pki, staff, to(echo))
    door = start_door(base)
    client = hold(door, staff.carol, echo)
    running = client.open()
    door.reload(elsewhere(base))
    refused(client, "no tunnel for this client")
    assert client.says(running)


@pytest.mark.parametrize("kind", [Quic, Http2], ids=lambda kind: kind.transport)
def test_turned_away_by_a_limit_after_the_listener_went(start_door, pki, staff, echo, tmp_path, kind):
    """The line tells of the listener that the connection came in by, though there is none such any more."""
    base = config(pki, staff, to(echo), limits={"per_source": 2})
    door = start_door(base)
    other = {"name": "other", "address": f"127.0.0.1:{free_port()}"}
    door.reload({**base, "listeners": [other, {"name": "last", "address": door.address}]})
    client = kind(door, pki, staff.carol, echo, tmp_path)
    running = client.open()
    assert running is not None
    door.reload({**base, "listeners": [other]})
    if kind is Quic:
        assert client.open() is None
    else:
        client.client.connect(client.target)
    line = door.audited(reason="limit_per_source")
    if kind is Quic:    # python3-h2 reads nothing after GOAWAY
        assert client.says(running)
    client.close()
    assert (line["listener"], line["route"], line["action"], line["transport"]) == \
        ("last", "tunnel", "tunnel", client.transport)
    wait_until(lambda: [one for one in door.audit() if one["id"] == line["carrier"]], "the line of its carrier")


# Over TCP, before the client has said where to ---------------------------------------------------------------------

@pytest.fixture
def ready(pki, staff):
    """ready(door): a TLS connection that has not said yet what it wants."""
    return lambda door: tls.connect(door, "door.test", cert=staff.carol, alpn=["http/1.1"])


def ask(sock, peer):
    sock.sendall(f"CONNECT {to(peer)} HTTP/1.1\r\nHost: {to(peer)}\r\n\r\n".encode())
    return tls.read_all(sock).decode()


def test_ready_and_row_removed(start_door, pki, staff, ready, banner):
    door = start_door(config(pki, staff, to(banner)))
    with ready(door) as sock:
        door.reload(config(pki, staff))
        assert " 403 " in ask(sock, banner)


def test_ready_and_row_added(start_door, pki, staff, ready, banner):
    door = start_door(config(pki, staff))
    with ready(door) as sock:
        door.reload(config(pki, staff, to(banner)))
        sock.sendall(f"CONNECT {to(banner)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b" 200 " in sock.recv(1000)


def test_ready_and_revoked(start_door, pki, staff, ready, banner):
    door = start_door(config(pki, staff, to(banner)))
    with ready(door) as sock:
        staff.revoke(staff.carol)
        staff.crl(staff.list)
        door.reload()
        said = ask(sock, banner)
        assert " 403 " in said and "revoked" in said
    assert door.audited(action="tunnel")["reason"] == "bad_certificate"


def test_ready_and_expired(start_door, pki, staff, banner):
    """No reload is needed."""
    door = start_door(config(pki, staff, to(banner), limits={"handshake_timeout": "5m"}))
    began, erin = time.monotonic(), staff.client("erin", ou=["ops"], end=EXPIRES * PACE)
    with tls.connect(door, "door.test", cert=erin, alpn=["http/1.1"]) as sock:
        time.sleep(max(0, EXPIRES * PACE + 1 - (time.monotonic() - began)))
        said = ask(sock, banner)
        assert " 403 " in said and "expired" in said
    assert door.audited(action="tunnel")["reason"] == "bad_certificate"


def test_before_the_client_hello(start_door, pki, staff, banner):
    """A connection that has said nothing at all gets the configuration that is in force when it does."""
    base = config(pki, staff, to(banner))
    door = start_door(base)
    with door.dial() as sock:
        door.reload({**base, "routes": [{**base["routes"][0], "sni": "elsewhere.test"}]})
        sock.sendall(tls.client_hello("door.test", ["cardea/1"]))
        assert sock.recv(100)[:1] == b"\x15"
        assert door.audited_of(sock)["reason"] == "no_route"


# What an operator sees --------------------------------------------------------------------------------------------

def carriers(door):
    return [one for one in door.get_json("/sessions")["sessions"] if one["state"] in ("carrier", "leaving")]


def test_carriers_are_listed(start_door, pki, staff, hold, echo):
    """Also one without a tunnel: who it is, from where, over what, how many streams it has."""
    door = start_door(config(pki, staff, to(echo)))
    client = hold(door, staff.carol, echo)
    running = client.open()
    one, = carriers(door)
    assert (one["identity"], one["transport"], one["streams"], one["route"]) == ("carol", client.transport, 1, "tunnel")
    assert one["peer"].startswith("127.0.0.1:") and one["seconds"] >= 0
    assert one["in"] > 0 and one["out"] > 0 and one["sni"] == "door.test" and one["target"] == ""
    assert list(one) == ["id", "peer", "state", "transport", "streams", "route", "sni", "identity", "target", "in", "out",
                         "seconds"]
    client.end(running)
    wait_until(lambda: carriers(door)[0]["streams"] == 0, "the tunnel to end")
    text = door.cli("status", "--sessions").stdout.decode()
    assert "0 streams" in text and "carol" in text
    assert json.loads(door.cli("reload", "--json").stdout)["carriers"] == 1


def test_what_the_policy_would_deny_now_is_marked(start_door, pki, staff, hold, echo):
    """A tunnel runs on when its row is gone, and is marked as long as that is so; one that has its row is not."""
    door = start_door(config(pki, staff, to(echo)))
    client = hold(door, staff.carol, echo)
    running = client.open()

    def marked():
        return [one.get("denied", False) for one in door.get_json("/sessions")["sessions"] if one["state"] == "pipe"]
    assert marked() == [False]
    door.reload(config(pki, staff))
    assert client.says(running) and marked() == [True]
    assert "pipe (denied now)" in door.cli("status", "--sessions").stdout.decode()
    by_network = config(pki, staff, "127.0.0.0/8:*")
    door.reload(by_network)
    assert marked() == [False]
    door.reload({**by_network, "policy": [{"name": "no", "effect": "deny", "who": {"name": "carol"},
                                           "targets": ["127.0.0.0/30:*"]}, *by_network["policy"]]})
    assert client.says(running) and marked() == [True]


@pytest.mark.parametrize("kind,marks", [("private", [True]), ("public", [False])])
def test_a_visitor_whom_the_policy_would_deny_now(start_door, pki, staff, tmp_path, echo, kind, marks):
    """To visit in private takes a row, in public none."""
    def rows(*names):
        made = config(pki, staff, "offer:*.apps.test", "public:*.apps.test", *names)
        made["certificates"].append(pki.server("*.apps.test").row())
        made["routes"].append({"name": "apps", "sni": "*.apps.test", "expose": {},
                               "clients": {"mode": "optional", "trust": "staff"}})
        return made
    door = start_door(rows("name:*.apps.test"))
    agent = Agent(tmp_path, door.address, pki, "box.apps.test", "--to", to(echo), f"--{kind}", "--grace", "0s",
                  who=staff.carol)
    try:
        agent.says("offering")
        with tls.connect(door, "box.apps.test", ca=pki.ca.file, cert=staff.carol) as visitor:
            visitor.sendall(b"x")
            assert visitor.recv(1) == b"x"
            door.reload(rows())
            told = [one for one in door.get_json("/sessions")["sessions"] if one["target"] == "name:box.apps.test"]
            assert [one.get("denied", False) for one in told] == marks
    finally:
        agent.end()


def test_a_tunnel_is_ended(start_door, pki, staff, hold, echo):
    """That one and no other of the same client."""
    door = start_door(config(pki, staff, to(echo)))
    client = hold(door, staff.carol, echo)
    first = client.open()
    one, = (one["id"] for one in door.get_json("/sessions")["sessions"] if one["state"] == "pipe")
    second = client.open()
    done = door.cli("end", one)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert door.audited(action="tunnel", id=one)["reason"] == "ended"
    assert client.says(second)
    if client.transport == "quic":
        wait_until(lambda: "was cut off: who runs the door ended it" in client.why(), client.why)
    done = door.cli("end", one)
    assert done.returncode == 1 and f"no open connection has the id {one}".encode() in done.stderr
    assert first is not None


def test_a_carrier_is_ended(start_door, pki, staff, hold, echo):
    """With what travels on it."""
    door = start_door(config(pki, staff, to(echo)))
    client = hold(door, staff.carol, echo)
    tunnels = client.open(), client.open()
    assert None not in tunnels
    carrier, = carriers(door)
    assert door.cli("end", carrier["id"]).returncode == 0
    wait_until(lambda: door.get_json("/sessions")["sessions"] == [], "all to end")
    lines = door.audited(3)
    assert sorted((line["action"], line["reason"]) for line in lines) == [("carrier", "ended")] + [("tunnel", "ended")] * 2


@pytest.mark.parametrize("words", [[], ["aaaaaaaaaaaa"], ["aaaaaaaaaaaab", "AAAAAAAAAAAAB"], ["0"]])
def test_no_id_to_end(start_door, pki, staff, words):
    done = start_door(config(pki, staff)).cli("end", *words)
    assert done.returncode == 2 and b"cardea status --sessions" in done.stderr


def test_too_many_to_be_listed(start_door, pki, staff, echo):
    """Half of what is shown are connections of QUIC and half others, unless there are fewer of either; the rest is
    counted."""
    door = start_door(config(pki, staff, to(echo), workers=1))
    many = [quic.Connection(door.port, "door.test", staff.carol) for _ in range(5)]
    others = [door.dial() for _ in range(4)]
    wait_until(lambda: len(door.get_json("/sessions")["sessions"]) == 9, "all to be there")
    for limit, over_quic, not_quic in ((1000, 5, 4), (8, 4, 4), (6, 3, 3), (1, 0, 1)):
        told = door.get_json(f"/sessions?limit={limit}")
        kinds = [one["transport"] for one in told["sessions"]]
        assert (kinds.count("quic"), kinds.count("tcp")) == (over_quic, not_quic), limit
        assert told["sessions_left_out"] == 9 - over_quic - not_quic
    for sock in others[1:]:
        sock.close()
    wait_until(lambda: len(door.get_json("/sessions")["sessions"]) == 6, "some to be gone")
    told = door.get_json("/sessions?limit=4")
    assert [one["transport"] for one in told["sessions"]] == ["quic"] * 3 + ["tcp"] and told["sessions_left_out"] == 2
    for client in (*many, others[0]):
        client.close()


def test_an_idle_carrier_of_nobody_ends(start_door, pki, staff, echo):
    """A QUIC connection without a tunnel does not outlive the revocation; the CRL's change alone does it."""
    door = start_door(config(pki, staff, to(echo)))
    with quic.Connection(door.port, "door.test", staff.carol) as client:
        wait_until(lambda: carriers(door), "the carrier")
        staff.revoke(staff.carol)
        staff.crl(staff.list)
        with pytest.raises(quic.Closed):
            client.until(lambda: False, "the door to close the connection")
    assert door.audited(action="carrier")["reason"] == "bad_certificate"


def test_an_idle_http2_connection_of_nobody_ends(start_door, pki, staff, echo):
    """So does one of HTTP/2, with GOAWAY; one with a tunnel, when that has ended."""
    door = start_door(config(pki, staff, to(echo)))
    busy, idle = (Http2(door, pki, staff.carol, echo, None) for _ in range(2))
    running = busy.open()
    idle.end(idle.open())
    staff.revoke(staff.carol)
    staff.crl(staff.list)
    idle.client.until(lambda: idle.client.gone is not None)
    line = door.audited(action="carrier", reason="bad_certificate")
    assert "revoked" in line["detail"]
    assert busy.says(running)
    assert len(carriers(door)) == 1
    busy.end(running)
    busy.client.until(lambda: busy.client.gone is not None)
    wait_until(lambda: not carriers(door), "the other to end")


@pytest.mark.parametrize("others", [False, True])
def test_streams_that_are_refused_do_not_keep_a_carrier(start_door, pki, staff, echo, others):
    """Of cardea/1, which has no goodbye: one stream after the other is told no, and the connection ends all the same,
    with the tunnel that ran before."""
    door = start_door(config(pki, staff, to(echo)))
    with quic.Connection(door.port, "door.test", staff.carol) as client:
        if others:
            client.write(0, quic.ask(to(echo)))
            quic.answered(client, 0)
        staff.revoke(staff.carol)
        staff.crl(staff.list)
        door.reload()

        def beset(count):
            for _ in range(count):
                beset.stream += 4
                client.write(beset.stream, quic.ask(to(echo)))
                client.write(beset.stream + 4, b"")
                beset.stream += 4
                time.sleep(0.1)
        beset.stream = 0
        if others:
            beset(30)
            client.write(0, b"ping")
            client.until(lambda: bytes(client.streams[0]).endswith(b"ping"), "the tunnel to go on")
            client.cut(0, 1)
        with pytest.raises(quic.Closed):
            for _ in range(60):
                beset(1)
                client.until(lambda: bytes(client.streams.get(beset.stream - 4, b"")), "an answer")
    assert door.audited(action="carrier")["reason"] == "bad_certificate"


@pytest.mark.parametrize("alpn", [b"cardea/1", b"h3"])
def test_a_handshake_that_a_reload_comes_into(start_door, pki, staff, alpn, echo):
    """It is completed under the configuration that it began with, and then judged by the one in force."""
    door = start_door(config(pki, staff, to(echo)))

    class Slow(quic.Connection):
        held = False

        def send(self, level, frames):
            if level == quic.HANDSHAKE and not self.held:
                self.held = True
                staff.revoke(staff.carol)
                staff.crl(staff.list)
                door.reload()
                time.sleep(0.2)  # for the review to pass it by
            super().send(level, frames)

    with Slow(door.port, "door.test", staff.carol, alpn=alpn) as client:
        with pytest.raises(quic.Closed):
            client.until(lambda: False, "the door to close the connection")
    line = door.audited(action="carrier")
    assert line["reason"] == "bad_certificate" and "revoked" in line["detail"]


def elsewhere(base):
    """Its route is gone."""
    return {**base, "routes": [{**base["routes"][0], "sni": "elsewhere.test"}]}


def test_goodbye_is_final(start_door, pki, staff, echo):
    """An HTTP/3 client that has had its GOAWAY begins nothing new, also when it would be welcome again: its connection
    ends with what runs on it, and not when it has been idle for long."""
    base = config(pki, staff, to(echo))
    door = start_door(base)
    client = Http3(door, pki, staff.carol, echo, None)
    running = client.open()
    door.reload(elsewhere(base))
    client.client.until(lambda: any(kind == h3.GOAWAY for kind, _ in client.client.control()), "GOAWAY")
    door.reload(base)
    assert client.says(running)
    assert [one["state"] for one in carriers(door)] == ["leaving"]
    client.end(running)
    line = door.audited(action="carrier")
    assert line["reason"] == "no_route" and "no tunnel for this client" in line["detail"]
    client.close()


def test_welcome_again(start_door, pki, staff, tmp_path, echo):
    """cardea/1 has no such word: its connection goes on once the client is welcome again."""
    base = config(pki, staff, to(echo))
    door = start_door(base)
    client = Quic(door, pki, staff.carol, echo, tmp_path)
    running = client.open()
    door.reload(elsewhere(base))
    wait_until(lambda: [one["state"] for one in carriers(door)] == ["leaving"], "the client to be refused")
    one, = carriers(door)
    assert one["reason"] == "no_route" and "no tunnel for this client" in one["detail"]
    assert b"leaving (no_route)" in door.cli("status", "--sessions").stdout
    says = f"connection {one['id']} of carol from {one['peer']} begins nothing new, and ends with what runs on it: "
    wait_until(lambda: f"{says}{one['detail']} (no_route)" in door.process.output(), door.process.output)
    door.reload(base)
    wait_until(lambda: [one["state"] for one in carriers(door)] == ["carrier"], "the client to be welcome again")
    assert "reason" not in carriers(door)[0] and door.process.output().count("begins nothing new") == 1
    assert client.open() is not None and client.says(running)
    client.close()


@pytest.mark.parametrize("transport", ["tcp", "quic"])
def test_offer_of_a_revoked_agent(start_door, pki, staff, tmp_path, echo, transport):
    """What an agent offers does not outlive the belief in the agent. Visitors hear that it is gone, and not why."""
    base = config(pki, staff, "offer:app.test", "name:app.test")
    dave = staff.client("dave", ou=["ops"])
    door = start_door(base)
    agent = Agent(tmp_path, door.address, pki, "--transport", transport, "app.test", "--to", to(echo), who=staff.carol)
    agent.says("app.test")
    wait_until(lambda: door.get_json("/status").get("offers"), lambda: f"the offer: {agent.output()}")
    staff.revoke(staff.carol)
    staff.crl(staff.list)
    agent.says("revoked")
    wait_until(lambda: not door.get_json("/status").get("offers"), "the offer to be withdrawn")
    done = run(*connect_words(door, dave, pki.ca.file), "app.test", env=clean_env(tmp_path))
    assert b"revoked" not in done.stderr and b"say the port" not in done.stderr, done.stderr.decode()
    assert b"the door does not allow the one that did any more" in done.stderr, done.stderr.decode()
    agent.stop()


@pytest.mark.parametrize("transport", ["tcp", "quic"])
def test_offer_of_an_agent_whose_certificate_expires(start_door, pki, staff, tmp_path, echo, transport):
    """It ends by itself: visitors come to an agent without its doing anything."""
    door = start_door(config(pki, staff, "offer:app.test"))
    began, erin = time.monotonic(), staff.client("erin", ou=["ops"], end=EXPIRES * PACE)
    agent = Agent(tmp_path, door.address, pki, "--transport", transport, "app.test", "--to", to(echo), who=erin)
    agent.says("offering app.test")
    agent.says("has withdrawn the offer of app.test", EXPIRES + 10)
    assert time.monotonic() - began >= EXPIRES * PACE - 1
    assert not door.get_json("/status").get("offers")
    wait_until(lambda: "the offer of app.test by erin is withdrawn: " in door.process.output(), "the notice")
    notice, = (one for one in door.process.output().splitlines() if "is withdrawn" in one)
    assert "expired" in notice
    line = door.audited(action="offer")
    assert line["reason"] == "bad_certificate" and "expired" in line["detail"]
    agent.stop()


def test_many_offers_are_judged_in_parts(start_door, pki, staff):
    """A few at once, the others soon: the reload says so, and the log what fell."""
    count, base = 200, config(pki, staff, "offer:*.test", workers=1)
    door = start_door(base)
    with quic.Connection(door.port, "door.test", staff.carol) as client:
        for number in range(count):
            client.write(4 * number, pack({"v": 1, "offer": f"n{number}.test"}))
        client.until(lambda: len(door.get_json("/status").get("offers", [])) == count, "the offers")
        door.configure(config(pki, staff, "offer:n1.test", workers=1))
        answer = json.loads(door.cli("reload", "--json").stdout)
        assert answer["offers"] + answer["later"] == count and answer["later"] > 0
        assert 0 < answer["withdrawn"] <= answer["offers"]
        text = f"cardea: offers of agents that are still to be judged: {answer['later']}; the log tells"
        assert text in door.process.output()
        client.until(lambda: len(door.get_json("/status").get("offers", [])) == 1, "all others to fall")
