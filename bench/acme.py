# SPDX-License-Identifier: Apache-2.0
"""A door that is an ACME server with a CA of its own, and a client of it: what bench/ca and bench/names have in common."""
import base64
import hashlib
import hmac
import http.client
import json
import ssl
import subprocess
import urllib.parse

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from servers import Program, fill, free_port, listens

SECRET = b"0123456789abcdef0123456789abcdef"
ACCOUNT = "bench-1"
CONF = """workers: 1
listeners: [{name: tls, address: "127.0.0.1:@TLS@"}]
certificates: [{certificate: "@DIR@/localhost.pem", key: "@DIR@/localhost.key"}]
routes: [{name: ca, sni: localhost, serve: [acme]}]
ca:
  directory: "@CA@"
  acme:
    url: "https://localhost:@TLS@"
    eab_file: "@DIR@/acme.keys"
    rules: [{accounts: ["eab:bench-*"], profiles: [server], names: ["*.example.com"], trusted: true}]
    limits: {orders: 1000000, orders_per_account: 1000000}
limits: {per_source: 100000}
audit: {file: "@DIR@/audit.log"}
admin: {enabled: false}
"""


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Door(Program):
    """`program` is cardea; its CA, with keys of that kind, is in `folder`/ca."""

    def __init__(self, program, folder, cpu, kind="P-256"):
        secret = folder / "secret"
        secret.write_text("far too long to guess\n")
        secret.chmod(0o600)
        for words in (["init", folder / "ca", "--key", kind, "--root-passphrase-file", secret],
                      ["issue", "localhost", "--dir", folder / "ca", "--out", folder / "localhost"]):
            subprocess.run([program, "ca", *words], check=True, capture_output=True)
        self.key_file = folder / "eab.key"
        for file, text in ((self.key_file, base64url(SECRET)), (folder / "acme.keys", f"{ACCOUNT} {base64url(SECRET)}")):
            file.write_text(text + "\n")
            file.chmod(0o600)
        self.port = free_port()
        conf = folder / "ca.yaml"
        conf.write_text(fill(CONF, {"TLS": self.port, "DIR": folder, "CA": folder / "ca"}))
        self.root = folder / "ca/root.pem"
        super().__init__("ca", [program, "serve", "-c", conf], folder, cpu)
        self.wait_until(lambda: listens(self.port))

    @property
    def url(self):
        return f"https://localhost:{self.port}/acme/directory"


class Client:
    """An account of that door's, over one connection. What it signs with is ECDSA P-256."""

    def __init__(self, door):
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        self.jwk = {"crv": "P-256", "kty": "EC", **{c: base64url(getattr(numbers, c).to_bytes(32, "big")) for c in "xy"}}
        self.http = http.client.HTTPSConnection("localhost", door.port, timeout=30,
                                                context=ssl.create_default_context(cafile=door.root))
        self.account = self.nonce = None
        self.directory = json.loads(self.request("GET", door.url)[1])
        self.request("HEAD", self.directory["newNonce"])
        url = self.directory["newAccount"]
        head = base64url(json.dumps({"alg": "HS256", "kid": ACCOUNT, "url": url}).encode())
        body = base64url(json.dumps(self.jwk).encode())
        mac = base64url(hmac.digest(SECRET, f"{head}.{body}".encode(), hashlib.sha256))
        binding = {"protected": head, "payload": body, "signature": mac}
        self.account = self.post(url, {"termsOfServiceAgreed": True, "externalAccountBinding": binding})[0]["Location"]

    def request(self, method, url, body=None):
        self.http.request(method, urllib.parse.urlsplit(url).path, body, {"Content-Type": "application/jose+json"} if body else {})
        answer = self.http.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{url}: {answer.status} {data[:300]}")
        self.nonce = answer.headers.get("Replay-Nonce", self.nonce)
        return answer.headers, data

    def post(self, url, payload=None):
        who = {"kid": self.account} if self.account else {"jwk": self.jwk}
        head = base64url(json.dumps({"alg": "ES256", "nonce": self.nonce, "url": url, **who}).encode())
        body = base64url(json.dumps(payload).encode()) if payload is not None else ""
        r, s = decode_dss_signature(self.key.sign(f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256())))
        signature = base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return self.request("POST", url, json.dumps({"protected": head, "payload": body, "signature": signature}))

    def issue(self, name, csr):
        """A certificate for the name, of a request (in DER); its chain in PEM."""
        headers, order = self.post(self.directory["newOrder"], {"identifiers": [{"type": "dns", "value": name}]})
        self.post(json.loads(order)["finalize"], {"csr": base64url(csr)})
        while True:
            order = json.loads(self.post(headers["Location"])[1])
            if order["status"] != "processing":
                return self.post(order["certificate"])[1]
