# SPDX-License-Identifier: Apache-2.0
"""What a client sees of a staple."""
import re
import subprocess

from run import SLOW, run


def status(door, name="www.example.com", tls="-tls1_3"):
    """What OpenSSL says of the staple: `good`, `revoked`, or None where there is none."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{door.port}", "-servername", name, "-status", tls],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=20 * SLOW)
    text = done.stdout.decode(errors="replace")
    if "OCSP response: no response sent" in text:
        return None
    found = re.search(r"Cert Status: (\w+)", text)
    assert found, text + done.stderr.decode(errors="replace")
    return found.group(1)


def curl(door, ca, name="www.example.com"):
    """curl's exit status where it demands a good staple."""
    return run("curl", "-sS", "--cert-status", "--cacert", ca, "--connect-to", f"{name}:443:127.0.0.1:{door.port}",
               "--http0.9", "--max-time", "5", f"https://{name}/").returncode
