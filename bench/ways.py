# SPDX-License-Identifier: Apache-2.0
"""The ways that the benchmarks of tunnels send bytes through: how each is found, set up, read and taken down."""
import getpass
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from delay import Delay
from servers import BENCH, PATH, ROOT, Program, fill, free_port, listens, pinned, read

CARDEA = os.environ.get("CARDEA") or str(ROOT / "build/cardea")
SETTLE_SECONDS = 0.3


def found(program):
    return shutil.which(program, path=PATH)


class Way:
    """A tunnel that stands. Whoever connects to `address`:`entry` reaches the application. `far` is the program at the
    end where the server is, `near` that of the client; with a reverse tunnel `entry` is at the server, and `near` is
    beside the application. `direction` is forward, reverse, or agents: only the server is there. `delay`: seconds
    that what passes between the two takes longer each way."""


    name = None                   # its column
    programs = ()                 # what has to be on this machine
    slowness = 1                  # it is given so much less to do
    address = "127.0.0.1"
    far = near = relay = None

    def __init__(self, bench, direction, delay=0, application=None):
        self.bench, self.direction, self.application = bench, direction, application or bench.port
        self.folder = bench.folder / f"{self.name.replace(' ', '-')}-{direction}-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.entry, self.port = free_port(), free_port()
        if delay:
            self.relay = Delay(self.port, delay)
        self.values = {"DIR": self.folder, "DOOR": self.port, "ENTRY": self.entry, "BACKEND": self.application,
                       "ADDRESS": "127.0.0.1", "CERT": bench.certificate / "cert.pem",
                       "KEY": bench.certificate / "key.pem", "PEM": bench.certificate / "both.pem"}
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    @classmethod
    def missing(cls):
        """Why it cannot be measured here, or None."""
        absent = [p for p in cls.programs if not found(p)]
        return f"no {', '.join(absent)} on this machine" if absent else None

    @classmethod
    def version(cls):
        return None

    @property
    def reached(self):
        """The port where `near` finds `far`."""
        return self.relay.port if self.relay else self.port

    @property
    def ends(self):
        """The programs whose processor time is counted; the first is the server's."""
        return [p for p in (self.far, self.near) if p]

    def conf(self, name):
        path = self.folder / name
        path.write_text(fill((BENCH / "conf" / name).read_text(), self.values))
        return path

    def start_far(self, *command):
        self.far = Program("far", command, self.folder, self.bench.cpus[0], self.bench.nofile)
        self.far.wait_until(lambda: listens(self.port))

    def restart_far(self):
        """As after a crash: killed, and started again at the same port."""
        self.far.process.kill()
        self.far.process.wait()
        self.far = Program("far-again", self.far.process.args, self.folder, self.bench.cpus[0], self.bench.nofile)
        self.far.wait_until(lambda: listens(self.port))

    def start_near(self, *command):
        self.near = Program("near", command, self.folder, self.bench.cpus[1])
        self.near.wait_until(lambda: listens(self.entry, self.address))
        time.sleep(SETTLE_SECONDS)

    def stop(self):
        for program in (self.near, self.far):
            if program:
                program.stop()
        if self.relay:
            self.relay.stop()


class Cardea(Way):
    name, transport, programs = "cardea QUIC", "quic", (CARDEA,)
    door_files = 4  # descriptors that the door sets aside for an agent: two for its connection and two for its offer

    def words(self):
        """How a client or an agent reaches the door."""
        return ["--door", f"127.0.0.1:{self.reached}", "--name", "bench.example", "--ca", self.values["CERT"], "--cert",
                self.values["CERT"], "--key", self.values["KEY"], "--transport", self.transport]

    def start(self):
        self.start_far(CARDEA, "serve", "-c", self.conf("tunnel-door.yaml"))
        application = f"127.0.0.1:{self.application}"
        if self.direction == "forward":
            self.start_near(CARDEA, "connect", *self.words(), "--no-share", "-L", f"{self.entry}:{application}")
        elif self.direction == "reverse":
            self.start_near(CARDEA, "expose", "app.bench.example", "--to", application, *self.words(), "--public",
                            "--port", self.entry)

    @classmethod
    def version(cls):
        return subprocess.run([CARDEA, "version"], capture_output=True, text=True, check=True).stdout.split()[1]

    def crowd(self, count):
        """Agents, for Helper: see bench/crowd.c."""
        program = Path(CARDEA).parent / "crowd"
        if not program.exists():
            raise RuntimeError(f"no {program}: `make bench` builds it, or ninja -C {program.parent} crowd")
        return [program, f"127.0.0.1:{self.port}", "bench.example", self.values["CERT"],
                self.values["KEY"], self.transport, count]


class CardeaTcp(Cardea):
    name, transport = "cardea TCP", "tcp"
    door_files = 6  # two for each of its connections


class Ssh(Way):
    name, programs = "ssh", ("ssh", "sshd", "ssh-keygen")
    cipher = ()                   # what it takes by itself

    def __init__(self, *arguments):
        self.agents = []
        super().__init__(*arguments)

    def make_keys(self):
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)

    def words(self):
        return [found("ssh"), "-F", "none", "-N", "-i", self.folder / "user_key", "-p", self.reached,
                *self.cipher, "-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no",
                "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "ExitOnForwardFailure=yes"]

    def start(self):
        self.make_keys()
        self.start_far(found("sshd"), "-D", "-e", "-f", self.conf("tunnel-sshd.conf"))
        if self.direction in ("forward", "reverse"):
            self.start_near(*self.words(), "-L" if self.direction == "forward" else "-R",
                            f"{self.entry}:127.0.0.1:{self.application}", f"{getpass.getuser()}@{self.values['ADDRESS']}")

    def start_agents(self, count):
        """As many clients that each have a port of the server open."""
        ports = [free_port() for _ in range(count)]
        for port in ports:
            agent = Program(f"agent-{port}", [*self.words(), "-R", f"{port}:127.0.0.1:9", f"{getpass.getuser()}@127.0.0.1"],
                            self.folder, self.bench.cpus[1])
            self.agents.append(agent)
        for agent, port in zip(self.agents[-count:], ports):
            agent.wait_until(lambda port=port: listens(port))

    def stop(self):
        for agent in self.agents:
            agent.stop()
        super().stop()

    @classmethod
    def version(cls):
        out = subprocess.run([found("ssh"), "-V"], capture_output=True, text=True)
        return out.stderr.strip().split(",")[0].removeprefix("OpenSSH_")


class SshGcm(Ssh):
    name, cipher = "ssh aes128-gcm", ("-c", "aes128-gcm@openssh.com")


class SshTun(Ssh):
    """ssh -w: a network between two devices. The server and the application are in a network namespace."""
    name, programs, number = "ssh -w", (*Ssh.programs, "ip"), 213
    slowness = 20
    address = "10.214.0.2"
    namespace = f"cardea-bench-{os.getpid()}"
    application_there = None

    @classmethod
    def missing(cls):
        absent = super().missing()
        if not absent and (os.geteuid() != 0 or not os.path.exists("/dev/net/tun") or cls.ip("netns", "add", cls.namespace)):
            return "tun devices and network namespaces cannot be made here"
        cls.ip("netns", "del", cls.namespace)
        return absent

    @staticmethod
    def ip(*words):
        return subprocess.run([found("ip"), *words], capture_output=True).returncode

    def set_up(self, *words):
        for where in ([], ["netns", "exec", self.namespace, found("ip")]):
            mine, other = ("1", "2") if not where else ("2", "1")
            if self.ip(*where, *(w.replace("MINE", mine).replace("OTHER", other) for w in words)):
                raise RuntimeError(f"ip {' '.join(words)} failed")

    def inside(self, *command):
        return [found("ip"), "netns", "exec", self.namespace, *command]

    def start(self):
        self.values["ADDRESS"] = "10.213.0.2"
        self.make_keys()
        if self.ip("netns", "add", self.namespace) or \
                self.ip("link", "add", "cdbench", "type", "veth", "peer", "name", "cdbench", "netns", self.namespace):
            raise RuntimeError("no network namespace could be made")
        self.set_up("addr", "add", "10.213.0.MINE/30", "dev", "cdbench")
        self.set_up("link", "set", "cdbench", "up")
        self.far = Program("far", self.inside(found("sshd"), "-D", "-e", "-f", self.conf("tunnel-sshd.conf")), self.folder,
                           self.bench.cpus[0])
        self.far.wait_until(lambda: listens(self.port, "10.213.0.2"))
        self.application_there = Program("application", self.inside(self.bench.tools / "backend", self.entry, "0.0.0.0"),
                                         self.folder, self.bench.cpus[1])
        device = f"tun{self.number}"
        self.near = Program("near", [*self.words(), "-w", f"{self.number}:{self.number}", "root@10.213.0.2"], self.folder,
                            self.bench.cpus[1])
        self.near.wait_until(lambda: self.ip("link", "show", device) == 0 and
                             self.ip("netns", "exec", self.namespace, found("ip"), "link", "show", device) == 0)
        self.set_up("addr", "add", "10.214.0.MINE", "peer", "10.214.0.OTHER", "dev", device)
        self.set_up("link", "set", device, "up")
        self.near.wait_until(lambda: listens(self.entry, self.address))

    def stop(self):
        super().stop()
        if self.application_there:
            self.application_there.stop()
        self.ip("netns", "del", self.namespace)


class Pair(Way):
    """Two proxies, TLS with client certificates between them: a connection for each session."""
    command = ()                  # what comes before the configuration file
    suffix = ""

    def start(self):
        for half, start in (("far", self.start_far), ("near", self.start_near)):
            start(found(self.name), *self.command, self.conf(f"tunnel-{self.name}-{half}.{self.suffix}"))

    @classmethod
    def version(cls):
        out = subprocess.run([found(cls.name), "-v"], capture_output=True, text=True)
        return re.search(r"(?:HAProxy version |nginx/)(\d[\w.+~-]*)", out.stdout + out.stderr)[1]


class HAProxy(Pair):
    name, programs, command, suffix = "haproxy", ("haproxy",), ("-q", "-db", "-f"), "cfg"


class Nginx(Pair):
    name, programs, command, suffix = "nginx", ("nginx",), ("-c",), "conf"


class Ngtcp2(Way):
    """No tunnel: ngtcp2's own example of a server sends a file (HTTP/3). For what QUIC costs a server."""
    name, folder_of_programs = "ngtcp2", None

    @classmethod
    def missing(cls):
        made = subprocess.run([BENCH / "peers/ngtcp2"], stdout=subprocess.PIPE, text=True)
        cls.folder_of_programs = Path(made.stdout.strip()) if made.returncode == 0 else None
        return None if cls.folder_of_programs else "no ngtcp2-server could be had"

    def start(self):
        self.far = Program("far", [self.folder_of_programs / "gtlsserver", "-q", "-d", self.folder, "127.0.0.1", self.port,
                                   self.values["KEY"], self.values["CERT"]], self.folder, self.bench.cpus[0])
        self.far.wait_until(lambda: f":{self.port:04X} " in read("/proc/net/udp"))

    @classmethod
    def version(cls):
        return read(cls.folder_of_programs / "version").strip() or "?"


class Direct(Way):
    """No tunnel: the client connects to the application. What it cannot do better, no tunnel can."""
    name = "no tunnel"

    def start(self):
        self.entry = self.application


WAYS = [Cardea, CardeaTcp, Ssh, SshGcm, SshTun, HAProxy, Nginx, Ngtcp2, Direct]
