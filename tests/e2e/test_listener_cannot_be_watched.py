# SPDX-License-Identifier: Apache-2.0
"""The kernel has a bound on what a user may watch (fs.epoll.max_user_watches). A listener that one of the workers cannot
watch for that would lose its share of the connections: so it is an error of the start, or of the reload."""
import subprocess
import time

import pytest

import run
import tls
from run import SANITIZER, free_port, listening, wait_until

pytestmark = pytest.mark.skipif(SANITIZER is not None, reason="a sanitizer wants to be the first library loaded")

# Refuses to watch every second listener on TCP as long as the file is there.
SHIM = r"""
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    static int count;
    int listens = 0, domain = 0;
    socklen_t len = sizeof(int);
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    if (op == EPOLL_CTL_ADD && listens && domain == AF_INET && access(getenv("NO_MORE_WATCHES"), F_OK) == 0 &&
        ++count % 2 == 0) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);
}
"""


@pytest.fixture
def shim(tmp_path):
    """The environment of a door under it, and the file."""
    source, library, flag = tmp_path / "shim.c", tmp_path / "shim.so", tmp_path / "no-more"
    source.write_text(SHIM)
    done = run.run("cc", "-shared", "-fPIC", "-o", library, source)
    assert done.returncode == 0, done.stderr.decode()
    return {"LD_PRELOAD": str(library), "NO_MORE_WATCHES": str(flag)}, flag


ROUTES = {"routes": [{"name": "no", "reject": "access_denied"}]}


def test_start_fails(start_door, shim):
    env, flag = shim
    door = start_door(ROUTES, env=env)
    door.stop()
    flag.touch()
    done = subprocess.run([run.CARDEA, "serve", "-c", door.config_file], env=door.env, cwd=door.directory, timeout=30,
                          capture_output=True, check=False)
    assert done.returncode == 1
    address = f"127.0.0.1:{door.port}"
    assert "door.yaml:" in done.stderr.decode()
    assert f"{address}: cannot watch a listener: No space left on device" in done.stderr.decode()


def files(door):
    """The door's descriptors, once it has let go of the admin connections of before."""
    def settled():
        first = door.process.open_files()
        time.sleep(0.05 * run.SLOW)
        return first if first == door.process.open_files() else None
    return wait_until(settled, "the door to be at rest")


def test_reload_is_refused(start_door, shim):
    env, flag = shim
    door = start_door(ROUTES, env=env)
    extra = free_port()
    flag.touch()
    before = files(door)
    main = {"name": "main", "address": f"127.0.0.1:{door.port}"}
    door.configure({**ROUTES, "listeners": [main, {"name": "extra", "address": f"127.0.0.1:{extra}"}]})
    done = door.cli("reload")
    assert done.returncode == 1
    assert f"127.0.0.1:{extra}: cannot watch a listener: No space left on device" in done.stderr.decode()
    assert not listening(extra) and files(door) == before
    assert [row["name"] for row in door.status()["listeners"]] == ["main"]

    def refused(port):
        with door.dial(port) as sock:
            sock.sendall(tls.client_hello("a.test"))
            return tls.alert_of(sock)
    assert {refused(door.port) for _ in range(20)} == {49}
    flag.unlink()
    door.reload()
    assert {refused(port) for port in (door.port, extra) for _ in range(20)} == {49}
