# SPDX-License-Identifier: Apache-2.0
"""TLS clients: Python's ssl (OpenSSL underneath) and openssl s_client; ClientHellos as plain bytes."""
import errno
import hmac
import json
import re
import socket
import ssl
import struct
import subprocess
import threading
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from run import SLOW


def context(ca=None, cert=None, alpn=(), least=None, most=None):
    """A client's context; without `ca` nothing is verified."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        ctx.load_verify_locations(ca)
    else:
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
    if cert:
        ctx.load_cert_chain(cert.certificate, cert.key)
    if alpn:
        ctx.set_alpn_protocols(list(alpn))
    if least:
        ctx.minimum_version = least
    if most:
        ctx.maximum_version = most
    return ctx


def connect(door, sni, *, ca=None, cert=None, alpn=(), source=None, port=None, session=None, ctx=None):
    """A finished handshake with the door."""
    raw = door.dial(source=source, port=port)
    try:
        return (ctx or context(ca, cert, alpn)).wrap_socket(raw, server_hostname=sni, session=session)
    except Exception:
        raw.close()
        raise


def finish(sock):
    """Say close_notify and wait for the other side's."""
    try:
        sock.unwrap()
    except (ssl.SSLError, OSError):
        pass


def end_writing(sock):
    """Half-close; where the other side was quick to refuse what came before, there is no connection any more."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(min(65536, size - len(data)))
        assert more, f"end after {len(data)} of {size} bytes: {data[-80:]!r}"
        data += more
    return data


def read_line(sock):
    """The other side's first line without its end; "" when it ends the connection instead."""
    data = b""
    try:
        while not data.endswith(b"\n"):
            more = sock.recv(1)
            if not more:
                return ""
            data += more
    except (ConnectionResetError, ssl.SSLError):
        return ""
    return data[:-1].decode()


def read_lines(sock, mark=b""):
    """What comes, up to the line that begins so."""
    text, line = b"", None
    while line is None or not line.startswith(mark):
        line = read_line(sock).encode()
        assert line, f"ended after {text}, before {mark}"
        text += line + b"\n"
    return text


def converse(sock, steps):
    """A step is what to say (None: nothing), and what the line that ends its answer begins with."""
    for words, answer in steps:
        if words is not None:
            sock.sendall(words + b"\r\n")
        read_lines(sock, answer)


def read_until(sock, word):
    """What comes, up to that word's end."""
    data = b""
    while not data.endswith(word):
        data += read_exactly(sock, 1)
    return data


def read_all(sock):
    """Everything until the other side's end. A reset counts as the end."""
    data = b""
    try:
        while more := sock.recv(65536):
            data += more
    except (ConnectionResetError, ssl.SSLEOFError, BrokenPipeError):
        pass
    return data


def heard_by(sock):
    """The same where it may end in disorder: what came before that may be lost then."""
    try:
        return read_all(sock)
    except OSError:
        return b""


def ended(sock):
    """True when the other side ends the connection within the socket's time-out; whatever it says first is skipped."""
    try:
        read_all(sock)
    except TimeoutError:
        return False
    except ssl.SSLError:
        pass
    return True


def alert_of(sock):
    """The number of the plain TLS alert that the door sends, or None."""
    data = read_all(sock)
    while len(data) >= 7:
        kind, size = data[0], struct.unpack("!H", data[3:5])[0]
        if kind == 21 and size == 2:
            return data[6]
        data = data[5 + size:]
    return None


# ClientHellos as bytes --------------------------------------------------------------------------------------------

def client_hello(sni, alpn=()):
    """The first flight of a real client: one record."""
    out = ssl.MemoryBIO()
    side = context(alpn=alpn).wrap_bio(ssl.MemoryBIO(), out, server_hostname=sni)
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def refragment(hello, size):
    """The same handshake message in records of `size` bytes."""
    header, message = hello[:3], hello[5:]
    return b"".join(header + struct.pack("!H", len(message[i:i + size])) + message[i:i + size]
                    for i in range(0, len(message), size))


def split_hello(hello, parts=2):
    """The message in `parts` records of about the same size."""
    return refragment(hello, (len(hello) - 5 + parts - 1) // parts)


# Half-close -------------------------------------------------------------------------------------------------------

class HalfTls:
    """TLS over a socket where close_notify can be sent and the other side still be read."""

    def __init__(self, sock, ctx, sni):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.side = ctx.wrap_bio(self.incoming, self.outgoing, server_hostname=sni)
        self.step(self.side.do_handshake)

    def step(self, function, *arguments):
        while True:
            try:
                answer = function(*arguments)
                self.flush()
                return answer
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def flush(self):
        data = self.outgoing.read()
        if data:
            self.sock.sendall(data)

    def send(self, data):
        self.step(self.side.write, data)

    def recv(self, size=65536):
        """Bytes; b"" on the other side's close_notify; SSLEOFError on an end without one."""
        try:
            return self.step(self.side.read, size)
        except ssl.SSLZeroReturnError:
            return b""

    def close_notify(self):
        try:
            self.side.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()


# The tunnel protocol ----------------------------------------------------------------------------------------------

def tunnel(door, sni, target, cert, *, ca=None, hello=None):
    """(TLS socket, the door's answer) after a cardea/1 hello for `target`, or after the bytes `hello`."""
    sock = connect(door, sni, ca=ca, cert=cert, alpn=["cardea/1"])
    text = json.dumps({"v": 1, "target": target, "proto": "tcp"}).encode()
    sock.sendall(struct.pack("!H", len(text)) + text if hello is None else hello)
    size = struct.unpack("!H", read_exactly(sock, 2))[0]
    return sock, json.loads(read_exactly(sock, size))


# openssl s_client -------------------------------------------------------------------------------------------------

class Said:
    """What s_client printed, and the facts in it."""

    def __init__(self, text, code):
        self.text = text
        self.code = code

    def find(self, pattern):
        match = re.search(pattern, self.text)
        return match.group(1) if match else None

    @property
    def done(self):
        """True when the handshake was done."""
        return bool(re.search(r"(New|Reused), TLSv", self.text)) and "Cipher is (NONE)" not in self.text

    version = property(lambda self: self.find(r"(?:New|Reused), (TLSv[0-9.]+)"))
    cipher = property(lambda self: self.find(r"Cipher is (\S+)"))
    reused = property(lambda self: "Reused, TLSv" in self.text)
    group = property(lambda self: self.find(r"(?:Server Temp Key: |Negotiated TLS1.3 group: )([^\n]+)"))
    alpn = property(lambda self: self.find(r"ALPN protocol: (\S+)"))
    compression = property(lambda self: self.find(r"Compression: (\S+)"))
    alert = property(lambda self: self.find(r"SSL alert number (\d+)"))


def s_client(door, sni, *flags, until=None, then=b"", timeout=10.0, port=None, program="openssl"):
    """Run openssl s_client. It is left running until `until` (bytes: what the backend says) is printed; then `then`
    is typed, and standard input ends. Without `until` it ends right after the handshake."""
    name = ["-servername", sni] if sni else ["-noservername"]
    argv = [program, "s_client", "-connect", f"127.0.0.1:{port or door.port}", *name, *map(str, flags)]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = bytearray()

    def read():
        while more := child.stdout.read1(65536):
            text.extend(more)
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    end = time.monotonic() + timeout * SLOW
    try:
        while until is not None and until not in text and reader.is_alive() and time.monotonic() < end:
            time.sleep(0.005)
        try:
            child.stdin.write(then)
            child.stdin.flush()
            if then:
                time.sleep(0.3 * SLOW)
            child.stdin.close()
        except BrokenPipeError:
            pass
        code = child.wait(max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        child.kill()
        code = child.wait()
    reader.join(5)
    child.stdout.close()
    return Said(text.decode(errors="replace"), code)


# Records that no TLS library sends ----------------------------------------------------------------------------------

class RawTls:
    """A client whose handshake is done and who from then on seals its records itself (RFC 8446, 5.2): those that a
    library would not send, as many as wanted."""

    DATA, HANDSHAKE = b"\x17", b"\x16"
    KEY_UPDATE = b"\x18\0\0\x01\0"

    def __init__(self, door, sni, keylog):
        ctx = context(least=ssl.TLSVersion.TLSv1_3)
        ctx.keylog_filename = str(keylog)
        self.sock = connect(door, sni, ctx=ctx)
        self.name = self.sock.getsockname()
        suite, _, bits = self.sock.cipher()
        assert "GCM" in suite
        self.hash, self.key_size = suite.rsplit("_", 1)[1].lower(), bits // 8
        self.take(next(bytes.fromhex(line.split()[2]) for line in keylog.read_text(encoding="ascii").splitlines()
                       if line.startswith("CLIENT_TRAFFIC_SECRET_0 ")))

    def expand(self, label, size):
        """HKDF-Expand-Label without a context, of at most one block (RFC 8446, 7.1)."""
        label = b"tls13 " + label
        info = struct.pack("!HB", size, len(label)) + label + b"\0\x01"
        return hmac.digest(self.secret, info, self.hash)[:size]

    def take(self, secret):
        self.secret, self.sequence = secret, 0
        self.aead, self.iv = AESGCM(self.expand(b"key", self.key_size)), int.from_bytes(self.expand(b"iv", 12), "big")

    def record(self, kind, content):
        header = b"\x17\x03\x03" + struct.pack("!H", len(content) + 17)
        nonce = (self.iv ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        return header + self.aead.encrypt(nonce, content + kind, header)

    def data(self, content):
        return self.record(self.DATA, content)

    def key_update(self):
        record = self.record(self.HANDSHAKE, self.KEY_UPDATE)
        self.take(self.expand(b"traffic upd", len(self.secret)))
        return record

    def send(self, records):
        """Below the TLS of the socket, which knows nothing of it."""
        socket.socket.sendall(self.sock, records)
