# SPDX-License-Identifier: Apache-2.0
"""`cardea check --quic`: what is found over QUIC, at the door and at OpenSSL's server, beside what is found over TCP."""
import json
import re
import socket
import subprocess
from pathlib import Path

import pytest

import ech
import judges
import peers
from run import CARDEA, ROOT, Process, free_port, ms, run, wait_listening

NAME = "quic.test"
GOLDEN = ROOT / "tests/e2e/check_quic.expected"
NO_RETRY = 2  # SSL_LISTENER_FLAG_NO_VALIDATE


@pytest.fixture(scope="module")
def cert(pki):
    return pki.server(NAME)


@pytest.fixture(scope="module")
def alternatives():
    """What the web server says in Alt-Svc."""
    return []


@pytest.fixture(scope="module")
def door(start_module_door, pki, cert, alternatives):
    """A web server over TCP, tunnels over QUIC."""
    def web(sock):
        sock.recv(65536)
        fields = "".join(f"Alt-Svc: {each}\r\n" for each in alternatives)
        sock.sendall(peers.http_answer(b"hello", f"Strict-Transport-Security: max-age=31536000\r\n{fields}"))
    with peers.Server(web) as backend:
        yield start_module_door({
            "certificates": [cert.row()], "trust": [pki.trust()], "workers": 1,
            "routes": [{"name": "tunnel", "sni": NAME, "alpn": ["cardea/1", "h3"], "tunnel": {},
                        "clients": {"mode": "required", "trust": "staff"}},
                       {"name": "web", "sni": NAME, "alpn": "http/1.1", "terminate": {"to": backend.to}}],
            "policy": [{"name": "alice", "who": {"name": "alice"}, "targets": ["127.0.0.1:*"]}]})


@pytest.fixture
def asks(pki):
    """asks(port, *words): what is said of the server at that port, which is to be NAME."""
    def call(port, *words, json_too=True):
        done = run(CARDEA, "check", *(["--json"] if json_too else []), "--ca", pki.ca.file, "--name", NAME, "--timeout", ms(5000),
                   "--question-timeout", ms(5000), "--survey-timeout", ms(25000), *words, f"127.0.0.1:{port}")
        return (json.loads(done.stdout) if json_too else done.stdout.decode()), done.returncode
    return call


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """How quic_server.c is started, with OpenSSL 4."""
    libraries = list(Path(ech.openssl4()).parent.glob("usr/lib/*/libssl.so.*"))
    if not libraries:
        pytest.skip("OpenSSL 4 is this system's own: there is nothing to link with")
    folder, out = libraries[0].parent, tmp_path_factory.mktemp("quic-server") / "quic_server"
    crypto, = folder.glob("libcrypto.so.*")
    subprocess.run(["cc", "-Wall", "-o", out, ROOT / "tests/e2e/quic_server.c", libraries[0], crypto,
                    "-Wl,--allow-shlib-undefined"], check=True)
    loader, = folder.glob("ld-linux-*.so.*")
    return [loader, "--library-path", folder, out]


@pytest.fixture
def openssl(program, tmp_path, cert):
    """openssl(cert, flags): a server over TCP and QUIC of OpenSSL's, at one port."""
    started = []

    def start(cert=cert, flags=NO_RETRY):
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", port))
            started.append(Process([*program, str(udp.fileno()), cert.certificate, cert.key, str(flags)], tmp_path, f"quic{port}",
                                   pass_fds=[udp.fileno()]))
        started.append(Process(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert.certificate, "-key", cert.key,
                                "-quiet"], tmp_path, f"s_server{port}", stdin=subprocess.PIPE))
        wait_listening(port, started[-1])
        return port
    yield start
    for process in started:
        process.stop()
        if process.child.stdin:
            process.child.stdin.close()


def found(told):
    return {each["finding"]: each["leaves"] for each in told["survey"]["findings"]}


def alice(pki):
    return ["--cert", pki.alice.certificate, "--key", pki.alice.key]


def test_the_door(door, pki, asks):
    told, status = asks(door.port, "--quic", *alice(pki), "--fail-below", "A+", "--expect", "quic=good", "--expect", "quic-alpn=h3",
                        "--expect", "quic-version=v*", "--expect", "quic-group=*MLKEM*", "--expect", "quic-cipher=TLS_*")
    quic = told["quic"]
    assert status == 0 and told["grade"] == "A+", told
    assert (quic["result"], quic["detail"], quic["address"]) == ("good", None, f"127.0.0.1:{door.port}")
    assert quic["tls"] == {"version": "1.3", "group": "X25519MLKEM768", "cipher": "TLS_AES_128_GCM_SHA256", "alpn": "h3"}
    assert quic["certificate"]["subject"] == NAME and quic["path"] == [NAME, "Door CA"]
    assert quic["version"] in quic["versions"] == ["v1", "v2"]
    took = quic["handshake"]
    assert (took["round_trips"], took["retried"], took["retry"]) == (1, False, False)
    assert 0 < took["at_once"] <= took["allowed"] and 0 < took["at_once"] <= took["received"] and took["sent"] >= 1200, took
    says = quic["parameters"]
    assert says["active_connection_id_limit"] >= 2 and says["initial_max_data"] > 0 and says["max_datagram_frame_size"] > 0
    assert says["max_idle_timeout"] > 0 and says["initial_max_streams_bidi"] > 0 and says["max_udp_payload_size"] >= 1200
    assert told["survey"]["tells_h3"] is False and found(told) == {"untold_h3": "note"}


def test_told_of(door, pki, asks, alternatives):
    """By Alt-Svc at this port, and at no other."""
    for port, tells in ((door.port, True), (door.port - 1, False)):
        alternatives[:] = [f'h3=":{port}"; ma=60']
        told, _ = asks(door.port, "--quic", *alice(pki))
        assert told["survey"]["tells_h3"] is tells and ("untold_h3" in found(told)) is not tells, told["survey"]["findings"]
    alternatives.clear()


def test_for_people(door, pki, asks):
    text, status = asks(door.port, "--quic", "--quick", *alice(pki), json_too=False)
    lines = re.findall(r"^  (?:QUIC|\.\.\.) .*\n", text, re.MULTILINE)
    assert status == 0 and re.sub(r"\d+( bytes| received| of them| are allowed| streams| on each)", r"N\1",
                                  "".join(lines)) == GOLDEN.read_text(), text


def test_without_a_certificate_of_ours(door, asks):
    """It is refused behind the handshake, or within."""
    told, status = asks(door.port, "--quic", "--quick")
    assert told["result"] == "good" and told["quic"]["result"] in ("turned_away", "tls_failed") and status == 1
    assert "certificate" in told["quic"]["detail"], told["quic"]


def test_another_protocol(door, pki, asks):
    told, status = asks(door.port, "--quic", "--quic-alpn", "cardea/1", "--quick", *alice(pki))
    assert told["quic"]["tls"]["alpn"] == "cardea/1" and status == 0
    told, status = asks(door.port, "--quic-alpn", "doq", "--quick", *alice(pki))
    assert told["quic"]["result"] == "tls_failed" and told["quic"]["tls"] is None and status == 1


def test_nobody_there(asks, cert):
    """Without --quic nobody asks; with it, it is a fault."""
    with peers.Server(judges.web, ctx=peers.server_context(cert)) as server:
        told, status = asks(server.port)
        assert status == 0 and told["quic"] is None and "no_quic" not in found(told)
        told, status = asks(server.port, "--quic", "--expect", "quic=good")
    assert told["quic"]["result"] == "connection_refused" and told["quic"]["tls"] is None and "certificate" not in told["quic"]
    assert found(told)["no_quic"] == "B" and status == 1
    assert told["unexpected"] == [{"expected": "quic=good", "found": "connection_refused"}]


@pytest.mark.parametrize("retry", [False, True])
def test_openssl(openssl, asks, retry):
    told, status = asks(openssl(flags=0 if retry else NO_RETRY), "--quic")
    quic = told["quic"]
    assert (quic["result"], quic["version"], quic["path"]) == ("good", "v1", [NAME, "Door CA"]) and status == 0, quic
    assert quic["tickets"] is True and "v1" in quic["versions"]
    assert (quic["handshake"]["retry"], quic["handshake"]["round_trips"]) == (retry, 1 + retry)
    assert found(told).get("quic_retry") == ("note" if retry else None)


def test_by_name(door, pki, asks):
    """The address at which the handshake was made, of those that the name has; none over QUIC for STARTTLS."""
    words = ("check", "--json", "--quic", "--quick", "--ca", pki.ca.file, "--name", NAME, *alice(pki))
    done = run(CARDEA, *words, f"localhost:{door.port}")
    assert json.loads(done.stdout)["quic"]["address"] == f"127.0.0.1:{door.port}" and done.returncode == 0, done
    port = free_port()
    done = run(CARDEA, *words, f"localhost:{port}")
    assert json.loads(done.stdout)["quic"]["result"] == "connection_refused" and done.returncode == 1, done
    done = run(CARDEA, *words, "--starttls", "smtp", f"localhost:{port}")
    assert json.loads(done.stdout)["quic"] is None, done


def test_a_long_chain(openssl, asks, pki):
    """More than a server may send to whom it does not know yet: it waits for a word of ours."""
    names = [NAME] + [f"a-name-to-fill-the-certificate-{i}.quic.test" for i in range(250)]
    told, _ = asks(openssl(pki.ca.issue("quic-long", dns=names)), "--quic")
    took = told["quic"]["handshake"]
    assert told["quic"]["result"] == "good" and took["received"] > took["allowed"] >= took["at_once"], took
    assert took["round_trips"] == 2 and found(told)["quic_round_trips"] == "note"


def test_an_untrusted_one(openssl, asks, pki):
    """The same proof of identity as over TCP."""
    told, status = asks(openssl(pki.ca.issue("quic-expired", dns=[NAME], start=-10 * 86400, end=-86400)), "--quic")
    assert told["quic"]["result"] == "not_proven" and "expired" in told["quic"]["detail"] and told["quic"]["path"] == []
    assert status == 1 and found(told)["not_proven"] == "F"
    told, status = asks(openssl(), "--quic", "--quick", "--name", "other.quic.test")
    assert told["result"] == told["quic"]["result"] == "not_proven" and "other.quic.test" in told["quic"]["detail"] and status == 1


def test_manual():
    manual = (ROOT / "doc/man/cardea-check.1").read_text()
    for word in ("quic-version", "quic-group", "quic-cipher", "quic-alpn", "early_data", "at_once"):
        assert word in manual
