# SPDX-License-Identifier: Apache-2.0
"""Door, agents and target are killed at random under load, for half a minute (ten minutes: tests/soak/test_chaos.py)."""
import random
import tempfile

import pytest

import chaos


@pytest.fixture
def world(start_door, pki, tmp_path):
    with tempfile.TemporaryDirectory(prefix="cardea-e2e-") as runtime:
        made = chaos.World(start_door, pki, tmp_path, runtime)
        yield made
        made.stop()


def test_storm(world):
    chaos.ride_out(world, random.Random(chaos.seed()), 15)
