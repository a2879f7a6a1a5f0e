# SPDX-License-Identifier: Apache-2.0
"""cardea check --verify: each published category of chains has the verdict that it must have, and a person is told why."""
import json
import shutil
import subprocess

import path_cases
import pytest
from run import CARDEA, SLOW


def check(*words, status):
    command = [CARDEA, "check", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 * SLOW, check=False)
    assert done.returncode == status, f"{done.stdout[-3000:]}\n{done.stderr}"
    return done


@pytest.fixture(name="folder")
def make_folder(tmp_path):
    """A folder with this one case, which stays alone in its directory."""

    def make(edges, *bad, defect=None):
        directory = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        path_cases.Cases(directory).graph("case", edges, bad=bad, defect=defect)
        return directory / "case"

    return make


def verify(folder, *words, status, roots=None):
    named = ["--name", path_cases.HOST, "--at", path_cases.AT]
    return check("--verify", folder / "chain.pem", "--roots", roots or folder / "roots.pem", *named, *words, status=status)


def test_every_case(tmp_path):
    count = path_cases.generate(tmp_path)
    rows = [line.split() for line in check("--verify", tmp_path, status=0).stdout.splitlines() if line]
    assert rows[0] == ["CATEGORY", "CASES", "RIGHT", "WRONG", "OPEN"]
    assert sum(int(row[-4]) for row in rows[1:]) == sum(int(row[-3]) for row in rows[1:]) == count


def test_cases_as_json(tmp_path):
    cases = path_cases.Cases(tmp_path)
    cases.graph("right", path_cases.TWO_ROOTS)
    cases.graph("wrong", path_cases.LINEAR)
    cases.graph("open", path_cases.LINEAR, root="U")
    wrong, no_settings = tmp_path / "wrong/case.json", tmp_path / "open/case.json"
    wrong.write_text(json.dumps({**json.loads(wrong.read_text()), "expect": "reject"}))
    no_settings.unlink()
    told = [json.loads(line) for line in check("--verify", tmp_path, "--json", status=1).stdout.splitlines()]
    assert [(row["case"], row["verdict"], row["as_expected"]) for row in told] == [
        ("open", "reject", None),
        ("right", "accept", True),
        ("wrong", "accept", False),
    ]
    assert "wrong: expected reject, found accept" in check("--verify", tmp_path, status=1).stdout
    wrong.write_text('{"expect": "perhaps"}')
    assert "found 'perhaps', expected accept or reject" in check("--verify", tmp_path, status=1).stderr


def test_the_path_and_the_other_branches(folder):
    case = folder(path_cases.MESH, "T>A", "C>B", defect="expired")
    text = verify(case, status=0).stdout
    assert ": accept\n" in text
    assert "   5  'T' (anchor), by 'T'" in text
    assert "certificate 'A' has expired on 2026-05-31T23:00:00Z" in text.split("signatures checked")[1]
    told = json.loads(verify(case, "--json", status=0).stdout)
    assert [cert["subject"] for cert in told["path"]] == ["L", "B", "A", "C", "T"]
    assert told["path"][0]["sent"] == 1 and told["path"][-1]["anchor"]
    assert [step["candidate"]["subject"] for step in told["steps"] if step["chosen"]] == ["B", "A", "C", "T"]
    assert told["signatures"] == 4


def test_why_not(folder, tmp_path):
    linear = folder(path_cases.LINEAR)
    assert "certificate 'A' has expired on" in verify(folder("T>A A>L", "T>A", defect="expired"), status=1).stdout
    told = json.loads(verify(folder("T>A A>L", "T>A", defect="name-constraints"), "--json", status=1).stdout)
    assert told["reason"].endswith("do not allow (permitted subtree violation)") and told["path"] == []
    assert not any(step["chosen"] for step in told["steps"])
    of_a_server = verify(linear, "--purpose", "client", status=1).stdout
    assert "may not be used to prove a client" in of_a_server
    assert "as that of a server it is accepted: --purpose server" in of_a_server
    assert "is not for other.example" in verify(linear, "--name", "other.example", status=1).stdout
    assert "has expired on" in verify(linear, "--at", "2030-01-01", status=1).stdout
    assert "is not valid before" in verify(linear, "--at", "0", status=1).stdout
    (tmp_path / "no.pem").write_text("nothing\n")
    broken = check("--verify", tmp_path / "no.pem", "--roots", linear / "roots.pem", status=1)
    assert "there is no certificate (-----BEGIN CERTIFICATE-----): it has no block of PEM" in broken.stdout


def test_a_clients_certificate(pki):
    alice = pki.alice
    words = ["--verify", alice.certificate, "--roots", pki.staff.file]
    text = check(*words, status=1).stdout
    assert text.endswith("as that of a client it is accepted: --purpose client\n"), text
    check(*words, "--purpose", "client", status=0)
    assert "--purpose" not in check(*words, "--at", "2000-01-01", status=1).stdout, "there it is not accepted either"


def test_a_leaf_without_a_common_name(tmp_path):
    """It goes by its first subject alternative name: in the path, in the steps, and in what is wrong with it."""
    graph = path_cases.Graph(path_cases.LINEAR, common_name="")
    path_cases.Cases(tmp_path).add("case", "names", graph, "accept")
    case = tmp_path / "case"
    good = verify(case, status=0).stdout
    assert f"'{path_cases.HOST}' (sent as 1), by 'A'" in good and f"* '{path_cases.HOST}' (sent as 1) by 'A'" in good
    told = json.loads(verify(case, "--json", status=0).stdout)
    assert told["path"][0]["subject"] == told["steps"][0]["cert"]["subject"] == path_cases.HOST
    late = verify(case, "--at", "2030-01-01", status=1).stdout
    assert f"certificate '{path_cases.HOST}' has expired" in late and "''" not in late + good
    nameless = path_cases.Graph(path_cases.LINEAR, common_name="", leaf_names=[])
    path_cases.Cases(tmp_path).add("nameless", "names", nameless, "reject")
    assert "'(no name)' (sent as 1)" in verify(tmp_path / "nameless", status=1).stdout


def test_wrong_use(folder, tmp_path):
    (tmp_path / "none").mkdir()
    chain = folder(path_cases.LINEAR) / "chain.pem"
    assert "--roots is missing" in check("--verify", chain, status=2).stderr
    assert "expected server or client" in check("--verify", chain, "--purpose", "mail", status=2).stderr
    assert "expected a time in UTC" in check("--verify", chain, "--at", "noon", status=2).stderr
    assert "asks no server" in check("--verify", chain, "--roots", chain, "a.example:443", status=2).stderr
    for option in ("starttls", "chat", "ca", "cert", "key", "alpn", "timeout"):
        said = check("--verify", chain, f"--{option}", "x", status=2).stderr
        assert f"--{option} and --verify do not go together" in said and "did you mean" not in said
        assert ("--roots" in said.splitlines()[0]) == (option == "ca")
    assert "No such file" in check("--verify", tmp_path / "x.pem", "--roots", chain, status=1).stderr
    assert "there are no cases" in check("--verify", tmp_path / "none", status=1).stderr


def block(label):
    return f"-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n".encode()


@pytest.mark.parametrize(("content", "text"), [
    (block("PRIVATE KEY"), "it is a private key"),
    (block("EC PRIVATE KEY"), "it is a private key"),
    (block("PUBLIC KEY"), "it is a public key"),
    (block("NEW CERTIFICATE REQUEST"), "it is a request for a certificate"),
    (block("X509 CRL"), "it is a revocation list"),
    (block("X" * 100), "it is PEM of another kind"),
    (b"\x30\x82\x01\x00", "it is DER, not PEM"),
    (b"", "it is empty"),
])
def test_what_else_the_file_is(folder, tmp_path, content, text):
    file = tmp_path / "other.pem"
    file.write_bytes(content)
    roots = folder(path_cases.LINEAR) / "roots.pem"
    assert text in check("--verify", file, "--roots", roots, status=1).stdout


def test_the_leaf_is_not_first(folder):
    case = folder(path_cases.LINEAR)
    assert "the leaf has to stand first" not in verify(case, status=0).stdout
    chain = case / "chain.pem"
    certs = chain.read_text().split("-----BEGIN ")[1:]
    chain.write_text("".join(f"-----BEGIN {cert}" for cert in reversed(certs)))
    assert "is issued by the first one: the leaf has to stand first\n" in verify(case, status=1).stdout
