# SPDX-License-Identifier: Apache-2.0
"""The fixtures that end-to-end and soak tests share. Peers start once for all; doors belong to a test or a module."""
import os
import resource

import pytest

import mail_servers
import peers
from door import Door
from pki import Pki
from run import CARDEA, SANITIZER, SLOW, Process, assert_no_sanitizer_output, run, wait_listening
from wrapping import Starter


def pytest_report_header(config):
    return f"cardea: {CARDEA}; sanitizer: {SANITIZER}; waits times {SLOW:g}"


@pytest.fixture(scope="session", autouse=True)
def many_files():
    """As many descriptors for the clients as this user may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def door_factory(factory):
    """A function that starts doors, and the list of those it started."""
    started = []

    def start(config, **options):
        door = Door(factory.mktemp("door"), config, **options)
        started.append(door)
        return door.start()
    return start, started


def stop_all(started):
    """Every door is asked to stop, then the first complaint is raised."""
    complaints = []
    for door in reversed(started):
        try:
            door.stop()
        except AssertionError as complaint:
            complaints.append(complaint)
    if complaints:
        raise complaints[0]


@pytest.fixture
def start_door(tmp_path_factory):
    """start_door(config) starts a door that is stopped (cleanly, or the test fails) after the test."""
    start, started = door_factory(tmp_path_factory)
    yield start
    stop_all(started)


@pytest.fixture(scope="module")
def start_module_door(tmp_path_factory):
    """The same for a door that all tests of a module share."""
    start, started = door_factory(tmp_path_factory)
    yield start
    stop_all(started)


@pytest.fixture
def start_wrap(tmp_path):
    """Starts `cardea wrap` (wrapping.Starter), which is stopped (cleanly, or the test fails) after the test."""
    starter = Starter(tmp_path)
    yield starter
    stop_all(starter.started)


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def sshd(tmp_path_factory):
    server = peers.Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def dns(tmp_path_factory):
    server = peers.Dns(tmp_path_factory.mktemp("dns"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres():
    server = peers.Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tls_postgres(pki):
    server = peers.Postgres(pki.server("db.test"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nginx(tmp_path_factory, pki):
    server = peers.Nginx(tmp_path_factory.mktemp("nginx"), pki)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mail_cert(pki):
    """What the mail servers below prove to be, and what is put in front of them."""
    return pki.server("mail.example.com")


def mail_server(kind, *words):
    server = kind(*words)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def dovecot(mail_cert):
    """imap, pop3, managesieve and lmtp without TLS."""
    yield from mail_server(mail_servers.Dovecot, mail_cert, False)


@pytest.fixture(scope="session")
def dovecot_tls(mail_cert):
    """The same, demanding TLS."""
    yield from mail_server(mail_servers.Dovecot, mail_cert, True)


@pytest.fixture(scope="session")
def postfix(mail_cert, dovecot):
    yield from mail_server(mail_servers.Postfix, mail_cert, dovecot)


@pytest.fixture(scope="session")
def inn(mail_cert):
    """nntp without TLS."""
    yield from mail_server(mail_servers.Inn, mail_cert, False)


@pytest.fixture(scope="session")
def inn_tls(mail_cert):
    """nntp that demands TLS."""
    yield from mail_server(mail_servers.Inn, mail_cert, True)


@pytest.fixture(scope="session")
def echo():
    """A plain echo server that keeps half-close."""
    with peers.Server(peers.echo) as server:
        yield server


@pytest.fixture(scope="session")
def banner():
    """Says `behind the door`, then echoes."""
    with peers.Server(peers.says("behind the door")) as server:
        yield server


@pytest.fixture(scope="session")
def counter():
    """Answers how many bytes there were once the client has ended its side."""
    with peers.Server(peers.answer_at_end) as server:
        yield server


@pytest.fixture
def connect(pki, tmp_path):
    """connect(door, *words, cert=, ...) runs `cardea connect` to the end, as alice unless told otherwise."""
    def call(door, *words, cert=pki.alice, ca=pki.ca.file, name="door.test", **options):
        return run(*connect_words(door, cert, ca, name), *words, env=clean_env(tmp_path), **options)
    return call


@pytest.fixture
def start_connect(pki, tmp_path):
    """start_connect(door, *words, ports=) starts `cardea connect` as alice with -L among the words, and waits for its
    ports. Ended after the test: cleanly, or the test fails."""
    started = []

    def start(door, *words, ports):
        process = Process([*connect_words(door, pki.alice, pki.ca.file), *words], tmp_path, f"connect{len(started)}",
                          env=clean_env(tmp_path))
        started.append(process)
        for port in ports:
            wait_listening(port, process)
        return process
    yield start
    for process in started:
        code = process.stop()
        assert code in (0, -15), f"exit code {code}: {process.output()}"
        assert_no_sanitizer_output(process.output())


def connect_words(door, cert, ca, name="door.test"):
    """The command line of `cardea connect` up to the target."""
    words = [CARDEA, "connect", "--door", door if isinstance(door, str) else door.address]
    for flag, value in (("--name", name), ("--ca", ca), ("--cert", cert and cert.certificate),
                        ("--key", cert and cert.key)):
        if value:
            words += [flag, value]
    return words


def clean_env(home, **more):
    """An environment without the caller's CARDEA_* and configuration; a sanitizer's options are kept."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CARDEA_")}
    return {**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home) + "/.config",
            "XDG_CACHE_HOME": str(home) + "/.cache", "XDG_RUNTIME_DIR": str(home), "CARDEA_SHARE": "0", **more}
