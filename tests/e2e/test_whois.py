# SPDX-License-Identifier: Apache-2.0
"""A backend that is told nothing within its protocol asks who its client is: admin.whois, `cardea whois`."""
import base64
import json
import os
import stat

import pytest

import peers
import tls
from door import Door, UnixHttp
from run import CARDEA, SLOW, run


def ask(path, query, method="GET"):
    http = UnixHttp(path, 5 * SLOW)
    try:
        http.request(method, query)
        answer = http.getresponse()
        return answer.status, answer.read().decode()
    finally:
        http.close()


def name_of(sock):
    host, port = sock.getpeername()[:2]
    return f"{host}:{port}"


@pytest.fixture(scope="module")
def backend():
    """A server that knows its peer's address only: it says who that is, asked at the socket `.whois`, then echoes."""
    def handler(sock):
        answers = json.loads(ask(server.whois, f"/whois?from={name_of(sock)}")[1])["connections"]
        sock.sendall(json.dumps([name_of(sock), answers]).encode() + b"\n")
        peers.echo(sock)
    with peers.Server(handler) as server:
        yield server


@pytest.fixture(scope="module")
def door(tmp_path_factory, pki, backend):
    door = Door(tmp_path_factory.mktemp("door"), {})
    backend.whois = door.directory / "whois.sock"
    door.configure({
        "admin": {"socket": str(door.socket), "whois": str(backend.whois)},
        "certificates": [pki.server("www.test", "other.test").row()],
        "trust": [pki.trust()],
        "policy": [{"name": "all", "who": {"any": True}}],
        "routes": [{"name": "www", "sni": "www.test", "terminate": {"to": backend.to},
                    "hand_on": {"user": "email", "user_pattern": "*@example.test"},
                    "clients": {"mode": "optional", "trust": "staff"}}]})
    door.start()
    yield door
    door.stop()


def test_by_the_address_that_the_backend_sees(door, backend, pki):
    """Of several connections at once each is told its own client."""
    people = [pki.alice, pki.bob, None] * 3
    socks = [tls.connect(door, "www.test", ca=pki.ca.file, cert=cert) for cert in people]
    for sock, cert in zip(socks, people):
        _, answers = json.loads(tls.read_line(sock))
        assert len(answers) == 1
        answer = answers[0]
        assert answer["peer"] == "{}:{}".format(*sock.getsockname())
        assert (answer["route"], answer["sni"], answer["tls"]) == ("www", "www.test", "1.3")
        assert answer["backend"] == backend.to
        if cert is None:
            assert answer["identity"] is None and "user" not in answer and "certificate" not in answer
            continue
        who = "alice" if cert is pki.alice else "bob"
        assert answer["user"] == who
        assert answer["identity"]["name"] == [who] and answer["identity"]["email"] == [f"{who}@example.test"]
        assert answer["identity"]["issuer"] == ["Staff CA"]
        assert base64.b64decode(answer["certificate"]) == run("openssl", "x509", "-in", cert.certificate,
                                                              "-outform", "der").stdout
    for sock in socks:
        sock.close()


def test_cardea_whois(door, backend, pki):
    """By address and by id; at either socket; nobody is there any more after the end."""
    with tls.connect(door, "www.test", ca=pki.ca.file, cert=pki.alice) as sock:
        seen, answers = json.loads(tls.read_line(sock))
        for which in (seen, answers[0]["id"]):
            for place in (door.socket, backend.whois):
                done = run(CARDEA, "whois", "--socket", place, which)
                assert done.returncode == 0, done.stderr.decode()
                assert json.loads(done.stdout) == answers[0]
                assert run(CARDEA, "whois", "--json", "--socket", place, which).stdout == done.stdout
        local = sock.getsockname()
        tls.finish(sock)
    door.audited_of(local)
    for which, what in ((seen, "address"), (answers[0]["id"], "id")):
        done = run(CARDEA, "whois", "--socket", door.socket, which)
        assert done.returncode == 1 and not done.stdout
        assert f"no open connection has the {what} {which}" in done.stderr.decode()


def test_client_address_only_where_the_backend_is_told_it(door, pki):
    with tls.connect(door, "www.test", ca=pki.ca.file, cert=pki.alice) as sock:
        tls.read_line(sock)
        own = "{}:{}".format(*sock.getsockname())
        assert door.get_json(f"/whois?from={own}") == {"connections": []}
        door.reload({**door.config, "routes": [{**door.config["routes"][0], "name": "told", "sni": "other.test",
                                                "hand_on": {"proxy": "v1"}}, door.config["routes"][0]]})
    with tls.connect(door, "other.test", ca=pki.ca.file, cert=pki.bob) as sock:
        tls.read_line(sock)
        told = door.get_json("/whois?from={}:{}".format(*sock.getsockname()))["connections"]
        assert [one["identity"]["name"] for one in told] == [["bob"]]


def test_socket_is_for_that_only(door, backend):
    assert stat.S_IMODE(os.stat(backend.whois).st_mode) == 0o660
    assert stat.S_IMODE(os.stat(door.socket).st_mode) == 0o600
    for path in ("/status", "/sessions", "/metrics"):
        assert ask(backend.whois, path)[0] == 404
    assert ask(backend.whois, "/reload", "POST")[0] == 404
    assert ask(backend.whois, "/whois?id=x", "POST")[0] == 405


@pytest.mark.parametrize("query", ["", "?", "?id=", "?id=0", "?id=!!", "?from=", "?from=1.2.3.4", "?from=1.2.3.4:0",
                                   "?from=example.com:1", "?from=1.2.3.4:99999", "?to=1.2.3.4:5", "?from=1.2.3.4:5&x=1"])
def test_bad_questions(backend, door, query):
    status, text = ask(backend.whois, "/whois" + query)
    assert status == 400 and "from=ADDRESS:PORT" in text


@pytest.mark.parametrize("words", [[], ["x y"], ["a", "b"], ["1.2.3.4"]])
def test_misuse(door, words):
    done = run(CARDEA, "whois", "--socket", door.socket, *words)
    assert done.returncode == 2


def test_socket_goes_with_the_door(tmp_path, echo):
    door = Door(tmp_path, {})
    place = tmp_path / "whois.sock"
    door.configure({"admin": {"socket": str(door.socket), "whois": str(place)},
                    "routes": [{"name": "pass", "pass": {"to": echo.to}}]})
    door.start()
    assert place.exists()
    door.stop()
    assert not place.exists()
