# SPDX-License-Identifier: Apache-2.0
"""Names of targets are looked up at the door. A client is told whether the name does not exist, or nobody could tell; the
audit line says more. To whom the policy denies a name nothing is said about it, and it is not even looked up."""
import os
import socket

import pytest

import h3
import http2
import peers
import tls
from fixtures import clean_env
from run import CARDEA, ms, run

CASES = [  # name, code, status of HTTP, what the client reads, detail of the audit line, reason
    ("nx.inside", "no_such_host", 502, "no such host: nx.inside:22 (it is looked up at the door",
     "the name does not exist", "no_such_host"),
    ("big.inside", "no_such_host", 502, "no such host: big.inside:22", "the name exists, and has no address", "no_such_host"),
    ("else.where", "unresolved", 504, "the door's name servers do not tell the target's address: else.where:22",
     "no name server tells about the name: none can be reached, or they cannot tell", "unreachable"),
]


def loopback():
    """An address of this process's own, for name servers, which are asked at port 53."""
    return f"127.77.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"


@pytest.fixture(scope="module")
def dns(tmp_path_factory):
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((loopback(), 53))
    except PermissionError:
        pytest.skip("port 53 is not for us")
    server = peers.Dns(tmp_path_factory.mktemp("dns"), loopback(), 53)
    yield server
    server.stop()


def asks(path, *lines, hostname=None):
    """Words before the door's command, with which it asks these name servers, on a host of that name."""
    path.write_text("".join(f"{line}\n" for line in lines))
    name_it = "" if hostname is None else f"hostname {hostname} && "
    words = ["unshare", "--map-root-user", "--mount", "--uts", "sh", "-c",
             f'{name_it}mount --bind "$0" /etc/resolv.conf && exec "$@"', path]
    done = run(*words, "true")
    if done.returncode != 0:
        pytest.skip(f"mount namespaces are not for us: {done.stderr.decode()}")
    return words


def configuration(pki):
    return {
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()], "limits": {"dial_timeout": ms(700)},
        "routes": [{"name": "tunnel", "tunnel": {}, "alpn": ["cardea/1", "http/1.1", "h2", "h3"],
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "keep-out", "effect": "deny", "who": {"any": True}, "targets": ["secret.inside:*"]},
                   {"name": "net", "who": {"group": "ops"}, "targets": ["10.0.0.0/8:22", "*:22"]}],
    }


@pytest.fixture(scope="module")
def door(start_module_door, pki, dns, tmp_path_factory):
    path = tmp_path_factory.mktemp("resolv") / "resolv.conf"
    return start_module_door(configuration(pki), prefix=asks(path, f"nameserver {dns.address}"))


@pytest.mark.parametrize("transport", ["quic", "tcp"])
@pytest.mark.parametrize("name, code, status, text, detail, reason", CASES)
def test_connect(door, connect, transport, name, code, status, text, detail, reason):
    door.mark()
    done = connect(door, "--no-share", "--transport", transport, f"{name}:22")
    assert (done.returncode, done.stdout) == (1, b"") and text in done.stderr.decode(), done.stderr.decode()
    line = door.audited(target=f"{name}:22")
    assert (line["reason"], line["detail"]) == (reason, detail)


@pytest.mark.parametrize("name, code, status, text, detail, reason", CASES)
def test_other_protocols(door, pki, name, code, status, text, detail, reason):
    """cardea/1 has a code, HTTP a status and a type of RFC 9209."""
    kind = "dns_timeout" if code == "unresolved" else "dns_error"
    sock, said = tls.tunnel(door, "door.test", f"{name}:22", pki.alice)
    sock.close()
    assert (said["ok"], said["code"]) == (False, code)
    with tls.connect(door, "door.test", cert=pki.alice, alpn=["http/1.1"]) as sock:
        sock.sendall(f"CONNECT {name}:22 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = sock.recv(4096).decode()
    assert head.startswith(f"HTTP/1.1 {status} ") and f"error={kind}" in head
    with http2.Client(door, pki.alice) as client:
        assert client.answered(client.connect(f"{name}:22")).status == status
    with h3.Client(door.port, pki.alice) as client:
        assert client.answer(client.tcp(f"{name}:22"))[":status"] == str(status)


@pytest.mark.parametrize("who, target", [("alice", "secret.inside:22"), ("bob", "nx.inside:22"), ("bob", "else.where:22"),
                                         ("alice", "nx.inside:23")])
def test_denied_comes_first(door, connect, pki, who, target):
    """Whether the name exists is not said."""
    door.mark()
    done = connect(door, target, cert=getattr(pki, who))
    assert done.returncode == 1 and b"denied" in done.stderr and b"name" not in done.stderr, done.stderr
    assert door.audited(target=target, identity=who)["reason"] == "denied"


@pytest.mark.parametrize("name", ["app.inside", "nx.inside", "big.inside"])
def test_rows_for_networks_alone_tell_nothing_of_names(start_door, pki, dns, tmp_path, name):
    """A name that leads elsewhere, one that does not exist and one without an address are one to the client; where it
    leads is in the audit line."""
    base = configuration(pki)
    door = start_door({**base, "policy": [{"name": "keep-out", "effect": "deny", "who": {"any": True}, "targets": ["192.0.2.0/24:*"]},
                                          {"name": "net", "who": {"any": True}, "targets": ["198.51.100.0/24:22"]}]},
                      prefix=asks(tmp_path / "resolv.conf", f"nameserver {dns.address}"))
    text = f"no rule lets bob reach {name}:22 or an address of it"
    sock, said = tls.tunnel(door, "door.test", f"{name}:22", pki.bob)
    sock.close()
    assert said == {"v": 1, "ok": False, "code": "denied", "text": text}
    with http2.Client(door, pki.bob) as client:
        stream = client.answered(client.connect(f"{name}:22"))
        assert stream.status == 403
        assert stream.headers["proxy-status"] == f'cardea; error=http_request_denied; details="{text}"'
    line = door.audited(target=f"{name}:22")
    if name == "app.inside":
        assert (line["reason"], line["rule"]) == ("denied", "keep-out")
        assert line["detail"] == "rule keep-out does not let bob reach app.inside:22 (192.0.2.3:22)"
    else:
        assert line["reason"] == "no_such_host"


def test_where_a_name_leads_is_not_said(start_door, pki, dns, tmp_path):
    """Also where a row allows the name, and another keeps it from the address that it has."""
    base = configuration(pki)
    keep_out = {"name": "keep-out", "effect": "deny", "who": {"any": True}, "targets": ["192.0.2.0/24:*"]}
    door = start_door({**base, "policy": [keep_out, {"name": "all", "who": {"any": True}, "targets": ["*:22"]}]},
                      prefix=asks(tmp_path / "resolv.conf", f"nameserver {dns.address}"))
    for name, code in (("app.inside", "denied"), ("nx.inside", "no_such_host")):
        sock, said = tls.tunnel(door, "door.test", f"{name}:22", pki.bob)
        sock.close()
        assert said["code"] == code and "192.0.2.3" not in said["text"]
    assert "192.0.2.3" in door.audited(target="app.inside:22", reason="denied")["detail"]


@pytest.mark.parametrize("silent", [True, False])
def test_nobody_answers(start_door, connect, pki, dns, tmp_path, silent):
    """The name server takes questions and says nothing; or nobody listens there."""
    address = dns.address.replace("127.77.", "127.78.")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        if silent:
            server.bind((address, 53))
        door = start_door(configuration(pki), prefix=asks(tmp_path / "resolv.conf", f"nameserver {address}"))
        done = connect(door, "db.inside:22")
        said = "the door's name servers do not tell the target's address: db.inside:22; it may exist: try again later"
        assert done.returncode == 1 and said in done.stderr.decode(), done.stderr.decode()
        line = door.audited(target="db.inside:22")
        assert line["reason"] == ("dial_timeout" if silent else "unreachable")
        assert line["detail"].startswith("no name server tells about the name")
        if silent:
            assert server.recv(512)


def test_a_backend_s_name(start_door, pki, dns, tmp_path):
    """Its visitors are told nothing; the audit line has it all the same."""
    door = start_door({"certificates": [pki.server("web.test").row()],
                       "routes": [{"name": "web", "terminate": {"to": "nx.inside:80"}}]},
                      prefix=asks(tmp_path / "resolv.conf", f"nameserver {dns.address}"))
    tls.connect(door, "web.test").close()
    line = door.audited(route="web")
    assert (line["reason"], line["detail"]) == ("no_such_host", "the name does not exist")


def test_the_name_of_the_door(pki, dns, tmp_path):
    """The client's own name servers: it does not exist, or nobody answers."""
    words = ["connect", "--no-share", "--door", "nx.inside:443", "--cert", pki.alice.certificate, "--key", pki.alice.key]
    for address, text in ((dns.address, "cannot find the door: no such host: nx.inside"),
                          (dns.address.replace("127.77.", "127.78."), "cannot find the door: the name servers of this "
                                                                      "machine do not tell about nx.inside")):
        done = run(*asks(tmp_path / "resolv.conf", f"nameserver {address}"), CARDEA, *words, "host:22",
                   env=clean_env(tmp_path))
        assert done.returncode == 1 and text in done.stderr.decode(), done.stderr.decode()


@pytest.mark.parametrize("lines, hostname", [(["search inside"], None), (["search inside", "options ndots:5"], None),
                                             ([], "box.inside")])
def test_no_domain_is_added(start_door, connect, pki, dns, tmp_path, lines, hostname):
    """Policy is asked about the name as it is: app.inside would be another. (It is told apart by its address, which is
    not dialled.)"""
    config = configuration(pki)
    config["policy"] = [{"name": "keep-out", "effect": "deny", "who": {"any": True}, "targets": ["*.inside:*", "192.0.2.0/24:*"]},
                        {"name": "rest", "who": {"any": True}, "targets": ["*:22"]}]
    door = start_door(config, prefix=asks(tmp_path / "resolv.conf", f"nameserver {dns.address}", *lines, hostname=hostname))
    assert connect(door, "app:22").returncode == 1
    assert door.audited(target="app:22")["detail"].startswith("no name server tells about the name")
