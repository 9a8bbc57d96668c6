"""Causes of a run, and those that a recording has."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from dbgkit.model import Failure, RecordedCause, Recording
from dbgkit.replays.inputs_compared import with_causes
from dbgkit.replays.recorded_causes import all_known, changed_cause

KEY = ("KeyError", "'rows'", "KeyError('rows')", True)
DISK = ("OSError", "disk full", "OSError('disk full')", True)


def recorded(*causes, more=0, message="cannot load"):
    return Recording(
        "k",
        'task "k"',
        "BadInput",
        message,
        "tcp://127.0.0.1:1",
        1,
        datetime.now(timezone.utc),
        causes=tuple(RecordedCause(how, kind, text) for how, kind, text in causes),
        more_causes=more,
    )


ONE = recorded(("cause", "KeyError", "'rows'"))


def test_the_same_cause():
    assert changed_cause(ONE, [KEY]) is None
    assert all_known(ONE, [KEY])


def test_another_cause():
    told = "before KeyError: 'rows', now OSError: disk full"
    assert changed_cause(ONE, [DISK]) == told
    assert changed_cause(ONE, []) == "before KeyError: 'rows', now none"


def test_what_was_not_recorded_may_be_another():
    # A context that is not shown.
    assert changed_cause(ONE, [KEY, DISK]) is None
    assert not all_known(ONE, [KEY, DISK])
    # Of a long chain not all is recorded.
    assert not all_known(recorded(("cause", "KeyError", "'rows'"), more=3), [KEY])


@pytest.mark.parametrize("message", ["password=<hidden>", "cut off…"])
def test_what_is_hidden_or_cut_tells_neither(message):
    one = recorded(("cause", "KeyError", message))
    assert changed_cause(one, [KEY]) is None
    assert not all_known(one, [KEY])
    assert changed_cause(one, [DISK]) is not None


def test_members_of_a_group_come_in_any_order():
    both = recorded(
        ("member", "OSError", "disk full"), ("member", "KeyError", "'rows'")
    )
    assert changed_cause(both, [KEY, DISK]) is None


def test_a_recording_of_another_failure_is_not_taken():
    failure = Failure("k", "k", "BadInput", "cannot load")
    assert with_causes(failure, ONE).evidence.recording is ONE
    other = recorded(("cause", "KeyError", "'rows'"), message="cannot save")
    assert with_causes(failure, other).evidence.recording is None
    assert with_causes(failure, None).evidence.recording is None
