# SPDX-License-Identifier: Apache-2.0
"""The door obtains its certificates by itself, from pebble, which refuses nonces at random."""
import signal
import socket
import sqlite3
import ssl
import stat

import pytest
from cryptography import x509

import tls
from acme import DEVICE, Acme
from door import Door
from pebble import Named, Pebble
from peers import Server
from run import SLOW, free_port, wait_until

LEFT_OUT = "without the TLS feature status_request that was asked for (must_staple)"


def echo(sock):
    while data := sock.recv(65536):
        sock.sendall(data)


@pytest.fixture
def backend():
    server = Server(echo)
    yield server
    server.stop()


class Site:
    """A door that has only what it obtains, and its CA."""

    def __init__(self, directory, backend, *, pebble=None, routes=(), listeners=(), **acme):
        self.door = Door(directory, {}, listeners=listeners)
        self.pebble = pebble or Pebble(directory, self.door.port)
        self.backend = backend
        self.acme = {"names": ["www.example.com"], **acme}
        self.of_ca = {}
        self.routes = list(routes)

    def config(self, **acme):
        return {"state": "state", "certificates": [{"acme": {"ca": "pebble", **self.acme, **acme}}],
                "acme_cas": [{"name": "pebble", "url": self.pebble.url, "ca_file": self.pebble.ca_file, **self.of_ca}],
                "routes": [{"name": "web", "listeners": ["main"], "terminate": {"to": self.backend.to}}, *self.routes]}

    def start(self):
        if not self.pebble.processes:
            self.pebble.start()
        self.door.configure(self.config())
        self.door.start()
        return self

    def stop(self):
        self.door.stop()
        self.pebble.stop()

    def leaf(self, name="www.example.com", ca=None):
        """What clients of that name are shown, or None while that is nothing."""
        try:
            with tls.connect(self.door, name, ca=ca) as sock:
                return x509.load_der_x509_certificate(sock.getpeercert(True))
        except (ssl.SSLError, OSError):
            return None

    def obtained(self, name="www.example.com", timeout=30):
        return wait_until(lambda: self.leaf(name), lambda: f"a certificate for {name}:\n{self.door.process.output()}",
                          timeout, 0.1)


@pytest.fixture
def site(tmp_path, backend):
    sites = []

    def make(**acme):
        sites.append(Site(tmp_path, backend, **acme))
        return sites[-1]
    yield make
    for one in sites:
        one.stop()


def names_of(leaf):
    san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(san.get_values_for_type(x509.DNSName)) | {str(ip) for ip in san.get_values_for_type(x509.IPAddress)}


def is_must_staple(leaf):
    return any(e.oid == x509.TLSFeature.oid and x509.TLSFeatureType.status_request in e.value for e in leaf.extensions)


def test_a_certificate_is_obtained_and_served(site):
    """By tls-alpn-01, on the door's one port; a client that believes the CA is content; the key is nobody's else."""
    s = site(names=["www.example.com", "example.com"]).start()
    leaf = s.obtained()
    assert names_of(leaf) == {"www.example.com", "example.com"}
    with tls.connect(s.door, "example.com", ca=s.pebble.root()) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
    assert s.leaf("other.example.com") is None
    state = s.door.directory / "state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in state.iterdir())
    assert "obtained from" in s.door.process.output()


def test_a_ca_that_leaves_must_staple_out_is_told_of(site):
    """As pebble does; what it gave is served. Another door does not: test_one_door_obtains_from_another."""
    s = site(must_staple=True).start()
    assert not is_must_staple(s.obtained()) and LEFT_OUT in s.door.process.output()


def test_it_survives_a_restart(site):
    s = site().start()
    serial = s.obtained().serial_number
    s.door.stop()
    s.pebble.stop()
    s.door.start()  # without a CA to ask
    assert s.obtained().serial_number == serial


def test_a_reload_changes_what_is_wanted(site):
    """What was obtained stays, also while something else is being obtained; names that are no longer wanted go."""
    s = site().start()
    serial = s.obtained().serial_number
    s.door.reload()
    assert s.leaf().serial_number == serial
    both = s.config()
    both["certificates"].append({"acme": {**both["certificates"][0]["acme"], "names": ["b.example.com"]}})
    s.door.reload(both)
    s.door.reload()  # in the middle of it
    s.obtained("b.example.com")
    assert s.leaf().serial_number == serial
    s.door.reload(s.config(names=["b.example.com"]))
    assert s.leaf() is None and s.leaf("b.example.com")


def test_http_01_where_a_route_serves_challenges(tmp_path, backend):
    port = free_port()
    s = Site(tmp_path, backend, challenges="http-01", listeners=[{"name": "web", "address": f"127.0.0.1:{port}", "speaks": "plain"}],
             routes=[{"name": "plain", "listeners": ["web"], "serve": ["challenges"]}])
    s.pebble = Pebble(tmp_path, free_port(), port)
    try:
        s.start()
        assert names_of(s.obtained()) == {"www.example.com"}
    finally:
        s.stop()


def test_dns_01_by_a_hook_proves_a_wildcard(site):
    """The hook hears what RFC 8555 says, in a clean environment, and is called again to clean up."""
    s = site(names=["example.com", "*.example.com"], challenges="dns-01")
    s.pebble.start()
    hook = s.door.directory / "hook"
    log = s.door.directory / "hook.log"
    hook.write_text(f"""#!/bin/sh
env | grep -v -e ^PATH= -e ^PWD= -e ^_= -e ^SHLVL= >>{log}
shift 110
echo "$@" >>{log}
case $1 in present) what=set-txt;; *) what=clear-txt;; esac
exec curl -fsS -d '{{"host":"'$2'.","value":"'$3'"}}' http://127.0.0.1:{s.pebble.dns_management}/$what
""")
    hook.chmod(0o755)
    s.acme["dns"] = {"hook": f"{hook}{' word' * 110}"}
    s.start()
    assert names_of(s.obtained("a.example.com")) == {"example.com", "*.example.com"}
    assert s.leaf("b.example.com") and s.leaf("example.com") and s.leaf("a.b.example.com") is None
    calls = [line.split() for line in log.read_text().splitlines()]
    assert sorted(call[:2] for call in calls) == sorted([[verb, "_acme-challenge.example.com"]
                                                         for verb in ("present", "present", "cleanup", "cleanup")])
    assert {call[2] for call in calls if call[0] == "present"} == {call[2] for call in calls if call[0] == "cleanup"}


def test_a_hook_that_fails_is_told_of(site):
    s = site(names=["*.example.com"], challenges="dns-01")
    s.pebble.start()
    hook = s.door.directory / "hook"
    hook.write_text("#!/bin/sh\necho 'no such zone' >&1\nexit 3\n")
    hook.chmod(0o755)
    s.acme["dns"] = {"hook": str(hook)}
    s.start()
    wait_until(lambda: "exited with status 3: no such zone" in s.door.process.output(), s.door.process.output, 20)
    hook.write_text("#!/bin/sh\nexec sleep 600\n")
    s.acme["dns"]["hook_timeout"] = "1s"
    (s.door.directory / "state" / "certificates.db").unlink()
    s.door.stop()
    s.door.configure(s.config())
    s.door.start()
    wait_until(lambda: "did not end within 1 s" in s.door.process.output(), s.door.process.output, 20)


@pytest.fixture
def named(tmp_path):
    server = Named(tmp_path, "example.com").start()
    yield server
    server.stop()


def test_dns_01_by_dns_update(tmp_path, backend, named):
    """RFC 2136 with TSIG, BIND being the judge; nothing is left in the zone."""
    s = Site(tmp_path, backend, names=["example.com", "*.example.com", "a.b.example.com"], challenges="dns-01", dns=named.config())
    s.pebble = Pebble(tmp_path, s.door.port, dns=named.port)
    try:
        s.start()
        assert names_of(s.obtained("www.example.com")) == {"example.com", "*.example.com", "a.b.example.com"}
        log = named.process.output()
        assert log.count("adding an RR") == log.count("deleting an RR") == 3, log
    finally:
        s.stop()


def test_dns_update_goes_over_tcp_where_datagrams_are_lost(tmp_path, backend, named):
    def pass_on(sock):
        with socket.create_connection(("127.0.0.1", named.port)) as up:
            up.sendall(sock.recv(65536))
            sock.sendall(up.recv(65536))
    relay = Server(pass_on)
    s = Site(tmp_path, backend, names=["*.example.com"], challenges="dns-01", dns=named.config(server=relay.to))
    s.pebble = Pebble(tmp_path, s.door.port, dns=named.port)
    try:
        s.start()
        s.obtained()
        assert relay.count == 2
    finally:
        s.stop()
        relay.stop()


@pytest.mark.parametrize("wrong, words", [
    ({"secret": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "BADSIG"),
    ({"key": "nobody.example.com"}, "BADKEY"),
    ({"key": "other.example.com"}, "REFUSED"),
    ({"zone": "example.org"}, "NOTAUTH"),
])
def test_a_name_server_that_refuses_is_quoted(tmp_path, backend, named, wrong, words):
    dns = named.config(**{key: value for key, value in wrong.items() if key != "secret"})
    if "secret" in wrong:
        (named.directory / "secret").write_text(wrong["secret"])
    s = Site(tmp_path, backend, names=["*.example.com"], challenges="dns-01", dns=dns)
    s.pebble = Pebble(tmp_path, s.door.port, dns=named.port)
    try:
        s.start()
        wait_until(lambda: words in s.door.process.output(), s.door.process.output, 20)
        assert named.secret not in s.door.process.output()
    finally:
        s.stop()


def test_external_account_binding(tmp_path, backend):
    secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    s = Site(tmp_path, backend)
    s.pebble = Pebble(tmp_path, s.door.port, eab={"kid-1": secret})
    key = tmp_path / "eab.key"
    key.write_text(secret + "\n")
    try:
        key.chmod(0o644)
        s.of_ca["eab"] = {"kid": "kid-1", "key_file": str(key)}
        s.start()
        wait_until(lambda: "others can read it" in s.door.process.output(), s.door.process.output)
        s.door.stop()
        assert secret not in s.door.log
        key.chmod(0o600)
        (tmp_path / "state" / "certificates.db").unlink()
        s.start()
        s.obtained()
    finally:
        s.stop()


def test_the_next_ca_delivers_where_the_first_does_not(site):
    s = site()
    s.pebble.start()
    s.acme["ca"] = [f"https://127.0.0.1:{free_port()}/dir", "pebble"]
    s.start()
    s.obtained(timeout=200)


@pytest.mark.parametrize("reuses", [0, 100])
def test_it_is_renewed(tmp_path, backend, reuses):
    """Before its end, with a new key, while clients come and go; by a CA that refuses every other nonce and takes its time, and
    that has all names proven anew or none."""
    s = Site(tmp_path, backend)
    s.pebble = Pebble(tmp_path, s.door.port, lifetime=30, refuses=50, sleeps=2, reuses=reuses)
    try:
        s.start()
        first = s.obtained()

        def renewed():
            leaf = s.leaf()
            assert leaf is not None
            return leaf if leaf.serial_number != first.serial_number else None
        second = wait_until(renewed, s.door.process.output, 60, 0.2)
        assert second.public_key().public_numbers() != first.public_key().public_numbers()
    finally:
        s.stop()


def test_killed_at_any_moment_it_goes_on(tmp_path, backend):
    """kill -9, sooner and later, and start again: in the end there is a certificate, and one account in the book."""
    s = Site(tmp_path, backend)
    s.pebble = Pebble(tmp_path, s.door.port, refuses=10)
    try:
        s.start()
        for step in range(12):
            end = 0.05 * step * SLOW
            try:
                wait_until(lambda: False, "nothing", end / SLOW, 0.01)
            except AssertionError:
                pass
            s.door.process.child.send_signal(signal.SIGKILL)
            s.door.process.child.wait()
            s.door.process = None
            s.door.start()
        leaf = s.obtained()
        s.door.stop()
        with sqlite3.connect(tmp_path / "state" / "certificates.db") as book:
            assert book.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        s.door.start()
        assert s.obtained().serial_number == leaf.serial_number
    finally:
        s.stop()


def test_killed_between_order_and_end_it_goes_on_with_the_order(tmp_path, backend):
    """kill -9 while the proof is put up: the same order is finalized by the next door. Where the CA has forgotten the order
    (pebble keeps nothing), a new one is made."""
    s = Site(tmp_path, backend, names=["a.example.com"], challenges="dns-01")
    s.pebble = Pebble(tmp_path, s.door.port, refuses=0)
    go, waits, hook = tmp_path / "go", tmp_path / "waits", tmp_path / "hook"
    s.pebble.start()
    hook.write_text(f"""#!/bin/sh
[ $1 = present ] || exit 0
echo x >>{waits}
while [ ! -e {go} ]; do sleep 0.05; done
exec curl -fsS -d '{{"host":"'$2'.","value":"'$3'"}}' http://127.0.0.1:{s.pebble.dns_management}/set-txt
""")
    hook.chmod(0o755)
    s.acme["dns"] = {"hook": str(hook)}

    def presented(times):
        wait_until(lambda: waits.exists() and waits.read_text().count("x") == times, s.door.process.output, 20)

    def kill():
        s.door.process.child.send_signal(signal.SIGKILL)
        s.door.process.child.wait()
        s.door.process = None

    def orders():
        return s.pebble.log().count("/order-plz -> calling")
    try:
        s.start()
        presented(1)
        kill()
        s.door.start()
        presented(2)
        assert orders() == 1
        go.touch()
        assert names_of(s.obtained("a.example.com")) == {"a.example.com"}
        assert orders() == 1
        s.door.stop()
        with sqlite3.connect(tmp_path / "state" / "certificates.db") as book:
            assert book.execute("SELECT count(*) FROM under_way").fetchone() == (0,)
        go.unlink()
        s.door.configure(s.config(names=["b.example.com"]))
        s.door.start()
        presented(3)
        kill()
        s.pebble.stop()
        s.pebble.start()
        s.door.start()
        presented(4)
        go.touch()
        assert names_of(s.obtained("b.example.com")) == {"b.example.com"}
        assert orders() == 3  # the first one, the one that was forgotten, and that in its place
    finally:
        go.touch()
        s.stop()


def test_what_cannot_work_is_said_at_once(site):
    s = site(names=["*.example.com"])
    s.door.configure({"state": "state", "certificates": [{"acme": {"names": ["*.example.com"], "ca": "https://ca.example.com/dir"}}],
                      "routes": [{"name": "web", "terminate": {"to": s.backend.to}}]})
    with pytest.raises(AssertionError, match="a wildcard is proven by dns-01 alone"):
        s.door.start()
    s.door.process = None


def test_one_door_obtains_from_another(tmp_path, start_door, pki, backend):
    """A door that is a CA: bound by EAB, with a profile, proven on the other's port; and it says when to renew (ARI)."""
    ca = Acme(start_door, pki, tmp_path, rules=[{"names": ["*.example.com"], "profiles": ["server"]}])
    folder = tmp_path / "site"
    folder.mkdir()
    s = Site(folder, backend)
    s.door.port = ca.tls_port
    key = folder / "eab.key"
    key.touch(0o600)
    key.write_text(DEVICE["key"])
    s.door.configure({"state": "state", "routes": [{"name": "web", "terminate": {"to": backend.to}}],
                      "certificates": [{"acme": {"names": ["www.example.com"], "ca": "inside", "must_staple": True}}],
                      "acme_cas": [{"name": "inside", "url": ca.directory_url, "ca_file": pki.ca.file, "profile": "server",
                                    "eab": {"kid": DEVICE["id"], "key_file": str(key)}}]})
    s.door.start()
    try:
        leaf = s.obtained()
        assert names_of(leaf) == {"www.example.com"}
        assert is_must_staple(leaf) and LEFT_OUT not in s.door.process.output()
        with tls.connect(s.door, "www.example.com", ca=ca.root):
            pass

        def suggested():
            with sqlite3.connect(f"file:{folder}/state/certificates.db?mode=ro", uri=True) as book:
                return book.execute("SELECT ari_start, ari_end FROM slot WHERE ari_start > 0").fetchall()
        (start, end), = wait_until(suggested, "the book to know when to renew")
        assert start < end
    finally:
        s.door.stop()
        ca.stop()
