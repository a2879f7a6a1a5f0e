# SPDX-License-Identifier: Apache-2.0
"""The Debian package: what is in it, that it installs, serves as its unit says, and goes without a trace.

It is made once out of the build under test, and installed by the real dpkg on a copy of this machine's files: an overlay,
in namespaces of the test's own, with its own network."""
import configparser
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import syscall_filter
from run import CARDEA, ROOT, SANITIZER, Process, run, wait_until
from test_service_manager import Manager

DPKG = [tool for tool in ("dpkg-deb", "dpkg-shlibdeps", "strip") if shutil.which(tool) is None]
pytestmark = [pytest.mark.skipif(bool(DPKG), reason=f"no {DPKG} here"),
              pytest.mark.skipif(SANITIZER is not None, reason="not what is shipped")]
UNITS = "/usr/lib/systemd/system"


def make(directory, **env):
    done = run(ROOT / "packaging" / "deb", "--build", Path(CARDEA).parent, "--output", directory,
               env={**os.environ, **env}, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return Path(done.stdout.decode().strip())


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return make(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def unpacked(package, tmp_path_factory):
    directory = tmp_path_factory.mktemp("unpacked")
    assert run("dpkg-deb", "-x", package, directory).returncode == 0
    return directory


# What is in it --------------------------------------------------------------------------------------------------------

def test_version_is_that_of_the_program(package):
    version = run(CARDEA, "version").stdout.decode().split()[1]
    said = run("dpkg-deb", "-f", package, "Version", "Depends").stdout.decode()
    assert re.search(rf"^Version: {re.escape(version)}-", said)
    assert "libc6 (" in said and "libnghttp2-14" in said, "the libraries it was linked with"


def test_files(package, unpacked):
    rows = [row.split(None, 5) for row in run("dpkg-deb", "-c", package).stdout.decode().splitlines()]
    assert {row[1] for row in rows} == {"root/root"}
    assert not [row for row in rows if row[0][8] == "w"], "nobody else may write any of it"
    assert {row[0] for row in rows if row[5] == "./usr/bin/cardea"} == {"-rwxr-xr-x"}
    files = {f"/{path.relative_to(unpacked)}" for path in unpacked.rglob("*") if path.is_file()}
    pages = {f"/usr/share/man/man{page.suffix[1:]}/{page.name}.gz" for page in (ROOT / "doc" / "man").iterdir()}
    assert files == pages | {
        "/etc/cardea/cardea.yaml", "/usr/bin/cardea", "/usr/lib/sysusers.d/cardea.conf",
        f"{UNITS}/cardea.service", f"{UNITS}/cardea.socket", f"{UNITS}/cardea@.service", f"{UNITS}/cardea@.socket",
        "/usr/share/bash-completion/completions/cardea", "/usr/share/zsh/vendor-completions/_cardea",
        "/usr/share/fish/vendor_completions.d/cardea.fish", "/usr/share/doc/cardea/copyright",
        "/usr/share/doc/cardea/changelog.gz", "/usr/share/doc/cardea/changelog.Debian.gz"}
    assert not [path for path in unpacked.rglob("*") if path.is_file() and b"@BINDIR@" in path.read_bytes()]


def test_same_bytes_again(package, tmp_path):
    """Whenever and by whomever it is made, with a date of its own too."""
    digest = hashlib.sha256(package.read_bytes()).digest()
    assert hashlib.sha256(make(tmp_path, TZ="Asia/Tokyo", LANG="C").read_bytes()).digest() == digest
    dated = make(tmp_path, SOURCE_DATE_EPOCH="1000000000")
    assert "2001-09-09 01:46" in run("dpkg-deb", "-c", dated, env={**os.environ, "TZ": "UTC"}).stdout.decode()


@pytest.mark.skipif(shutil.which("lintian") is None, reason="no lintian here")
def test_lintian(package):
    done = run("lintian", "--allow-root", "--fail-on", "error,warning", package, timeout=120)
    assert done.returncode == 0, done.stdout.decode()


@pytest.mark.skipif(shutil.which("man") is None, reason="no man here")
@pytest.mark.skipif(not Path("/usr/share/groff").is_dir(), reason="no groff here")
def test_manual_renders(unpacked):
    pages = sorted((unpacked / "usr/share/man").rglob("*.gz"))
    assert pages
    for page in pages:
        done = run("man", "--warnings", "-l", page, env={**os.environ, "LC_ALL": "C.UTF-8", "MANPAGER": "cat"})
        assert done.returncode == 0 and done.stderr == b"" and len(done.stdout) > 1000, (page, done.stderr.decode())
        if shutil.which("lexgrog"):
            assert run("lexgrog", page).returncode == 0, f"{page}: apropos does not find it"


def test_install_without_debian(tmp_path):
    """Under a prefix of one's own; a configuration that is there stays."""
    config = tmp_path / "opt/etc/cardea/cardea.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("mine\n")
    done = run(ROOT / "packaging" / "install", "--build", Path(CARDEA).parent, "--prefix", "/opt",
               env={**os.environ, "DESTDIR": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, b"")
    assert run(tmp_path / "opt/bin/cardea", "version").returncode == 0
    assert config.read_text() == "mine\n"
    unit = (tmp_path / "opt/lib/systemd/system/cardea.service").read_text()
    assert "\nExecStart=/opt/bin/cardea serve -c /opt/etc/cardea/cardea.yaml\n" in unit
    done = run(ROOT / "packaging" / "install", "--prefix", "opt")
    assert done.returncode == 2 and b"expected an absolute path" in done.stderr


# Installed ------------------------------------------------------------------------------------------------------------

class Machine:
    """A copy of this machine; what is written to it is in `written`."""

    SCRIPT = """set -e
        mount -t tmpfs tmpfs "$1"
        mkdir "$1/written" "$1/work" "$1/root"
        mount -t overlay overlay -o "lowerdir=/,upperdir=$1/written,workdir=$1/work" "$1/root"
        mount -t proc proc "$1/root/proc"
        mount --rbind /dev "$1/root/dev"
        mount -t tmpfs tmpfs "$1/root/run"
        ip link set lo up
        echo made
        exec sleep 3600"""

    def __init__(self, directory):
        self.directory = directory
        self.started = []
        self.holder = subprocess.Popen(["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", self.SCRIPT,
                                        "sh", str(directory)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.holder.stdout.readline() != b"made\n":
            pytest.skip(f"namespaces and overlays are not for us: {self.holder.communicate()[1].decode()}")
        seen = Path(f"/proc/{self.holder.pid}/root{directory}")
        self.root, self.written = seen / "root", seen / "written"
        self.within = ["nsenter", "-t", str(self.holder.pid), "-m", "-n", "chroot", f"{directory}/root"]

    def run(self, *words, **options):
        return run(*self.within, *words, **options)

    def dpkg(self, *words):
        done = self.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *words, timeout=60)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()

    def close(self):
        for process in self.started:
            process.child.kill()
            process.child.wait()
        self.holder.kill()
        self.holder.communicate()


@pytest.fixture
def machine(tmp_path, package):
    """Where the package is installed."""
    machine = Machine(tmp_path)
    with contextlib.closing(machine):
        shutil.copy(package, machine.root / "cardea.deb")
        (machine.root / "var/lib/man-db/auto-update").unlink(missing_ok=True)  # its trigger takes seconds
        machine.dpkg("--force-depends", "-i", "/cardea.deb")
        yield machine


class Service:
    """A unit, run as systemd would run it as far as its settings for user, capabilities, folders and system calls go."""

    def __init__(self, machine, name, instance="", credentials=()):
        self.machine = machine
        text = (machine.root / UNITS[1:] / name).read_text().replace("%i", instance).replace("%t", "/run")
        parser = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes="#")
        parser.optionxform = str
        parser.read_string(text)
        unit = self.unit = parser["Service"]
        self.user = unit["User"]
        self.filter = []
        if shutil.which("systemd-analyze"):
            (machine.root / "filter").write_bytes(syscall_filter.program(re.findall("^SystemCallFilter=(.*)$", text, re.M)))
            shutil.copy(syscall_filter.__file__, machine.root / "filter.py")
            self.filter = ["/usr/bin/python3", "/filter.py", "/filter"]
        for setting, above in (("RuntimeDirectory", "run"), ("StateDirectory", "var/lib"), ("LogsDirectory", "var/log")):
            self.folder(f"/{above}/{unit[setting]}")
        self.env = [unit["Environment"]]
        if credentials:
            self.folder("/run/credentials", dict(credentials))
            self.env.append("CREDENTIALS_DIRECTORY=/run/credentials")
        self.manager = Manager(f"/proc/{machine.holder.pid}/root{machine.within[-1]}/run/notify")
        (machine.root / "run/notify").chmod(0o666)

    def folder(self, path, files=None):
        inside = self.machine.root / path[1:]
        inside.mkdir(parents=True, exist_ok=True)
        for name, content in (files or {}).items():
            (inside / name).write_bytes(content)
            (inside / name).chmod(0o400)
        assert self.machine.run("chown", "-R", f"{self.user}:{self.user}", path).returncode == 0

    def words(self, setting, *more):
        caps = "+" + self.unit["AmbientCapabilities"].removeprefix("CAP_").lower()
        return [*self.machine.within, "setpriv", "--reuid", self.user, "--regid", self.unit["Group"], "--clear-groups",
                "--no-new-privs", "--bounding-set", f"-all,{caps}", "--inh-caps", f"-all,{caps}",
                "--ambient-caps", f"-all,{caps}", "env", "-i", "PATH=/usr/bin:/bin", *self.env, *more,
                *self.filter, *self.unit[setting].split()]

    def start(self):
        self.process = Process(self.words("ExecStart", "NOTIFY_SOCKET=/run/notify", "WATCHDOG_USEC=2000000"),
                               self.machine.directory, "service")
        self.machine.started.append(self.process)

        def ready():
            assert self.process.poll() is None, self.process.output()
            return "READY=1" in "".join(self.manager.listen())
        wait_until(ready, "READY=1")
        return self.manager.wait_for("READY=1")

    def reload(self):
        return run(*self.words("ExecReload"))

    def stop(self):
        """It says so, and the status of those who wait for it is good."""
        self.process.send(signal.SIGTERM)
        self.manager.wait_for("STOPPING=1")
        code = self.process.wait()
        self.manager.socket.close()
        assert code == 0, self.process.output()


def test_unit_serves_reloads_and_stops(machine, pki):
    """The default configuration at first; then one with a low port and a key that is a credential."""
    issued = pki.server("door.example.com")
    service = Service(machine, "cardea.service", credentials={"door.key": Path(issued.key).read_bytes()}.items())
    assert "STATUS=serving 1 route on 127.0.0.1:8443; 0 connections open" in service.start()
    service.manager.wait_for("WATCHDOG=1")
    inside = Path(f"/proc/{service.process.pid}/status").read_text()
    assert re.search(r"^CapEff:\s*0*400$", inside, re.M) and re.search(r"^NoNewPrivs:\s*1$", inside, re.M), inside
    assert not re.search(r"^Uid:\s*0\b", inside, re.M)
    assert not service.filter or re.search(r"^Seccomp:\s*2$", inside, re.M), inside
    done = machine.run("openssl", "s_client", "-connect", "127.0.0.1:8443", "-servername", "x.example.com")
    assert b"unrecognized name" in done.stderr
    assert machine.run("cardea", "status", env={"PATH": os.environ["PATH"]}).returncode == 0, "root finds the service's door"

    shutil.copy(issued.certificate, machine.root / "etc/cardea/door.pem")
    config = machine.root / "etc/cardea/cardea.yaml"
    default = config.read_text()
    config.write_text("listeners: [{address: '127.0.0.1:443'}]\n"
                      "certificates: [{certificate: door.pem, key: 'credential:door.key'}]\n"
                      "routes: [{name: app, terminate: {to: '127.0.0.1:1'}}]\n")
    assert service.reload().returncode == 0
    service.manager.wait_for("RELOADING=1")
    assert "STATUS=serving 1 route on 127.0.0.1:443" in service.manager.wait_for("READY=1")
    done = machine.run("openssl", "s_client", "-connect", "127.0.0.1:443", "-servername", "door.example.com")
    assert b"CN = door.example.com" in done.stdout

    config.write_text("routes: nonsense\n")
    done = service.reload()
    assert done.returncode == 1 and b"cardea.yaml:1:9: routes: " in done.stderr
    config.write_text(default)
    service.stop()
    assert list((machine.root / "run/cardea").iterdir()) == [], "the admin socket goes with the door"


def test_instance_has_a_configuration_of_its_own(machine):
    (machine.root / "etc/cardea/mail.yaml").write_text(
        "listeners: [{address: '127.0.0.1:993'}]\nroutes: [{name: a, pass: {to: '127.0.0.1:1'}}]\n")
    service = Service(machine, "cardea@.service", "mail")
    assert "STATUS=serving 1 route on 127.0.0.1:993" in service.start()
    assert (machine.root / "run/cardea-mail/cardea.sock").is_socket()
    assert service.reload().returncode == 0
    service.stop()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_units_are_good(machine):
    units = machine.root / UNITS[1:]
    shutil.copy(units / "cardea@.socket", units / "cardea@993.socket")  # a template's port is no port
    for name in ("cardea.service", "cardea@.service", "cardea.socket", "cardea@993.socket"):
        done = machine.run("systemd-analyze", "verify", "--man=no", f"{UNITS}/{name}", timeout=60)
        ours = [line for line in done.stderr.decode().splitlines() if "cardea" in line]
        assert ours == [] and done.returncode == 0, (name, done.stderr.decode())
    for name in ("cardea.service", "cardea@.service"):
        done = machine.run("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", f"{UNITS}/{name}")
        assert done.returncode == 0, done.stdout.decode()


def test_nothing_is_left(machine):
    """Removed, the configuration stays as somebody has changed it; purged, nothing does, not even the user."""
    config = machine.root / "etc/cardea/cardea.yaml"
    with open(config, "a", encoding="utf-8") as file:
        file.write("# mine\n")
    assert "cardea:" in (machine.root / "etc/passwd").read_text()
    service = Service(machine, "cardea.service")
    service.start()
    service.stop()
    wants = machine.root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "cardea.service").symlink_to(f"{UNITS}/cardea.service")

    machine.dpkg("-r", "cardea")
    assert config.read_text().endswith("# mine\n")
    assert not (machine.root / "usr/bin/cardea").exists() and not (machine.root / UNITS[1:] / "cardea.service").exists()

    machine.dpkg("-P", "cardea")
    assert "cardea" not in (machine.root / "etc/passwd").read_text() + (machine.root / "etc/group").read_text()
    left = [path for path in machine.written.rglob("*") if "cardea" in path.name and path.name != "cardea.deb"
            and (machine.root / path.relative_to(machine.written)).is_symlink() | path.is_file()]
    assert left == [], "a file that is neither this machine's own nor gone"


def test_what_others_put_beside_the_configuration_stays(machine):
    key = machine.root / "etc/cardea/door.key"
    key.write_text("secret\n")
    machine.dpkg("-P", "cardea")
    assert key.read_text() == "secret\n" and not (machine.root / "etc/cardea/cardea.yaml").exists()


def test_upgrade_keeps_a_changed_configuration(machine):
    config = machine.root / "etc/cardea/cardea.yaml"
    config.write_text("# mine\n")
    machine.dpkg("--force-depends", "--force-confold", "-i", "/cardea.deb")
    assert config.read_text() == "# mine\n"
