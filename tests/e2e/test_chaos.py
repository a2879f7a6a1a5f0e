# SPDX-License-Identifier: Apache-2.0
"""Door, agents and target are killed at random under load, for seconds (ten minutes: tests/soak/test_chaos.py)."""
import random
import signal
import time

import pytest

import chaos
from run import SLOW


@pytest.fixture
def world(start_door, pki, tmp_path):
    with chaos.a_world(start_door, pki, tmp_path) as made:
        yield made


def test_storm(world):
    chaos.ride_out(world, random.Random(chaos.seed()), 15)


@pytest.mark.parametrize("way", ["quic", "tcp"])
def test_a_killed_agent(world, way):
    """Its visitors are told that they were cut off, and who comes then reaches the other agent of the name: the first
    few after a moment, over QUIC, where a killed process says nothing."""
    chaos.all_back(world)
    victim, visitors = world.victims[f"agent-{way}"], chaos.Visitors(world)
    visits = [chaos.Visit(kind) for kind in (f"open-{way}", f"sealed-{way}", f"port-{way}", "private", "private")]
    streams = [visitors.kinds[visit.kind](visit) for visit in visits]
    for visit, stream in zip(visits, streams):
        visitors.echo(visit, stream, 1000)
    victim.process.send(signal.SIGKILL)
    victim.process.wait()
    took = []
    for _ in range(20):
        began = time.monotonic()
        assert visitors.reach("private")
        took.append(time.monotonic() - began)
    assert max(took) < 2 * SLOW and sum(took) < 4 * SLOW, took
    time.sleep(chaos.IDLE + SLOW if way == "quic" else 0.2)
    cut = 0
    for visit, stream in zip(visits, streams):
        try:
            visitors.echo(visit, stream, 1000)
        except chaos.Early:
            raise AssertionError(f"{visit.kind}: taken for a whole") from None
        except OSError:
            cut += 1
        stream.close()
    assert cut == 4         # the other agent has one of the two
    victim.process = victim.begin()
    chaos.all_back(world)
    for visit in visits:
        world.door.audited(peer=visit.peer)
