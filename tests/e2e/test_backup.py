# SPDX-License-Identifier: Apache-2.0
"""A second certificate, of another CA and with another key, stands by: it takes over when the first is revoked, and when
an operator says so. Two pebbles, each with a responder of ours."""
import base64
import json

import pytest

from pebble import Pebble
from peers import Server
from responder import Responder
from run import CARDEA, run, wait_until
from staples import status
from test_acme_client import Site

# Of external account binding, one for each CA.
SECRETS = [base64.urlsafe_b64encode(bytes([i]) * 32).decode().rstrip("=") for i in range(2)]


class TwoCas:
    def __init__(self, directory, backend, **config):
        self.site = Site(directory, backend, backup=True)
        self.responders = [Responder(), Responder()]
        self.cas = [Pebble(directory, self.site.door.port, name=f"ca{i}", ocsp=self.responders[i].url, eab={f"kid-{i}": SECRETS[i]})
                    for i in range(2)]
        for ca, responder in zip(self.cas, self.responders):
            ca.start()
            responder.issuer, responder.key = ca.issuer()
        self.site.pebble = self.cas[0]
        self.site.acme |= {"ca": ["ca0", "ca1"]}
        make = self.site.config
        config["acme_cas"] = [self.named(directory, i) for i in range(2)]
        self.site.config = lambda **acme: {**make(**acme), "limits": {"revocation_check": "1s"}, "workers": 2, **config,
                                           "admin": {"socket": str(self.site.door.socket)}}
        self.door = self.site.door

    def named(self, directory, i):
        """Each has a root and a binding of its own."""
        key = directory / f"eab{i}.key"
        key.touch(0o600)
        key.write_text(SECRETS[i])
        return {"name": f"ca{i}", "url": self.cas[i].url, "ca_file": self.cas[i].ca_file,
                "eab": {"kid": f"kid-{i}", "key_file": str(key)}}

    def start(self):
        self.site.start()
        self.site.obtained()
        wait_until(lambda: (self.told()["backup"] or {}).get("state") == "good", self.door.process.output, 60, 0.2)
        return self

    def stop(self):
        self.site.stop()
        self.cas[1].stop()
        for responder in self.responders:
            responder.stop()

    def told(self):
        return json.loads(run(CARDEA, "cert", "ls", "--json", "--socket", self.door.socket).stdout)["certificates"][0]

    def serves(self):
        """The index of the CA whose certificate is served."""
        issuer = self.site.leaf().issuer
        return [responder.issuer.subject for responder in self.responders].index(issuer)

    def swap(self, *what):
        return run(CARDEA, "cert", "swap", "--socket", self.door.socket, *what)


@pytest.fixture
def two(tmp_path):
    backend = Server(lambda sock: sock.recv(1))
    made = TwoCas(tmp_path, backend)
    yield made
    made.stop()
    backend.stop()


def test_the_backup_is_served_once_the_first_is_revoked(two):
    two.start()
    assert two.serves() == 0
    first, told = two.site.leaf(), two.told()
    assert told["served"]["ca"] == two.cas[0].url and told["backup"]["ca"] == two.cas[1].url
    wait_until(lambda: two.told()["served"]["staple"], two.door.process.output, 20, 0.2)
    two.responders[0].revoked.add(first.serial_number)
    wait_until(lambda: two.serves() == 1, two.door.process.output, 20, 0.1)
    assert two.told()["swapped"] == "revoked"
    assert two.site.leaf().public_key().public_numbers() != first.public_key().public_numbers()
    wait_until(lambda: status(two.door) == "good", two.door.process.output, 20, 0.2)
    # What was left is replaced, and stands by then.
    wait_until(lambda: two.told()["backup"]["state"] == "good", two.door.process.output, 60, 0.2)
    assert two.told()["backup"]["ca"] == two.cas[0].url
    assert "swapped: revoked" in run(CARDEA, "cert", "ls", "--socket", two.door.socket).stdout.decode()


def test_swapped_by_hand_on_every_worker(two):
    two.start()
    assert two.serves() == 0
    for what, then in ((["www.example.com"], 1), (["--all"], 0), (["--ca", two.cas[0].url], 1),
                       (["--ca", "ca1"], 0), (["--ca", "ca0"], 1)):
        done = two.swap(*what)
        assert done.returncode == 0, done.stderr
        assert b"1 swapped" in done.stdout
        wait_until(lambda: two.serves() == then, two.door.process.output, 10)
        assert all(two.serves() == then for _ in range(12))
    assert two.told()["swapped"] == "operator"
    two.door.stop()
    two.door.start()
    assert two.site.obtained() and two.serves() == 1


def test_what_cannot_be_swapped_is_said(two):
    two.start()
    for what, words in ((["other.example.com"], "obtains no certificate for 'other.example.com'; what it obtains: www.example.com\n"),
                        (["--ca", "https://ca.example.net/dir"], "no certificate is from a CA 'https://ca.example.net/dir'"),
                        (["--ca", "ca2"], f"its CAs: '{two.cas[0].url}', '{two.cas[1].url}'\n"),
                        ([], "swap which?"), (["--all", "www.example.com"], "swap which?")):
        done = two.swap(*what)
        assert done.returncode != 0 and words in done.stderr.decode()
    two.responders[1].answers = "revoked"
    wait_until(lambda: two.told()["backup"]["state"] == "revoked", two.door.process.output, 20, 0.1)
    done = two.swap("www.example.com")
    assert done.returncode == 1
    assert two.serves() == 0


def test_when_the_first_ca_refuses_the_next_is_asked_at_once(two):
    """And that is what the door says, with no time that has long passed."""
    (two.door.directory / "eab0.key").write_text(SECRETS[1])
    two.door.configure(two.site.config())
    two.door.start()
    two.site.obtained()
    assert two.serves() == 1
    told = [line for line in two.door.process.output().splitlines() if f"{two.cas[0].url}: " in line]
    assert "another CA is asked at once" in told[0] and "1970-" not in two.door.process.output(), told


def test_a_backup_needs_a_second_ca(two):
    two.site.acme["ca"] = "ca0"
    two.door.configure(two.site.config())
    with pytest.raises(AssertionError, match="is from another CA than the certificate that it stands by for"):
        two.door.start()
    two.door.process = None
