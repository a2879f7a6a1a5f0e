# SPDX-License-Identifier: Apache-2.0
"""The table of README.md says what tests have shown, and no more."""
import json
import shutil
import sys

import pytest

from run import ROOT, run

CONFTEST = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT / "tests/e2e")!r})
from proves import Proves

def pytest_configure(config):
    config.addinivalue_line("markers", "proves(protocol, role, *peers): a claim")
    config.pluginmanager.register(Proves(Path("proves.json")), "proves")
"""

TESTS = """
import pytest

@pytest.mark.proves("imap", "client", "Dovecot")
@pytest.mark.proves("imap", "server", "curl")
def test_both(): pass

@pytest.mark.parametrize("case", [pytest.param(1, marks=pytest.mark.proves("imap", "client", "curl")),
                                  pytest.param(0, marks=pytest.mark.proves("pop3", "client", "curl"))])
def test_cases(case): assert case

@pytest.mark.proves("nntp", "route", "INN")
def test_nothing_there(): pytest.skip("no peer")

@pytest.mark.proves("rdp", "probe")
def test_without_peers(): pass
"""

README = "# x\n<!-- scripts/readme-table: from here -->\n{}\n<!-- scripts/readme-table: to here -->\nafter\n"


@pytest.fixture
def tree(tmp_path):
    """A tree of its own with the script, a README and tests."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/readme-table", tmp_path / "scripts")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "README.md").write_text(README.format("| old |"))
    return tmp_path


def pytest_in(tree, *words):
    return run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, cwd=tree)


def readme_table(tree, *words):
    return run(sys.executable, tree / "scripts/readme-table", *words, tree / "proves.json", cwd=tree)


@pytest.mark.parametrize("spread", [[], ["-n", "2"]], ids=["one process", "two"])
def test_table_from_what_passed(tree, spread):
    """Peers of all tests that passed; nothing for what failed or was skipped; it checks what it has written."""
    pytest_in(tree, *spread)
    assert readme_table(tree).returncode == 0
    head, line, imap, rdp = (tree / "README.md").read_text().split("\n")[2:6]
    assert (head.count("|"), line.count("|")) == (6, 6)
    assert imap == "| imap | curl, Dovecot | curl |  |  |"
    assert rdp == "| rdp |  |  |  | yes |"
    assert "after" in (tree / "README.md").read_text()
    assert readme_table(tree, "--check").returncode == 0


def test_what_no_test_shows(tree):
    """What is built in and in no row is named behind the table, as long as it is so."""
    scripts = tree / "src/starttls/protocols"
    scripts.mkdir(parents=True)
    for name in ("rdp", "imap", "gopher", "mysql"):
        (scripts / f"{name}.starttls").write_text("")
    pytest_in(tree)
    readme_table(tree)
    text = (tree / "README.md").read_text()
    line = "\n\nBuilt in, and not tested with other programs yet: mysql, gopher.\n"
    assert line in text
    assert readme_table(tree, "--check").returncode == 0
    (scripts / "gopher.starttls").unlink()
    done = readme_table(tree, "--check")
    assert done.returncode == 1 and b"behind the table: expected Built in, and not tested with other programs yet: mysql." in done.stderr
    (scripts / "mysql.starttls").unlink()
    assert b"behind the table: expected nothing" in readme_table(tree, "--check").stderr
    readme_table(tree)
    assert "Built in" not in (tree / "README.md").read_text()


@pytest.mark.parametrize("row, complaint", [
    ("| imap | curl, Cyrus |  |  |  |", b"imap, wrap client: not with Cyrus"),
    ("| pop3 | curl |  |  |  |", b"pop3, wrap client: no test that passed shows it"),
    ("| nntp |  |  | INN, tin |  |", b"nntp, a route of the door: no test that passed shows it"),
    ("| nntp | INN |  |  |  |", b"nntp, wrap client: no test that passed shows it"),
])
def test_claims_too_many(tree, row, complaint):
    """What failed or was not there is no claim."""
    pytest_in(tree)
    (tree / "README.md").write_text(README.format(f"| protocol |\n|---|\n{row}"))
    done = readme_table(tree, "--check")
    assert done.returncode == 1 and complaint in done.stderr, done


@pytest.mark.parametrize("how", ["in the test", "before it"])
def test_what_was_skipped(tree, how):
    """It is not written into the table; where it stands there, it may stay."""
    if how == "before it":
        skips = '@pytest.fixture\ndef peer(): pytest.skip("no peer")\n'
        (tree / "test_some.py").write_text(TESTS.replace('@pytest.mark.proves("nntp"', skips + '@pytest.mark.proves("nntp"').replace(
            'def test_nothing_there(): pytest.skip("no peer")', 'def test_nothing_there(peer): pass'))
    pytest_in(tree)
    (tree / "README.md").write_text(README.format("| protocol |\n|---|\n| nntp |  |  | INN |  |"))
    done = readme_table(tree, "--check")
    assert (done.returncode, done.stderr) == (0, b"readme-table: nntp, a route of the door: not tested here\n")
    readme_table(tree)
    assert "nntp" not in (tree / "README.md").read_text()


def test_what_an_earlier_run_has_shown(tree):
    """It stays where only some tests run again, and goes when all do and it is there no more."""
    pytest_in(tree)
    (tree / "test_some.py").write_text(TESTS.replace("def test_both", "def test_two"))
    (tree / "test_other.py").write_text('import pytest\n@pytest.mark.proves("irc", "client")\ndef test_it(): pass\n')
    for words, known in [(["-k", "test_two"], {"both", "two"}), (["test_other.py"], {"both", "two", "it"}), ([], {"two", "it"})]:
        pytest_in(tree, *words)
        names = {nodeid.split("::test_")[1] for nodeid in json.loads((tree / "proves.json").read_text())}
        assert names & {"both", "two", "it"} == known


def test_without_results(tree):
    """No run, no table."""
    done = readme_table(tree)
    assert done.returncode == 1 and b"make test" in done.stderr


def test_wrong_mark(tree):
    """A role that there is not ends the run at once."""
    (tree / "test_some.py").write_text(TESTS.replace('"probe"', '"prober"'))
    done = pytest_in(tree)
    assert done.returncode != 0 and b"found proves('rdp', 'prober')" in done.stdout + done.stderr
