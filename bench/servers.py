# SPDX-License-Identifier: Apache-2.0
"""The servers that are measured: how each is found, configured, started, read and ended."""
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
NOFILE = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # what each server may open
START_SECONDS = 10
PATH = "/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", "")

TERMINATE = {"full", "echo", "resumed", "down", "up", "trips", "idle"}
PASS = {"pass", "down-pass", "up-pass", "idle-pass"}
HYBRID = {"hybrid"}
# Protocols in which TLS is asked for, and what the application greets with.
STARTTLS = {"smtp": "220 app", "imap": "* OK app", "postgresql": None}
WAYS = {f"{protocol}{kind}" for protocol in STARTTLS for kind in ("", "-down", "-idle")}


@dataclass(frozen=True)
class Peer:
    """One program. `fresh` and `tickets` fill the places of its configuration that differ between a server whose
    clients do not come back and one whose clients resume."""
    name: str
    command: str                       # what follows the program; @CONF@ is its configuration file
    conf: str                          # its template in bench/conf/, "" where its arguments say all
    version: str                       # arguments that make it print its version, "" where it has none
    rows: frozenset
    programs: tuple                    # the first that exists is taken
    fresh: dict = field(default_factory=dict)
    tickets: dict = field(default_factory=dict)
    at_once: int = 0                   # where it cannot do as many connections at once as a row asks for
    holds: int = 0                     # where it cannot hold as many

    def program(self):
        """The program's path, or None where this machine has none."""
        return next((found for found in (shutil.which(p, path=PATH) for p in self.programs) if found), None)

    def describe(self):
        """Its version, in one line."""
        out = subprocess.run([self.program(), *self.version.split()], capture_output=True, text=True,
                             stdin=subprocess.DEVNULL, timeout=10)
        text = out.stdout + out.stderr
        version = re.search(r"(?:HAProxy version |nginx/|stunnel |hitch |sslh-\w+ |cardea )(\d[\w.+~-]*)", text)
        library = re.findall(r"(?:Running +(?:on|with)[ \w]*:? *|built with +)((?:OpenSSL|AWS-LC) [\d.]+)", text)
        return " ".join([version[1] if version else "?"] + (["on " + library[-1]] if library else []))


def known_peers(haproxy_awslc=None):
    """Every peer, in the order of the table's columns. `haproxy_awslc`: a HAProxy built on AWS-LC, if there is one."""
    haproxy = dict(conf="haproxy.cfg", command="-q -db -f @CONF@", version="-vv",
                   fresh={"HAPROXY_BIND": "no-tls-tickets"}, tickets={"HAPROXY_BIND": ""})
    return [
        Peer("cardea", "serve -c @CONF@", "cardea.yaml", "version", frozenset(TERMINATE | PASS | HYBRID | WAYS),
             (os.environ.get("CARDEA") or str(ROOT / "build/cardea"),),
             {"CARDEA_TICKETS": "false"}, {"CARDEA_TICKETS": "true"}),
        Peer("haproxy", rows=frozenset(TERMINATE | PASS), programs=("haproxy",), **haproxy),
        Peer("haproxy-awslc", rows=frozenset(TERMINATE | PASS | HYBRID), programs=(haproxy_awslc or "none",),
             **haproxy),
        Peer("nginx", "-c @CONF@", "nginx.conf", "-V", frozenset(TERMINATE | PASS), ("nginx",),
             {"NGINX_SSL": "ssl_session_tickets off; ssl_session_cache off;"},
             {"NGINX_SSL": "ssl_session_tickets on; ssl_session_cache none;"}),
        Peer("stunnel", "@CONF@", "stunnel.conf", "-version", frozenset(TERMINATE | WAYS), ("stunnel4", "stunnel"),
             {"STUNNEL_SSL": "sessionResume = no\noptions = NO_TICKET"},
             {"STUNNEL_SSL": f"sessionResume = yes\nticketKeySecret = {'ab' * 16}\nticketMacSecret = {'cd' * 16}"}),
        Peer("hitch", "--config=@CONF@", "hitch.conf", "--version", frozenset(TERMINATE), ("hitch",)),
        # Its 1.20 mixes up connections that come and go at once, and select() holds no descriptor above 1,023.
        Peer("sslh", "-F@CONF@", "sslh.cfg", "-V", frozenset(PASS), ("sslh-select",), at_once=1, holds=400),
        # No peer: what the kernel and AWS-LC cost by themselves (bench/floor.c).
        Peer("floor", "@TLS@ @PASS@ @BACKEND@ @CERT@ @KEY@ @FLOOR_TICKETS@", "", "",
             frozenset(TERMINATE | PASS | HYBRID), (str(ROOT / "build/bench/floor"),),
             {"FLOOR_TICKETS": "0"}, {"FLOOR_TICKETS": "1"}),
    ]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(cpu, nofile=NOFILE):
    """To be called in a child before exec: the processor it shall keep to, and as many descriptors as it may have."""
    def prepare():
        os.sched_setaffinity(0, {cpu})
        resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
    return prepare


def raise_nofile(wanted):
    """Lets programs that are started from now on have so many descriptors, where we may. Returns how many they may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, max(hard, wanted)))
    except (ValueError, OSError):
        pass
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def most_connections():
    """How many connections every server can hold here: two descriptors each, and some for itself (stunnel allows
    itself 125 connections for each 256 descriptors, the others a few more)."""
    return NOFILE * 120 // 256


def listens(port, address="127.0.0.1"):
    with socket.socket() as s:
        return s.connect_ex((address, port)) == 0


def cpu_ns_of(pid):
    """The CPU-time clock of another process, clock_getcpuclockid(3): exact, and it covers threads that have ended."""
    return time.clock_gettime_ns(~pid << 3 | 2)


class Program:
    """A running program, on one processor, with all the processes below it."""

    def __init__(self, name, command, folder, cpu, nofile=NOFILE):
        self.name, self.folder = name, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = open(self.folder / f"{name}.log", "wb")
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, preexec_fn=pinned(cpu, nofile))

    def wait_until(self, ready):
        """Until READY() is true; a program that ends before, or takes too long, is a RuntimeError with what it said."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            if ready():
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self.name} does not start: {self.said()[-800:]}")

    def said(self):
        return (self.folder / f"{self.name}.log").read_text(errors="replace").strip()

    def processes(self):
        """Its process and all below it."""
        children = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                stat = read(f"/proc/{entry}/stat")
                if stat:
                    children.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_ns(self):
        """Processor time of all its processes and threads, also those that have ended, in nanoseconds."""
        total, tick = 0, 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        for pid in self.processes():
            try:
                total += cpu_ns_of(pid)
                fields = read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
                total += (int(fields[13]) + int(fields[14])) * tick  # children that have ended
            except (OSError, IndexError):
                continue
        return total

    def memory_bytes(self):
        """Memory of its own (heap, stacks, shared anonymous) over all its processes; shared pages count once."""
        total = 0
        for pid in self.processes():
            for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += int(line.split()[1]) * 1024
        return total

    def stop(self):
        pids = self.processes()
        for sig, patience in ((signal.SIGTERM, 2), (signal.SIGKILL, 5)):
            for pid in pids:
                try:
                    os.kill(pid, sig)
                except ProcessLookupError:
                    pass
            try:
                self.process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        self.log.close()


class Server(Program):
    """A running server with its own folder and ports."""

    def __init__(self, peer, variant, folder, cpu, backend_port, certificate, starttls=None):
        self.peer, self.folder = peer, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tls_port, self.pass_port = free_port(), free_port()
        if peer.name == "cardea":
            self.pass_port = self.tls_port
        values = {"TLS": self.tls_port, "PASS": self.pass_port, "BACKEND": backend_port, "DIR": self.folder,
                  "NOFILE": NOFILE, "CONNECTIONS": most_connections(),
                  "CERT": certificate / "cert.pem", "KEY": certificate / "key.pem", "PEM": certificate / "both.pem",
                  "CARDEA_SPEAKS": starttls or "tls", "NGINX_GROUPS": "X25519:prime256v1",
                  "STUNNEL_PROTOCOL": f"protocol = {'pgsql' if starttls == 'postgresql' else starttls}" if starttls else "",
                  **getattr(peer, variant)}
        if peer.conf:
            values["CONF"] = self.folder / peer.conf
            values["CONF"].write_text(fill((BENCH / "conf" / peer.conf).read_text(), values))
        command = [peer.program(), *fill(peer.command, values).split()]
        super().__init__(peer.name, command, self.folder, cpu)
        self.wait_until(lambda: listens(self.tls_port if peer.rows & TERMINATE else self.pass_port))
        time.sleep(0.2)


def fill(text, values):
    return re.sub(r"@([A-Z_]+)@", lambda m: str(values[m.group(1)]), text)


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""
