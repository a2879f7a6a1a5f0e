# SPDX-License-Identifier: Apache-2.0
"""OCSP responses are fetched ahead and shown to clients that ask; what proves nothing is never shown."""
import pytest

from door import Door
from pebble import Pebble
from pki import CA
from peers import Server
from responder import Responder
from run import wait_until
from staples import curl, status
from test_acme_client import Site

NAME = "www.example.com"
CURL_BAD_STATUS = 91


@pytest.fixture
def backend():
    server = Server(lambda sock: sock.recv(65536) and sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    yield server
    server.stop()


@pytest.fixture
def responder():
    made = Responder()
    yield made
    made.stop()


@pytest.fixture
def site(tmp_path, backend, responder):
    """A door with one certificate of pebble's, whose responder is ours."""
    s = Site(tmp_path, backend)
    s.pebble = Pebble(tmp_path, s.door.port, ocsp=responder.url)
    s.pebble.start()
    responder.issuer, responder.key = s.pebble.issuer()
    make = s.config
    s.config = lambda **acme: {**make(**acme), "limits": {"certificate_check": "1s"}}
    yield s
    s.stop()


def see(door, expected, timeout=20):
    wait_until(lambda: status(door) == expected, lambda: f"a staple that is {expected}:\n{door.process.output()}", timeout, 0.2)


def test_what_is_obtained_is_stapled(site):
    site.start()
    site.obtained()
    see(site.door, "good")
    assert status(site.door, tls="-tls1_2") == "good"
    assert curl(site.door, site.pebble.root()) == 0


@pytest.mark.parametrize("wrong, words", [
    ("forged", "not signed by the certificate's issuer"),
    ("other", "about another certificate"),
    ("old", "is stale"),
    ("future", "from the future"),
    ("unknown", "does not know the certificate"),
    ("later", "refuses to say"),
    ("garbage", "no OCSP response"),
    ("none", "status 500"),
])
def test_what_proves_nothing_is_said_once_and_never_shown(site, responder, wrong, words):
    responder.answers = wrong
    site.start()
    site.obtained()
    wait_until(lambda: responder.count > 2, site.door.process.output, 20)
    assert status(site.door) is None
    assert site.door.process.output().count(words) == 1
    responder.answers = "good"
    see(site.door, "good")


def test_without_the_responder_it_lasts_until_it_is_stale(site, responder):
    """Across a restart of the door, too."""
    responder.lifetime = 12
    site.start()
    site.obtained()
    see(site.door, "good")
    responder.stop()
    site.door.stop()
    site.door.start()
    assert status(site.door) == "good"
    see(site.door, None)
    responder.start()
    see(site.door, "good")


def test_a_revoked_one_is_served_without_a_staple_and_replaced(site, responder):
    site.start()
    first = site.obtained()
    see(site.door, "good")
    responder.revoked.add(first.serial_number)
    wait_until(lambda: site.leaf() and site.leaf().serial_number != first.serial_number, site.door.process.output, 30, 0.2)
    assert f"is revoked, as {responder.url} says" in site.door.process.output()
    see(site.door, "good")
