# SPDX-License-Identifier: Apache-2.0
"""testssl.sh judges the door: all that it knows, which takes minutes."""
import pytest

import judges
import peers


@pytest.mark.skipif(not judges.TESTSSL, reason="no testssl.sh here")
def test_testssl(start_door, tmp_path):
    """Nothing above LOW."""
    with peers.Server(judges.web) as backend:
        door = judges.judged_door(start_door, tmp_path, backend.to)
        assert judges.testssl(door, tmp_path, "-p", "-s", "-f", "-P", "-S", "-h", "-U") == []
