# SPDX-License-Identifier: Apache-2.0
"""What cardea-wrap(1) and README.md say of `cardea wrap` is so: the options, the examples, the signals."""
import re
import shlex
import shutil
import signal

import pytest

import tls
from pki import openssl
from run import CARDEA, ROOT, run, wait_until

MANUAL = (ROOT / "doc/man/cardea-wrap.1").read_text()
README = (ROOT / "README.md").read_text()


def commands(text):
    """The words of each `cardea wrap`, without what the shell does with its output."""
    text = re.sub(r"\\e?\n", " ", text)
    return [shlex.split(line.partition(">")[0])[1:] for line in re.findall(r"^ *(cardea wrap .*--listen.*)$", text, re.MULTILINE)]


EXAMPLES = commands(MANUAL) + commands(README)


def test_options():
    """The manual has each option of the help, and no other."""
    told = set(re.findall(r"^\.It (?:Fl h , )?(?:Fl )?-([a-z-]+)", MANUAL, re.MULTILINE)) - {"help"}
    helped = set(re.findall(r"^ +--([a-z-]+)", run(CARDEA, "wrap", "--help").stdout.decode(), re.MULTILINE))
    assert told == helped


def test_protocols():
    """Each protocol that is built in is told of: a server's and a client's where there is that section, else a client's."""
    helped = run(CARDEA, "wrap", "--help").stdout.decode()
    for script in (ROOT / "src/starttls/protocols").glob("*.starttls"):
        for text in (MANUAL, helped):
            assert re.search(rf"\b{script.stem}\b", text), script.stem


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pki):
    """The files that the examples name."""
    folder = tmp_path_factory.mktemp("wrap-manual")
    cert = pki.server("mail.example.com", "app.example.com")
    for word in {word for words in EXAMPLES for word in words if word.endswith((".pem", ".key"))}:
        source = pki.ca.file if "ca" in word.split(".")[0].split("-") else cert.key if word.endswith("key") else cert.certificate
        shutil.copy(source, folder / word)
    return folder


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(folder, number):
    """What it prints is a good configuration, with nothing to warn of."""
    done = run(CARDEA, *EXAMPLES[number], *(["--print"] if "--print" not in EXAMPLES[number] else []), cwd=folder)
    assert (done.returncode, done.stderr) == (0, b""), done
    (folder / f"{number}.yaml").write_bytes(done.stdout)
    checked = run(CARDEA, "serve", "-c", f"{number}.yaml", "--check", cwd=folder)
    warnings = [line for line in checked.stderr.splitlines() if b"popserver" not in line]  # a program that is not here
    assert (checked.returncode, warnings) == (0, []), checked


def test_hangup_reads_certificates(start_wrap, pki, echo, tmp_path):
    """A certificate that was renewed is shown after SIGHUP; one that cannot be read leaves the old one in force."""
    old, new = pki.server("old.example.com"), pki.server("new.example.com")
    shutil.copy(old.certificate, tmp_path / "cert.pem")
    shutil.copy(old.key, tmp_path / "cert.key")
    wrap = start_wrap("server", echo.port, "--cert", tmp_path / "cert.pem", "--key", tmp_path / "cert.key")

    def shown():
        return openssl("x509", "-noout", "-subject", "-in", certificate_of(wrap.port, tmp_path)).decode()
    assert "old.example.com" in shown()
    shutil.copy(new.certificate, tmp_path / "cert.pem")
    shutil.copy(new.key, tmp_path / "cert.key")
    wrap.process.send(signal.SIGHUP)
    wait_until(lambda: "new.example.com" in shown(), "the new certificate")
    (tmp_path / "cert.pem").write_text("no certificate")
    wrap.process.send(signal.SIGHUP)
    wait_until(lambda: "cert.pem" in wrap.process.output(), "a complaint")
    assert "new.example.com" in shown()


def certificate_of(port, folder):
    """The file of the certificate that a server shows."""
    said = tls.s_client(None, "any.example.com", port=port)
    path = folder / "shown.pem"
    path.write_text(re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", said.text, re.DOTALL).group(0))
    return path


@pytest.mark.parametrize("words, code, complaint", [
    (["server", "--to", "127.0.0.1:1", "--cert", "a", "--key", "a"], 2, b"--listen ADDRESS is missing"),
    (["client", "--listen", "127.0.0.1:1"], 2, b"--to ADDRESS is missing"),
    (["client", "--listen", "127.0.0.1:1", "--to", "mail.example.com:1", "--clients", "staff.pem"], 2, b"wrap server"),
    (["server", "--listen", "127.0.0.1:1", "--to", "127.0.0.1:2"], 2, b"--cert FILE is missing"),
    (["server", "--listen", "127.0.0.1:1", "--to", "127.0.0.1:2", "--cert", "none.pem", "--key", "none.key"], 1, b"--cert: none.pem: No"),
    (["client", "--listen", "127.0.0.1:1", "--to", "mail.example.com:1", "--starttls", "imapp"], 2, b"did you mean 'imap'?"),
    (["client", "--listen", "127.0.0.1:1", "--to", "mail.example.com"], 1, b"--to: found 'mail.example.com', expected HOST:PORT"),
    (["client", "--listen", "127.0.0.1:1", "--to", "127.0.0.1:1"], 2, b"found 127.0.0.1:1 with --listen and with --to"),
    (["somebody"], 2, b"found 'somebody', expected 'server'"),
])
def test_exit_status(tmp_path, words, code, complaint):
    """2 for usage, 1 for what is not there; what is wrong is told of the option."""
    done = run(CARDEA, "wrap", *words, cwd=tmp_path)
    assert done.returncode == code and complaint in done.stderr, done
