# SPDX-License-Identifier: Apache-2.0
"""HTTPS records that cannot be replaced: it is told, tried again, and no key goes that they may hold."""
import re
import socket
from datetime import datetime, timedelta, timezone

import ech
from published import config_of, configuration, named, names, told  # noqa: F401
from run import free_port, wait_until


def test_what_fails_is_tried_again(start_door, names, named, tmp_path, nginx):
    """A name server that refuses is quoted, by the door, by `ech ls` and by the metrics; the key is kept, for the record may have it.
    Once it is mended the record comes by itself."""
    dns = named.config()
    secret = named.directory / "secret"
    secret.write_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    door = start_door(configuration(names, tmp_path / "keys", nginx.to("h1"), dns))
    said = wait_until(lambda: "BADSIG" in door.process.output() and door.process.output(), "the server's no", 10)
    assert "1 of 1 records could not be replaced" in said and "shared.ech.test" in said
    done = door.cli("ech", "publish")
    assert done.returncode == 1 and b"BADSIG" in done.stdout, done
    assert b"a record may hold it" in door.cli("ech").stdout
    _, metrics = door.get("/metrics")
    assert re.search(r'^cardea_ech_records_total{what="failed"} [1-9]', metrics, re.M), metrics
    assert "cardea_ech_records_stale 1" in metrics
    assert named.https("shared.ech.test") == ""
    secret.write_text(named.secret)
    wait_until(lambda: named.https("shared.ech.test"), door.process.output, 20)
    wait_until(lambda: "all records have the key that is offered again" in door.process.output(), door.process.output, 5)
    wait_until(lambda: "cardea_ech_records_stale 0" in door.get("/metrics")[1], lambda: door.get("/metrics")[1], 5)
    assert named.secret not in door.process.output()


def test_a_key_stays_while_its_record_cannot_be_replaced(start_door, names, named, pki, tmp_path, nginx):
    """The name server is away for longer than `keep`: who has the key from the record is let in all the while. Once it is back the
    record gets the newest key, and the old one goes."""
    config = configuration(names, tmp_path / "keys", nginx.to("h1"), named.config(), ttl="1s")
    config["ech"]["keep"] = "2s"
    door = start_door(config)
    old = config_of(wait_until(lambda: named.https("shared.ech.test"), door.process.output, 10))
    held = next(row for row in told(door)["keys"] if row["offered"])
    named.stop()
    over = datetime.fromisoformat(held["until"]) + timedelta(seconds=4)
    wait_until(lambda: datetime.now(timezone.utc) > over, "the key to be old", 20, step=0.1)
    said = ech.client(door.port, "shared.ech.test", pki.ca.file, config=old)
    assert "ECH: success: 1" in said, said
    row = next(row for row in told(door)["keys"] if row["id"] == held["id"])
    assert not row["offered"] and row["records"] == 1 and row["opens_until"] is None
    wait_until(lambda: "DNS UPDATE at" in door.process.output(), door.process.output, 20)
    named.start()
    wait_until(lambda: named.https("shared.ech.test") and config_of(named.https("shared.ech.test")) != old, door.process.output, 30, step=0.2)
    wait_until(lambda: held["id"] not in [row["id"] for row in told(door)["keys"]], lambda: told(door), 10, step=0.2)


def test_a_name_server_that_is_silent(start_door, names, named, tmp_path, nginx):
    """It is asked for one record; that the others fail, too, is told without waiting for it each time."""
    named.stop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, socket.socket() as deaf:
        at = ("127.0.0.1", free_port())
        silent.bind(at)
        silent.setblocking(False)
        deaf.bind(at)
        dns = named.config(server=f"{at[0]}:{at[1]}")
        door = start_door(configuration(names, tmp_path / "keys", nginx.to("h1"), dns, names=["shared.ech.test", "other.ech.test"]))
        rows = wait_until(lambda: all(row["error"] for row in told(door)["names"]) and told(door)["names"], lambda: told(door), 30)
        assert all("DNS UPDATE at" in row["error"] for row in rows), rows
        assert "2 of 2 records could not be replaced" in door.process.output()
        asked = []
        while True:
            try:
                asked.append(silent.recv(4096))
            except BlockingIOError:
                break
        assert asked and not any(b"\x05other" in question for question in asked)
