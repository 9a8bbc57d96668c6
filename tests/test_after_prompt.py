"""What a debugger leaves behind at the prompt is a target like what it was made of."""

from __future__ import annotations

import io
import sys

import pytest
import tasks
from distributed import wait
from jobs import fail

import dbgkit


@pytest.fixture
def opened(monkeypatch):
    """Open the debugger on a target, and leave it."""

    def debug(*target, **options):
        monkeypatch.setattr(sys, "stdin", io.StringIO("q\n"))
        return dbgkit.debug(*target, prompt=True, **options)

    return debug


def test_a_replay_leaves_its_failure(client, opened):
    future = fail(client, tasks.ratio, 5, 0)
    first = opened(future)
    assert sys.last_value is first.exception
    assert dbgkit.locate().key == future.key
    assert dbgkit.locate(sys.last_value).key == future.key
    assert dbgkit.replay().plan.times == 1
    assert dbgkit.story().key == future.key
    again = opened()
    assert (again.failure.key, again.outcome) == (future.key, "same")
    assert again.exception is not first.exception


def test_a_recording_leaves_its_key(recorded, opened):
    future = recorded.submit(tasks.ratio, 5, 0)
    wait(future)
    opened(future, using="recording")
    assert dbgkit.locate().key == future.key
    assert dbgkit.replay().outcome == "same"
    assert opened(using="recording").key == future.key


def test_a_recording_of_what_the_scheduler_has_forgotten_is_entered_again(
    recorded, opened
):
    future = recorded.submit(tasks.ratio, 5, 0)
    wait(future)
    key = future.key
    opened(future, using="recording")
    del future
    assert opened().key == key
    assert opened(using="recording").key == key


def test_another_exception_is_itself(client, opened, capsys):
    opened(fail(client, tasks.ratio, 5, 0))
    try:
        raise KeyError("my own")
    except KeyError as error:
        sys.last_value = error
    capsys.readouterr()
    again = opened()
    assert (again.failure.key, again.exception) == (None, sys.last_value)
    out = capsys.readouterr().out
    assert "entered as it happened: nothing was run again" in out
