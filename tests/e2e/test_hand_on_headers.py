# SPDX-License-Identifier: Apache-2.0
"""hand_on.headers: every HTTP/1.1 request tells the backend who the client has proven to be (RFC 9440), and nothing that a
client says in its stead arrives."""
import base64
import shutil
import ssl

import pytest

import peers
import tls
from peers import curl_door
from run import Process, free_port, wait_listening

OURS = ("client-cert", "x-forwarded-", "forwarded", "x-real-ip", "ssl-client-", "x-ssl-")


def der(cert, number=0):
    text = open(cert.certificate, encoding="ascii").read().split("-----END CERTIFICATE-----")[number]
    return base64.b64decode("".join(text.split("-----BEGIN CERTIFICATE-----")[1].split()))


def byte_sequence(data):
    return ":" + base64.b64encode(data).decode() + ":"


@pytest.fixture(scope="module")
def chained(tmp_path_factory):
    """A client whose certificate an intermediate has issued: (root, client)."""
    from pki import CA
    place = tmp_path_factory.mktemp("chained")
    root = CA(place / "root", "Root CA")
    return root, CA(place / "middle", "Middle CA", issuer=root).client("carol")


@pytest.fixture(scope="module")
def backend():
    """Answers each request, and keeps the heads as they came in `.heads`; switches protocols where asked to."""
    heads = []

    def handler(sock):
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            head, data = data.split(b"\r\n\r\n", 1)
            heads.append(head.decode("latin-1").split("\r\n"))
            fields = dict(line.lower().split(":", 1) for line in heads[-1][1:])
            if fields.get("upgrade", "").strip() == "websocket":
                sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + data)
                peers.echo(sock)
                return
            size = int(fields.get("content-length", "0"))
            while len(data) < size:
                data += sock.recv(65536)
            body, data = data[:size], data[size:]
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body) + 2, b"ok" + body))
    with peers.Server(handler) as server:
        server.heads = heads
        yield server


@pytest.fixture(scope="module")
def door(start_module_door, pki, backend, chained):
    staff = {"mode": "optional", "trust": "staff"}
    return start_module_door({
        "certificates": [pki.server("www.test", "chain.test").row()],
        "trust": [pki.trust(), {"name": "chained", "ca": [chained[0].file]}],
        "policy": [{"name": "all", "who": {"any": True}}],
        "routes": [
            {"name": "www", "sni": "www.test", "terminate": {"to": backend.to}, "clients": staff,
             "hand_on": {"headers": True}},
            {"name": "chain", "sni": "chain.test", "terminate": {"to": backend.to},
             "clients": {"mode": "required", "trust": "chained"}, "hand_on": {"headers": True, "chain": True}},
        ]})


def ours(head):
    """What only the door may set, of a head as the backend got it: {name: value}, each once."""
    found = {}
    for line in head[1:]:
        name, value = line.split(":", 1)
        plain = "".join(c if c.isalnum() else "-" for c in name.lower())
        if plain.startswith(OURS):
            assert name not in found, head
            found[name] = value.strip()
    return found


def expected(cert, address="127.0.0.1"):
    fields = {"Forwarded": f"for={address};proto=https", "X-Forwarded-For": address, "X-Forwarded-Proto": "https"}
    return fields if cert is None else {**fields, "Client-Cert": byte_sequence(der(cert))}


def ask(sock, *fields, line="GET / HTTP/1.1", body=b""):
    sock.sendall("\r\n".join([line, "Host: www.test", *fields, "", ""]).encode() + body)
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = sock.recv(65536)
        assert more, answer
        answer += more
    return answer


def test_every_request_of_a_connection(door, backend, pki):
    with tls.connect(door, "www.test", ca=pki.ca.file, cert=pki.alice) as sock:
        for number in range(3):
            ask(sock, line=f"GET /{number} HTTP/1.1")
            assert backend.heads[-1][0] == f"GET /{number} HTTP/1.1"
            assert ours(backend.heads[-1]) == expected(pki.alice)
        before = len(backend.heads)
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" * 10)
        answers = tls.read_exactly(sock, 10 * len(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nokhello"))
        assert answers.count(b"okhello") == 10
    assert [ours(head) for head in backend.heads[before:]] == [expected(pki.alice)] * 10


def test_client_without_certificate(door, backend, pki):
    with tls.connect(door, "www.test", ca=pki.ca.file) as sock:
        ask(sock, "Client-Cert: " + byte_sequence(der(pki.alice)))
    assert ours(backend.heads[-1]) == expected(None)


def test_chain(door, backend, pki, chained):
    carol = chained[1]
    with tls.connect(door, "chain.test", ca=pki.ca.file, cert=carol) as sock:
        ask(sock, "Client-Cert-Chain: :AA==:")
    assert ours(backend.heads[-1]) == {**expected(carol), "Client-Cert-Chain": byte_sequence(der(carol, 1))}


def test_session_that_goes_on(door, backend, pki):
    """The certificate is that of the connection before, proven again."""
    ctx = tls.context(pki.ca.file, pki.alice)
    with tls.connect(door, "www.test", ctx=ctx) as sock:
        ask(sock)
        session = sock.session
    with tls.connect(door, "www.test", ctx=ctx, session=session) as sock:
        assert sock.session_reused
        ask(sock)
    assert ours(backend.heads[-1]) == expected(pki.alice)


FORGED = [
    "Client-Cert: {0}", "client-cert: {0}", "CLIENT-CERT: {0}", "Client_Cert: {0}", "CLIENT_CERT: {0}", "client.cert: {0}",
    "Client-Cert:{0}", "Client-Cert: \t {0} ", "Client-Cert: {0}\r\nClient-Cert: {0}", "Client-Cert-Chain: {0}",
    "Client_Cert_Chain: {0}", "X-Forwarded-For: 10.0.0.1", "X_Forwarded_For: 10.0.0.1", "X-Forwarded-Client-Cert: Cert={0}",
    "Forwarded: for=10.0.0.1", "X-Real-IP: 10.0.0.1", "SSL-Client-Verify: SUCCESS", "X-SSL-Client-CN: root",
]
REFUSED = [
    "Client-Cert : {0}", "Client-Cert\t: {0}", " Client-Cert: {0}", "X: 1\r\n Client-Cert: {0}", "X: 1\nClient-Cert: {0}",
    "X: 1\rClient-Cert: {0}", "Client-Cert\0: {0}", "\vClient-Cert: {0}", "Client Cert: {0}", "Connection: Client-Cert",
    "Connection: close, client_cert", "Content-Length: 0\r\nTransfer-Encoding: chunked", "Content-Length: 1\r\nContent-Length: 1",
    "Transfer-Encoding: x, chunked", "Content_Length: 3", "Transfer-Encoding : chunked", "Host: other.test",
]


@pytest.mark.parametrize("cert", ["alice", None])
@pytest.mark.parametrize("field", FORGED)
def test_a_forged_field_never_arrives(door, backend, pki, field, cert):
    who = getattr(pki, cert) if cert else None
    with tls.connect(door, "www.test", ca=pki.ca.file, cert=who) as sock:
        ask(sock, "A: 1", field.format(byte_sequence(der(pki.bob))), "B: 2")
    head = backend.heads[-1]
    assert ours(head) == expected(who)
    assert "A: 1" in head and "B: 2" in head and byte_sequence(der(pki.bob)) not in "".join(head)


@pytest.mark.parametrize("field", REFUSED)
def test_an_ambiguous_request_is_refused(door, backend, pki, field):
    """With an answer to the client, a line that says why, and nothing to the backend."""
    before = len(backend.heads)
    with tls.connect(door, "www.test", ca=pki.ca.file, cert=pki.alice) as sock:
        answer = ask(sock, field.format(byte_sequence(der(pki.bob))))
        assert answer.split(b" ")[1] in (b"400", b"501")
        assert b"Connection: close\r\n" in answer
        rest = tls.read_all(sock)
        local = sock.getsockname()
    assert len(backend.heads) == before
    line = door.audited_of(local)
    assert line["reason"] == "bad_request" and line["detail"] in (answer + rest).decode()


def test_a_smuggled_request_is_content(door, backend, pki):
    inner = b"GET /inner HTTP/1.1\r\nHost: www.test\r\nClient-Cert: :AA==:\r\n\r\n"
    with tls.connect(door, "www.test", ca=pki.ca.file, cert=pki.alice) as sock:
        answer = ask(sock, f"Content-Length: {len(inner)}", line="POST / HTTP/1.1", body=inner)
    assert answer.startswith(b"HTTP/1.1 200") and "/inner" not in backend.heads[-1][0]


def test_upgrade(door, backend, pki):
    """Behind a 101 the bytes are another protocol's."""
    with tls.connect(door, "www.test", ca=pki.ca.file, cert=pki.alice) as sock:
        answer = ask(sock, "Connection: Upgrade", "Upgrade: websocket")
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert ours(backend.heads[-1]) == expected(pki.alice)
        raw = b"GET / HTTP/1.1\r\nClient-Cert: :AA==:\r\n\r\n\0\n"
        sock.sendall(raw)
        assert tls.read_exactly(sock, len(raw)) == raw
        tls.finish(sock)


def test_http2_is_not_offered(door, pki):
    with tls.connect(door, "www.test", ca=pki.ca.file, alpn=["h2", "http/1.1"]) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
    with pytest.raises(ssl.SSLError):
        tls.connect(door, "www.test", ca=pki.ca.file, alpn=["h2"])


# Real backends ----------------------------------------------------------------------------------------------------

NGINX = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_max_body_size 100m;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    root {directory}/www;
    underscores_in_headers on;
    server {{ listen 127.0.0.1:{port};
        location = /who {{ return 200 "$http_client_cert\\n$http_x_forwarded_for\\n$http_forwarded\\n"; }}
        location / {{ dav_methods PUT; }} }}
}}
"""


@pytest.fixture
def web(start_door, pki, tmp_path):
    """A door before an nginx that takes underscores in names for what they are."""
    (tmp_path / "www").mkdir()
    port = free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(NGINX.format(directory=tmp_path, port=port))
    process = Process([shutil.which("nginx") or "/usr/sbin/nginx", "-c", config, "-e", tmp_path / "error.log"], tmp_path, "nginx")
    wait_listening(port, process)
    yield start_door({
        "certificates": [pki.server("www.test").row()],
        "trust": [pki.trust()],
        "policy": [{"name": "all", "who": {"any": True}}],
        "routes": [{"name": "www", "terminate": {"to": f"127.0.0.1:{port}"}, "hand_on": {"headers": True},
                    "clients": {"mode": "required", "trust": "staff"}}]})
    process.stop()


def test_nginx_prints_the_certificate(web, pki):
    """On each request of a connection, and nothing of what the client said in its stead."""
    forged = ("-H", "Client-Cert: :AA==:", "-H", "Client_Cert: :AA==:", "-H", "X-Forwarded-For: 10.0.0.1")
    url = "https://www.test:{port}/who"
    done = curl_door(web, url, *forged, url.format(port=web.port), "--cert", pki.alice.certificate, "--key", pki.alice.key,
                     ca=pki.ca.file)
    lines = done.stdout.decode().split("\n")
    assert lines[:3] == lines[3:6] == [byte_sequence(der(pki.alice)), "127.0.0.1", "for=127.0.0.1;proto=https"]


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_bulk_keeps_its_bytes(web, pki, tmp_path, coding):
    """Megabytes up and down, whichever way they are framed."""
    data = bytes(range(256)) * 4 * 4096
    (tmp_path / "bulk").write_bytes(data)
    words = ("--cert", pki.alice.certificate, "--key", pki.alice.key)
    url = "https://www.test:{port}/bulk"
    chunked = ("-H", "Transfer-Encoding: chunked") if coding == "chunked" else ()
    done = curl_door(web, url, *words, "-T", tmp_path / "bulk", *chunked, ca=pki.ca.file)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "www" / "bulk").read_bytes() == data
    done = curl_door(web, url, *words, ca=pki.ca.file)
    assert done.stdout == data
