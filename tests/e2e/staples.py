# SPDX-License-Identifier: Apache-2.0
"""What a client sees of a staple."""
import re
import subprocess

from cryptography import x509

from run import SLOW, run


def shown(door, name="www.example.com", tls="-tls1_3"):
    """What one handshake shows: the certificate's serial number, and what OpenSSL says of the staple: `good`, `revoked`, or
    None where there is none."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{door.port}", "-servername", name, "-status", tls],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=20 * SLOW)
    text = done.stdout.decode(errors="replace")
    leaf = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", text, re.DOTALL)
    found = re.search(r"Cert Status: (\w+)|OCSP response: no response sent", text)
    assert leaf and found, text + done.stderr.decode(errors="replace")
    return x509.load_pem_x509_certificate(leaf.group(0).encode()).serial_number, found.group(1)


def status(door, name="www.example.com", tls="-tls1_3"):
    """What OpenSSL says of the staple."""
    return shown(door, name, tls)[1]


def curl(door, ca, name="www.example.com"):
    """curl's exit status where it demands a good staple."""
    return run("curl", "-sS", "--cert-status", "--cacert", ca, "--connect-to", f"{name}:443:127.0.0.1:{door.port}",
               "--http0.9", "--max-time", "5", f"https://{name}/").returncode
