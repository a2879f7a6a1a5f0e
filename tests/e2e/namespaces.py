# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of the test's own: the door's, and places at the end of cables to it, which change their addresses."""
import itertools
import os
import subprocess

import pytest

from run import run

numbers = itertools.count()


def ip(*words):
    done = subprocess.run(["ip", *map(str, words)], capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, f"ip {' '.join(map(str, words))}: {done.stderr.decode()}"


def listens(within, port):
    """Does something listen on the TCP port there?"""
    return f":{port:04X} 00000000:0000 0A" in run(*within, "cat", "/proc/net/tcp").stdout.decode()


class Namespace:
    """`within`: words before a command that is to run there."""

    def __init__(self, name, stack):
        self.name = name
        self.within = ["ip", "netns", "exec", name]
        try:
            ip("netns", "add", name)
        except (AssertionError, OSError) as error:
            pytest.skip(f"network namespaces are not for us: {error}")
        stack.callback(ip, "netns", "del", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words):
        ip("-n", self.name, *words)


class Place(Namespace):
    """It may have the address 10.77.N.2 for each N of `nets`, and reaches the door by way of 10.77.N.1."""

    def __init__(self, name, door, nets, stack):
        super().__init__(name, stack)
        self.door = door
        self.far = f"cable{nets[0]}"    # the door's end
        door.ip("link", "add", self.far, "type", "veth", "peer", "name", "cable", "netns", name)
        door.ip("link", "set", self.far, "up")
        self.ip("link", "set", "cable", "up")
        for net in nets:
            door.ip("address", "add", f"10.77.{net}.1/24", "dev", self.far)

    def arrive(self, net):
        self.ip("address", "add", f"10.77.{net}.2/24", "dev", "cable")
        self.ip("route", "replace", Namespaces.DOOR, "via", f"10.77.{net}.1", "dev", "cable")

    def leave(self, net):
        self.ip("address", "del", f"10.77.{net}.2/24", "dev", "cable")

    def mtu(self, size):
        """Of the cable, at both ends."""
        self.ip("link", "set", "cable", "mtu", size)
        self.door.ip("link", "set", self.far, "mtu", size)


class Namespaces:
    """The door's namespace, where it is 10.77.0.1, and that of a client; more by place()."""

    DOOR = "10.77.0.1"

    def __init__(self, stack):
        self.stack, self.stem = stack, f"cardea-{os.getpid()}-{next(numbers)}"
        self.door = Namespace(f"{self.stem}-door", stack)
        self.door.ip("address", "add", f"{self.DOOR}/32", "dev", "lo")
        self.client = self.place("client", 1, 2)

    def place(self, name, *nets):
        return Place(f"{self.stem}-{name}", self.door, nets, self.stack)
