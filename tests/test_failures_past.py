"""Failures that the scheduler has forgotten, or whose keys are there again."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from distributed import Event, wait
from tasks import ratio
from watching import clear_history, known_keys, unchanged, wait_until

import dbgkit
from dbgkit.errors import NotFailed, UnknownKey


@pytest.fixture(autouse=True)
def without_history(client):
    """The shared clusters remember failures of other tests."""
    client.run_on_scheduler(clear_history)


def fails_without(path, event=None):
    """Fail as long as a file is not there; then wait, if for anything."""
    if not Path(path).exists():
        raise OSError("not there yet")
    if event is not None:
        Event(event).wait(30)
    return 1


def fail_and_let_go(client, *keys):
    """Failures that only the history has."""
    futures = [client.submit(ratio, 1, 0, key=key) for key in keys]
    wait(futures)
    del futures
    wait_until(lambda: not set(keys) & set(known_keys(client)), "it is forgotten")


# -- forgotten -----------------------------------------------------------------


@pytest.mark.parametrize("key", ["gone", ("gone", 3), ("x<b>", "é\n", 1)])
def test_a_forgotten_failure_is_located_by_its_key(client, recorder_off, key):
    fail_and_let_go(client, key, "another")
    asked = [key] if isinstance(key, str) else [key, str(key)]
    for target in asked:
        with unchanged(client):
            failure = dbgkit.locate(target)
        assert failure.key == key
        assert failure.found_in == "history"
        assert (failure.exception_type, failure.message) == (
            "ZeroDivisionError",
            "division by zero",
        )
        assert "in ratio" in failure.traceback_text
        assert failure.worker in client.scheduler_info()["workers"]
        assert failure.when is not None
        assert "the scheduler has forgotten the task" in str(failure)


def test_the_last_failure_may_be_a_forgotten_one(client):
    fail_and_let_go(client, "earlier")
    fail_and_let_go(client, "later")
    failure = dbgkit.locate()
    assert (failure.key, failure.others) == ("later", ("earlier",))
    # Another client may have been the one: the history does not say.
    assert "it may be another client's failure" in failure.notes


def test_what_is_still_there_comes_before_what_is_forgotten(client):
    held = client.submit(ratio, 2, 0, key="held")
    wait(held)
    fail_and_let_go(client, "gone")
    assert dbgkit.locate().key == "held"


@pytest.mark.parametrize("verb", [dbgkit.replay, dbgkit.debug])
def test_it_cannot_be_run_again_which_one_sentence_says(client, verb):
    dbgkit.record(client=client).off()
    key = f"gone-{time.time()}"  # of others a recording may be left in this process
    fail_and_let_go(client, key)
    (group,) = dbgkit.failures().groups
    for target in (key, group, None):
        with pytest.raises(UnknownKey) as caught:
            verb(target)
        assert str(caught.value).startswith(
            f"{key!r} cannot be run again: the scheduler has forgotten the task, and "
            "with it its function and inputs"
        )


def test_the_recording_is_what_is_left(recorded):
    fail_and_let_go(recorded, "gone")
    failure = dbgkit.locate("gone")
    enter = "dbgkit.debug('gone', using='recording')"
    assert any(enter in note for note in failure.notes)
    (group,) = dbgkit.failures().groups
    for target in (failure, group):
        with pytest.raises(UnknownKey) as caught:
            dbgkit.replay(target)
        assert enter in str(caught.value)
    entered = dbgkit.debug("gone", prompt=False)
    assert entered.frames[-1].function == "ratio"


def test_where_the_history_has_rolled_over_the_recording_has_it(recorded):
    fail_and_let_go(recorded, "gone")
    recorded.run_on_scheduler(clear_history)
    failure = dbgkit.locate("gone")
    assert (failure.found_in, failure.message) == ("history", "division by zero")
    assert "in ratio" in failure.traceback_text


def test_or_the_log_of_its_worker(processes_client):
    client = processes_client
    dbgkit.record(client=client).off()
    key = f"logged-{time.time()}"
    fail_and_let_go(client, key)
    client.run_on_scheduler(clear_history)
    with unchanged(client):
        failure = dbgkit.locate(key)
    assert (failure.found_in, failure.message) == ("history", "division by zero")
    assert "in ratio" in failure.traceback_text
    assert failure.when is None


def test_a_key_that_nobody_knows_is_not_found(client):
    fail_and_let_go(client, "gone")
    with pytest.raises(UnknownKey, match="knows no key 'nonsense'"):
        dbgkit.locate("nonsense")


# -- there again ---------------------------------------------------------------


def test_what_runs_again_is_not_called_forgotten(client, tmp_path):
    client.run_on_scheduler(clear_history)
    path, event = str(tmp_path / "there"), f"go-{time.time()}"
    future = client.submit(fails_without, path, event, key="again")
    wait(future)
    Path(path).touch()
    future.retry()
    try:
        wait_until(lambda: dbgkit.failures().groups[0].again, "it runs")
        (group,) = dbgkit.failures().groups
        assert (group.count, group.again, group.forgotten) == (1, 1, 0)
        shown = str(dbgkit.failures())
        assert "has been submitted or retried since" in shown
        assert "'processing'" in shown
        assert "forgotten" not in shown
        for target in ("again", group):
            with pytest.raises(NotFailed, match="it failed before, and was submitted"):
                dbgkit.locate(target) if target == "again" else dbgkit.replay(target)
    finally:
        Event(event).set()
    wait(future)
    # AND once it has succeeded it is no failure any more
    report = dbgkit.failures()
    # Workers' logs tell of attempts in other tests, too.
    assert report.total == 0 and "again" in report.healed_keys
    assert re.search(r"\d failed and ha(s|ve) succeeded since", str(report))
    with pytest.raises(NotFailed, match="finished; it failed before, and was submit"):
        dbgkit.locate("again")


def test_a_group_says_how_many_are_there_again(client, tmp_path):
    path, event = str(tmp_path / "there"), f"go-{time.time()}"
    futures = [
        client.submit(fails_without, path, event, key=f"some-{number}")
        for number in range(3)
    ]
    wait(futures)
    del futures
    wait_until(lambda: not known_keys(client), "they are forgotten")
    Path(path).touch()
    again = client.submit(fails_without, path, event, key="some-1")
    try:
        wait_until(lambda: dbgkit.failures().groups[0].again, "it is there")
        (group,) = dbgkit.failures().groups
        assert (group.count, group.again, group.forgotten) == (3, 1, 2)
        assert group.to_json()["again"] == 1
        shown = str(dbgkit.failures())
        assert "the keys of 1 of them have been submitted or retried since" in shown
        assert "the scheduler has forgotten 2 of them" in shown
    finally:
        Event(event).set()
    wait(again)
