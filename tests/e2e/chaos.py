# SPDX-License-Identifier: Apache-2.0
"""A storm: visitors of every kind of tunnel while door, agents and targets are killed, stopped, reloaded at random; and
what must hold then. tests/e2e/test_chaos.py does it for seconds, tests/soak/test_chaos.py for minutes.

    CARDEA_CHAOS_SEED=17 ...        the same dice again (which visitor meets which kill is left to chance all the same)
"""
import collections
import contextlib
import json
import os
import random
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import tls
from agents import Agent
from door import to_yaml
from fixtures import clean_env, connect_words
from peers import HERE
from run import CARDEA, SANITIZER, SLOW, Process, assert_no_sanitizer_output, free_port, run, wait_listening, wait_until

# What a visitor may have to wait for, one after the other: an agent that was there lately, its answer, a door or an
# agent over QUIC that has gone without a word, what was stopped.
GRACE, DIAL, IDLE, STOPPED = 4, 2, 6, 3
BOUND = (GRACE + 2 * DIAL + IDLE + STOPPED + 5) * SLOW
BACK = 20               # seconds until everything is offered and reached again
PIECE = 16384
UNDER_WAY = 4 * PIECE   # bytes that were sent and are not back yet, at most
THREADS = 14
NOISE = random.Random(1).randbytes(1000003)


def seed():
    """From the environment, or made up; printed, so that a failure can be tried again."""
    number = int(os.environ.get("CARDEA_CHAOS_SEED") or random.randrange(1 << 30))
    print(f"\nCARDEA_CHAOS_SEED={number}")
    return number


def pattern(start, at, size):
    """Bytes of the endless pattern that begins at `start`: another one at each place."""
    data, at = b"", (start + at) % len(NOISE)
    while len(data) < size:
        data += NOISE[at:at + size - len(data)]
        at = 0
    return data


class Wrong(Exception):
    """What must not happen, whatever is killed."""


class Early(EOFError):
    """The stream ended in order, though not all bytes had come: right only where the target's did."""


# Who is killed ----------------------------------------------------------------------------------------------------

class Victim:
    """A process that is started again whenever it was killed, as a supervisor does."""

    def __init__(self, name, start):
        self.name = name
        self.begin = start
        self.lock = threading.Lock()
        self.process = start()

    def kill(self):
        self.process.send(signal.SIGKILL)
        self.process.wait()
        self.process = self.begin()

    def pause(self, seconds):
        self.process.send(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send(signal.SIGCONT)

    def alive(self):
        return self.process.poll() is None


class DoorVictim(Victim):
    """The door. `era` is another number after each start; `cut_short` are those that were killed with -9."""

    def __init__(self, door):
        self.door = door
        self.era = 0
        self.cut_short = set()
        super().__init__("door", lambda: door.process)

    def kill(self):
        self.door.process.send(signal.SIGKILL)
        self.cut_short.add(self.era)
        self.door.process.wait()
        self.again()

    def stop(self):
        """In order: it ends by itself, with 0."""
        self.door.stop()
        self.again()

    def again(self):
        self.era += 1
        self.door.start()
        self.process = self.door.process

    def reload(self):
        self.door.process.send(signal.SIGHUP)


# The world --------------------------------------------------------------------------------------------------------

class World:
    """A door, two agents that offer services of every kind, their targets, and clients with tunnels."""

    def __init__(self, pki, directory, runtime):
        self.pki, self.directory = pki, Path(directory)
        self.env = clean_env(directory, XDG_RUNTIME_DIR=str(runtime), CARDEA_SHARE="10m")
        self.ports = {name: free_port() for name in ("port-quic", "port-tcp", "udp-quic", "udp-tcp")}
        self.target, self.echo_udp = free_port(), free_port()
        self.started = collections.Counter()
        self.agents_of_all_times = []
        self.victims, self.clients = {}, []
        self.door = None
        self.local = {name: free_port() for name in ("quic", "tcp", "name", "udp")}

    def begin(self, start_door):
        self.victims = {"target": Victim("target", self.start_target)}
        self.door = start_door(self.config())
        self.victims["door"] = self.door_victim = DoorVictim(self.door)
        for way in ("quic", "tcp"):
            self.victims[f"agent-{way}"] = Victim(f"agent-{way}", lambda way=way: self.start_agent(way))
        for what in (("quic", "name"), ("tcp",), ("udp",)):
            self.clients.append(self.start_client(*what))

    def config(self):
        clients = {"mode": "optional", "trust": "staff"}
        ports = sorted(self.ports.values())
        return {
            "workers": 2,
            "certificates": [self.pki.server("door.test").row(), self.pki.server("*.apps.test").row()],
            "trust": [self.pki.trust()],
            "agents": {"grace": f"{GRACE}s"},
            "quic": {"idle_timeout": f"{IDLE}s"},
            "limits": {"per_source": 20000, "udp_idle_timeout": "2s", "dial_timeout": f"{DIAL}s",
                       "drain_timeout": "1s"},
            "routes": [
                {"name": "tunnel", "sni": "door.test", "tunnel": {},
                 "clients": {"mode": "required", "trust": "staff"}},
                {"name": "apps", "sni": "*.apps.test", "expose": {}, "clients": clients},
                {"name": "pass", "sni": "pass.test", "pass": {"to": f"127.0.0.1:{self.target}"}},
            ],
            "policy": [{"name": "ops", "who": {"group": "ops"},
                        "targets": ["127.0.0.0/8:*", "udp:127.0.0.0/8:*", "name:*.apps.test", "offer:*.apps.test",
                                    "public:*.apps.test", f"public:*.apps.test:{ports[0]}-{ports[-1]}"]}],
        }

    def name(self, what):
        self.started[what] += 1
        return f"{what}-{self.started[what]}"

    def start_target(self):
        process = Process([sys.executable, HERE / "echo_process.py", self.target, self.echo_udp], self.directory,
                          self.name("target"))
        wait_listening(self.target, process)
        return process

    def services(self, way):
        cert = self.pki.server("*.sealed.apps.test", f"sealed-{way}.apps.test")
        to = {"to": f"127.0.0.1:{self.target}"}
        return [
            {"name": "both.apps.test", **to},
            {"name": f"open-{way}.apps.test", **to, "kind": "public"},
            {"name": f"port-{way}.apps.test", **to, "kind": "public", "port": self.ports[f"port-{way}"]},
            {"name": f"sealed-{way}.apps.test", **to, "kind": "end-to-end", "certificate": cert.certificate,
             "key": cert.key, "clients": self.pki.staff.file},
            {"name": f"udp-{way}.apps.test", "to": f"127.0.0.1:{self.echo_udp}", "kind": "public", "proto": "udp",
             "port": self.ports[f"udp-{way}"]},
        ]

    def start_agent(self, way):
        file = self.directory / f"agent-{way}.yaml"
        file.write_text(to_yaml({"services": self.services(way)}))
        agent = Agent(self.directory, self.door.address, self.pki, "-c", file, "--transport", way, "--grace", "1s",
                      "--json", name=self.name(f"agent-{way}"))
        self.agents_of_all_times.append(agent)
        return agent

    def start_client(self, *what):
        to = {"quic": f"127.0.0.1:{self.target}", "tcp": f"127.0.0.1:{self.target}", "name": "both.apps.test",
              "udp": f"127.0.0.1:{self.echo_udp}"}
        words = [word for each in what for word in ("-L", f"{self.local[each]}:{to[each]}")]
        process = Process([*connect_words(self.door, self.pki.alice, self.pki.ca.file), "--transport",
                           "tcp" if what == ("tcp",) else "quic", *(["--udp"] if what == ("udp",) else []), *words],
                          self.directory, f"connect-{what[0]}", env=self.env)
        wait_until(lambda: process.output().count("listening on") >= len(what), lambda: process.output()[-500:])
        return process

    def daemons(self):
        """What is known of the processes that carry the calls of this user."""
        done = run(CARDEA, "status", "--json", env=self.env)
        return json.loads(done.stdout)["carriers"] if done.returncode == 0 else []

    def processes(self):
        """name -> pid of all that must not leak."""
        pids = {name: victim.process.pid for name, victim in self.victims.items() if name != "target"}
        pids |= {process.name: process.pid for process in self.clients}
        return pids | {"daemon": daemon["pid"] for daemon in self.daemons()[:1]}

    def stop(self):
        for daemon in self.daemons():
            os.kill(daemon["pid"], signal.SIGTERM)
        running = [*self.clients, *(victim.process for name, victim in self.victims.items() if name != "door")]
        for process in running:
            if process.poll() is None:
                process.send(signal.SIGCONT)    # where a storm was broken off
                process.stop()
        for process in {*running, *self.agents_of_all_times}:
            assert_no_sanitizer_output(process.output())


@contextlib.contextmanager
def a_world(start_door, pki, directory):
    """One that is taken down whatever becomes of it."""
    with tempfile.TemporaryDirectory(prefix="cardea-e2e-") as runtime:     # paths of sockets are short
        world = World(pki, directory, runtime)
        try:
            world.begin(start_door)
            yield world
        finally:
            world.stop()


# Visitors ---------------------------------------------------------------------------------------------------------

class Call:
    """`cardea connect TARGET` as ssh runs it: a socket's methods on its standard input and output."""

    def __init__(self, world, target, *words, shared):
        env = world.env if shared else {**world.env, "CARDEA_SHARE": "0"}
        self.stdin, theirs_in = socket.socketpair()
        self.stdout, theirs_out = socket.socketpair()
        self.stdin.settimeout(BOUND)
        self.stdout.settimeout(BOUND)
        with theirs_in, theirs_out:
            self.child = subprocess.Popen(
                [str(w) for w in [*connect_words(world.door, world.pki.alice, world.pki.ca.file), *words, target]],
                stdin=theirs_in, stdout=theirs_out, stderr=subprocess.PIPE, env=env)
        self.sendall = self.stdin.sendall

    def recv(self, size):
        """An end tells nothing by itself: what counts is how the process ends when it has no more to do."""
        data = self.stdout.recv(size)
        if not data:
            self.end()
            if self.child.wait(BOUND) != 0:
                raise ConnectionError("the call failed")
        return data

    def end(self):
        self.stdin.shutdown(socket.SHUT_WR)

    def close(self):
        """Closes its input and output as well; what it ends with must be explained."""
        self.stdin.close()
        self.stdout.close()
        try:
            _, text = self.child.communicate(timeout=BOUND)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.communicate()
            raise Wrong("a call did not end though its input and output had") from None
        assert_no_sanitizer_output(text.decode(errors="replace"))
        if self.child.returncode not in (0, -signal.SIGKILL) and not text:
            raise Wrong(f"a call ended with {self.child.returncode} and without a word")

    def reset(self):
        self.child.kill()
        self.close()


class Stream:
    """A visitor's socket, plain or TLS."""

    def __init__(self, sock):
        self.sock = sock
        self.sendall, self.recv, self.close = sock.sendall, sock.recv, sock.close

    def end(self):
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.unwrap()
        else:
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Visit:
    """What is known of one: `back` bytes came, `peer` is its address at the door, in the door's `era`."""

    def __init__(self, kind):
        self.kind, self.start = kind, random.randrange(len(NOISE))
        self.began = time.monotonic()
        self.peer = self.era = None
        self.back = 0
        self.early = False      # it ended, in order, too early
        self.outcome = "open"
        self.seconds = 0.0


class Visitors:
    """The ways in, and what a visitor does there."""

    def __init__(self, world):
        self.world, self.door, self.pki = world, world.door, world.pki
        alice = self.pki.alice
        name, ports, local = "both.apps.test", world.ports, world.local
        target = f"127.0.0.1:{world.target}"
        self.kinds = {"private": lambda v: self.by_name(v, name, alice), "passed": self.passed}
        for way in ("quic", "tcp"):
            self.kinds |= {
                f"open-{way}": lambda v, way=way: self.by_name(v, f"open-{way}.apps.test", None),
                f"sealed-{way}": lambda v, way=way: self.by_name(v, f"sealed-{way}.apps.test", alice),
                f"port-{way}": lambda v, way=way: Stream(self.dial(v, ports[f"port-{way}"])),
                f"forward-{way}": lambda v, way=way: Stream(self.near(local[way])),
                f"call-{way}": lambda v, way=way: Call(world, target, "--transport", way, shared=False),
                f"shared-{way}": lambda v, way=way: Call(world, target, "--transport", way, shared=True),
            }
        self.kinds["forward-name"] = lambda v: Stream(self.near(local["name"]))
        self.kinds["shared-name"] = lambda v: Call(world, name, shared=True)
        self.datagrams = {"udp-quic": ports["udp-quic"], "udp-tcp": ports["udp-tcp"], "udp-forward": local["udp"]}
        # a call is a process: not too many of them
        self.often = [kind for kind in self.kinds for _ in range(1 if "call" in kind or "shared" in kind else 3)]
        self.often += list(self.datagrams) * 2

    def near(self, port):
        return socket.create_connection(("127.0.0.1", port), timeout=BOUND)

    def dial(self, visit, port=None):
        era = self.world.door_victim.era
        sock = self.door.dial(port=port)
        sock.settimeout(BOUND)
        visit.peer = "%s:%d" % sock.getsockname()
        visit.era = era if era == self.world.door_victim.era else None
        return sock

    def by_name(self, visit, name, cert):
        raw = self.dial(visit)
        ctx = tls.context(self.pki.ca.file, cert)
        ctx.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF    # an end without close_notify is none
        try:
            return Stream(ctx.wrap_socket(raw, server_hostname=name, suppress_ragged_eofs=False))
        except Exception:
            raw.close()
            raise

    def passed(self, visit):
        """The door passes the TLS of this one on, so that the target echoes it: no handshake, but its first bytes."""
        sock = self.dial(visit)
        hello = tls.client_hello("pass.test")
        try:
            sock.sendall(hello)
            back = b""
            while len(back) < len(hello):
                more = sock.recv(len(hello) - len(back))
                if not more:
                    raise Early
                back += more
            if back != hello:
                raise Wrong("passed: other bytes came back")
        except Exception:
            sock.close()
            raise
        return Stream(sock)

    # What he does -------------------------------------------------------------------------------------------------

    def echo(self, visit, stream, size, pause=0.0):
        """Send the pattern and read it back. Raises what the socket does."""
        sent = done = 0
        while done < size:
            while sent < size and sent - done < UNDER_WAY:
                more = min(PIECE, size - sent)
                stream.sendall(pattern(visit.start, visit.back + sent - done, more))
                sent += more
            data = stream.recv(PIECE)
            if not data:
                raise Early
            if data != pattern(visit.start, visit.back, len(data)):
                raise Wrong(f"{visit.kind}: wrong bytes after {visit.back}")
            visit.back += len(data)
            done += len(data)
            if pause:
                time.sleep(pause)

    def act(self, visit, stream):
        """Short, long or broken off."""
        dice = random.random()
        if dice < 0.15:
            self.echo(visit, stream, random.randrange(1, 100000))
            stream.reset()
            return "reset"
        if dice < 0.4:
            for _ in range(random.randrange(5, 25)):
                self.echo(visit, stream, random.randrange(1, 2000))
                time.sleep(0.1)
        else:
            self.echo(visit, stream, random.randrange(1, 400000))
        stream.end()
        return "complete"

    def stream_visit(self, visit):
        stream = self.kinds[visit.kind](visit)
        try:
            return self.act(visit, stream)
        finally:
            stream.close()

    def datagram_visit(self, visit):
        """Datagrams may get lost, and no more than that."""
        sent, lost = set(), 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.connect(("127.0.0.1", self.datagrams[visit.kind]))
            sock.settimeout(0.5)
            for number in range(random.randrange(1, 20)):
                data = pattern(visit.start, number * 1200, random.randrange(8, 1200))
                sent.add(data)
                try:
                    sock.send(data)
                    back = sock.recv(65536)
                    if back not in sent:
                        raise Wrong(f"{visit.kind}: a datagram came that nobody sent")
                    visit.back += len(back)
                except TimeoutError:
                    lost += 1
        return "complete" if not lost else f"lost {lost}" if visit.back else "lost all"

    def visit(self, kind):
        """One visit, to its end."""
        visit = Visit(kind)
        try:
            visit.outcome = (self.datagram_visit if kind in self.datagrams else self.stream_visit)(visit)
        except (TimeoutError, subprocess.TimeoutExpired):
            visit.outcome = f"wrong: {kind} hung for {BOUND:.0f} s after {visit.back} bytes"
        except Wrong as wrong:
            visit.outcome = f"wrong: {wrong}"
        except (OSError, EOFError) as error:
            visit.outcome = f"error: {type(error).__name__}"
            visit.early = isinstance(error, Early)
        visit.seconds = time.monotonic() - visit.began
        return visit

    def reach(self, kind):
        """True when a short visit is served whole."""
        visit = Visit(kind)
        try:
            if kind in self.datagrams:
                return self.datagram_visit(visit) == "complete"
            stream = self.kinds[kind](visit)
            try:
                self.echo(visit, stream, 1000)
                stream.end()
                return True
            finally:
                stream.close()
        except (OSError, EOFError):
            return False


# The storm --------------------------------------------------------------------------------------------------------

def door_event(world, dice):
    """Something happens to the door."""
    victim = world.door_victim
    what = dice.choices(["kill", "stop", "reload", "pause"], [4, 2, 3, 2])[0]
    with victim.lock:
        if what == "pause":
            victim.pause(dice.uniform(0.1, STOPPED))
        else:
            getattr(victim, what)()
    return f"door {what}"


def other_event(world, dice, names=("agent-quic", "agent-tcp", "target")):
    """Something happens to an agent or the target."""
    victim = world.victims[dice.choice(names)]
    what = dice.choices(["kill", "pause"], [3, 1])[0]
    with victim.lock:
        if what == "kill":
            victim.kill()
        else:
            victim.pause(dice.uniform(0.1, STOPPED))
    return f"{victim.name} {what}"


def agent_event(world, dice):
    """Something happens to an agent."""
    return other_event(world, dice, ("agent-quic", "agent-tcp"))


def reload_event(world, _):
    """The door reads its configuration anew."""
    world.door_victim.reload()
    return "door reload"


class Storm:
    """`seconds` of visitors, while `events` (functions) happen about every `every` seconds each."""

    def __init__(self, world, dice, seconds, events=(door_event, other_event), every=3.0):
        self.world = world
        self.visitors = Visitors(world)
        self.visits, self.events, self.broken = [], collections.Counter(), []
        self.stopping = threading.Event()
        threads = [threading.Thread(target=self.visiting, args=(random.Random(dice.random()),), daemon=True)
                   for _ in range(THREADS)]
        killers = [threading.Thread(target=self.killing, args=(event, random.Random(dice.random()), every), daemon=True)
                   for event in events]
        for thread in threads + killers:
            thread.start()
        self.stopping.wait(seconds)
        self.stopping.set()
        for thread in killers + threads:
            thread.join(3 * BOUND)
        assert not any(thread.is_alive() for thread in threads + killers), "a visitor never ended"

    def visiting(self, dice):
        while not self.stopping.is_set():
            try:
                self.visits.append(self.visitors.visit(dice.choice(self.visitors.often)))
            except Exception as error:  # a mistake of the test's own, or a sanitizer's words
                self.broken.append(f"{type(error).__name__}: {error}"[:2000])
                return
            time.sleep(dice.uniform(0, 0.1))

    def killing(self, event, dice, every):
        while not self.stopping.wait(dice.uniform(0, 2 * every)):
            try:
                self.events[event(self.world, dice)] += 1
            except Exception as error:
                self.broken.append(f"{event.__name__}: {type(error).__name__}: {error}"[:2000])
                return

    def summary(self):
        outcomes = collections.defaultdict(collections.Counter)
        for visit in self.visits:
            outcomes[visit.kind]["lost" if visit.outcome.startswith("lost") else visit.outcome] += 1
        rows = [f"  {kind}: " + ", ".join(f"{n} {what}" for what, n in sorted(row.items()))
                for kind, row in sorted(outcomes.items())]
        slowest = max(self.visits, key=lambda visit: visit.seconds)
        return "\n".join([f"{len(self.visits)} visits; the longest took {slowest.seconds:.1f} s ({slowest.kind}); "
                          + ", ".join(f"{what} {n}" for what, n in sorted(self.events.items())), *rows])

    def check(self, whole=False):
        """Nobody saw a wrong byte, nobody hung. `whole`: nor did anybody take a part for the whole."""
        wrong = [visit.outcome for visit in self.visits if visit.outcome.startswith("wrong")]
        early = [(visit.kind, visit.back, visit.peer) for visit in self.visits if visit.early]
        assert not self.broken, self.broken[:3]
        assert not wrong, (len(wrong), wrong[:5])
        assert not (whole and early), (len(early), early[:5])


# What must hold afterwards ----------------------------------------------------------------------------------------

def all_back(world, bound=BACK):
    """Everything is reached again; the seconds that each kind took from now."""
    visitors, began = Visitors(world), time.monotonic()
    missing, took = [*visitors.kinds, *visitors.datagrams], {}
    while missing:
        for kind in list(missing):
            if visitors.reach(kind):
                missing.remove(kind)
                took[kind] = time.monotonic() - began
        late = time.monotonic() - began > bound * SLOW
        assert not (late and missing), f"not reached after {bound * SLOW:.0f} s: {missing}"
    return took


def settle(world, quiet=IDLE + 3 * SLOW):
    """Until only what agents and clients keep is left; descriptors by process, and the door's connections. That is when
    for `quiet` seconds nothing has changed: by itself as long as a connection may be given up later."""
    def figures():
        files = {}
        for name, pid in world.processes().items():
            with contextlib.suppress(FileNotFoundError):
                files[name] = len(os.listdir(f"/proc/{pid}/fd"))
        return world.door.status()["connections"], files
    seen, since = figures(), time.monotonic()
    end = since + 60 * SLOW
    while time.monotonic() - since < quiet:
        now = figures()
        if now != seen:
            seen, since = now, time.monotonic()
        assert time.monotonic() < end, f"it does not come to rest: {seen}"
        time.sleep(0.3)
    return seen


def no_more(before, after):
    """Neither connections nor descriptors beyond those of the start."""
    assert after[0] <= before[0], f"connections: {before[0]}, then {after[0]}"
    grown = {name: (before[1].get(name), count) for name, count in after[1].items()
             if count > before[1].get(name, count) + 2}
    assert not grown, f"descriptors: {grown}"


def memory(process):
    """Bytes that a process has for itself (its share of what it shares with others)."""
    for row in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if row.startswith("Pss:"):
            return int(row.split()[1]) * 1024
    raise AssertionError("no Pss")


def audited(world, visits):
    """Whole lines with a reason each, torn ones only where a door was killed; a line for each visitor who was served
    by a door that lived to write it."""
    text = world.door.audit_file.read_text()
    lines, torn = [], 0
    for row in text.splitlines():
        try:
            lines.append(json.loads(row))
        except ValueError:
            torn += 1
    assert torn <= len(world.door_victim.cut_short), f"{torn} torn lines"
    without = [line["id"] for line in lines if not line.get("reason")]
    assert not without, f"lines without a reason: {without[:5]}"
    peers = {line["peer"] for line in lines if "peer" in line}
    missing = [(visit.kind, visit.peer) for visit in visits
               if visit.peer and visit.back and visit.era is not None
               and visit.era not in world.door_victim.cut_short and visit.peer not in peers]
    assert not missing, f"{len(missing)} visitors without a line: {missing[:5]}"
    return collections.Counter(line["reason"] for line in lines)


def explained(world):
    """What agents say has a reason."""
    reasons = collections.Counter()
    for agent in world.agents_of_all_times:
        for row in agent.out.read_text().splitlines(keepends=True):
            if not row.endswith("\n"):
                continue        # it was killed amid it
            event = json.loads(row)
            if event["event"] in ("lost", "refused"):
                assert event.get("text"), f"lost without a text: {row}"
            if event["event"] == "visit":
                assert event.get("reason"), f"a visit without a reason: {row}"
                reasons[event["reason"]] += 1
    return reasons


# A sanitizer keeps freed memory back, and so grows for a while.
GROWTH = {None: 8 << 20, "address": 400 << 20, "thread": 400 << 20}[SANITIZER]


def ride_out(world, dice, seconds):
    """A storm over everything, one over the agents only, and what must hold after them."""
    all_back(world)
    before = settle(world)
    storm = Storm(world, dice, seconds)
    print(storm.summary())
    storm.check()
    took = all_back(world)
    print(f"all back after {max(took.values()):.1f} s")
    lesser = Storm(world, dice, seconds / 3, events=(agent_event, reload_event), every=2.0)
    lesser.check(whole=True)
    all_back(world)
    no_more(before, settle(world))
    print("door:", dict(audited(world, storm.visits + lesser.visits)), "\nagents:", dict(explained(world)))
