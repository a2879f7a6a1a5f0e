# SPDX-License-Identifier: Apache-2.0
"""Dovecot and Postfix as plain processes, each with a configuration of its own. Both have to be started by root."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from run import Process, free_port, wait_listening, wait_until

DOVECOT = """
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
auth_mechanisms = external
auth_ssl_username_from_cert = yes
haproxy_trusted_networks = 127.0.0.0/8
mail_location = maildir:{directory}/mail/%u
first_valid_uid = 1
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={directory}/mail/%u
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = 0
  }}
  inet_listener behind {{
    port = {port}
    haproxy = yes
  }}
}}
service anvil {{
  chroot =
}}
"""

POSTFIX = """
compatibility_level = 3.6
queue_directory = {directory}/spool
data_directory = {directory}/data
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.com
mydestination =
mynetworks =
maillog_file = /dev/stdout
smtpd_upstream_proxy_protocol = haproxy
smtpd_delay_reject = no
smtpd_client_restrictions = reject
smtpd_peername_lookup = no
local_recipient_maps =
alias_maps =
alias_database =
"""

POSTFIX_SERVICES = """
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
"""


def program(name):
    return shutil.which(name) or f"/usr/sbin/{name}"


def can_run():
    return os.geteuid() == 0 and all(Path(program(name)).exists() for name in ("dovecot", "postfix"))


def place():
    """A directory that the servers' own users can reach: those of pytest are closed to them."""
    directory = Path(tempfile.mkdtemp(prefix="cardea-mail-"))
    directory.chmod(0o711)
    return directory


class Dovecot:
    """IMAP behind PROXY headers. Who logs in by SASL EXTERNAL is whom they name as the client's certificate's owner."""

    def __init__(self):
        self.directory = place()
        self.port = free_port()
        self.log = self.directory / "dovecot.log"
        config = self.directory / "dovecot.conf"
        (self.directory / "mail").mkdir()
        (self.directory / "mail").chmod(0o777)
        config.write_text(DOVECOT.format(directory=self.directory, port=self.port))
        self.process = Process([program("dovecot"), "-F", "-c", config], self.directory, "dovecot")
        wait_listening(self.port, self.process, 20)

    def stop(self):
        self.process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Postfix:
    """SMTP behind PROXY headers that turns every client away, and says which address it has."""

    def __init__(self):
        self.directory = place()
        self.port = free_port()
        self.config = self.directory / "config"
        for name in ("config", "spool", "data"):
            (self.directory / name).mkdir()
        shutil.chown(self.directory / "data", "postfix")
        (self.config / "main.cf").write_text(POSTFIX.format(directory=self.directory))
        (self.config / "master.cf").write_text(POSTFIX_SERVICES.format(port=self.port))
        self.process = Process([program("postfix"), "-c", self.config, "start-fg"], self.directory, "postfix")
        wait_listening(self.port, self.process, 20)

    def stop(self):
        subprocess.run([program("postfix"), "-c", self.config, "stop"], capture_output=True, timeout=60, check=False)
        wait_until(lambda: self.process.poll() is not None, "postfix to end", 20)
        self.process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
