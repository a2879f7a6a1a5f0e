# SPDX-License-Identifier: Apache-2.0
"""`cardea cert stage`, `test`, `promote`, `rollback`, `disable`: a candidate is seen by some clients first, and nothing
restarts."""
import gzip
import json
import os
import re
import shutil
import subprocess
import time

import pytest

import ech
import tls
from door import Door
from fixtures import clean_env
from run import CARDEA, SLOW, free_port, run, wait_until


class Stage:
    """A door with an address for production and one for staging, whose name stage.test has an RSA certificate."""

    def __init__(self, directory, pki, banner, **more):
        self.staging_port = free_port()
        self.production = pki.ca.issue("stage.test", dns=["stage.test", "old.stage.test"], key="rsa", label=f"prod-{directory.name}")
        self.candidate = pki.ca.issue("stage.test", dns=["stage.test", "old.stage.test"], label=f"cand-{directory.name}")
        self.ca = pki.ca.file
        self.state = directory / "state"
        self.door = Door(directory, {
            "state": str(self.state),
            "staging": {"listeners": ["staging"]},
            "certificates": [self.production.row()],
            "routes": [{"name": "www", "terminate": {"to": banner.to}}],
            **more,
        }, listeners=[{"name": "staging", "address": f"127.0.0.1:{self.staging_port}"}])

    def cert(self, verb, *words):
        done = run(CARDEA, "cert", verb, "--socket", self.door.socket, *words)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def ok(self, verb, *words):
        code, out, err = self.cert(verb, *words)
        assert code == 0, err
        return out

    def key(self, *flags, staging=False, name="stage.test"):
        """The kind of key of the certificate that a client of either address gets; None: none."""
        said = tls.s_client(self.door, name, *flags, port=self.staging_port if staging else self.door.port)
        if not said.done:
            return None
        return "rsa" if re.search(r"a:PKEY: rsaEncryption|Peer signature type: RSA", said.text) else "ec"

    def shown(self):
        return self.key(), self.key(staging=True)

    def listed(self, state):
        return [e["label"] for e in self.door.get_json("/staging")["entries"] if e["state"] == state]


@pytest.fixture
def stage(tmp_path, pki, banner):
    s = Stage(tmp_path, pki, banner)
    s.door.start()
    yield s
    s.door.stop()


def test_stage_promote_rollback_disable(stage):
    assert stage.shown() == ("rsa", "rsa")
    out = stage.ok("stage", stage.candidate.certificate, "--key", stage.candidate.key, "--name", "ecdsa")
    assert "ecdsa is staged" in out
    assert stage.shown() == ("rsa", "ec"), "the staging address alone"
    stays = tls.connect(stage.door, "stage.test", ca=stage.ca)
    assert "in production" in stage.ok("promote")
    assert stage.shown() == ("ec", "ec") and stage.listed("promoted") == ["ecdsa"]
    stays.settimeout(0.2)
    with pytest.raises(TimeoutError):
        tls.read_exactly(stays, 1 << 20)  # it is open still
    stays.close()
    stage.ok("rollback")
    assert stage.shown() == ("rsa", "ec") and stage.listed("candidate") == ["ecdsa"]
    stage.ok("disable", "ecdsa")
    assert stage.shown() == ("rsa", "rsa")
    assert not [f for f in os.listdir(stage.state / "candidates") if f.endswith((".pem", ".key"))], "no key is left behind"


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_routes_are_those_of_production(stage):
    stage.ok("stage", stage.candidate.certificate)
    for port in (stage.door.port, stage.staging_port):
        done = subprocess.run(["curl", "-sv", "--http0.9", "--max-time", "5", "--cacert", stage.ca, "--resolve", f"stage.test:{port}:127.0.0.1",
                               f"https://stage.test:{port}/"], capture_output=True, check=False)
        assert b"SSL certificate verify ok" in done.stderr, done.stderr.decode()


def test_networks_see_candidates(tmp_path, pki, banner):
    stage = Stage(tmp_path, pki, banner, staging={"networks": ["127.0.0.7/32"]})
    stage.door.start()
    stage.ok("stage", stage.candidate.certificate)
    assert stage.shown() == ("rsa", "rsa")
    assert stage.key("-bind", "127.0.0.7:0") == "ec"
    stage.door.stop()


def test_state_survives_restarts(stage):
    stage.ok("stage", stage.candidate.certificate, "--name", "ecdsa")
    for path in (stage.candidate.certificate, stage.candidate.key):
        os.rename(path, path + ".gone")  # what is kept is a copy
    stage.door.stop()
    stage.door.start()
    assert stage.shown() == ("rsa", "ec")
    stage.ok("promote")
    stage.door.stop()
    stage.door.start()
    assert stage.shown() == ("ec", "ec")
    stage.door.reload()
    assert stage.shown() == ("ec", "ec")
    stage.ok("rollback", "ecdsa")
    assert stage.shown() == ("rsa", "ec")
    keys = [f for f in (stage.state / "candidates").iterdir() if f.suffix == ".key"]
    assert [f.stat().st_mode & 0o777 for f in keys] == [0o600]


def test_a_damaged_list_is_left_alone(stage):
    stage.ok("stage", stage.candidate.certificate)
    stage.door.stop()
    (stage.state / "candidates" / "list.json").write_text("{\"version\":1")
    stage.door.start()
    assert stage.shown() == ("rsa", "rsa")
    code, _, err = stage.cert("promote")
    assert code == 1 and "cannot be used" in err
    assert "list.json: line 1" in stage.door.process.output()


def test_what_is_hidden_is_told(stage, pki):
    """A file that was renewed under a certificate that was promoted; and one that has become the same."""
    stage.ok("stage", stage.candidate.certificate, "--name", "ecdsa")
    stage.ok("promote")
    out = stage.ok("ls")
    assert re.search(r"promoted: ecdsa$", out, re.MULTILINE) and len(out.strip().splitlines()) == 2
    newer = pki.ca.issue("stage.test", dns=["stage.test", "old.stage.test"], key="rsa", start=-60, label=f"newer-{stage.state.parent.name}")
    for path, new in ((stage.production.certificate, newer.certificate), (stage.production.key, newer.key)):
        shutil.copy(new, path)
    err = stage.door.cli("reload").stderr.decode()
    assert "is newer than 'ecdsa', which was promoted and is served instead" in err
    assert stage.shown() == ("ec", "ec")
    done = run(CARDEA, "serve", "--check", "-c", stage.door.config_file)
    assert done.returncode == 0 and "is newer than 'ecdsa'" in done.stderr.decode()
    for path, new in ((stage.production.certificate, stage.candidate.certificate), (stage.production.key, stage.candidate.key)):
        shutil.copy(new, path)
    assert "is what was promoted as 'ecdsa', which is needed no more" in stage.door.cli("reload").stderr.decode()


def test_what_has_expired_hides_nothing(stage, pki):
    short = pki.ca.issue("stage.test", dns=["stage.test", "old.stage.test"], end=int(4 * SLOW), label=f"short-{stage.state.parent.name}")
    stage.ok("stage", short.certificate, "--name", "short")
    stage.ok("promote")
    assert stage.listed("promoted") == ["short"]
    wait_until(lambda: stage.key() == "rsa", "the configuration's certificate again", 15 * SLOW, step=0.2)
    assert "has expired: what it stood in for is served again" in stage.door.process.output()


# cert test -----------------------------------------------------------------------------------------------------------


def test_names_that_are_lost(stage, pki):
    fewer = pki.ca.issue("stage.test", dns=["stage.test", "new.stage.test"], key="rsa", label=f"fewer-{stage.state.parent.name}")
    stage.ok("stage", fewer.certificate, "--name", "fewer")
    code, out, _ = stage.cert("test", "--trust", stage.ca)
    assert code == 1
    assert "lost     old.stage.test: no certificate would have this name" in out
    assert "the chain is good by" in out and "key:" not in out, "the same kind of key"
    code, _, err = stage.cert("promote")
    assert code == 1 and "old.stage.test" in err and "--force" in err
    assert stage.listed("candidate") == ["fewer"], "nothing has changed"
    _, _, err = stage.cert("promote", "--force")
    assert "served no more: old.stage.test" in err


def test_nothing_is_lost(stage, pki):
    same = pki.ca.issue("stage.test", dns=["stage.test", "old.stage.test"], key="rsa", end=9 * 86400, label=f"same-{stage.state.parent.name}")
    stage.ok("stage", same.certificate, "--name", "same")
    tls.s_client(stage.door, "stage.test")
    stage.door.audited(sni="stage.test")
    code, out, err = stage.cert("test", "--trust", stage.ca)
    assert code == 0, out + err
    assert "nothing that is known would be lost" in out and "1 handshakes in the log: 0 would fail" in out


def test_clients_that_cannot_verify(stage, tmp_path):
    """A client of the log that knows RSA alone, against a candidate with ECDSA."""
    old = ("-sigalgs", "RSA-PSS+SHA256:RSA+SHA256")
    assert stage.key(*old) == "rsa" and stage.key() == "rsa"
    stage.door.audited(2, sni="stage.test")
    assert {line["verifies"] == "RSA" for line in stage.door.audit()} == {True, False}
    stage.ok("stage", stage.candidate.certificate, "--name", "ecdsa")
    code, out, _ = stage.cert("test", "--trust", stage.ca, "--json")
    one = json.loads(out)["candidates"][0]
    assert code == 1 and one["clients"]["seen"] == 2 and one["clients"]["refused"] == 1
    assert one["clients"]["rows"] == [{"route": "www", "identity": "", "why": "cannot verify this kind of key", "surely": True, "connections": 1}]
    assert stage.key(*old, staging=True) is None, "and so it is on the staging address"
    lines = tmp_path / "old.jsonl"
    lines.write_text('{"time":"2001-01-01T00:00:00.000Z","sni":"stage.test","version":"1.3","verifies":"RSA"}\nnoise\n{"ti')
    code, out, _ = stage.cert("test", "--trust", stage.ca, "--log", lines)
    assert code == 0 and "0 handshakes in the log" in out, "what is older than a week does not count"


def test_lines_that_do_not_count(stage, tmp_path):
    """Of CAs that came for a challenge, and of those whom --except names."""
    stage.ok("stage", stage.candidate.certificate, "--name", "ecdsa")
    row = {"time": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()), "sni": "stage.test", "version": "1.3", "verifies": "RSA"}
    ca = {**row, "peer": "203.0.113.9:1", "reason": "challenge"}
    probe = {**row, "peer": "192.0.2.7:1", "route": "www", "identity": "monitor", "ja4": "t13d", "reason": "done"}
    log = tmp_path / "log"
    log.write_text("".join(json.dumps(line) + "\n" for line in (ca, probe)))
    flags = ("test", "--trust", stage.ca, "--log", log)
    code, out, _ = stage.cert(*flags)
    assert code == 1 and "1 handshakes in the log: 1 would fail" in out and "route www, monitor" in out
    for who in ("identity=monitor", "network=192.0.2.0/24", "ja4=t13d"):
        code, out, _ = stage.cert(*flags, "--except", who)
        assert code == 0 and "0 handshakes in the log" in out
    code, _, err = stage.cert(*flags, "--except", "monitor")
    assert code == 2 and "--except: found 'monitor'" in err


def test_rotated_and_compressed_logs(stage, tmp_path):
    """The door's own log with what it was rotated to, and any as gzip has made it."""
    tls.s_client(stage.door, "stage.test")
    stage.door.audited(sni="stage.test")
    own = stage.door.audit_file
    log = own.read_bytes()
    own.with_name(own.name + ".1").write_bytes(log)
    packed = own.with_name(own.name + ".2.gz")
    packed.write_bytes(gzip.compress(log))
    stage.ok("stage", stage.candidate.certificate, "--name", "ecdsa")
    assert "3 handshakes in the log" in stage.cert("test", "--trust", stage.ca)[1]
    assert "1 handshakes in the log" in stage.cert("test", "--trust", stage.ca, "--log", packed)[1]
    packed.write_bytes(packed.read_bytes()[:40])
    code, _, err = stage.cert("test", "--trust", stage.ca, "--log", packed)
    assert code == 1 and "gzip does not get through it" in err
    for noise, status in ((b"noise\n" + log, 0), (b"noise\n", 1)):
        own.write_bytes(noise)
        code, _, err = stage.cert("test", "--trust", stage.ca, "--log", own)
        assert code == status and f"{own}:1: no JSON object" in err


def test_handshakes_tell_what_changes(stage):
    """Of clients of several kinds, with both addresses."""
    stage.ok("stage", stage.candidate.certificate, "--name", "ecdsa")
    code, out, err = stage.cert("test", "--trust", stage.ca, "--live", "--json")
    assert out, err
    tried = {f["text"].split(": ")[0]: f for f in json.loads(out)["candidates"][0]["findings"] if f["what"] == "handshake"}
    assert code == 1 and {key: f["level"] for key, f in tried.items()} == {
        "TLS 1.2, ECDSA alone, stage.test": "note", "TLS 1.2, ECDSA alone, old.stage.test": "note",
        "TLS 1.2, RSA alone, stage.test": "lost", "TLS 1.2, RSA alone, old.stage.test": "lost",
        "TLS 1.3, stage.test": "changed", "TLS 1.3, old.stage.test": "changed",
        "TLS 1.3, X25519MLKEM768 alone, stage.test": "changed", "TLS 1.3, X25519MLKEM768 alone, old.stage.test": "changed",
        "no SNI": "changed"}, out
    assert re.search(r"TLS 1.3, X25519, TLS_\w+, P-256 by Door CA; in production TLS 1.3, X25519, TLS_\w+, RSA-2048 by Door CA",
                     tried["TLS 1.3, stage.test"]["text"])
    stage.ok("disable", "ecdsa")
    stage.ok("stage", "--tls", "min_version=1.3")
    _, out, _ = stage.cert("test", "--trust", stage.ca, "--live")
    assert re.search(r"lost +TLS 1.2, RSA alone, stage.test: .*; in production TLS 1.2", out)
    assert re.search(r"good +TLS 1.3, stage.test: TLS 1.3, .*, as in production", out)
    code, _, err = stage.cert("test", "--production", "nowhere", "--live")
    assert code == 1 and "'nowhere'" in err


def test_pins_that_break(stage, tmp_path):
    def pin(cert):
        der = tls.subprocess.run(f"openssl x509 -in {cert} -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | base64",
                                 shell=True, capture_output=True, check=True)
        return der.stdout.decode().strip()
    stage.ok("stage", stage.candidate.certificate, "--name", "ecdsa")
    pins = tmp_path / "pins"
    pins.write_text(f"# of the app\n{pin(stage.production.certificate)}   # since 2025\n{pin(stage.candidate.certificate)}\n\n")
    code, out, _ = stage.cert("test", "--trust", stage.ca, "--pins", pins)
    assert code == 1 and f"pin {pin(stage.production.certificate)}: no certificate" in out
    assert pin(stage.candidate.certificate) not in out
    pins.write_text("short\n")
    code, _, err = stage.cert("test", "--pins", pins)
    assert code == 1 and "pins:1: found 'short', expected the SHA-256" in err


def test_chain_that_nobody_trusts(stage, pki):
    strange = pki.stranger.issue("stage.test", dns=["stage.test", "old.stage.test"], key="rsa", label=f"str-{stage.state.parent.name}")
    stage.ok("stage", strange.certificate, "--name", "strange")
    code, out, _ = stage.cert("test", "--trust", stage.ca)
    assert code == 1 and re.search(r"lost +the chain is not good by", out) and re.search(r"changed +issued by: Stranger CA, in production Door CA", out)


# TLS settings --------------------------------------------------------------------------------------------------------


def test_tls_settings(stage):
    assert stage.key("-tls1_2") == "rsa"
    stage.door.audited(1, sni="stage.test")
    assert "tls is staged" in stage.ok("stage", "--tls", "min_version=1.3,groups=P-256:X25519,ciphers=TLS_AES_256_GCM_SHA384")
    assert stage.key("-tls1_2", staging=True) is None and stage.key("-tls1_2") == "rsa"
    assert "candidate: tls: min_version=1.3,groups=P-256" in stage.ok("ls")
    said = tls.s_client(stage.door, "stage.test", port=stage.staging_port)
    assert said.cipher == "TLS_AES_256_GCM_SHA384"
    code, out, _ = stage.cert("test")
    assert code == 1 and "speaks TLS 1.2, no more" in out and "route www: TLS 1.3 at least, in production 1.2" in out
    stage.ok("promote", "tls")
    assert stage.key("-tls1_2") is None
    assert "TLS settings that were promoted are in force instead: min_version=1.3" in stage.door.cli("reload").stderr.decode()
    stage.door.stop()
    stage.door.start()
    assert stage.key("-tls1_2") is None and stage.key("-tls1_3") == "rsa"
    stage.ok("rollback")
    assert stage.key("-tls1_2") == "rsa" and stage.key("-tls1_2", staging=True) is None
    stage.ok("disable")
    assert stage.key("-tls1_2", staging=True) == "rsa"


def test_post_quantum_alone(stage):
    """Who offers no hybrid is known from the log before anybody is turned away."""
    def comes_through(*flags, staging=False):
        port = stage.staging_port if staging else stage.door.port
        return tls.s_client(stage.door, "stage.test", *flags, port=port, program=ech.openssl4()).done
    classical, hybrid = ("-groups", "X25519"), ("-groups", "X25519MLKEM768")
    assert comes_through(*classical) and comes_through(*hybrid)
    stage.door.audited(2, sni="stage.test")
    stage.ok("stage", "--tls", "pq=require")
    assert comes_through(*hybrid, staging=True) and comes_through(*classical)
    assert not comes_through(*classical, staging=True) and not comes_through("-tls1_2", staging=True)
    code, out, _ = stage.cert("test")
    assert code == 1 and "route www: TLS 1.3 at least, in production 1.2" in out
    assert re.search(r"lost +route www, .*: \d+ connections, offers none of the groups that would be left", out)
    stage.ok("promote")
    assert comes_through(*hybrid) and not comes_through(*classical)
    stage.ok("rollback")
    assert comes_through(*classical)


# QUIC ----------------------------------------------------------------------------------------------------------------


def test_tunnels_over_quic_see_candidates(tmp_path, pki, banner):
    """The candidate is a stranger's: who trusts the door's CA gets through in production alone."""
    stage = Stage(tmp_path, pki, banner, trust=[pki.trust()],
                  routes=[{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
                  policy=[{"name": "all", "who": {"any": True}, "targets": ["127.0.0.1:*"]}])
    stage.door.start()
    strange = pki.stranger.issue("stage.test", dns=["stage.test", "old.stage.test"], key="rsa", label=f"quic-{tmp_path.name}")

    def connects(port):
        done = run(CARDEA, "connect", "--door", f"127.0.0.1:{port}", "--name", "stage.test", "--cert", pki.alice.certificate, "--key",
                   pki.alice.key, "--ca", stage.ca, "--transport", "quic", banner.to, stdin=subprocess.DEVNULL, env=clean_env(tmp_path))
        return done.returncode == 0
    assert connects(stage.door.port) and connects(stage.staging_port)
    stage.ok("stage", strange.certificate, "--name", "strange")
    assert connects(stage.door.port) and not connects(stage.staging_port)
    stage.ok("promote")
    assert not connects(stage.door.port)
    stage.ok("rollback")
    assert connects(stage.door.port)
    stage.door.stop()


# What is refused -----------------------------------------------------------------------------------------------------


def test_refusals(stage, tmp_path, pki):
    def refused(*words):
        code, _, err = stage.cert(*words)
        assert code == 1, err
        return err
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    os.chmod(broken, 0o600)
    assert "no certificate in PEM" in refused("stage", broken)
    assert "missing.pem" in refused("stage", tmp_path / "missing.pem")
    assert "not the key of the first certificate" in refused("stage", stage.candidate.certificate, "--key", stage.production.key)
    assert "expected 1.2 or 1.3" in refused("stage", "--tls", "min_version=1.1")
    assert "found 'X448'" in refused("stage", "--tls", "groups=X25519:X448")
    assert "found 'colour=red'" in refused("stage", "--tls", "colour=red")
    assert "found 'always', expected prefer, require or off" in refused("stage", "--tls", "pq=always")
    assert "none of the key exchange groups is left with pq: require" in refused("stage", "--tls", "pq=require,groups=X25519")
    assert "there is no candidate" in refused("promote") and "there is no candidate" in refused("test")
    assert "there is no promoted one" in refused("rollback")
    stage.ok("stage", stage.candidate.certificate, "--name", "one")
    stage.ok("stage", pki.ca.issue("b.test", dns=["b.test"], label=f"b-{tmp_path.name}").certificate, "--name", "two")
    assert "there are several: one, two; say which" in refused("promote")
    assert "there is no candidate 'three'; there is one, two" in refused("promote", "three")
    assert stage.cert("stage")[0] == 2 and stage.cert("stage", "a", "--tls", "b")[0] == 2
    assert stage.cert("test", "--since", "soon")[0] == 2 and stage.cert("disable", "--force")[0] == 2
    assert stage.door.get("/stage?do=stage&file=relative.pem&key=%2Fx", "POST")[1].count("absolute path") == 1
    assert stage.door.get("/stage?do=stage&file=%zz&key=%2Fx", "POST")[0] == 422


@pytest.mark.parametrize("section, error", [
    ({}, "staging: nobody would see a candidate; expected 'listeners'"),
    ({"listeners": ["nowhere"]}, "staging.listeners: there is no listener 'nowhere'"),
    ({"networks": ["10.0.0.0/33"]}, "10.0.0.0/33"),
])
def test_sections_that_are_wrong(tmp_path, pki, banner, section, error):
    stage = Stage(tmp_path, pki, banner, staging=section)
    done = run(CARDEA, "serve", "--check", "-c", stage.door.config_file)
    assert done.returncode == 1 and error in done.stderr.decode()


def test_nobody_sees_what_has_no_section(tmp_path, pki, banner):
    stage = Stage(tmp_path, pki, banner)
    del stage.door.config["staging"]
    stage.door.configure({k: v for k, v in stage.door.config.items() if k not in ("limits",)})
    stage.door.start()
    assert "nobody sees it" in stage.ok("stage", stage.candidate.certificate, "--name", "ecdsa")
    assert stage.shown() == ("rsa", "rsa")
    stage.ok("promote")
    wait_until(lambda: stage.shown() == ("ec", "ec"), "the promoted certificate")
    stage.door.stop()
