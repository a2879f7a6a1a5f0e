# SPDX-License-Identifier: Apache-2.0
"""What tests/e2e/test_lossy_network.py does, long enough for windows to grow, keys to change and memory to leak."""
import pytest

from run import SANITIZER
from test_lossy_network import config, up_and_down

SIZE = 1 << 30
# Bytes that may be under way in windows and buffers, and then some.
GROWTH = {None: 64 << 20, "address": 400 << 20, "thread": 400 << 20}[SANITIZER]


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05])
def test_gigabyte(start_door, pki, start_connect, echo, loss):
    door = start_door(config(pki))
    before = door.process.rss()
    up_and_down(door, start_connect, echo, SIZE, loss)
    assert door.process.rss() - before < GROWTH
