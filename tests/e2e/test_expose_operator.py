# SPDX-License-Identifier: Apache-2.0
"""What a door's operator has of the offers of agents: the policy holds when it changes, denials lead to the row that is
missing, warnings, refusals that say why; and what visitors hear."""
import json
import socket
import time

import pytest

import forms
import peers
from agents import Agent, udp_echo
from fixtures import clean_env, connect_words
from run import SLOW, Process, free_port, run, wait_until

OPS = {"group": "ops"}


def configuration(pki, targets, visitors=("name:*.apps.test",), **more):
    return {
        "certificates": [pki.server("door.test").row(), pki.server("*.apps.test").row()],
        "trust": [pki.trust()],
        "agents": {"grace": "20s"},
        "limits": {"dial_timeout": "20s"},
        "routes": [
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "apps", "sni": "*.apps.test", "expose": {}, "clients": {"mode": "optional", "trust": "staff"}},
        ],
        "policy": [{"name": "agents", "who": OPS, "targets": targets},
                   {"name": "visitors", "who": OPS, "targets": list(visitors)}],
        **more,
    }


@pytest.fixture
def door(start_door, pki):
    return start_door(configuration(pki, ["offer:*.apps.test", "public:*.apps.test", "public:*.apps.test:*"]))


@pytest.fixture
def expose(door, pki, tmp_path):
    """Start an agent and wait for what it says."""
    started = []

    def begin(name, to, *words, transport="tcp", says="offering", who=None):
        agent = Agent(tmp_path, door.address, pki, name, "--to", to, "--transport", transport, "--grace", "0s", *words,
                      name=f"expose-{len(started)}", who=who)
        started.append(agent)
        agent.says(says)
        return agent
    yield begin
    for agent in started:
        if agent.poll() is None:
            agent.end()


@pytest.fixture
def echo():
    def serve(sock):
        while data := sock.recv(65536):
            sock.sendall(data)
    with peers.Server(serve) as server:
        yield server


def connect(door, pki, tmp_path, name, who=None, text=b"hello", **more):
    """`cardea connect NAME`: the process that has ended, and how long that took."""
    began = time.monotonic()
    done = run(*connect_words(door, who or pki.alice, pki.ca.file), name, input=text, env=clean_env(tmp_path), **more)
    return done, time.monotonic() - began


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_offers_end_with_their_row(door, expose, pki, echo, tmp_path, transport):
    """A row goes, and with it the offers that it allowed: the agent and the log say so, new visitors are refused at
    once, the port closes. Whoever visits already stays, and others' offers stand."""
    port = free_port()
    game = expose("game.apps.test", echo.to, "--public", "--port", port, transport=transport)
    other = expose("other.apps.test", echo.to, transport=transport)
    with socket.create_connection(("127.0.0.1", port), timeout=10 * SLOW) as visitor:
        visitor.sendall(b"before")
        assert visitor.recv(100) == b"before"
        door.reload(configuration(pki, ["offer:*.apps.test"], ["name:*"]))
        reason = (f"no rule lets alice offer game.apps.test to everybody on route tunnel: a row for alice with the "
                  f"target public:game.apps.test:{port} would")
        game.says(f"has withdrawn the offer of game.apps.test: {reason}")
        line = door.audited(action="offer", reason="denied")
        assert line["target"] == f"public:game.apps.test:{port}" and line["detail"] == reason
        assert f"the offer of game.apps.test by alice is withdrawn: {reason}" in door.process.output()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        done, took = connect(door, pki, tmp_path, "game.apps.test")
        assert done.returncode == 1 and took < 5 * SLOW, done.stderr.decode()
        says = "no agent offers this name: the door does not allow the one that did any more"
        assert door.audited(target="name:game.apps.test")["detail"] == says
        assert f"{says}: game.apps.test\n" in done.stderr.decode(), "neither why, nor advice for what is no name"
        visitor.sendall(b"after")
        assert visitor.recv(100) == b"after"
    door.reload(configuration(pki, ["offer:*.apps.test", "public:*.apps.test", "public:*.apps.test:*"]))
    wait_until(lambda: game.output().count("offering game.apps.test") == 2, game.output, 30)
    assert other.poll() is None
    done, _ = connect(door, pki, tmp_path, "other.apps.test")
    assert done.stdout == b"hello", done.stderr.decode()


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_the_new_policy_holds_for_old_connections(door, expose, pki, echo, transport):
    """An agent that offers again, on the connection that it has, is judged by the policy in force."""
    agent = expose("app.apps.test", echo.to, transport=transport)
    door.reload(configuration(pki, ["offer:elsewhere.test"]))
    agent.says("has withdrawn")
    agent.says("refuses to offer app.apps.test: denied: no rule lets alice offer app.apps.test")
    door.reload(configuration(pki, ["offer:*.apps.test"]))
    wait_until(lambda: agent.output().count("offering app.apps.test") == 2, agent.output, 30)


def test_a_reload_says_what_it_did(door, expose, pki, echo):
    """Whoever asks for it, and the door's log: how many offers fell, and what is judged later."""
    expose("game.apps.test", echo.to, "--public", transport="tcp")
    expose("other.apps.test", echo.to, transport="quic")
    fell = b"cardea: 1 of 2 offers of agents is not allowed any more and withdrawn; which and why is in the log"
    door.configure(configuration(pki, ["offer:*.apps.test"]))
    done = door.cli("reload")
    assert done.returncode == 0 and fell in done.stderr and done.stdout == b""
    assert b"cardea: connections that carry tunnels or offers: 1; each is judged anew" in done.stderr
    assert fell.decode() in door.process.output()
    answer = json.loads(door.cli("reload", "--json").stdout)
    assert {key: answer[key] for key in ("ok", "offers", "withdrawn", "carriers", "unused")} == {
        "ok": True, "offers": 1, "withdrawn": 0, "carriers": 1, "unused": 0}
    assert door.cli("reload").stderr == b""
    assert "cardea: offers of agents go on: 1\n" in door.process.output()


def test_reload_that_changes_nothing(door, expose, pki, echo, tmp_path):
    agent = expose("app.apps.test", echo.to)
    door.reload()
    config = configuration(pki, ["offer:*.apps.test"])
    config["routes"].insert(0, {"name": "first", "sni": "first.test", "pass": {"to": "127.0.0.1:1"}})
    door.reload(config)
    done, _ = connect(door, pki, tmp_path, "app.apps.test")
    assert done.stdout == b"hello", done.stderr.decode()
    assert "withdrawn" not in agent.output() + door.process.output()


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_the_tunnel_route_is_renamed(door, expose, pki, echo, tmp_path, transport):
    """Where a new connection of the agent's would be let in its offer stands, and counts under the new name."""
    agent = expose("app.apps.test", echo.to, transport=transport)
    config = configuration(pki, ["offer:*.apps.test"])
    config["routes"][0]["name"] = "renamed"
    door.reload(config)
    done, _ = connect(door, pki, tmp_path, "app.apps.test")
    assert done.stdout == b"hello", done.stderr.decode()
    assert "withdrawn" not in agent.output() + door.process.output()
    agent.end()
    line = door.audited(action="offer")
    assert (line["route"], line["reason"]) == ("renamed", "done")


@pytest.mark.parametrize("transport", ["quic", "tcp"])
@pytest.mark.parametrize("gone", ["route", "listener"])
def test_the_tunnel_goes(door, expose, pki, echo, tmp_path, transport, gone):
    """Its route or its listener: what was offered by it is withdrawn with the reason, and visitors wait for nothing."""
    agent = expose("app.apps.test", echo.to, transport=transport)
    config = configuration(pki, ["offer:*.apps.test"])
    more = {}
    if gone == "route":
        config["routes"][0]["sni"] = "elsewhere.test"
        text = "the door has no tunnel for this client any more (it came in by route tunnel)"
    else:
        more["listeners"] = [{"name": "other", "address": f"127.0.0.1:{free_port()}"}]
        quic = " for QUIC" if transport == "quic" else ""
        text = f"the door does not listen at {door.address}{quic} any more"
    door.reload({**config, **more})
    agent.says(f"has withdrawn the offer of app.apps.test: {text}")
    line = door.audited(action="offer")
    assert (line["reason"], line["detail"], line["route"], line["listener"]) == ("no_route", text, "tunnel", "main")
    if transport == "quic":
        assert door.audited(action="carrier", timeout=10)["reason"] == "no_route"
    door.reload(configuration(pki, ["offer:*.apps.test"]))
    wait_until(lambda: agent.output().count("offering app.apps.test") == 2, agent.output, 30)


@pytest.mark.parametrize("name, words, missing", [
    ("app.inside.test", [], "offer:app.inside.test"),
    ("app.inside.test", ["--public"], "public:app.inside.test"),
    ("app.apps.test", ["--public", "--port", "27015"], "public:app.apps.test:27015"),
])
def test_denials_name_the_row(start_door, pki, tmp_path, name, words, missing):
    """And with that row it is allowed."""
    door = start_door(configuration(pki, ["offer:*.apps.test", "public:*.apps.test"]))
    agent = Agent(tmp_path, door.address, pki, name, "--to", "127.0.0.1:1", *words)
    assert agent.wait() == 1
    assert f"with the target {missing} would" in agent.output()
    assert f"with the target {missing} would" in door.audited(reason="denied", target=missing)["detail"]
    door.reload(configuration(pki, [missing]))
    agent = Agent(tmp_path, door.address, pki, name, "--to", "127.0.0.1:1", *words, name="allowed")
    agent.says("offering")
    agent.end()


def test_denied_visit(door, expose, pki, echo, tmp_path):
    """By server name and by `cardea connect`."""
    expose("app.apps.test", echo.to)
    done, _ = connect(door, pki, tmp_path, "app.apps.test", pki.bob)
    assert done.returncode == 1
    assert b"no rule lets bob visit app.apps.test on route tunnel: a row for bob with the target name:app.apps.test " \
           b"would" in done.stderr
    assert b"; for a host behind the door say its port: app.apps.test:PORT" in done.stderr


def test_public_is_for_anyone(door, expose, pki, echo, tmp_path):
    """Whoever the tunnel admits reaches by `cardea connect` what is offered to everybody; what is not stays shut."""
    expose("open.apps.test", echo.to, "--public")
    expose("shut.apps.test", echo.to)
    done, _ = connect(door, pki, tmp_path, "open.apps.test", pki.bob)
    assert done.stdout == b"hello", done.stderr.decode()
    done, took = connect(door, pki, tmp_path, "shut.apps.test", pki.bob)
    assert done.returncode == 1 and b"no rule lets bob visit shut.apps.test" in done.stderr and took < 5 * SLOW


def test_a_denial_does_not_tell_of_private_names(start_door, pki, echo, tmp_path):
    """Whom the policy does not let visit is denied at once, whether the name is offered, was lately, or never was."""
    door = start_door(configuration(pki, ["offer:*.apps.test"], agents={"grace": "5s"}))
    time.sleep(5.5)  # before, nobody knows what a name was
    agent = Agent(tmp_path, door.address, pki, "secret.apps.test", "--to", echo.to, "--grace", "0s", name="secret")
    agent.says("offering")
    texts = []
    for name in ("never", "secret", "secret"):
        done, took = connect(door, pki, tmp_path, f"{name}.apps.test", pki.bob)
        assert done.returncode == 1 and took < 3 * SLOW  # of 20 s
        texts.append(done.stderr.decode().replace("never", "secret"))
        if len(texts) == 2:
            agent.end()
    assert "no rule lets bob visit secret.apps.test" in texts[0] and set(texts) == {texts[0]}


@pytest.mark.parametrize("words, good", [(["--public"], True), ([], False)])
def test_public_that_comes_back(door, expose, pki, echo, tmp_path, words, good):
    """Whom the policy does not let visit waits for an agent that is away; in which kind it comes back decides."""
    agent = expose("back.apps.test", echo.to, "--public")
    agent.end()
    client = Process([*connect_words(door, pki.bob, pki.ca.file), "back.apps.test"], tmp_path, "connect",
                     env=clean_env(tmp_path))
    wait_until(lambda: any(s["state"] == "dial" for s in door.get_json("/sessions")["sessions"]), "a visitor", 10)
    expose("back.apps.test", echo.to, *words)
    if good:
        door.audited(target="name:back.apps.test", agent="alice")
    else:
        assert client.wait() == 1
        assert "no rule lets bob visit back.apps.test" in client.output()
    client.stop(9)


def test_no_route_leads_there(start_door, pki, tmp_path):
    """Taken with a warning, which the agent prints and the door logs."""
    targets = ["offer:*", "public:*", "public:*:*"]
    config = configuration(pki, targets)
    config["routes"].append({"name": "web", "sni": "web.test", "pass": {"to": "127.0.0.1:1"}})
    config["routes"].append({"name": "bare", "sni": "bare.test", "expose": {}})
    door = start_door(config)

    def said(name, *words):
        agent = Agent(tmp_path, door.address, pki, name, "--to", "127.0.0.1:1", *words, name="-".join(map(str, (name, *words))))
        agent.says("offering")
        agent.end()
        return agent.output()
    text = "no route of the door leads to app.elsewhere.test: visitors by server name will not reach it; add a route " \
           "with action expose, sni app.elsewhere.test"
    assert f"cardea: warning: app.elsewhere.test: {text}" in said("app.elsewhere.test")
    assert f"alice offers app.elsewhere.test, but {text}" in door.process.output()
    assert "route web of the door takes the server name web.test, and leads elsewhere (pass)" in said("web.test")
    assert "route bare of the door, which leads to bare.test, has no 'clients'" in said("bare.test")
    assert "warning" not in said("bare.test", "--public")
    assert "warning" not in said("fine.apps.test")
    assert "warning" not in said("port.elsewhere.test", "--public", "--port", free_port())


@pytest.mark.parametrize("by_name", [False, True])
def test_service_that_is_down(door, expose, pki, tmp_path, by_name):
    """The agent's health check finds it down: visitors are refused at once, and hear why; and it comes back."""
    port = free_port()
    agent = expose("app.apps.test", f"127.0.0.1:{port}", "--health", "100ms")
    text = "the service behind app.apps.test is down (health check of agent alice: refused)"
    wait_until(lambda: "service_down" in str(visit(door, pki, tmp_path, by_name)), "the door to hear of it", 10)
    line, took = visit(door, pki, tmp_path, by_name)
    assert line["reason"] == "service_down" and line["detail"] == text and took < 5 * SLOW
    if not by_name:
        done, _ = connect(door, pki, tmp_path, "app.apps.test")
        assert done.returncode == 1 and text in done.stderr.decode()
    with peers.Server(lambda sock: sock.sendall(b"up"), port=port):
        wait_until(lambda: connect(door, pki, tmp_path, "app.apps.test", text=b"")[0].stdout == b"up",
                   "the service to be back", 10)
    assert agent.poll() is None


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_service_that_is_down_without_health_checks(door, expose, pki, tmp_path, transport):
    """The agent is there; that its service is not is no lack of agents."""
    expose("app.apps.test", f"127.0.0.1:{free_port()}", transport=transport)
    for by_name in (False, True):
        line, _ = visit(door, pki, tmp_path, by_name)
        assert line["reason"] == "service_down"
        assert line["detail"] == "the service refused the agent's connection"


def visit(door, pki, tmp_path, by_name):
    """The audit line of a visitor of app.apps.test, and how long it took him."""
    door.mark()
    began = time.monotonic()
    if by_name:
        run("curl", "-sS", "--max-time", 30 * SLOW, "--cacert", pki.ca.file, "--cert", pki.alice.certificate, "--key",
            pki.alice.key, "--connect-to", f"app.apps.test:443:{door.address}", "https://app.apps.test/")
    else:
        connect(door, pki, tmp_path, "app.apps.test")
    took = time.monotonic() - began
    return door.audited(target="name:app.apps.test"), took


def test_agent_that_is_restarted(door, expose, pki, echo, tmp_path):
    """Told to stop, and started again within the grace: a visitor of meanwhile is served by the new one."""
    agent = expose("app.apps.test", echo.to)
    agent.end()
    client = Process([*connect_words(door, pki.alice, pki.ca.file), "app.apps.test"], tmp_path, "connect",
                     env=clean_env(tmp_path))
    wait_until(lambda: any(s["state"] == "dial" for s in door.get_json("/sessions")["sessions"]), "a visitor", 10)
    expose("app.apps.test", echo.to)
    door.audited(target="name:app.apps.test", agent="alice", reason="done")
    client.stop(9)


@pytest.mark.parametrize("number, text", [(15, "was stopped, and none came back in time"),
                                          (9, "was lost, and none came back in time")])
def test_agent_that_does_not_come_back(start_door, pki, echo, tmp_path, number, text):
    door = start_door({**configuration(pki, ["offer:*.apps.test"]), "limits": {"dial_timeout": "1s"}})
    agent = Agent(tmp_path, door.address, pki, "app.apps.test", "--to", echo.to, "--transport", "tcp")
    agent.says("offering")
    agent.stop(number)
    door.audited(action="offer")
    done, _ = connect(door, pki, tmp_path, "app.apps.test")
    assert done.returncode == 1 and f"the agent that offered this name {text}" in done.stderr.decode()
    line = door.audited(target="name:app.apps.test")
    assert line["reason"] == "no_agent" and text in line["detail"]


def test_ports_that_the_door_has(door, expose, pki, echo, tmp_path):
    """The text says who has the port: another offer, or a listener."""
    port = free_port()
    expose("first.apps.test", echo.to, "--public", "--port", port)
    agent = expose("second.apps.test", echo.to, "--public", "--port", port, says="trying again")
    assert f"TCP port {port} of the door belongs to the offer of first.apps.test by alice already" in agent.output()
    agent = expose("third.apps.test", echo.to, "--public", "--port", door.port, says="trying again")
    assert f"TCP port {door.port} of the door is that of its own listener main" in agent.output()
    agent = expose("first.apps.test", echo.to, says="trying again")
    assert f"another agent offers first.apps.test already: alice, public at TCP port {port}" in agent.output()
    taken = socket.create_server(("127.0.0.1", 0))
    agent = expose("fourth.apps.test", echo.to, "--public", "--port", taken.getsockname()[1], says="trying again")
    assert "another program has it" in agent.output()
    taken.close()


@pytest.mark.parametrize("transport", ["quic", "tcp"])
def test_status_of_offers(door, expose, pki, echo, transport):
    """The table of offers, in JSON and in the metrics: who offers what from where, since when, with how many visitors."""
    port, closed = free_port(), free_port()
    for _ in range(2):
        expose("game.apps.test", echo.to, "--public", "--port", port, transport=transport)
    expose("down.apps.test", f"127.0.0.1:{closed}", "--health", "100ms", transport=transport)

    def offers():
        return door.status()["offers"]
    wait_until(lambda: offers()[0]["state"] == "down", offers)
    with socket.create_connection(("127.0.0.1", port), timeout=10 * SLOW) as visitor:
        visitor.sendall(b"hello")
        assert visitor.recv(100) == b"hello"
        down, *games = offers()
        assert [row["name"] for row in games] == ["game.apps.test"] * 2
        assert down["name"] == "down.apps.test" and down["down"] == "refused" and "port" not in down
        for row in games:
            assert (row["kind"], row["proto"], row["port"], row["agent"], row["transport"], row["state"]) == \
                ("public", "tcp", port, "alice", transport, "up")
            assert row["peer"].startswith("127.0.0.1:") and row["since"].startswith("20")
        assert sorted(row["visitors"] for row in games) == [0, 1]
        metrics = forms.parse_metrics(door.get("/metrics")[1])
        for figure, value in (("agents", 2), ("agents_up", 2), ("visitors", 1)):
            assert (f"cardea_offer_{figure}", {"name": "game.apps.test"}, value) in metrics
        assert ("cardea_offer_agents_up", {"name": "down.apps.test"}, 0) in metrics
    door.audited(agent="alice", reason="done")
    assert sum(row["visitors_total"] for row in offers()) == 1
    assert sum(row["bytes_in_total"] for row in offers()) == sum(row["bytes_out_total"] for row in offers()) == 5
    lines = [line.split() for line in door.cli("status").stdout.decode().splitlines()]
    assert ["OFFER", "KIND", "PORT", "STATE", "AGENT", "FROM", "OVER", "SINCE", "OPEN", "TOTAL", "IN", "OUT"] in lines
    assert any(line[:4] == ["game.apps.test", "public", f"{port}/tcp", "up"] for line in lines)
    assert any(line[:6] == ["down.apps.test", "private", "-", "down:", "refused", "alice"] for line in lines)


def test_status_without_offers(door):
    assert door.status()["offers"] == []
    assert "OFFER" not in door.cli("status").stdout.decode()


def test_a_port_goes_by_the_configuration_in_force(door, expose, pki, echo):
    """Not by the one that the offer began under: limits, the route's and the sources', and what the line says."""
    port = free_port()
    targets = ["public:*.apps.test:*"]
    expose("game.apps.test", echo.to, "--public", "--port", port, transport="quic")
    config = configuration(pki, targets, limits={"per_source": 2})     # the agent's carrier and its control stream
    other = {"name": "other", "address": f"127.0.0.1:{free_port()}"}
    config["listeners"] = [other, {"name": "renamed", "address": door.address}]
    config["routes"][0]["name"] = "tunnels"
    door.reload(config)

    def visit():
        with socket.socket() as visitor:
            visitor.settimeout(10 * SLOW)
            visitor.bind(("127.0.0.1", 0))
            name = visitor.getsockname()
            try:
                visitor.connect(("127.0.0.1", port))
                visitor.sendall(b"hello")
                while visitor.recv(100):
                    pass
            except ConnectionError:
                pass
        return door.audited_of(name)
    line = visit()
    assert (line["reason"], line["listener"], line["route"]) == ("limit_per_source", "renamed", "tunnels")
    assert "carrier" not in line and "transport" not in line
    config["limits"] = {}
    config["routes"][0]["limits"] = {"idle_timeout": "300ms"}
    door.reload(config)
    line = visit()
    assert (line["reason"], line["listener"], line["route"]) == ("idle_timeout", "renamed", "tunnels")
    config["routes"][0]["limits"] = {"connections": 1}
    door.reload(config)
    assert visit()["reason"] == "limit_route"


def test_a_udp_port_goes_by_the_configuration_in_force(door, expose, pki):
    """How much is sent back to whom nobody knows, how many he is, and how long he may be silent."""
    service, to = udp_echo()
    port = free_port()
    expose("dns.apps.test", f"127.0.0.1:{to}", "--public", "--port", port, "--udp", transport="quic")
    config = configuration(pki, ["public:*.apps.test:*"])
    config["agents"] = {"grace": "20s", "flows": 1}
    config["limits"] = {"udp_idle_timeout": "1s"}
    door.reload(config)

    def ask(sock):
        sock.settimeout(5 * SLOW)
        sock.connect(("127.0.0.1", port))
        sock.send(b"hello")
        assert sock.recv(100) == b"hello"
        sock.send(b"proven")
        assert sock.recv(100) == b"proven"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
        ask(first)
        assert door.audited_of(first)["reason"] in ("idle_timeout", "done")
        config["limits"] = {"udp_idle_timeout": "60s"}
        door.reload(config)
        ask(first)
        second.settimeout(0.5 * SLOW)
        second.sendto(b"too many", ("127.0.0.1", port))
        with pytest.raises(TimeoutError):
            second.recv(100)
        config["agents"]["flows"] = 2
        door.reload(config)
        ask(second)
    service.close()


def test_udp_port_ends_with_its_row(door, expose, pki):
    """The port closes, and with it the flows of visitors there."""
    service, to = udp_echo()
    port = free_port()
    agent = expose("dns.apps.test", f"127.0.0.1:{to}", "--public", "--port", port, "--udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5 * SLOW)
        sock.sendto(b"hello", ("127.0.0.1", port))
        assert sock.recv(100) == b"hello"
        door.reload(configuration(pki, ["offer:*"]))
        agent.says("has withdrawn the offer of dns.apps.test")
        sock.connect(("127.0.0.1", port))
        with pytest.raises(ConnectionRefusedError):
            sock.send(b"again")
            sock.recv(100)
    service.close()
