# SPDX-License-Identifier: Apache-2.0
"""What `cardea wrap` tells the person who runs it: that it serves, which connections fail and why, and what is wrong with the
command line, in its own words."""
import os
import shutil
import socket
import stat

import pytest

import peers
import tls
from run import CARDEA, Process, free_port, run, wait_listening, wait_until

HERE = ["--listen", "127.0.0.1:2"]


def start(tmp_path, role, port, *words):
    process = Process([CARDEA, "wrap", role, "--listen", f"127.0.0.1:{port}", *words], tmp_path, f"wrap-{port}", cwd=tmp_path)
    wait_listening(port, process)
    return process


def test_it_serves(tmp_path, pki):
    cert, port = pki.server("mail.test"), free_port()
    client = start(tmp_path, "client", port, "--to", "127.0.0.1:143", "--starttls", "imap")
    wait_until(lambda: f"cardea wrap: 127.0.0.1:{port} -> TLS, starttls imap -> 127.0.0.1:143\n" in client.output(), "its line")
    client.stop()
    port = free_port()
    server = start(tmp_path, "server", port, "--to", "127.0.0.1:1", "--to", "unix:app.sock", "--cert", cert.certificate,
                   "--key", cert.key)
    wait_until(lambda: f"cardea wrap: 127.0.0.1:{port}, TLS -> 127.0.0.1:1, unix:app.sock\n" in server.output(), "its line")
    server.stop()


def test_a_connection_fails(tmp_path, pki, echo):
    """A line for each that does not end in order; nothing of the others, and no JSON."""
    port = free_port()
    to = f"127.0.0.1:{free_port()}"
    process = start(tmp_path, "client", port, "--to", to, "--expect", "a.test")
    with socket.socket() as client:
        client.bind(("127.0.0.1", 0))
        name = "%s:%d" % client.getsockname()
        client.connect_ex(("127.0.0.1", port))  # which may have been ended already
        wait_until(lambda: f"cardea wrap: {name} -> {to}: refused: " in process.output(), "a line about it")
    process.stop()
    assert '"reason"' not in process.output()
    cert, port = pki.server("a.test"), free_port()
    process = start(tmp_path, "server", port, "--to", echo.to, "--cert", cert.certificate, "--key", cert.key, "--clients",
                    pki.ca.file)
    stranger = pki.stranger.issue("mallory", label="wrap-words-mallory")
    tls.s_client(None, "a.test", "-cert", stranger.certificate, "-key", stranger.key, port=port)
    wait_until(lambda: ": bad_certificate: " in process.output() and "is not in --clients" in process.output(), "why not")
    before, behind = free_port(), port
    client = start(tmp_path, "client", before, "--to", f"127.0.0.1:{behind}", "--expect", "a.test", "--ca", pki.stranger.file)
    with socket.create_connection(("127.0.0.1", before)):
        wait_until(lambda: ": backend_tls: " in client.output() and " in --ca" in client.output(), "why not")
    client.stop()
    for words, advice in (b"EHLO client.test\r\n", "say '--starttls smtp'"), (b"hello\r\n", "say with --starttls in which"):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(words)
            wait_until(lambda: advice in process.output(), advice)
    process.stop()


SERVER = ["server", *HERE, "--to", "127.0.0.1:1", "--cert", "a.pem", "--key", "a.key"]
CLIENT = ["client", *HERE, "--to", "a.test:443"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pki):
    folder = tmp_path_factory.mktemp("wrap-words")
    cert = pki.server("a.test")
    shutil.copy(cert.certificate, folder / "a.pem")
    shutil.copy(cert.key, folder / "a.key")
    shutil.copy(cert.key, folder / "open.key")
    os.chmod(folder / "open.key", stat.S_IRUSR | stat.S_IROTH)
    (folder / "own").mkdir()
    (folder / "own/t.starttls").write_text("unit line\n\nswich\n")
    return folder


@pytest.mark.parametrize("words, code, said", [
    (["server", *HERE, "--to", "127.0.0.1:1", "--cert", "a.pem", "--key", "open.key"], 1,
     "--key: open.key: other users may use this private key"),
    ([*SERVER, "--clients", "none.pem"], 1, "--clients: none.pem: No such file"),
    ([*CLIENT, "--ca", "a.key"], 1, "--ca: a.key: no certificate in PEM"),
    ([*SERVER, "--starttls", "./own/t.starttls"], 1, "--starttls: ./own/t.starttls:3:1: found 'swich'"),
    ([*CLIENT, "--starttls", "foo"], 2, "found 'foo' with --starttls, expected one of ftp, imap, irc, "),
    ([*CLIENT, "--starttls", "foo"], 2, "postgresql, rdp, smtp, submission, telnet, "),
    ([*SERVER, "--starttls", "foo"], 2, "postgresql, smtp, submission, telnet, "),
    ([*CLIENT, "--starttls", "imaps"], 2, "in imaps TLS begins at once, leave --starttls out"),
    ([*CLIENT, "--lisen", "x"], 2, "unrecognized option '--lisen'\ncardea wrap client: did you mean '--listen'?\n"),
    ([*CLIENT, "--nothing-like-it"], 2, "unrecognized option '--nothing-like-it'\nusage: "),
    ([*CLIENT, "--expect", "spiffe://a.test/x?y=z"], 2, "did you mean 'uri=spiffe://a.test/x?y=z'?"),
    ([*CLIENT, "--starttls", "tls"], 2, "found 'tls' with --starttls, expected a protocol such as imap"),
    ([*CLIENT, "--starttls", "plain"], 2, "found 'plain' with --starttls, expected a protocol such as imap"),
    ([*SERVER, "--starttls", "rdp"], 2, "--starttls rdp goes with 'cardea wrap client' only"),
    ([*SERVER, "--starttls", "imap", "--headers"], 2, "'--starttls imap' says that the server speaks something else"),
    ([*SERVER, "--tell", "smtp", "--headers"], 2, "'--tell smtp' says that the server speaks something else"),
    ([*SERVER, "--starttls", "imap", "--tell", "smtp"], 2, "found '--tell smtp' beside '--starttls imap'"),
    ([*SERVER, "--tell", "ftp"], 2, "found 'ftp' with --tell: expected a protocol in which a server can be told of its client: "
                                    "lmtp, postgresql, smtp; any can be with --proxy"),
    ([*SERVER, "--clients", "a.pem", "--allow", "cn=x"], 2, "found 'cn=x' with --allow: expected a name, or group=, dns="),
    ([*SERVER, "--to", "exec:/nope/x"], 1, "--to: found exec:/nope/x, expected a program that can be started: No such file"),
    ([*SERVER, "--to", "exec:./a.pem -x"], 1, "expected a program that can be started: Permission denied"),
    ([*CLIENT, "--socket", "none/door.sock"], 1, "cardea wrap: --socket: cannot listen on none/door.sock: No such file"),
])
def test_what_is_wrong(folder, words, code, said):
    done = run(CARDEA, "wrap", *words, cwd=folder)
    assert (done.returncode, done.stdout) == (code, b"") and said in done.stderr.decode(), done.stderr.decode()


def test_help_of_a_form():
    """`cardea help wrap server` is about wrap."""
    whole = run(CARDEA, "help", "wrap")
    for form in ("server", "client"):
        done = run(CARDEA, "help", "wrap", form)
        assert (done.returncode, done.stdout) == (0, whole.stdout)
    for words in (["wrap", "both"], ["wrap", "server", "x"], ["nix", "server"], ["status", "server"]):
        done = run(CARDEA, "help", *words)
        assert (done.returncode, done.stderr) == (2, b"usage: cardea help [VERB]\n"), words


@pytest.mark.parametrize("says, words, told", [
    (b"220 mx ESMTP\r\n", [], "expected TLS, found '220 mx ESMTP' in the clear; perhaps --starttls smtp\n"),
    (b"220 a\x07b\\c\"d\"\r\n", [], "expected TLS, found '220 a\\x07b\\c\"d\"' in the clear; perhaps --starttls smtp (or ftp, lmtp)\n"),
    (b"\x15\3\1\0\2\2\x32", ["--starttls", "imap"], "TLS begins at once there, leave --starttls out\n"),
    (None, ["--starttls", "imap"], "without a word; perhaps TLS begins at once there: leave --starttls out\n"),
    (b"", ["--starttls", "imap"], "the server said nothing; perhaps TLS begins at once there: leave --starttls out\n"),
])
def test_starttls_and_tls_mixed_up(tmp_path, says, words, told):
    """The server's own words are shown, each escape once."""
    def handler(sock):
        if says is not None:
            sock.sendall(says)
            peers.echo(sock)
    port = free_port()
    with peers.Server(handler) as server:
        process = start(tmp_path, "client", port, "--to", server.to, "--expect", "a.test", *words)
        with socket.create_connection(("127.0.0.1", port)):
            wait_until(lambda: told in process.output(), process.output, 20)
        process.stop()


def test_the_address_is_taken(folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        at = "127.0.0.1:%d" % other.getsockname()[1]
        done = run(CARDEA, "wrap", "client", "--listen", at, "--to", "a.test:443")
    assert f"--listen: cannot listen on {at} (another program has it): Address already in use" in done.stderr.decode()


def test_anyone(tmp_path):
    """The warning speaks of options, not of lines of a file that nobody sees."""
    process = start(tmp_path, "client", free_port(), "--to", "127.0.0.1:1", "--expect", "any")
    said = "cardea wrap: warning: --expect: anyone can be this backend: it proves nothing; say with --expect what it must prove\n"
    wait_until(lambda: said in process.output(), "the warning")
    process.stop()


def test_optional_with_allow(start_wrap, pki, echo):
    """Nobody in particular is let in, who has proven to be somebody has to be allowed."""
    cert, alice, bob = pki.server("a.test"), pki.ca.client("alice", label="wrap-words-alice"), pki.ca.client("bob", label="wrap-words-bob")
    wrap = start_wrap("server", echo.port, "--cert", cert.certificate, "--key", cert.key, "--clients", pki.ca.file,
                      "--optional", "--allow", "alice")
    for who, reason in ((None, "done"), (alice, "done"), (bob, "denied")):
        shown = [] if who is None else ["-cert", who.certificate, "-key", who.key]
        tls.s_client(None, "a.test", *shown, port=wrap.port)
        facts = {} if who is None else {"identity": "bob" if who is bob else "alice"}
        assert ("identity" in wrap.audited(reason=reason, **facts)) == (who is not None)


def test_printed_elsewhere(folder, tmp_path):
    """What is printed means the same wherever it is put, and is a door like any other."""
    done = run(CARDEA, "wrap", *SERVER, "--to", "unix:app.sock", "--to", "exec:./own/run 'a b'", "--clients", "a.pem",
               "--audit", "door.jsonl", "--starttls", "./own/t.starttls", "--print", cwd=folder)
    text = done.stdout.decode()
    for path in ("a.pem", "a.key", "door.jsonl", "./own/t.starttls"):
        assert f'"{folder}/{path}"' in text, text
    assert f'"unix:{folder}/app.sock"' in text and f'"exec:{folder}/./own/run \'a b\'"' in text
    assert "admin" not in text
    plain = run(CARDEA, "wrap", *SERVER, "--print", cwd=folder).stdout
    (tmp_path / "door.yaml").write_bytes(plain)
    checked = run(CARDEA, "serve", "-c", tmp_path / "door.yaml", "--check")
    assert (checked.returncode, checked.stderr) == (0, b""), checked
    assert b"audit" not in plain
