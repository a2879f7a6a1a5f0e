# SPDX-License-Identifier: Apache-2.0
"""End-to-end tests: the real program between real clients and real servers.

    /usr/bin/python3 -m pytest tests/e2e
    CARDEA=build-asan/cardea CARDEA_SLOW=4 ...     another build; waits are so many times longer
    ... -n 3 --dist loadfile -m "not alone"        three processes, a file at a time each
    ... -m alone                                   what is left: tests that want the machine for themselves

run.py: processes, ports, waits. door.py: a door of one's own. pki.py: certificates. peers.py: what stands behind the
door. tls.py, quic.py: clients. chatter.py: many live connections. relay.py: a bad network for UDP. forms.py: words of the
door that tests look for. proves.py: which test shows what README.md says of a protocol.
"""
from fixtures import *  # noqa: F401,F403 (pytest finds fixtures by name)
from fixtures import pytest_report_header  # noqa: F401
from proves import Proves, proven_file

# They wait for a long time: begun last, one of them would go on when all the others are done.
LONG = ["test_login_ssh", "test_staples", "test_certificates_are_renewed", "test_on_demand", "test_on_demand_over_quic",
        "test_fallback_to_tcp", "test_acme_client", "test_backup_of_a_lax_ca", "test_must_staple", "test_certificates_run_out",
        "test_reload_reaches_carriers", "test_chaos", "test_one_round_trip", "test_expose_agent", "test_login",
        "test_renewal_is_proven", "test_acme_clients", "test_several_agents", "test_http3", "test_shared_carrier",
        "test_expose_udp", "test_http2_proxy", "test_hostile_quic"]


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: measures time closely; `make test` runs it when nothing else does")
    config.addinivalue_line("markers", "proves(protocol, role, *peers): a claim of README.md's table, see proves.py")
    config.pluginmanager.register(Proves(proven_file()), "proves")


def pytest_collection_modifyitems(config, items):
    """Where several processes share the tests, the long files come first."""
    if hasattr(config, "workerinput"):
        rank = {name: number for number, name in enumerate(LONG)}
        items.sort(key=lambda item: rank.get(item.path.stem, len(LONG)))
