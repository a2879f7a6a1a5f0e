# SPDX-License-Identifier: Apache-2.0
"""`certificates: - directory:` holds certificates that are found by the server name and loaded when it is first asked
for; what is replaced is served from the next handshake on, and what is bad is not."""
import concurrent.futures
import shutil
import signal
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

import tls
from cryptography import x509
from run import SANITIZER, wait_until
from slow_files import SlowFiles

UNRECOGNIZED_NAME, INTERNAL_ERROR = 112, 80


class Folder:
    """A folder of certificates."""

    def __init__(self, directory, pki):
        self.path = Path(directory) / "names"
        self.path.mkdir()
        self.pki = pki

    def put(self, stem, *names, key="ec", apart=False, fresh=False):
        """Put a certificate for `names` (default: the stem) in place, in one step. `fresh`: one of its own."""
        names = names or (stem,)
        label = f"fresh-{stem}-{time.monotonic_ns()}" if fresh else None
        cert = self.pki.ca.issue(names[0], dns=names, key=key, label=label) if fresh else self.pki.server(*names, key=key)
        chain, secret = Path(cert.certificate).read_text(), Path(cert.key).read_text()
        if apart:
            self.write(f"{stem}.key", secret)
        self.write(f"{stem}.pem", chain if apart else chain + secret)
        return serial(cert)

    def write(self, file, text):
        staged = self.path / ".staged"
        staged.write_text(text)
        staged.chmod(0o600)
        staged.rename(self.path / file)


def serial(cert):
    return x509.load_pem_x509_certificate(Path(cert.certificate).read_bytes()).serial_number


@pytest.fixture
def folder(tmp_path, pki):
    return Folder(tmp_path, pki)


def config(folder, echo, **more):
    return {"workers": 2, "certificates": [{"directory": str(folder.path)}],
            "routes": [{"name": "web", "terminate": {"to": echo.to}}], **more}


def shown(door, sni, **more):
    """The serial number of the certificate that this name gets."""
    with tls.connect(door, sni, **more) as sock:
        return x509.load_der_x509_certificate(sock.getpeercert(True)).serial_number


def refused(door, sni):
    """The alert that this name gets before TLS begins."""
    with door.dial() as sock:
        sock.sendall(tls.client_hello(sni))
        return tls.alert_of(sock)


def test_found_by_name(start_door, pki, folder, echo):
    """A file for each name, or for all names below one; the key in it or beside it. OpenSSL believes what it gets."""
    serials = {"www.example.com": folder.put("www.example.com"),
               "apart.example.com": folder.put("apart.example.com", apart=True),
               "any.below.example.com": folder.put("_.below.example.com", "*.below.example.com"),
               "other.below.example.com": None,
               "one.starred.example.com": folder.put("*.starred.example.com", "*.starred.example.com", apart=True)}
    serials["other.below.example.com"] = serials["any.below.example.com"]
    door = start_door(config(folder, echo))
    for _ in range(3):
        for name, number in serials.items():
            assert shown(door, name, ca=pki.ca.file) == number, name
    with tls.connect(door, "www.example.com", ca=pki.ca.file) as sock:
        sock.sendall(b"hello\n")
        assert sock.recv(6) == b"hello\n"


def test_both_kinds_of_keys(start_door, folder, echo):
    """NAME.rsa.pem beside NAME.pem: each client gets what it can verify."""
    ec, rsa = folder.put("www.example.com"), folder.put("www.example.com.rsa", "www.example.com", key="rsa")
    door = start_door(config(folder, echo))
    only_rsa = tls.context(most=ssl.TLSVersion.TLSv1_2)
    only_rsa.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert shown(door, "www.example.com") == ec
    assert shown(door, "www.example.com", ctx=only_rsa) == rsa
    assert refused(door, "www.example.com.rsa") == UNRECOGNIZED_NAME  # it is no name


def test_refused(start_door, folder, echo):
    """A name without a file, and no name at all: an alert, and why in the audit."""
    folder.put("www.example.com")
    door = start_door(config(folder, echo))
    assert refused(door, "unknown.example.com") == UNRECOGNIZED_NAME
    line = door.audited(sni="unknown.example.com", reason="uncertified")
    assert line["detail"] == "the folder of certificates has none for this name"
    assert refused(door, None) == UNRECOGNIZED_NAME
    assert "names no host" in door.audited(reason="uncertified", count=2)[1]["detail"]


def test_tricks(start_door, folder, echo):
    """Names that would lead out of the folder, or to files that are none."""
    folder.put("www.example.com")
    shutil.copy(folder.path / "www.example.com.pem", folder.path.parent / "outside.pem")
    (folder.path / "sub").mkdir()
    shutil.copy(folder.path / "www.example.com.pem", folder.path / "sub" / "x.pem")
    (folder.path / "dir.example.com.pem").mkdir()
    door = start_door(config(folder, echo))
    longest = ".".join(["a" * 49] * 5)
    for name in ["../outside", "sub/x", ".", "..", "/etc/hostname", "www.example.com/", "*.example.com", "x" * 63,
                 longest, "dir.example.com", "_.example.com", ".pem", "www.example.com.pem"]:
        hello = raw_hello(name)
        with door.dial() as sock:
            sock.sendall(hello)
            assert tls.alert_of(sock) is not None, name
    assert shown(door, "WWW.Example.COM")
    others = [line["reason"] for line in door.audit() if line.get("sni", "").lower() != "www.example.com"]
    assert set(others) <= {"uncertified", "hello_bad"}, others


def raw_hello(name):
    """A ClientHello with any bytes as its server name: the client library's, with the name replaced."""
    stand_in = "n" * len(name) if len(name) < 64 else ".".join(["n" * 49] * 5)
    size = struct.pack("!H", len(name))
    hello = tls.client_hello(stand_in)
    assert len(stand_in) == len(name) and hello.count(size + stand_in.encode()) == 1
    return hello.replace(size + stand_in.encode(), size + name.encode())


def test_replaced_while_serving(start_door, pki, folder, echo):
    """The next handshake gets the new certificate, on each worker; who is connected stays."""
    first = folder.put("www.example.com")
    folder.put("_.below.example.com", "*.below.example.com")
    door = start_door(config(folder, echo))
    with tls.connect(door, "www.example.com") as stays:
        for _ in range(8):
            assert shown(door, "www.example.com") == first
        shown(door, "a.below.example.com")
        second = folder.put("www.example.com", fresh=True)
        below = folder.put("_.below.example.com", "*.below.example.com", fresh=True)
        wait_until(lambda: shown(door, "www.example.com") == second, "the new certificate")
        wait_until(lambda: shown(door, "a.below.example.com") == below, "the new certificate below")
        workers = set()
        for _ in range(40):
            with tls.connect(door, "www.example.com") as sock:
                number = x509.load_der_x509_certificate(sock.getpeercert(True)).serial_number
                workers.add(door.worker_of(sock))
            assert number == second
        assert workers == {0, 1}
        stays.sendall(b"still\n")
        assert stays.recv(6) == b"still\n"


def test_curl_sees_the_new_one(start_door, pki, folder, echo, tmp_path):
    folder.put("www.example.com")
    door = start_door(config(folder, echo))
    keys = set()

    def key_seen():
        done = subprocess.run(
            ["curl", "-sv", "--cacert", pki.ca.file, "--resolve", f"www.example.com:{door.port}:127.0.0.1", "-m", "5",
             "-w", "%{certs}", "-o", "/dev/null", f"https://www.example.com:{door.port}/"],
            capture_output=True, text=True, timeout=20, check=False)
        found = [line for line in done.stdout.splitlines() if line.startswith("Serial Number:")]
        keys.update(found)
        return found
    before = key_seen()
    assert before
    folder.put("www.example.com", fresh=True)
    wait_until(lambda: key_seen() != before, "curl to see another certificate")
    assert len(keys) == 2


def test_names_come_and_go(start_door, folder, echo):
    """A refusal is not remembered for longer than it is true; a file that goes takes its name with it."""
    door = start_door(config(folder, echo))
    for _ in range(4):
        assert refused(door, "late.example.com") == UNRECOGNIZED_NAME
    number = folder.put("late.example.com")
    wait_until(lambda: refused(door, "late.example.com") is None, "the name to be served")
    assert shown(door, "late.example.com") == number
    (folder.path / "late.example.com.pem").unlink()
    wait_until(lambda: refused(door, "late.example.com") == UNRECOGNIZED_NAME, "the name to be gone")


def test_bad_files(start_door, pki, folder, echo):
    """What cannot be used is said, and what was good before goes on; what was never good is refused."""
    good = folder.put("www.example.com")
    folder.write("broken.example.com.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    folder.write("empty.example.com.pem", "")
    folder.put("open.example.com")
    (folder.path / "open.example.com.pem").chmod(0o644)
    folder.put("other.example.com", "another.example.com")
    door = start_door(config(folder, echo))
    for name, why in (("broken.example.com", "cannot be read"), ("empty.example.com", "no certificate in PEM"),
                      ("open.example.com", "chmod 600")):
        assert refused(door, name) == UNRECOGNIZED_NAME
        wait_until(lambda why=why: why in door.process.output(), f"the notice: {why}")
        assert f"{name}.pem" in door.process.output()
        assert "see what the door says" in door.audited(sni=name)["detail"]
    assert refused(door, "other.example.com") == UNRECOGNIZED_NAME
    assert "is for other names" in door.audited(sni="other.example.com")["detail"]
    assert shown(door, "www.example.com") == good
    mark = len(door.process.output())
    folder.write("www.example.com.pem", "nothing of the kind\n")
    wait_until(lambda: "www.example.com.pem" in door.process.output()[mark:], "the notice")
    for _ in range(8):
        assert shown(door, "www.example.com") == good
    better = folder.put("www.example.com", fresh=True)
    wait_until(lambda: shown(door, "www.example.com") == better, "the good one")


def test_expired(start_door, pki, folder, echo):
    """It is served, since clients may take it, and told of."""
    old = pki.ca.issue("old.example.com", dns=["old.example.com"], start=-7200, end=-3600)
    folder.write("old.example.com.pem", Path(old.certificate).read_text() + Path(old.key).read_text())
    door = start_door(config(folder, echo))
    assert shown(door, "old.example.com") == serial(old)
    wait_until(lambda: "old.example.com.pem expired on" in door.process.output(), "the notice")


def test_secrets_are_not_told(start_door, folder, echo):
    """A private key that is no key is not quoted."""
    cert = folder.pki.server("www.example.com")
    folder.write("www.example.com.pem", Path(cert.certificate).read_text() +
                 "-----BEGIN PRIVATE KEY-----\nc2VjcmV0IHNlY3JldA==\n-----END PRIVATE KEY-----\n")
    door = start_door(config(folder, echo))
    assert refused(door, "www.example.com") == UNRECOGNIZED_NAME
    assert "c2VjcmV0" not in door.process.output()


def test_links_that_lead_elsewhere(start_door, folder, pki, echo):
    """All files of a folder replaced at once by a link, as Kubernetes mounts them."""
    old, new = folder.path / "..1", folder.path / "..2"
    numbers = []
    for place in (old, new):
        numbers.append(folder.put("www.example.com", fresh=True))
        place.mkdir()
        (folder.path / "www.example.com.pem").rename(place / "www.example.com.pem")
    (folder.path / "..data").symlink_to("..1")
    (folder.path / "www.example.com.pem").symlink_to("..data/www.example.com.pem")
    door = start_door(config(folder, echo))
    assert shown(door, "www.example.com") == numbers[0]
    (folder.path / "..next").symlink_to("..2")
    (folder.path / "..next").rename(folder.path / "..data")
    wait_until(lambda: shown(door, "www.example.com") == numbers[1], "the other certificate")


def test_many_changes_at_once(start_door, folder, echo):
    """Everything is written anew while it is served: at no moment is there a name without a good certificate."""
    names = [f"n{i}.example.com" for i in range(6)]
    for name in names:
        folder.put(name)
    door = start_door(config(folder, echo))
    for _ in range(3):
        fresh = {name: folder.put(name, fresh=True) for name in names}
        for name in names:
            shown(door, name)
        for name, number in fresh.items():
            wait_until(lambda name=name, number=number: shown(door, name) == number, f"{name} anew")


def test_beside_other_certificates(start_door, pki, folder, echo):
    """A certificate of the configuration that has the very name goes first, and serves whom the folder refuses; a route
    that names its certificates asks only the folders among them."""
    own = pki.server("own.example.com")
    folder.put("own.example.com", fresh=True)
    found = folder.put("www.example.com")
    door = start_door(config(
        folder, echo, certificates=[own.row(name="own"), {"directory": str(folder.path), "name": "many"}],
        routes=[{"name": "only", "sni": "only.example.com", "terminate": {"to": echo.to}, "certificates": ["own"]},
                {"name": "many", "sni": "www.example.com", "terminate": {"to": echo.to}, "certificates": ["many"]},
                {"name": "web", "terminate": {"to": echo.to}}]))
    folder.put("only.example.com")
    assert shown(door, "own.example.com") == serial(own)
    assert shown(door, "www.example.com") == found
    assert shown(door, "unknown.example.com") == serial(own)
    assert shown(door, "only.example.com") == serial(own)


def test_little_room(start_door, folder, echo):
    """More names than the workers keep: each is served all the same."""
    names = [f"n{i}.example.com" for i in range(8)]
    numbers = {name: folder.put(name) for name in names}
    door = start_door(config(folder, echo, limits={"certificates": 2, "certificate_memory": "64KiB"}))
    for _ in range(3):
        for name, number in numbers.items():
            assert shown(door, name) == number


def test_invented_names(start_door, folder, echo):
    """A flood of names that nobody has costs no memory to speak of, and who has one is served meanwhile."""
    number = folder.put("www.example.com")
    door = start_door(config(folder, echo))
    hello = tls.client_hello("n000000.example.com")

    def ask(i):
        with door.dial() as sock:
            sock.sendall(hello.replace(b"n000000", b"n%06d" % i))
            return sock.recv(64)
    for i in range(2000):
        ask(i)
    before = door.process.rss()
    for i in range(2000, 12000):
        answer = ask(i)
        assert answer[0] == 21
        if i % 1000 == 0:
            assert shown(door, "www.example.com") == number
    assert SANITIZER or door.process.rss() - before < 4 << 20


def test_reload(start_door, folder, tmp_path, pki, echo):
    """Another folder is in force at the next handshake; one that is not there is refused, and changes nothing."""
    first = folder.put("www.example.com")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = Folder(elsewhere, pki)
    second = other.put("www.example.com", fresh=True)
    door = start_door(config(folder, echo))
    assert shown(door, "www.example.com") == first
    door.reload(config(other, echo))
    assert shown(door, "www.example.com") == second
    missing = config(other, echo, certificates=[{"directory": str(tmp_path / "missing")}])
    door.configure(missing)
    done = door.cli("reload")
    assert done.returncode == 1 and b"not a folder that can be read" in done.stderr
    assert shown(door, "www.example.com") == second


def test_folder_goes_and_comes_back(start_door, folder, echo, tmp_path):
    """While the folder is away, what is known serves; when it comes back it is looked at."""
    first = folder.put("www.example.com")
    door = start_door(config(folder, echo))
    assert shown(door, "www.example.com") == first
    second = folder.put("next.example.com")
    away = tmp_path / "away"
    folder.path.rename(away)
    away.rename(folder.path)
    assert refused(door, "unknown.example.com") == UNRECOGNIZED_NAME
    wait_until(lambda: shown(door, "next.example.com") == second, "the name of the folder that came back")
    third = folder.put("www.example.com", fresh=True)
    wait_until(lambda: shown(door, "www.example.com") == third, "what was replaced there", timeout=30)


# A folder that is slow -------------------------------------------------------------------------------------------------

@pytest.fixture
def slow(folder):
    files = SlowFiles(folder.path)
    yield files
    files.close()


class Waiting:
    """A client whose certificate is not there yet."""

    def __init__(self, door, sni):
        self.sock = door.dial(timeout=30)
        self.side = tls.context().wrap_socket(self.sock, server_hostname=sni, do_handshake_on_connect=False)
        self.sock_name = self.side.getsockname()
        self.result = None
        self.thread = threading.Thread(target=self.shake_hands)
        self.thread.start()

    def shake_hands(self):
        try:
            self.side.do_handshake()
            self.result = x509.load_der_x509_certificate(self.side.getpeercert(True)).serial_number
        except OSError as e:
            self.result = e

    def end(self):
        self.thread.join(30)
        self.side.close()
        return self.result


def in_certify(door):
    return sum(one["state"] == "certify" for one in door.get_json("/sessions")["sessions"])


def test_waits_for_it(start_door, folder, echo, slow):
    """All who ask meanwhile wait for one answer; who has a certificate in memory does not."""
    number, known = folder.put("www.example.com"), folder.put("known.example.com")
    door = start_door(config(folder, echo, workers=1))
    assert shown(door, "known.example.com") == known
    slow.hold(door.process.pid)
    clients = [Waiting(door, "www.example.com") for _ in range(20)]
    wait_until(lambda: in_certify(door) == 20, "20 who wait")
    assert shown(door, "known.example.com") == known
    slow.let_go()
    assert [c.end() for c in clients] == [number] * 20
    assert slow.opened == 1


def test_not_in_time(start_door, folder, echo, slow):
    """Nobody waits for longer than certificate_timeout, and a later client gets what has come meanwhile."""
    number = folder.put("www.example.com")
    door = start_door(config(folder, echo, limits={"certificate_timeout": "300ms"}))
    slow.hold(door.process.pid)
    assert refused(door, "www.example.com") == INTERNAL_ERROR
    assert door.audited(reason="uncertified")["detail"] == "it was not there in time"
    slow.let_go()
    wait_until(lambda: refused(door, "www.example.com") is None, "the certificate")
    assert shown(door, "www.example.com") == number


def test_not_in_time_with_another(start_door, pki, folder, echo, slow):
    """Where the configuration has certificates too, these serve then."""
    folder.put("www.example.com")
    own = pki.server("own.example.com")
    door = start_door(config(folder, echo, certificates=[own.row(), {"directory": str(folder.path)}],
                             limits={"certificate_timeout": "300ms"}))
    slow.hold(door.process.pid)
    assert shown(door, "www.example.com") == serial(own)


def test_reload_while_they_wait(start_door, folder, tmp_path, pki, echo, slow):
    """Who waits goes on under the configuration that he came under."""
    number = folder.put("www.example.com")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = Folder(elsewhere, pki)
    door = start_door(config(folder, echo))
    slow.hold(door.process.pid)
    clients = [Waiting(door, "www.example.com") for _ in range(4)]
    wait_until(lambda: in_certify(door) == 4, "those who wait")
    door.reload(config(other, echo))
    slow.let_go()
    assert [c.end() for c in clients] == [number] * 4
    assert refused(door, "www.example.com") == UNRECOGNIZED_NAME


@pytest.mark.parametrize("comes", [True, False])
def test_stop_while_they_wait(start_door, folder, echo, slow, comes):
    """A door that stops lets them have it, if it comes within drain_timeout."""
    number = folder.put("www.example.com")
    door = start_door(config(folder, echo, limits={"drain_timeout": "10s" if comes else "200ms"}))
    slow.hold(door.process.pid)
    clients = [Waiting(door, "www.example.com") for _ in range(4)]
    wait_until(lambda: in_certify(door) == 4, "those who wait")
    door.process.send(signal.SIGTERM)
    wait_until(lambda: "stopping" in door.process.output(), "the door to stop")
    if not comes:
        assert all(isinstance(c.end(), OSError) for c in clients)
    slow.let_go()
    if comes:
        assert [c.end() for c in clients] == [number] * 4
    door.stop()


def test_clients_leave_while_they_wait(start_door, folder, echo, slow):
    number = folder.put("www.example.com")
    door = start_door(config(folder, echo))
    slow.hold(door.process.pid)
    hello = tls.client_hello("www.example.com")
    for _ in range(10):
        with door.dial() as sock:
            sock.sendall(hello)
            wait_until(lambda: in_certify(door) > 0, "one who waits")
    slow.let_go()
    wait_until(lambda: in_certify(door) == 0, "nobody who waits")
    assert shown(door, "www.example.com") == number


def test_over_quic(start_door, pki, folder, connect, counter, slow):
    """The first client waits while it is read, as over TCP."""
    folder.put("door.test")
    door = start_door(config(
        folder, counter, workers=1, trust=[pki.trust()],
        routes=[{"name": "tunnel", "sni": "door.test", "tunnel": {},
                 "clients": {"mode": "required", "trust": "staff"}}],
        policy=[{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*"]}]))
    target = f"127.0.0.1:{counter.port}"
    words = ("--transport", "quic", target)

    def waits():
        return [one["state"] for one in door.get_json("/sessions")["sessions"]] == ["certify"]
    slow.hold(door.process.pid)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(connect, door, *words, input=b"")
        wait_until(waits, "a client to wait for the certificate")
        slow.let_go()
        assert first.result().returncode == 0
    assert connect(door, *words, input=b"").returncode == 0
    assert [line["reason"] for line in door.audited(2, action="tunnel", transport="quic")] == ["done"] * 2
