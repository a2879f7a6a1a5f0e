# SPDX-License-Identifier: Apache-2.0
"""A piece of work in each protocol of mail and news, and the real servers for it, so that one table of tests covers all."""
import itertools
import os

import pytest

import mail_clients
from mail_servers import PASSWORD, ROOT_ONLY, USER
from run import wait_until

PROTOCOLS = ("smtp", "submission", "lmtp", "imap", "pop3", "managesieve", "nntp")
# Who takes part in it, for README.md.
SERVER = {"smtp": "Postfix", "submission": "Postfix", "lmtp": "Dovecot", "imap": "Dovecot", "pop3": "Dovecot",
          "managesieve": "Dovecot", "nntp": "INN"}
CLIENT = {"smtp": "swaks", "submission": "swaks", "lmtp": "swaks", "imap": "curl", "pop3": "curl",
          "managesieve": "sieve-connect"}
subjects = (f"message-{number}-" for number in itertools.count())  # each once in a test run


def script(protocol):
    """The STARTTLS script behind that name."""
    return "smtp" if protocol == "submission" else protocol


def can(protocol):
    """Are there servers for it that this user may start?"""
    return SERVER[protocol] == "Dovecot" or os.geteuid() == 0


class Work:
    """The servers without TLS and those that demand it, started when they are first needed. do() works at a port and tells
    whether all of it was done."""

    def __init__(self, request, ca, name="mail.example.com"):
        self.request = request
        self.ca, self.name = ca, name
        for server in (self.dovecot, self.dovecot_tls):
            server.deliver("waiting")

    postfix = property(lambda self: self.request.getfixturevalue("postfix"))
    dovecot = property(lambda self: self.request.getfixturevalue("dovecot"))
    dovecot_tls = property(lambda self: self.request.getfixturevalue("dovecot_tls"))
    inn = property(lambda self: self.request.getfixturevalue("inn"))
    inn_tls = property(lambda self: self.request.getfixturevalue("inn_tls"))

    def server(self, protocol, tls):
        """The address of a real server that demands STARTTLS, or with `tls` None knows none. Skips the test where there is
        none for this user."""
        if not can(protocol):
            pytest.skip(ROOT_ONLY)
        if protocol == "nntp":
            return (self.inn_tls if tls else self.inn).to("nntp")
        if protocol == "smtp":
            return self.postfix.to("required" if tls else "plain")
        if protocol == "submission":
            return self.postfix.to("submission" if tls else "plainsubmission")
        return (self.dovecot_tls if tls else self.dovecot).to(protocol)

    def do(self, protocol, port, tls, name=None):
        """(done?, all that the client printed)"""
        self.server(protocol, None)
        return getattr(self, protocol)(port, tls, name or self.name)

    def smtp(self, port, tls, name, *words):
        subject = next(subjects)
        done = mail_clients.swaks(port, tls, self.ca, name, subject, *words)
        arrived = done.returncode == 0
        if arrived:
            wait_until(lambda: self.postfix.delivered(subject), lambda: f"{subject}; {self.postfix.log()}")
        return arrived, said(done)

    def submission(self, port, tls, name):
        return self.smtp(port, tls, name, "--auth", "PLAIN", "--auth-user", USER, "--auth-password", PASSWORD)

    def lmtp(self, port, tls, name):
        subject = next(subjects)
        done = mail_clients.swaks(port, tls, self.ca, name, subject, "--protocol", "LMTP")
        arrived = any(server.delivered(subject) for server in (self.dovecot, self.dovecot_tls))
        return done.returncode == 0 and arrived, said(done)

    def imap(self, port, tls, name):
        done = mail_clients.curl("imap", port, tls, self.ca, name, "-X", "FETCH 1 BODY[HEADER.FIELDS (SUBJECT)]")
        return done.returncode == 0 and "< Subject: " in said(done), said(done)

    def pop3(self, port, tls, name):
        done = mail_clients.curl("pop3", port, tls, self.ca, name)
        return done.returncode == 0 and done.stdout.startswith(b"1 "), said(done)

    def managesieve(self, port, tls, name):
        done = mail_clients.sieve_connect(port, tls, self.ca, name)
        return done.returncode == 0, said(done)

    def nntp(self, port, tls, name):
        if tls is None:
            done = mail_clients.getlist(port, self.inn)
            return done.returncode == 0 and b"example.test" in done.stdout, said(done)
        done = mail_clients.s_client("nntp", port, tls, self.ca, name, b"Verify return code", b"GROUP example.test\nQUIT\n",
                                     "-ign_eof", "-crlf")
        return "211 0 1 0 example.test" in done.text, done.text


def said(done):
    return (done.stdout + done.stderr).decode(errors="replace")
