# SPDX-License-Identifier: Apache-2.0
"""`cardea wrap` as a process of the test's own: in front of a plain server, or behind a plain client."""
import json
import signal

from run import CARDEA, Process, assert_no_sanitizer_output, free_port, wait_listening, wait_until


class Wrap:
    """`role` is server or client, `to` a port of 127.0.0.1 or an address; listens on `port`."""

    def __init__(self, directory, role, to, *words, port=None):
        self.port = port or free_port()
        self.audit_file = directory / f"wrap-{self.port}.jsonl"
        to = f"127.0.0.1:{to}" if isinstance(to, int) else to
        self.process = Process([CARDEA, "wrap", role, "--listen", f"127.0.0.1:{self.port}", "--to", to,
                                "--audit", self.audit_file, *words], directory, f"wrap-{role}-{self.port}")
        wait_listening(self.port, self.process)

    def audit(self):
        return [json.loads(line) for line in self.audit_file.read_text().splitlines()] if self.audit_file.exists() else []

    def audited(self, **facts):
        """The first line of the audit that has these facts; waits for it."""
        def line():
            return next((l for l in self.audit() if facts.items() <= l.items()), None)
        return wait_until(line, lambda: f"an audit line with {facts} among {self.audit()}")

    def stop(self):
        code = self.process.stop(signal.SIGTERM)
        assert_no_sanitizer_output(self.process.output())
        assert code == 0, self.process.output()


class Starter:
    """Starts wraps of one test: start(role, to, *words)."""

    def __init__(self, directory):
        self.directory = directory
        self.started = []

    def __call__(self, role, to, *words, **options):
        self.started.append(Wrap(self.directory, role, to, *words, **options))
        return self.started[-1]

    def server(self, protocol, to, cert, *words, **options):
        """One whose clients come to TLS in the way of `protocol`."""
        return self("server", to, "--starttls", protocol, "--cert", cert.certificate, "--key", cert.key, *words, **options)
