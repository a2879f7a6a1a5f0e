# SPDX-License-Identifier: Apache-2.0
"""Names that nobody has configured: their certificate is obtained when they are first asked for. pebble is the CA."""
import concurrent.futures
import http.server
import itertools
import json
import re
import socket
import sqlite3
import ssl
import threading
import urllib.parse
from pathlib import Path

import pytest
from cryptography import x509

import tls
from door import Door
from pebble import Pebble
from peers import Server
from run import CARDEA, SANITIZER, SLOW, run, wait_until
from test_acme_client import LEFT_OUT


def echo(sock):
    while data := sock.recv(65536):
        sock.sendall(data)


class Hook:
    """Says 200 for the names in `good`; notes whom it was asked about."""

    def __init__(self, *good):
        self.good, self.asked, self.status, self.hangs = set(good), [], 404, threading.Event()
        self.hangs.set()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["domain"][0]
                hook.asked.append(name)
                hook.hangs.wait(30)
                self.send_response(200 if name in hook.good else hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/permitted"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.hangs.set()
        self.server.shutdown()
        self.server.server_close()


class Site:
    def __init__(self, directory, *, lifetime=3600, **on_demand):
        self.directory = directory
        self.backend = Server(echo)
        self.hook = Hook("a.example.com")
        self.door = Door(directory, {})
        self.pebble = Pebble(directory, self.door.port, lifetime=lifetime, refuses=0).start()
        self.others = {}  # CAs, by name
        self.on_demand = {"ask": self.hook.url, "ca": "pebble", **on_demand}

    def config(self, certificates=None):
        certificates = [{"on_demand": self.on_demand}] if certificates is None else certificates
        return {"state": "state", "certificates": certificates,
                "acme_cas": [{"name": name, "url": ca.url, "ca_file": ca.ca_file} for name, ca in {"pebble": self.pebble, **self.others}.items()],
                "limits": {"certificate_timeout": "30s"},
                "routes": [{"name": "web", "listeners": ["main"], "terminate": {"to": self.backend.to}}]}

    def start(self):
        self.door.configure(self.config())
        self.door.start()
        return self

    def stop(self):
        self.door.stop()
        for ca in (self.pebble, *self.others.values()):
            ca.stop()
        self.hook.stop()
        self.backend.stop()

    def leaf(self, name):
        """The certificate, or the alert's name."""
        try:
            with tls.connect(self.door, name) as sock:
                return x509.load_der_x509_certificate(sock.getpeercert(True))
        except ssl.SSLError as e:
            return e.reason or str(e)

    def orders(self):
        return self.pebble.log().count("Issued certificate")

    def counted(self):
        """The counters of names on demand."""
        return {what: int(count) for what, count in
                re.findall(r'cardea_on_demand_total\{what="(\w+)"\} (\d+)', self.door.get("/metrics")[1])}

    def said(self):
        return self.door.process.output()


@pytest.fixture
def site(tmp_path):
    made = []

    def make(**on_demand):
        made.append(Site(tmp_path, **on_demand))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def is_for(leaf, name):
    assert isinstance(leaf, x509.Certificate), leaf
    san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return san.get_values_for_type(x509.DNSName) == [name]


INTERNAL_ERROR, UNRECOGNIZED_NAME = 80, 112
NO = ("TLSV1_UNRECOGNIZED_NAME", "TLSV1_ALERT_UNRECOGNIZED_NAME")


def test_the_first_handshake_waits_for_a_good_certificate(site):
    s = site().start()
    leaf = s.leaf("a.example.com")
    assert is_for(leaf, "a.example.com")
    assert s.leaf("A.example.com").serial_number == leaf.serial_number
    assert s.hook.asked == ["a.example.com"]
    with tls.connect(s.door, "a.example.com", ca=s.pebble.root()) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"


def test_many_at_once_are_one_order(site):
    s = site().start()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        leaves = list(pool.map(s.leaf, ["a.example.com"] * 20))
    assert len({leaf.serial_number for leaf in leaves}) == 1
    assert s.hook.asked == ["a.example.com"] and s.orders() == 1


def test_a_no_is_asked_for_once(site):
    s = site().start()
    for _ in range(20):
        assert s.leaf("b.example.com") in NO
    assert s.hook.asked == ["b.example.com"] and s.orders() == 0
    assert s.leaf("localhost") in NO, "a single label is nobody's"
    assert s.hook.asked == ["b.example.com"]


def test_explained_before_anybody_comes(site, tmp_path):
    """cardea explain says which names a door would obtain certificates for, and the door the same of those that it would not."""
    listed = tmp_path / "names"
    listed.write_text("a.example.com\n")
    s = site(names=["*.lab.example.com"], names_file=str(listed))
    s.on_demand.pop("ask")
    s.start()

    def explained(name):
        done = run(CARDEA, "explain", "-c", s.door.config_file, "--sni", name, "--json")
        return done.returncode, json.loads(done.stdout)
    for name in ("a.example.com", "x.lab.example.com"):
        status, said = explained(name)
        assert status == 0 and said["tls"]["looked_up"] and said["end"] is None
    for name, sni, why in (("x.example.com", "x.example.com", "on_demand does not permit this name"),
                           ("x.y.lab.example.com", "x.y.lab.example.com", "on_demand does not permit this name"),
                           ("none", None, "the client names no host that could have a certificate")):
        status, said = explained(name)
        s.door.mark()
        assert s.leaf(sni) in NO
        line = s.door.audited()
        assert status == 1 and said["tls"] is None
        assert said["end"] == {"reason": "uncertified", "alert": "unrecognized_name", "detail": why}
        assert (line["reason"], line["detail"]) == ("uncertified", why)


def test_a_no_is_forgotten_in_time(site):
    s = site(refused_for="1s").start()
    assert s.leaf("b.example.com") in NO
    s.hook.good.add("b.example.com")
    wait_until(lambda: isinstance(s.leaf("b.example.com"), x509.Certificate), s.said, 30)


@pytest.mark.parametrize("fault", ["hangs", "fails", "is not there"])
def test_a_hook_that_does_not_answer(site, fault):
    s = site(ask_timeout="300ms", failed_for="1s").start()
    if fault == "hangs":
        s.hook.hangs.clear()
    elif fault == "fails":
        s.hook.status = 500
        s.hook.good.clear()
    else:
        s.hook.server.server_close()
    assert s.leaf("a.example.com") in NO
    wait_until(lambda: "certificate for a.example.com: " in s.said(), s.said)
    assert s.orders() == 0
    if fault == "hangs":
        s.hook.hangs.set()
        wait_until(lambda: isinstance(s.leaf("a.example.com"), x509.Certificate), s.said, 30)


def test_a_program_is_asked(site, tmp_path):
    """It is run without the door's environment, and its exit status is the answer; one that is killed says nothing."""
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\necho \"$@\" >>{tmp_path}/asked\nshift 110\ncase $1 in a.*) exit 0;; c.*) kill -9 $$;; d.*) sleep 60;; esac\nexit 1\n")
    hook.chmod(0o755)
    words = "word " * 110
    s = site(ask=f"exec:{hook} {words}", ask_timeout="1s").start()
    assert is_for(s.leaf("a.example.com"), "a.example.com")
    for name in ("b", "c", "d"):
        assert s.leaf(f"{name}.example.com") in NO
    assert (tmp_path / "asked").read_text().splitlines() == [f"{words}{name}.example.com" for name in "abcd"]
    wait_until(lambda: "killed by signal 9" in s.said() and "did not end within 1000 ms" in s.said(), s.said)


def test_a_program_outlives_its_time_and_the_configuration(site, tmp_path):
    """What asked for it is gone when it ends."""
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntrap '' TERM\ntouch {tmp_path}/begun\nwhile [ ! -e {tmp_path}/enough ]; do sleep 0.05; done\n"
                    f"touch {tmp_path}/ended\n")
    hook.chmod(0o755)
    s = site(ask=f"exec:{hook}", ask_timeout="300ms").start()
    assert s.leaf("a.example.com") in NO and (tmp_path / "begun").exists()
    s.on_demand["ask"] = s.hook.url
    s.door.reload(s.config())
    (tmp_path / "enough").touch()
    wait_until(lambda: (tmp_path / "ended").exists(), "the hook goes on")
    assert s.leaf("b.example.com") in NO and s.hook.asked == ["b.example.com"], s.said()


def test_programs_that_outlive_their_time_are_counted(site, tmp_path):
    """No more than sixteen run at once, also of those whose answer nobody waits for any more. When they have been killed
    there is room again."""
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntrap '' TERM\nmkdir -p {tmp_path}/begun/$1/$$\nexec sleep 60\n")
    hook.chmod(0o755)
    s = site(ask=f"exec:{hook}", ask_timeout="100ms", failed_for="1h", asks_per_source=100).start()

    def run():
        return sum(Path(f"/proc/{begun.name}").exists() for begun in (tmp_path / "begun").glob("*/*"))
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        for first in (0, 10):
            assert all(no in NO for no in pool.map(s.leaf, [f"n{first + i}.example.com" for i in range(10)]))
    assert run() <= 16
    wait_until(lambda: run() == 0, s.said, 20)
    assert s.leaf("later.example.com") in NO and (tmp_path / "begun" / "later.example.com").exists(), s.said()


def test_reloads_while_programs_run(site, tmp_path):
    """Programs that do not end, of one configuration after the other, while clients come for names old and new: the old ones are
    served all the time, none of the programs stays, and the door ends while some run."""
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\ntrap '' TERM\nexec sleep 60\n")
    hook.chmod(0o755)
    s = site(ask=f"exec:{hook}", ask_timeout="100ms", failed_for="1s", names=["good.example.com"], asks_per_source=10000,
             asks_per_minute=10000).start()
    door, numbers, over = s.door.process.pid, itertools.count(), threading.Event()
    assert is_for(s.leaf("good.example.com"), "good.example.com")

    def programs():
        return [int(pid) for file in Path(f"/proc/{door}/task").glob("*/children") for pid in file.read_text().split()]

    def comes(name):
        served = 0
        while not over.is_set():
            served += isinstance(s.leaf(name or f"n{next(numbers)}.example.com"), x509.Certificate)
            assert served or name is None, "the name that was served is not"
        return served
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        old, new = [pool.submit(comes, "good.example.com") for _ in range(2)], [pool.submit(comes, None) for _ in range(4)]
        try:
            for i in range(8):
                wait_until(programs, "programs to run")
                s.on_demand["asks_at_once"] = 4 + i
                s.door.reload(s.config())
        finally:
            over.set()
        assert all(one.result() > 0 for one in old) and not any(one.result() for one in new)
    wait_until(lambda: not programs(), "the programs to be killed and reaped", 20)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        last = pool.submit(s.leaf, "last.example.com")
        left = wait_until(programs, "a program to run")
        s.door.stop()
        last.exception()
    assert not any(Path(f"/proc/{pid}").exists() for pid in left)


def test_names_that_no_ca_certifies(site, tmp_path):
    """They would be options of the program."""
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\necho \"$@\" >>{tmp_path}/asked\n")
    hook.chmod(0o755)
    s = site(ask=f"exec:{hook}", names=["*.example.net"]).start()
    for name in ("--exec.example.com", "-f.d", "a-.example.com", "a.example-", "-a.example.net"):
        assert s.leaf(name) in NO
    assert not (tmp_path / "asked").exists() and s.orders() == 0


def test_names_and_a_file_of_names(site, tmp_path):
    """What they permit nobody is asked about."""
    file = tmp_path / "customers"
    file.write_text("# ours\nLISTED.example.org\n\n*.wild.example.org # all of them\n")
    s = site(names=["*.example.net", "alone"], names_file=str(file)).start()
    for name in ("x.example.net", "listed.example.org", "y.wild.example.org", "alone"):
        leaf = s.leaf(name)
        assert is_for(leaf, name) or name == "alone"
    assert s.leaf("x.y.example.net") in NO and s.leaf("wild.example.org") in NO
    assert s.hook.asked == ["x.y.example.net", "wild.example.org"]


FLOOD, CROWD = 10000, 8
GROWTH = {None: 8 << 20, "address": 400 << 20, "thread": 400 << 20}[SANITIZER]


def invent(door, hello, numbers):
    """A hello for each number's name; answers how many were told that there is no such name."""
    told = 0
    for i in numbers:
        with socket.create_connection(("127.0.0.1", door.port), 20 * SLOW) as sock:
            sock.sendall(hello.replace(b"n00000.", b"n%05d." % i))
            told += tls.alert_of(sock) == UNRECOGNIZED_NAME
    return told


def test_invented_names_cost_nothing_but_counters(site, tmp_path):
    """Ten thousand: no file, no order, no memory, and of programs what the rate allows; names that a pattern permits are
    answered meanwhile, new ones and old."""
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\necho \"$1\" >>{tmp_path}/asked\nexit 1\n")
    hook.chmod(0o755)
    s = site(ask=f"exec:{hook}", names=["*.example.net"], asks_per_source=7).start()
    assert is_for(s.leaf("a.example.net"), "a.example.net")
    hello = tls.client_hello("n00000.example.com")
    assert invent(s.door, hello, range(90000, 90500)) == 500
    files, memory = sorted((s.directory / "state").iterdir()), s.door.process.rss()
    descriptors = s.door.process.open_files()
    with concurrent.futures.ThreadPoolExecutor(CROWD) as pool:
        told = [pool.submit(invent, s.door, hello, range(i, FLOOD, CROWD)) for i in range(CROWD)]
        rounds = 0
        while rounds == 0 or not all(one.done() for one in told):
            assert is_for(s.leaf("a.example.net"), "a.example.net")
            rounds += 1
            if rounds == 2:
                assert is_for(s.leaf("b.example.net"), "b.example.net")
    assert sum(one.result() for one in told) == FLOOD
    counted = s.counted()
    assert counted["refused"] + counted["busy"] == FLOOD + 500
    assert counted["ordered"] == s.orders() <= 2
    assert len((tmp_path / "asked").read_text().splitlines()) == counted["asked"] <= 7 * 4, "a minute's worth, or a few"
    assert sorted((s.directory / "state").iterdir()) == files
    with sqlite3.connect(s.directory / "state" / "certificates.db") as book:
        assert book.execute("SELECT count(*) FROM lineage").fetchone() == (counted["ordered"],)
    assert s.door.process.rss() - memory < GROWTH
    wait_until(lambda: s.door.process.open_files() <= descriptors + 2, "its connections to be closed")


def test_must_staple_is_asked_for(site):
    """Of pebble, which leaves it out."""
    s = site(must_staple=True).start()
    assert is_for(s.leaf("a.example.com"), "a.example.com") and LEFT_OUT in s.said()


def test_new_names_have_a_rate(site):
    s = site(names=["*.example.com"], orders_per_minute=2).start()
    got = [isinstance(s.leaf(f"n{i}.example.com"), x509.Certificate) for i in range(6)]
    assert got[:2] == [True, True] and sum(got) <= 3 and s.orders() <= 3


def test_after_a_restart_the_book_serves(site):
    s = site().start()
    serial = s.leaf("a.example.com").serial_number
    s.door.stop()
    s.pebble.stop()
    s.hook.good.clear()
    s.door.start()
    assert s.leaf("a.example.com").serial_number == serial
    assert s.hook.asked == ["a.example.com"]
    s.door.stop()
    s.door.start()  # now nobody has asked for it: only the book knows it
    told = json.loads(run(CARDEA, "cert", "ls", "--socket", s.door.socket, "--json").stdout)
    source, = told["sources"]
    assert told["certificates"] == [] and (source["from"], source["total"], source["good"], source["soonest_name"]) == (
        "on demand", 1, 1, "a.example.com")
    row, = json.loads(run(CARDEA, "cert", "ls", "--socket", s.door.socket, "--json", "*.example.com").stdout)["certificates"]
    assert row["names"] == ["a.example.com"] and row["from"] == "on demand" and row["next_try"] and row["served"]["issued"]
    assert row["served"]["issuer"].startswith("Pebble") and row["served"]["ca"] == s.pebble.url
    assert 'cardea_source_certificates{source="on demand",state="good"} 1' in str(s.door.get("/metrics"))


def test_a_renewal_asks_again(site):
    s = site(lifetime=40).start()
    first = s.leaf("a.example.com").serial_number
    wait_until(lambda: s.leaf("a.example.com").serial_number != first, s.said, 60, 0.2)
    assert s.hook.asked[:2] == ["a.example.com"] * 2
    s.hook.good.clear()
    wait_until(lambda: "it is not renewed" in s.said(), s.said, 60, 0.2)
    wait_until(lambda: s.leaf("a.example.com") in NO, s.said, 60, 0.5)


def test_a_backup_stands_by(site):
    """From another CA, with that one's root, and served when the operator says so."""
    s = site(backup="second")
    s.others["second"] = Pebble(s.directory, s.door.port, refuses=0, name="second").start()
    s.start()
    first = s.leaf("a.example.com")
    is_for(first, "a.example.com")
    wait_until(lambda: s.others["second"].log().count("Issued certificate") == 1, s.said, 30, 0.2)

    def swap():
        return run(CARDEA, "cert", "swap", "--socket", s.door.socket, "a.example.com").returncode == 0
    wait_until(swap, s.said, 20, 0.2)
    wait_until(lambda: s.leaf("a.example.com").issuer != first.issuer, s.said, 20, 0.2)
    assert s.orders() == 1


def test_a_customer_who_has_left_is_forgotten(site):
    s = site().start()
    assert is_for(s.leaf("a.example.com"), "a.example.com")
    s.hook.good.clear()

    def forget():
        return run(CARDEA, "cert", "forget", "--socket", s.door.socket, "A.example.com")
    assert forget().returncode == 0
    wait_until(lambda: s.leaf("a.example.com") in NO, s.said)
    with sqlite3.connect(s.directory / "state" / "certificates.db") as book:
        assert book.execute("SELECT count(*) FROM certificate").fetchone() == (0,)
    again = forget()
    assert again.returncode == 1 and b"no certificate on demand" in again.stderr
    assert s.counted()["ordered"] == 1


def test_what_is_forgotten_can_be_revoked(site):
    """By the account, or by the certificate's key where the CA does not believe that; what cannot be revoked stays."""
    s = site(names=["b.example.com", "c.example.com"]).start()

    def forget(name):
        done = run(CARDEA, "cert", "forget", "--socket", s.door.socket, "--revoke", "--json", name)
        return done.returncode, json.loads(done.stdout or "null"), done.stderr.decode()

    def revoked(leaf):
        return json.loads(s.pebble.get(f"cert-status-by-serial/{leaf.serial_number:x}"))["Status"] == "Revoked"
    by_account = s.leaf("b.example.com")
    assert forget("b.example.com") == (0, {"forgotten": 1, "revoked": 1}, "")
    assert revoked(by_account)
    by_key = s.leaf("c.example.com")
    with sqlite3.connect(s.directory / "state" / "certificates.db") as book:
        account = book.execute("SELECT account, account_key FROM ca").fetchone()
        book.execute("UPDATE ca SET account = '', account_key = NULL")
    s.door.stop()
    s.door.start()
    assert forget("c.example.com") == (0, {"forgotten": 1, "revoked": 1}, "") and account
    assert revoked(by_key)
    assert forget("c.example.com")[:2] == (1, {"forgotten": 0, "revoked": 0})
    s.leaf("b.example.com")
    s.pebble.stop()
    s.pebble.start()  # which has forgotten all of it
    status, told, said = forget("b.example.com")
    assert status == 1 and told is None and "b.example.com is not forgotten" in said
    assert isinstance(s.leaf("b.example.com"), x509.Certificate)


def test_a_reload_takes_it_away(site):
    s = site(names=["b.example.com"]).start()
    serial = s.leaf("a.example.com").serial_number
    s.door.configure(s.config([{"acme": {"names": ["b.example.com"], "ca": "pebble"}}]))
    s.door.reload()
    assert not isinstance(s.leaf("a.example.com"), x509.Certificate)
    wait_until(lambda: isinstance(s.leaf("b.example.com"), x509.Certificate), s.said, 30)
    s.door.configure(s.config())
    s.door.reload()
    assert s.leaf("a.example.com").serial_number == serial


def test_a_reload_and_the_end_while_a_client_waits(site):
    """A client waits for what the configuration before says; the door ends while it does."""
    s = site(ask_timeout="30s")
    s.hook.hangs.clear()
    s.start()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        cut = pool.submit(s.leaf, "a.example.com")
        wait_until(lambda: s.hook.asked, "the hook to be asked")
        s.on_demand["refused_for"] = "2m"
        s.door.configure(s.config())
        s.door.reload()
        s.door.stop()
        assert isinstance(cut.exception(), OSError)


def test_what_permits_nothing_is_refused(site):
    s = site()
    del s.on_demand["ask"]
    s.door.configure(s.config())
    with pytest.raises(AssertionError, match="nothing says which names are permitted"):
        s.door.start()
    s.door.process = None


def test_a_file_that_is_wrong_is_refused(site, tmp_path):
    file = tmp_path / "customers"
    file.write_text("a.example.com\n192.0.2.1\n")
    s = site(names_file=str(file))
    s.door.configure(s.config())
    with pytest.raises(AssertionError, match="customers:2: expected a DNS name"):
        s.door.start()
    s.door.process = None
