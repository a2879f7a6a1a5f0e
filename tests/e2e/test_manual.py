# SPDX-License-Identifier: Apache-2.0
"""The pages of the manual: each is found by its name and from the others, and what is written in them is shown."""
import os
import re
import shutil
from pathlib import Path

import pytest

from run import ROOT, run

PAGES = sorted((ROOT / "doc/man").iterdir())
KEYS = (ROOT / "doc/man/cardea.yaml.5").read_text()
SERVE = (ROOT / "doc/man/cardea-serve.1").read_text()


def referred(page):
    """The names behind SEE ALSO."""
    return re.findall(r"^\.Xr (\S+ \S+)", (ROOT / "doc/man" / page).read_text().partition(".Sh SEE ALSO")[2], re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_name(page):
    """apropos(1) and whatis(1) know a page by the one word that its file is called."""
    assert f"\n.Sh NAME\n.Nm {page.stem}\n.Nd " in page.read_text()


@pytest.mark.parametrize("page", ["cardea.1", "cardea.yaml.5"])
def test_see_also(page):
    """Both lead to all others."""
    others = {f"{other.stem} {other.suffix[1:]}" for other in PAGES if other.name != page}
    assert others <= set(referred(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_references(page):
    """Each page of our own that is named is there."""
    for name, section in (reference.split() for reference in referred(page.name)):
        assert not name.startswith("cardea") or (ROOT / "doc/man" / f"{name}.{section}").exists(), name


def test_sections_of_the_configuration():
    """cardea-serve(1) lists the sections and actions that there are."""
    top = KEYS.partition(".Sh KEYS\n")[2].partition(".Ss ")[0]
    listed = SERVE.partition(".Sh CONFIGURATION")[2].partition(".Sh ")[0]
    sections = re.findall(r"^\.It Ic (\w+)\n\((?:list: )?section", top, re.MULTILINE)
    assert set(re.findall(r"^\.It Li (\w+)", listed, re.MULTILINE)) == set(sections)
    for action in ("pass", "terminate", "forward", "tunnel", "expose", "reject", "hand_on"):
        assert re.search(rf"^\.Li .*\b{action}\b", listed, re.MULTILINE), action


def letters(text):
    """Without what a terminal's width, hyphens and quotes make of it."""
    return re.sub(r"[^A-Za-z0-9]", "", text)


@pytest.mark.skipif(shutil.which("man") is None, reason="no man here")
@pytest.mark.skipif(not Path("/usr/share/groff").is_dir(), reason="no groff here")
def test_help_of_every_key_is_shown():
    """None of it is taken for a macro."""
    done = run("man", "-l", ROOT / "doc/man/cardea.yaml.5", env={**os.environ, "LC_ALL": "C.UTF-8", "MANPAGER": "cat"})
    shown = letters(done.stdout.decode())
    keys = KEYS.partition(".Sh KEYS\n")[2].partition(".Sh SEE ALSO")[0]
    helps = [line for line in keys.splitlines() if not line.startswith(".")]
    assert len(helps) > 500
    for line in helps:
        assert letters(line.replace("\\e", "\\")) in shown, line
