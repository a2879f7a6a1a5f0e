# SPDX-License-Identifier: Apache-2.0
"""What bench/run, bench/tunnel, bench/backends, bench/names, bench/ca and bench/posture share: the tools, the client, the measuring, the table, the page, the options."""
import argparse
import json
import os
import platform
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from servers import BENCH, NOFILE, ROOT, cpu_ns_of, free_port, pinned, read

WARNINGS = "-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wvla -Wformat=2 -Werror"
NOISE = 0.05  # of the processors, used by others: the reader is told
PATIENCE_SECONDS = 120
TOOLS = ROOT / "build/bench"
RESULTS = BENCH / "RESULTS.md"


def say(*words):
    print(*words, file=sys.stderr, flush=True)


# The tools ------------------------------------------------------------------------------------------------------------

def build(folder):
    """Compiles the clients, the application and the floor."""
    prefix = subprocess.run([ROOT / "scripts/aws-lc"], check=True, capture_output=True, text=True).stdout.strip()
    folder.mkdir(parents=True, exist_ok=True)
    cc = [*os.environ.get("CC", "cc").split(), "-O2", "-g", "-std=gnu17", "-D_GNU_SOURCE", *WARNINGS.split()]
    subprocess.run([*cc, BENCH / "backend.c", "-o", folder / "backend"], check=True)
    names = [ROOT / "bench/route_names.c", *sorted((ROOT / "src/route").glob("*.c")), *sorted((ROOT / "src/base").glob("*.c"))]
    subprocess.run([*cc, "-Wno-format-truncation", "-I", ROOT / "src", "-I", ROOT, *names, "-o", folder / "route_names",
                    "-ljansson"], check=True)
    for name, sources in (("load", ["load.c", "conn.c"]), ("floor", ["floor.c"]), ("handshake", ["handshake.c"]),
                          ("make_names", ["make_names.c"]), ("make_cert", ["make_cert.c"])):
        subprocess.run([*cc, "-isystem", f"{prefix}/include", *(BENCH / s for s in sources), "-o", folder / name,
                        f"-L{prefix}/lib", "-lssl", "-lcrypto", "-l:libstdc++.a", "-lm", "-lpthread"], check=True)


def make_certificate(folder):
    """An ECDSA P-256 key with a certificate of its own: the same for every server."""
    folder.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "30",
                    "-subj", "/CN=bench.example", "-addext", "subjectAltName=DNS:bench.example,DNS:*.bench.example"],
                   check=True, capture_output=True)
    (folder / "both.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return folder


def processors():
    """The processor of the server and that of the client and the application."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[1 % len(usable)]


# Measuring ------------------------------------------------------------------------------------------------------------

class Failure(Exception):
    pass


class Helper:
    """A program of ours that does a piece of work for each line it is told, and says with a line what it did."""

    def __init__(self, bench, command, nofile=NOFILE):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=pinned(bench.cpus[1], nofile))

    def cpu_ns(self):
        return cpu_ns_of(self.process.pid)

    def expect(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_SECONDS)
        line = self.process.stdout.readline() if ready else ""
        if not ready:
            self.process.kill()
        if not line:
            self.process.wait(10)
            raise Failure(self.process.stderr.read().strip() or f"the client ended with {self.process.returncode}")
        return line

    def command(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def run(self):
        self.command()
        return json.loads(self.expect())

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Load(Helper):
    """The client (bench/load.c), made ready. `run` does the work; `end` lets go of what it still holds."""

    def __init__(self, bench, port, arguments, address="127.0.0.1"):
        name = "pass.bench.example" if arguments[1].endswith("pass") else "tls.bench.example"
        super().__init__(bench, [bench.tools / "load", *arguments, "--sni", name, "--port", port, "--address", address])
        self.expect()


def busy_seconds(cpus):
    """What the given processors have done so far, for whomever, stolen time included."""
    total = 0
    for line in read("/proc/stat").splitlines():
        name, *ticks = line.split()
        if name in {f"cpu{c}" for c in cpus}:
            total += sum(int(t) for i, t in enumerate(ticks[:8]) if i not in (3, 4))
    return total / os.sysconf("SC_CLK_TCK")


class Bench:
    """A run: what it needs, and what went wrong in it."""

    def __init__(self, options, folder):
        self.quick, self.rounds, self.folder, self.options = options.quick, options.rounds, folder, options
        self.tools = TOOLS
        self.cpus = processors()
        self.faults, self.noise = [], []
        build(self.tools)
        self.certificate = make_certificate(folder / "certificate")
        self.backends = []
        self.port = self.start_backend()
        os.sched_setaffinity(0, {self.cpus[1]})

    def start_backend(self, greeting=None):
        """An application on the clients' processor; its port. `greeting`: a line that each client gets first."""
        port = free_port()
        words = [self.tools / "backend", str(port), "127.0.0.1", *([greeting] if greeting else [])]
        self.backends.append(subprocess.Popen(words, stdout=subprocess.PIPE, preexec_fn=pinned(self.cpus[1])))
        self.backends[-1].stdout.readline()
        return port

    def fault(self, text):
        if text not in self.faults:
            self.faults.append(text)
            say(f"bench: {text}")

    def check_backend(self):
        for backend in self.backends:
            if backend.poll() is not None:
                sys.exit(f"bench: the application ended with {backend.returncode}: nothing can be measured")

    def turns(self, names, rounds):
        """The names in turn, each round begun by another of them."""
        for r in range(rounds if names else 0):
            yield from names[r % len(names):] + names[:r % len(names)]

    def work(self, programs, load):
        """Lets `load` do its work: what it says it did, and the nanoseconds of processor that each program used."""
        def own():
            return (sum(p.cpu_ns() for p in [*programs, load]) + sum(map(cpu_ns_of, [*(b.pid for b in self.backends), os.getpid()]))) / 1e9
        cpus = set(self.cpus)
        busy, ours, before = busy_seconds(cpus), own(), [p.cpu_ns() for p in programs]
        done = load.run()
        spent = [p.cpu_ns() - b for p, b in zip(programs, before)]
        others = busy_seconds(cpus) - busy - (own() - ours)
        self.noise.append(max(0, others) / (done["seconds"] * len(cpus)))
        return done, spent

    def close(self):
        for backend in self.backends:
            backend.kill()
            backend.wait()


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def condense(results):
    """{row: {column: {median, min, max of the figure, and the median of each other value}}}"""
    return {row: {column: {**summary([c["figure"] for c in got]),
                           **{k: statistics.median(c[k] for c in got) for k in got[0] if k != "figure"}}
                  for column, got in cells.items() if got} for row, cells in results.items()}


def facts(bench):
    """What the figures depend on beside the programs that are measured."""
    model = next((line.split(":", 1)[1].strip() for line in read("/proc/cpuinfo").splitlines()
                  if line.startswith("model name")), platform.machine())
    server, client = bench.cpus
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{model}, {os.cpu_count()} of them",
        "kernel": platform.release(),
        "placement": f"server on {server}, client and application on {client}" if server != client else
                     "one processor only: server, client and application share it",
        "rounds": bench.rounds,
        "others": max(bench.noise, default=0),
    }


# What is shown --------------------------------------------------------------------------------------------------------

def number(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def shown(cell, base):
    """A figure, its ratio to cardea's, and its spread."""
    ratio = f" **{cell['median'] / base['median']:.2f}×**" if base and base is not cell and base["median"] > 0 else ""
    spread = f" ({number(cell['min'])}–{number(cell['max'])})" if cell["min"] != cell["max"] else ""
    return number(cell["median"]) + ratio + spread


def aligned(lines):
    """A table in Markdown; the first line is its head."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines = [lines[0], ["-" * w for w in widths], *lines[1:]]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |" for line in lines)


def page(template, bench, about, **values):
    """The template in bench/, with a value for each @name@."""
    text = (BENCH / template).read_text()
    faults = "".join(f"\n- {f}" for f in bench.faults)
    values = {**about, "versions": "\n".join(f"- {name}: {version}" for name, version in about["versions"].items()),
              "others": f"{about['others']:.0%}", "faults": f"\nWhat failed:\n{faults}\n" if faults else "", **values}
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def write_part(text):
    """Puts a page into bench/RESULTS.md, in place of the one with the same title, or behind those that are there."""
    parts = ["# " + part for part in ("\n" + read(RESULTS)).split("\n# ")[1:]]
    title = text.split("\n", 1)[0]
    at = next((i for i, part in enumerate(parts) if part.split("\n", 1)[0] == title), len(parts))
    parts[at:at + 1] = [text]
    RESULTS.write_text("\n\n".join(part.strip("\n") for part in parts) + "\n")


# The program ----------------------------------------------------------------------------------------------------------

def read_options(name, description, rows, columns, rounds=5):
    names = lambda text: text.split(",")
    parser = argparse.ArgumentParser(prog=name, description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="rows: " + ", ".join(rows) + "\npeers: " + ", ".join(columns))
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, fewer rounds: does it run?")
    parser.add_argument("--only", type=names, metavar="ROW,ROW", help="these rows")
    parser.add_argument("--peers", type=names, metavar="A,B", help="these columns")
    parser.add_argument("--rounds", type=int, help=f"times each does each row ({rounds}; quick: 2)")
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    parser.add_argument("--write", action="store_true", help="write its part of bench/RESULTS.md")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else rounds)
    for given, known in ((options.only, rows), (options.peers, columns)):
        for word in given or []:
            if word not in known:
                parser.error(f"'{word}' is not one of: {', '.join(known)}")
    return options


def main(options, make, show):
    """Measures with make(options, folder), a Bench that has measure() and facts(); show(bench, figures, facts) is its page."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended too
    scratch = tempfile.mkdtemp(prefix="cardea-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    bench = None
    try:
        bench = make(options, Path(scratch))
        figures, about = condense(bench.measure()), {**facts(bench), **bench.facts()}
        if options.json:
            print(json.dumps({**about, "faults": bench.faults, "figures": figures}, indent=1))
        else:
            print(show(bench, figures, about))
        if options.write:
            write_part(show(bench, figures, about))
        if about["others"] > NOISE:
            say(f"bench: others used up to {about['others']:.0%} of these processors: measure on a quiet machine")
        return 1 if bench.faults else 0
    finally:
        if bench:
            bench.close()
        shutil.rmtree(scratch, ignore_errors=True)
