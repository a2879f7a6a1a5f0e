# SPDX-License-Identifier: Apache-2.0
"""The export of the outside suite BetterTLS: read, asked and counted. All of it where CARDEA_BETTERTLS names one."""
import base64
import datetime
import json
import os
from pathlib import Path

import bettertls
import path_cases
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

BOTH_NAMES = [x509.DNSName(path_cases.HOST), x509.IPAddress(path_cases.GOOD_IP)]


def in_base64(pem):
    return base64.b64encode(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).decode()


def case_of(number, graph, expected, hostname=path_cases.HOST, features=(), warning=False):
    return {
        "id": number,
        "certificates": [in_base64(pem) for pem in graph.leaves + graph.others],
        "hostname": hostname,
        "requiredFeatures": list(features),
        "expected": expected,
        "failureIsWarning": warning,
    }


def export_of(root, **suites):
    made = {
        name: {"features": [], "sanityCheckTestCase": 0, "featureTestCases": {}, "testCases": cases}
        for name, cases in suites.items()
    }
    return {"betterTlsRevision": "", "trustRoot": in_base64(root), "suites": made}


@pytest.fixture(name="export")
def make_export():
    good = path_cases.Graph(path_cases.LINEAR, leaf_names=BOTH_NAMES)
    expired = path_cases.Graph(path_cases.LINEAR, ["T>A"], "expired", leaf_names=BOTH_NAMES)
    building = [case_of(0, good, "ACCEPT"), case_of(1, expired, "REJECT", features=["EXPIRED"])]
    names = [
        case_of(0, good, "ACCEPT", str(path_cases.GOOD_IP), ["VALIDATE_IP"]),
        case_of(1, good, "REJECT", str(path_cases.BAD_IP), ["VALIDATE_IP"]),
    ]
    return export_of(good.roots[0], pathbuilding=building, nameconstraints=names)


def test_an_export(export, tmp_path, capsys):
    (tmp_path / "cases.json").write_text(json.dumps(export))
    assert bettertls.main([str(tmp_path / "cases.json")]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["nameconstraints", "VALIDATE_IP", "2", "2", "0", "0"],
        ["pathbuilding", "-", "1", "1", "0", "0"],
        ["pathbuilding", "EXPIRED", "1", "1", "0", "0"],
    ]


def test_what_is_wrong_is_told(export, tmp_path, capsys):
    """A warning alone does not make the run fail."""
    file = tmp_path / "cases.json"
    case = export["suites"]["pathbuilding"]["testCases"][1]
    case.update(expected="ACCEPT", failureIsWarning=True)
    file.write_text(json.dumps(export))
    assert bettertls.main([str(file)]) == 0
    assert "pathbuilding-00001 (should): expected accept, found reject: " in capsys.readouterr().out
    case["failureIsWarning"] = False
    file.write_text(json.dumps(export))
    assert bettertls.main([str(file)]) == 1
    out = capsys.readouterr().out
    assert "'A' has expired" in out and "pathbuilding     EXPIRED      1     0      0       0" in out
    case["certificates"] = []
    file.write_text(json.dumps(export))
    assert bettertls.main([str(file)]) == 1


def test_the_time_of_an_export(export, tmp_path, capsys):
    (tmp_path / "cases.json").write_text(json.dumps(export))
    begin = path_cases.NOW - path_cases.DAY
    assert bettertls.made_at(export["trustRoot"]) == (begin + datetime.timedelta(days=1)).isoformat() + "Z"
    assert bettertls.main([str(tmp_path / "cases.json"), "--at", "2030-01-01"]) == 1
    assert "has expired" in capsys.readouterr().out


@pytest.mark.skipif("CARDEA_BETTERTLS" not in os.environ, reason="CARDEA_BETTERTLS names no export of BetterTLS")
def test_the_outside_suite():
    count, right, wrong = bettertls.run(json.loads(Path(os.environ["CARDEA_BETTERTLS"]).read_text()))
    assert count and not wrong, "\n".join([*wrong[:50], bettertls.table(count, right)])
