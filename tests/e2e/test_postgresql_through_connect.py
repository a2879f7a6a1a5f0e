# SPDX-License-Identifier: Apache-2.0
"""psql through `cardea connect -L`: a database that needs no TLS of its own."""
import pytest

from fixtures import clean_env, connect_words
from run import Process, free_port, wait_listening


@pytest.fixture(scope="module")
def forwarded(start_module_door, pki, postgres, tmp_path_factory):
    """A local port that leads through the door to PostgreSQL."""
    door = start_module_door({
        "certificates": [pki.server("door.test").row()],
        "trust": [pki.trust()],
        "routes": [{"name": "tunnel", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}}],
        "policy": [{"name": "db", "who": {"name": "alice"}, "targets": [f"127.0.0.0/8:{postgres.port}"]}],
    })
    port, home = free_port(), tmp_path_factory.mktemp("home")
    words = [*connect_words(door, pki.alice, pki.ca.file), "-L", f"{port}:127.0.0.1:{postgres.port}"]
    process = Process(words, home, "connect", env=clean_env(home))
    wait_listening(port, process)
    yield door, port
    process.stop()


def test_query(forwarded, postgres):
    """One query, one tunnel."""
    door, port = forwarded
    door.mark()
    assert postgres.psql("select 6 * 7", port=port).stdout == b"42\n"
    line = door.audited(route="tunnel")
    assert line["target"] == f"127.0.0.1:{postgres.port}" and line["identity"] == "alice"


def test_large_result(forwarded, postgres):
    """20 MB of rows arrive whole."""
    _, port = forwarded
    done = postgres.psql("select repeat('x', 1000) from generate_series(1, 20000)", port=port)
    assert done.returncode == 0 and done.stdout == (b"x" * 1000 + b"\n") * 20000


def test_several_at_once(forwarded, postgres):
    """Each connection to the local port is a tunnel of its own."""
    from concurrent.futures import ThreadPoolExecutor
    _, port = forwarded
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: postgres.psql(f"select {n}, pg_sleep(0.2)", port=port).stdout, range(8)))
    assert answers == [f"{n}|\n".encode() for n in range(8)]
