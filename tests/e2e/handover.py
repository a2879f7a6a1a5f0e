# SPDX-License-Identifier: Apache-2.0
"""Opens sockets, hands them over as systemd does (sd_listen_fds(3)) and becomes the program:

    handover.py NAME=KIND:WHERE ... -- PROGRAM ARGS

KIND is tcp, udp, idle (TCP that does not listen), unix or file; WHERE a port of 127.0.0.1 or a path. NAME may be empty."""
import os
import socket
import sys


def opened(kind, where):
    if kind == "file":
        return os.open(where, os.O_RDWR | os.O_CREAT)
    sock = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET,
                         socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    if kind != "unix":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(where if kind == "unix" else ("127.0.0.1", int(where)))
    if kind in ("tcp", "unix"):
        sock.listen(128)
    return sock.detach()


def main():
    split = sys.argv.index("--")
    names = []
    fds = []
    for word in sys.argv[1:split]:
        name, what = word.split("=", 1)
        names.append(name)
        fds.append(opened(*what.split(":", 1)))
    high = [os.dup2(fd, 100 + at) for at, fd in enumerate(fds)]
    for at, fd in enumerate(high):
        os.dup2(fd, 3 + at)
        os.close(fd)
    os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=":".join(names))
    os.execv(sys.argv[split + 1], sys.argv[split + 1:])


main()
