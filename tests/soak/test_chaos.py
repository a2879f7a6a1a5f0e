# SPDX-License-Identifier: Apache-2.0
"""What tests/e2e/test_chaos.py does, for ten minutes; then storms that the door lives through: it grows in none.

    CARDEA_SOAK=60 ...          seconds of the storm, default 600
"""
import os
import random

import pytest

import chaos

SECONDS = float(os.environ.get("CARDEA_SOAK", "600"))


@pytest.fixture
def world(start_door, pki, tmp_path):
    with chaos.a_world(start_door, pki, tmp_path) as made:
        yield made


def test_everything_is_killed(world):
    chaos.ride_out(world, random.Random(chaos.seed()), SECONDS)


def test_the_door_keeps_nothing(world):
    """Agents and targets are killed only: the second storm needs no more memory than the first."""
    number, seconds = chaos.seed(), SECONDS / 6
    chaos.all_back(world)
    before = chaos.settle(world)
    marks = []
    for _ in range(3):
        storm = chaos.Storm(world, random.Random(number), seconds, events=(chaos.other_event, chaos.reload_event))
        storm.check()
        chaos.all_back(world)
        chaos.no_more(before, chaos.settle(world))
        marks.append(chaos.memory(world.door.process))
        print(storm.summary().splitlines()[0], f"\n  the door has {marks[-1] >> 10} kB")
    assert marks[-1] - marks[0] < chaos.GROWTH, marks
