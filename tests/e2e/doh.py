# SPDX-License-Identifier: Apache-2.0
"""A resolver by DNS over HTTPS (RFC 8484) for tests: it knows what it is told, and remembers what it was asked."""
import base64
import http.server
import socketserver
import ssl
import struct
import threading

CNAME, HTTPS = 5, 65


def name(text):
    """In wire format; "." is the root."""
    return b"".join(bytes([len(label)]) + label.encode() for label in text.strip(".").split(".") if label) + b"\0"


def https(priority=1, target=".", **params):
    """The data of an HTTPS record (RFC 9460): alpn and ech (base64), port, or p5=... as bytes."""
    keys = {"mandatory": 0, "alpn": 1, "port": 3, "ech": 5}
    rows = []
    for key, value in params.items():
        number = keys[key] if key in keys else int(key[1:])
        if key == "ech":
            value = base64.b64decode(value)
        elif key == "port":
            value = struct.pack("!H", value)
        elif key == "alpn":
            value = b"".join(bytes([len(one)]) + one.encode() for one in value.split(","))
        elif key == "mandatory":
            value = b"".join(struct.pack("!H", one) for one in value)
        rows.append((number, value))
    return struct.pack("!H", priority) + name(target) + b"".join(
        struct.pack("!HH", number, len(value)) + value for number, value in sorted(rows))


class Server:
    """Answers POST over HTTPS: what `respond` returns of a request, a status, a type and a body."""

    def __init__(self, cert):
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, kind, answer = owner.respond(self, body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert.certificate, cert.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def host(self):
        return f"localhost:{self.server.server_port}"

    @property
    def url(self):
        return f"https://{self.host}/dns-query"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Resolver(Server):
    """`records`: name -> a list of (type, data); a name that is not there does not exist (NXDOMAIN)."""
    TYPE = "application/dns-message"

    def __init__(self, cert, ttl=300):
        self.records, self.asked, self.ttl, self.status, self.code = {}, [], ttl, 200, 0
        super().__init__(cert)

    def respond(self, request, body):
        assert request.headers["Content-Type"] == self.TYPE
        assert len(body) % 128 == 0, "the question is padded"
        return self.status, self.TYPE, self.answer(body)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12:at + 5]
        asked = ".".join(labels)
        self.asked.append(asked)
        found, owner = [], asked
        while owner in self.records:
            found += [(owner, kind, data) for kind, data in self.records[owner]]
            alias = [data for kind, data in self.records[owner] if kind == CNAME]
            if not alias:
                break
            owner, found[-1:] = alias[0], [(owner, CNAME, name(alias[0]))]
        code = self.code or (3 if asked not in self.records else 0)
        rows = b"".join(name(owner) + struct.pack("!HHIH", kind, 1, self.ttl, len(data)) + data for owner, kind, data in found)
        return query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(found), 0, 0) + question + rows


class Plain:
    """The same resolver as a name server, over UDP."""

    def __init__(self, resolver):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                query, sock = self.request
                sock.sendto(resolver.answer(query), self.client_address)
        self.server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
