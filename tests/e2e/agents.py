# SPDX-License-Identifier: Apache-2.0
"""Agents (`cardea expose`), and a door for them that a test scripts: over TCP only."""
import json
import queue
import signal
import socket
import ssl
import struct

import peers
from fixtures import clean_env
from run import CARDEA, SLOW, Process, assert_no_sanitizer_output, wait_until


def pack(message):
    text = json.dumps(message).encode()
    return struct.pack(">H", len(text)) + text


class Stream:
    """A connection that speaks in messages, then in bytes."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(10 * SLOW)

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise EOFError(data)
            data += more
        return data

    def message(self):
        return json.loads(self.read(struct.unpack(">H", self.read(2))[0]))

    def say(self, behind=b"", **message):
        self.sock.sendall(pack({"v": 1, **message}) + behind)


class FakeDoor:
    """Each connection's hello goes to `offers` or `spares` as (hello, stream); the test answers."""

    def __init__(self, pki, **more):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert = pki.server("door.test")
        ctx.load_cert_chain(cert.certificate, cert.key)
        ctx.load_verify_locations(pki.staff.file)
        ctx.verify_mode = ssl.CERT_REQUIRED
        ctx.set_alpn_protocols(["cardea/1"])
        self.offers, self.spares, self.over = queue.Queue(), queue.Queue(), queue.Queue()
        self.server = peers.Server(self.serve, ctx=ctx, **more)

    @property
    def address(self):
        return self.server.to

    def serve(self, sock):
        stream = Stream(sock)
        hello = stream.message()
        (self.spares if "spare" in hello else self.offers).put((hello, stream))
        self.over.get()  # the test holds the connection; it ends with the test

    def offer(self, **answer):
        """The next offer, answered; yes unless the test says otherwise."""
        hello, stream = self.offers.get(timeout=20 * SLOW)
        stream.say(**(answer or {"ok": True}))
        return hello, stream

    def spare(self, **answer):
        hello, stream = self.spares.get(timeout=20 * SLOW)
        stream.say(**(answer or {"ok": True}))
        return hello["spare"], stream

    def close(self):
        for _ in range(100):
            self.over.put(None)
        self.server.stop()


class Agent(Process):
    """A running `cardea expose`. `within`: words that its command line begins with."""

    def __init__(self, directory, door, pki, *words, name="expose", who=None, within=()):
        who = who or pki.alice
        super().__init__([*within, CARDEA, "expose", "--door", door, "--cert", who.certificate, "--key", who.key,
                          "--ca", pki.ca.file, "--name", "door.test", *words], directory, name,
                         env=clean_env(directory))

    def says(self, text, timeout=10.0):
        def said():
            return text in self.output() or (self.poll() is not None and text in self.output())
        wait_until(said, lambda: f"the agent to say {text!r}; it said:\n{self.output()}", timeout)

    def events(self, event):
        """Its JSON lines of that kind."""
        lines = [json.loads(line) for line in self.out.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def end(self, expect=0, number=signal.SIGTERM):
        code = self.stop(number)
        assert_no_sanitizer_output(self.output())
        assert code == expect, f"exit code {code}:\n{self.output()}"


def udp_echo():
    """A socket that gives back what it gets, in a thread; its port."""
    import threading
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                data, peer = sock.recvfrom(65536)
                sock.sendto(data, peer)
            except OSError:
                return
    threading.Thread(target=serve, daemon=True).start()
    return sock, sock.getsockname()[1]
