"""Lines of logs, which hold whatever anyone has logged: read in a known time."""

from __future__ import annotations

import pytest
from fuzzing import bounded

from dbgkit.remote.common.log_records import failed_setup, logged_failure

HEAD = "distributed.worker - ERROR - Compute Failed\nKey:       "


def block(key="a", exception="no", traceback=""):
    return (
        f"{HEAD}{key}\nState:     executing\nTask:  <Task>\n"
        f"Exception: {exception!r}\nTraceback: {traceback!r}\n"
    )


@pytest.mark.parametrize("key", ["a", "two\nlines", "", " a", "Exception: b"])
def test_a_failure_is_read_back(key):
    text = "\nTraceback: \nException: \nCompute Failed\nKey: b\nState: \n"
    found = logged_failure(block(key, text, text))
    assert found == (key.lstrip(" "), repr(text), repr(text) + "\n")


@pytest.mark.parametrize("text", ["", "Compute Failed", HEAD, block()[:-40], "x" * 99])
def test_what_is_cut_or_another_line_is_none(text):
    assert logged_failure(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "State: x\nq\nException: y\n" * 40_000,
        "State: x\nq\nException: y\nTraceback: z\n" * 30_000,
        "Compute Failed\nKey: a\n" * 50_000,
        " " * 1_000_000,
        "Worker plugin a\n" * 60_000,
    ],
    ids=["no-traceback", "many", "heads", "blanks", "plugins"],
)
def test_a_line_of_a_megabyte_takes_no_time(text):
    with bounded(1.0):
        logged_failure(HEAD + text)
        failed_setup(text)
