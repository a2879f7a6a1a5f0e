# SPDX-License-Identifier: Apache-2.0
"""Real servers of mail and news, each in a directory of its own, with TLS of their own or without: Postfix, Dovecot, INN."""
import grp
import os
import pwd
import shutil
import tempfile
from pathlib import Path

import pytest

from peers import Server
from run import Process, free_port, run, wait_listening

USER, PASSWORD = "alice@example.com", "knock"
# Dovecot takes a connection from the address it goes to for secure without TLS: 127.0.0.1 to 127.0.0.2 is not.
ADDRESS = "127.0.0.2"
ROOT_ONLY = "Postfix, and INN as its package installs it, start as root only"


class MailServer:
    """Servers that give up root's rights: what they use must be readable for others, so it is not in pytest's own folder.
    `ports` has a port for each way of being spoken to."""

    def __init__(self, name, ways, cert):
        self.directory = Path(tempfile.mkdtemp(prefix=f"cardea-{name}-"))
        self.directory.chmod(0o755)
        self.name = name
        self.ports = {way: free_port() for way in ways}
        self.certificate = self.directory / "server.pem"
        self.key = self.directory / "server.key"
        shutil.copy(cert.certificate, self.certificate)
        shutil.copy(cert.key, self.key)
        self.key.chmod(0o644)  # a test's key; INN and Postfix read it each as a user of its own
        self.process = None

    def begin(self, *argv, **options):
        self.process = Process(argv, self.directory, self.name, cwd=self.directory, **options)
        try:
            for port in self.ports.values():
                wait_listening(port, self.process, 20)
        except AssertionError:
            self.process.stop()  # its directory stays, for its log
            raise

    def to(self, way):
        return f"{ADDRESS}:{self.ports[way]}"

    def stop(self):
        try:
            if self.process is not None:
                self.process.stop(timeout=20)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


# Postfix ----------------------------------------------------------------------------------------------------------

POSTFIX_MAIN = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/log
maillog_file_prefixes = {directory}
myhostname = postfix.example.com
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_base = {directory}/mail
virtual_mailbox_maps = static:all
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
transport_maps = regexp:{directory}/etc/transport
lmtp_host_lookup = native
smtp_host_lookup = native
smtp_tls_security_level = encrypt
lmtp_tls_security_level = encrypt
smtp_tls_loglevel = 1
lmtp_tls_loglevel = 1
smtpd_tls_cert_file = {directory}/server.pem
smtpd_tls_key_file = {directory}/server.key
smtpd_tls_loglevel = 1
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:{auth}
broken_sasl_auth_clients = no
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
message_size_limit = 0
virtual_mailbox_limit = 0
"""

# What comes in is delivered at once, also where its address says otherwise; what comes to `out` goes by its address.
POSTFIX_MASTER = """
{plain}      inet n - n - - smtpd -o content_filter=virtual: -o smtpd_tls_security_level=none
{required}   inet n - n - - smtpd -o content_filter=virtual: -o smtpd_tls_security_level=encrypt
{implicit}   inet n - n - - smtpd -o content_filter=virtual: -o smtpd_tls_wrappermode=yes
{submission} inet n - n - - smtpd -o content_filter=virtual: -o smtpd_tls_security_level=encrypt {auth}
{plainsubmission} inet n - n - - smtpd -o content_filter=virtual: -o smtpd_tls_security_level=none {auth}
{out}        inet n - n - - smtpd -o smtpd_tls_security_level=none
{behind}     inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy -o smtpd_delay_reject=no -o smtpd_client_restrictions=reject
{xclient}    inet n - n - - smtpd -o smtpd_tls_security_level=none -o smtpd_authorized_xclient_hosts=127.0.0.0/8
    -o smtpd_relay_restrictions= -o smtpd_recipient_restrictions=check_policy_service,inet:{policy},permit_mynetworks,reject
    -o content_filter=virtual: -o smtpd_authorized_xforward_hosts=127.0.0.0/8
    -o smtpd_sasl_auth_enable=yes -o smtpd_sasl_security_options=noanonymous
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
lmtp      unix - - n - - lmtp
virtual   unix - n n - - virtual
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
anvil     unix - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""
POSTFIX_AUTH = "-o smtpd_sasl_auth_enable=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject " \
               "-o smtpd_sasl_security_options=noanonymous"
POSTFIX_TRANSPORT = """
/@smtp\\.example\\.com$/ smtp:[127.0.0.1]:{smtp}
/@lmtp\\.example\\.com$/ lmtp:inet:127.0.0.1:{lmtp}
"""


def policy(asked):
    """A handler for Postfix's policy requests (SMTPD_POLICY_README): each becomes a dictionary in `asked`."""
    def handler(sock):
        text = b""
        while data := sock.recv(4096):
            text += data
            while b"\n\n" in text:
                request, _, text = text.partition(b"\n\n")
                asked.append(dict(line.split("=", 1) for line in request.decode().splitlines()))
                sock.sendall(b"action=DUNNO\n\n")
    return handler


class Postfix(MailServer):
    """SMTP at `plain` (knows no TLS), `required`, `implicit`; `submission` demands TLS and a password, `plainsubmission` a
    password. What comes to `out` for smtp.example.com or lmtp.example.com Postfix itself sends on as a client that demands
    STARTTLS, to the ports of 127.0.0.1 that are in `onward`. Behind PROXY headers at `behind` it turns every client away and
    says which address it has; at `xclient` it takes XCLIENT, and asks a policy server about each recipient: `asked` has what it knew."""

    def __init__(self, cert, dovecot):
        if os.geteuid() != 0:
            pytest.skip(ROOT_ONLY)
        super().__init__("postfix", ("plain", "required", "implicit", "submission", "plainsubmission", "out", "behind",
                                     "xclient"), cert)
        owner = pwd.getpwnam("postfix")
        etc = self.directory / "etc"
        for folder in ("etc", "data", "mail", "queue", *(f"queue/{name}" for name in (
                "incoming", "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "maildrop", "private", "public",
                "saved", "trace", "pid"))):
            (self.directory / folder).mkdir()
            if folder not in ("etc", "queue", "queue/pid"):
                os.chown(self.directory / folder, owner.pw_uid, owner.pw_gid)
        (etc / "main.cf").write_text(POSTFIX_MAIN.format(directory=self.directory, uid=owner.pw_uid, gid=owner.pw_gid,
                                                         auth=f"{ADDRESS}:{dovecot.ports['auth']}"))
        ports = {way: f"{ADDRESS}:{port}" for way, port in self.ports.items()}
        self.asked = []
        self.policy = Server(policy(self.asked))
        (etc / "master.cf").write_text(POSTFIX_MASTER.format(auth=POSTFIX_AUTH, policy=self.policy.to, **ports))
        self.onward = {"smtp": free_port(), "lmtp": free_port()}
        (etc / "transport").write_text(POSTFIX_TRANSPORT.format(**self.onward))
        programs = Path(run("postconf", "-hd", "daemon_directory").stdout.decode().strip())
        self.begin(programs / "master", "-c", etc, "-d")

    def log(self):
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self):
        super().stop()
        self.policy.stop()

    def delivered(self, word, _=USER):
        """Has a message with this word come, for whomever?"""
        path = self.directory / "mail" / "all"
        return path.exists() and word in path.read_text(errors="replace")


# Dovecot ----------------------------------------------------------------------------------------------------------

DOVECOT = """
base_dir = {directory}/run
state_dir = {directory}/run
log_path = {directory}/log
default_internal_user = {internal}
default_login_user = {login}
default_internal_group = {group}
protocols = imap pop3 lmtp sieve
listen = {address}
{tls}
ssl_cert = <{directory}/server.pem
ssl_key = <{directory}/server.key
auth_mechanisms = plain login external
auth_ssl_username_from_cert = yes
haproxy_trusted_networks = 127.0.0.0/8
first_valid_uid = 1
mail_location = maildir:~/Maildir
passdb {{
  driver = static
  mechanisms = external
  args = nopassword=y
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={directory}/home/%u
}}
protocol lmtp {{
  login_trusted_networks = 127.0.0.0/8
}}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = {implicit}
  }}
  inet_listener behind {{
    port = {behind}
    haproxy = yes
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = {implicit}
  }}
}}
service managesieve-login {{
  chroot =
  inet_listener sieve {{
    port = {managesieve}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service auth {{
  inet_listener {{
    port = {auth}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class Dovecot(MailServer):
    """imap, pop3, managesieve, lmtp: with `tls` it demands TLS everywhere, else it knows none. Anybody with PASSWORD is a
    user. lmtp takes XCLIENT. `behind` is imap behind PROXY headers: who logs in by SASL EXTERNAL is whom they name as the owner of the client's
    certificate."""

    def __init__(self, cert, tls):
        super().__init__("dovecot-tls" if tls else "dovecot",
                         ("imap", "imaps", "behind", "pop3", "pop3s", "managesieve", "lmtp", "auth"), cert)
        root = os.geteuid() == 0
        owner = pwd.getpwnam("mail") if root else pwd.getpwuid(os.geteuid())
        (self.directory / "home").mkdir()
        os.chown(self.directory / "home", owner.pw_uid, owner.pw_gid)
        me = pwd.getpwuid(os.geteuid()).pw_name
        config = self.directory / "dovecot.conf"
        config.write_text(DOVECOT.format(
            directory=self.directory, address=ADDRESS, password=PASSWORD, uid=owner.pw_uid, gid=owner.pw_gid,
            internal="dovecot" if root else me, login="dovenull" if root else me,
            group="dovecot" if root else grp.getgrgid(os.getegid()).gr_name, implicit="yes" if tls else "no",
            tls="ssl = required" if tls else "ssl = no\ndisable_plaintext_auth = no", **self.ports))
        self.begin(shutil.which("dovecot") or "/usr/sbin/dovecot", "-F", "-c", config)

    def log(self):
        return (self.directory / "log").read_text(errors="replace")

    def deliver(self, subject, user=USER):
        """Put a message into the user's inbox."""
        inbox = self.directory / "home" / user / "Maildir"
        for folder in ("", "cur", "new", "tmp"):
            (inbox / folder).mkdir(parents=True, exist_ok=True)
        (inbox / "new" / f"1.{subject}.example").write_text(f"From: bob@example.com\nSubject: {subject}\n\nhello\n")
        if os.geteuid() == 0:
            owner = pwd.getpwnam("mail")
            for path in (inbox.parent, inbox, *inbox.rglob("*")):
                os.chown(path, owner.pw_uid, owner.pw_gid)

    def delivered(self, word, user=USER):
        inbox = self.directory / "home" / user / "Maildir" / "new"
        return inbox.exists() and any(word in path.read_text(errors="replace") for path in inbox.iterdir())


# INN --------------------------------------------------------------------------------------------------------------

INN_CONF = """
mta: "/bin/false %s"
organization: test
ovmethod: tradindexed
hismethod: hisv6
pathhost: news.example.com
domain: example.com
fromhost: example.com
runasuser: {user}
runasgroup: {group}
pathnews: /usr/lib/news
pathbin: /usr/lib/news/bin
pathdb: {directory}/db
pathetc: {directory}/etc
pathfilter: {directory}/etc
pathlog: {directory}/log
pathrun: {directory}/run
pathspool: {directory}/spool
pathincoming: {directory}/incoming
pathtmp: {directory}/tmp
nnrpdloadlimit: 0
"""
INN_TLS = """
tlscertfile: {directory}/server.pem
tlskeyfile: {directory}/server.key
tlscafile: {directory}/server.pem
"""
# Later groups are tried first.
INN_READERS = """
auth "clear" {{
    hosts: "*"
    default: "<clear>"
}}
access "clear" {{
    users: "<clear>"
    newsgroups: "{clear}"
    access: R
}}
"""
INN_READERS_TLS = """
auth "secret" {
    hosts: "*"
    require_encryption: true
    default: "<secret>"
}
access "secret" {
    users: "<secret>"
    newsgroups: "*"
    access: RPA
}
"""


class Inn(MailServer):
    """INN's nnrpd with the empty group example.test: with `tls` only who comes with TLS sees it, else it has no certificate."""

    def __init__(self, cert, tls):
        if os.geteuid() != 0:
            pytest.skip(ROOT_ONLY)
        super().__init__("inn-tls" if tls else "inn", ("nntp",), cert)
        owner = pwd.getpwnam("news")
        for folder in ("db", "etc", "log", "run", "spool", "spool/overview", "spool/articles", "incoming", "tmp"):
            (self.directory / folder).mkdir()
            os.chown(self.directory / folder, owner.pw_uid, owner.pw_gid)
        os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        words = {"directory": self.directory, "user": owner.pw_name, "group": grp.getgrgid(owner.pw_gid).gr_name}
        self.key.chmod(0o640)
        os.chown(self.key, owner.pw_uid, owner.pw_gid)
        self.config = self.directory / "inn.conf"
        self.config.write_text((INN_CONF + (INN_TLS if tls else "")).format(**words))
        readers = INN_READERS.format(clear="!*") + INN_READERS_TLS if tls else INN_READERS.format(clear="*")
        (self.directory / "etc/readers.conf").write_text(readers)
        (self.directory / "etc/storage.conf").write_text('method tradspool {\n newsgroups: *\n class: 0\n}\n')
        (self.directory / "db/active").write_text("example.test 0000000000 0000000001 y\n")
        (self.directory / "db/newsgroups").write_text("example.test\tfor tests\n")
        programs = Path("/usr/lib/news/bin")
        env = {**os.environ, "INNCONF": str(self.config)}
        made = run(programs / "makehistory", "-O", cwd=self.directory, env=env, user=owner.pw_uid, group=owner.pw_gid,
                   extra_groups=[])
        assert made.returncode == 0, made.stderr.decode()
        self.begin(programs / "nnrpd", "-D", "-f", "-n", "-o", "-4", ADDRESS, "-p", str(self.ports["nntp"]), env=env)
