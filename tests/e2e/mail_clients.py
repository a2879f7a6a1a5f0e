# SPDX-License-Identifier: Apache-2.0
"""Real clients of mail and news: swaks, curl, sieve-connect, getlist of INN, openssl s_client. Each works in its protocol at a
port of 127.0.0.1, without TLS (`tls` None), with STARTTLS demanded ("starttls"), or in TLS from the first byte ("implicit"),
for which it checks that the certificate is good for `name`; it answers with a process that has ended."""
import os

import peers
import tls as tls_clients
from mail_servers import PASSWORD, USER
from run import SLOW, run


def swaks(port, tls, ca, name, subject, *words, to=USER, host="127.0.0.1"):
    how = {None: [], "starttls": ["--tls"], "implicit": ["--tls-on-connect"]}[tls]
    if tls:
        how += ["--tls-verify", "--tls-ca-path", ca, "--tls-sni", name]
    return run("swaks", "--server", host, "--port", port, "--from", "bob@example.com", "--to", to, "--timeout",
               round(20 * SLOW), "--header", f"Subject: {subject}", *how, *words)


def curl(protocol, port, tls, ca, name, *words):
    scheme = protocol + ("s" if tls == "implicit" else "")
    how = {None: [], "starttls": ["--ssl-reqd"], "implicit": []}[tls]
    return peers.curl("-v", "--noproxy", "*", "--resolve", f"{name}:{port}:127.0.0.1", "-u", f"{USER}:{PASSWORD}",
                      *(["--cacert", ca] if tls else []), *how, *words, f"{scheme}://{name}:{port}/INBOX"
                      if protocol == "imap" else f"{scheme}://{name}:{port}/")


def sieve_connect(port, tls, ca, name):
    """Lists the scripts of a user. It has no way to begin with TLS."""
    ends = os.pipe()
    os.write(ends[1], PASSWORD.encode() + b"\n")
    os.close(ends[1])
    how = ["--tlscafile", ca, "--tlshostname", name, "--noclearchan"] if tls else ["--clearchan", "--notlsverify"]
    try:
        return run("sieve-connect", "--server", "127.0.0.1", "--port", port, "--user", USER, "--passwordfd", ends[0],
                   "--authmech", "PLAIN", "--debug", "--list", *how, pass_fds=[ends[0]])
    finally:
        os.close(ends[0])


def getlist(port, inn):
    """It reads the configuration of a server."""
    return run("/usr/lib/news/bin/getlist", "-h", "127.0.0.1", "-p", port, env={**os.environ, "INNCONF": str(inn.config)})


def s_client(protocol, port, tls, ca, name, until, then, *words):
    """openssl s_client, which types `then` once the server has said `until`."""
    how = ["-starttls", protocol] if tls == "starttls" else []
    return tls_clients.s_client(None, name, "-CAfile", ca, "-verify_return_error", "-verify_hostname", name, *how, *words, port=port,
                                until=until, then=then)
