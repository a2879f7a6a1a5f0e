# SPDX-License-Identifier: Apache-2.0
"""dial_timeout bounds everything that is tried for a connection, not each of it."""
import socket
import time

import pytest
import tls
from run import SLOW, ms

LIMIT = 1.0  # seconds, times SLOW


class FullQueue:
    """A port that neither takes connections nor refuses them: its queue is full."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.to = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.fillers = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(self.listener.getsockname())
            self.fillers.append(sock)


class Silent:
    """A port that takes connections and says nothing."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(50)
        self.to = f"127.0.0.1:{self.listener.getsockname()[1]}"


@pytest.mark.alone
@pytest.mark.parametrize("kind", [FullQueue, Silent])
def test_four_backends_share_it(start_door, pki, kind):
    """The time for one is the time for all: nobody waits four times as long where four do not answer."""
    backends = [kind() for _ in range(4)]
    door = start_door({"certificates": [pki.server("a.test").row()], "trust": [{"name": "own", "ca": [pki.ca.file]}],
                       "limits": {"dial_timeout": ms(1000 * LIMIT)},
                       "routes": [{"name": "a", "terminate": {"to": [b.to for b in backends],
                                                             "tls": {"trust": "own", "name": "x.test"}}}]})
    with tls.connect(door, "a.test") as sock:
        sock.settimeout(30 * SLOW)
        began = time.monotonic()
        with pytest.raises(OSError):
            if not sock.recv(1):
                raise ConnectionResetError
        took = time.monotonic() - began
        line = door.audited_of(sock)
    assert line["reason"] == "dial_timeout"
    assert 0.5 * LIMIT * SLOW < took < 1.6 * LIMIT * SLOW
