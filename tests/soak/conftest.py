# SPDX-License-Identifier: Apache-2.0
"""Soak tests: minutes of mixed traffic, gigabytes over a bad network. They use the helpers of the end-to-end tests.

    /usr/bin/python3 -m pytest tests/soak          (make soak)
    CARDEA_SOAK=600 ...                            seconds of churn (default 150), of chaos (default 600), of renewals (60)
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from fixtures import *  # noqa: E402,F401,F403
from fixtures import pytest_report_header  # noqa: E402,F401
