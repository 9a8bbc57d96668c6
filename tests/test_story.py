"""One task's story, out of the logs of all sides, live and from a dump."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import dask
import pytest
import tasks
from dask.distributed import Client, wait
from deaths_tasks import leave
from log_tasks import complain
from watching import forgotten, started_again, unchanged, wait_until

import dbgkit
from dbgkit.errors import NoFailure, UnknownKey, WrongTarget


def steps(timeline, source="scheduler"):
    return [moment.what for moment in timeline.moments if moment.found_in == source]


def details(timeline, source):
    return [moment.detail for moment in timeline.moments if moment.found_in == source]


def dumped(client, tmp_path, format="msgpack"):
    client.dump_cluster_state(str(tmp_path / "dump"), format=format)
    return next(
        str(path) for path in tmp_path.iterdir() if path.name.startswith("dump")
    )


def by_source(timeline):
    """What each side says; a dump has times of log lines in milliseconds only."""
    said = {}
    for moment in timeline.moments:
        line = f"{moment.when:%H:%M:%S} {moment.what} {moment.detail}"
        said.setdefault(moment.found_in, []).append(line)
    return said


def failed(client, key="boom-1", **options):
    """A task that fails on an input, once it has; both in one graph."""
    before = f"before-{key}"
    graph = {before: (tasks.inc, 1), key: (tasks.boom, before)}
    futures = client.get(graph, [before, key], sync=False, **options)
    wait(futures)
    return futures


def test_all_sides_tell_of_a_failure_that_was_retried(client):
    _, future = failed(client, retries=1)
    told = dbgkit.story(future)
    assert told.key == "boom-1"
    assert steps(told) == [
        "released -> waiting",
        "waiting -> processing",
        "processing -> released",
        "released -> waiting",
        "waiting -> processing",
        "processing -> erred",
    ]
    scheduler = details(told, "scheduler")
    assert "after 'before-boom-1' went to memory" in scheduler[1]
    assert "to be retried" in scheduler[2]
    assert "ValueError('cannot take 2')" in scheduler[-1]
    addresses = {m.found_in for m in told.moments} - {"scheduler", "log", "event"}
    assert addresses <= set(client.scheduler_info()["workers"])
    ran = [m.what for m in told.moments if m.found_in in addresses]
    assert ran.count("ready -> executing") == ran.count("executing -> error") == 2
    lines = details(told, "log")
    assert len(lines) == 2
    assert all("Compute Failed" in line for line in lines)
    assert [m.when for m in told.moments] == sorted(m.when for m in told.moments)
    # On a slow machine a worker's clock seems to be off.
    assert not [note for note in told.notes if "clock" not in note]


@pytest.mark.parametrize("format", ["msgpack", "yaml"])
def test_a_dump_tells_it_in_the_same_words(processes_client, tmp_path, format):
    _, future = failed(processes_client)
    live = dbgkit.story(future)
    told = dbgkit.story("boom-1", view=dumped(processes_client, tmp_path, format))
    assert by_source(told) == by_source(live)
    assert set(told.notes) - set(live.notes) == {
        "a dump contains neither events nor the scheduler's own log"
    }


def test_a_dump_alone_tells_of_the_newest_failure(processes_client, tmp_path):
    _, future = failed(processes_client)
    later = processes_client.submit(tasks.inc, future, key="fell")
    wait(later)
    path = dumped(processes_client, tmp_path)
    assert dbgkit.story(view=path).key == "boom-1"
    with pytest.raises(UnknownKey, match="did you mean 'boom-1'"):
        dbgkit.story("boom-2", view=path)


KEYS = [
    "[/a/b]",
    'it\'s "so"',
    "two\nlines",
    "größe-ü",
    ("x-1", 0),
    ("y", "z"),
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_keys_that_break_markup_or_shells(inproc_client, key):
    future = inproc_client.submit(tasks.boom, 1, key=key)
    wait(future)
    told = dbgkit.story(future)
    assert told.key == key
    assert steps(told)[-1] == "processing -> erred"
    assert len(details(told, "log")) == 1
    assert dbgkit.story(str(key)).moments == told.moments


def test_a_tuple_key_is_found_in_a_dump_in_both_spellings(processes_client, tmp_path):
    future = processes_client.submit(tasks.inc, 1, key=("part-1", 3))
    after = processes_client.submit(tasks.boom, future, key=("part-2", 3))
    wait(after)
    live = dbgkit.story(after)
    path = dumped(processes_client, tmp_path)
    for spelled in (("part-2", 3), "('part-2', 3)", "['part-2', 3]"):
        told = dbgkit.story(spelled, view=path)
        assert told.key == ("part-2", 3)
        assert by_source(told) == by_source(live)


def test_a_key_that_is_a_mere_word_has_only_its_own_lines(inproc_client):
    """The other task's traceback has the word in it, as the function's name."""
    mine = inproc_client.submit(tasks.boom, 1, key="boom")
    other = inproc_client.submit(tasks.boom, mine.key, key="other-boom")
    wait([mine, other])
    lines = details(dbgkit.story("boom"), "log")
    assert ["'cannot take 1'" in line or "cannot take 1" in line for line in lines] == [
        True
    ]


def test_the_fall_of_a_dependent_is_no_line_of_its_input(inproc_client):
    before, future = failed(inproc_client, key="boom-9")
    assert not details(dbgkit.story(before), "log")
    assert details(dbgkit.story(future), "log")


def test_what_the_scheduler_has_forgotten_still_has_a_story(client):
    with pytest.raises(ValueError):
        dask.delayed(tasks.boom)(7, dask_key_name="gone-1").compute()
    forgotten(client)
    told = dbgkit.story("gone-1")
    assert steps(told)[-1] == "erred -> forgotten" or "forgotten" in steps(told)[-1]
    assert "the scheduler has forgotten this task" in told.notes
    assert any("Compute Failed" in line for line in details(told, "log"))


def test_targets_that_lead_to_one_task(inproc_client):
    job = dask.delayed(tasks.boom)(dask.delayed(tasks.inc)(1), dask_key_name="boom-d")
    with pytest.raises(ValueError) as caught:
        job.compute()
    assert dbgkit.story(caught.value).key == "boom-d"
    assert dbgkit.story(dbgkit.locate(caught.value)).key == "boom-d"
    persisted = job.persist()
    wait(persisted)
    assert dbgkit.story(persisted).key == "boom-d"
    done = inproc_client.submit(tasks.inc, 1)
    wait(done)
    several = dbgkit.story([done, "boom-d"])
    assert "1 further task was left out" in several.notes


def test_no_target_at_all_is_the_last_failure(inproc_client):
    _, future = failed(inproc_client, key="boom-last")
    assert dbgkit.story().key == future.key
    try:
        int("no number")
    except ValueError:
        told = dbgkit.story()
    assert told.key == future.key
    assert "is not from a task" in told.notes[0]


def test_errors_say_what_to_do(inproc_client):
    future = inproc_client.submit(tasks.inc, 1, key="known-key-1")
    wait(future)
    with pytest.raises(UnknownKey, match="did you mean 'known-key-1'"):
        dbgkit.story("known-key-2")
    with pytest.raises(WrongTarget, match="story is that of one task"):
        dbgkit.story([])
    with pytest.raises(WrongTarget):
        dbgkit.story(object())
    with pytest.raises(WrongTarget, match="story is that of one task"):
        dbgkit.story(ValueError("of no task"))


def test_nothing_has_failed(harmable):
    with harmable(n_workers=1, processes=False), pytest.raises(NoFailure):
        dbgkit.story()


def test_looking_changes_nothing(client):
    held = failed(client)
    with unchanged(client):
        dbgkit.story(held[1])
    with unchanged(client), pytest.raises(UnknownKey):
        dbgkit.story("nothing-has-this-key")


def test_an_asynchronous_client_is_awaited(processes):
    async def ask():
        async with Client(processes.scheduler_address, asynchronous=True) as client:
            future = client.submit(tasks.boom, 1, key="boom-async")
            await wait(future)
            return await dbgkit.story(future), await dbgkit.story()

    one, last = asyncio.run(ask())
    assert steps(one)[-1] == "processing -> erred"
    assert last.key == "boom-async"


def test_secrets_in_log_lines_are_hidden(inproc_client):
    future = inproc_client.submit(complain, "password=hunter2", key="login-1")
    wait(future)
    told = dbgkit.story(future)
    assert "hunter2" not in str(told.to_json())
    assert "Compute Failed" in str(told.to_json())


def test_events_of_the_user_that_name_the_task(inproc_client):
    future = inproc_client.submit(tasks.inc, 1, key="told-of-1")
    wait(future)
    inproc_client.log_event("my-topic", {"about": "told-of-1", "rows": 3})
    inproc_client.log_event("my-topic", {"about": "told-of-10", "rows": 4})

    def events():
        return [m for m in dbgkit.story(future).moments if m.found_in == "event"]

    (event,) = wait_until(events, "the event has come")
    assert event.what == "my-topic"
    assert "rows=3" in event.detail


def test_a_log_that_has_rolled_over_is_said_to_have(harmable):
    with (
        dask.config.set({"distributed.admin.low-level-log-length": 20}),
        harmable(n_workers=1, processes=False) as client,
    ):
        _, future = failed(client)
        wait(client.map(tasks.inc, range(20)))
        told = dbgkit.story(future)
        assert steps(told) == ["erred"]
        assert details(told, "scheduler") == ["ValueError('cannot take 2')"]
        assert "the scheduler's log has rolled over" in told.notes[0]
        assert "low-level-log-length" in told.notes[0]
        assert any(note.startswith("the log of worker") for note in told.notes)
        assert len(details(told, "log")) == 1


def test_long_texts_and_long_stories_are_cut_and_counted(harmable):
    with harmable(n_workers=1, processes=False) as client:
        future = client.submit(complain, "x" * 50_000, key="long-1", retries=60)
        wait(future)
        told = dbgkit.story(future)
        assert len(told.moments) == 300
        assert any("earlier moments were left out" in note for note in told.notes)
        assert max(len(moment.detail) for moment in told.moments) < 2_100
        assert "more characters" in details(told, "log")[-1]


def test_a_task_that_killed_its_workers(harmable):
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        harmable(n_workers=1) as client,
    ):
        future = client.submit(leave, key="killer")
        wait(future)
        told = dbgkit.story(future)
        left = [m for m in told.moments if m.what == "remove-worker"]
        assert len(left) == 2
        assert all("was processing this task" in m.detail for m in left)
        assert all("left unexpectedly" in m.detail for m in left)
        assert any("2 workers died" in line for line in details(told, "log"))
        assert any("has left, so its log is gone" in note for note in told.notes)
        client.wait_for_workers(1, timeout=60)


def test_a_worker_that_does_not_answer_and_one_that_dies_while_asked(harmable):
    with harmable(n_workers=2) as client:
        held = failed(client)
        (address,) = client.who_has(held[0])[held[0].key]
        pid = client.run(os.getpid, workers=[address])[address]
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        told = dbgkit.story(held[1], timeout="4s")
        assert time.monotonic() - began < 4
        assert f"worker {address} did not answer: its part is missing" in told.notes
        assert steps(told)[-1] == "processing -> erred"
        os.kill(pid, signal.SIGKILL)
        told = dbgkit.story(held[1], timeout="10s")
        assert steps(told)[-1] == "processing -> erred"
        assert any(f"worker {address}" in note for note in told.notes)
        started_again(client, address, 2)
