# SPDX-License-Identifier: Apache-2.0
"""The cases of BetterTLS (https://github.com/Netflix/bettertls), an outside suite for verifiers of chains, by `cardea check`.

    go run ./cmd/bettertls export-tests --out cases.json      in its folder test-suites
    python3 tests/e2e/bettertls.py cases.json [--at TIME]     the cardea of build/, or that which CARDEA names

Each case is asked at the time when it was made: a day after its trust root begins to be valid. A row of the table has the
cases of a suite that need the same features. Those that the suite itself calls warnings, since verifiers may differ there,
stand apart and do not make the run fail."""
import base64
import datetime
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from cryptography import x509
from run import CARDEA, SLOW

HEADS = ("CASES OF", "NEED", "MUST", "RIGHT", "SHOULD", "RIGHT")


def pem_of(value):
    text = base64.encodebytes(base64.b64decode(value)).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"


def made_at(root):
    """When an export was made: what is valid begins a day before, and what is expired has been for an hour."""
    begin = x509.load_der_x509_certificate(base64.b64decode(root)).not_valid_before
    return (begin + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def lay_out(export, directory, at):
    """A folder of cases as `check --verify` takes it. Returns the cases by the name of their folder, and what each belongs to."""
    cases = {}
    (directory / "roots.pem").write_text(pem_of(export["trustRoot"]))
    for suite, what in export["suites"].items():
        for case in what["testCases"]:
            name = f"{suite}-{case['id']:05}"
            folder = directory / name
            folder.mkdir()
            (folder / "chain.pem").write_text("".join(map(pem_of, case["certificates"])))
            settings = {"name": case["hostname"], "purpose": "server", "at": at, "expect": case["expected"].lower()}
            (folder / "case.json").write_text(json.dumps(settings))
            cases[name] = (suite, ", ".join(case["requiredFeatures"]), "should" if case["failureIsWarning"] else "must")
    return cases


def verdicts(directory):
    """What is told of each case, by the name of its folder."""
    command = [CARDEA, "check", "--verify", str(directory), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600 * SLOW, check=False)
    sys.stderr.write(done.stderr)
    return {row["case"]: row for row in map(json.loads, done.stdout.splitlines())}


def run(export, at=None):
    """Returns how many cases there are and how many are right, by (suite, features, must or should), and lines on the others."""
    count, right, wrong = Counter(), Counter(), []
    with tempfile.TemporaryDirectory() as directory:
        cases = lay_out(export, Path(directory), at or made_at(export["trustRoot"]))
        told = verdicts(directory)
    for name, key in cases.items():
        row = told.get(name, {"as_expected": False, "expected": "a verdict", "verdict": "none", "reason": None})
        count[key] += 1
        right[key] += row["as_expected"]
        if not row["as_expected"]:
            reason = f": {row['reason']}" if row["reason"] else ""
            wrong.append(f"{name} ({key[2]}): expected {row['expected']}, found {row['verdict']}{reason}")
    return count, right, wrong


def table(count, right):
    rows = [HEADS]
    for suite, need in sorted({key[:2] for key in count}):
        numbers = [of[suite, need, degree] for degree in ("must", "should") for of in (count, right)]
        rows.append((suite, need or "-", *map(str, numbers)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)


def main(words):
    at = words.pop(words.index("--at") + 1) if "--at" in words else None
    files = [word for word in words if word != "--at"]
    if len(files) != 1:
        sys.exit(f"expected one file: {__doc__}")
    count, right, wrong = run(json.loads(Path(files[0]).read_text()), at)
    print("\n".join([*wrong, table(count, right)]))
    return 1 if not count or any(right[key] < count[key] for key in count if key[2] == "must") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
