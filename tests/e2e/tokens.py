# SPDX-License-Identifier: Apache-2.0
"""A token of SoftHSM in a folder of the test."""
import os
import subprocess

from pki import Cert, openssl

PIN = "98315746"


class Token:
    def __init__(self, directory):
        self.directory, self.keys = directory, 0
        (directory / "tokens").mkdir()
        conf = directory / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {directory / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.env = {"SOFTHSM2_CONF": str(conf)}
        self.util("--init-token", "--free", "--label", "door token", "--so-pin", "12345678", "--pin", PIN)
        self.pin = directory / "pin"
        self.put_pin(PIN)

    def util(self, *words):
        done = subprocess.run(["softhsm2-util", *words], env={**os.environ, **self.env}, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()

    def put_pin(self, text, mode=0o600):
        self.pin.write_text(text + "\n")
        self.pin.chmod(mode)

    def keep(self, cert, label, number=None):
        """The certificate, with its key in the token only."""
        self.keys += 1
        pkcs8 = self.directory / f"{label}.p8"
        openssl("pkcs8", "-topk8", "-nocrypt", "-in", cert.key, "-out", pkcs8)
        self.util("--import", str(pkcs8), "--token", "door token", "--label", label,
                  "--id", number or f"{self.keys:02x}", "--pin", PIN)
        pkcs8.unlink()
        return Cert(cert.certificate, self.uri(label))

    def uri(self, label, query=None):
        query = f"pin-source=file:{self.pin}" if query is None else query
        return f"pkcs11:token=door%20token;object={label}" + (f"?{query}" if query else "")
