# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 client of a proxy on top of python3-h2, which is nobody's relative of the door's library; and frames as plain
bytes, for what no library sends."""
import struct
import time

import h2.config
import h2.connection
import h2.errors
import h2.events

import tls
from run import SLOW

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Stream:
    """What has come on a stream."""

    def __init__(self):
        self.headers = None
        self.data = bytearray()
        self.ended = False
        self.reset = None

    @property
    def status(self):
        return self.headers and int(self.headers[":status"])

    @property
    def over(self):
        return self.ended or self.reset is not None


class Client:
    """`credit`: whether what comes is acknowledged with more credit at once."""

    def __init__(self, door, cert, *, credit=True, sock=None):
        self.sock = sock or tls.connect(door, "door.test", cert=cert, alpn=["h2"])
        self.sock.settimeout(10 * SLOW)
        assert self.sock.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.credit = credit
        self.streams = {}
        self.gone = None  # the code of GOAWAY
        self.closed = False
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def pump(self):
        """Take what comes next."""
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            return
        for event in self.h2.receive_data(data):
            self.take(event)
        self.flush()

    def take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", 0))
        if isinstance(event, h2.events.ResponseReceived):
            stream.headers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream.data += event.data
            if self.credit and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.gone = event.error_code

    def until(self, condition):
        end = time.monotonic() + 10 * SLOW
        while not condition():
            assert not self.closed and time.monotonic() < end, (self.closed, self.gone, self.streams)
            self.pump()

    def ask(self, fields, end=False):
        number = self.h2.get_next_available_stream_id()
        self.streams[number] = Stream()
        self.h2.send_headers(number, fields, end_stream=end)
        self.flush()
        return number

    def connect(self, target, *more):
        return self.ask([(":method", "CONNECT"), (":authority", target), *more])

    def connect_udp(self, path, *more, protocol="connect-udp"):
        self.until(lambda: self.h2.remote_settings.enable_connect_protocol == 1)
        return self.ask([(":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"),
                         (":path", f"/.well-known/masque/udp/{path}/"), (":authority", "door.test"),
                         ("capsule-protocol", "?1"), *more])

    def answered(self, number):
        stream = self.streams[number]
        self.until(lambda: stream.headers or stream.over)
        return stream

    def send(self, number, data, end=False):
        """All of it, as the windows let it go."""
        data = memoryview(data)
        while data:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, len(data))
            if room == 0:
                self.pump()
                assert not self.closed and self.streams[number].reset is None
                continue
            self.h2.send_data(number, bytes(data[:room]))
            data = data[room:]
            self.flush()
        if end:
            self.h2.end_stream(number)
            self.flush()

    def raw(self, data):
        self.sock.sendall(data)


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def literal(name, value):
    """A field without indexing (RFC 7541, 6.2.2), lengths below 127 or in the long form."""
    def text(data):
        size = len(data)
        if size < 127:
            return bytes([size]) + data
        out, rest = b"\x7f", size - 127
        while rest >= 128:
            out, rest = out + bytes([rest % 128 + 128]), rest // 128
        return out + bytes([rest]) + data
    return b"\0" + text(name) + text(value)


class Raw:
    """Frames by hand: nothing of what comes is understood, but where a frame ends."""

    def __init__(self, door, cert, preface=PREFACE + frame(SETTINGS)):
        self.sock = tls.connect(door, "door.test", cert=cert, alpn=["h2"])
        self.sock.settimeout(10 * SLOW)
        self.send(preface)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, *frames):
        """False when the door has had enough."""
        try:
            self.sock.sendall(b"".join(frames))
            return True
        except OSError:
            return False

    def frames(self):
        """(kind, stream, payload) of each frame until the end."""
        data = tls.read_all(self.sock)
        found = []
        while len(data) >= 9:
            size = int.from_bytes(data[:3], "big")
            found.append((data[3], int.from_bytes(data[5:9], "big"), data[9:9 + size]))
            data = data[9 + size:]
        return found

    def goaway(self):
        """The code of the GOAWAY with which the door ends the connection; None without one."""
        codes = [struct.unpack("!I", payload[4:8])[0] for kind, _, payload in self.frames() if kind == GOAWAY]
        return codes[-1] if codes else None
