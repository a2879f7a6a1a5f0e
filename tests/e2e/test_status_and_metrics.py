# SPDX-License-Identifier: Apache-2.0
"""What the door tells about itself: `cardea status`, the admin socket, Prometheus metrics."""
import http.client
import json
import os
import re
import resource
import signal
import stat
import subprocess

import pytest

import forms
import tls
from authority import Ca
from peers import curl
from run import CARDEA, ROOT, SLOW, free_port, run, wait_until


@pytest.fixture(scope="module")
def door(tmp_path_factory, pki, banner, echo):
    from door import Door
    metrics = free_port()
    ca = Ca(tmp_path_factory.mktemp("ca"))
    door = Door(tmp_path_factory.mktemp("door"), {})
    door.configure({
        "admin": {"socket": str(door.socket), "metrics": f"127.0.0.1:{metrics}"},
        "certificates": [pki.server("www.test").row(), pki.server("door.test").row()],
        "trust": [pki.trust()], "ca": {"directory": str(ca.directory)},
        "routes": [
            {"name": "pass", "sni": "pass.test", "pass": {"to": echo.to}},
            {"name": "www", "sni": "www.test", "terminate": {"to": banner.to}},
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "away", "sni": "away.test", "reject": "access_denied"},
        ],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": ["127.0.0.0/8:*"]}],
    })
    door.start()
    door.metrics = metrics
    yield door
    door.stop()


def scrape(door):
    """The samples from the metrics port."""
    connection = http.client.HTTPConnection("127.0.0.1", door.metrics, timeout=5 * SLOW)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200 and answer.getheader("Content-Type").startswith("text/plain"), text
    return forms.parse_metrics(text)


def test_manual_has_every_metric(door):
    """cardea-serve(1) and doc/internals/metrics.md name what the door serves, and nothing else."""
    connection = http.client.HTTPConnection("127.0.0.1", door.metrics, timeout=5 * SLOW)
    connection.request("GET", "/metrics")
    served = set(re.findall(r"^# TYPE (\S+)", connection.getresponse().read().decode(), re.MULTILINE))
    connection.close()
    manual = (ROOT / "doc/man/cardea-serve.1").read_text().partition(".Sh METRICS")[2].partition(".Sh ")[0]
    assert set(re.findall(r"\bcardea_\w+", manual)) == served
    assert set(re.findall(r"`(cardea_\w+)`", (ROOT / "doc/internals/metrics.md").read_text())) == served


def some_traffic(door, pki, banner):
    """Connections that end in different ways; how many."""
    for _ in range(3):
        with tls.connect(door, "www.test") as sock:
            assert tls.read_line(sock) == "behind the door"
            tls.finish(sock)
    with door.dial() as sock:
        hello = tls.client_hello("pass.test")
        sock.sendall(hello)
        tls.read_exactly(sock, len(hello))
    sock, said = tls.tunnel(door, "door.test", f"127.0.0.1:{banner.port}", pki.alice)
    assert said["ok"]
    sock.close()
    sock, said = tls.tunnel(door, "door.test", f"127.0.0.1:{banner.port}", pki.bob)
    assert not said["ok"]
    sock.close()
    with door.dial() as sock:
        sock.sendall(tls.client_hello("away.test"))
        tls.ended(sock)
    return 7


def test_counters_add_up(door, pki, banner):
    """Metrics, status and audit lines agree: connections, reasons, bytes."""
    door.mark()
    before = scrape(door)
    lines = door.audited(some_traffic(door, pki, banner))
    after = wait_until(lambda: (now := scrape(door)) and forms.metric(now, forms.METRIC_LIVE) == 0 and now,
                       "no live connection")

    def more(name, **labels):
        return forms.metric(after, name, **labels) - forms.metric(before, name, **labels)
    assert more(forms.METRIC_CONNECTIONS) == more(forms.METRIC_CLOSED) == len(lines) == 7
    for route in ("www", "pass", "tunnel", "away"):
        own = [line for line in lines if line["route"] == route]
        assert more(forms.METRIC_CONNECTIONS, route=route) == len(own)
        assert more(forms.METRIC_IN, route=route) == sum(line["in"] for line in own)
        assert more(forms.METRIC_OUT, route=route) == sum(line["out"] for line in own)
    assert more(forms.METRIC_CLOSED, route="www", reason="done") == 3
    assert more(forms.METRIC_CLOSED, reason="denied") == 1
    assert more(forms.METRIC_CLOSED, reason="rejected") == 1
    status = door.status()
    for route in ("www", "pass", "tunnel", "away"):
        row = forms.named(status["routes"], route)
        assert row["connections_total"] == forms.metric(after, forms.METRIC_CONNECTIONS, route=route)
        assert row["bytes_in_total"] == forms.metric(after, forms.METRIC_IN, route=route)


def test_histogram_is_cumulative(door, pki, banner):
    """handshake_seconds: buckets grow, the last is the count, and handshakes are as many."""
    some_traffic(door, pki, banner)
    samples = scrape(door)
    for route in ("www", "tunnel"):
        buckets = [value for name, labels, value in samples
                   if name == "cardea_handshake_seconds_bucket" and labels["route"] == route]
        assert buckets == sorted(buckets) and buckets[-1] > 0
        assert buckets[-1] == forms.metric(samples, "cardea_handshake_seconds_count", route=route)
        assert buckets[-1] == forms.metric(samples, "cardea_handshakes_total", route=route)


def test_live_connections(door):
    """Open connections are counted while they are open, in status and in metrics."""
    socks = [tls.connect(door, "www.test") for _ in range(4)]
    for sock in socks:
        assert tls.read_line(sock)
    assert forms.live(door.status(), "www") == 4 and forms.live(door.status()) >= 4
    assert forms.metric(scrape(door), forms.METRIC_LIVE, route="www") == 4
    for sock in socks:
        sock.close()
    wait_until(lambda: forms.live(door.status(), "www") == 0, "no live connection")


def test_status_for_people(door):
    """Without --json: every route and listener by its name."""
    done = door.cli("status")
    assert done.returncode == 0
    for word in (b"main", b"pass", b"www", b"tunnel", b"away"):
        assert word in done.stdout, done.stdout.decode()


def test_status_for_programs(door):
    """--json is what GET /status answers."""
    code, body = door.get("/status")
    assert code == 200 and json.loads(body).keys() == door.status().keys()
    assert "version" in door.status()


def test_curl_on_the_admin_socket(door):
    """The socket speaks HTTP: status, metrics, reload; the rest is 404 and 405."""
    def ask(path, *words):
        done = curl("--unix-socket", door.socket, "-w", "\n%{http_code}", *words, f"http://localhost{path}")
        body, code = done.stdout.decode().rsplit("\n", 1)
        return int(code), body
    assert ask("/status")[0] == 200 and json.loads(ask("/status")[1])
    code, text = ask("/metrics")
    assert code == 200 and forms.parse_metrics(text)
    assert ask("/reload", "-X", "POST")[0] == 200
    assert ask("/nosuch")[0] == 404
    assert ask("/reload")[0] == 405
    assert ask("/status", "-X", "DELETE")[0] == 405


def test_reload_that_fails_says_why(door):
    """POST /reload with a wrong file: not 200, and the complaint with file, line and column."""
    text = door.config_text()
    door.configure("nonsense: 1\n")
    try:
        code, body = door.get("/reload", "POST")
        assert code >= 400 and "door.yaml:1:1:" in body
    finally:
        door.configure(text)


def test_metrics_port_has_metrics_only(door):
    """Nobody reloads over the network."""
    connection = http.client.HTTPConnection("127.0.0.1", door.metrics, timeout=5 * SLOW)
    connection.request("POST", "/reload")
    assert connection.getresponse().status in (404, 405)
    connection.close()


def test_socket_is_private(door):
    """Only its owner may connect to the admin socket."""
    assert stat.S_IMODE(os.stat(door.socket).st_mode) & 0o077 == 0


def test_no_door(tmp_path):
    """status and reload without a door: exit code 1, the socket is named."""
    for verb in ("status", "reload"):
        done = run(CARDEA, verb, "--socket", tmp_path / "nosuch.sock")
        assert done.returncode == 1 and b"nosuch.sock" in done.stderr


def test_no_door_anywhere(tmp_path):
    """Without --socket the usual places are tried and named."""
    for verb in ("status", "reload"):
        done = run(CARDEA, verb, env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)})
        assert done.returncode == 1
        assert f"{tmp_path}/cardea.sock, /run/cardea.sock or /run/cardea/cardea.sock".encode() in done.stderr
        done = run(CARDEA, verb, env={key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"})
        # Other tests may have a carrier in this user's usual place meanwhile, which status then shows.
        assert b"/run/cardea.sock or /run/cardea/cardea.sock" in done.stdout + done.stderr
        assert done.returncode == 1 or (verb == "status" and done.stdout)


def test_no_place_for_the_socket(tmp_path):
    """A door that cannot have its socket where it is by default says what to do."""
    path = tmp_path / "door.yaml"
    path.write_text(f"listeners: [{{address: '127.0.0.1:{free_port()}'}}]\n"
                    "routes: [{name: a, pass: {to: '127.0.0.1:1'}}]\n")
    done = run(CARDEA, "serve", "-c", path, env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "nosuch")})
    assert done.returncode == 1
    assert b"set admin.socket in the configuration" in done.stderr and b"door.yaml" in done.stderr


def test_unrouted_connections_are_counted(door):
    """Those that end without a route are in the TOTAL of their row."""
    def total():
        line, = [line for line in door.cli("status").stdout.decode().splitlines() if "before they had a route" in line]
        return int(line.split()[3])
    before = total()
    with door.dial() as sock:
        sock.sendall(b"neither TLS nor anything else\r\n\r\n")
        tls.ended(sock)
    wait_until(lambda: total() == before + 1, "it to be counted")
    unrouted = door.status()["unrouted"]
    assert unrouted["connections_total"] == sum(unrouted["closed"].values()) == total()
    assert forms.metric(scrape(door), "cardea_connections_total", route="-") == total()


def test_uptime_is_short(door):
    """Milliseconds will do."""
    text = door.cli("status", "--json").stdout.decode()
    assert re.search(r'"uptime": \d+(\.\d{1,3})?,', text), text


def test_certificates(start_door, pki, banner):
    """When each expires, and that one has."""
    old = pki.ca.issue("old.test", dns=["old.test"], start=-7200, end=-3600, label="status-old")
    rows = [{**pki.server("www.test").row(), "name": "good"}, {**old.row(), "name": "old"}]
    door = start_door({"certificates": rows,
                       "routes": [{"name": "www", "sni": "www.test", "terminate": {"to": banner.to}}]})
    assert [row["expired"] for row in door.status()["certificates"]] == [False, True]
    marked = [line for line in door.cli("status").stdout.decode().splitlines() if "EXPIRED" in line]
    assert len(marked) == 1 and marked[0].startswith("old ")
    samples = forms.parse_metrics(door.get("/metrics")[1])
    good, bad = (forms.metric(samples, "cardea_certificate_not_after_seconds", certificate=name)
                 for name in ("good", "old"))
    assert bad > 1.7e9 and 7 * 86400 <= good - bad <= 8 * 86400


def test_reload_is_told_on_both_sides(start_door, pki, banner):
    """Who asks gets the warnings; the door's standard error has a line for each reload, good or bad."""
    config = {"certificates": [pki.server("www.test").row()],
              "routes": [{"name": "www", "sni": "www.test", "terminate": {"to": banner.to}}]}
    door = start_door(config)
    config["routes"][0]["sni"] = "other.test"
    door.configure(config)
    done = door.cli("reload")
    assert done.returncode == 0 and b"warning: no certificate names other.test (route www)" in done.stderr
    said = door.process.output()
    assert "cardea: configuration reloaded" in said and "warning: no certificate names other.test" in said
    assert json.loads(door.cli("reload", "--json").stdout)["warnings"]
    door.configure("nonsense: 1\n")
    assert door.cli("reload").returncode == 1
    assert "door.yaml:1:1:" in door.process.output() and "was not reloaded" in door.process.output()


def test_what_is_taken_at_the_start_only(start_door, echo):
    """A reload that changes the workers, the admin API or the CA says that they stay, to who asks and on standard error."""
    config = {"routes": [{"name": "a", "pass": {"to": echo.to}}]}
    door = start_door(config)
    assert b"anew" not in door.cli("reload").stderr
    ca = {"ca": {"directory": "ca"}}
    for more, what in (({"workers": 3}, "workers"), ({"workers": 3, "admin": {}}, "workers and the sockets of admin"),
                       (ca, "the settings of ca"),
                       ({"workers": 3, "admin": {}, **ca}, "workers, the sockets of admin and the settings of ca")):
        door.configure({**config, **more})
        done = door.cli("reload")
        expected = f"cardea: {what} stay what they were until the door is started anew\n"
        assert done.returncode == 0 and done.stderr.decode() == expected
        assert expected in door.process.output()


def test_the_start_is_told(start_door, pki, echo):
    """A line for each listener: how many routes it has, in what it is open, and where the door is asked."""
    ports = [free_port(), free_port()]
    door = start_door({
        "listeners": [{"name": "one", "address": f"127.0.0.1:{ports[0]}"},
                      {"name": "two", "address": f"127.0.0.1:{ports[1]}", "quic": False}],
        "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "routes": [{"name": "a", "listeners": "one", "pass": {"to": echo.to}},
                   {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "all", "who": {"any": True}, "targets": ["127.0.0.1:1"]}]})
    assert door.process.err.read_text() == (
        f"cardea: serving 2 routes on 127.0.0.1:{ports[0]} (TCP, UDP)\n"
        f"cardea: serving 1 route on 127.0.0.1:{ports[1]} (TCP); status at {door.socket}\n")


def test_reload_on_a_terminal(door):
    """People are told that it worked; scripts need not be."""
    main, other = os.openpty()
    subprocess.run([CARDEA, "reload", "--socket", door.socket], stdout=other, check=True, timeout=10 * SLOW)
    os.close(other)
    assert os.read(main, 200) == (b"cardea: configuration reloaded; connections that stand go on: 'cardea status --sessions' "
                                  b"marks those that the policy would deny now\r\n")
    os.close(main)
    assert door.cli("reload").stdout == b""


def test_socket_from_the_environment(door, tmp_path):
    """CARDEA_SOCKET stands for --socket, which beats it."""
    env = {**os.environ, "CARDEA_SOCKET": str(door.socket)}
    assert run(CARDEA, "status", env=env).returncode == 0
    done = run(CARDEA, "status", "--socket", tmp_path / "nosuch.sock", env=env)
    assert done.returncode == 1 and b"nosuch.sock" in done.stderr


def test_no_sessions(door):
    """--sessions says so; without it nothing is said of sessions."""
    lines = door.cli("status", "--sessions").stdout.decode().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("CONNECTION"))
    assert lines[at + 1].startswith("none")
    assert b"CONNECTION" not in door.cli("status").stdout


def test_only_offers(door):
    """--offers is that table alone, also where there are none."""
    lines = door.cli("status", "--offers").stdout.decode().split("\n")
    assert [line.split()[:1] for line in lines] == [["OFFER"], ["none"], []]
    assert json.loads(door.cli("status", "--offers", "--json").stdout) == {"offers": []}


def test_more_sessions_than_are_shown(start_door, echo):
    """--sessions lists so many, and counts the rest; so does the answer that it is made from."""
    door = start_door({"routes": [{"name": "a", "pass": {"to": echo.to}}], "workers": 1,
                       "limits": {"connections": 3000, "per_source": 3000, "hello_timeout": "60s"}})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held = [door.dial() for _ in range(1003)]
    wait_until(lambda: door.status()["connections"] == 1003, "all to be there")
    lines = door.cli("status", "--sessions").stdout.decode().splitlines()
    assert "3 more are open" in lines
    assert json.loads(door.cli("status", "--sessions", "--json").stdout)["sessions_left_out"] == 3
    for sock in held:
        sock.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: door.status()["connections"] == 0, "all to be gone")
    assert "more are open" not in door.cli("status", "--sessions").stdout.decode()


def test_untried_backends(start_door, echo):
    """Nobody knows yet whether a backend is up to which nobody has connected."""
    door = start_door({"routes": [{"name": "a", "pass": {"to": echo.to}}]})

    def state():
        line, = [line for line in door.cli("status").stdout.decode().splitlines() if line.startswith(f"{echo.to} ")]
        return line.split()[1]
    assert state() == "untried"
    with door.dial() as sock:
        hello = tls.client_hello("pass.test")
        sock.sendall(hello)
        tls.read_exactly(sock, len(hello))
        assert state() == "up"


def test_the_drain_is_told(start_door, banner, pki):
    """What a stopping door waits for, and how to make it stop waiting."""
    door = start_door({"certificates": [pki.server("www.test").row()], "limits": {"drain_timeout": "30s"},
                       "routes": [{"name": "www", "sni": "www.test", "terminate": {"to": banner.to}}]})
    with tls.connect(door, "www.test") as sock:
        assert tls.read_line(sock)
        door.process.send(signal.SIGTERM)
        wait_until(lambda: "cardea: stopping: 1 connection open, up to 30s; once more to end now"
                   in door.process.output(), door.process.output)
        door.process.send(signal.SIGTERM)
        assert door.process.wait() == 0
    assert door.process.output().count("stopping:") == 1
