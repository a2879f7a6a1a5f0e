# SPDX-License-Identifier: Apache-2.0
"""Certificate authorities and certificates, made with openssl's command line (the outside peer)."""
import subprocess
import time
from pathlib import Path

CONFIG = """
[ca]
default_ca = default
[default]
dir = {directory}
database = $dir/index.txt
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
unique_subject = no
policy = anything
[anything]
commonName = optional
organizationalUnitName = optional
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {name}
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""

KEYS = {
    "ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
}


def openssl(*words, cwd=None):
    done = subprocess.run(["openssl", *map(str, words)], cwd=cwd, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, f"openssl {' '.join(map(str, words))}\n{done.stderr.decode()}"
    return done.stdout


def when(offset):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + offset))


class Cert:
    """Paths of a certificate (with its chain, leaf first) and its key."""

    def __init__(self, certificate, key):
        self.certificate = str(certificate)
        self.key = str(key)

    def row(self, **more):
        """A row of the configuration's `certificates`."""
        return {"certificate": self.certificate, "key": self.key, **more}


class CA:
    """A certificate authority in a directory of its own; its certificate is `file`."""

    def __init__(self, directory, name, key="ec", issuer=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True)
        self.name = name
        self.issuer = issuer
        self.config = self.directory / "openssl.cnf"
        self.config.write_text(CONFIG.format(directory=self.directory, name=name))
        (self.directory / "index.txt").write_text("")
        (self.directory / "serial").write_text("1000\n")
        (self.directory / "crlnumber").write_text("01\n")
        openssl("genpkey", *KEYS[key], "-out", self.directory / "ca.key")
        if issuer is None:
            openssl("req", "-x509", "-new", "-config", self.config, "-extensions", "root", "-days", 30,
                    "-key", self.directory / "ca.key", "-out", self.directory / "ca.pem")
        else:
            issuer.sign(self.directory / "ca", name, "basicConstraints = critical, CA:true\n"
                        "keyUsage = critical, keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n")
        self.file = str(self.directory / "ca.pem")

    def sign(self, stem, name, extensions, ou=(), start=-3600, end=7 * 86400):
        """Sign the key `stem`.key into `stem`.pem."""
        request = Path(f"{stem}.cnf")
        units = "".join(f"{i}.OU = {unit}\n" for i, unit in enumerate(ou))
        request.write_text("[req]\ndistinguished_name = dn\nprompt = no\nutf8 = yes\nstring_mask = utf8only\n"
                           f"[dn]\n{units}CN = {name}\n"
                           f"[leaf]\nauthorityKeyIdentifier = keyid\n{extensions}")
        openssl("req", "-new", "-config", request, "-key", f"{stem}.key", "-out", f"{stem}.csr")
        openssl("ca", "-batch", "-notext", "-config", self.config, "-extfile", request, "-extensions", "leaf",
                "-preserveDN", "-startdate", when(start), "-enddate", when(end),
                "-in", f"{stem}.csr", "-out", f"{stem}.pem")

    def issue(self, name, *, dns=(), ip=(), uri=(), email=(), ou=(), key="ec", usage="serverAuth",
              start=-3600, end=7 * 86400, label=None, extra=""):
        """A leaf certificate; `ou` one after another, `start` and `end` in seconds from now; `extra`: more extensions."""
        stem = self.directory / (label or f"{name.replace('*', 'any')}-{key}")
        names = [f"DNS:{n}" for n in dns] + [f"IP:{n}" for n in ip] + [f"URI:{n}" for n in uri]
        names += [f"email:{n}" for n in email]
        extensions = f"basicConstraints = CA:false\nkeyUsage = digitalSignature\nextendedKeyUsage = {usage}\n"
        if names:
            extensions += f"subjectAltName = {','.join(names)}\n"
        openssl("genpkey", *KEYS[key], "-out", f"{stem}.key")
        self.sign(stem, name, extensions + extra, ou, start, end)
        if self.issuer is not None:
            chain = Path(f"{stem}.pem").read_text() + Path(self.file).read_text()
            Path(f"{stem}.pem").write_text(chain)
        return Cert(f"{stem}.pem", f"{stem}.key")

    def client(self, name, **more):
        return self.issue(name, usage="clientAuth", label=more.pop("label", f"client-{name}"), **more)

    def revoke(self, cert):
        openssl("ca", "-config", self.config, "-revoke", cert.certificate)

    def crl(self, path, start=None, end=None):
        """Write the revocation list as it now stands; put in place in one step. Valid from `start` to `end`, seconds from now,
        if they are given."""
        staged = Path(f"{path}.new")
        dates = [] if end is None else ["-crl_lastupdate", when(start), "-crl_nextupdate", when(end)]
        openssl("ca", "-config", self.config, "-gencrl", *dates, "-out", staged)
        staged.rename(path)
        return str(path)


class Pki:
    """What most tests use: the door's CA, the CA `staff` of its clients, a stranger's CA, and people."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.ca = CA(self.directory / "door-ca", "Door CA")
        self.staff = CA(self.directory / "staff-ca", "Staff CA")
        self.stranger = CA(self.directory / "stranger-ca", "Stranger CA")
        self.alice = self.staff.client("alice", ou=["ops"], email=["alice@example.test"],
                                       uri=["spiffe://example.test/team/ops/alice"])
        self.bob = self.staff.client("bob", ou=["dev"], email=["bob@example.test"])
        self.mallory = self.stranger.client("alice", ou=["ops"])
        self.made = {}

    def server(self, *names, key="ec"):
        """A certificate of the door's CA for these names (made once)."""
        if (names, key) not in self.made:
            label = f"server-{len(self.made)}"
            self.made[names, key] = self.ca.issue(names[0], dns=names, ip=["127.0.0.1"], key=key, label=label)
        return self.made[names, key]

    def trust(self, **more):
        """The row of `trust` for staff."""
        return {"name": "staff", "ca": [self.staff.file], **more}
