# SPDX-License-Identifier: Apache-2.0
"""A newer certificate on a connection that stands (RFC 9261), by a client that computes authenticators itself: from the
secrets that the TLS library logs, by tests/unit/authenticator_reference.py. The door takes what is genuine, and nothing
that is another connection's, another person's or a replay; a connection that it did not take ends at its time."""
import base64
import time

import pytest
from authenticators import Client
from run import PACE, SLOW

LASTS = 8 * PACE


@pytest.fixture
def door(start_door, pki, echo):
    return start_door({
        "workers": 2, "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "limits": {"handshake_timeout": "2s"},
        "routes": [{"name": "door", "sni": "door.test", "tunnel": {}, "alpn": ["cardea/1"],
                    "clients": {"mode": "required", "trust": "staff", "expired": "close"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": [f"127.0.0.1:{echo.port}"]}]})


@pytest.fixture
def carol(pki):
    """Makes certificates that say the same of carol, and others."""
    def make(name="carol", lasts=3600, **more):
        ends = int(time.time() + lasts)
        made = pki.staff.client(name, **{"ou": ["ops"], **more}, end=lasts, label=f"{name}-{time.monotonic_ns()}")
        made.ends = ends
        return made
    return make


@pytest.fixture
def standing(door, carol, echo, tmp_path):
    """(the connection, its id, when its certificate runs out)"""
    cert = carol(lasts=LASTS)
    client = Client(door, cert, tmp_path)
    answer = client.ask(target=f"127.0.0.1:{echo.port}", renews=True)
    assert answer["ok"] and client.works()
    client.id, client.ends = answer["connection"], cert.ends
    return client


def renew(door, standing, cert, directory, *, make=None, name=None):
    """Ask on a new connection of `cert`; the door's verdict on what `make` (of the request) has made."""
    asker = Client(door, cert, directory)
    first = asker.ask(renew=name or standing.id)
    if not first["ok"]:
        return first
    asked = base64.b64decode(first["request"])
    made = make(asked, asker) if make else standing.authenticate(asked, cert)
    asker.say({"v": 1, "authenticator": len(made)}, made)
    return asker.hear()


def ends_in_time(door, standing):
    line = door.audited(action="tunnel", reason="expired", timeout=(LASTS + 10) * SLOW)
    assert line["identity"] == "carol" and time.time() >= standing.ends - 0.1


def test_a_newer_certificate_is_taken(door, standing, carol, tmp_path):
    """The connection goes on behind the end of its first certificate, to that of the second."""
    second = carol(lasts=2 * LASTS)
    verdict = renew(door, standing, second, tmp_path)
    assert verdict == {"v": 1, "ok": True, "expires": verdict["expires"]} and abs(verdict["expires"] - second.ends) <= 1
    while time.time() < standing.ends + 1.5:
        assert standing.works()
        time.sleep(0.2)
    line = door.audited(action="renewal")
    assert line["reason"] == "done" and line["target"] == f"renew:{standing.id}"
    door.audited(action="tunnel", reason="expired", timeout=(LASTS + 10) * SLOW)
    assert time.time() >= second.ends - 0.1


def test_an_id_is_told_to_who_asks(door, carol, echo, tmp_path):
    client = Client(door, carol(), tmp_path)
    assert client.ask(target=f"127.0.0.1:{echo.port}") == {"v": 1, "ok": True}


def test_what_is_no_proof_is_refused(door, standing, carol, pki, tmp_path):
    """One after the other, and none makes the connection last."""
    second = carol()
    taken = []

    def replayed(asked, _):
        if not taken:
            taken.append(standing.authenticate(asked, second))
        return taken[0]

    def flipped(asked, _):
        made = bytearray(standing.authenticate(asked, second))
        made[-1] ^= 1
        return bytes(made)
    rows = [
        ("not of this connection", second, lambda asked, asker: asker.authenticate(asked, second)),
        ("does not want to show", second, lambda asked, _: standing.authenticate(asked, second, empty=True)),
        ("not of this connection", second, flipped),
        ("stand behind", second, lambda asked, _: standing.authenticate(asked, second) + b"\0"),
        ("cut off", second, lambda asked, _: standing.authenticate(asked, second)[:-1]),
        ("does not say the same", carol(name="dave"), None),
        ("does not say the same", carol(ou=["ops", "admin"]), None),
        ("not in trust bundle", second, lambda asked, _: standing.authenticate(asked, pki.mallory)),
        ("has expired", second, lambda asked, _: standing.authenticate(asked, carol(lasts=-60))),
    ]
    for why, cert, make in rows:
        verdict = renew(door, standing, cert, tmp_path, make=make)
        assert verdict["ok"] is False and verdict["code"] == "denied" and why in verdict["text"], verdict
    for name in ("aaaaaaaaaaaab", standing.id[:-1] + ("a" if standing.id[-1] != "a" else "e")):
        assert "no such connection" in renew(door, standing, second, tmp_path, name=name)["text"]
    ends_in_time(door, standing)


def test_a_replay_is_refused(door, standing, carol, tmp_path):
    """What was good once answers no other request."""
    second, heard = carol(lasts=2 * LASTS), []

    def make(asked, _):
        heard.append(standing.authenticate(asked, second))
        return heard[0]
    assert renew(door, standing, second, tmp_path, make=make)["ok"]
    again = renew(door, standing, second, tmp_path, make=make)
    assert not again["ok"] and "answers another request" in again["text"]


def test_what_cannot_be_read(door, standing, carol, tmp_path):
    """Nor does silence keep anything."""
    second = carol()
    for message, after in (({"v": 1, "authenticator": 0}, b""), ({"v": 1, "authenticator": 1 << 20}, b""),
                           ({"v": 1, "authenticator": "x"}, b""), ({"v": 1}, b""), ({"v": 1, "authenticator": 2}, b"abc")):
        asker = Client(door, second, tmp_path)
        assert asker.ask(renew=standing.id)["ok"]
        asker.say(message, after)
        assert asker.hear()["code"] == "bad_hello"
    for bad in ("", "x", "aaaaaaaaaaaaa", 1):
        assert Client(door, second, tmp_path).ask(renew=bad)["code"] == "bad_hello"
    door.mark()
    asker = Client(door, second, tmp_path)
    assert asker.ask(renew=standing.id)["ok"]
    asker.sock.sendall(b"\0")
    assert door.audited(action="renewal")["reason"] == "handshake_timeout"


def test_a_reload_takes_the_route(door, standing, carol, pki, tmp_path, echo):
    """By the trust that is in force, not by that under which it began."""
    second = carol()
    door.reload({
        "workers": 2, "certificates": [pki.server("door.test").row()],
        "trust": [{"name": "staff", "ca": [pki.stranger.file]}],
        "routes": [{"name": "door", "sni": "door.test", "tunnel": {}, "alpn": ["cardea/1"],
                    "clients": {"mode": "required", "trust": "staff", "expired": "close"}}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": [f"127.0.0.1:{echo.port}"]}]})
    verdict = renew(door, standing, pki.mallory, tmp_path, make=lambda asked, _: standing.authenticate(asked, second))
    assert not verdict["ok"] and "not in trust bundle" in verdict["text"]
    ends_in_time(door, standing)


def test_a_reload_leads_elsewhere(door, standing, carol, pki, tmp_path, echo):
    """Renewing gives nothing that a new connection would not: that comes by another route, or by none."""
    second = carol()
    tunnel = {"tunnel": {}, "alpn": ["cardea/1"], "clients": {"mode": "required", "trust": "staff", "expired": "close"}}
    door.reload({
        "workers": 2, "certificates": [pki.server("door.test").row()], "trust": [pki.trust()],
        "routes": [{"name": "door", "sni": "inner.test", **tunnel}, {"name": "outer", "sni": "door.test", **tunnel}],
        "policy": [{"name": "ops", "who": {"group": "ops"}, "targets": [f"127.0.0.1:{echo.port}"]}]})
    verdict = renew(door, standing, second, tmp_path)
    assert not verdict["ok"] and "a new connection would come to route outer, not to door" in verdict["text"], verdict
    ends_in_time(door, standing)
