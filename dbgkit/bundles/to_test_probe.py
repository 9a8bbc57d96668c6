"""A plugin of pytest's that reports what a test raised, as a verdict compares it.

It is loaded in a process of its own, and imports nothing before the test has ended that
the test could miss.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

REPORT = "DBGKIT_TO_TEST_REPORT"


def _write(report: dict[str, Any]) -> None:
    with open(os.environ[REPORT], "w", encoding="utf-8") as file:
        json.dump(report, file)


def pytest_runtest_makereport(item: Any, call: Any) -> None:
    """After each phase of a test: what it raised."""
    if call.excinfo is None:
        if call.when == "call":
            _write({"how": "passed"})
        return
    from dbgkit.remote.recording.raised import raised

    form = raised(call.excinfo.value)
    _write({"how": call.when, "raised": form, "skipped": _skipped(call.excinfo)})


def _skipped(excinfo: Any) -> bool:
    pytest = sys.modules["pytest"]
    return isinstance(excinfo.value, pytest.skip.Exception)


def pytest_collectreport(report: Any) -> None:
    """A file that cannot be imported."""
    if report.failed:
        _write({"how": "collect", "text": str(report.longrepr)[-4_000:]})
