# SPDX-License-Identifier: Apache-2.0
"""An id for a spare connection is good for a minute: later it is refused, and the door has asked for others by itself."""
import time

import tls
from agents import Stream

LIFE = 60


def speak(door, cert, **message):
    stream = Stream(tls.connect(door, "door.test", cert=cert, alpn=["cardea/1"]))
    stream.say(**message)
    return stream


def test_an_id_that_was_used_too_late(start_door, pki):
    door = start_door({
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "all", "who": {"any": True}, "targets": ["offer:*.apps.test"]}],
    })
    control = speak(door, pki.alice, offer="app.apps.test")
    assert control.message()["ok"]
    old, fresh = [], []
    while not old:
        old += control.message().get("spares", [])
    begun = time.monotonic()
    control.sock.settimeout(20)
    while not fresh:
        control.say()
        fresh += control.message().get("spares", [])
    assert LIFE - 1 < time.monotonic() - begun < LIFE + 20
    late = speak(door, pki.alice, spare=old[0])
    answer = late.message()
    assert (answer["ok"], answer["code"]) == (False, "denied")
    name = late.sock.getsockname()
    late.sock.close()
    assert "ids are for one connection, soon" in door.audited_of(name)["detail"]
    assert speak(door, pki.alice, spare=fresh[0]).message()["ok"]
