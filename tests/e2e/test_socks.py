# SPDX-License-Identifier: Apache-2.0
"""cardea connect --socks: curl's SOCKS5, a UDP ASSOCIATE client of our own, and what hostile or mistaken clients send."""
import signal
import socket
import struct
import time

import pytest

import tls
from fixtures import clean_env, connect_words
from peers import FullBacklog, UdpEcho, curl
from run import SLOW, Process, free_port, ms, run, wait_listening, wait_until

GREETING = b"\5\1\0"


def ipv4(host, port):
    return b"\1" + socket.inet_aton(host) + struct.pack("!H", port)


def named(host, port):
    return b"\3" + bytes([len(host)]) + host.encode() + struct.pack("!H", port)


def ipv6(host, port):
    return b"\4" + socket.inet_pton(socket.AF_INET6, host) + struct.pack("!H", port)


@pytest.fixture(scope="module")
def echo_udp():
    with UdpEcho() as server:
        yield server


@pytest.fixture(scope="module")
def silent():
    with FullBacklog() as listener:
        yield listener


@pytest.fixture(scope="module")
def door(start_module_door, pki, echo_udp, dns):
    return start_module_door({
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "limits": {"udp_idle_timeout": ms(1500)},
        "routes": [{"name": "tunnel", "sni": "door.test", "alpn": "cardea/1", "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "no", "effect": "deny", "who": {"any": True}, "targets": ["127.0.0.3:*"]},
                   {"name": "ops", "who": {"group": "ops"},
                    "targets": ["127.0.0.0/8:*", "localhost:*", "[::1]:*", "nowhere.invalid:*",
                                f"udp:127.0.0.1:{echo_udp.port}", f"udp:localhost:{echo_udp.port}",
                                f"udp:localhost:{dns.port}"]}]})


@pytest.fixture(params=["quic", "tcp"])
def socks(request, start_connect, door):
    """The port of a SOCKS server; `process` is the program."""
    port = free_port()
    process = start_connect(door, "--transport", request.param, "--socks", str(port), ports=[port])
    return type("Socks", (), {"port": port, "process": process, "transport": request.param})


@pytest.fixture
def tcp_socks(start_connect, door):
    port = free_port()
    process = start_connect(door, "--transport", "tcp", "--socks", str(port), ports=[port])
    return type("Socks", (), {"port": port, "process": process})


def dial(socks):
    sock = socket.create_connection(("127.0.0.1", socks.port), 10 * SLOW)
    return sock


def reply_of(sock):
    """The code of the reply, and the address in it."""
    head = tls.read_exactly(sock, 4)
    assert head[0] == 5 and head[2] == 0
    size = {1: 4, 4: 16}[head[3]]
    address = tls.read_exactly(sock, size)
    family = socket.AF_INET if size == 4 else socket.AF_INET6
    return head[1], (socket.inet_ntop(family, address), struct.unpack("!H", tls.read_exactly(sock, 2))[0])


def ask(sock, address, command=1):
    sock.sendall(GREETING)
    assert tls.read_exactly(sock, 2) == b"\5\0"
    sock.sendall(bytes([5, command, 0]) + address)
    return reply_of(sock)


# CONNECT ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("flag", ["--socks5", "--socks5-hostname"])
def test_curl(socks, nginx, pki, flag):
    """HTTP and HTTPS; names are looked up by curl or by the door."""
    proxy = (flag, f"127.0.0.1:{socks.port}", "--noproxy", "")
    done = curl(*proxy, f"http://localhost:{nginx.ports['h1']}/who")
    assert done.stdout == b"h1 HTTP/1.1 localhost\n", done.stderr
    done = curl(*proxy, "--cacert", pki.ca.file, f"https://127.0.0.1:{nginx.ports['tls']}/who", "-H", "Host: backend.test")
    assert b"tls " in done.stdout or b"SSL" in done.stderr, (done.stdout, done.stderr)
    done = curl(*proxy, "-k", f"https://localhost:{nginx.ports['tls']}/who")
    assert done.stdout.startswith(b"tls HTTP/2.0 localhost"), (done.stdout, done.stderr)


def test_a_large_download(socks, nginx, tmp_path):
    data = nginx.file("socks-big", 8 << 20).read_bytes()
    done = curl("--socks5-hostname", f"127.0.0.1:{socks.port}", f"http://localhost:{nginx.ports['h1']}/socks-big")
    assert done.stdout == data


def test_bytes_right_behind_the_request(socks, echo):
    """All in one: greeting, request and payload. Nothing is lost, and the end comes through."""
    with dial(socks) as sock:
        sock.sendall(GREETING + b"\5\1\0" + named("LocalHost.", echo.port) + b"early " * 1000)
        sock.shutdown(socket.SHUT_WR)
        assert tls.read_exactly(sock, 2) == b"\5\0"
        assert reply_of(sock)[0] == 0
        assert tls.read_all(sock) == b"early " * 1000


def test_one_byte_at_a_time(tcp_socks, banner):
    with dial(tcp_socks) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"\5\2\2\0" + b"\5\1\0" + ipv4("127.0.0.1", banner.port):
            sock.sendall(bytes([byte]))
            time.sleep(0.002)
        assert tls.read_exactly(sock, 2) == b"\5\0"
        assert reply_of(sock)[0] == 0
        assert tls.read_exactly(sock, 16) == b"behind the door\n"


def test_outcomes(tcp_socks, silent, door):
    """What the door answers is told in SOCKS, and said once on standard error; early bytes do not destroy the reply."""
    closed = free_port()
    for address, code, word in ((ipv4("127.0.0.3", 1), 2, "denied"), (named("nowhere.invalid", 1), 4, "no such host"),
                                (ipv4("127.0.0.1", closed), 5, "refused"), (ipv4("10.9.9.9", 1), 2, "denied"),
                                (ipv6("::ffff:127.0.0.1", closed), 5, "refused"), (ipv6("::1", closed), 5, "refused"),
                                (ipv4("127.0.0.1", silent.port), 6, "did not answer")):
        with dial(tcp_socks) as sock:
            before = tcp_socks.process.output().count(word)
            sock.sendall(GREETING + b"\5\1\0" + address + b"early" * 100)
            assert tls.read_exactly(sock, 2) == b"\5\0"
            assert reply_of(sock) == (code, ("0.0.0.0", 0))
            assert tls.read_all(sock) == b""
            wait_until(lambda: tcp_socks.process.output().count(word) == before + 1, tcp_socks.process.output)


def test_no_door(pki, tmp_path):
    """Where the door cannot be reached: general failure."""
    port = free_port()
    process = Process([*connect_words(f"127.0.0.1:{free_port()}", pki.alice, pki.ca.file), "--transport", "tcp", "--socks",
                       f"127.0.0.1:{port}"], tmp_path, "connect", env=clean_env(tmp_path))
    wait_listening(port, process)
    with socket.create_connection(("127.0.0.1", port), 10 * SLOW) as sock:
        assert ask(sock, ipv4("127.0.0.1", 1))[0] == 1
    wait_until(lambda: "refused the connection" in process.output(), process.output)
    assert process.stop() == 0


# What is refused --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sent,answer,word", [
    (b"\4\1\0\x50\x7f\0\0\1\0", b"", "SOCKS4"),
    (b"GET / HTTP/1.1\r\n\r\n", b"", "HTTP"),
    (b"\x16\3\1\2\0", b"", "first byte"),
    (b"\5\1\2", b"\5\xff", "authentication"),
    (b"\5\0", b"\5\xff", "authentication"),
    (GREETING + b"\5\2\0" + ipv4("127.0.0.1", 1), b"\5\0\5\7\0\1\0\0\0\0\0\0", "BIND"),
    (GREETING + b"\5\x7f\0" + ipv4("127.0.0.1", 1), b"\5\0\5\7\0\1\0\0\0\0\0\0", "unknown command"),
    (GREETING + b"\5\1\0\2" + b"x" * 30, b"\5\0\5\x08\0\1\0\0\0\0\0\0", "type 2"),
    (GREETING + b"\5\1\1" + ipv4("127.0.0.1", 1), b"\5\0\5\1\0\1\0\0\0\0\0\0", "reserved"),
    (GREETING + b"\5\1\0" + named("a b", 1), b"\5\0\5\1\0\1\0\0\0\0\0\0", "letters, digits"),
    (GREETING + b"\5\1\0" + named("", 1), b"\5\0\5\1\0\1\0\0\0\0\0\0", "no host"),
    (GREETING + b"\5\1\0" + ipv4("127.0.0.1", 0), b"\5\0\5\1\0\1\0\0\0\0\0\0", "port"),
])
def test_refused(tcp_socks, sent, answer, word):
    with dial(tcp_socks) as sock:
        sock.sendall(sent)
        assert tls.read_all(sock) == answer
    wait_until(lambda: word in tcp_socks.process.output(), tcp_socks.process.output)


def test_an_unfinished_request_ends(tcp_socks, banner):
    """After ten seconds; others are served meanwhile."""
    with dial(tcp_socks) as sock, dial(tcp_socks) as other:
        sock.settimeout(30 * SLOW)
        sock.sendall(GREETING + b"\5\1\0\3\xffnot all of a name")
        assert ask(other, ipv4("127.0.0.1", banner.port))[0] == 0
        started = time.monotonic()
        assert tls.read_all(sock) == b"\5\0"
        assert 8 < time.monotonic() - started < 15 * SLOW
        assert tls.read_exactly(other, 16) == b"behind the door\n"


def test_a_port_for_others_is_warned_of(start_connect, door):
    port = free_port()
    process = start_connect(door, "--socks", f"*:{port}", ports=[port])
    wait_until(lambda: "open to other machines" in process.output() and "for SOCKS5" in process.output(), process.output)


def test_beside_others(start_connect, door, banner, echo):
    """--socks twice, and -L."""
    ports = [free_port() for _ in range(3)]
    process = start_connect(door, "--socks", str(ports[0]), "-L", f"{ports[1]}:127.0.0.1:{banner.port}",
                            "--socks", f"127.0.0.2:{ports[2]}", ports=ports)
    assert "warning" not in process.output()
    for host, port in (("127.0.0.1", ports[0]), ("127.0.0.2", ports[2])):
        with socket.create_connection((host, port), 10 * SLOW) as sock:
            assert ask(sock, ipv4("127.0.0.1", banner.port))[0] == 0
            assert tls.read_exactly(sock, 16) == b"behind the door\n"
    with socket.create_connection(("127.0.0.1", ports[1]), 10 * SLOW) as sock:
        assert tls.read_exactly(sock, 16) == b"behind the door\n"


def test_misuse(door, pki, tmp_path):
    for words, word in ((["--socks", "1080", "--sni", "app.test"], b"do not go together"),
                        (["--socks", "1080", "--udp"], b"--udp goes with"), (["--socks", "0"], b"not a port"),
                        (["--socks", "1:2:3"], b"[ADDR:]PORT"), (["--socks", "1080", "h:1"], b"too many")):
        done = run(*connect_words(door, pki.alice, pki.ca.file), *words, env=clean_env(tmp_path))
        assert done.returncode == 2 and word in done.stderr, done.stderr


# UDP ASSOCIATE ----------------------------------------------------------------------------------------------------

class Association:
    """A UDP ASSOCIATE: its TCP connection, and a socket for datagrams."""

    def __init__(self, socks, port=None):
        self.tcp = dial(socks)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.settimeout(5 * SLOW)
        told = self.udp.getsockname()[1] if port is None else port
        code, self.relay = ask(self.tcp, ipv4("0.0.0.0", told), command=3)
        assert code == 0 and self.relay[0] == "127.0.0.1" and self.relay[1] > 0

    def send(self, address, data, fragment=0, sock=None):
        (sock or self.udp).sendto(b"\0\0" + bytes([fragment]) + address + data, self.relay)

    def receive(self, address):
        """A datagram, which must say that it comes from `address`."""
        data, source = self.udp.recvfrom(65536)
        assert source == self.relay and data.startswith(b"\0\0\0" + address), data[:40]
        return data[3 + len(address):]

    def silent(self):
        self.udp.settimeout(0.3 * SLOW)
        with pytest.raises(TimeoutError):
            self.udp.recv(65536)
        self.udp.settimeout(5 * SLOW)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tcp.close()
        self.udp.close()


@pytest.mark.parametrize("port", [None, 0])
def test_datagrams(socks, echo_udp, port):
    """Whole, of every size, by address and by name; answers say where they come from, as the client wrote it."""
    with Association(socks, port) as a:
        for size in (1, 0, 512, 1350, 9000, 60000):
            for address in (ipv4("127.0.0.1", echo_udp.port), named("localhost", echo_udp.port)):
                data = bytes(i * 7 % 256 for i in range(size))
                a.send(address, data)
                assert a.receive(address) == data


def test_fragments_and_strangers_are_dropped(socks, echo_udp):
    address = ipv4("127.0.0.1", echo_udp.port)
    with Association(socks) as a, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.2", 0))
        a.send(address, b"fragment", fragment=1)
        a.send(address, b"last fragment", fragment=0x80)
        a.send(address, b"from another address", sock=stranger)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as same_host:
            a.send(address, b"from another port", sock=same_host)
        for junk in (b"", b"\0", b"\0\0\0", b"\0\0\0\1", b"\0\0\0\2" + b"x" * 30, b"\1\0\0" + address + b"x",
                     b"\0\0\0\3\xffshort", b"\0\0\0" + ipv4("127.0.0.1", 0) + b"x", b"\0\0\0" + named("a b", 1) + b"x"):
            a.udp.sendto(junk, a.relay)
        a.send(address, b"mine")
        assert a.receive(address) == b"mine"
        a.silent()


def test_it_ends_with_its_connection(socks, echo_udp, door):
    """The relay's port is closed and its flows end at once."""
    address = ipv4("127.0.0.1", echo_udp.port)
    door.mark()
    with Association(socks) as a:
        a.send(address, b"hello")
        assert a.receive(address) == b"hello"
        files = socks.process.open_files()
        a.tcp.close()
        wait_until(lambda: socks.process.open_files() <= files - 2, "the descriptors of the association to be closed")
        line = door.audited(target=f"udp:127.0.0.1:{echo_udp.port}")
        assert line["identity"] == "alice" and line["reason"] != "idle_timeout"


def test_a_denied_flow_is_said(socks, echo_udp):
    with Association(socks) as a:
        a.send(ipv4("127.0.0.3", echo_udp.port), b"x")
        wait_until(lambda: "denied" in socks.process.output(), socks.process.output)
        a.send(ipv4("127.0.0.1", echo_udp.port), b"y")
        assert a.receive(ipv4("127.0.0.1", echo_udp.port)) == b"y"


def test_flows_of_an_association_are_bounded(tcp_socks, echo_udp, door):
    """More than 256 destinations: said once, and those that were there go on."""
    with Association(tcp_socks) as a:
        mine = ipv4("127.0.0.1", echo_udp.port)
        a.send(mine, b"first")
        assert a.receive(mine) == b"first"
        door.process.pause()  # so that none of them has ended before there are too many
        try:
            for port in range(1, 400):
                a.send(ipv4("127.0.0.3", port), b"x")
                if port % 50 == 0:
                    time.sleep(0.05 * SLOW)  # the socket holds some 256
            wait_until(lambda: "more than 256" in tcp_socks.process.output(), tcp_socks.process.output, 30)
        finally:
            door.process.send(signal.SIGCONT)
        assert tcp_socks.process.output().count("more than 256") == 1
        a.send(mine, b"still here")
        assert a.receive(mine) == b"still here"


def test_a_dns_server(socks, dns):
    """A query by hand to a real server, named to the door as localhost."""
    query = struct.pack("!6H", 0x4242, 0x0100, 1, 0, 0, 0) + b"\3app\6inside\0" + struct.pack("!2H", 1, 1)
    address = named("localhost", dns.port)
    with Association(socks) as a:
        a.send(address, query)
        answer = a.receive(address)
    assert answer[:2] == query[:2] and answer.endswith(socket.inet_aton(dns.ADDRESS))
