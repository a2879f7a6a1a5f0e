# SPDX-License-Identifier: Apache-2.0
"""A relay that holds back whatever passes, in UDP and TCP alike: a long way between two programs of this machine."""
import collections
import selectors
import socket
import threading
import time

BLOCK = 65536


class Delay:
    """127.0.0.1:`port` leads to 127.0.0.1:`to`, and what passes either way comes `seconds` later. A TCP connection is
    accepted at once: what is measured through it is one that stands already."""

    def __init__(self, to, seconds):
        self.to, self.seconds = ("127.0.0.1", to), seconds
        self.front, self.listener = self.bind()
        self.port = self.listener.getsockname()[1]
        self.clients, self.sockets = {}, [self.front, self.listener]
        self.held = collections.deque()  # (when, how), in the order of their times
        self.stopping = False
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.selector.register(self.front, selectors.EVENT_READ, self.from_client)
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    @staticmethod
    def bind():
        """A socket for UDP and one for TCP at the same port."""
        while True:
            front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            front.bind(("127.0.0.1", 0))
            listener = socket.socket()
            try:
                listener.bind(front.getsockname())
                listener.listen()
                return front, listener
            except OSError:
                front.close()
                listener.close()

    def stop(self):
        self.stopping = True
        self.thread.join()
        for sock in self.sockets:
            sock.close()

    # The thread -------------------------------------------------------------------------------------------------------

    def loop(self):
        while not self.stopping:
            wait = min(0.02, self.held[0][0] - time.monotonic()) if self.held else 0.02
            # The kernel waits in whole milliseconds: the last one is spent looking.
            for key, _ in self.selector.select(wait if wait > 0.001 else 0):
                key.data(key.fileobj)
            while self.held and self.held[0][0] <= time.monotonic():
                self.held.popleft()[1]()

    def later(self, call):
        self.held.append((time.monotonic() + self.seconds, call))

    def watch(self, sock, call):
        self.sockets.append(sock)
        self.selector.register(sock, selectors.EVENT_READ, call)

    def accept(self, listener):
        client, _ = listener.accept()
        door = socket.create_connection(self.to)
        for sock, other in ((client, door), (door, client)):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.watch(sock, lambda s, other=other: self.pass_on(s, other))

    def pass_on(self, sock, other):
        try:
            data = sock.recv(BLOCK)
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(sock)
        self.later(lambda: self.put(other, data))

    @staticmethod
    def put(sock, data):
        try:
            sock.sendall(data) if data else sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # its other side has gone

    def from_client(self, front):
        data, client = front.recvfrom(BLOCK)
        if client not in self.clients:
            self.clients[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.clients[client].connect(self.to)
            self.watch(self.clients[client], lambda s: self.from_door(s, client))
        self.later(lambda: self.put(self.clients[client], data))

    def from_door(self, sock, client):
        try:
            data = sock.recv(BLOCK)
        except OSError:
            return  # nobody listens there
        self.later(lambda: self.front.sendto(data, client))
