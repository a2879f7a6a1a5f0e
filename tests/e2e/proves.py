# SPDX-License-Identifier: Apache-2.0
"""Which test shows what: the table of README.md is made from the tests that passed.

    @pytest.mark.proves("imap", "client", "Dovecot", "curl")     protocol, role, the real peers that took part
    pytest.param(..., marks=pytest.mark.proves(...))             the same for one case of a table

ROLES has the roles. A test may have several marks. What passed, failed or was skipped is kept beside the program under test, in
proves.json; scripts/readme-table reads it."""
import json
import os
import sys
from pathlib import Path

import pytest

from run import CARDEA, ROOT

ROLES = ("client", "server", "route", "probe")


def proven_file():
    """In the program's build folder; of a program from elsewhere, in build/."""
    folder = Path(CARDEA).resolve().parent
    return (folder if ROOT in folder.parents else ROOT / "build") / "proves.json"


def narrowed(config):
    """Did not all tests of the files run?"""
    return bool(config.option.keyword or config.option.markexpr or any("::" in word for word in config.args))


def file_of(nodeid):
    return nodeid.split("::")[0]


class Proves:
    """The plugin: workers of xdist add the marks to their reports, the process that has all reports writes the file."""

    def __init__(self, path):
        self.path = path
        self.results = {}

    def pytest_collection_modifyitems(self, items):
        for item in items:
            for mark in item.iter_markers("proves"):
                if len(mark.args) < 2 or mark.args[1] not in ROLES or mark.kwargs:
                    raise pytest.UsageError(f"{item.nodeid}: found proves{mark.args}, expected a protocol, one of "
                                            f"{', '.join(ROLES)}, and the peers, as text")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item):
        report = (yield).get_result()
        marks = [list(mark.args) for mark in item.iter_markers("proves")]
        if marks:
            report.proves = marks

    def pytest_runtest_logreport(self, report):
        marks = getattr(report, "proves", None)
        if marks and (report.when == "call" or not report.passed):
            self.results[report.nodeid] = {"outcome": report.outcome, "proves": marks}

    def pytest_sessionfinish(self, session):
        """What other files have shown stays, and of these files where only some of their tests ran. `make test` begins with
        none."""
        if hasattr(session.config, "workerinput") or not self.results:
            return
        kept = json.loads(self.path.read_text()) if self.path.exists() else {}
        if not narrowed(session.config):
            ran = {file_of(nodeid) for nodeid in self.results}
            kept = {nodeid: result for nodeid, result in kept.items() if file_of(nodeid) not in ran}
        staged = self.path.with_suffix(f".{os.getpid()}")
        try:
            self.path.parent.mkdir(exist_ok=True)
            staged.write_text(json.dumps({**kept, **self.results}, indent=1, sort_keys=True) + "\n")
            staged.rename(self.path)
        except PermissionError as error:  # a tree that this user may only read
            print(f"proves: what was shown is not kept: {error}", file=sys.stderr)
