# SPDX-License-Identifier: Apache-2.0
"""Services that `cardea expose` offers at a real door: private, public and end-to-end, over QUIC and over TCP; and
what the policy denies."""
import os
import shlex
import signal
import socket
import ssl
import subprocess

import pytest

import peers
from agents import Agent, udp_echo
from fixtures import clean_env, connect_words
from run import CARDEA, SLOW, free_port, run, wait_until


@pytest.fixture(scope="module")
def ports():
    return free_port(), free_port()


@pytest.fixture(scope="module")
def door(start_module_door, pki, ports):
    low, high = min(ports), max(ports)
    clients = {"mode": "optional", "trust": "staff"}
    return start_module_door({
        "certificates": [pki.server("door.test").row(), pki.server("*.apps.test").row()],
        "trust": [pki.trust()],
        "agents": {"grace": "1s"},
        "routes": [
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "apps", "sni": "*.apps.test", "expose": {}, "clients": clients},
        ],
        "policy": [
            {"name": "agents", "who": {"group": "ops"},
             "targets": ["offer:*.apps.test", "public:*.apps.test", f"public:*.apps.test:{low}-{high}"]},
            {"name": "no-secrets", "effect": "deny", "who": {"any": True}, "targets": ["name:secret.apps.test"]},
            {"name": "visitors", "who": {"group": ["ops", "dev"]}, "targets": ["name:*.apps.test"]},
        ],
    })


@pytest.fixture(params=["quic", "tcp"])
def expose(request, door, pki, tmp_path):
    """Start an agent and wait until its offer stands."""
    started = []

    def begin(name, to, *words, who=None, stands=True):
        agent = Agent(tmp_path, door.address, pki, name, "--to", to, "--transport", request.param, "--grace", "0s",
                      "--verbose", *words, name=f"expose-{len(started)}", who=who)
        started.append(agent)
        if stands:
            agent.says(f"over {request.param.upper()}")
        return agent
    begin.transport = request.param
    yield begin
    for agent in started:
        if agent.poll() is None:
            agent.end()


@pytest.fixture(scope="module")
def web():
    def serve(sock):
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                return
            data += more
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")
    with peers.Server(serve) as server:
        yield server


def curl(door, pki, name, cert=None):
    words = ["curl", "-sS", "--max-time", 10 * SLOW, "--cacert", pki.ca.file,
             "--connect-to", f"{name}:443:{door.address}", f"https://{name}/"]
    if cert:
        words += ["--cert", cert.certificate, "--key", cert.key]
    return run(*words)


def test_private(door, expose, pki, web):
    """By server name: who may come in, who may not, and who shows nothing."""
    agent = expose("web.apps.test", web.to)
    done = curl(door, pki, "web.apps.test", pki.bob)
    assert done.stdout == b"hello\n", done.stderr.decode()
    agent.says("as bob")
    assert curl(door, pki, "web.apps.test").returncode != 0
    assert curl(door, pki, "web.apps.test", pki.mallory).returncode != 0


def test_visits_that_the_policy_denies(door, expose, pki, web, tmp_path):
    expose("secret.apps.test", web.to)
    assert curl(door, pki, "secret.apps.test", pki.alice).returncode != 0
    done = run(*connect_words(door, pki.alice, pki.ca.file), "secret.apps.test", env=clean_env(tmp_path))
    assert done.returncode == 1 and "no-secrets" in done.stderr.decode(), done.stderr.decode()


def test_public(door, expose, pki, web):
    expose("open.apps.test", web.to, "--public")
    done = curl(door, pki, "open.apps.test")
    assert done.stdout == b"hello\n", done.stderr.decode()


def test_offers_that_the_policy_denies(expose, pki, web):
    """The text names the rule, or says that there is none; exit code 1."""
    agent = expose("web.apps.test", web.to, who=pki.bob, stands=False)
    assert agent.wait() == 1 and "denied" in agent.output() and "no rule" in agent.output(), agent.output()
    agent = expose("web.elsewhere.test", web.to, stands=False)
    assert agent.wait() == 1 and "web.elsewhere.test" in agent.output(), agent.output()


@pytest.mark.parametrize("transport", ["quic", "tcp", "auto"])
@pytest.mark.parametrize("who, text", [(None, "wants a client certificate: give --cert and --key"),
                                       ("mallory", "does not know the certification authority"),
                                       ("unknown name", "knows nothing named elsewhere.test")])
def test_agents_that_the_door_does_not_know(door, pki, tmp_path, transport, who, text):
    """They end, with what to do."""
    words = ["--door", door.address, "--ca", pki.ca.file, "--transport", transport,
             "--name", "elsewhere.test" if who == "unknown name" else "door.test"]
    if who is not None:
        cert = pki.mallory if who == "mallory" else pki.alice
        words += ["--cert", cert.certificate, "--key", cert.key]
    done = run(CARDEA, "expose", *words, "web.apps.test", "--to", "127.0.0.1:1", env=clean_env(tmp_path))
    assert done.returncode == 1 and text in done.stderr.decode(), done.stderr.decode()


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_reload(door, pki, echo, web, tmp_path, transport):
    """SIGHUP: what is new can be visited, what is gone cannot, and a visitor of what is gone goes on."""
    path = tmp_path / "services.yaml"

    def write(**services):
        path.write_text("services:\n" + "".join(f"  - {{name: {name}.apps.test, to: '{to}'}}\n"
                                                for name, to in services.items()))

    def connect(name, **more):
        return run(*connect_words(door, pki.alice, pki.ca.file), "--no-share", f"{name}.apps.test",
                   env=clean_env(tmp_path), **more)
    write(stays=echo.to, goes=echo.to)
    agent = Agent(tmp_path, door.address, pki, "-c", path, "--transport", transport, "--grace", "0s")
    agent.says("offering stays.apps.test")
    agent.says("offering goes.apps.test")
    words = [*connect_words(door, pki.alice, pki.ca.file), "--no-share", "goes.apps.test"]
    with subprocess.Popen([str(word) for word in words], env=clean_env(tmp_path), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as visitor:
        visitor.stdin.write(b"x")
        visitor.stdin.flush()
        assert visitor.stdout.read(1) == b"x"
        write(stays=echo.to, new=echo.to)
        agent.send(signal.SIGHUP)
        agent.says("offering new.apps.test")
        assert connect("new", input=b"hello").stdout == b"hello"
        assert connect("stays", input=b"hello").stdout == b"hello"
        assert b"agent" in connect("goes").stderr
        out, _ = visitor.communicate(b"y", timeout=10 * SLOW)
    assert (visitor.returncode, out) == (0, b"y")
    assert agent.output().count("offering stays.apps.test") == 1
    agent.end()


def test_public_port(door, expose, pki, ports, banner):
    """A TCP port of the door, without TLS."""
    expose("game.apps.test", banner.to, "--public", "--port", ports[0])
    with socket.create_connection(("127.0.0.1", ports[0]), timeout=10 * SLOW) as sock:
        assert sock.recv(100) == b"behind the door\n"
        target = f"public:game.apps.test:{ports[0]}"
        at_port = sock.getsockname()
    line = door.audited_of(at_port)
    assert (line["target"], line["reason"], line["offer"]) == (target, "done", "public")


def shown(door, sock):
    """What the status says of a visitor: where he is led."""
    name = "%s:%d" % sock.getsockname()
    return wait_until(lambda: [one["target"] for one in door.get_json("/sessions")["sessions"] if one["peer"] == name],
                      f"{name} in the status")


def test_public_udp_port(door, expose, pki, ports, tmp_path):
    service, port = udp_echo()
    expose("dns.apps.test", f"127.0.0.1:{port}", "--public", "--port", ports[1], "--udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5 * SLOW)
        sock.connect(("127.0.0.1", ports[1]))
        sock.send(bytes(1350))
        assert sock.recv(65536) == bytes(1350)
        assert shown(door, sock) == [f"public:dns.apps.test:{ports[1]}"]
    by_name = curl(door, pki, "dns.apps.test")
    assert by_name.returncode != 0
    assert "offered over UDP" in door.audited(sni="dns.apps.test")["detail"]
    done = run(*connect_words(door, pki.alice, pki.ca.file), "dns.apps.test", env=clean_env(tmp_path))
    assert done.returncode == 1 and f"reached at UDP port {ports[1]} of the door only" in done.stderr.decode()
    done = run(*connect_words(door, pki.alice, pki.ca.file), "--udp", "-L",
               f"{free_port()}:dns.apps.test", env=clean_env(tmp_path))
    assert done.returncode == 2 and b"--udp cannot lead there" in done.stderr, done.stderr.decode()
    service.close()


def test_end_to_end(door, expose, pki, web):
    """The visitor sees the service's own certificate, and the agent knows who he is; a stranger is turned away."""
    cert = pki.server("sealed.apps.test")
    agent = expose("sealed.apps.test", web.to, "--end-to-end", "--service-cert", cert.certificate, "--service-key",
                   cert.key, "--clients", pki.staff.file, "--allow", "bob")
    done = curl(door, pki, "sealed.apps.test", pki.bob)
    assert done.stdout == b"hello\n", done.stderr.decode()
    agent.says("as bob")
    ctx = ssl.create_default_context(cafile=pki.ca.file)
    ctx.load_cert_chain(pki.bob.certificate, pki.bob.key)
    with ctx.wrap_socket(door.dial(), server_hostname="sealed.apps.test") as tls:
        assert tls.getpeercert()["subjectAltName"][0] == ("DNS", "sealed.apps.test")
        assert shown(door, tls) == ["name:sealed.apps.test"]
    assert curl(door, pki, "sealed.apps.test", pki.alice).returncode != 0
    assert curl(door, pki, "sealed.apps.test").returncode != 0


def test_the_service_has_a_ca_of_its_own(door, expose, pki, echo, tmp_path):
    """Which vouches for it, and not for the door: named with --service-ca, in the environment or in the client's file."""
    other = pki.stranger
    cert = other.issue("own.apps.test", dns=["own.apps.test"], label="own-ca")
    expose("own.apps.test", echo.to, "--end-to-end", "--service-cert", cert.certificate, "--service-key", cert.key,
           "--anyone")

    def visit(*words, **env):
        words = [*connect_words(door, pki.alice, pki.ca.file), *words, "own.apps.test"]
        return run(*words, input=b"hello", env=clean_env(tmp_path, **env))
    text = visit().stderr.decode()
    assert "the service own.apps.test does not prove to be it: " in text
    assert f"it was checked against {pki.ca.file} (--ca): another CA for services is named with --service-ca" in text
    assert visit("--service-ca", other.file).stdout == b"hello"
    assert visit(CARDEA_SERVICE_CA=str(other.file)).stdout == b"hello"
    text = visit("--service-ca", pki.staff.file).stderr.decode()
    assert f"is {pki.staff.file} (--service-ca) the CA that issued it?" in text
    file = tmp_path / ".config/cardea/config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"service_ca: {other.file}\n")
    assert visit().stdout == b"hello"


def test_who_is_turned_away_is_told_of(door, expose, pki, web, tmp_path):
    """By the agent, without --verbose, for nobody else sees more than a connection that ended: the first at once, the
    others together."""
    cert = pki.server("shut.apps.test")
    agent = Agent(tmp_path, door.address, pki, "shut.apps.test", "--to", web.to, "--end-to-end", "--service-cert",
                  cert.certificate, "--service-key", cert.key, "--clients", pki.staff.file, "--allow", "bob",
                  "--transport", expose.transport, "--grace", "0s", "--json")
    agent.says("offering shut.apps.test")
    assert curl(door, pki, "shut.apps.test").returncode != 0
    agent.says("shut.apps.test: a visitor was turned away, from 127.0.0.1:")
    agent.says(": shows no certificate\n")
    assert curl(door, pki, "shut.apps.test", pki.alice).returncode != 0
    assert curl(door, pki, "shut.apps.test", pki.alice).returncode != 0
    wait_until(lambda: len(agent.events("visit")) == 3, "all to have left")
    assert agent.output().count("turned away") == 1
    agent.end()
    agent.says("2 visitors were turned away in the last minute, the last one from 127.0.0.1:")
    agent.says(": alice is not among those that may visit (allow)\n")
    first, rest = agent.events("turned_away")
    assert first["turned_away"] == 1 and first["text"] == "shows no certificate"
    assert first["peer"].startswith("127.0.0.1:")
    assert rest["turned_away"] == 2 and rest["name"] == "shut.apps.test"


@pytest.mark.parametrize("kind", ["private", "public", "port", "end-to-end"])
def test_ssh(door, expose, pki, sshd, tmp_path, kind, ports):
    """ssh, scp and sftp to a host behind an agent, by name (`cardea connect NAME` as their ProxyCommand, over what the agent
    came over) or at a port of the door."""
    name = f"ssh-{kind}.apps.test"
    cert = pki.server("*.apps.test")
    words = {"private": [], "public": ["--public"], "port": ["--public", "--port", ports[0]],
             "end-to-end": ["--end-to-end", "--service-cert", cert.certificate, "--service-key", cert.key, "--clients",
                            pki.staff.file]}[kind]
    expose(name, f"127.0.0.1:{sshd.port}", *words)
    if kind == "port":
        options, host = [*sshd.options(), "-o", f"Port={ports[0]}"], f"{sshd.user}@127.0.0.1"
    else:
        command = shlex.join(map(str, [*connect_words(door, pki.alice, pki.ca.file), "--transport", expose.transport, name]))
        options, host = sshd.options(proxy_command=command), f"{sshd.user}@{name}"
    env = clean_env(tmp_path)
    data = os.urandom(1 << 20)
    done = run("ssh", *options, host, "cat", input=data, env=env)
    assert done.stdout == data, done.stderr.decode()
    source, there, back, again = (tmp_path / word for word in ("source", "there", "back", "again"))
    source.write_bytes(data)
    for copy in (["scp", *options, source, f"{host}:{there}"], ["scp", "-O", *options, f"{host}:{there}", back]):
        done = run(*copy, env=env)
        assert done.returncode == 0, done.stderr.decode()
    done = run("sftp", "-b", "-", *options, host, input=f"get {there} {again}\n".encode(), env=env)
    assert done.returncode == 0 and back.read_bytes() == again.read_bytes() == data, done.stderr.decode()


def test_local_port(door, expose, pki, banner, tmp_path):
    """`cardea connect -L PORT:NAME`."""
    from run import Process, wait_listening
    expose("echo.apps.test", banner.to)
    port = free_port()
    client = Process([*connect_words(door, pki.bob, pki.ca.file), "-L", f"{port}:echo.apps.test"], tmp_path, "connect",
                     env=clean_env(tmp_path))
    wait_listening(port, client)
    with socket.create_connection(("127.0.0.1", port), timeout=10 * SLOW) as sock:
        assert sock.recv(100) == b"behind the door\n"
    client.stop()


def test_conflict_while_visitors_knock(door, expose, pki, ports, web):
    """An offer that conflicts with another never leads those anywhere who are at its port already."""
    expose("taken.apps.test", web.to)
    for number in range(6):
        knocking = []
        agent = expose("taken.apps.test", web.to, "--public", "--port", ports[0], stands=False)
        while agent.poll() is None and "another agent offers" not in agent.output():
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", ports[0]))
            knocking.append(sock)
        agent.stop(9)
        for sock in knocking:
            sock.close()
    line = door.audited(reason="conflict")
    assert line["target"] == f"public:taken.apps.test:{ports[0]}" and "another agent offers" in line["detail"]
    done = curl(door, pki, "taken.apps.test", pki.bob)
    assert done.stdout == b"hello\n", done.stderr.decode()


def test_visitors_who_have_gone(door, expose, pki, web):
    """Those who leave before they are served hold nothing up for the next."""
    expose("gone.apps.test", web.to, "--public")
    for _ in range(300):
        with socket.create_connection(("127.0.0.1", door.port)) as sock:
            ctx = ssl.create_default_context(cafile=pki.ca.file)
            with ctx.wrap_socket(sock, server_hostname="gone.apps.test"):
                pass
    done = curl(door, pki, "gone.apps.test")
    assert done.stdout == b"hello\n", done.stderr.decode()


def test_connections_are_ready(door, expose, pki, web):
    """Over TCP the door has connections to the agent before any visitor has come."""
    door.mark()
    agent = expose("ready.apps.test", web.to)
    if "over TCP" in agent.output():
        door.audited(2, action="spare", timeout=10)


def test_restart_of_the_door(door, expose, pki, web):
    """The offer is back within seconds."""
    agent = expose("back.apps.test", web.to)
    door.stop()
    door.start()
    wait_until(lambda: agent.output().count("offering back.apps.test") == 2, lambda: agent.output(), 10)
    done = curl(door, pki, "back.apps.test", pki.bob)
    assert done.stdout == b"hello\n", done.stderr.decode()


def test_the_door_was_killed(start_door, door, pki, tmp_path, web):
    """The offer is back before visitors give up waiting (`agents.grace`), over QUIC as well, where an end that is not
    told shows only by the door's answer to the next sign of life."""
    other = start_door({key: value for key, value in door.config.items() if key not in ("listeners", "admin")})
    agents = [Agent(tmp_path, other.address, pki, "back.apps.test", "--to", web.to, "--transport", way, "--grace", "0s",
                    name=f"expose-{way}") for way in ("quic", "tcp")]
    for agent in agents:
        agent.says("offering back.apps.test")
    other.process.send(signal.SIGKILL)
    other.process.wait()
    other.start()
    for agent in agents:
        wait_until(lambda: agent.output().count("offering back.apps.test") == 2, lambda: agent.output(), 9)
        agent.end()
