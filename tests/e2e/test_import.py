# SPDX-License-Identifier: Apache-2.0
"""cardea import: what stunnel, hitch and sslh do with a configuration, their packages' own samples among them, the door
does with what becomes of it. Both run side by side; clients see no difference. (ghostunnel is in no Debian package, so
what becomes of its command lines is shown without it.)"""
import contextlib
import json
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

import peers
import tls
from door import Door
from run import CARDEA, SLOW, Process, free_port, run, wait_listening

SAMPLES = Path("/usr/share/doc")
STUNNEL = shutil.which("stunnel4") or "/usr/bin/stunnel4"
HITCH = shutil.which("hitch") or "/usr/sbin/hitch"
SSLH = shutil.which("sslh") or "/usr/sbin/sslh"
QUIET = "foreground = yes\nsyslog = no\npid =\n"


def import_file(program, path):
    """(YAML, summary)"""
    done = run(CARDEA, "import", program, path)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(), done.stderr.decode()


class Pair:
    """The original and the door with the same configuration, on ports of their own: `original[name]`, `door[name]`."""

    def __init__(self, original, door):
        self.original = original
        self.door = door

    def both(self, ask, name):
        """What ask(port) says of both, which must be the same."""
        first, second = ask(self.original[name]), ask(self.door[name])
        assert first == second
        return first


@pytest.fixture
def side_by_side(tmp_path):
    """side_by_side(program, argv, text, ports) starts both; `text(ports)` is the configuration, `argv(path)` starts the
    original."""
    processes, doors = [], []

    def start(program, argv, text, names):
        ports = [{name: free_port() for name in names} for _ in range(2)]
        paths = [tmp_path / f"{program}-{which}.conf" for which in ("original", "imported")]
        for path, one in zip(paths, ports):
            path.write_text(text(one))
        process = Process(argv(paths[0]), tmp_path, program)
        processes.append(process)
        directory = tmp_path / "door"
        directory.mkdir()
        door = Door(directory, "")
        yaml, _ = import_file(program, paths[1])
        door.configure(yaml + f"audit: {{file: audit.jsonl}}\nadmin: {{socket: {door.socket}}}\n")
        doors.append(door.start())
        for name in names:
            wait_listening(ports[0][name], process)
        return Pair(*ports)
    yield start
    for door in doors:
        door.stop()
    for process in processes:
        process.stop()


def stunnel(path):
    return [STUNNEL, path]


def hitch(path):
    return [HITCH, f"--config={path}"]


def sslh(path):
    return [SSLH, "-F" + str(path)]


def pem(directory, cert, name="both.pem"):
    """Certificate and key in one file, as stunnel and hitch have them."""
    path = Path(directory) / name
    path.write_text(Path(cert.certificate).read_text() + Path(cert.key).read_text())
    path.chmod(0o600)
    return path


# Clients ----------------------------------------------------------------------------------------------------------

def dial(port):
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    sock.settimeout(20)
    return sock


def talk(sock, ask=b"hello\n"):
    """The first line that comes back."""
    sock.sendall(ask)
    return tls.read_line(sock)


def over_tls(ca, name, cert=None, alpn=()):
    """A client for Pair.both: the certificate it was shown and the answer, or that it was refused."""
    def ask(port):
        try:
            with tls.context(ca, cert, alpn).wrap_socket(dial(port), server_hostname=name) as sock:
                said = talk(sock)
                return (sock.getpeercert(binary_form=True), sock.selected_alpn_protocol(), said) if said else "refused"
        except (ssl.SSLError, OSError):
            return "refused"
    return ask


def in_the_clear(ask=b"hello\n"):
    """A client without TLS: the answer, or none."""
    def client(port):
        with contextlib.suppress(OSError), dial(port) as sock:  # a reset may be there before dial() is back
            return talk(sock, ask)
        return ""
    return client


def der(cert):
    return ssl.PEM_cert_to_DER_cert(Path(cert.certificate).read_text().split("-----END")[0] + "-----END CERTIFICATE-----\n")


@pytest.fixture(scope="module")
def backends():
    """Servers without TLS that say who they are."""
    with contextlib.ExitStack() as stack:
        yield {word: stack.enter_context(peers.Server(answers(word))) for word in ("one", "two", "three")}


def answers(word):
    def handler(sock):
        while line := tls.read_line(sock):
            sock.sendall(f"{word} {line}\n".encode())
    return handler


# stunnel ----------------------------------------------------------------------------------------------------------

def test_stunnel_sample(side_by_side, pki, backends):
    """The package's own sample: its clients lead to servers here, and the example of a server for HTTPS is switched on."""
    sample = (SAMPLES / "stunnel4/examples/stunnel.conf-sample").read_text(encoding="utf-8-sig")
    hosts = ("pop.gmail.com", "imap.gmail.com", "smtp.gmail.com")
    right = pki.server(*hosts[:2])
    with peers.Server(answers("mail"), ctx=peers.server_context(right)) as mail:
        both = pem(Path(right.certificate).parent, right, "sample.pem")

        def text(ports):
            text = QUIET + re.sub(r"\.gmail\.com:\d+", ".gmail.com:mail", sample)
            for name, port in (("pop", 110), ("imap", 143), ("smtp", 25)):
                text = text.replace(f"accept = 127.0.0.1:{port}", f"accept = 127.0.0.1:{ports[name]}")
                text = text.replace(f"connect = {name}.gmail.com:mail", f"connect = 127.0.0.1:{mail.port}")
            text = text.replace("CApath = /etc/ssl/certs", f"CAfile = {pki.ca.file}")
            return text + re.search(r"^;\[https\](\n;[a-z].*)+", sample, re.M).group().replace("\n;", "\n")[1:].replace(
                "443", f"127.0.0.1:{ports['https']}").replace("= 80", f"= {backends['one'].port}").replace(
                "/etc/stunnel/stunnel.pem", str(both)) + "\n"
        pair = side_by_side("stunnel", stunnel, text, ("pop", "imap", "smtp", "https"))
        assert pair.both(in_the_clear(), "pop") == "mail hello"
        assert pair.both(in_the_clear(), "imap") == "mail hello"
        assert pair.both(in_the_clear(), "smtp") == "", "the server has no certificate for this name"
        assert pair.both(over_tls(pki.ca.file, hosts[0]), "https") == (der(right), None, "one hello")


def test_stunnel_client_certificates(side_by_side, pki, tmp_path, backends):
    """verifyChain asks for a certificate of the CA, checkHost for a name in it, verify = 3
    for the very one; by default nobody is asked."""
    both = pem(tmp_path, pki.server("door.test"))
    named = pki.staff.client("import-named", dns=["named.example.com"])

    def text(ports):
        return (f"{QUIET}cert = {both}\nCAfile = {pki.staff.file}\nconnect = {backends['one'].port}\n"
                f"[open]\naccept = 127.0.0.1:{ports['open']}\n"
                f"[chain]\naccept = 127.0.0.1:{ports['chain']}\nverifyChain = yes\n"
                f"[named]\naccept = 127.0.0.1:{ports['named']}\nverifyChain = yes\ncheckHost = named.example.com\n"
                f"[peer]\naccept = 127.0.0.1:{ports['peer']}\nverify = 3\n"
                f"[maybe]\naccept = 127.0.0.1:{ports['maybe']}\nverify = 1\n")
    pair = side_by_side("stunnel", stunnel, text, ("open", "chain", "named", "peer", "maybe"))
    good = (der(pki.server("door.test")), None, "one hello")

    def seen(name, cert=None):
        return pair.both(over_tls(pki.ca.file, "door.test", cert), name)
    assert seen("open") == good
    assert [seen("chain", cert) for cert in (pki.alice, pki.mallory, None)] == [good, "refused", "refused"]
    assert [seen("named", cert) for cert in (named, pki.alice, None)] == [good, "refused", "refused"]
    assert [seen("peer", cert) for cert in (pki.alice, pki.mallory, None)] == ["refused"] * 3, "none of them is in CAfile itself"
    assert [seen("maybe", cert) for cert in (pki.alice, pki.mallory, None)] == [good, "refused", good]


def test_stunnel_sni(side_by_side, pki, tmp_path, backends):
    """Secondary services: another certificate and another backend for some names."""
    main, app, wild = (pem(tmp_path, pki.server(name), name.strip("*.") + ".pem")
                       for name in ("main.test", "app.test", "*.wild.test"))

    def text(ports):
        return (f"{QUIET}[main]\naccept = 127.0.0.1:{ports['main']}\nconnect = {backends['one'].port}\ncert = {main}\n"
                f"[app]\nsni = main:app.test\nconnect = {backends['two'].port}\ncert = {app}\n"
                f"[wild]\nsni = main:*.wild.test\nconnect = {backends['three'].port}\ncert = {wild}\n")
    pair = side_by_side("stunnel", stunnel, text, ("main",))
    for name, cert, word in (("main.test", "main.test", "one"), ("app.test", "app.test", "two"),
                             ("a.wild.test", "*.wild.test", "three"), ("other.test", "main.test", "one")):
        assert pair.both(over_tls(None, name), "main") == (der(pki.server(cert)), None, word + " hello")


def test_stunnel_clients(side_by_side, pki, tmp_path):
    """client = yes: the server's chain and name are verified where stunnel does, and our certificate is shown."""
    server = pki.server("server.test")
    mine = pem(tmp_path, pki.alice)
    with peers.Server(answers("tls"), ctx=peers.server_context(server, ca=pki.staff.file)) as target:
        def text(ports):
            common = f"connect = 127.0.0.1:{target.port}\nverifyChain = yes\ncert = {mine}\n"
            return (f"{QUIET}client = yes\n"
                    f"[right]\naccept = 127.0.0.1:{ports['right']}\nCAfile = {pki.ca.file}\ncheckHost = server.test\n{common}"
                    f"[name]\naccept = 127.0.0.1:{ports['name']}\nCAfile = {pki.ca.file}\ncheckHost = other.test\n{common}"
                    f"[ca]\naccept = 127.0.0.1:{ports['ca']}\nCAfile = {pki.staff.file}\ncheckHost = server.test\n{common}")
        pair = side_by_side("stunnel", stunnel, text, ("right", "name", "ca"))
        assert pair.both(in_the_clear(), "right") == "tls hello"
        assert pair.both(in_the_clear(), "name") == ""
        assert pair.both(in_the_clear(), "ca") == ""


def test_stunnel_smtp(side_by_side, pki, tmp_path):
    """protocol = smtp: STARTTLS in front of a server that has none, and towards one that has."""
    both = pem(tmp_path, pki.server("mail.test"))

    def plain_smtp(sock):
        sock.sendall(b"220 mail.test ESMTP\r\n")
        while line := tls.read_line(sock):
            verb = line[:4].upper().encode()
            sock.sendall(b"250-mail.test\r\n250 8BITMIME\r\n" if verb == b"EHLO" else b"250 " + verb + b"\r\n")

    with peers.Server(plain_smtp) as mail:
        def text(ports):
            return (f"{QUIET}[in]\naccept = 127.0.0.1:{ports['in']}\nconnect = 127.0.0.1:{mail.port}\nprotocol = smtp\n"
                    f"cert = {both}\n"
                    f"[out]\nclient = yes\naccept = 127.0.0.1:{ports['out']}\nconnect = 127.0.0.1:{ports['in']}\n"
                    f"protocol = smtp\nverifyChain = yes\ncheckHost = mail.test\nCAfile = {pki.ca.file}\n")
        pair = side_by_side("stunnel", stunnel, text, ("in", "out"))

        def starttls(port):
            with dial(port) as sock:
                assert tls.read_line(sock).startswith("220 ")
                sock.sendall(b"EHLO client.test\r\n")
                while not (line := tls.read_line(sock)).startswith("250 "):
                    assert line.startswith("250-")
                assert talk(sock, b"STARTTLS\r\n").startswith("220 ")
                with tls.context(pki.ca.file).wrap_socket(sock, server_hostname="mail.test") as secure:
                    return secure.getpeercert(binary_form=True), talk(secure, b"NOOP\r\n")
        assert pair.both(starttls, "in") == (der(pki.server("mail.test")), "250 NOOP\r")

        def submits(port):
            with dial(port) as sock:
                greeting = tls.read_line(sock)[:4]
                return greeting, talk(sock, b"NOOP\r\n")
        assert pair.both(submits, "out") == ("220 ", "250 NOOP\r")


def test_stunnel_programs_and_unix_sockets(side_by_side, pki, tmp_path):
    """exec, and unix sockets on both sides."""
    both = pem(tmp_path, pki.server("door.test"))
    with peers.Server(answers("unix"), path=tmp_path / "backend.sock") as backend:
        def text(ports):
            return (f"{QUIET}cert = {both}\n"
                    f"[cat]\naccept = 127.0.0.1:{ports['cat']}\nexec = /bin/sed\nexecArgs = sed -u s/^/program_/\n"
                    f"[unix]\naccept = 127.0.0.1:{ports['unix']}\nconnect = {backend.path}\n"
                    f"[in]\naccept = {tmp_path}/in-{ports['unix']}.sock\nconnect = {backend.path}\n")
        pair = side_by_side("stunnel", stunnel, text, ("cat", "unix"))
        shown = der(pki.server("door.test"))
        assert pair.both(over_tls(pki.ca.file, "door.test"), "cat") == (shown, None, "program_hello")
        assert pair.both(over_tls(pki.ca.file, "door.test"), "unix") == (shown, None, "unix hello")

        def through_unix(port):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20)
                sock.connect(f"{tmp_path}/in-{port}.sock")
                with tls.context(pki.ca.file).wrap_socket(sock, server_hostname="door.test") as secure:
                    return talk(secure)
        assert pair.both(through_unix, "unix") == "unix hello"


def test_stunnel_inetd(pki, tmp_path, backends):
    """Without a service: one connection on standard input and output."""
    both = pem(tmp_path, pki.server("door.test"))
    config = tmp_path / "inetd.conf"
    config.write_text(f"syslog = no\ncert = {both}\nconnect = 127.0.0.1:{backends['one'].port}\n")
    imported = tmp_path / "imported.yaml"
    imported.write_text(import_file("stunnel", config)[0] + "audit: {file: audit.jsonl}\nadmin: {socket: admin.sock}\n")
    for argv in ([STUNNEL, config], [CARDEA, "serve", "-c", imported]):
        ours, theirs = socket.socketpair()
        with theirs:
            child = subprocess.Popen(list(map(str, argv)), stdin=theirs, stdout=theirs, cwd=tmp_path)
        ours.settimeout(20 * SLOW)
        with tls.context(pki.ca.file).wrap_socket(ours, server_hostname="door.test") as sock:
            assert (sock.getpeercert(binary_form=True), talk(sock)) == (der(pki.server("door.test")), "one hello")
        child.wait(20 * SLOW)


def test_stunnel_believes_what_it_is_told(side_by_side, pki, tmp_path):
    """Without verify... any server is believed; verifyPeer takes the very certificate, whoever issued it."""
    server, other = pki.stranger.issue("peer.test", label="import-peer"), pki.stranger.issue("other.test", label="import-other")
    with peers.Server(answers("tls"), ctx=peers.server_context(server)) as target:
        def text(ports):
            common = f"connect = 127.0.0.1:{target.port}\n"
            return (f"{QUIET}client = yes\n"
                    f"[any]\naccept = 127.0.0.1:{ports['any']}\n{common}"
                    f"[pin]\naccept = 127.0.0.1:{ports['pin']}\nverifyPeer = yes\nCAfile = {server.certificate}\n{common}"
                    f"[not]\naccept = 127.0.0.1:{ports['not']}\nverifyPeer = yes\nCAfile = {other.certificate}\n{common}")
        pair = side_by_side("stunnel", stunnel, text, ("any", "pin", "not"))
        assert [pair.both(in_the_clear(), name) for name in ("any", "pin", "not")] == ["tls hello", "tls hello", ""]


# hitch ------------------------------------------------------------------------------------------------------------

def test_hitch_sample(side_by_side, pki, tmp_path):
    """The package's own sample, with a certificate, which it leaves to the command line: the backend learns who the client
    is from a PROXY header."""
    sample = (SAMPLES / "hitch/examples/hitch.conf.example").read_text()
    both = pem(tmp_path, pki.server("www.test"))

    def tells(sock):
        version, source, _ = peers.read_proxy_header(sock)
        answers(f"{version} {source}")(sock)

    with peers.Server(tells) as backend:
        def text(ports):
            text = sample
            for old, new in (('host = "*"', 'host = "127.0.0.1"'), ('port = "443"', f'port = "{ports["tls"]}"'),
                             ("[127.0.0.1]:6086", f"[127.0.0.1]:{backend.port}"), ("daemon = on", "daemon = off"),
                             ('user = "hitch"', 'user = "nobody"'), ('group = "hitch"', 'group = "nogroup"')):
                assert old in text
                text = text.replace(old, new)
            return text + f'pem-file = "{both}"\n'
        pair = side_by_side("hitch", hitch, text, ("tls",))

        def who(port):
            with tls.context(pki.ca.file).wrap_socket(dial(port), server_hostname="www.test") as sock:
                return sock.getpeercert(binary_form=True), talk(sock) == "v2 %s:%d hello" % sock.getsockname()
        assert pair.both(who, "tls") == (der(pki.server("www.test")), True)


def test_hitch_certificates(side_by_side, pki, tmp_path, backends):
    """By name, the last for names that none has; ALPN; client certificates."""
    first, last, staff = (pem(tmp_path, pki.server(name), name + ".pem") for name in ("first.test", "last.test", "staff.test"))

    def text(ports):
        return (f'frontend = "[127.0.0.1]:{ports["all"]}"\n'
                f'frontend = {{\n host = "127.0.0.1"\n port = "{ports["staff"]}"\n pem-file = "{staff}"\n'
                f' client-verify = required\n client-verify-ca = "{pki.staff.file}"\n}}\n'
                f'pem-file = "{first}"\npem-file = "{last}"\nbackend = "[127.0.0.1]:{backends["one"].port}"\n'
                f'alpn-protos = "h2, http/1.1"\nuser = "nobody"\ngroup = "nogroup"\n')
    pair = side_by_side("hitch", hitch, text, ("all", "staff"))
    for name, cert in (("first.test", "first.test"), ("last.test", "last.test"), ("other.test", "last.test")):
        assert pair.both(over_tls(None, name, alpn=["http/1.1"]), "all") == (der(pki.server(cert)), "http/1.1", "one hello")

    def seen(cert):
        return pair.both(over_tls(pki.ca.file, "staff.test", cert), "staff")
    assert [seen(cert) for cert in (pki.alice, pki.mallory, None)] == [
        (der(pki.server("staff.test")), None, "one hello"), "refused", "refused"]


# sslh -------------------------------------------------------------------------------------------------------------

def test_sslh_sample(side_by_side, pki, sshd, backends, tmp_path):
    """The package's own sample, with servers that are there: SSH, HTTP, and TLS by server name and protocol."""
    sample = (SAMPLES / "sslh/examples/example.cfg").read_text()
    with contextlib.ExitStack() as stack:
        names = ("mail.rutschle.net", "im.somethingelse.net", "www.test")
        mail, chat, web = (stack.enter_context(peers.Server(answers(word), ctx=peers.server_context(
            pki.server(name), alpn=["xmpp-client", "h2"]))) for word, name in zip(("mail", "chat", "web"), names))

        def text(ports):
            text = sample.replace('"thelonious"; port: "443"', f'"127.0.0.1"; port: "{ports["all"]}"')
            text = re.sub(r'\{ host: "thelonious"; port: "8080"[^}]*\}', f'{{ host: "127.0.0.1"; port: "{ports["more"]}"; }}', text)
            for old, new in (("22", sshd.port), ("80", backends["one"].port), ("5223", chat.port), ("993", mail.port),
                             ("443", web.port), ("xmpp-client", chat.port), ("letsencrypt-client", web.port),
                             ("daytime", sshd.port), ("5222", chat.port)):
                text = text.replace(f'host: "localhost"; port: "{old}"', f'host: "127.0.0.1"; port: "{new}"')
            text = re.sub(r"^(user|pidfile|chroot|verbose): .*$", "", text, flags=re.M)
            return re.sub(r"^.*(regex_patterns: \[|Regex).*$", "", text, flags=re.M)
        pair = side_by_side("sslh", sslh, text, ("all", "more"))

        def banner(port):
            with dial(port) as sock:
                return talk(sock, b"SSH-2.0-test\r\n")
        assert pair.both(banner, "all").startswith("SSH-2.0-OpenSSH")
        assert pair.both(banner, "more").startswith("SSH-2.0-OpenSSH")
        assert pair.both(in_the_clear(b"GET / HTTP/1.1\n"), "all") == "one GET / HTTP/1.1"
        for name, alpn, cert, word in ((names[0], (), names[0], "mail"), (names[1], ["xmpp-client"], names[1], "chat"),
                                       ("unknown.test", ["xmpp-client"], names[1], "chat"),
                                       ("unknown.test", ["h2"], names[2], "web"), ("unknown.test", (), names[2], "web")):
            seen = pair.both(over_tls(None, name, alpn=alpn), "all")
            assert (seen[0], seen[2]) == (der(pki.server(cert)), word + " hello")


def test_sslh_options(pki, sshd, backends, tmp_path):
    """The command line that the package sets up in /etc/default/sslh, with addresses that are there."""
    options = re.search(r'^DAEMON_OPTS="(.*)"', Path("/etc/default/sslh").read_text(), re.M).group(1)
    with peers.Server(answers("web"), ctx=peers.server_context(pki.server("www.test"))) as web:
        def words(port):
            line = options.replace("<change-me>:443", f"127.0.0.1:{port}").replace("127.0.0.1:22", f"127.0.0.1:{sshd.port}")
            line = line.replace("127.0.0.1:443", f"127.0.0.1:{web.port}")
            return re.sub(r"--(user|pidfile) \S+", "", line).split()
        original, imported = free_port(), free_port()
        process = Process([SSLH, "--foreground", *words(original)], tmp_path, "sslh")
        done = run(CARDEA, "import", "sslh", "--", *words(imported))
        assert done.returncode == 0, done.stderr.decode()
        door = Door(tmp_path, "")
        door.configure(done.stdout.decode() + f"audit: {{file: audit.jsonl}}\nadmin: {{socket: {door.socket}}}\n")
        door.start()
        try:
            wait_listening(original, process)
            pair = Pair({"all": original}, {"all": imported})
            assert pair.both(in_the_clear(b"SSH-2.0-test\r\n"), "all").startswith("SSH-2.0-OpenSSH")
            assert pair.both(over_tls(pki.ca.file, "www.test"), "all") == (der(pki.server("www.test")), None, "web hello")
        finally:
            door.stop()
            process.stop()


# The verb ---------------------------------------------------------------------------------------------------------

def test_samples_as_they_are(tmp_path):
    """Each package's sample is taken, unchanged; the summary counts what became of it, --json lists it."""
    for program, sample in (("stunnel", "stunnel4/examples/stunnel.conf-sample"), ("hitch", "hitch/examples/hitch.conf.example"),
                            ("sslh", "sslh/examples/example.cfg")):
        yaml, summary = import_file(program, SAMPLES / sample)
        assert re.fullmatch(rf"cardea: {program}: \d+ taken over, \d+ not needed, \d+ without equivalent\n", summary)
        assert "\nroutes:\n" in yaml
        listed = json.loads(run(CARDEA, "import", "--json", program, SAMPLES / sample).stdout)
        for remark in listed["remarks"]:
            assert f":{remark['line']} {remark['option']}: " in yaml
        assert listed["without_equivalent"] == int(re.search(r"(\d+) without", summary).group(1))


def test_messages(tmp_path):
    """Status 1 and where it is for what is wrong in the file, 2 for how the verb is used."""
    wrong = tmp_path / "wrong.conf"
    wrong.write_text("cert = a.pem\n  acept = 443\n")
    done = run(CARDEA, "import", "stunnel", wrong)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == (f"cardea: {wrong}:2:3: found 'acept', expected the name of an option; "
                                    "did you mean 'accept'?\n")
    assert run(CARDEA, "import", "stunnel", tmp_path / "none").returncode == 1
    for words in ((), ("stunel", wrong), ("stunnel",), ("stunnel", wrong, wrong), ("ghostunnel", "--")):
        assert run(CARDEA, "import", *words).returncode == 2


def test_ghostunnel(tmp_path, pki, backends):
    """A command line becomes a door that lets in whom it allowed."""
    both = pem(tmp_path, pki.server("door.test"))
    port = free_port()
    done = run(CARDEA, "import", "ghostunnel", "--", "server", "--listen", f"127.0.0.1:{port}", "--target",
               f"127.0.0.1:{backends['one'].port}", "--keystore", both, "--cacert", pki.staff.file, "--allow-cn", "alice")
    assert done.returncode == 0, done.stderr
    door = Door(tmp_path, "")
    door.configure(done.stdout.decode() + f"audit: {{file: audit.jsonl}}\nadmin: {{socket: {door.socket}}}\n")
    door.start()
    try:
        ask = {cert: over_tls(pki.ca.file, "door.test", cert)(port) for cert in (pki.alice, pki.bob, None)}
        assert ask == {pki.alice: (der(pki.server("door.test")), None, "one hello"), pki.bob: "refused", None: "refused"}
    finally:
        door.stop()
