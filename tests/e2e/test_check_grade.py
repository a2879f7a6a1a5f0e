# SPDX-License-Identifier: Apache-2.0
"""`cardea check` as a judge: what it finds at servers that are set up badly, broken, or as they should be, and what sslscan
says of the door. testssl.sh, which takes minutes for that, is in tests/soak."""
import json
import re
import shutil
import socket
import subprocess
import threading

import pytest

import judges
import peers
from pki import Cert, openssl
from run import CARDEA, ROOT, Process, free_port, ms, run, wait_listening

NAME = "grade.test"
RULES = re.findall(r'^X\((\w+), "(\w+)", (\w+|NOTE), "', (ROOT / "tables/grade_rules.def").read_text(), re.MULTILINE)
TOLERANCE = ("long_hello", "split_segments", "split_records", "grease", "future_version", "ech_grease")
HYBRIDS = {"X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"}
MANUAL = (ROOT / "doc/man/cardea-check.1").read_text()
GOLDEN = ROOT / "tests/e2e/check_grade.expected"


@pytest.fixture(scope="module")
def cert(pki):
    return pki.server(NAME)


@pytest.fixture
def s_server(tmp_path, cert):
    """s_server(*words) starts OpenSSL's TLS server and answers its port."""
    started = []

    def start(*words, cert=cert):
        port = free_port()
        process = Process(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert.certificate, "-key",
                           cert.key, "-quiet", *words], tmp_path, f"s_server{port}", stdin=subprocess.PIPE)
        started.append(process)
        wait_listening(port, process)
        return port
    yield start
    for process in started:
        process.stop()
        process.child.stdin.close()


def call(*words):
    return run(CARDEA, "check", "--timeout", ms(10000), "--question-timeout", ms(5000), "--survey-timeout", ms(25000), *words)


@pytest.fixture
def judge(pki):
    """judge(port, *words): what is said of the server at that port, which is to be NAME."""
    def call_it(port, *words, ca=pki.ca.file, name=NAME):
        done = call("--json", "--ca", ca, "--name", name, *words, f"127.0.0.1:{port}")
        told = json.loads(done.stdout)
        assert told["survey"] is None or told["survey"]["complete"], told
        return told
    return call_it


def found(told):
    """The words of what counts for the grade."""
    return [each["finding"] for each in told["survey"]["findings"] if each["leaves"] != "note"]


# The door ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def door(start_door, cert):
    """With nothing configured that need not be."""
    with peers.Server(judges.web) as backend:
        yield start_door({"certificates": [cert.row()],
                          "routes": [{"name": "web", "sni": NAME, "alpn": "http/1.1", "terminate": {"to": backend.to}}]})


def test_the_door_is_excellent(door, judge):
    told = judge(door.port)
    survey = told["survey"]
    assert told["grade"] == "A+" and found(told) == [], survey["findings"]
    assert survey["suites"]["tls_1_3"] and survey["suites"]["good"]
    assert not any(survey["suites"][weak] for weak in ("dhe", "cbc", "static", "short_block", "broken"))
    assert survey["groups"][0] == "X25519MLKEM768" and survey["prime_bits"] is None
    assert survey["alpn"] == ["http/1.1"] and survey["hsts"] == {"max_age": 31536000, "subdomains": True}
    bad = ("ssl_3_0", "tls_1_0", "tls_1_1", "compression")
    assert {word for word, yes in survey["answers"].items() if not yes} == set(bad), survey["answers"]
    shown, = survey["certificates"]
    assert shown["subject"] == NAME and shown["path"] == [NAME, "Door CA"] and shown["proven"] and shown["staple"] == "none"
    handshake = survey["handshake"]
    assert handshake["round_trips"] == 2 and not handshake["retried"] and shown["bytes"] < handshake["received"]
    assert handshake["sent"] > 1216  # a hybrid key share


@pytest.mark.parametrize("tls", [{"pq": "require"}, {"groups": ["SecP384r1MLKEM1024"]}], ids=["pq", "one group"])
def test_a_door_that_takes_only_hybrids(start_door, cert, judge, tls):
    """That it refuses hellos without one is no fault of it."""
    with peers.Server(judges.web) as backend:
        door = start_door({"certificates": [cert.row()],
                           "routes": [{"name": "web", "sni": NAME, "alpn": "http/1.1", "tls": tls,
                                       "terminate": {"to": backend.to}}]})
        told = judge(door.port)
    survey = told["survey"]
    assert told["grade"] in ("A", "A+"), survey["findings"]
    assert survey["answers"]["tls_1_3"] and all(survey["answers"][word] for word in TOLERANCE), survey["answers"]
    assert survey["answers"]["tls_1_2"] is False and set(survey["groups"]) <= HYBRIDS, survey["groups"]


def test_for_people(door, pki):
    """The whole text, but for what differs each time."""
    done = call("--ca", pki.ca.file, "--name", NAME, f"127.0.0.1:{door.port}")
    text = re.sub(r"\d+ days, \S+Z", "N days, DATE", done.stdout.decode())
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"\d+\.\d ms|\d+ bytes|\d+ received", lambda m: re.sub(r"[\d.]+", "N", m.group()), text)
    assert text == GOLDEN.read_text(), text
    assert done.returncode == 0 and done.stderr == b""  # no progress where there is no terminal


# Servers that are set up badly ------------------------------------------------------------------------------------

OLD = "DEFAULT:@SECLEVEL=0"


@pytest.mark.parametrize(("words", "grade", "findings"), [
    ([], "A", ["cbc_suites", "no_hybrid_group"]),
    (["-no_tls1_2"], "A", ["no_hybrid_group"]),
    (["-no_ticket", "-no_cache", "-no_tls1_3", "-cipher", "ECDHE+AESGCM"], "B",
     ["no_tls_1_3", "no_hybrid_group", "no_resumption"]),
    (["-cipher", "ECDHE+AESGCM:@SECLEVEL=0"], "A", ["no_hybrid_group"]),
    (["-tls1_1", "-cipher", OLD], "F", ["no_modern_version", "tls_1_1", "no_tls_1_3", "no_handshake",
                                                  "cbc_suites", "no_hybrid_group"]),
    (["-cipher", OLD], "C", ["tls_1_0", "tls_1_1", "cbc_suites", "no_hybrid_group"]),
    (["-cipher", "NULL:ECDHE+AESGCM:@SECLEVEL=0", "-no_tls1", "-no_tls1_1"], "F", ["broken_suites", "no_hybrid_group"]),
])
def test_settings(s_server, judge, words, grade, findings):
    told = judge(s_server(*words))
    assert told["result"] == ("tls_failed" if "-tls1_1" in words else "good")
    assert told["grade"] == grade and found(told) == findings, told["survey"]


def test_a_server_that_refuses_everything(judge):
    """It has not shown what it is."""
    def refuse(sock):
        sock.recv(65536)
        sock.sendall(bytes([21, 3, 3, 0, 2, 2, 40]))
    with peers.Server(refuse) as server:
        told = judge(server.port)
    assert told["result"] == "tls_failed" and told["grade"] is None


def test_rsa(s_server, judge, pki):
    """What only servers with such a key have."""
    told = judge(s_server("-cipher", "kRSA:DHE:ECDHE:!NULL:@SECLEVEL=0", "-no_tls1", "-no_tls1_1", cert=pki.server(NAME, key="rsa")))
    assert told["grade"] == "B"
    assert found(told) == ["static_suites", "dhe_suites", "cbc_suites", "no_hybrid_group"], told["survey"]["findings"]
    assert told["survey"]["prime_bits"] == 2048
    assert "TLS_RSA_WITH_AES_128_GCM_SHA256" in told["survey"]["suites"]["static"]


def test_two_kinds_of_key(s_server, judge, pki):
    rsa = pki.server(NAME, key="rsa")
    told = judge(s_server("-dcert", rsa.certificate, "-dkey", rsa.key, "-num_tickets", "0"))
    assert [each["key"] for each in told["survey"]["certificates"]] == ["P-256", "RSA-2048"]
    assert told["survey"]["answers"]["resumption_1_2"] is True and told["survey"]["answers"]["resumption_1_3"] is None


@pytest.mark.parametrize(("what", "options", "finding"), [
    ("expired", {"start": -10 * 86400, "end": -86400}, "not_proven"),
    ("nearly", {"start": -10 * 86400, "end": 3600}, "expires_soon"),
    ("must", {"extra": "tlsfeature = status_request\n"}, "must_staple"),
    ("responder", {"extra": "authorityInfoAccess = OCSP;URI:http://ocsp.test/\n"}, "no_staple"),
    ("names", {"dns": [NAME] + [f"a-name-to-fill-the-certificate-{i}.grade.test" for i in range(250)]}, "chain_too_long"),
])
def test_certificates(s_server, judge, pki, what, options, finding):
    told = judge(s_server(cert=pki.ca.issue(f"grade-{what}", **{"dns": [NAME], **options})))
    assert finding in [each["finding"] for each in told["survey"]["findings"]], told["survey"]["findings"]
    assert (told["grade"] == "F") == (finding == "not_proven")
    assert told["survey"]["certificates"][0]["must_staple"] == (what == "must")


def test_another_name_or_issuer(s_server, judge, pki):
    port = s_server()
    for told in (judge(port, name="other.test"), judge(port, ca=pki.staff.file)):
        assert told["result"] == "not_proven" and told["grade"] == "F" and "not_proven" in found(told)
        assert told["survey"]["certificates"][0]["path"] == []


def test_short_rsa_and_sha1(s_server, judge, tmp_path):
    """From a CA of its own, which a certificate may be."""
    openssl("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-sha1", "-days", 9, "-subj", f"/CN={NAME}", "-addext",
            f"subjectAltName=DNS:{NAME}", "-keyout", tmp_path / "weak.key", "-out", tmp_path / "weak.pem")
    weak = Cert(tmp_path / "weak.pem", tmp_path / "weak.key")
    told = judge(s_server("-cipher", "ALL:@SECLEVEL=0", cert=weak), ca=weak.certificate)
    assert told["grade"] == "F" and {"not_proven", "weak_key", "weak_signature"} <= set(found(told))


@pytest.mark.parametrize(("revoked", "finding"), [(False, None), (True, "revoked")])
def test_staple(s_server, judge, pki, tmp_path, revoked, finding):
    leaf = pki.ca.issue(f"grade-staple-{revoked}", dns=[NAME], extra="tlsfeature = status_request\n")
    if revoked:
        pki.ca.revoke(leaf)
    staple, folder = tmp_path / "staple.der", pki.ca.directory
    openssl("ocsp", "-index", folder / "index.txt", "-CA", pki.ca.file, "-rsigner", pki.ca.file, "-rkey", folder / "ca.key",
            "-issuer", pki.ca.file, "-cert", leaf.certificate, "-ndays", 1, "-respout", staple)
    told = judge(s_server("-status_file", staple, "-cert_chain", pki.ca.file, cert=leaf))
    assert told["survey"]["certificates"][0]["staple"] == ("revoked" if revoked else "good")
    assert (finding in found(told)) if finding else ("must_staple" not in found(told)), told["survey"]


def test_nginx(tmp_path, judge, pki):
    nginx = peers.Nginx(tmp_path, pki)
    try:
        told = judge(nginx.ports["tls"], name="backend.test")
        assert told["survey"]["alpn"] == ["h2", "http/1.1"] and "no_hsts" in found(told)
        assert told["survey"]["answers"]["hsts"] is False and told["survey"]["answers"]["resumption_1_2"] is True
        told = judge(nginx.ports["mtls"], name="backend.test")
        assert told["grade"] and told["survey"]["answers"]["tls_1_2"] is True
    finally:
        nginx.stop()


@pytest.mark.parametrize("protocol", ["smtp", "postgresql", "xmpp"])
def test_starttls(start_wrap, judge, cert, protocol):
    """All is asked behind STARTTLS as well, each time; nothing is said within TLS."""
    heard = []

    def greet(sock):
        if protocol == "smtp":
            sock.sendall(b"220 hi\r\n")
        heard.append(sock.recv(4096))
    with peers.Server(greet) as server:
        wrap = start_wrap.server(protocol, server.port, cert)
        told = judge(wrap.port, "--starttls", protocol)
    assert told["grade"] in ("A+", "A") and set(found(told)) <= {"no_resumption"}, told["survey"]
    assert told["survey"]["hsts"] is None and not any(b"HTTP" in each for each in heard)


# Servers that are broken ------------------------------------------------------------------------------------------

def pump(source, to):
    try:
        while data := source.recv(65536):
            to.sendall(data)
    except OSError:
        pass


class Sieve:
    """Stands before a good server. What comes first is shown to `passes`; if that says no, nobody is there, who says nothing or
    hangs up."""

    def __init__(self, port, passes, silent):
        self.port, self.passes, self.silent = port, passes, silent

    def __call__(self, sock):
        first = sock.recv(65536)
        if not first or not self.passes(first):
            while self.silent and sock.recv(65536):
                pass
            return
        with socket.create_connection(("127.0.0.1", self.port)) as behind:
            behind.sendall(first)
            threading.Thread(target=pump, args=(behind, sock), daemon=True).start()
            pump(sock, behind)


def has_all(first):
    """As what reads a ClientHello with one call of recv (tldr.fail)."""
    return len(first) >= 5 + int.from_bytes(first[3:5], "big")


def is_one_record(first):
    return first[0] != 22 or len(first) < 9 or int.from_bytes(first[3:5], "big") >= 4 + int.from_bytes(first[6:9], "big")


def has_no_grease(first):
    """By the first cipher suite; further on the same two bytes come up by chance."""
    suites = 46 + first[43] if len(first) > 43 else 0
    return first[suites:suites + 2] != b"\x3a\x3a"


@pytest.mark.parametrize(("passes", "finding"), [
    (has_all, {"split_segments"}),
    (is_one_record, {"split_records"}),
    (lambda first: len(first) < 1800, {"long_hello", "split_records"}),
    (has_no_grease, {"grease"}),
    (lambda first: b"\x03\x05\x03\x04" not in first, {"future_version"}),
    (lambda first: b"\xfe\x0d\x00\xaa\x00\x00\x01\x00\x01" not in first, {"ech_grease"}),
], ids=["tldr.fail", "one-record", "short", "grease", "version", "ech"])
def test_what_stands_before_it(door, judge, passes, finding):
    """The door is as good as ever; what stands before it is not."""
    with peers.Server(Sieve(door.port, passes, silent=passes is has_all)) as sieve:
        told = judge(sieve.port)
    assert set(found(told)) & set(TOLERANCE) == finding and told["grade"] == "C", told["survey"]["findings"]
    assert all(told["survey"]["answers"][each] is False for each in finding)


def test_a_server_that_dislikes_every_hello_by_hand(door, judge):
    """What the first handshake contradicts is not known, and not held against it."""
    with peers.Server(Sieve(door.port, lambda first: b"\x11\xec\x04\xc0" in first, silent=False)) as sieve:
        told = judge(sieve.port)
    answers = told["survey"]["answers"]
    assert {answers[word] for word in ("tls_1_3", *TOLERANCE)} == {None}, answers
    assert not {"no_tls_1_3", *TOLERANCE} & set(found(told)), found(told)


def test_a_server_that_has_had_enough(judge, door):
    """It answers once, and then no more: what is not known is not held against it."""
    served = []

    def passes(first):
        served.append(first)
        return len(served) == 1
    with peers.Server(Sieve(door.port, passes, silent=True)) as sieve:
        done = call("--json", "--survey-timeout", ms(600), "--fail-below", "F", "--name", NAME, f"127.0.0.1:{sieve.port}")
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["survey"]["complete"] is False
    assert "incomplete" in [each["finding"] for each in told["survey"]["findings"]]


# For scripts ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("words", "status"), [
    ([], 0),
    (["--fail-below", "A"], 0),
    (["--fail-below", "a+"], 1),
    (["--fail-below", "A+", "--accept", "cbc_suites"], 1),
    (["--fail-below", "A+", "--accept", "cbc_suites", "--accept", "no_hybrid_group"], 0),
    (["--expect", "version=1.3", "--expect", "group=X25519", "--expect", "key=P-*", "--expect", "days=5"], 0),
    (["--expect", "group=X25519MLKEM768"], 1),
    (["--expect", "days=100"], 1),
    (["--quick", "--expect", "staple=good"], 1),
    (["--quick", "--expect", "staple=none"], 0),
])
def test_exit_status(s_server, pki, words, status):
    server = ["--ca", pki.ca.file, "--name", NAME, f"127.0.0.1:{s_server()}"]
    done = call("--json", *words, *server)
    assert done.returncode == status, done
    unexpected = json.loads(done.stdout)["unexpected"]
    assert (unexpected != []) == (status == 1 and "--expect" in words)
    if unexpected:
        assert b"  EXPECTED     " + unexpected[0]["expected"].encode() in call("--quick", *words, *server).stdout


def test_what_is_not_as_demanded_is_said(s_server, pki):
    """To people: that it is proven is not that it is good; what is accepted is told apart from what is found."""
    words = ["--ca", pki.ca.file, "--name", NAME, f"127.0.0.1:{s_server()}"]
    done = call("--fail-below", "A+", "--accept", "cbc_suites", *words)
    text = done.stdout.decode()
    assert done.returncode == 1 and ": proven; grade A\n" in text, text
    assert text.endswith("\n  EXPECTED     grade A+, found A, which is below A+\n"), text
    assert re.search(r"\n    known [a-z]", text) and re.search(r"\n    A     [a-z]", text), text
    assert "EXPECTED" not in call("--fail-below", "A", *words).stdout.decode()


def test_a_door_that_wants_a_name(door, pki):
    address = f"127.0.0.1:{door.port}"
    text = call("--quick", "--ca", pki.ca.file, address).stdout.decode()
    assert "unrecognized_name" in text and "give it with --name NAME" in text, text
    text = call("--quick", "--ca", pki.ca.file, "--name", "other.test", address).stdout.decode()
    assert "it does not know the name 'other.test'" in text, text


@pytest.mark.parametrize(("words", "text"), [
    (["--fail-below", "E"], "A+, A, B, C, D or F"),
    (["--accept", "no_hst"], "did you mean 'no_hsts'?"),
    (["--expect", "group"], "WHAT=VALUE"),
    (["--expect", "grp=X25519"], "did you mean 'group'?"),
    (["--expect", "days=soon"], "a number of days"),
    (["--quick", "--fail-below", "A"], "--quick"),
    (["--question-timeout", "soon"], "500ms"),
])
def test_misuse(words, text):
    done = run(CARDEA, "check", *words, "a.example.com")
    assert done.returncode == 2 and text in done.stderr.decode() and not done.stdout, done


@pytest.mark.parametrize(("words", "address"), [([], "127.0.0.77:443"), (["--starttls", "smtp"], "127.0.0.77:25")])
def test_without_a_port(words, address):
    done = call("--json", "--timeout", ms(1000), *words, "127.0.0.77")
    assert json.loads(done.stdout)["server"] == address


def test_quick(door, pki):
    """As before there were grades: one connection."""
    done = call("--json", "--quick", "--ca", pki.ca.file, "--name", NAME, f"127.0.0.1:{door.port}")
    told = json.loads(done.stdout)
    assert told["result"] == "good" and told["grade"] is None and told["survey"] is None


def test_manual():
    """Each rule, with the grade that it leaves, and each question stands in cardea-check(1)."""
    for _, word, level in RULES:
        assert re.search(rf"^\.It Ql {word} No \({'note' if level == 'NOTE' else level}\)$", MANUAL, re.MULTILINE), word
    for word in re.findall(r'^X\(\w+, "(\w+)"', (ROOT / "tables/survey_questions.def").read_text(), re.MULTILINE):
        assert word in MANUAL, word


# Other judges -----------------------------------------------------------------------------------------------------

@pytest.fixture
def judged_door(start_door, tmp_path):
    with peers.Server(judges.web) as backend:
        yield judges.judged_door(start_door, tmp_path, backend.to)


@pytest.mark.skipif(shutil.which("sslscan") is None, reason="no sslscan here")
def test_sslscan(judged_door, judge):
    """sslscan and we see the same."""
    done = run("sslscan", "--no-colour", "--ipv4", f"localhost:{judged_door.port}", timeout=60)
    text = done.stdout.decode()
    for old in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
        assert re.search(rf"^{re.escape(old)} +disabled", text, re.MULTILINE), text
    told = judge(judged_door.port, ca=judged_door.root, name="localhost")
    assert told["grade"] == "A+", told["survey"]["findings"]
    survey = told["survey"]
    accepted = re.findall(r"^(?:Preferred|Accepted) +(TLSv1\.\d) +\d+ bits +(\S+)", text, re.MULTILINE)
    assert len([suite for version, suite in accepted if version == "TLSv1.3"]) == len(survey["suites"]["tls_1_3"])
    assert len([suite for version, suite in accepted if version == "TLSv1.2"]) == len(survey["suites"]["good"])
