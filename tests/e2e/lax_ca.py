# SPDX-License-Identifier: Apache-2.0
"""A CA that speaks ACME and asks for no proof. What its certificates say is what a test wants: that there is a CRL and no
responder (pebble's have none), or that clients are to demand a staple (no client asks pebble for that)."""
import base64
import datetime
import itertools
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from responder import now


def url_base64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class LaxCa:
    """`cert` (pki.Cert): of its own server. `ocsp`, `crl`: URLs that its certificates name. `must_staple`: RFC 7633.
    `lifetime`: seconds that they last."""

    def __init__(self, cert, *, ocsp=None, crl=None, must_staple=False, lifetime=30 * 86400):
        self.ocsp, self.crl, self.must_staple, self.lifetime = ocsp, crl, must_staple, lifetime
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Lax CA")])
        self.issuer = self.builder(name, name, self.key.public_key(), 30 * 86400).add_extension(
            x509.BasicConstraints(True, None), True).add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False).sign(self.key, hashes.SHA256())
        self.orders, self.numbers = {}, itertools.count(1)
        ca = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                ca.answer(self, {})

            do_HEAD = do_GET

            def do_POST(self):
                jws = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                ca.answer(self, json.loads(url_base64(jws["payload"]) or b"{}"))

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(cert.certificate, cert.key)
        self.server.socket = ctx.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.base = f"https://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"{self.base}/dir"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    def builder(subject, issuer, key, lifetime):
        return x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).serial_number(
            x509.random_serial_number()).public_key(key).not_valid_before(now()).not_valid_after(
                now() + datetime.timedelta(seconds=lifetime))

    def issue(self, csr):
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        builder = self.builder(x509.Name([]), self.issuer.subject, csr.public_key(), self.lifetime).add_extension(names, True).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
        if self.ocsp:
            builder = builder.add_extension(x509.AuthorityInformationAccess([x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(self.ocsp))]), False)
        if self.crl:
            builder = builder.add_extension(x509.CRLDistributionPoints([x509.DistributionPoint(
                [x509.UniformResourceIdentifier(self.crl)], None, None, None)]), False)
        if self.must_staple:
            builder = builder.add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), False)
        leaf = builder.sign(self.key, hashes.SHA256())
        return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in (leaf, self.issuer))

    def order(self, number):
        """The order with this number, as its client sees it."""
        made = self.orders[number]
        return {"status": "valid" if made["chain"] else "ready", "identifiers": made["names"],
                "authorizations": [f"{self.base}/authorization/{number}"], "finalize": f"{self.base}/finalize/{number}",
                **({"certificate": f"{self.base}/certificate/{number}"} if made["chain"] else {})}

    def reply(self, path, payload):
        """(status code, body, fields) for a request."""
        what, _, number = path.strip("/").partition("/")
        if what == "dir":
            return 200, {"newNonce": f"{self.base}/nonce", "newAccount": f"{self.base}/account", "newOrder": f"{self.base}/order",
                         "revokeCert": f"{self.base}/revoke", "keyChange": f"{self.base}/key"}, {}
        if what == "account":
            return 201, {"status": "valid"}, {"Location": f"{self.base}/account/1"}
        if what == "order" and not number:
            number = str(next(self.numbers))
            self.orders[number] = {"names": payload["identifiers"], "chain": ""}
            return 201, self.order(number), {"Location": f"{self.base}/order/{number}"}
        if what == "finalize":
            self.orders[number]["chain"] = self.issue(x509.load_der_x509_csr(url_base64(payload["csr"])))
            return 200, self.order(number), {}
        if what == "order":
            return 200, self.order(number), {}
        if what == "certificate":
            return 200, self.orders[number]["chain"], {}
        return 200, {}, {}

    def answer(self, handler, payload):
        code, body, fields = self.reply(handler.path, payload)
        plain = isinstance(body, str)
        data = (body if plain else json.dumps(body)).encode()
        handler.send_response(code)
        for name, value in {**fields, "Replay-Nonce": f"n{next(self.numbers)}", "Content-Length": str(len(data)),
                            "Content-Type": "application/pem-certificate-chain" if plain else "application/json"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data)
