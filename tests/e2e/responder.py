# SPDX-License-Identifier: Apache-2.0
"""An OCSP responder that says what a test wants, be it wrong; and it serves CRLs."""
import base64
import datetime
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


class Responder:
    """For certificates of `issuer` (a certificate and its key; both may be given later). `answers`: good, revoked, unknown,
    forged, other, old, future, later, garbage, or none for status 500. `lifetime`: seconds until nextUpdate."""

    def __init__(self, issuer=None, key=None, lifetime=3600):
        self.issuer, self.key, self.lifetime = issuer, key, lifetime
        self.answers, self.count, self.revoked = "good", 0, set()
        responder = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                if self.path.endswith(".crl"):
                    self.answer(responder.crl(), "application/pkix-crl")
                else:
                    self.ocsp(base64.b64decode(urllib.parse.unquote(self.path.rsplit("/", 1)[1])))

            def do_POST(self):
                self.ocsp(self.rfile.read(int(self.headers["Content-Length"])))

            def ocsp(self, request):
                responder.count += 1
                self.answer(responder.answer(ocsp.load_der_ocsp_request(request)), "application/ocsp-response")

            def answer(self, body, kind):
                self.send_response(200 if body else 500)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.handler = Handler
        self.server = self.port = None
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/ocsp"

    @property
    def crl_url(self):
        return f"http://127.0.0.1:{self.port}/ca.crl"

    def start(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port or 0), self.handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
        self.server = None

    def crl(self):
        self.count += 1
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.issuer.subject).last_update(now()).next_update(
            now() + datetime.timedelta(seconds=self.lifetime))
        for serial in self.revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now()).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def stand_in(self, serial):
        """A certificate with that serial number: of what is asked about, only that is known."""
        return x509.CertificateBuilder().subject_name(self.issuer.subject).issuer_name(self.issuer.subject).serial_number(
            serial).public_key(self.key.public_key()).not_valid_before(now()).not_valid_after(
                now() + datetime.timedelta(days=1)).sign(self.key, hashes.SHA256())

    def answer(self, request):
        how = self.answers
        if how == "none":
            return b""
        if how == "garbage":
            return b"<html>no</html>"
        if how == "later":
            return ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(serialization.Encoding.DER)
        at = now() + datetime.timedelta(seconds={"old": -7 * 86400, "future": 86400}.get(how, 0))
        revoked = how == "revoked" or request.serial_number in self.revoked
        status = (ocsp.OCSPCertStatus.REVOKED if revoked else
                  ocsp.OCSPCertStatus.UNKNOWN if how == "unknown" else ocsp.OCSPCertStatus.GOOD)
        builder = ocsp.OCSPResponseBuilder().add_response(
            self.stand_in(request.serial_number ^ (how == "other")), self.issuer, hashes.SHA1(), status, at,
            at + datetime.timedelta(seconds=self.lifetime), at if revoked else None, None)
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, self.issuer)
        der = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        return der[:-1] + bytes([der[-1] ^ 1]) if how == "forged" else der
