"""Whatever a failed task's locals are: recorded in bounded time, none of them asked."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from distributed import wait
from hostile import HOSTILE, fail_with, forbidden_calls, unharmed

import dbgkit


@pytest.fixture(scope="module")
def recorded():
    """What was recorded of a task for each hostile value, and what it did."""
    from conftest import own_cluster

    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        # Modules that are loaded on first use are not counted.
        client.submit(fail_with, "list that raises", key="first").exception()
        with dbgkit.record(client=client):
            timed = taken(client, "in the usual time")
            # What is told must not hang on how slow the machine is.
            dbgkit.record(client=client, time="5s")
            told = taken(client, "in much time")
            calls, unharmed_values = (
                next(iter(client.run(look).values()))
                for look in (forbidden_calls, unharmed)
            )
            yield SimpleNamespace(
                timed=timed, told=told, calls=calls, unharmed=unharmed_values
            )


def taken(client, when):
    """The recordings of a task for each hostile value, by its name."""
    keys = {(name, when): name for name in HOSTILE}
    futures = [client.submit(fail_with, name, key=key) for key, name in keys.items()]
    wait(futures, timeout=120)
    held = dbgkit.recordings(list(keys), client=client, limit=500)
    return {keys[each.key]: each for each in held.recordings}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_frame_is_recorded_with_the_value_told(recorded, name):
    recording = recorded.told[name]
    assert recording.gap == ""
    local = {name: value.text for name, value in recording.frames[-1].locals}
    assert HOSTILE[name][1] in local["value"]


def test_the_rest_of_each_frame_is_intact(recorded):
    for name, recording in recorded.told.items():
        local = {name: value.text for name, value in recording.frames[-1].locals}
        assert local["name"] == repr(name)
        assert local["before"] == "{'x': 1}"
        assert local["after"] == "[1, 2.5]"
        assert recording.values
        for values in recording.values.values():
            assert values["before"] == {"x": 1}


def test_none_took_longer_than_its_time(recorded):
    # 100 ms and what a slow machine adds to it.
    slow = {
        key: each.seconds for key, each in recorded.timed.items() if each.seconds > 0.5
    }
    assert not slow


def test_no_method_of_the_values_was_called(recorded):
    assert recorded.calls == []


def test_nothing_was_changed(recorded):
    assert recorded.unharmed == {
        "generator": 1,
        "iterator": 1,
        "file": 4,
        "event": False,
        "dict": 10**6,
        "module": False,
        "mock": [],
    }
