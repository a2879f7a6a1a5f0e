# SPDX-License-Identifier: Apache-2.0
"""`cardea check --recommend`: the strongest TLS towards backends that gives the same pages."""
import contextlib
import http.server
import itertools
import json
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from door import to_yaml
from pki import Cert, openssl
from run import CARDEA, SLOW, Process, free_port, run, wait_listening

NAME = "site.test"
WORDS = "the quick brown fox jumps over the lazy dog while seven wizards boil their cauldrons".split()
SNI = {}  # connections that were asked for a name
TICKET = itertools.count()
PAGES = 5  # of Site: "b" below /c/ is another page


class Site(http.server.BaseHTTPRequestHandler):
    """Pages that link to one another, with a token in each that no two answers share. `word` makes it another site."""
    word = "shop"
    protocol_version = "HTTP/1.1"

    def page(self):
        links = "".join(f'<a href="{link}">{link}</a> ' for link in ("/a", "b?x=1&amp;y=2", "/c/", "http://elsewhere.test/"))
        text = " ".join(f"{self.word}{word}" for word in WORDS)
        return (f"<html><script>var no = '<a href=/never>';</script><body>{text} of {self.path} at {self.headers['Host']} {links}"
                f"<input value={next(TICKET)}> token {next(TICKET)}</body></html>")

    def do_GET(self):  # pylint: disable=invalid-name
        body = self.page().encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Other(Site):
    word = "parked"


class ToTls(Site):
    """Sends everybody to the same page by https:."""
    def do_GET(self):
        self.send_response(301)
        self.send_header("Location", f"https://{NAME}{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()


class Endless(Site):
    """Every page leads to two that nobody has seen."""
    asked = 0

    def page(self):
        Endless.asked += 1
        return f"<p>{' '.join(WORDS)} <a href='{self.path}0/'>left</a><a href='{self.path}1/'>right</a></p>"


class Odd(Site):
    """A page with a name that terminals obey and JSON cannot hold, which every server of it answers in another way."""
    def page(self):
        if "%9B" in self.path or "\x9b" in self.path:
            return f"<p>{self.server.server_address[1]}"
        return f"<p>{' '.join(WORDS)} <a href='/\x1b'>no</a><a href='/\udcc2\udc9b31m\udcff'>odd</a></p>"

    def do_GET(self):  # pylint: disable=invalid-name
        body = self.page().encode(errors="surrogateescape")
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class ByName(Site):
    """Another site for who names it within TLS."""
    def setup(self):
        self.request.do_handshake()
        self.word = SNI.get(self.request, "shop")
        super().setup()


class Slow(Site):
    """Only the root comes."""
    over = threading.Event()

    def do_GET(self):
        if self.path != "/":
            self.over.wait()
        super().do_GET()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


@contextlib.contextmanager
def serving(handler, cert=None, version=None):
    """A site, over TLS where it has a certificate; answers its port."""
    server = Server(("127.0.0.1", free_port()), handler)
    if cert is not None:
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(cert.certificate, cert.key)
        ctx.sni_callback = lambda sock, name, _: name and SNI.update({sock: "parked"})
        if version is not None:
            ctx.maximum_version = version
        server.socket = ctx.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def door(tmp_path, pki):
    """door(to, tls, **route): a configuration with the route `web`, and the path of its file."""
    def make(to, tls=None, action="terminate", **route):
        goal = {"to": to, **({"tls": tls} if tls else {})}
        config = {"listeners": [{"name": "main", "address": f"127.0.0.1:{free_port()}",
                                 **({"speaks": "plain"} if action == "forward" else {})}],
                  "certificates": [pki.server(NAME).row()],
                  "trust": [{"name": "inside", "ca": pki.ca.file}],
                  "routes": [{"name": "web", action: goal, **route,
                              **({"sni": NAME} if action == "terminate" else {"listeners": ["main"]})}]}
        path = tmp_path / "cardea.yaml"
        path.write_text(to_yaml(config))
        return config, path
    return make


def recommend(path, *words, status):
    done = run(CARDEA, "check", "--recommend", "--config", path, "--json", "--timeout", "20s", *words)
    assert done.returncode == status, done.stdout.decode() + done.stderr.decode()
    [told] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (told["result"], told["change"] is not None) == [("nothing", False), ("stronger", True),
                                                            ("undetermined", False)][status], told
    return told


def changed(tmp_path, config, told):
    """The configuration with the recommended change, which is read as YAML by the door itself: a second file holds it in
    the place of the route's action."""
    route = dict(config["routes"][0])
    action = "forward" if "forward" in route else "terminate"
    old = route.pop(action)
    lines = told["change"].splitlines()
    assert lines[0] == f"{action}:"
    if not any(line.startswith("  to:") for line in lines):
        lines.insert(1, f"  to: {json.dumps(old['to'])}")
    for key, value in (old.get("tls") or {}).items():
        at = lines.index("  tls:") + 1
        if not any(line.startswith(f"    {key}:") for line in lines):
            lines.insert(at, f"    {key}: {json.dumps(value)}")
    text = to_yaml({**config, "routes": []}).replace("routes:\n", "") + "routes:\n  - name: web\n"
    text += "".join(f"    {key}: {json.dumps(value)}\n" for key, value in route.items() if key != "name")
    text += "".join(f"    {line}\n" for line in lines)
    path = tmp_path / "changed.yaml"
    path.write_text(text)
    done = run(CARDEA, "serve", "--config", path, "--check")
    assert done.returncode == 0, text + done.stderr.decode()
    return path


def modes(told):
    return {mode: row["works"] for mode, row in told["backends"][0]["modes"].items()}


def test_the_same_site_with_a_good_certificate(door, pki, tmp_path):
    with serving(Site) as plain, serving(Site, pki.server(NAME)) as tls:
        config, path = door(f"127.0.0.1:{plain}")
        told = recommend(path, "--port", tls, status=1)
        [backend] = told["backends"]
        assert told["mode"] == "flexible" and told["recommended"] in ("full strict", "strict")
        assert backend["port"] == tls and modes(told)["full strict"]
        pages = backend["pages"]
        assert pages["same"] == PAGES and pages["differ"] == 0 and pages["likeness"] > 0.8, pages
        # What it recommends is valid, and then there is nothing more to do.
        told = recommend(changed(tmp_path, config, told), status=0)
        assert told["mode"] in ("full strict", "strict")


def test_strict_needs_a_hybrid_exchange(door, pki):
    with serving(Site) as plain, serving(Site, pki.server(NAME), ssl.TLSVersion.TLSv1_2) as tls:
        _, path = door(f"127.0.0.1:{plain}")
        told = recommend(path, "--port", tls, status=1)
    assert told["recommended"] == "full strict" and modes(told)["strict"] is False
    assert told["backends"][0]["modes"]["full"]["detail"].startswith("TLS 1.2")


def test_a_backend_that_proves_its_own_name(door, pki, tmp_path):
    """It is asked by its own name, for the site of another."""
    with serving(Site) as plain, serving(Site, pki.server("inside.test")) as tls:
        config, path = door(f"127.0.0.1:{plain}")
        told = recommend(path, "--port", tls, status=1)
        assert modes(told)["full strict"] and "name:" not in told["change"]
        assert told["backends"][0]["pages"]["differ"] == 0
        recommend(changed(tmp_path, config, told), status=0)


def test_strict_up_to_a_peer_with_a_hybrid_exchange(door, pki, start_wrap, tmp_path):
    with serving(Site) as plain:
        wrap = start_wrap("server", f"127.0.0.1:{plain}", "--cert", pki.server(NAME).certificate, "--key",
                          pki.server(NAME).key)
        config, path = door(f"127.0.0.1:{plain}")
        told = recommend(path, "--port", wrap.port, status=1)
        assert told["recommended"] == "strict" and "groups: [X25519MLKEM768, " in told["change"]
        told = recommend(changed(tmp_path, config, told), status=0)
        assert told["mode"] == "strict" and modes(told) == {"strict": True}


def test_another_site_over_tls(door, pki):
    with serving(Site) as plain, serving(Other, pki.server(NAME)) as tls:
        _, path = door(f"127.0.0.1:{plain}")
        told = recommend(path, "--port", tls, status=0)
    [backend] = told["backends"]
    assert modes(told)["full strict"] and backend["pages"]["differ"] > 0 and backend["pages"]["path"] == "/"
    assert "another content" in backend["note"]


def test_a_self_signed_certificate(door, tmp_path):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj",
            f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", tmp_path / "own.key", "-out",
            tmp_path / "own.pem")
    with serving(Site) as plain, serving(Site, Cert(tmp_path / "own.pem", tmp_path / "own.key")) as tls:
        config, path = door(f"127.0.0.1:{plain}")
        told = recommend(path, "--port", tls, status=1)
        assert told["recommended"] == "full" and modes(told) == {"full": True, "full strict": False}
        assert "by inside: " in told["backends"][0]["modes"]["full strict"]["detail"]
        told = recommend(changed(tmp_path, config, told), status=0)
    assert told["mode"] == "full"


def test_a_certificate_for_another_name(door, pki):
    cert = pki.ca.issue("elsewhere.test", dns=["elsewhere.test"], label="elsewhere")
    with serving(Site) as plain, serving(Site, cert) as tls:
        _, path = door(f"127.0.0.1:{plain}")
        told = recommend(path, "--port", tls, status=1)
    assert told["recommended"] == "full"
    why = told["backends"][0]["modes"]["full strict"]["detail"]
    assert "elsewhere.test" in why and NAME in why


def test_plain_http_alone(door):
    with serving(Site) as plain:
        _, path = door(f"127.0.0.1:{plain}", action="forward")
        told = recommend(path, "--port", free_port(), status=0)
    assert told["mode"] == "off" and told["backends"][0]["note"] == "it speaks no TLS"
    assert modes(told) == {"full": False}


def test_plain_http_at_a_port_of_its_own(door):
    """Where nobody has said that TLS is elsewhere, it is said how to."""
    with serving(Site) as plain:
        _, path = door(f"127.0.0.1:{plain}", action="forward")
        told = recommend(path, status=0)
    assert "--port says where else to look" in told["backends"][0]["note"]


@pytest.mark.parametrize("how", ["first_bytes", "speaks"])
def test_no_web_server(door, how):
    """It is not asked for pages, and what it speaks is no reason to end with 2."""
    with socket.create_server(("127.0.0.1", 0)) as backend:
        to = f"127.0.0.1:{backend.getsockname()[1]}"
        config, path = door(to, **({"first_bytes": "postgresql"} if how == "first_bytes" else {"listeners": ["main"]}))
        if how == "speaks":
            config["listeners"][0]["speaks"] = "smtp"
            path.write_text(to_yaml(config))
        told = recommend(path, status=0)
        backend.settimeout(0)
        with pytest.raises(BlockingIOError):
            backend.accept()
    assert "it is no web server" in told["backends"][0]["note"], told


def test_a_backend_that_is_away(door):
    _, path = door(f"127.0.0.1:{free_port()}")
    told = recommend(path, "--port", free_port(), status=2)
    assert "as it is now it gives no page" in told["backends"][0]["note"]


def test_what_only_leads_to_https(door, pki):
    with serving(ToTls) as plain, serving(Site, pki.server(NAME)) as tls:
        _, path = door(f"127.0.0.1:{plain}")
        told = recommend(path, "--port", tls, status=1)
    pages = told["backends"][0]["pages"]
    assert pages["same"] == pages["to_tls"] == PAGES, pages


def test_a_present_mode_that_fails_is_not_weakened(door, pki):
    cert = pki.stranger.issue(NAME, dns=[NAME], label="stranger-site")
    with serving(Site, cert) as tls:
        _, path = door(f"127.0.0.1:{tls}", {"name": NAME, "trust": "inside"})
        told = recommend(path, status=2)
    assert told["mode"] == "full strict" and told["recommended"] is None
    assert told["backends"][0]["note"].startswith("the present mode fails: ")
    assert modes(told) == {"full strict": False}


def test_another_name_may_lead_to_another_site(door, pki, tmp_path):
    """A backend that is asked by its address and need not prove itself: its certificate is for the site's name, and what
    answers to that name must be what answers now."""
    cert = pki.ca.issue(NAME, dns=[NAME], label="by-name")
    with serving(Site, cert) as tls:
        config, path = door(f"127.0.0.1:{tls}", {"verify": "any"})
        told = recommend(path, status=1)
        assert f"name: {NAME}" in told["change"] and told["backends"][0]["pages"]["same"] == PAGES
        recommend(changed(tmp_path, config, told), status=0)
    with serving(ByName, cert) as tls:
        _, path = door(f"127.0.0.1:{tls}", {"verify": "any"})
        told = recommend(path, status=0)
        assert modes(told)["full strict"] and told["backends"][0]["pages"]["differ"] > 0


def test_one_backend_holds_back_the_others(door, pki, tmp_path):
    stranger = pki.stranger.issue(NAME, dns=[NAME], label="second-site")
    with serving(Site, pki.server(NAME)) as first, serving(Site, stranger) as second:
        _, path = door([f"127.0.0.1:{first}", f"127.0.0.1:{second}"], {"verify": "any", "name": NAME})
        told = recommend(path, status=0)
        assert [backend["strongest"] == "full" for backend in told["backends"]] == [False, True], told
        config, path = door([f"127.0.0.1:{first}"], {"verify": "any", "name": NAME})
        told = recommend(path, status=1)
        assert recommend(changed(tmp_path, config, told), status=0)["mode"] == told["recommended"]


def test_an_endless_site_is_left(door, pki):
    Endless.asked = 0
    with serving(Endless) as plain, serving(Endless, pki.server(NAME)) as tls:
        _, path = door(f"127.0.0.1:{plain}")
        told = recommend(path, "--port", tls, "--pages", 7, status=1)
        assert told["backends"][0]["pages"]["same"] == 7 and Endless.asked == 3 * 7
        told = recommend(path, "--port", tls, "--depth", 1, status=1)
        assert told["backends"][0]["pages"]["same"] == 3


def test_a_page_with_an_odd_name(door, pki):
    """What a site calls its pages is told as it goes over the wire, and so as ASCII."""
    with serving(Odd) as plain, serving(Odd, pki.server(NAME)) as tls:
        _, path = door(f"127.0.0.1:{plain}")
        told = recommend(path, "--port", tls, status=0)
        [backend] = told["backends"]
        assert backend["pages"]["path"] == "/%C2%9B31m%FF" and backend["pages"]["differ"] == 1, backend
        done = run(CARDEA, "check", "--recommend", "--config", path, "--port", tls)
    assert done.stdout.isascii() and b"%C2%9B31m" in done.stdout, done.stdout


def test_a_slow_site_is_left_at_the_deadline(door, pki):
    with serving(Slow) as plain, serving(Slow, pki.server(NAME)) as tls:
        _, path = door(f"127.0.0.1:{plain}")
        told = recommend(path, "--port", tls, "--deadline", f"{int(2 * SLOW)}s", status=1)
        Slow.over.set()
    pages = told["backends"][0]["pages"]
    assert pages["cut"] and pages["same"] == 1 and pages["differ"] == 0, pages


NGINX = """
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
    scgi_temp_path {dir}/t5;
    types {{ text/html html; }}
    server {{ listen 127.0.0.1:{tls} ssl default_server; server_name parked.test;
        ssl_certificate {cert.certificate}; ssl_certificate_key {cert.key};
        location / {{ default_type text/html; return 200 "<p>This name is parked with us, come again</p>"; }} }}
    server {{ listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl; server_name {name};
        ssl_certificate {cert.certificate}; ssl_certificate_key {cert.key};
        root {dir}/www; }}
}}
"""


def test_nginx_with_two_servers(door, pki, tmp_path):
    plain, tls = free_port(), free_port()
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.html").write_text(f"<p>{' '.join(WORDS)}</p><a href=more.html>more</a>")
    (tmp_path / "www" / "more.html").write_text(f"<p>more of {' '.join(reversed(WORDS))}</p><a href=gone>gone</a>")
    cert = pki.server(NAME, "parked.test")
    (tmp_path / "nginx.conf").write_text(NGINX.format(dir=tmp_path, plain=plain, tls=tls, cert=cert, name=NAME))
    nginx = Process([shutil.which("nginx") or "/usr/sbin/nginx", "-c", tmp_path / "nginx.conf", "-e",
                     tmp_path / "error.log"], tmp_path, "nginx")
    try:
        wait_listening(tls, nginx)
        _, path = door(f"127.0.0.1:{plain}")
        told = recommend(path, "--port", tls, status=1)
        pages = told["backends"][0]["pages"]
        assert (pages["same"], pages["differ"], pages["untold"]) == (2, 0, 1), pages
        # By another name TLS leads to the other server.
        told = recommend(path, "--port", tls, "--name", "parked.test", status=0)
        assert told["backends"][0]["pages"]["differ"] > 0
    finally:
        nginx.stop()


def test_words_for_people_and_what_is_misused(door, pki):
    with serving(Site) as plain, serving(Site, pki.server(NAME)) as tls:
        _, path = door(f"127.0.0.1:{plain}")
        done = run(CARDEA, "check", "--recommend", "--config", path, "--port", tls)
    text = done.stdout.decode()
    assert done.returncode == 1 and "web: flexible now; " in text and "is possible" in text, text
    assert "  change in the route" in text and f'to: ["127.0.0.1:{tls}"]' in text and done.stderr == b""
    for words, complaint in (((), "--config is missing"), (("--config", path, "--route", "no"), "no such route"),
                             (("--config", path, "--pages", "0"), "--pages 0: expected a number from 1"),
                             (("--config", path, "a:1"), "takes no server")):
        done = subprocess.run([CARDEA, "check", "--recommend", *words], capture_output=True, check=False, timeout=60)
        assert done.returncode == 2 and complaint in done.stderr.decode(), done.stderr
