# SPDX-License-Identifier: Apache-2.0
"""`cardea completion`: each shell loads it, and offers what `cardea help` says."""
import re
import shutil

import pytest
from run import CARDEA, run


def cardea(*words):
    done = run(CARDEA, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


VERBS = re.findall(r"^  (\S+) ", cardea("help"), re.M)
# Those that go with one form of the verb only.
FORMS = {(verb, flag): form for verb in ("wrap", "ca")
         for form, text in re.findall(r"^With (\S+):\n((?: .*\n)*)", cardea("help", verb), re.M)
         for flag in re.findall("^ +(--[a-z-]+)", text, re.M)}
FLAGS = [(verb, flag) for verb in VERBS
         for line in cardea("help", verb).splitlines() if re.match(" +-", line)
         for flag in re.findall(r"(?:^|, )(--?[A-Za-z][a-z-]*)", re.split(r"(?<=\S)  ", line.strip())[0])]


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """script(shell): the path of what the shell loads."""
    def write(shell):
        if shutil.which(shell) is None:
            pytest.skip(f"no {shell} here")
        path = tmp_path_factory.mktemp("completion") / f"cardea.{shell}"
        path.write_text(cardea("completion", shell))
        return path
    return write


def shell_says(*argv, **options):
    done = run(*argv, **options)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    return done.stdout.decode().split("\n")[:-1]


@pytest.fixture(scope="module")
def bash(script):
    """bash(WORD...): what it offers for the last word."""
    path = script("bash")

    def offered(*words, cwd=None):
        code = f"""compopt() {{ :; }}
            source {path}
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _cardea
            printf '%s\\n' "${{COMPREPLY[@]}}" """
        return shell_says("bash", "--norc", "-uc", code, "bash", *words, cwd=cwd)
    return offered


def test_flags_are_found():
    assert {("serve", "--config"), ("serve", "-c"), ("connect", "-L"), ("carry", "--key"), ("expose", "--service-key"),
            ("help", "--none")} - set(FLAGS) == {("help", "--none")}


def test_bash(bash, tmp_path):
    (tmp_path / "door.yaml").touch()
    (tmp_path / "folder").mkdir()
    assert bash("cardea", "") == VERBS
    assert bash("cardea", "comp") == ["completion"]
    for verb, flag in FLAGS:
        assert flag in bash("cardea", verb, *FORMS.get((verb, flag), "").split(), "-"), (verb, flag)
    assert bash("cardea", "expose", "--proxy", "") == ["v1", "v2"]
    assert bash("cardea", "completion", "") == ["bash", "zsh", "fish"]
    assert bash("cardea", "help", "sta") == ["status"]
    assert bash("cardea", "wrap", "")[:2] == ["server", "client"]
    for verb, flag in (("serve", "-c"), ("serve", "--config"), ("carry", "--key"), ("status", "--socket")):
        assert bash("cardea", verb, flag, "", cwd=tmp_path) == ["door.yaml", "folder"], (verb, flag)
    assert bash("cardea", "quickstart", "f", cwd=tmp_path) == ["folder"]
    assert bash("cardea", "connect", "--timeout", "", cwd=tmp_path) == [""], "nobody can guess it"
    assert bash("cardea", "nonsense", "--") == [""]


def test_bash_wrap(bash):
    """What the other form takes is not offered, nor words of a sentence; names that are known are."""
    server, client = (set(bash("cardea", "wrap", form, "--")) for form in ("server", "client"))
    assert server - client == {flag for (verb, flag), form in FORMS.items() if (verb, form) == ("wrap", "server")} > {"--clients", "--allow"}
    assert client - server == {"--ca", "--chat", "--doh", "--doh-ca", "--doh-configs", "--doh-proxy", "--ech", "--expect"}
    assert not {"or", "standard", "'-'"} & set(bash("cardea", "wrap", "server", ""))
    assert bash("cardea", "wrap", "client", "--starttls", "im") == ["imap"]
    assert bash("cardea", "wrap", "client", "--starttls", "r") == ["rdp"]
    assert bash("cardea", "wrap", "server", "--starttls", "r") == [""], "nobody can answer in it"
    assert bash("cardea", "wrap", "server", "--starttls", "s") == ["smtp", "submission"]
    assert bash("cardea", "check", "--starttls", "postg") == ["postgresql"]
    assert bash("cardea", "wrap", "client", "--proxy", "") == ["v1", "v2"]
    assert bash("cardea", "wrap", "client", "--min-version", "") == ["1.2", "1.3"]
    assert bash("cardea", "wrap", "server", "--tell", "") == ["smtp", "lmtp", "postgresql"]


def test_zsh(script):
    """It loads as a function of the name by which zsh looks for it, and by `source`."""
    path = script("zsh")
    code = 'autoload -U compinit && compinit -D -u && source "$1" && print -r -- $_comps[cardea]'
    assert shell_says("zsh", "-fc", code, "zsh", path) == ["_cardea"]
    text = path.read_text()
    assert text.startswith("#compdef cardea\n")
    cases = dict(re.findall(r"^    (\S+)\) _arguments(.*?) ;;$", text, re.M | re.S))
    more = dict(re.findall(r"^    '(\S+ \S+)'\) more=\((.*?)\) ;;$", text, re.M | re.S))
    for verb, flag in FLAGS:
        form = FORMS.get((verb, flag))
        assert f"'*{flag}[" in (more[f"{verb} {form}"] if form else cases[verb]), (verb, flag)
    assert "'*--proxy[tell the service who visits, in a PROXY header]:what:(v1 v2)'" in cases["expose"]
    assert re.search(r"'\*--key\[[^]]*\]:FILE:_files'", cases["carry"])


def test_fish(script, tmp_path):
    path = script("fish")
    (tmp_path / "door.yaml").touch()

    def offered(line):
        said = shell_says("fish", "--no-config", "-c", f"source {path}; complete -C '{line}'", cwd=tmp_path,
                          env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
        return [row.split("\t")[0] for row in said]
    assert sorted(offered("cardea ")) == sorted(VERBS)
    for verb in VERBS:
        wanted = {flag for of, flag in FLAGS if of == verb and flag.startswith("--") and (of, flag) not in FORMS}
        assert wanted <= set(offered(f"cardea {verb} --")), verb
    assert offered("cardea expose --proxy ") == ["v1", "v2"]
    assert "door.yaml" in offered("cardea serve -c ")
    assert {"--chat", "--expect"} <= set(offered("cardea wrap client --")) - set(offered("cardea wrap server --"))
    assert "imap" in offered("cardea wrap client --starttls ")


def test_usage():
    done = run(CARDEA, "completion", "tcsh")
    assert done.returncode == 2 and b"found 'tcsh', expected bash, zsh or fish" in done.stderr
    done = run(CARDEA, "completion")
    assert done.returncode == 2 and b"for which shell?" in done.stderr
