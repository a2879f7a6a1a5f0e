# SPDX-License-Identifier: Apache-2.0
"""End-to-end tests: the real program between real clients and real servers.

    /usr/bin/python3 -m pytest tests/e2e
    CARDEA=build-asan/cardea CARDEA_SLOW=4 ...     another build; waits are so many times longer

run.py: processes, ports, waits. door.py: a door of one's own. pki.py: certificates. peers.py: what stands behind the
door. tls.py, quic.py: clients. chatter.py: many live connections. relay.py: a bad network for UDP. forms.py: words of the
door that tests look for.
"""
from fixtures import *  # noqa: F401,F403 (pytest finds fixtures by name)
from fixtures import pytest_report_header  # noqa: F401
