# SPDX-License-Identifier: Apache-2.0
"""A UDP relay between clients and a door, in a thread: a network that loses, delays, reorders and duplicates packets
with given probabilities, or a NAT that gives its clients another port in the middle of everything."""
import heapq
import random
import selectors
import socket
import threading
import time

BUFFER = 4 * 1024 * 1024


def udp_socket(port=0):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    sock.bind(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


class Relay:
    """127.0.0.1:`port` in UDP leads to 127.0.0.1:`to`, where `lead` does not send new clients elsewhere. Each packet, in either direction, is lost, comes twice, or is
    held back by `late` seconds while others overtake it, by these probabilities; the same `seed`, the same dice.
    Packets of more than `most` bytes fit nowhere and are lost as well. `deaf` swallows everything, `mute` what goes to the
    door, `shy` all from clients that come anew. `passed`, `lost`: packets so far, of both directions."""

    def __init__(self, to, *, port=0, loss=0.0, twice=0.0, overtaken=0.0, late=0.005, most=65536, seed=1):
        self.to = ("127.0.0.1", to)
        self.loss, self.twice, self.overtaken, self.late = loss, twice, overtaken, late
        self.most = most
        self.deaf = self.mute = self.shy = False
        self.dice = random.Random(seed)
        self.passed = self.lost = self.rebinds = 0
        self.front = udp_socket(port)
        self.port = self.front.getsockname()[1]
        self.clients = {}           # address -> socket towards the door
        self.doors = {}             # address -> the door that this client came to
        self.retired = []           # sockets towards the door that clients have no more: what comes there is lost
        self.held = []              # (when, number, socket, data, address)
        self.moving = self.stopping = False
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.front, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def rebind(self):
        """Every client comes to the door from another port from now on."""
        before = self.rebinds
        self.moving = True
        while self.rebinds == before:
            time.sleep(0.005)

    def lead(self, to):
        """Clients that come anew are led to another door; the others stay where they are."""
        self.to = ("127.0.0.1", to)

    def stop(self):
        self.stopping = True
        self.thread.join()
        for sock in (self.front, *self.clients.values(), *self.retired):
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # The thread ---------------------------------------------------------------------------------------------------

    def loop(self):
        while not self.stopping:
            wait = 0.02 if not self.held else max(0.0, min(0.02, self.held[0][0] - time.monotonic()))
            for key, _ in self.selector.select(wait):
                self.drain(key.fileobj, key.data)
            while self.held and self.held[0][0] <= time.monotonic():
                self.send(*heapq.heappop(self.held)[2:])
            if self.moving:
                self.move()

    def move(self):
        for client, old in self.clients.items():
            self.selector.unregister(old)
            self.retired.append(old)
            self.clients[client] = self.towards_door(client)
        self.moving = False
        self.rebinds += 1

    def towards_door(self, client):
        sock = udp_socket()
        self.selector.register(sock, selectors.EVENT_READ, client)
        return sock

    def drain(self, sock, client):
        """Take what has come; `client` is None at the front."""
        for _ in range(64):
            try:
                data, source = sock.recvfrom(65536)
            except OSError:
                return
            if client is not None:
                self.forward(self.front, data, client)
                continue
            if source not in self.clients:
                if self.shy:
                    self.lost += 1
                    continue
                self.clients[source] = self.towards_door(source)
            self.forward(self.clients[source], data, self.doors.setdefault(source, self.to))

    def forward(self, sock, data, address):
        if self.deaf or (self.mute and sock is not self.front) or len(data) > self.most or self.dice.random() < self.loss:
            self.lost += 1
            return
        self.passed += 1
        for _ in range(2 if self.dice.random() < self.twice else 1):
            if self.dice.random() < self.overtaken:
                heapq.heappush(self.held, (time.monotonic() + self.late, self.passed, sock, data, address))
            else:
                self.send(sock, data, address)

    @staticmethod
    def send(sock, data, address):
        try:
            sock.sendto(data, address)
        except OSError:
            pass  # a full buffer, or nobody there: lost, as on any network
