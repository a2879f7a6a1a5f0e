# SPDX-License-Identifier: Apache-2.0
"""A door with nothing configured that need not be, for others to judge, and what testssl.sh says of it."""
import json
import shutil

import peers
from run import CARDEA, run

TESTSSL = shutil.which("testssl") or shutil.which("testssl.sh")
WORSE = ("MEDIUM", "HIGH", "CRITICAL")


def web(sock):
    """A web server that does as it should: headers are not the door's."""
    sock.recv(65536)
    sock.sendall(peers.http_answer(b"hello", "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
                                   "X-Frame-Options: DENY\r\nX-Content-Type-Options: nosniff\r\n"
                                   "Content-Security-Policy: default-src 'none'\r\n"))


def judged_door(start_door, directory, backend):
    """Its certificate is of a CA that says where to ask whom it has revoked, for a name that leads here; `root` is whom to
    believe."""
    ca, secret = directory / "ca", directory / "passphrase"
    secret.touch(0o600)
    secret.write_text("correct horse battery staple\n")
    for words in (["init", ca, "--name", "Judged", "--url", "http://127.0.0.1:9/ca", "--root-passphrase-file", secret],
                  ["issue", "localhost", "--out", directory / "judged"]):
        done = run(CARDEA, "ca", *words, env={"CARDEA_CA_DIR": str(ca), "PATH": "/usr/bin:/bin"})
        assert done.returncode == 0, done.stderr.decode()
    row = {"certificate": str(directory / "judged.pem"), "key": str(directory / "judged.key")}
    door = start_door({"certificates": [row], "routes": [{"name": "web", "sni": "localhost", "alpn": "http/1.1",
                                                          "terminate": {"to": backend}}]})
    door.root = ca / "root.pem"
    return door


def testssl(door, directory, *sections, timeout=1800):
    """What it finds that is worse than LOW."""
    told = directory / "testssl.json"
    done = run(TESTSSL, "--jsonfile", told, "--warnings", "off", "--color", "0", "--quiet", "--ip", "one", "--add-ca", door.root,
               *sections, f"localhost:{door.port}", timeout=timeout)
    findings = json.loads(told.read_text())
    assert len(findings) > 20, done.stdout.decode()
    return [each for each in findings if each["severity"] in WORSE]
