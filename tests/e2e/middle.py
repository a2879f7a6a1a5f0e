# SPDX-License-Identifier: Apache-2.0
"""A man in the middle of a TCP connection: he keeps what he hears and may change what comes back."""
import socket
import threading

import peers


class Middle(peers.Server):
    """Leads to `to` (ADDRESS:PORT). `heard`: all that clients said, `answered`: what the server did. `edit(data)` gives what
    clients get of a server's bytes."""

    def __init__(self, to, edit=lambda data: data):
        host, port = to.rsplit(":", 1)
        self.there = (host, int(port))
        self.edit = edit
        self.heard = b""
        self.answered = b""
        super().__init__(self.between)

    def between(self, sock):
        with socket.create_connection(self.there) as server:
            back = threading.Thread(target=self.lead_back, args=(server, sock), daemon=True)
            back.start()
            while data := sock.recv(65536):
                self.heard += data
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            back.join()

    def lead_back(self, server, sock):
        try:
            while data := server.recv(65536):
                self.answered += data
                sock.sendall(self.edit(data))
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
