# SPDX-License-Identifier: Apache-2.0
"""Revocation that only a CRL tells of, and certificates of which clients are to demand a staple: the backup, pebble's with
a responder, takes over where the first is no good. What the first CA says lasts for seconds."""
import json

import pytest

from lax_ca import LaxCa
from pebble import Pebble
from peers import Server
from responder import Responder
from run import CARDEA, run, wait_until
from staples import curl, status
from test_acme_client import Site


class Lax:
    """A door with a certificate of a CA that asks for no proof, and a backup of pebble's."""

    def __init__(self, directory, pki, backend, *, must_staple):
        self.first, self.second = Responder(lifetime=8), Responder()
        words = {"ocsp": self.first.url} if must_staple else {"crl": self.first.crl_url}
        self.lax = LaxCa(pki.server("localhost"), must_staple=must_staple, **words)
        self.first.issuer, self.first.key = self.lax.issuer, self.lax.key
        self.site = Site(directory, backend, backup=True)
        self.door = self.site.door
        self.site.pebble = Pebble(directory, self.door.port, ocsp=self.second.url).start()
        self.second.issuer, self.second.key = self.site.pebble.issuer()
        cas = [{"name": "lax", "url": self.lax.url, "ca_file": pki.ca.file},
               {"name": "pebble", "url": self.site.pebble.url, "ca_file": self.site.pebble.ca_file}]
        self.site.acme |= {"ca": ["lax", "pebble"]}
        make = self.site.config
        self.site.config = lambda **acme: {**make(**acme), "limits": {"revocation_check": "1s"}, "acme_cas": cas,
                                           "admin": {"socket": str(self.door.socket)}}

    def start(self):
        self.site.start()
        self.site.obtained()
        wait_until(lambda: (self.told()["backup"] or {}).get("state") == "good", self.said, 60, 0.2)
        return self

    def stop(self):
        self.site.stop()
        for server in (self.lax, self.first, self.second):
            server.stop()

    def said(self):
        return self.door.process.output()

    def told(self):
        return json.loads(run(CARDEA, "cert", "ls", "--json", "--socket", self.door.socket).stdout)["certificates"][0]

    def serves_the_first(self):
        return self.site.leaf().issuer == self.lax.issuer.subject


@pytest.fixture
def lax(tmp_path, pki):
    made = []
    backend = Server(lambda sock: sock.recv(65536) and sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"))

    def make(**how):
        made.append(Lax(tmp_path, pki, backend, **how))
        return made[-1].start()
    yield make
    for one in made:
        one.stop()
    backend.stop()


def test_revoked_in_a_crl(lax):
    """Of a CA without a responder: its CRL is read again and again, nothing is stapled, and the backup takes over."""
    s = lax(must_staple=False)
    assert s.serves_the_first() and status(s.door) is None
    wait_until(lambda: s.first.count > 1, s.said, 20, 0.1)
    assert s.serves_the_first()
    s.first.revoked.add(s.site.leaf().serial_number)
    wait_until(lambda: not s.serves_the_first(), s.said, 20, 0.1)
    assert s.told()["swapped"] == "revoked" and f"is revoked, as {s.first.crl_url} says" in s.said()
    wait_until(lambda: status(s.door) == "good", s.said, 20, 0.2)


def test_no_staple_where_clients_demand_one(lax):
    """The responder is away until what it said is stale: the backup, which has a staple, is served meanwhile."""
    s = lax(must_staple=True)
    wait_until(lambda: s.serves_the_first() and status(s.door) == "good", s.said, 20, 0.2)
    first = s.site.leaf().serial_number
    s.first.answers = "none"
    wait_until(lambda: not s.serves_the_first(), s.said, 60, 0.2)
    wait_until(lambda: curl(s.door, s.site.pebble.root()) == 0, s.said, 20, 0.2)
    s.first.answers = "good"
    wait_until(lambda: s.serves_the_first() and status(s.door) == "good", s.said, 60, 0.2)
    assert s.site.leaf().serial_number == first and not s.told()["swapped"]
