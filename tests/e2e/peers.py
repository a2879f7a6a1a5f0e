# SPDX-License-Identifier: Apache-2.0
"""The real peers behind the door (sshd, PostgreSQL, nginx) and small servers whose behaviour a test scripts."""
import contextlib
import getpass
import os
import pwd
import shutil
import signal
import socket
import ssl
import struct
import sys
import tempfile
import threading
from pathlib import Path

from run import SLOW, Process, free_port, listening, run, wait_listening, wait_until

HERE = Path(__file__).resolve().parent


# Scripted servers -------------------------------------------------------------------------------------------------

class Server:
    """Calls `handler(sock)` in a thread for each connection. `port`, or `path` for a unix socket; `count` of accepted
    connections. With `ctx` (an ssl.SSLContext) it speaks TLS; a handshake that fails goes to `failures`."""

    def __init__(self, handler, *, path=None, ctx=None, port=None):
        self.handler = handler
        self.ctx = ctx
        self.path = path
        self.port = port or (None if path else free_port())
        self.count = 0
        self.failures = []
        self.open = set()
        self.listener = None
        self.start()

    @property
    def to(self):
        """How a configuration names it."""
        return f"unix:{self.path}" if self.path else f"127.0.0.1:{self.port}"

    def start(self):
        if self.path:
            Path(self.path).unlink(missing_ok=True)
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(self.path))
        else:
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(1024)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        self.open.add(sock)
        tls = None
        try:
            if self.ctx:
                tls = self.ctx.wrap_socket(sock, server_side=True)
            self.handler(tls or sock)
        except ssl.SSLError as error:
            self.failures.append(str(error))
        except OSError:
            pass
        finally:
            self.open.discard(sock)
            for each in (tls, sock):
                if each is not None:
                    each.close()

    def stop(self):
        """Stop listening and end what is open."""
        if self.listener is not None:
            # shutdown wakes the accept() that the thread sits in; close alone would not
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        for sock in list(self.open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def echo(sock):
    """Answer every byte; end when the other side has."""
    while data := sock.recv(65536):
        sock.sendall(data)


def says(word):
    """A handler that greets with `word` and a new line, then echoes."""
    def handler(sock):
        sock.sendall(word.encode() + b"\n")
        echo(sock)
    return handler


def answer_at_end(sock):
    """Read to the other side's end, then answer how many bytes there were: needs half-close."""
    size = 0
    while data := sock.recv(65536):
        size += len(data)
    sock.sendall(f"{size} bytes\n".encode())


def http_answer(body, headers=""):
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n{body}".encode()


def web(word):
    """A handler that answers each HTTP/1.1 request with `word METHOD PATH`."""
    def handler(sock):
        stream = sock.makefile("rb")
        while line := stream.readline():
            size = 0
            while (header := stream.readline()) not in (b"\r\n", b""):
                if header.lower().startswith(b"content-length:"):
                    size = int(header.split(b":")[1])
            stream.read(size)
            sock.sendall(http_answer(f"{word} {' '.join(line.decode().split()[:2])}\n"))
    return handler


class UdpEcho:
    """Sends every datagram back to where it came from; `sources` are those that it has seen. What comes while another
    thread has the interpreter waits."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.sources = set()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                data, source = self.sock.recvfrom(65536)
                self.sources.add(source)
                self.sock.sendto(data, source)
            except OSError:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class FullBacklog:
    """A listening port that never answers: its queue is full, so the kernel drops what comes."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", free_port()))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.waiting = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.port))
            self.waiting.append(sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in [*self.waiting, self.listener]:
            sock.close()


def read_proxy_header(sock):
    """The PROXY protocol header of a connection as ("v1" or "v2", source, destination); None for LOCAL/UNKNOWN."""
    def exactly(size):
        data = b""
        while len(data) < size:
            more = sock.recv(size - len(data))
            if not more:
                raise OSError("end in the PROXY header")
            data += more
        return data
    start = exactly(12)
    if start == b"\r\n\r\n\0\r\nQUIT\n":
        command, family, size = struct.unpack("!BBH", exactly(4))
        rest = exactly(size)
        if command == 0x20 or family >> 4 not in (1, 2):
            return "v2", None, None
        kind, width = ((socket.AF_INET, 4), (socket.AF_INET6, 16))[(family >> 4) - 1]
        ports = struct.unpack("!HH", rest[2 * width:2 * width + 4])
        return ("v2", f"{socket.inet_ntop(kind, rest[:width])}:{ports[0]}",
                f"{socket.inet_ntop(kind, rest[width:2 * width])}:{ports[1]}")
    while not start.endswith(b"\r\n"):
        start += exactly(1)
    words = start.decode().split()
    if words[1] == "UNKNOWN":
        return "v1", None, None
    return "v1", f"{words[2]}:{words[4]}", f"{words[3]}:{words[5]}"


def server_context(cert, ca=None, alpn=()):
    """For a TLS server; with `ca` it requires client certificates."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(cert.certificate, cert.key)
    if alpn:
        ctx.set_alpn_protocols(list(alpn))
    if ca:
        ctx.verify_mode = ssl.CERT_REQUIRED
        ctx.load_verify_locations(ca)
    return ctx


class EchoProcess:
    """echo_process.py, for thousands of connections."""

    def __init__(self, directory):
        self.port = free_port()
        self.process = Process([sys.executable, HERE / "echo_process.py", self.port], directory, "echo")
        wait_listening(self.port, self.process)
        self.to = f"127.0.0.1:{self.port}"

    def stop(self):
        self.process.stop()


# Real servers -----------------------------------------------------------------------------------------------------

class Sshd:
    """OpenSSH's server for the user who runs the tests, with its own keys. `within`: words that its command line begins
    with; `listens(port)` tells that it listens there."""

    def __init__(self, directory, within=(), listens=listening):
        self.directory = Path(directory)
        self.port = free_port()
        self.user = getpass.getuser()
        self.key = self.directory / "user_key"
        for name in ("host_key", "user_key"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / name)
        shutil.copy(self.directory / "user_key.pub", self.directory / "authorized_keys")
        host = (self.directory / "host_key.pub").read_text().split()[:2]
        self.known_hosts = self.directory / "known_hosts"
        self.known_hosts.write_text("* " + " ".join(host) + "\n")
        config = self.directory / "sshd_config"
        config.write_text(f"""Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.directory}/host_key
AuthorizedKeysFile {self.directory}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
MaxStartups 100
MaxSessions 100
PrintMotd no
AcceptEnv LANG
Subsystem sftp internal-sftp
""")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        self.process = Process([*within, sshd, "-D", "-e", "-f", config], directory, "sshd")
        wait_until(lambda: listens(self.port), lambda: f"sshd to listen: {self.process.output()}")

    def options(self, proxy_command=None):
        """Words for ssh and scp."""
        words = ["-F", "none", "-i", str(self.key), "-o", f"UserKnownHostsFile={self.known_hosts}",
                 "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
                 "-o", "LogLevel=ERROR"]
        return words + (["-o", f"ProxyCommand={proxy_command}"] if proxy_command else [])

    def stop(self):
        self.process.stop()


class Dns:
    """dnsmasq, which knows app.inside and a name with much text, and asks nobody else."""

    ADDRESS = "192.0.2.3"
    TEXT = "x" * 200

    def __init__(self, directory, address="127.0.0.1", port=None):
        self.address, self.port = address, port or free_port()
        texts = [f"--txt-record=big.inside,{i}{self.TEXT}" for i in range(5)]
        self.process = Process([shutil.which("dnsmasq") or "/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
                                "--pid-file=", "--log-facility=-", f"--user={getpass.getuser()}", f"--port={self.port}",
                                f"--listen-address={address}", "--bind-interfaces", "--no-resolv", "--no-hosts", "--local=/inside/",
                                f"--host-record=app.inside,{self.ADDRESS}", *texts], directory, "dnsmasq")
        wait_until(self.answers, "dnsmasq")

    def answers(self):
        assert self.process.poll() is None, self.process.output()
        with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), timeout=1):
            return True
        return False

    def stop(self):
        self.process.stop()


class Postgres:
    """A PostgreSQL cluster, database and user `door`, password `knock`; with a `cert` it takes TLS only."""

    def __init__(self, cert=None):
        # The server refuses to run as root, and its user must reach the directory: not under pytest's private one.
        self.directory = Path(tempfile.mkdtemp(prefix="cardea-pg-"))
        self.port = free_port()
        self.demote = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
            self.demote = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self.programs = programs[-1] if programs else Path(shutil.which("postgres")).parent
        data = self.directory / "data"
        password = self.directory / "password"
        password.write_text("knock\n")
        password.chmod(0o644)
        made = run(self.programs / "initdb", "-D", data, "-U", "door", "--pwfile", password, "-A", "scram-sha-256",
                   "-E", "UTF8", "--locale", "C", "--no-sync", cwd=self.directory, timeout=60, **self.demote)
        assert made.returncode == 0, made.stderr.decode()
        self.process = Process([self.programs / "postgres", "-D", data, "-p", str(self.port), "-h", "127.0.0.1",
                                "-k", self.directory, "-F", "-c", "max_connections=50", *self.tls_words(data, cert)],
                               self.directory, "postgres", cwd=self.directory, **self.demote)
        wait_listening(self.port, self.process, 20)
        wait_until(lambda: self.psql("select 1", port=self.port).returncode == 0, "PostgreSQL to answer", 20, 0.1)

    def tls_words(self, data, cert):
        if cert is None:
            return []
        for name, source in ("server.crt", cert.certificate), ("server.key", cert.key):
            shutil.copyfile(source, data / name)
            (data / name).chmod(0o600)
            if self.demote:
                os.chown(data / name, self.demote["user"], self.demote["group"])
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        return ["-c", "ssl=on"]

    def psql(self, statement, host="127.0.0.1", port=None, **parameters):
        """psql with unaligned output; `parameters` are those of a connection string (sslmode=...)."""
        words = {"host": host, "port": port or self.port, "user": "door", "dbname": "postgres",
                 "connect_timeout": 5, **parameters}
        string = " ".join(f"{key}={value}" for key, value in words.items())
        return run("psql", "-X", "-A", "-t", "-q", string, "-c", statement,
                   env={"PATH": os.environ["PATH"], "PGPASSWORD": "knock", "HOME": str(self.directory)})

    def stop(self):
        try:
            self.process.stop(signal.SIGINT, timeout=20)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


PGBOUNCER = """
[databases]
* = host=127.0.0.1 port={to}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {directory}/users
ignore_startup_parameters = options
"""


class PgBouncer:
    """PgBouncer in front of `postgres`, which believes these users as it does."""

    def __init__(self, postgres, users):
        self.port = free_port()
        # As with PostgreSQL: not as root.
        self.directory = Path(tempfile.mkdtemp(prefix="cardea-pgbouncer-"))
        self.directory.chmod(0o755)
        (self.directory / "users").write_text("".join(f'"{user}" ""\n' for user in users))
        (self.directory / "ini").write_text(PGBOUNCER.format(to=postgres.port, port=self.port, directory=self.directory))
        if postgres.demote:
            os.chown(self.directory, postgres.demote["user"], postgres.demote["group"])
        self.process = Process([shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", self.directory / "ini"], self.directory,
                               "pgbouncer", cwd=self.directory, **postgres.demote)
        wait_listening(self.port, self.process, 20)

    def stop(self):
        try:
            self.process.stop(signal.SIGTERM, timeout=20)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


SLAPD = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/slapd.pid
{tls}
database mdb
suffix "dc=example,dc=test"
rootdn "cn=admin,dc=example,dc=test"
rootpw knock
directory {directory}/db
"""

LDIF = """dn: dc=example,dc=test
objectClass: dcObject
objectClass: organization
o: behind the door
dc: example
"""


class Slapd:
    """OpenLDAP with one entry; with a `cert` it takes TLS only, by StartTLS."""

    def __init__(self, directory, cert=None):
        self.port = free_port()
        config = directory / "slapd.conf"
        (directory / "db").mkdir()
        tls = "" if cert is None else (f"TLSCertificateFile {cert.certificate}\nTLSCertificateKeyFile {cert.key}\n"
                                       "security tls=1\n")
        config.write_text(SLAPD.format(directory=directory, tls=tls))
        (directory / "data.ldif").write_text(LDIF)
        made = run("slapadd", "-f", config, "-l", directory / "data.ldif")
        assert made.returncode == 0, made.stderr.decode()
        self.process = Process(["slapd", "-f", config, "-h", f"ldap://127.0.0.1:{self.port}", "-d", "0"], directory, "slapd")
        wait_listening(self.port, self.process)

    def stop(self):
        self.process.stop()


PROSODY = """
run_as_root = true
daemonize = false
pidfile = "{directory}/prosody.pid"
data_path = "{directory}/data"
certificates = "{directory}"
log = {{ error = "*console" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
s2s_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}
modules_enabled = {{ "saslauth", "tls" }}
modules_disabled = {{ "s2s", "posix" }}
authentication = "internal_plain"
c2s_require_encryption = {required}
allow_unencrypted_plain_auth = true
VirtualHost "door.test"
    {ssl}
"""


class Prosody:
    """An XMPP server for door.test, user alice, password `knock`; with a `cert` it takes TLS only."""

    def __init__(self, directory, cert=None):
        self.port = free_port()
        config = directory / "prosody.cfg.lua"
        ssl_line = "" if cert is None else f'ssl = {{ certificate = "{cert.certificate}", key = "{cert.key}" }}'
        config.write_text(PROSODY.format(directory=directory, port=self.port, ssl=ssl_line,
                                         required="false" if cert is None else "true"))
        accounts = directory / "data" / "door%2etest" / "accounts"
        accounts.mkdir(parents=True)
        (accounts / "alice.dat").write_text('return { ["password"] = "knock" };\n')
        self.process = Process(["prosody", "--config", config, "-F"], directory, "prosody")
        wait_listening(self.port, self.process, 20)

    def stop(self):
        self.process.stop()


NGINX = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_max_body_size 100m;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    root {directory}/www;
    default_type text/plain;
    server {{ listen 127.0.0.1:{h1}; {common}
        location = /who {{ return 200 "h1 $server_protocol $host\\n"; }} }}
    server {{ listen 127.0.0.1:{h2c} http2; {common}
        location = /who {{ return 200 "h2c $server_protocol $host\\n"; }} }}
    server {{ listen unix:{directory}/nginx.sock; {common}
        location = /who {{ return 200 "unix $server_protocol $host\\n"; }} }}
    server {{ listen 127.0.0.1:{proxied} proxy_protocol; {common}
        location = /who {{ return 200 "$proxy_protocol_addr:$proxy_protocol_port\\n"; }} }}
    server {{ listen 127.0.0.1:{tls} ssl http2; {common}
        ssl_certificate {own.certificate}; ssl_certificate_key {own.key};
        location = /who {{ return 200 "tls $server_protocol $host $ssl_server_name\\n"; }} }}
    server {{ listen 127.0.0.1:{mtls} ssl; {common}
        ssl_certificate {own.certificate}; ssl_certificate_key {own.key};
        ssl_verify_client on; ssl_client_certificate {clients};
        location = /who {{ return 200 "mtls $ssl_client_s_dn\\n"; }} }}
}}
"""

COMMON = """location / { dav_methods PUT; }"""


class Nginx:
    """nginx as HTTP/1.1, HTTP/2 without TLS, unix socket, PROXY protocol, TLS and mTLS backend. `/who` says which it
    is; files are put and got below `/`. Its own certificate (of the door's CA) is for backend.test and *.pass.test."""

    def __init__(self, directory, pki):
        self.directory = Path(directory)
        (self.directory / "www").mkdir()
        self.own = pki.server("backend.test", "*.pass.test")
        self.ports = {name: free_port() for name in ("h1", "h2c", "proxied", "tls", "mtls")}
        config = self.directory / "nginx.conf"
        config.write_text(NGINX.format(directory=self.directory, own=self.own, clients=pki.staff.file, common=COMMON,
                                       **self.ports))
        self.process = Process([shutil.which("nginx") or "/usr/sbin/nginx", "-c", config, "-e",
                                self.directory / "error.log"], directory, "nginx")
        for port in self.ports.values():
            wait_listening(port, self.process)

    def to(self, name):
        if name == "unix":
            return f"unix:{self.directory}/nginx.sock"
        return f"127.0.0.1:{self.ports[name]}"

    def file(self, name, size):
        """A file of random bytes that the server offers as /name."""
        path = self.directory / "www" / name
        path.write_bytes(os.urandom(size))
        return path

    def stop(self):
        self.process.stop()


# Clients ----------------------------------------------------------------------------------------------------------

def curl(*words, timeout=30.0, **options):
    """curl, quiet, without the user's settings."""
    return run("curl", "-q", "-sS", "--max-time", timeout * SLOW, *words, timeout=timeout + 5, **options)


def curl_door(door, url, *words, ca=None, **options):
    """curl to the door whatever the host of `url` is. `{port}` in the URL is the door's."""
    url = url.replace("{port}", str(door.port))
    host = url.split("/")[2]
    trusted = ["--cacert", ca] if ca else []
    return curl("--noproxy", "*", "--connect-to", f"{host.split(':')[0]}::127.0.0.1:{door.port}", *trusted, *words,
                url, **options)
