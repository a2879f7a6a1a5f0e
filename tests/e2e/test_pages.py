# SPDX-License-Identifier: Apache-2.0
"""The door's own pages (`serve`): curl within TLS and without, content, connections that are kept, identities, answers that
take their time, reload and drain with requests under way, the service's challenges."""
import concurrent.futures
import json
import re
import signal

import pytest

import pages
import tls
from peers import curl, curl_door
from door import to_yaml
from run import CARDEA, ms, run, wait_until


@pytest.fixture(scope="module")
def door(start_module_door, pki):
    return pages.start(start_module_door, pki)


def fetch(door, path, *words, host="pages.test", **options):
    done = curl_door(door, f"https://{host}:{{port}}{path}", *words, **options)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_get(door, pki):
    """A request within TLS arrives whole: method, path as sent, query, host, who asks."""
    told = json.loads(fetch(door, "/tell/a%2Fb?c=d&e", ca=pki.ca.file))
    assert told == {"tls": True, "method": "GET", "path": "/tell/a%2Fb", "query": "c=d&e",
                    "host": f"pages.test:{door.port}", "type": "", "since": "", "source": "127.0.0.1", "identity": "",
                    "body": ""}
    line = door.audited(action="serve", route="pages")
    assert (line["requests"], line["status"], line["reason"], line["alpn"]) == (1, 200, "done", "http/1.1")


def test_plain(door):
    """Without TLS the same, from a listener that speaks plain; what is for TLS only is not there."""
    told = json.loads(curl(f"http://127.0.0.1:{door.plain_port}/tell/").stdout)
    assert (told["tls"], told["host"]) == (False, f"127.0.0.1:{door.plain_port}")
    assert json.loads(curl(f"http://127.0.0.1:{door.plain_port}/secret/").stdout)["path"] == "/secret/"  # tell's, by "/"


@pytest.mark.parametrize("flags", [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"],
                                   ["-H", "Expect: 100-continue", "-H", "Transfer-Encoding: chunked"]])
def test_post(door, flags):
    """Content by length and in chunks, with 100 Continue and without."""
    content = "x" * 60000
    told = json.loads(fetch(door, "/tell/", "--insecure", "--data-binary", "@-", "-H", "Content-Type: text/x", *flags,
                            input=content.encode()))
    assert (told["method"], told["type"], told["body"]) == ("POST", "text/x", content)


def test_too_much_content(door):
    """More than 64 KiB: 413, whether it is said before or found out."""
    for flags in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
        got = fetch(door, "/tell/", "--insecure", "--data-binary", "@-", "-o", "/dev/null", "-w", "%{http_code}", *flags,
                    input=b"x" * 100000)
        assert got == b"413"


def test_head(door):
    """HEAD tells of the content without sending it, and the connection goes on."""
    head = fetch(door, "/big?5000", "--insecure", "--head").decode()
    assert "Content-Length: 5000" in head and head.endswith("\r\n\r\n")
    with pages.Raw(door) as raw:
        raw.say(b"HEAD /big?5000 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /tell/ HTTP/1.1\r\nHost: a\r\n\r\n"
                b"GET /tell/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert raw.answer(head_only=True)[1]["content-length"] == "5000"
        assert raw.answer(head_only=True)[0] == 200
        assert raw.told()["path"] == "/tell/2"


def test_keep_alive(door):
    """curl makes ten requests on one connection."""
    door.mark()
    url = f"https://pages.test:{door.port}/tell/[1-10]"
    done = curl_door(door, url, "--insecure", "-o", "/dev/null", "-w", "%{num_connects}")
    assert done.stdout == b"1000000000", done.stdout
    assert door.audited(action="serve")["requests"] == 10


def test_pipelined(door):
    """Requests that are sent ahead are answered in order, each when the one before has its answer."""
    with pages.Raw(door) as raw:
        raw.say(b"GET /slow/100 HTTP/1.1\r\nHost: a\r\n\r\nPOST /tell/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                b"GET /tell/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /tell/3 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert raw.answer()[2] == b"at last\n"
        assert raw.told()["body"] == "abc"
        assert raw.told()["path"] == "/tell/2"
        assert raw.ended()


def test_half_closed(door):
    """A client that has said all it wants still gets its answer."""
    with pages.Raw(door) as raw:
        raw.say(b"GET /slow/50 HTTP/1.1\r\nHost: a\r\n\r\n").end_writing()
        assert raw.answer()[2] == b"at last\n" and raw.ended()


def test_old_client(door):
    """HTTP/1.0: answered, and the connection ends."""
    with pages.Raw(door) as raw:
        raw.say(b"GET /tell/ HTTP/1.0\r\n\r\n")
        assert raw.told()["host"] == "" and raw.ended()


def test_byte_by_byte(door):
    """However a request is cut, it is the same request."""
    request = (b"POST /tell/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
               b"3\r\nabc\r\n0\r\nX: y\r\n\r\n")
    with pages.Raw(door) as raw:
        for byte in request:
            raw.say(bytes([byte]))
        status, *_ = raw.answer()
        if status == 100:
            assert raw.told()["body"] == "abc"


def test_large_answer(door):
    """An answer that no socket buffer holds."""
    got = fetch(door, "/big?8000000", "--insecure", "-o", "/dev/null", "-w", "%{size_download}")
    assert got == b"8000000"


def test_identity(door, pki):
    """A client who has proven himself is known to the service; optional, one who has not is served too."""
    mine = ["--cert", pki.alice.certificate, "--key", pki.alice.key]
    assert json.loads(fetch(door, "/tell/", *mine, host="known.test", ca=pki.ca.file))["identity"] == "alice"
    assert json.loads(fetch(door, "/tell/", host="known.test", ca=pki.ca.file))["identity"] == ""
    assert json.loads(fetch(door, "/secret/", *mine, host="strict.test", ca=pki.ca.file))["identity"] == "alice"
    assert curl_door(door, "https://strict.test:{port}/tell/", ca=pki.ca.file).returncode != 0
    assert door.audited(route="strict", reason="no_certificate")


def test_other_protocols(door):
    """h2 alone is not spoken: an alert says so."""
    said = tls.s_client(door, "pages.test", "-alpn", "h2")
    assert said.alert == "120", said.text


def test_many_at_once(door):
    """A hundred answers that take half a second each take no fifty: no worker waits for one."""
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda n: run("curl", "-q", "-sS", "--parallel", "--parallel-max", "5",
                                           f"http://127.0.0.1:{door.plain_port}/slow/{500 + n}?[1-5]", timeout=60), range(20)))
    assert all(one.stdout == b"at last\n" * 5 for one in done), [one.stderr for one in done]


def test_metrics(door):
    """Requests by service and status."""
    fetch(door, "/tell/", "--insecure")
    with pages.Raw(door) as raw:
        raw.say(b"nonsense\r\n\r\n").answer()
    text = door.get("/metrics")[1]
    assert re.search(r'^cardea_requests_total\{service="tell",status="2xx"\} [1-9]', text, re.M)
    assert re.search(r'^cardea_requests_total\{service="-",status="4xx"\} [1-9]', text, re.M)
    assert re.search(r'^cardea_requests_total\{service="redirect",status="2xx"\} 0$', text, re.M)


# Bounds -------------------------------------------------------------------------------------------------------------------


def test_silence_ends(start_door, pki):
    """Between requests a client may be silent for a while; half a request gets 408."""
    door = pages.start(start_door, pki, limits={"keep_alive_timeout": ms(300), "request_timeout": ms(600)})
    with pages.Raw(door) as idle, pages.Raw(door) as used, pages.Raw(door) as half:
        half.say(b"GET /tell/ HTTP/1.1\r\nHost:")
        used.say(b"GET /tell/ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert used.told() and used.ended() and idle.ended()
        assert half.answer()[0] == 408 and half.ended()
    assert len(door.audited(3, reason="idle_timeout")) == 3


def test_answers_that_nobody_takes(start_door, pki):
    """A client that does not read what it has asked for does not stay."""
    door = pages.start(start_door, pki, limits={"request_timeout": ms(500)})
    with pages.Raw(door) as raw:
        raw.say(b"GET /big?60000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert door.audited(reason="idle_timeout", timeout=20)["requests"] == 1


def test_crowd(start_door, pki):
    """More requests under way than may be: 503 at once, and the connection is kept."""
    door = pages.start(start_door, pki, limits={"requests": 2})
    with pages.Raw(door) as first, pages.Raw(door) as second, pages.Raw(door) as third:
        for raw in (first, second):
            raw.say(b"GET /slow/1500 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: len(door.get_json("/sessions")["sessions"]) == 3, "three sessions")

        def refused():
            status, fields, _ = third.say(b"GET /slow/0 HTTP/1.1\r\nHost: a\r\n\r\n").answer()
            return status == 503 and fields["retry-after"] == "1"
        wait_until(refused, "a refusal")
        assert first.answer()[0] == 200 and second.answer()[0] == 200
        assert third.say(b"GET /slow/0 HTTP/1.1\r\nHost: a\r\n\r\n").answer()[0] == 200


# Reload, drain ------------------------------------------------------------------------------------------------------------


def test_reload(start_door, pki):
    """What is under way is answered, and its connection closed behind that; new ones are served by the new list."""
    door = pages.start(start_door, pki)
    with pages.Raw(door) as busy, pages.Raw(door) as idle:
        busy.say(b"GET /slow/800 HTTP/1.1\r\nHost: a\r\n\r\n")
        idle.say(b"GET /tell/ HTTP/1.1\r\nHost: a\r\n\r\n").told()
        wait_until(lambda: len(door.get_json("/sessions")["sessions"]) == 2, "two sessions")
        new = pages.config(pki)
        new["routes"][-1]["serve"] = ["redirect"]
        new["routes"][-1]["redirect_port"] = 8443
        door.reload(new)
        assert idle.ended()
        status, fields, content = busy.answer()
        assert (status, fields["connection"], content) == (200, "close", b"at last\n") and busy.ended()
    with pages.Raw(door) as raw:
        assert raw.say(b"GET /a?b HTTP/1.1\r\nHost: a:80\r\n\r\n").answer()[1]["location"] == "https://a:8443/a?b"


def test_office_opens_at_a_reload(start_door, pki):
    """A door that had nothing to answer in the office has it when a reload asks for it."""
    before = {"routes": [{"name": "away", "sni": "away.test", "reject": "access_denied"},
                         {"name": "plain", "listeners": ["plain"], "serve": ["redirect"]}]}
    port = pages.free_port()
    door = start_door(before, program=pages.PROGRAM,
                      listeners=[{"name": "plain", "address": f"127.0.0.1:{port}", "speaks": "plain"}])
    door.plain_port = port
    with pages.Raw(door) as raw:
        assert raw.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()[0] == 301
    door.reload(pages.config(pki))
    with pages.Raw(door) as raw:
        assert raw.say(b"GET /slow/10 HTTP/1.1\r\nHost: a\r\n\r\n").answer()[2] == b"at last\n"


def test_drain(start_door, pki):
    """A door that stops answers what it was asked; who is idle is let go at once."""
    door = pages.start(start_door, pki)
    with pages.Raw(door) as busy, pages.Raw(door) as idle:
        busy.say(b"GET /slow/700 HTTP/1.1\r\nHost: a\r\n\r\n")
        idle.say(b"GET /tell/ HTTP/1.1\r\nHost: a\r\n\r\n").told()
        wait_until(lambda: len(door.get_json("/sessions")["sessions"]) == 2, "two sessions")
        door.process.send(signal.SIGTERM)
        assert idle.ended()
        status, fields, _ = busy.answer()
        assert (status, fields["connection"]) == (200, "close") and busy.ended()
    door.stop()


def test_an_answer_that_does_not_come_in_time(start_door, pki):
    """The client hears of it, and what else would be asked on the connection is not."""
    door = pages.start(start_door, pki, limits={"answer_timeout": ms(100)})
    with pages.Raw(door) as raw:
        status, fields, text = raw.say(b"GET /slow/900000 HTTP/1.1\r\nHost: a\r\n\r\n").answer()
        assert (status, fields["connection"]) == (504, "close") and b"in time" in text and raw.ended()


def test_drain_does_not_wait_for_ever(start_door, pki):
    """An answer that does not come in `drain_timeout` is given up, and nothing is left behind (a sanitizer looks)."""
    door = pages.start(start_door, pki, limits={"drain_timeout": ms(300)})
    with pages.Raw(door) as busy, pages.Raw(door) as gone:
        busy.say(b"GET /slow/900000 HTTP/1.1\r\nHost: a\r\n\r\n")
        gone.say(b"GET /slow/900000 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: len(door.get_json("/sessions")["sessions"]) == 2, "two sessions")
        door.stop()
        assert [line["reason"] for line in door.audited(2)] == ["shutdown"] * 2


# Challenges ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def challenged(start_door, pki):
    """A door that holds challenges for pages.test."""
    cert = pki.server("challenge.test")
    env = {"CHALLENGE_NAME": "pages.test", "CHALLENGE_CERT": cert.certificate, "CHALLENGE_KEY": cert.key}
    return pages.start(start_door, pki, env=env)


def subject(said):
    return said.find(r"subject=.*?CN ?= ?(\S+)")


def test_http_01(challenged):
    """A token that the door holds is answered; another is not."""
    base = f"http://127.0.0.1:{challenged.plain_port}/.well-known/acme-challenge"
    assert curl(f"{base}/token").stdout == b"token.thumbprint"
    assert curl(f"{base}/tokem", "-o", "/dev/null", "-w", "%{http_code}").stdout == b"404"


def test_tls_alpn_01(challenged):
    """A CA that offers acme-tls/1 alone is shown the challenge's certificate, and the door hangs up."""
    said = tls.s_client(challenged, "pages.test", "-alpn", "acme-tls/1")
    assert subject(said) == "challenge.test" and "ALPN protocol: acme-tls/1" in said.text, said.text
    line = challenged.audited(reason="challenge")
    assert (line["sni"], line["alpn"], "route" in line) == ("pages.test", "acme-tls/1", False)
    told = json.loads(run(CARDEA, "report", "tls", "--json", challenged.audit_file).stdout)
    assert told["connections"] == 0 and told["not_judged"]["challenges"] == 1, "it is no client"


@pytest.mark.parametrize("alpn, name", [("acme-tls/1,http/1.1", "pages.test"), ("http/1.1", "pages.test"),
                                        ("acme-tls/1", "known.test")])
def test_not_for_the_door(challenged, alpn, name):
    """Who offers more than that, or comes for a name without a challenge, is routed as ever."""
    said = tls.s_client(challenged, name, "-alpn", alpn)
    assert subject(said) != "challenge.test"
    assert "route" in challenged.audited(sni=name)


def test_backend_solves_its_own(challenged, start_door, pki):
    """A route for acme-tls/1 leads to whoever stands behind it, where the door holds nothing for the name."""
    front = start_door({"routes": [{"name": "solver", "sni": "pages.test", "alpn": "acme-tls/1",
                                    "pass": {"to": challenged.address}}]})
    said = tls.s_client(front, "pages.test", "-alpn", "acme-tls/1")
    assert subject(said) == "challenge.test", said.text
    assert front.audited(route="solver", action="pass")


# The program itself -------------------------------------------------------------------------------------------------------


def test_built_in_services(start_door):
    """`cardea serve` has challenges and redirect; the longer prefix wins."""
    port = pages.free_port()
    door = start_door({"routes": [{"name": "http", "listeners": ["plain"], "serve": ["challenges", "redirect"]}]},
                      listeners=[{"name": "plain", "address": f"127.0.0.1:{port}", "speaks": "plain"}])
    door.plain_port = port
    with pages.Raw(door) as raw:
        assert raw.say(b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n").answer()[1]["location"] == "https://a.example/x"
        assert raw.say(b"GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: a\r\n\r\n").answer()[0] == 404
        assert raw.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").answer()[0] == 308
    status = door.status()["routes"]
    assert [route["action"] for route in status if route["name"] == "http"] == ["serve"]


def test_http_at_the_port_of_tls(start_door, pki):
    """Who speaks HTTP where TLS is spoken is led to https:// at the same port."""
    door = start_door({"certificates": [pki.server("pages.test").row()],
                       "routes": [{"name": "http", "first_bytes": "http", "serve": ["redirect"]},
                                  {"name": "tls", "sni": "pages.test", "serve": ["challenges"]}]})
    door.plain_port = door.port
    with pages.Raw(door) as raw:
        for byte in b"GET /x HTTP/1.1\r\nHost: pages.test\r\n\r\n":
            raw.say(bytes([byte]))
        assert raw.answer()[1]["location"] == "https://pages.test/x"
        assert raw.say(b"GET /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").answer()[0] == 301 and raw.ended()
    assert door.audited(route="http")["requests"] == 2
    got = fetch(door, "/x", ca=pki.ca.file)
    assert got.startswith(b"nothing is served under this path; what is served here begins with /.well-known/")


@pytest.mark.parametrize("route, complaint", [
    ({"serve": ["redirct"]}, "did you mean 'redirect'?"),
    ({"serve": ["redirct"]}, "serve: found 'redirct', expected services that this door has: challenges, redirect"),
    ({"serve": ["secret"], "program": pages.PROGRAM},
     "serve: 'secret' is served within TLS only, and a listener of this route speaks plain"),
])
def test_services_are_checked(tmp_path, route, complaint):
    """A service that the door does not have, or not there, is an error with its place."""
    program = route.pop("program", CARDEA)
    file = tmp_path / "door.yaml"
    file.write_text(to_yaml({"listeners": [{"name": "plain", "address": "127.0.0.1:1", "speaks": "plain"}],
                             "routes": [{"name": "plain", "listeners": ["plain"], **route}]}))
    flags = ["--check"] if program == CARDEA else []
    done = run(program, "serve", "-c", file, *flags)
    assert done.returncode == 1 and complaint in done.stderr.decode(), done.stderr


def test_check_lists_services(tmp_path):
    """`serve --check` shows what a route serves."""
    file = tmp_path / "door.yaml"
    file.write_text(to_yaml({"listeners": [{"name": "plain", "address": "127.0.0.1:1", "speaks": "plain"}],
                             "routes": [{"name": "http", "listeners": ["plain"], "serve": ["challenges", "redirect"]}]}))
    done = run(CARDEA, "serve", "-c", file, "--check", "--json")
    row = json.loads(done.stdout)["routes"][0]
    assert (row["action"], row["to"]) == ("serve", "challenges, redirect")
