# SPDX-License-Identifier: Apache-2.0
"""`cardea login` against a door that serves it: a password by OPAQUE, a code that an administrator approves, renewal, and
who is turned away. A man in the middle of TLS sees all that is said."""
import base64
import json
import os
import pty
import re
import select
import shlex
import signal
import ssl
import stat
import time
from pathlib import Path

import pytest

from fixtures import clean_env
from peers import Server
from run import CARDEA, PACE, SLOW, Process, run, wait_until

WRONG = (b"cardea: wrong user or password; whoever was invited with a code sets the password first: "
         b"'cardea login --register CODE'\n")
PASSWORD = "correct horse battery staple"


class Ca:
    """The private CA of the door, and its accounts."""

    def __init__(self, directory):
        self.directory = directory / "ca"
        secret = directory / "passphrase"
        secret.write_text("of the root\n")
        secret.chmod(0o600)
        self.ask("init", self.directory, "--root-passphrase-file", secret, where=())
        self.root = self.directory / "root.pem"

    def run(self, *words, where=None):
        return run(CARDEA, "ca", *words, *(("--dir", self.directory) if where is None else where))

    def ask(self, *words, **options):
        done = self.run(*words, **options)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def ask_json(self, *words):
        return json.loads(self.ask(*words, "--json"))

    def add(self, name, *words):
        """Returns the code for registering."""
        return self.ask_json("user", "add", name, *words)["code"]

    def pending(self):
        return self.ask_json("pending")


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


def configuration(pki, ca, port, **login):
    return {
        "certificates": [pki.server("door.test").row()],
        "trust": [{"name": "staff", "ca": [str(ca.root)]}],
        "ca": {"directory": str(ca.directory), **({"login": login} if login else {})},
        "routes": [
            {"name": "tunnel", "sni": "door.test", "alpn": "cardea/1", "tunnel": {},
             "clients": {"mode": "required", "trust": "staff"}},
            {"name": "login", "sni": "door.test", "alpn": "http/1.1", "serve": ["login"],
             "clients": {"mode": "optional", "trust": "staff"}}],
        "policy": [{"name": "logins", "who": {"any": True}, "routes": "login"},
                   {"name": "ops", "who": {"group": "ops"}, "targets": [f"localhost:{port}"]}],
    }


@pytest.fixture(scope="module")
def door(start_module_door, pki, ca, sshd):
    return start_module_door(configuration(pki, ca, sshd.port))


class Person:
    """Somebody at a machine of his own."""

    def __init__(self, home, door, pki, port=None):
        self.home = home
        self.env = clean_env(home)
        self.folder = home / ".config/cardea"
        self.file = self.folder / "login.pem"
        self.folder.mkdir(parents=True)
        self.folder.joinpath("config.yaml").write_text(
            f"door: 127.0.0.1:{port or door.port}\nname: door.test\nca: {pki.ca.file}\n")
        self.password_file = home / "password"
        self.password(PASSWORD)

    def password(self, text):
        self.password_file.write_text(text + "\n")
        self.password_file.chmod(0o600)

    def login(self, *words, **options):
        return run(CARDEA, "login", *words, env=self.env, **options)

    def by_password(self, *words):
        return self.login(*words, "--password-file", self.password_file)

    def register(self, user, code):
        done = self.by_password("--register", code, f"{user}@")
        assert done.returncode == 0, done.stderr.decode()

    def status(self):
        done = self.login("--status", "--json")
        return json.loads(done.stdout)


@pytest.fixture
def person(tmp_path, door, pki):
    return Person(tmp_path, door, pki)


def certificate(path):
    return run("openssl", "x509", "-in", path, "-noout", "-subject", "-nameopt", "RFC2253", "-ext",
               "subjectAltName,extendedKeyUsage").stdout.decode()


def test_from_invitation_to_ssh(person, door, ca, sshd, tmp_path):
    """The whole way: an invitation, a password, a certificate, and ssh through the door with `door` in the file alone."""
    person.register("alice", ca.add("alice", "--group", "ops", "--group", "wheel"))
    assert stat.S_IMODE(person.file.stat().st_mode) == 0o600
    shown = certificate(person.file)
    assert "CN=alice" in shown and "OU=ops" in shown and "OU=wheel" in shown, shown
    assert "URI:cardea://login/" in shown and "TLS Web Client Authentication" in shown
    assert run("openssl", "verify", "-CAfile", ca.root, "-untrusted", person.file, person.file).returncode == 0
    status = person.status()
    assert status["user"] == "alice" and status["valid"] and 4 * 3600 - 60 < status["remaining"] <= 4 * 3600
    command = shlex.join([CARDEA, "connect"]) + " %h:%p"
    done = run("ssh", *sshd.options(proxy_command=command), "-o", f"Port={sshd.port}", f"{sshd.user}@localhost",
               "echo inside", env=person.env)
    assert (done.returncode, done.stdout) == (0, b"inside\n"), done.stderr.decode()
    assert "alice" in json.dumps(door.audited(action="tunnel", target=f"localhost:{sshd.port}"))
    before = person.file.read_bytes()
    assert person.by_password("alice@").returncode == 0
    # Another certificate and key, of a session of its own: no password prolongs another's.
    assert person.file.read_bytes() != before
    assert re.search("URI:(.*)", certificate(person.file))[1] != re.search("URI:(.*)", shown)[1]
    assert {user["user"]: user["state"] for user in ca.ask_json("user", "list")}["alice"] == "active"
    assert {row["who"] for row in ca.ask_json("list") if row["name"] == "alice"} == {"login:alice"}
    ca.ask("audit")
    assert person.login("--logout").returncode == 0
    assert not person.file.exists() and person.login("--status").returncode == 1


def test_nobody_else_gets_in(person, ca):
    """A wrong password and an unknown user are told the same, and leave what was kept as it is."""
    person.register("bob", ca.add("bob"))
    kept = person.file.read_bytes()
    person.password("wrong")
    wrong, unknown = person.by_password("bob@"), person.by_password("nobody@")
    assert wrong.returncode == unknown.returncode == 1
    assert wrong.stderr == unknown.stderr == WRONG
    assert person.file.read_bytes() == kept


def test_tries_are_limited(tmp_path, start_door, pki, ca, sshd):
    """After a few each has to wait, with the right password too, until the wait is over."""
    person = Person(tmp_path / "home", start_door(configuration(pki, ca, sshd.port)), pki)
    ca.add("carol")
    person.register("dave", ca.add("dave"))
    person.password("wrong")
    for user in ("carol@", "nobody@"):
        said = [person.by_password(user).stderr for _ in range(12)]
        assert said[:5] == 5 * [WRONG]
        # Each of them takes a while, so the first waits may be over by themselves.
        assert any(b"too many tries; the next one is possible in" in text for text in said[5:]), said
    person.password(PASSWORD)
    assert person.by_password("dave@").returncode == 0


def test_post_quantum(tmp_path, start_door, pki, ca, sshd):
    """A door that takes nothing else is logged in at, and says why not to who leaves it out."""
    door = start_door({**configuration(pki, ca, sshd.port), "tls": {"pq": "require"}})
    person = Person(tmp_path / "home", door, pki)
    person.register("quinn", ca.add("quinn"))
    assert person.by_password("quinn@").returncode == 0
    assert {line["group"] for line in door.audited(2, route="login", action="serve")} == {"X25519MLKEM768"}
    done = person.by_password("--pq", "off", "quinn@")
    assert done.returncode == 1 and b"may demand post-quantum key exchange, which 'pq: off' leaves out" in done.stderr
    assert person.login("--renew").returncode == 0


def test_invitations(person, ca):
    """A code is for one account, once; a reset voids the password at once."""
    code = ca.add("erin")
    assert person.by_password("--register", "2222-2222-2222-2222", "erin@").returncode == 1
    person.register("erin", code)
    again = person.by_password("--register", code, "erin@")
    assert again.returncode == 1 and b"ask your administrator for another" in again.stderr
    code = ca.ask_json("user", "reset", "erin")["code"]
    assert person.by_password("erin@").returncode == 1
    person.password("short")
    assert b"at least 8" in person.by_password("--register", code, "erin@").stderr
    person.password("another password")
    person.register("erin", code.lower().replace("-", " "))
    ca.ask("user", "disable", "erin")
    assert b"wrong user or password" in person.by_password("erin@").stderr
    ca.ask("user", "enable", "erin")
    assert person.by_password("erin@").returncode == 0
    ca.ask("user", "remove", "erin")
    assert person.by_password("erin@").returncode == 1


class Waiting:
    """`cardea login --code` that waits."""

    def __init__(self, person, tmp_path):
        self.process = Process([CARDEA, "login", "--code"], tmp_path, "login", env=person.env)
        wait_until(lambda: b"Waiting" in self.process.output().encode() or self.process.poll() is not None, "a code")
        text = self.process.output()
        self.code = re.search(r"^    ([A-Z0-9]{4}-[A-Z0-9]{4})$", text, re.MULTILINE)[1]
        self.key = re.search(r"(SHA256:\S+)", text)[1]


def test_a_code_is_approved(person, ca, tmp_path):
    """The administrator sees which key it is and where it is; the certificate is his word's."""
    ca.add("frank", "--group", "ops")
    waiting = Waiting(person, tmp_path)
    row = next(row for row in ca.pending() if row["code"] == waiting.code)
    assert (row["key"], row["source"], row["host"]) == (waiting.key, "127.0.0.1", os.uname().nodename)
    assert ca.run("approve", waiting.code, "--user", "nobody").returncode == 1
    ca.ask("approve", waiting.code.lower(), "--user", "frank")
    assert waiting.process.wait(20) == 0, waiting.process.output()
    assert "CN=frank" in certificate(person.file)
    assert not [row for row in ca.pending() if row["code"] == waiting.code]
    assert ca.run("approve", waiting.code, "--user", "frank").returncode == 1


def test_a_code_is_refused(person, ca, tmp_path):
    waiting = Waiting(person, tmp_path)
    ca.ask("refuse", waiting.code)
    assert waiting.process.wait(20) == 1
    assert "an administrator has refused" in waiting.process.output()
    assert not person.file.exists()


def test_renewal(person, ca):
    """By the certificate of before, with another key, while the session lasts; not by one of another CA."""
    person.register("grace", ca.add("grace", "--lifetime", "1h"))
    before = person.file.read_text()
    done = person.login("--renew", "--json")
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["user"] == "grace"
    key = re.search("-----BEGIN PRIVATE KEY.*", before, re.DOTALL)[0]
    assert key not in person.file.read_text()
    ca.ask("user", "disable", "grace")
    done = person.login("--renew")
    assert done.returncode == 1 and b"run 'cardea login' again" in done.stderr
    assert person.file.exists()
    assert person.login("--logout").returncode == 0
    assert b"no login to renew" in person.login("--renew").stderr


def test_the_door_of_the_login(person, ca, sshd):
    """Who has logged in needs to write nothing down: `connect` goes to the door of the login."""
    person.register("dora", ca.add("dora", "--group", "ops"))
    (person.folder / "config.yaml").unlink()
    done = run(CARDEA, "connect", f"localhost:{sshd.port}", env=person.env, input=b"\n")
    assert done.returncode == 0 and done.stdout.startswith(b"SSH-2.0-"), done.stderr
    assert person.login("--logout").returncode == 0
    done = run(CARDEA, "connect", f"localhost:{sshd.port}", env=person.env)
    assert done.returncode == 2 and b"which door?" in done.stderr and b"or run 'cardea login'" in done.stderr
    done = run(CARDEA, "login", env={**person.env, "XDG_CONFIG_HOME": str(person.home / "xdg")})
    assert done.returncode == 2 and f"into {person.home}/xdg/cardea/config.yaml" in done.stderr.decode(), done.stderr


def test_a_revoked_login_is_over(person, ca):
    """Revoking one certificate of it ends what was renewed with it too, at once, and a password begins another."""
    code = ca.add("olga")
    assert person.by_password("--register", code, "olga@").returncode == 0
    before = person.file.read_bytes()
    assert person.login("--renew").returncode == 0
    stolen = person.file.read_bytes()
    assert stolen != before
    (person.home / "lost.pem").write_bytes(before)
    ca.ask("revoke", person.home / "lost.pem", "--reason", "keyCompromise")
    done = person.login("--renew")
    assert done.returncode == 1 and b"this login is over" in done.stderr, done.stderr
    assert person.by_password("olga@").returncode == 0
    assert person.login("--renew").returncode == 0


def test_a_login_that_ended(tmp_path, start_door, pki, ca, sshd):
    """`connect` says what to do about it."""
    door = start_door(configuration(pki, ca, sshd.port))
    person = Person(tmp_path / "home", door, pki)
    ca.add("heidi", "--group", "ops")
    done = run(CARDEA, "connect", f"localhost:{sshd.port}", env=person.env)
    assert done.returncode == 1 and b"run 'cardea login'" in done.stderr, done.stderr
    old = pki.staff.client("heidi", end=-60)  # by openssl: our CA makes none that has ended
    person.file.write_text("door: x\n" + Path(old.certificate).read_text() + Path(old.key).read_text())
    person.file.chmod(0o600)
    done = run(CARDEA, "connect", f"localhost:{sshd.port}", env=person.env)
    assert done.returncode == 1 and b"the login of heidi ended at" in done.stderr, done.stderr
    assert person.login("--status").returncode == 1


def test_first_contact(tmp_path, start_door, pki, ca, sshd):
    """Whoever knows nothing of the door but the fingerprint of its CA: the right one is kept, and does from then on."""
    ca.ask("issue", "door.test", "--out", tmp_path / "door")
    config = configuration(pki, ca, sshd.port)
    config["certificates"] = [{"certificate": str(tmp_path / "door.pem"), "key": str(tmp_path / "door.key")}]
    person = Person(tmp_path / "home", start_door(config), pki)
    file = person.folder / "config.yaml"
    file.write_text(file.read_text().replace(f"ca: {pki.ca.file}\n", ""))
    code = ca.add("leo", "--group", "ops")
    shown = run("openssl", "x509", "-in", ca.root, "-noout", "-fingerprint", "-sha256").stdout.decode()
    fingerprint = shown.strip().partition("=")[2]
    wrong = fingerprint[:-1] + ("0" if fingerprint[-1] != "0" else "1")
    done = person.by_password("--register", code, "leo@", "--ca-fingerprint", wrong)
    assert done.returncode == 1 and b"another fingerprint" in done.stderr
    assert not (person.folder / "login-ca.pem").exists()
    done = person.by_password("--register", code, "leo@")
    assert done.returncode == 1, "a CA that nobody knows is believed"
    done = person.by_password("--register", code, "leo@", "--ca-fingerprint", fingerprint)
    assert done.returncode == 0, done.stderr.decode()
    assert person.by_password().returncode == 0
    assert person.login("--logout").returncode == 0
    done = person.by_password("leo@", "--ca", "system")
    assert done.returncode == 1, "what is named is not what is believed"
    done = person.by_password("leo@")
    assert done.returncode == 0, done.stderr.decode()
    command = shlex.join([CARDEA, "connect"]) + " %h:%p"
    done = run("ssh", *sshd.options(proxy_command=command), "-o", f"Port={sshd.port}", f"{sshd.user}@localhost",
               "echo inside", env=person.env)
    assert (done.returncode, done.stdout) == (0, b"inside\n"), done.stderr.decode()


def test_a_session_outlives_two_renewals(tmp_path, start_door, pki, ca, sshd):
    """ssh through a door that closes at the end of the certificate: `cardea login --renew`, and then the password once more,
    keep it; when nothing can, it ends."""
    lasts = round(10 * PACE)
    config = configuration(pki, ca, sshd.port)
    config["routes"][0]["clients"]["expired"] = "close"
    person = Person(tmp_path / "home", start_door(config), pki)
    person.register("mia", ca.add("mia", "--group", "ops", "--lifetime", f"{lasts}s"))
    command = shlex.join([CARDEA, "connect"]) + " %h:%p"
    ssh = Process(["ssh", *sshd.options(proxy_command=command), "-o", f"Port={sshd.port}", f"{sshd.user}@localhost",
                   "for i in $(seq 1000); do echo line $i; sleep 0.2; done"], tmp_path, "ssh", env=person.env)
    first = time.time() + lasts
    wait_until(lambda: "line 1" in ssh.output(), lambda: f"ssh: {ssh.output()}", 20)
    wait_until(lambda: time.time() > first - lasts * 0.6, "a while", lasts * 2)
    assert person.login("--renew").returncode == 0
    wait_until(lambda: time.time() > first + lasts * 0.1 or ssh.poll() is not None, "the first to end", lasts * 3)
    assert ssh.poll() is None, ssh.output()
    assert person.by_password().returncode == 0  # another session of the same person: the connection goes on
    second = time.time() + lasts
    wait_until(lambda: time.time() > second - lasts * 0.2 or ssh.poll() is not None, "the second to end", lasts * 3)
    assert ssh.poll() is None, ssh.output()
    ca.ask("user", "disable", "mia")  # else what uses the login would renew it
    wait_until(lambda: ssh.poll() is not None, "the end of the last", lasts * 3)
    assert time.time() >= second - 1


class Middle:
    """Ends TLS on the way, as somebody does whose CA the client believes. `change` may change a request."""

    def __init__(self, pki, door, change=None):
        self.pki, self.door, self.change = pki, door, change
        self.heard, self.cut = b"", False
        cert = pki.server("door.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert.certificate, cert.key)
        self.server = Server(self.serve, ctx=context)

    def serve(self, sock):
        context = ssl.create_default_context(cafile=self.pki.ca.file)
        context.set_alpn_protocols(["http/1.1"])
        with self.door.dial() as raw, context.wrap_socket(raw, server_hostname="door.test") as onwards:
            while not self.cut:
                ready, _, _ = select.select([sock, onwards], [], [], 0.1)
                for side, other in ((sock, onwards), (onwards, sock)):
                    if side not in ready:
                        continue
                    data = side.recv(65536)
                    while side.pending():
                        data += side.recv(65536)
                    if not data:
                        return
                    if side is sock:
                        self.heard += data
                        data = self.change(data) if self.change else data
                    other.sendall(data)


def test_waiting_outlives_the_network(tmp_path, pki, ca, door):
    """Who waits to be approved goes on where the door cannot be reached for a while."""
    ca.add("nina")
    middle = Middle(pki, door)
    person = Person(tmp_path / "home", door, pki, port=middle.server.port)
    waiting = Waiting(person, tmp_path)
    middle.cut = True
    middle.server.stop()
    count = middle.server.count
    time.sleep(4 * PACE)  # a question that nobody hears
    assert waiting.process.poll() is None, waiting.process.output()
    middle.cut = False
    middle.server.start()
    ca.ask("approve", waiting.code, "--user", "nina")
    assert waiting.process.wait(20 * SLOW) == 0, waiting.process.output()
    assert middle.server.count > count


def test_the_password_is_never_said(tmp_path, pki, ca, door):
    """Neither when it is set nor when it is used, in no form that one would look for."""
    middle = Middle(pki, door)
    person = Person(tmp_path, door, pki, port=middle.server.port)
    person.register("ivan", ca.add("ivan"))
    assert person.by_password("ivan@").returncode == 0
    assert b"/login/register/finish" in middle.heard and middle.heard.count(b"/login/finish") == 2
    for form in (PASSWORD.encode(), base64.b64encode(PASSWORD.encode()), PASSWORD.encode().hex().encode(), b"horse"):
        assert form not in middle.heard
    for name in ("login.db", "login.db-wal", "ca.db"):
        path = ca.directory / name
        assert not path.exists() or PASSWORD.encode() not in path.read_bytes()


def test_no_other_key_is_put_in(tmp_path, pki, ca, door):
    """Whoever ends TLS in between cannot have his own key certified by somebody else's password."""
    other = tmp_path / "mallory"
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
        tmp_path / "mallory.key", "-subj", "/", "-outform", "DER", "-out", other)
    theirs = base64.b64encode(other.read_bytes())

    def change(data):
        """Another request for a certificate; of the same length, so that no head has to change."""
        found = re.search(rb'"csr":"([^"]*)"', data)
        if b"POST /login/finish" not in data and not found:
            return data
        return data.replace(found[1], theirs) if found and len(found[1]) == len(theirs) else data.replace(b'"csr":"MI', b'"csr":"MJ')
    middle = Middle(pki, door, change)
    person = Person(tmp_path / "home", door, pki, port=middle.server.port)
    code = ca.add("judy")
    done = person.by_password("--register", code, "judy@")
    assert done.returncode == 1 and b"wrong user or password" in done.stderr, done.stderr
    assert not person.file.exists()


def type_at(argv, env, answers):
    """Run at a terminal, and type each answer when it is asked for; returns (exit code, what the terminal showed, whether it
    shows what is typed again)."""
    pid, fd = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # whatever has started the tests may ignore it
        script = 'trap : INT; "$@"; code=$?; stty -a; exit $code'
        os.execve("/bin/sh", ["sh", "-c", script, "sh", *argv], env)
    shown, pending = b"", list(answers)
    try:
        while select.select([fd], [], [], 30 * SLOW)[0]:
            shown += os.read(fd, 4096)
            if pending and pending[0][0] in shown:
                os.write(fd, pending.pop(0)[1])
    except OSError:  # its end
        pass
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    shown, _, flags = shown.partition(b"speed ")
    return code, shown, b" echo " in flags


def test_at_a_terminal(person, ca):
    """It is asked for, twice when it is set, and not shown."""
    code, typed = ca.add("kim"), PASSWORD.encode() + b"\n"
    done = type_at([CARDEA, "login", "--register", code, "kim@"], person.env,
                   [(b"or more: ", typed), (b"The same again: ", typed)])
    assert done[::2] == (0, True) and PASSWORD.encode() not in done[1], done
    done = type_at([CARDEA, "login"], person.env, [(b"Password of kim at ", typed)])
    assert done[::2] == (0, True) and PASSWORD.encode() not in done[1], done
    done = type_at([CARDEA, "login"], person.env, [(b"Password of kim at ", b"\x03")])
    assert done[::2] == (128 + signal.SIGINT, True), done
    code = ca.add("lee")
    done = type_at([CARDEA, "login", "--register", "-", "lee@"], person.env,
                   [(b"Code for registering: ", code.encode() + b"\n"), (b"or more: ", typed), (b"The same again: ", typed)])
    assert done[::2] == (0, True) and code.encode() not in done[1], done
    person.login("--logout")
    assert b"no terminal" in person.login("kim@", start_new_session=True).stderr


def test_password_files(person):
    """Others must not be able to read it."""
    person.password_file.chmod(0o644)
    done = person.by_password("alice@")
    assert done.returncode == 1 and b"chmod 600" in done.stderr
    done = person.login("alice@", "--password-file", person.home / "none")
    assert done.returncode == 1 and b"No such file" in done.stderr


@pytest.mark.parametrize("words, code, text", [
    (["--renew", "--status"], 2, b"only one at a time"),
    (["--code", "a@b", "c@d"], 2, b"one door at a time"),
    (["Alice@door.test"], 2, b"no name of an account"),
    (["alice@door.test:0"], 1, b"door.test:0"),
    (["--wrong"], 2, b"usage"),
    (["--status", "--json"], 1, b""),
])
def test_misuse(person, words, code, text):
    done = person.login(*words)
    assert done.returncode == code and text in done.stderr, done.stderr
