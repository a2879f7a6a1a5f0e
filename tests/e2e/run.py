# SPDX-License-Identifier: Apache-2.0
"""What every helper needs: free ports, bounded waits, child processes that are ended by their own id."""
import fcntl
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CARDEA = os.environ.get("CARDEA", str(ROOT / "build" / "cardea"))


def sanitizer():
    """ "address", "thread" or None: what the binary under test was built with."""
    try:
        code = Path(CARDEA).read_bytes()
    except OSError:
        return None
    if b"__tsan_init" in code:
        return "thread"
    return "address" if b"__asan_init" in code else None


SANITIZER = sanitizer()
# GCC's runtime takes what a library brought by dlopen() has per thread for what it is not, and crashes when it looks for leaks.
os.environ.setdefault("ASAN_OPTIONS", "intercept_tls_get_addr=0")

# Every wait is multiplied by this: sanitizer builds are slow.
SLOW = float(os.environ.get("CARDEA_SLOW", {"address": "4", "thread": "8"}.get(SANITIZER, "1")))

# For what a test waits for in any case, such as the end of a certificate: longer too, but not by as much.
PACE = min(SLOW, {"address": 2.0, "thread": 4.0}.get(SANITIZER, SLOW))

_given = set()
# Who has been given a port keeps it until the process ends: a lock on the byte of that number in a file that all test runs
# of this user share. Several of them at once (pytest -n, two checkouts) are so kept from giving out the same one.
_claims = os.open(f"{tempfile.gettempdir()}/cardea-test-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def claimed(port):
    try:
        fcntl.lockf(_claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):
        return False
    return True


def unused(port):
    """Nobody has it in TCP or UDP."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def free_port():
    """A port of 127.0.0.1 that nobody listens on, outside the range of outgoing connections (door.py keeps those from 22000);
    never given twice, nor by two processes at once."""
    while True:
        port = random.randrange(10000, 22000)
        if port in _given or not claimed(port) or not unused(port):
            continue
        _given.add(port)
        return port


def ms(count):
    """A duration for a test's configuration, longer where everything is slower."""
    return f"{round(count * SLOW)}ms"


def wait_until(condition, what, timeout=10.0, step=0.01):
    """The first true answer of `condition`; fails with `what` after `timeout` (times SLOW) seconds."""
    end = time.monotonic() + timeout * SLOW
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited {timeout * SLOW:.0f} s for {what() if callable(what) else what}"
        time.sleep(step)


def listening(port):
    """True when something listens on the TCP port. Reads the kernel's table: a probe would be a connection."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                return True
    return False


def wait_listening(port, process=None, timeout=10.0):
    def ready():
        assert process is None or process.poll() is None, f"{process.name} ended early:\n{process.output()}"
        return listening(port)
    wait_until(ready, f"a listener on port {port}", timeout)


class Process:
    """A child process whose standard output and error go to files in `directory`."""

    def __init__(self, argv, directory, name, **options):
        self.name = name
        self.out = Path(directory) / f"{name}.out"
        self.err = Path(directory) / f"{name}.err"
        with open(self.out, "ab") as out, open(self.err, "ab") as err:
            options.setdefault("stdin", subprocess.DEVNULL)
            self.child = subprocess.Popen([str(word) for word in argv], stdout=out, stderr=err, **options)

    @property
    def pid(self):
        return self.child.pid

    def poll(self):
        return self.child.poll()

    def output(self):
        return self.out.read_text(errors="replace") + self.err.read_text(errors="replace")

    def send(self, number):
        self.child.send_signal(number)

    def pause(self):
        """Stop it, all its threads, until it is sent SIGCONT."""
        self.send(signal.SIGSTOP)
        stats = [path / "stat" for path in Path(f"/proc/{self.pid}/task").iterdir()]
        wait_until(lambda: all(stat.read_text().rpartition(") ")[2].startswith("T") for stat in stats), "a pause")

    def wait(self, timeout=15.0):
        """The exit code; a process that does not end in time is killed and fails the test."""
        try:
            return self.child.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"{self.name} did not end in {timeout * SLOW:.0f} s:\n{self.output()}") from None

    def stop(self, number=signal.SIGTERM, timeout=15.0):
        if self.child.poll() is None:
            self.child.send_signal(number)
        return self.wait(timeout)

    def cpu_seconds(self):
        """User and system time used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self):
        """Resident memory in bytes."""
        for row in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if row.startswith("VmRSS:"):
                return int(row.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def assert_no_sanitizer_output(text):
    for mark in ("Sanitizer", "runtime error:"):
        assert mark not in text, text


def run(*argv, timeout=30.0, **options):
    """Run to the end; CompletedProcess with bytes. Fails on time-out and on what a sanitizer says."""
    options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
    if options["stdin"] is None:
        del options["stdin"]
    done = subprocess.run([str(word) for word in argv], capture_output=True, timeout=timeout * SLOW, **options)
    assert_no_sanitizer_output(done.stderr.decode(errors="replace"))
    return done
