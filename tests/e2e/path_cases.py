# SPDX-License-Identifier: Apache-2.0
"""Cases for `cardea check --verify`: a folder each, with a chain, the roots and what is expected.

    python3 tests/e2e/path_cases.py DIR [--all] [--openssl]

The categories are those that are published for verifiers of chains (branching, circles, dates, name constraints,
extendedKeyUsage, basicConstraints, weak signatures), the graphs those of RFC 4158, and some that are hostile. With --all each
combination of names and constraints is there, near 10,000; else a sample."""
import datetime
import ipaddress
import itertools
import json
import subprocess
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

NOW = datetime.datetime(2026, 6, 1)
AT = "2026-06-01T00:00:00Z"
DAY = datetime.timedelta(days=1)
HOST = "host.example"
PEM = serialization.Encoding.PEM

# Graphs: "A>B" is a certificate by A for B; "A<>B" is one in each direction. The leaf is what the case verifies.
LINEAR = "T>A A>L"
TWO_ROOTS = "T>A U>A A>L"
# RFC 4158, 1.5 and 2.3 to 2.4: a hierarchy, peers who have signed each other, a mesh, and houses behind a bridge.
HIERARCHY = "T>A T>B A>C A>D B>E B>F C>L"
PEERS = "T<>U T>A U>B B>L"
MESH = "T>A T>C A<>C A>B C>B B>L"
FULL_MESH = "T<>A T<>B T<>C A<>B A<>C B<>C C>L"
BRIDGE = (
    "W<>bridge X<>bridge Y<>bridge Z<>bridge W>F W>G F<>G F>H H<>I G>I X>J X>K J>M K>N K>P N>L"
    " Y>A Y>C A<>C A>B C>B B>D B>E Z>O Z>Q O>R O>S Q>V R>V"
)

# What may be wrong with a certificate that a CA is to use.
DEFECTS = {
    "expired": "expired",
    "not-yet-valid": "dates",
    "name-constraints": "name constraints",
    "excluded": "name constraints",
    "eku": "extendedKeyUsage",
    "no-basic-constraints": "basic constraints",
    "not-a-ca": "basic constraints",
    "no-cert-sign": "key usage",
    "sha1": "weak signatures",
    "critical": "critical extensions",
    "forged": "signatures",
}


class Graph:
    """Certificates for the edges of a graph, with keys that live as long as it. Those in `bad` have the defect. `leaf_names` may
    be what stands within the GeneralNames, in DER."""

    keys = {}

    def __init__(self, edges, bad=(), defect=None, leaf="L", roots="T", constraints=None, leaf_names=None, common_name=None):
        self.bad, self.defect, self.leaf = set(bad), defect, leaf
        self.constraints, self.leaf_names, self.common_name = constraints or {}, leaf_names, common_name
        pairs = []
        for edge in edges.split():
            both = "<>" in edge
            a, b = edge.split("<>" if both else ">")
            pairs += [(a, b), (b, a)] if both else [(a, b)]
        self.leaves = [self.make(a, b) for a, b in pairs if b == leaf]
        self.others = [self.make(a, b) for a, b in pairs if b != leaf]
        self.roots = [self.make(name, name) for name in roots.split()]

    def key(self, name):
        return self.keys.setdefault(name, ec.generate_private_key(ec.SECP256R1()))

    def name(self, entity):
        if entity == self.leaf and self.common_name is not None:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)] if self.common_name else [])
        return x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Cases"), x509.NameAttribute(NameOID.COMMON_NAME, entity)]
        )

    def make(self, issuer, subject):
        edge = f"{issuer}>{subject}"
        defect = self.defect if edge in self.bad else None
        is_leaf = subject == self.leaf
        begin = NOW + DAY if defect == "not-yet-valid" else NOW - DAY
        end = NOW - DAY / 24 if defect == "expired" else NOW + 366 * DAY
        builder = (
            x509.CertificateBuilder()
            .serial_number(x509.random_serial_number())
            .issuer_name(self.name(issuer))
            .subject_name(self.name(subject))
            .not_valid_before(begin)
            .not_valid_after(end)
            .public_key(self.key(subject).public_key())
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key(subject).public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key(issuer).public_key()), False)
        )
        if defect != "no-basic-constraints":
            builder = builder.add_extension(x509.BasicConstraints(not is_leaf and defect != "not-a-ca", None), True)
        signs = not is_leaf and defect != "no-cert-sign"
        builder = builder.add_extension(
            x509.KeyUsage(not signs, False, False, False, False, signs, False, False, False), True
        )
        if is_leaf or defect == "eku":
            usage = ExtendedKeyUsageOID.EMAIL_PROTECTION if defect == "eku" else ExtendedKeyUsageOID.SERVER_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        names = [x509.DNSName(HOST)] if self.leaf_names is None else self.leaf_names
        if is_leaf and isinstance(names, bytes):
            raw = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, der(0x30, names))
            builder = builder.add_extension(raw, False)
        elif is_leaf and names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        limits = self.constraints.get(edge)
        if defect == "name-constraints":
            limits = ([x509.DNSName("elsewhere.example")], None)
        elif defect == "excluded":
            limits = (None, [x509.DNSName("example")])
        if limits is not None:
            builder = builder.add_extension(x509.NameConstraints(*limits), True)
        if defect == "critical":
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
            builder = builder.add_extension(unknown, True)
        signer = self.key("forger") if defect == "forged" else self.key(issuer)
        made = builder.sign(signer, hashes.SHA256())
        return sign_with_sha1(made, signer) if defect == "sha1" else made.public_bytes(PEM)


def der(tag, *parts):
    """A value in DER, of up to 64 KiB."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    return bytes([tag, 0x81, size] if size < 0x100 else [tag, 0x82, size >> 8, size & 0xFF]) + body


def contents(value):
    """Of a DER value whose length takes up to three bytes."""
    return value[2 + (value[1] & 0x7F if value[1] & 0x80 else 0) :]


def sign_with_sha1(cert, signer):
    """The same certificate with a signature that the library no longer makes."""
    sha256 = der(0x30, bytes.fromhex("06082a8648ce3d040302"))
    sha1 = der(0x30, bytes.fromhex("06072a8648ce3d0401"))
    tbs = der(0x30, contents(cert.tbs_certificate_bytes).replace(sha256, sha1, 1))
    signature = der(0x03, b"\0", signer.sign(tbs, ec.ECDSA(hashes.SHA1())))
    return x509.load_der_x509_certificate(der(0x30, tbs, sha1, signature)).public_bytes(PEM)


def reachable(edges, bad, root, leaf):
    """Is there a way from the root to the leaf that goes over no bad certificate?"""
    pairs = set()
    for edge in edges.split():
        a, b = edge.split("<>" if "<>" in edge else ">")
        pairs |= {(a, b), (b, a)} if "<>" in edge else {(a, b)}
    pairs -= {tuple(edge.split(">")) for edge in bad}
    known, before = {root}, None
    while known != before:
        before = set(known)
        known |= {b for a, b in pairs if a in known}
    return leaf in known


class Cases:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.count = 0

    def add(self, name, category, graph, expect, host=HOST, **more):
        assert len(graph.leaves) == 1
        folder = self.directory / name
        folder.mkdir(parents=True)
        (folder / "chain.pem").write_bytes(b"".join(graph.leaves + graph.others))
        (folder / "roots.pem").write_bytes(b"".join(graph.roots))
        settings = {"category": category, "name": host, "at": AT, "purpose": "server", "expect": expect, **more}
        (folder / "case.json").write_text(json.dumps(settings))
        self.count += 1

    def graph(self, name, edges, category="branching", root="T", leaf="L", bad=(), defect=None):
        expect = "accept" if reachable(edges, bad, root, leaf) else "reject"
        self.add(name, category, Graph(edges, bad, defect, leaf, root), expect)


def graphs(cases):
    """Each graph, whole, and with each defect in certificates whose loss leaves a way or leaves none."""
    whole = [
        ("linear", LINEAR, "T", "L"),
        ("two-roots-first", TWO_ROOTS, "T", "L"),
        ("two-roots-second", TWO_ROOTS, "U", "L"),
        ("rfc4158-hierarchy", HIERARCHY, "T", "L"),
        ("rfc4158-peers", PEERS, "T", "L"),
        ("rfc4158-mesh", MESH, "T", "L"),
        ("rfc4158-full-mesh", FULL_MESH, "T", "L"),
        ("rfc4158-bridge-far", BRIDGE, "Z", "L"),
        ("rfc4158-bridge-down", BRIDGE, "Z", "D"),
        ("rfc4158-bridge-near", BRIDGE, "X", "L"),
        ("nobody-known", LINEAR, "U", "L"),
        ("circle", "A>B B>C C>A A>L", "T", "L"),
        ("circle-with-a-way-out", "A>B B>C C>A T>B A>L", "T", "L"),
        ("superfluous", LINEAR + " P<>Q Q>R R<>P", "T", "L"),
        ("intermediate-trusted", LINEAR, "A", "L"),
    ]
    for name, edges, root, leaf in whole:
        cases.graph(name, edges, root=root, leaf=leaf)
    broken = [
        ("linear", LINEAR, "T", "L", ["T>A"]),
        ("intermediate-trusted", LINEAR, "A", "L", ["T>A"]),
        ("two-roots-other", TWO_ROOTS, "T", "L", ["U>A"]),
        ("two-roots-only", TWO_ROOTS, "T", "L", ["T>A"]),
        ("two-roots-second-other", TWO_ROOTS, "U", "L", ["T>A"]),
        ("mesh-by-c", MESH, "T", "L", ["T>A", "C>B"]),
        ("mesh-by-a", MESH, "T", "L", ["T>C", "A>B"]),
        ("mesh-none", MESH, "T", "L", ["A>B", "C>B"]),
        ("peers-broken", PEERS, "T", "L", ["T>U"]),
        ("bridge-irrelevant", BRIDGE, "Z", "L", ["X>bridge"]),
        ("bridge-no-entry", BRIDGE, "Z", "L", ["bridge>X"]),
        ("bridge-no-exit", BRIDGE, "Z", "L", ["Z>bridge"]),
        ("circle-way-out-broken", "A>B B>C C>A T>B T>A A>L", "T", "L", ["T>A"]),
    ]
    for (name, edges, root, leaf, bad), (defect, category) in itertools.product(broken, DEFECTS.items()):
        cases.graph(f"{defect}-{name}", edges, category, root, leaf, bad, defect)


def order(cases):
    """A chain in the wrong order, a leaf that does not come first, and one without its intermediates."""
    graph = Graph("T>A A>B B>C C>L")
    graph.others.reverse()
    cases.add("order-reversed", "order", graph, "accept")
    graph = Graph("T>A A>L")
    graph.leaves, graph.others = graph.others, graph.leaves
    cases.add("order-leaf-last", "order", graph, "reject")
    graph = Graph(LINEAR)
    graph.others = []
    cases.add("order-intermediate-missing", "order", graph, "reject")


def mesh(layers, width, bad=False):
    """Each CA of a layer is signed by all of the next; the root by none but itself."""
    names = [[f"{layer}-{i}" for i in range(width)] for layer in range(layers)]
    edges = [f"{above}>{below}" for low, high in zip(names, names[1:]) for above in high for below in low]
    top = [f"T>{name}" for name in names[-1]]
    return Graph(" ".join([f"{names[0][0]}>L", *edges, *top]), top if bad else (), "name-constraints" if bad else None)


def large(cases):
    """Where the number of ways grows with a power, and the work must not."""
    cases.add("mesh-without-a-way", "large graphs", mesh(10, 4, bad=True), "reject")
    graph = mesh(10, 10)
    cases.add("mesh-ten-by-ten", "large graphs", graph, "accept")
    graph.roots = Graph("A>L", roots="U").roots
    cases.add("mesh-of-nobody", "large graphs", graph, "reject")
    graph = mesh(15, 2, bad=True)
    cases.add("two-to-the-fifteenth", "large graphs", graph, "reject")
    names = [f"n{i}" for i in range(12)]
    edges = " ".join(f"{a}>{b}" for a in names for b in names if a != b)
    cases.add("all-with-all", "large graphs", Graph(f"{edges} n0>L"), "reject")
    cases.add("all-with-all-and-a-root", "large graphs", Graph(f"{edges} T>n11 n0>L"), "accept")


GOOD, BAD = "good.example", "bad.test"
GOOD_IP, BAD_IP = ipaddress.ip_address("192.0.2.7"), ipaddress.ip_address("198.51.100.7")
GOOD_NET, BAD_NET = (x509.IPAddress(ipaddress.ip_network(text)) for text in ("192.0.2.0/24", "198.51.100.0/24"))


def names(cases, every):
    """Each combination of what a leaf is called and what its CA may issue; each `every`th of them."""
    dns = {None: None, "good": [x509.DNSName("example")], "bad": [x509.DNSName("test")]}
    ip = {
        None: None,
        "good": [GOOD_NET],
        "bad": [BAD_NET],
    }
    common_names = ["", GOOD, BAD, str(GOOD_IP), str(BAD_IP)]
    kinds = [None, "good", "bad"]
    combinations = itertools.product(["dns", "ip"], common_names, *[kinds] * 6)
    for number, (asked, cn, has_dns, has_ip, dns_in, ip_in, dns_out, ip_out) in enumerate(combinations):
        if number % every != 0:
            continue
        san = []
        if has_dns:
            san.append(x509.DNSName(GOOD if has_dns == "good" else BAD))
        if has_ip:
            san.append(x509.IPAddress(GOOD_IP if has_ip == "good" else BAD_IP))
        permitted, excluded = (dns[dns_in] or []) + (ip[ip_in] or []), (dns[dns_out] or []) + (ip[ip_out] or [])
        limits = {"T>A": (permitted or None, excluded or None)} if permitted or excluded else {}
        named = (has_dns if asked == "dns" else has_ip) == "good"
        allowed = all(
            (within is None or within == has) and without != has
            for has, within, without in ((has_dns, dns_in, dns_out), (has_ip, ip_in, ip_out))
            if has
        )
        graph = Graph("T>A A>L", constraints=limits, leaf_names=san, common_name=cn)
        expect = "accept" if named and allowed else "reject"
        cases.add(f"names-{number:05}", "names and constraints", graph, expect, GOOD if asked == "dns" else str(GOOD_IP))


def disguised(cases, every):
    """The name that is asked for, under each tag that a name may have and as a part of other names, beside a name that is
    allowed: none of it may be taken for the name, nor lead around the constraints."""
    smuggled = ["", f"{BAD}, ", f"{BAD},DNS:", f"http://{BAD};", "http://", "spiffe://", f"{BAD}\0"]
    values = [(GOOD, (before + GOOD).encode()) for before in smuggled]
    values += [(GOOD, f"{GOOD}{after}".encode()) for after in ("/", ":443", "\0", f"\0.{BAD}", f"@{BAD}")]
    values += [(str(GOOD_IP), GOOD_IP.packed), (str(GOOD_IP), str(GOOD_IP).encode()), (str(GOOD_IP), b"\0" * 12 + GOOD_IP.packed)]
    lists = [None, ([x509.DNSName("test"), BAD_NET], None), (None, [x509.DNSName("example"), GOOD_NET])]
    for number, (tag, (asked, value), limits) in enumerate(itertools.product(range(16), values, lists)):
        if number % every != 0:
            continue
        beside = der(0x82, BAD.encode()) + der(0x87, BAD_IP.packed)
        is_name = limits is None and (tag, value) in ((2, GOOD.encode()), (7, GOOD_IP.packed))
        graph = Graph("T>A A>L", constraints={"T>A": limits} if limits else {}, leaf_names=beside + der(0x80 | tag, value))
        cases.add(f"disguised-{number:05}", "names in disguise", graph, "accept" if is_name else "reject", asked)


def generate(directory, everything=False):
    """Fill the folder. Returns how many cases there are."""
    cases = Cases(directory)
    graphs(cases)
    order(cases)
    large(cases)
    names(cases, 1 if everything else 61)
    disguised(cases, 1 if everything else 7)
    return cases.count


def ask_openssl(directory):
    """How the system's openssl decides the same cases: how many it gets right, by category."""
    right = {}
    seconds = str(int(NOW.replace(tzinfo=datetime.timezone.utc).timestamp()))
    for folder in sorted(Path(directory).iterdir()):
        case = json.loads((folder / "case.json").read_text())
        by = "-verify_ip" if case["name"][0].isdigit() else "-verify_hostname"
        words = ["openssl", "verify", "-attime", seconds, by, case["name"], "-purpose", "sslserver", "-partial_chain"]
        words += ["-CAfile", "roots.pem", "-untrusted", "chain.pem", "chain.pem"]
        done = subprocess.run(words, cwd=folder, capture_output=True, timeout=60, check=False)
        row = right.setdefault(case["category"], [0, 0])
        row[0] += (done.returncode == 0) == (case["expect"] == "accept")
        row[1] += 1
    return right


if __name__ == "__main__":
    print(generate(sys.argv[1], "--all" in sys.argv[2:]), "cases")
    if "--openssl" in sys.argv[2:]:
        for row, (good, total) in ask_openssl(sys.argv[1]).items():
            print(f"{row:24} openssl: {good} of {total}")
