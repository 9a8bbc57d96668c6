"""Recordings in use: in the debugger, in `failures`, for inputs and their replay."""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

import pytest
from conftest import own_cluster
from distributed import Client, default_client, wait
from recorder_tasks import (
    Counter,
    doubled,
    fails_at_first,
    only,
    ratio,
    told,
    total,
)
from watching import forgotten, settle

import dbgkit
from dbgkit.cluster import recordings
from dbgkit.errors import NoFailure, NotRecorded
from dbgkit.render.recordings import headline

pytestmark = pytest.mark.usefixtures("recorder_off")


def commands(monkeypatch, *lines):
    """Type these at the next prompt of pdb."""
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join([*lines, "q", ""])))


def test_debug_enters_the_recording(recorded, monkeypatch, capsys):
    future = recorded.submit(ratio, 1, 0)
    wait(future)
    commands(monkeypatch, "p pair[0] + 41", "p [b for _ in pair]", "where")
    found = dbgkit.debug(future, using="recording", prompt=True)
    out = capsys.readouterr().out
    assert "42" in out and "[0, 0]" in out
    assert "return pair[0] / pair[1]" in out
    assert isinstance(found, dbgkit.Recording)


def test_debug_enters_what_a_replay_on_a_worker_brought_home(
    client, monkeypatch, capsys
):
    future = client.submit(ratio, 1, 0)
    wait(future)
    commands(monkeypatch, "p pair[0] + 41")
    assert dbgkit.debug(future, where="worker", prompt=True).outcome == "same"
    out = capsys.readouterr().out
    assert "42" in out and "return pair[0] / pair[1]" in out


def test_what_is_only_summarised_says_so(recorded, monkeypatch, capsys):
    future = recorded.submit(ratio, Counter(), 0)
    wait(future)
    commands(monkeypatch, "p a", "p a.fail")
    dbgkit.debug(future, using="recording", prompt=True)
    out = capsys.readouterr().out
    assert "<recorded" in out
    assert "only a summary of this" in out


def test_a_failure_that_does_not_happen_again_is_entered_as_recorded(
    recorded, tmp_path, capsys
):
    future = recorded.submit(fails_at_first, str(tmp_path / "tried"))
    wait(future)
    assert dbgkit.debug(future, prompt=False).outcome == "passed"
    out = capsys.readouterr().out
    assert "as recorded on the worker" in out and "first = True" in out


def test_without_a_recording_there_is_a_clear_word(client):
    future = client.submit(ratio, 1, 0, pure=False)
    wait(future)
    with pytest.raises(NotRecorded, match=r"dbgkit\.record"):
        dbgkit.debug(future, using="recording", prompt=False)


def test_a_recorder_that_was_turned_on_too_late_says_so(client):
    future = client.submit(ratio, 1, 0, pure=False)
    wait(future)
    with (
        dbgkit.record(),
        pytest.raises(NotRecorded, match="is on, but was turned on after this failure"),
    ):
        dbgkit.debug(future, using="recording", prompt=False)


def test_a_recording_that_was_dropped_is_told_from_a_recorder_that_is_off(recorded):
    future = recorded.submit(ratio, 1, 0, pure=False)
    wait(future)
    dbgkit.record(hold=0)
    with pytest.raises(NotRecorded, match=r"is on, but .* its recording was dropped"):
        dbgkit.debug(future, using="recording", prompt=False)


def test_of_a_task_its_own_recordings_are_told(recorded):
    for key in ("ratio-1", "ratio-2", ("ratio", 3)):
        wait(recorded.submit(ratio, 1, 0, key=key))
    held = dbgkit.recordings("ratio-2")
    assert (headline(held), held.unknown) == ("1 recording of 'ratio-2'", ())
    held = dbgkit.recordings("nosuch")
    assert (headline(held), held.unknown) == ("no recording of 'nosuch'", ("nosuch",))
    # THEN one that is only left out by the limit is there
    held = dbgkit.recordings(["nosuch", "ratio-1", "('ratio', 3)"], limit=1)
    assert (len(held), held.omitted, held.unknown) == (1, 1, ("nosuch",))
    assert headline(held).endswith(", no recording of 'nosuch'")


def test_an_exception_that_leaves_the_with_block_keeps_its_recording(
    client, tmp_path, capsys
):
    with pytest.raises(ZeroDivisionError) as caught, dbgkit.record():
        client.submit(fails_at_first, str(tmp_path / "tried")).result()
    assert dbgkit.debug(caught.value, prompt=False).outcome == "passed"
    assert "first = True" in capsys.readouterr().out


def test_another_exception_at_hand_does_not_hide_the_newest_recording(
    recorded, monkeypatch, capsys
):
    wait(recorded.submit(ratio, 1, 0, key="ratio-1"))
    monkeypatch.setattr(sys, "last_value", KeyError("of no task"), raising=False)
    assert dbgkit.debug(using="recording", prompt=False).key == "ratio-1"
    assert "[1, 0]" in capsys.readouterr().out


def test_a_recording_is_a_target(recorded, capsys):
    future = recorded.submit(ratio, 1, 0, key="ratio-1")
    wait(future)
    recording = only()
    assert dbgkit.debug(recording, prompt=False) is recording
    assert dbgkit.replay(recording).outcome == "same"


def test_a_client_that_is_closed_by_an_exception_leaves_its_recordings(
    inproc, tmp_path, capsys
):
    with (
        pytest.raises(ZeroDivisionError),
        dbgkit.debugging(prompt=False),
        Client(inproc) as client,
        dbgkit.record(),
    ):
        client.submit(fails_at_first, str(tmp_path / "tried")).result()
    assert "first = True" in capsys.readouterr().out


def test_what_was_kept_is_entered_by_its_exception(inproc, tmp_path, capsys):
    with (
        pytest.raises(ZeroDivisionError) as caught,
        Client(inproc) as client,
        dbgkit.record(),
    ):
        client.submit(fails_at_first, str(tmp_path / "tried")).result()
    dbgkit.debug(caught.value, prompt=False)
    assert "first = True" in capsys.readouterr().out


def group_of(future):
    groups = dbgkit.failures().groups
    return next(one for one in groups if one.example.key == future.key)


def test_failures_come_with_what_was_recorded(recorded):
    future = recorded.submit(ratio, 1, 0)
    wait(future)
    group = group_of(future)
    assert told(group.recording, "ratio")["pair"] == "[1, 0]"


def test_failures_without_the_recorder_have_no_recording(client):
    future = client.submit(ratio, 1, 0, pure=False)
    wait(future)
    group = group_of(future)
    assert group.recording is None


def load(path):
    """Another value each time, if there is a file."""
    if path is None:
        return [1, 2, 3]
    text = Path(path).read_text()
    Path(path).write_text(f"{text}x")
    tries = len(text)
    return [1, 2, tries]


def test_a_replay_says_that_its_inputs_are_those_of_the_failure(recorded):
    values = recorded.submit(load, None, key="load-same")
    future = recorded.submit(total, values)
    wait(future)
    again = dbgkit.replay(future)
    assert again.compared == {"load-same": "same"}
    assert "the inputs are those recorded when it failed" in again.notes


def test_a_replay_says_that_its_inputs_are_others(recorded, tmp_path):
    path = tmp_path / "tries"
    path.write_text("")
    values = recorded.submit(load, str(path), key="load-other")
    future = recorded.submit(total, values)
    wait(future)
    del values
    settle(recorded)
    again = dbgkit.replay(future)
    assert again.compared == {"load-other": "different"}
    assert any("'load-other'" in note for note in again.notes)


def test_without_the_recorder_inputs_are_not_compared(client):
    values = client.submit(load, None)
    future = client.submit(total, values)
    wait(future)
    assert dbgkit.replay(future).compared == {}


def test_inputs_of_what_failed_can_be_kept(client):
    with dbgkit.record(keep_inputs="1 MB"):
        values = client.submit(doubled, 3, key="doubled-kept")
        future = client.submit(total, values)
        wait(future)
        del values
        settle(client)
        plan = dbgkit.replay(future, dry_run=True)
        assert not plan.recompute
        assert [(info.key, info.how) for info in plan.inputs] == [
            ("doubled-kept", "pull")
        ]
        assert dbgkit.recordings().kept_inputs == 1
        del future
        settle(client)
    forgotten(client)


def test_inputs_are_kept_within_the_limit(client):
    with dbgkit.record(keep_inputs=200):
        values = client.map(doubled, range(10), pure=False)
        futures = client.map(total, values, pure=False)
        wait(futures)
        held = dbgkit.recordings()
        assert 0 < held.kept_bytes <= 200
        del values, futures
        settle(client)
    forgotten(client)


@pytest.fixture
def left(monkeypatch):
    """What is kept in this process, where there is no client any more."""
    monkeypatch.setattr(recordings, "_left", OrderedDict())
    with own_cluster(n_workers=1, processes=False) as client:
        with dbgkit.record():
            wait(client.submit(ratio, 1, 0, key="ratio-left"))
        future = client.submit(ratio, 1, 0, key="ratio-left")
    with pytest.raises(ValueError, match="No clients found"):
        default_client()
    return future


def test_what_is_kept_here_outlives_the_client(left):
    held = dbgkit.recordings()
    assert told(held[0], "ratio")["pair"] == "[1, 0]"
    assert "kept in this process" in headline(held)
    assert "no cluster" in held.notes[0]
    assert dbgkit.recordings(left)[0].key == "ratio-left"
    held = dbgkit.recordings("nosuch")
    assert headline(held) == "no recording of 'nosuch'"


@pytest.mark.parametrize("by", ["key", "future", "nothing"])
def test_what_is_kept_here_is_entered_without_a_client(left, by, capsys):
    target = {"key": "ratio-left", "future": left, "nothing": None}[by]
    found = dbgkit.debug(target, using="recording", prompt=False)
    assert found.key == "ratio-left"
    assert "[1, 0]" in capsys.readouterr().out


def test_where_nothing_is_kept_there_is_no_cluster(left):
    with pytest.raises(NoFailure, match="no client"):
        dbgkit.debug("nosuch", using="recording", prompt=False)
    recordings._left.clear()
    with pytest.raises(NoFailure, match="no cluster"):
        dbgkit.recordings()
